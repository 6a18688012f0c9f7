//! Whether the fleet took the box out of service: a file in the state folder, so that it holds over a restart.
//!
//! The file is there, or it is not. What is in it is for people.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
};

use super::{
    Layout,
    owner::{hand_over, sync_folder_of},
};

/// Longest text that is read, bytes.
const LONGEST: usize = 512;

/// Why the mark cannot be set, taken away or seen.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}, which says that the box is out of service", path.display())]
pub struct DrainError {
    /// What was being done.
    doing: &'static str,
    /// The file.
    path: PathBuf,
    /// The underlying error.
    source: io::Error,
}

/// The mark of a box that is out of service.
#[derive(Clone, Debug)]
pub struct DrainMark {
    path: PathBuf,
}

impl DrainMark {
    /// Where it is in the state folder `layout`.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { path: layout.root().join("drained") }
    }

    /// The text of the mark; `None`: the box is in service.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn text(&self) -> Result<Option<String>, DrainError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    /// Sets it; the disk is waited for.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set(&self, text: &str) -> Result<(), DrainError> {
        let beside = self.path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            hand_over(&file, &beside)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            sync_folder_of(&self.path)
        };
        write().map_err(|source| self.failed("write", source))
    }

    /// Takes it away, if it is there; the disk is waited for.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn clear(&self) -> Result<(), DrainError> {
        match fs::remove_file(&self.path).and_then(|()| sync_folder_of(&self.path)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", source)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> DrainError {
        DrainError { doing, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_over_a_restart_until_it_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let mark = || DrainMark::new(&Layout::new(folder.path()));
        assert_eq!(mark().text().unwrap(), None);
        mark().clear().unwrap();
        mark().set("by help-desk").unwrap();
        mark().set("by okafor").unwrap();
        assert_eq!(mark().text().unwrap().as_deref(), Some("by okafor"));
        mark().clear().unwrap();
        assert_eq!(mark().text().unwrap(), None);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mark = DrainMark::new(&Layout::new(folder.path().join("missing")));
        let error = mark.set("x").unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("missing/drained"), "{error}");
    }
}
