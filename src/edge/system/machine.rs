//! Facts about the machine: free disk space, boot id.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// The machine does not say.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The file system cannot be asked.
    #[error("cannot ask for the free space at {path}; check that the folder exists")]
    FreeSpace {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// A file of the kernel cannot be read.
    #[error("cannot read {path}; check that the unit may see /proc")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The boot id is none.
    #[error("{path} holds no boot id")]
    BootId {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: uuid::Error,
    },
}

/// One boot of this machine: new at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub Uuid);

impl BootId {
    /// This boot's (random(4)).
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn read() -> Result<Self, MachineError> {
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        let text = read(path)?;
        Uuid::parse_str(text.trim()).map(Self).map_err(|source| MachineError::BootId { path: path.to_owned(), source })
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Space of a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// What may still be written without being root.
    pub available: u64,
    /// In all.
    pub total: u64,
    /// Whether the file system is mounted read-only.
    pub is_read_only: bool,
    /// Whether no further file can be made, however much space there is: some file systems have a limit of their own.
    pub is_out_of_files: bool,
}

/// The space of the file system that holds `path`.
///
/// # Errors
/// There is no such path.
pub fn free_space(path: &Path) -> Result<FreeSpace, MachineError> {
    let found = rustix::fs::statvfs(path)
        .map_err(|why| MachineError::FreeSpace { path: path.to_owned(), source: why.into() })?;
    Ok(FreeSpace {
        available: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
        is_read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        is_out_of_files: found.f_files > 0 && found.f_favail == 0,
    })
}

fn read(path: &Path) -> Result<String, MachineError> {
    fs::read_to_string(path).map_err(|source| MachineError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_boot_has_one_id() {
        let first = BootId::read().unwrap();
        assert_eq!(BootId::read().unwrap(), first);
        assert!(!first.0.is_nil());
    }

    #[test]
    fn free_space_is_asked_of_the_right_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let space = free_space(folder.path()).unwrap();
        assert!(space.total > 0 && space.available <= space.total, "{space:?}");
        let said = free_space(Path::new("/nonexistent/x")).unwrap_err().to_string();
        assert!(said.contains("/nonexistent/x"), "{said}");
    }
}
