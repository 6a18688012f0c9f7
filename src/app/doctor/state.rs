//! The folders that the box writes to: whether its user can, and whether there is room.
//!
//! It writes nothing: it asks the kernel what would be allowed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::{super::Environment, PartHealth, State, finding};
use crate::{
    config::Config,
    domain::WithSources,
    edge::system::{Running, User, free_space},
    store::{DrainMark, KeyFolder, KeyName, Layout},
};

/// Free disk below which the operator should look: a term of events takes less than a tenth of it.
const LEAST_DISK: u64 = 256 << 20;

/// Free disk below which the box comes to refer: the event store sets 16 MiB aside and writes its log beside.
const NO_DISK: u64 = 24 << 20;

/// How many files are named.
const NAMED: usize = 5;

/// Whether the user of this process can open what the box opens.
pub(super) fn look(config: &Config, environment: &Environment, keys: &KeyFolder, findings: &mut Vec<PartHealth>) {
    let who = User::current().map_or_else(|_| "this user".into(), |user| user.name);
    if let Some(path) = environment.configuration.as_ref()
        && let Err(error) = access(path, Access::READ_OK)
    {
        let found =
            format!("{who} cannot read {}: {error}; `chmod 644` it, and let the folder be entered", path.display());
        findings.push(finding("configuration", State::Unwell, found));
    }
    match DrainMark::new(&Layout::new(&config.state)).text() {
        Ok(None) => {}
        Ok(Some(text)) => {
            let found = format!(
                "the box is out of service {text}: `examgate-fleet command resume {}` takes taps again",
                config.device
            );
            findings.push(finding("service", State::Impaired, found));
        }
        Err(error) => findings.push(finding("service", State::Unwell, WithSources(&error).to_string())),
    }
    // A box writes everywhere in its state folder; of the keys it makes that of the events, once, and those of pushed exams.
    let makes_key = !keys.holds(KeyName::Events) || config.fleet.is_some();
    let makes_folder = match config.fleet {
        Some(_) => "the first start of examgate.service makes it",
        None => "`roster import` or the first start of examgate.service makes it",
    };
    for (part, folder, writes) in [("state", &config.state, true), ("key folder", &config.keys, makes_key)] {
        findings.push(folder_of_the_box(part, folder, writes, &who, makes_folder));
    }
}

fn folder_of_the_box(part: &str, folder: &Path, writes: bool, who: &str, makes_folder: &str) -> PartHealth {
    let shown = folder.display();
    let (mut refused, mut worst) = (Vec::new(), None);
    let mut try_one = |path: &Path, rights: Access| {
        if let Err(error) = access(path, rights) {
            refused.push(path.to_owned());
            worst.get_or_insert(error);
        }
    };
    let write = if writes { Access::WRITE_OK } else { Access::empty() };
    try_one(folder, Access::READ_OK | Access::EXEC_OK | write);
    match files_below(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return finding(part, State::Unwell, format!("there is no folder {shown}: {makes_folder}"));
        }
        // The folder itself is among those refused.
        Err(_) => {}
        Ok(files) => {
            for (path, is_folder) in files {
                let rights = if is_folder {
                    Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK
                } else if part == "state" && !path.ends_with(Running::NAME) {
                    Access::READ_OK | Access::WRITE_OK
                } else {
                    Access::READ_OK
                };
                try_one(&path, rights);
            }
        }
    }
    let Some(error) = worst else {
        return finding(part, State::Well, format!("{who} can use {shown} and what lies in it"));
    };
    let mut names: Vec<_> = refused.iter().take(NAMED).map(|path: &PathBuf| path.display().to_string()).collect();
    if refused.len() > NAMED {
        names.push(format!("{} more", refused.len() - NAMED));
    }
    let found = format!(
        "{who} cannot use {}: {error}; if {who} is the service's user, `chown -R {who}: {shown}` and `chmod -R u+rwX {shown}`",
        names.join(", ")
    );
    finding(part, State::Unwell, found)
}

/// What lies in a folder and in its folders, and whether it is one.
fn files_below(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        found.push((entry.path(), is_folder));
        if is_folder {
            // One that cannot be listed is named itself.
            for inner in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                found.push((inner.path(), inner.file_type().is_ok_and(|kind| kind.is_dir())));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether there is room for events.
pub(in crate::app) fn disk(state: &Path, findings: &mut Vec<PartHealth>) {
    findings.push(match free_space(state) {
        Err(error) => finding("disk", State::Unwell, WithSources(&error).to_string()),
        Ok(space) => {
            let found = format!("{} of {} MiB free at {}", space.available >> 20, space.total >> 20, state.display());
            if space.is_read_only {
                finding(
                    "disk",
                    State::Unwell,
                    format!("{found}, but it is mounted read-only: look at the kernel's log, mount it anew"),
                )
            } else if space.is_out_of_files {
                finding(
                    "disk",
                    State::Unwell,
                    format!("{found}, but it can hold no further file (inodes, `df -i`): remove some"),
                )
            } else if space.available < NO_DISK {
                finding("disk", State::Unwell, format!("{found}: too little for the event store; free some"))
            } else if space.available < LEAST_DISK {
                finding("disk", State::Impaired, format!("{found}: it runs low; free some"))
            } else {
                finding("disk", State::Well, found)
            }
        }
    });
}
