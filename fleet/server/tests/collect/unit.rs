//! A unit of this program, started as systemd starts it: its command with its variables and credentials put in, traced.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
};

#[path = "../../../../tests/service/unit.rs"]
mod file;

use crate::scrape::Endpoint;

/// A unit, and a folder in place of `/`.
pub(crate) struct Unit {
    name: &'static str,
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
    endpoint: Endpoint,
}

/// A started unit; killed when dropped.
pub(crate) struct Started {
    strace: Child,
    name: &'static str,
    pub(crate) endpoint: Endpoint,
    folder: tempfile::TempDir,
}

impl Unit {
    /// The unit as it is shipped, with the variables that are shipped in `files` and then these.
    pub(crate) fn new(name: &'static str, files: &[&str], variables: &[(&str, String)]) -> Self {
        let endpoint = Endpoint::new();
        let mut all = BTreeMap::new();
        let given = file::values(name, "Environment").join(" ");
        let shipped: Vec<String> = files.iter().map(|file| file::text(file)).collect();
        let lines = shipped.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('#'));
        for (name, value) in given.split(' ').chain(lines).filter_map(|line| line.split_once('=')) {
            all.insert(name.to_owned(), value.to_owned());
        }
        for (name, value) in variables {
            assert!(all.insert((*name).to_owned(), value.clone()).is_some(), "{name} is not among what is shipped");
        }
        all.insert("HEALTH".into(), endpoint.argument());
        Self { name, folder: tempfile::tempdir().expect("a temporary folder"), variables: all, endpoint }
    }

    /// Where a path of the unit is here.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        path
    }

    /// Every credential by its name and the file that root has it in.
    pub(crate) fn credentials(&self) -> Vec<(String, String)> {
        let pair = |value: &String| value.split_once(':').map(|(name, path)| (name.to_owned(), path.to_owned()));
        file::values(self.name, "LoadCredential").iter().map(|value| pair(value).expect("NAME:PATH")).collect()
    }

    /// Hands the credentials over as systemd does: copies whose group bits are the mask of an ACL.
    fn hand_over(&self) -> PathBuf {
        let folder = self.at("/run/credentials/unit/x").parent().expect("below the folder").to_owned();
        for (name, path) in self.credentials() {
            let copy = folder.join(name);
            fs::copy(self.at(&path), &copy).unwrap_or_else(|error| panic!("{path}: {error}"));
            fs::set_permissions(copy, fs::Permissions::from_mode(0o440)).expect("ours");
        }
        folder
    }

    /// The words of the command, as systemd.service(5) puts variables in.
    fn words(&self, credentials: &Path) -> Vec<String> {
        let [command] = &file::values(self.name, "ExecStart")[..] else { panic!("one command") };
        let mut words = Vec::new();
        for word in command.split_whitespace() {
            if let Some(name) = word.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                let value = self.variables.get(name).map_or("", String::as_str);
                words.extend(value.split_whitespace().map(str::to_owned));
                continue;
            }
            let mut word = word.replace("${CREDENTIALS_DIRECTORY}", &credentials.display().to_string());
            for (name, value) in &self.variables {
                word = word.replace(&format!("${{{name}}}"), value);
            }
            assert!(!word.contains('$'), "{word}: no such variable");
            words.push(word);
        }
        let moved = |word: &mut String| {
            if ["/etc/examgate", "/var/lib/examgate"].iter().any(|top| word.starts_with(top)) {
                *word = self.at(word).display().to_string();
            }
        };
        words.iter_mut().for_each(moved);
        words
    }

    /// Starts it. It logs to standard error.
    pub(crate) fn start(self) -> Started {
        let credentials = self.hand_over();
        let words = self.words(&credentials);
        assert_eq!(words[0], "/usr/bin/examgate-fleetd");
        for (name, _) in self.credentials() {
            let used = words.iter().any(|word| Path::new(word) == credentials.join(&name));
            assert!(used, "{} hands over {name}, which its command does not use", self.name);
        }
        let Self { name, folder, endpoint, variables: _ } = self;
        let mut strace = Command::new("strace");
        // -D: what is traced is our child, so that the signal reaches it.
        strace
            .args(["-D", "-f", "-o"])
            .arg(folder.path().join("trace"))
            .arg(env!("CARGO_BIN_EXE_examgate-fleetd"))
            .args(&words[1..]);
        strace.env("CREDENTIALS_DIRECTORY", credentials);
        let strace = strace.spawn().expect("strace is there (package strace)");
        Started { strace, name, endpoint, folder }
    }
}

impl Started {
    /// Stops it as systemd does. It made no call that the unit does not let through.
    pub(crate) fn stop(mut self) {
        let stopped = Command::new("kill").arg(self.strace.id().to_string()).status().expect("procps is there");
        assert!(stopped.success() && self.strace.wait().expect("ours").success(), "{} ends in order", self.name);
        let trace = fs::read_to_string(self.folder.path().join("trace")).expect("strace wrote it");
        let (calls, allowed) = (file::called(&trace), file::allowed(self.name));
        assert!(calls.contains("listen") && allowed.contains("listen"), "{calls:?}");
        let refused: Vec<_> = calls.difference(&allowed).collect();
        assert!(refused.is_empty(), "the filter of {} forbids {refused:?}", self.name);
        // MemoryDenyWriteExecute=.
        let maps = |line: &&str| line.contains("mmap(") || line.contains("mprotect(");
        let writes_code =
            |line: &&str| line.contains("PROT_EXEC") && (line.contains("PROT_WRITE") || line.contains("mprotect("));
        let denied: Vec<_> = trace.lines().filter(maps).filter(writes_code).collect();
        assert!(denied.is_empty(), "{denied:?}");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}
