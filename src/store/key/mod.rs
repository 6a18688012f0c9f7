//! Keys: 32 secret bytes, where they lie, and how they are made and erased.
//!
//! Erasing a file does not scrub flash cells: what makes an erased exam unreadable from a stolen box is that the share
//! alone is worthless without the root key, which the TPM seals in the field.

mod folder;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

pub use folder::{KeyFolder, KeyName};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// 32 secret bytes. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// Why a key cannot be read, made or erased.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not there.
    #[error("there is no key at {}: put it there again; without it, what it locks stays closed", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file can be read by others.
    #[error("{} can be read by others (mode {mode:04o}): chmod 600 it, and replace the key if it may have leaked", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content has another shape.
    #[error("{} is not a key: expected exactly 32 bytes, or 64 hexadecimal digits", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file is there already; nothing was overwritten.
    #[error("there is a key at {} already: erase it first if it is no longer wanted", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("cannot read the key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write the key {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// Erasing failed: the key may still be there.
    #[error("cannot erase the key {}", path.display())]
    Erase {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers")]
    Randomness(#[source] getrandom::Error),
}

impl Key {
    /// Wraps 32 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A new key from the operating system's generator.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0).map_err(KeyError::Randomness)?;
        Ok(key)
    }

    /// Reads 32 bytes or 64 hexadecimal digits (a newline may follow) from a file only its owner can read.
    ///
    /// # Errors
    /// When the file is missing, exposed to group or others, or of another shape.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        read(path, Custody::Owner)
    }

    /// Writes the 32 bytes to a new file of mode 0600 and waits until the disk holds it.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when there is a file already, which is left as it is; [`KeyError::Write`].
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |source: io::Error| {
            let path = path.into();
            if source.kind() == io::ErrorKind::AlreadyExists {
                KeyError::Exists { path }
            } else {
                KeyError::Write { path, source }
            }
        };
        // Written aside and linked into place: a power cut leaves a whole key or none.
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(KeyError::Randomness)?;
        let aside = path.with_extension(hex::encode(suffix));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(failed)?;
        let mut write = || {
            file.write_all(&self.0)?;
            file.sync_all()?;
            fs::hard_link(&aside, path)
        };
        let written = write().map_err(failed);
        fs::remove_file(&aside).and_then(|()| sync_folder_of(path)).map_err(failed)?;
        written
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Reads any 32-byte secret (a pepper, a signing seed) with the checks of [`Key::read`].
///
/// # Errors
/// As [`Key::read`].
pub fn read_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    Key::read(path).map(|key| Zeroizing::new(key.0))
}

/// Who keeps others from reading a file.
#[derive(Clone, Copy)]
enum Custody {
    /// Its permission bits.
    Owner,
    /// systemd: a credential lies in memory that only the service sees, and may carry group bits as an ACL mask.
    Systemd,
}

fn read(path: &Path, custody: Custody) -> Result<Key, KeyError> {
    let failed = |source: io::Error| {
        let path = path.into();
        if source.kind() == io::ErrorKind::NotFound {
            KeyError::Missing { path }
        } else {
            KeyError::Read { path, source }
        }
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    match custody {
        Custody::Owner if mode & 0o077 != 0 => return Err(KeyError::Exposed { path: path.into(), mode }),
        Custody::Owner | Custody::Systemd => {}
    }
    // 64 digits and a newline are the longest key; the room is set aside at once so that no copy is left behind.
    let mut text = Zeroizing::new(Vec::with_capacity(128));
    file.take(66).read_to_end(&mut text).map_err(failed)?;
    let mut key = Key([0; 32]);
    if text.len() == 32 {
        key.0.copy_from_slice(&text);
        return Ok(key);
    }
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    hex::decode_to_slice(digits, &mut key.0).map_err(|_| KeyError::Malformed { path: path.into() })?;
    Ok(key)
}

/// Waits until the disk holds the folder entry of `path`.
pub(in crate::store) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
