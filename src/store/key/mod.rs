//! Keys: 32 secret bytes, where they lie, and how they are made and erased.
//!
//! Erasing a file does not scrub flash cells: what makes an erased exam unreadable from a stolen box is that the share
//! alone is worthless without the root key, which the TPM seals in the field.

mod folder;
mod prekeys;
mod renewed;
mod secret;
mod signing;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

pub use folder::{KeyFolder, KeyName};
pub use prekeys::Prekey;
pub use renewed::Renewed;
pub use secret::{Credentials, Secret, Source};
pub use signing::HandOverNote;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::owner::{hand_over, sync_folder_of};

/// No key is longer, bytes: the largest in use, RSA of 16,384 bits as PEM, takes 13 KiB.
const LARGEST: u64 = 64 * 1024;

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
    /// Keys were made with a root key that is not at hand.
    #[error(
        "the root key{noted} that the keys in {} were made with is not at hand: there is no root.key in that folder, and {}. If it is a \
         credential of examgate.service, run the command as `examgate-with-keys COMMAND`, or hand its folder over with --credentials; \
         if it is lost, so is what the keys open: move the shares (exam-*.key, events.key) and root.check aside and import again",
        folder.display(),
        credentials.as_ref().map_or("no credentials were handed over".into(), |at| format!("none among the credentials in {}", at.display()))
    )]
    RootMissing {
        /// The folder of keys.
        folder: PathBuf,
        /// The folder of credentials, if one was handed over.
        credentials: Option<PathBuf>,
        /// A space and the fingerprint of the root key that is wanted, where it is known.
        noted: String,
    },
    /// Keys were made with another root key than the one at hand.
    #[error(
        "{} is not the root key that the keys in {} were made with (fingerprint {found}, wanted is {wanted}): use that one (as a credential \
         of examgate.service: `examgate-with-keys COMMAND`), or move the shares (exam-*.key, events.key) and root.check aside and import again",
        path.display(), folder.display()
    )]
    AnotherRoot {
        /// Where the root key at hand lies.
        path: PathBuf,
        /// The folder of keys.
        folder: PathBuf,
        /// The start of its fingerprint.
        found: String,
        /// The start of the fingerprint of the one that is wanted.
        wanted: String,
    },
    /// The file is larger than any key.
    #[error("{} is over 64 KiB: see whether it is the right file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The content has another shape.
    #[error("{} is not a key: expected exactly 32 bytes, or 64 hexadecimal digits", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The content of a card key has another shape.
    #[error("{} is not a card key: expected exactly 16 bytes, or 32 hexadecimal digits", path.display())]
    MalformedCardKey {
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
        parse(&read_bytes(path, Custody::Owner, LARGEST)?, path)
    }

    /// As [`Key::read`]; a file in the folder of `credentials` is guarded by systemd, whatever its group bits are.
    ///
    /// # Errors
    /// As [`Key::read`].
    pub fn read_given(path: &Path, credentials: &Credentials) -> Result<Self, KeyError> {
        let is_given = credentials.folder().is_some_and(|folder| path.parent() == Some(folder));
        let custody = if is_given { Custody::Systemd } else { Custody::Owner };
        parse(&read_bytes(path, custody, LARGEST)?, path)
    }

    /// Writes the 32 bytes to a new file of mode 0600 and waits until the disk holds it.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when there is a file already, which is left as it is; [`KeyError::Write`].
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        write_new(path, &self.0)
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

/// Writes any new secret file (a key as PEM, an age identity), as [`Key::write_new`] does.
///
/// # Errors
/// As [`Key::write_new`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    write_new(path, bytes)
}

/// Writes a new file of mode 0600, given to the owner of its folder where root makes it, and waits until the disk holds it.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let failed = |source: io::Error| {
        let path = path.into();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyError::Exists { path }
        } else {
            KeyError::Write { path, source }
        }
    };
    // Written aside and linked into place: a power cut leaves a whole file or none.
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(KeyError::Randomness)?;
    let aside = path.with_extension(hex::encode(suffix));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(failed)?;
    let mut write = || {
        hand_over(&file, &aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&aside, path)
    };
    let written = write().map_err(failed);
    fs::remove_file(&aside).and_then(|()| sync_folder_of(path)).map_err(failed)?;
    written
}

/// Who keeps others from reading a file.
#[derive(Clone, Copy)]
enum Custody {
    /// Its permission bits.
    Owner,
    /// systemd: a credential lies in memory that only the service sees, and may carry group bits as an ACL mask.
    Systemd,
}

/// The bytes of a secret file as they are, at most `largest`.
fn read_bytes(path: &Path, custody: Custody, largest: u64) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |source: io::Error| {
        let path = path.into();
        if source.kind() == io::ErrorKind::NotFound {
            KeyError::Missing { path }
        } else {
            KeyError::Read { path, source }
        }
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mode = found.permissions().mode() & 0o7777;
    match custody {
        Custody::Owner if mode & 0o077 != 0 => return Err(KeyError::Exposed { path: path.into(), mode }),
        Custody::Owner | Custody::Systemd => {}
    }
    if found.len() > largest {
        return Err(KeyError::TooLarge { path: path.into() });
    }
    // Enough room at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    file.take(found.len()).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// 32 bytes, or 64 hexadecimal digits that a newline may follow.
fn parse(text: &[u8], path: &Path) -> Result<Key, KeyError> {
    let mut key = Key([0; 32]);
    shaped(text, &mut key.0).ok_or_else(|| KeyError::Malformed { path: path.into() })?;
    Ok(key)
}

/// As many bytes as `key` has, or twice as many hexadecimal digits that a newline may follow.
fn shaped(text: &[u8], key: &mut [u8]) -> Option<()> {
    if text.len() == key.len() {
        key.copy_from_slice(text);
        return Some(());
    }
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    hex::decode_to_slice(digits, key).ok()
}

#[cfg(test)]
mod tests;
