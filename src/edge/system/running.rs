//! The lock of a state folder: held by a running box, and released by the kernel when its process ends.
//!
//! It prevents a second box on the same records, and tells `doctor` that the box is running.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// The state folder cannot be claimed.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell whether a box runs on {}: its state folder must be readable and writable", path.display())]
pub struct RunningError {
    path: PathBuf,
    source: io::Error,
}

/// The claim to a state folder. Dropped, it is given up.
#[derive(Debug)]
pub struct Running {
    _locked: File,
}

/// That nobody claims a state folder. Held, nobody can, if a box ever ran on it.
#[derive(Debug)]
pub struct Free {
    _claim: Option<Running>,
}

impl Running {
    /// The lock's file in the state folder. Its content means nothing, and it needs only to be read.
    pub const NAME: &str = "running";

    /// Claims `state`; `None` when somebody else has.
    ///
    /// # Errors
    /// When the lock's file cannot be opened or made.
    pub fn claim(state: &Path) -> Result<Option<Self>, RunningError> {
        let path = state.join(Self::NAME);
        let failed = |source| RunningError { path: state.into(), source };
        // A lock needs no right to write, so a file that another user made does not shut us out.
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(&path)
            }
            opened => opened,
        };
        let file = file.map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _locked: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// That nobody claims `state`, asked without making a file; `None` when somebody does.
    ///
    /// # Errors
    /// When the lock's file is there and cannot be read.
    pub fn free(state: &Path) -> Result<Option<Free>, RunningError> {
        // Where no box ever ran there is no file, and nobody runs.
        match state.join(Self::NAME).try_exists() {
            Ok(false) => Ok(Some(Free { _claim: None })),
            Ok(true) => Ok(Self::claim(state)?.map(|claim| Free { _claim: Some(claim) })),
            Err(source) => Err(RunningError { path: state.into(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_claimed_once_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(Running::free(folder.path()).expect("readable").is_some());
        assert_eq!(folder.path().read_dir().expect("readable").count(), 0, "asking makes no file");
        let first = Running::claim(folder.path()).expect("writable").expect("free");
        assert!(Running::claim(folder.path()).expect("readable").is_none());
        assert!(Running::free(folder.path()).expect("readable").is_none());
        drop(first);
        let free = Running::free(folder.path()).expect("readable").expect("free");
        assert!(Running::claim(folder.path()).expect("readable").is_none(), "nobody starts meanwhile");
        drop(free);
        assert!(Running::claim(folder.path()).expect("readable").is_some());
        let gone = Running::claim(&folder.path().join("missing")).expect_err("no folder");
        assert!(gone.to_string().contains("missing"), "{gone}");
    }
}
