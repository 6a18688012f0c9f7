//! What the fleet sends before it is applied: sealed chunks by their digest, the manifest in force, the list of lost cards, and the trust
//! document.
//!
//! Chunks stay as they arrived, sealed to this box: without its `prekey.age` nothing in the folder can be opened. A file that is there is
//! whole, since it got its name last; the reader checks the digest anyway. It never opens or verifies what it keeps.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::owner::{make_folder, sync_folder_of};

/// No file here is longer, bytes.
const LARGEST: u64 = 64 * 1024;

/// Why what came cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The folder or a file in it cannot be written.
    #[error("cannot write {}: see whether the disk is full or read-only", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The folder or a file in it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
}

/// The folder of what came.
#[derive(Clone, Debug)]
pub struct Incoming {
    folder: PathBuf,
}

impl Incoming {
    /// Opens the folder, made if there is none. What was left half written is removed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(folder: PathBuf) -> Result<Self, IncomingError> {
        let failed = |source| IncomingError::Write { path: folder.clone(), source };
        make_folder(&folder).map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(Self { folder })
    }

    /// The folder as it is: nothing is made or removed.
    #[must_use]
    pub const fn look(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The names of all chunks.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn chunks(&self) -> Result<Vec<String>, IncomingError> {
        let failed = |source| IncomingError::Read { path: self.folder.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(".chunk")).map(str::to_owned));
        }
        Ok(names)
    }

    /// Keeps a chunk; the disk is waited for.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), IncomingError> {
        self.write(&self.chunk_path(name), bytes)
    }

    /// A chunk; `None` when it is not there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn chunk(&self, name: &str) -> Result<Option<Vec<u8>>, IncomingError> {
        read(&self.chunk_path(name))
    }

    /// Removes a chunk, if it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, name: &str) -> Result<(), IncomingError> {
        let path = self.chunk_path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(IncomingError::Write { path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The manifest in force; `None` when none ever was.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn manifest(&self) -> Result<Option<Vec<u8>>, IncomingError> {
        read(&self.manifest_path())
    }

    /// Puts a manifest in force; the disk is waited for.
    ///
    /// # Errors
    /// When the disk fails; the one before stays.
    pub fn set_manifest(&self, bytes: &[u8]) -> Result<(), IncomingError> {
        self.write(&self.manifest_path(), bytes)
    }

    /// The list of lost cards in force; `None` when none ever was.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn lost_cards(&self) -> Result<Option<Vec<u8>>, IncomingError> {
        read(&self.lost_cards_path())
    }

    /// Puts a list of lost cards in force; the disk is waited for.
    ///
    /// # Errors
    /// When the disk fails; the one before stays.
    pub fn set_lost_cards(&self, bytes: &[u8]) -> Result<(), IncomingError> {
        self.write(&self.lost_cards_path(), bytes)
    }

    /// The newest trust document that came; `None` when none ever did.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn trust(&self) -> Result<Option<Vec<u8>>, IncomingError> {
        read(&self.trust_path())
    }

    /// Keeps a trust document in place of the one before; the disk is waited for.
    ///
    /// # Errors
    /// When the disk fails; the one before stays.
    pub fn set_trust(&self, bytes: &[u8]) -> Result<(), IncomingError> {
        self.write(&self.trust_path(), bytes)
    }

    fn chunk_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.chunk"))
    }

    fn manifest_path(&self) -> PathBuf {
        self.folder.join("desired.cose")
    }

    fn trust_path(&self) -> PathBuf {
        self.folder.join("trust.cose")
    }

    fn lost_cards_path(&self) -> PathBuf {
        self.folder.join("lost-cards.cose")
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), IncomingError> {
        let beside = path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            sync_folder_of(path)
        };
        write().map_err(|source| IncomingError::Write { path: path.into(), source })
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IncomingError> {
    let failed = |source| IncomingError::Read { path: path.into(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
        Ok(found) if found.len() > LARGEST => return Err(failed(io::ErrorKind::FileTooLarge.into())),
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_outlives_the_program_and_what_is_half_written_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("incoming");
        let incoming = Incoming::open(at.clone()).unwrap();
        assert_eq!((incoming.manifest().unwrap(), incoming.chunks().unwrap()), (None, vec![]));
        incoming.keep("ab", b"chunk").unwrap();
        incoming.set_manifest(b"one").unwrap();
        incoming.set_manifest(b"two").unwrap();
        fs::write(at.join("cd.new"), b"half").unwrap();
        let again = Incoming::open(at.clone()).unwrap();
        assert_eq!(again.manifest().unwrap(), Some(b"two".to_vec()));
        assert_eq!(
            (again.chunks().unwrap(), again.chunk("ab").unwrap()),
            (vec!["ab".to_owned()], Some(b"chunk".to_vec()))
        );
        again.remove("ab").unwrap();
        again.remove("ab").unwrap();
        assert_eq!(again.chunk("ab").unwrap(), None);
        assert!(!at.join("cd.new").exists());
        fs::write(at.join("ef.chunk"), vec![0; LARGEST as usize + 1]).unwrap();
        assert!(again.chunk("ef").is_err(), "nothing long is read into memory");
    }
}
