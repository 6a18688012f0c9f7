//! Keys: 32 secret bytes, where they lie, and how they are made and erased.
//!
//! It never knows what a key opens. Erasing a file does not scrub flash cells: what makes an erased exam unreadable from
//! a stolen box is that the share alone is worthless without the root key, which the TPM seals in the field.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::domain::ExamId;

/// 32 secret bytes. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// Why a key cannot be read, made or erased.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not there.
    #[error("there is no key at {}: provision the box, or erase the database that was locked with it", path.display())]
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
        /// Why.
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write the key {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Erasing failed: the key may still be there.
    #[error("cannot erase the key {}", path.display())]
    Erase {
        /// The file.
        path: PathBuf,
        /// Why.
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
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// What a key of the box opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyName<'a> {
    /// The event store.
    Events,
    /// One exam's roster.
    Exam(&'a ExamId),
}

impl KeyName<'_> {
    fn file_name(self) -> String {
        match self {
            Self::Events => "events.key".into(),
            Self::Exam(exam) => format!("exam-{exam}.key"),
        }
    }
}

/// All keys of one box.
///
/// A key is HMAC-SHA256, under the box's root key, of its name and of a random *share* that lies in the folder. Without
/// the root key (sealed to the TPM and handed over by systemd in the field) a share is worthless; without its share a
/// key is gone: erasing the share erases what the key opened.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    folder: PathBuf,
    credentials: Option<PathBuf>,
}

impl KeyFolder {
    /// The root key's file: a systemd credential of this name, else in the folder itself.
    pub const ROOT: &str = "root.key";

    /// Keys with shares in `folder`. `credentials` is systemd's `$CREDENTIALS_DIRECTORY` if it holds
    /// [`KeyFolder::ROOT`]; without it (development) the root key lies in `folder` too, as a file of mode 0600.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, credentials: Option<PathBuf>) -> Self {
        Self { folder: folder.into(), credentials }
    }

    /// Makes the folder (mode 0700) and, where no credential is used, a root key unless there is one.
    ///
    /// # Errors
    /// When the disk or the random numbers fail.
    pub fn provision(&self) -> Result<(), KeyError> {
        let failed = |source| KeyError::Write { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        sync_folder_of(&self.folder).map_err(failed)?;
        let root = self.folder.join(Self::ROOT);
        if self.credentials.is_some() || root.exists() {
            return Ok(());
        }
        Key::generate()?.write_new(&root)
    }

    /// The key of `name`.
    ///
    /// # Errors
    /// [`KeyError::Missing`] when the root key or the share is not there, and whatever [`Key::read`] refuses.
    pub fn read(&self, name: KeyName<'_>) -> Result<Key, KeyError> {
        let share = Key::read(&self.path(name))?;
        Ok(derive(&self.root()?, name, &share))
    }

    /// Makes the key of `name`.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when it was made before; when the root key is missing, or the disk or the random numbers fail.
    pub fn make(&self, name: KeyName<'_>) -> Result<Key, KeyError> {
        let root = self.root()?;
        let share = Key::generate()?;
        share.write_new(&self.path(name))?;
        Ok(derive(&root, name, &share))
    }

    /// Whether the share of `name` is held.
    #[must_use]
    pub fn holds(&self, name: KeyName<'_>) -> bool {
        self.path(name).exists()
    }

    /// Erases the share of `name` for ever: overwritten, unlinked, and the disk waited for. Erasing what is not there is
    /// no error. Returns whether there was one.
    ///
    /// # Errors
    /// [`KeyError::Erase`].
    pub fn erase(&self, name: KeyName<'_>) -> Result<bool, KeyError> {
        let path = self.path(name);
        let erase = || {
            let mut file = match OpenOptions::new().write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            file.write_all(&[0; 32])?;
            file.sync_all()?;
            fs::remove_file(&path)?;
            sync_folder_of(&path)?;
            Ok(true)
        };
        erase().map_err(|source| KeyError::Erase { path: path.clone(), source })
    }

    /// Where the share of `name` lies.
    #[must_use]
    pub fn path(&self, name: KeyName<'_>) -> PathBuf {
        self.folder.join(name.file_name())
    }

    fn root(&self) -> Result<Key, KeyError> {
        match &self.credentials {
            Some(credentials) => read(&credentials.join(Self::ROOT), Custody::Systemd),
            None => read(&self.folder.join(Self::ROOT), Custody::Owner),
        }
    }
}

fn derive(root: &Key, name: KeyName<'_>, share: &Key) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(&root.0).expect("HMAC takes keys of any length");
    mac.update(b"examgate/store/key\0");
    mac.update(&share.0);
    mac.update(name.file_name().as_bytes());
    Key(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, content: &[u8], mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn reads_bytes_and_digits_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        let digits = "ab".repeat(32);
        let (line, lines) = (format!("{digits}\n"), format!("{digits}\n\n"));
        let cases: [(&[u8], bool); 9] = [
            (&[0xab; 32], true),
            (digits.as_bytes(), true),
            (line.as_bytes(), true),
            (b"", false),
            (&[0xab; 31], false),
            (&[0xab; 33], false),
            (&[b'x'; 64], false),
            (lines.as_bytes(), false),
            (&[b'a'; 10_000], false),
        ];
        for (content, good) in cases {
            put(&path, content, 0o600);
            match Key::read(&path) {
                Ok(key) => assert!(good && key.expose() == &[0xab; 32]),
                Err(error) => assert!(!good && matches!(error, KeyError::Malformed { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn refuses_what_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            put(&path, &[1; 32], mode);
            match read_secret(&path) {
                Ok(_) => assert!(good, "{mode:o}"),
                Err(error) => assert!(!good && matches!(error, KeyError::Exposed { .. }), "{mode:o}: {error}"),
            }
        }
        assert!(matches!(Key::read(&folder.path().join("none")), Err(KeyError::Missing { .. })));
    }

    #[test]
    fn never_overwrites_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        let key = Key::generate().unwrap();
        key.write_new(&path).unwrap();
        assert!(matches!(Key::generate().unwrap().write_new(&path), Err(KeyError::Exists { .. })));
        assert_eq!(Key::read(&path).unwrap().expose(), key.expose());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the key");
    }

    #[test]
    fn two_keys_are_never_the_same_and_never_shown() {
        let (one, two) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(format!("{one:?}"), "Key(redacted)");
    }

    #[test]
    fn a_share_is_worthless_without_its_root() {
        let box_ = tempfile::tempdir().unwrap();
        let folder = box_.path().join("keys");
        let exam = ExamId::new("MATH-1").unwrap();
        let keys = KeyFolder::new(&folder, None);
        keys.provision().unwrap();
        keys.provision().unwrap();
        let made = keys.make(KeyName::Exam(&exam)).unwrap();
        assert_eq!(keys.read(KeyName::Exam(&exam)).unwrap().expose(), made.expose());
        assert_ne!(Key::read(&keys.path(KeyName::Exam(&exam))).unwrap().expose(), made.expose());
        assert_ne!(keys.make(KeyName::Events).unwrap().expose(), made.expose());

        // The root key as systemd hands it over: with the group bits of an ACL mask.
        let credentials = box_.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        put(&credentials.join(KeyFolder::ROOT), &fs::read(folder.join(KeyFolder::ROOT)).unwrap(), 0o440);
        let sealed = KeyFolder::new(&folder, Some(credentials));
        fs::remove_file(folder.join(KeyFolder::ROOT)).unwrap();
        assert_eq!(sealed.read(KeyName::Exam(&exam)).unwrap().expose(), made.expose());
        assert!(matches!(keys.read(KeyName::Exam(&exam)), Err(KeyError::Missing { .. })));
    }

    #[test]
    fn an_erased_key_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let exam = ExamId::new("MATH-1").unwrap();
        let keys = KeyFolder::new(folder.path(), None);
        keys.provision().unwrap();
        let name = KeyName::Exam(&exam);
        assert!(!keys.holds(name) && !keys.erase(name).unwrap());
        let first = keys.make(name).unwrap();
        assert!(keys.holds(name) && keys.erase(name).unwrap() && !keys.holds(name));
        assert!(matches!(keys.read(name), Err(KeyError::Missing { .. })));
        assert_ne!(keys.make(name).unwrap().expose(), first.expose());
    }
}
