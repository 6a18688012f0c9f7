//! Which run of the box's program this is: a number in the state folder that rises with every start.
//!
//! Readers tell by it which of two things that a box said is newer, whatever its clock says. It also rises when the folder was lost, since it is
//! never below the seconds since 1970; only a box that lost its folder while its clock is behind begins below what it said before.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use super::{
    Layout,
    owner::{hand_over, sync_folder_of},
};
use crate::domain::Timestamp;

/// Longest text that is read, bytes: a number of 64 bits.
const LONGEST: u64 = 20;

/// The number of this run cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}, which says how often the box was started; check that the state folder can be written", path.display())]
pub struct RunError {
    /// What was being done.
    doing: &'static str,
    /// The file.
    path: PathBuf,
    /// The underlying error.
    source: io::Error,
}

/// The number of a run that starts at `now` by the box's clock: above that of every run before. The disk is waited for.
///
/// # Errors
/// When the file cannot be read or written.
pub fn next_run(layout: &Layout, now: Timestamp) -> Result<u64, RunError> {
    let path = layout.root().join("run");
    let failed = |doing| {
        let path = path.clone();
        move |source| RunError { doing, path, source }
    };
    let before = match File::open(&path) {
        Ok(file) => {
            let mut text = String::new();
            match file.take(LONGEST).read_to_string(&mut text) {
                Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(failed("read")(error)),
                // What a disk fault left there counts as nothing.
                Ok(_) | Err(_) => text.trim().parse::<u64>().ok(),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read")(error)),
    };
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let run = before.map_or(0, |before| before.saturating_add(1)).max(seconds);
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        hand_over(&file, &beside)?;
        writeln!(file, "{run}")?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        sync_folder_of(&path)
    };
    write().map_err(failed("write"))?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_with_every_start_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let at = |second| next_run(&layout, Timestamp::from_second(second).unwrap()).unwrap();
        assert_eq!([at(1000), at(1000), at(500), at(2000), at(-5)], [1000, 1001, 1002, 2000, 2001]);
        for damaged in [&b"\xff\xfe"[..], b"", b"many", b"99999999999999999999999999"] {
            fs::write(folder.path().join("run"), damaged).unwrap();
            assert_eq!(at(3000), 3000, "{damaged:?}");
        }
        fs::remove_file(folder.path().join("run")).unwrap();
        assert_eq!(at(4000), 4000, "a lost folder");
        let nowhere = Layout::new(folder.path().join("missing"));
        let said = next_run(&nowhere, Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert!(said.contains("cannot write") && said.contains("missing/run"), "{said}");
    }
}
