//! A unit file of `systemd/` as the tests of the programs need it: its settings, its command, and the calls that its filter lets through.
//!
//! Starts no service: systemd is asked for what its groups of calls mean, and strace for what a program calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file of `systemd/`.
pub(crate) fn path(file: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().find(|folder| folder.join("systemd").is_dir()).expect("a folder of units above");
    root.join("systemd").join(file)
}

/// The text of a file of `systemd/`.
pub(crate) fn text(file: &str) -> String {
    let path = path(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every value that a unit gives `setting`, in order; lines that go on are one.
pub(crate) fn values(unit: &str, setting: &str) -> Vec<String> {
    let unit = text(unit).replace("\\\n", " ");
    let given = unit.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    given.map(str::to_owned).collect()
}

/// The calls that a unit's filter lets through.
pub(crate) fn allowed(unit: &str) -> BTreeSet<String> {
    let output = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager"])
        .output()
        .expect("systemd-analyze is there (package systemd)");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut group = String::new();
    for line in text.lines() {
        let word = line.trim();
        if line.starts_with('@') {
            group = word.to_owned();
        } else if line.starts_with(' ') && !word.is_empty() && !word.starts_with('#') {
            groups.entry(group.clone()).or_default().push(word.to_owned());
        }
    }
    let mut allowed = BTreeSet::new();
    let mut open: Vec<String> =
        values(unit, "SystemCallFilter").iter().flat_map(|value| value.split(' ')).map(str::to_owned).collect();
    while let Some(name) = open.pop() {
        assert!(!name.starts_with('~'), "the filter lists what is allowed: {name}");
        match groups.get(&name) {
            Some(inner) => open.extend(inner.iter().cloned()),
            None => drop(allowed.insert(name)),
        }
    }
    allowed
}

/// The calls in a trace of `strace -f`.
pub(crate) fn called(trace: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let call = line.split_once(' ')?.1.trim_start().split_once('(')?.0;
        call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| call.to_owned())
    };
    trace.lines().filter_map(name).collect()
}
