//! All keys of one box: made, read and erased by name.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Credentials, Custody, Key, KeyError, LARGEST, Secret, Source, parse, read_bytes, shaped, write_new};
use crate::{
    domain::ExamId,
    store::owner::{make_folder, sync_folder_of},
};

/// What a key of the box opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyName<'a> {
    /// The event store.
    Events,
    /// One exam's roster.
    Exam(&'a ExamId),
    /// What the box signs with, once it went over from the key that it was enrolled with; from 1.
    Signing(u32),
}

impl KeyName<'_> {
    fn file_name(self) -> String {
        match self {
            Self::Events => "events.key".into(),
            Self::Exam(exam) => format!("exam-{exam}.key"),
            Self::Signing(number) => format!("signing-{number}.key"),
        }
    }
}

/// All keys of one box.
///
/// A key is HMAC-SHA256, under the box's root key, of its name and of a random *share* that lies in the folder. Without
/// the root key (sealed to the TPM and handed over by systemd in the field) a share is worthless; without its share a
/// key is gone: erasing the share erases what the key opened. `root.check` in the folder says which root key the shares
/// belong to, so that no other one is ever used, or made, beside them.
#[derive(Clone, Debug)]
pub struct KeyFolder {
    folder: PathBuf,
    credentials: Credentials,
}

impl KeyFolder {
    /// Keys with shares in `folder`. `credentials` is systemd's `$CREDENTIALS_DIRECTORY`: each [`Secret`] is taken from
    /// there if it is there, else from `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, credentials: Option<PathBuf>) -> Self {
        Self::with(folder, Credentials::new(credentials))
    }

    /// As [`KeyFolder::new`], with credentials that may have been read before.
    #[must_use]
    pub fn with(folder: impl Into<PathBuf>, credentials: Credentials) -> Self {
        Self { folder: folder.into(), credentials }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder (mode 0700), and a root key if there is none anywhere and nothing in the folder was made with
    /// one. Says whether it made one.
    ///
    /// # Errors
    /// [`KeyError::RootMissing`] and [`KeyError::AnotherRoot`]: the folder belongs to a root key that is not at hand. When the
    /// disk or the random numbers fail.
    pub fn provision(&self) -> Result<bool, KeyError> {
        let failed = |source| KeyError::Write { path: self.folder.clone(), source };
        make_folder(&self.folder).map_err(failed)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        sync_folder_of(&self.folder).map_err(failed)?;
        let makes = self.lacks_root()?;
        if makes {
            Key::generate()?.write_new(&self.folder.join(Secret::Root.name()))?;
        }
        self.root()?;
        Ok(makes)
    }

    /// Whether [`KeyFolder::provision`] would make a root key.
    ///
    /// # Errors
    /// [`KeyError::RootMissing`] when there is none, but keys in the folder were made with one.
    pub fn lacks_root(&self) -> Result<bool, KeyError> {
        match self.root() {
            Ok(_) => Ok(false),
            Err(KeyError::Missing { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Notes in the folder that its keys belong to the root key at hand, if no root key is noted yet. Call it when nothing was made
    /// yet, or when a database has opened with a key of the folder: that proves the root key.
    ///
    /// # Errors
    /// The root key cannot be read, or the disk fails.
    pub fn bind(&self) -> Result<(), KeyError> {
        let root = self.root()?;
        match write_new(&self.check_path(), format!("{}\n", fingerprint(&root)).as_bytes()) {
            // Noted before, and `root` has compared it.
            Ok(()) | Err(KeyError::Exists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the folder says which root key its keys belong to.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.check_path().exists()
    }

    /// Whether any key was made here.
    ///
    /// # Errors
    /// The folder is there and cannot be listed.
    pub fn has_shares(&self) -> Result<bool, KeyError> {
        let failed = |source| KeyError::Read { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        };
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_string_lossy();
            if name == KeyName::Events.file_name() || name.starts_with("exam-") && name.ends_with(".key") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key of `name`.
    ///
    /// # Errors
    /// [`KeyError::Missing`] when the share is not there, [`KeyError::RootMissing`] and [`KeyError::AnotherRoot`] when the root key is
    /// not the one it was made with, and whatever [`Key::read`] refuses.
    pub fn read(&self, name: KeyName<'_>) -> Result<Key, KeyError> {
        let share = Key::read(&self.path(name))?;
        Ok(derive(&self.root()?, name, &share))
    }

    /// Makes the key of `name`.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when it was made before; when the root key is missing or another one, or the disk or the random numbers
    /// fail.
    pub fn make(&self, name: KeyName<'_>) -> Result<Key, KeyError> {
        let root = self.root()?;
        if !self.has_shares()? {
            self.bind()?;
        }
        let share = Key::generate()?;
        share.write_new(&self.path(name))?;
        Ok(derive(&root, name, &share))
    }

    /// Whether the share of `name` is held.
    #[must_use]
    pub fn holds(&self, name: KeyName<'_>) -> bool {
        self.path(name).exists()
    }

    /// Erases the share of `name` permanently: overwritten, unlinked, and the disk waited for. Erasing what is not there is
    /// no error. Returns whether there was one.
    ///
    /// # Errors
    /// [`KeyError::Erase`].
    pub fn erase(&self, name: KeyName<'_>) -> Result<bool, KeyError> {
        erase_file(&self.path(name))
    }

    /// Where the share of `name` lies.
    #[must_use]
    pub fn path(&self, name: KeyName<'_>) -> PathBuf {
        self.folder.join(name.file_name())
    }

    /// A secret of 32 bytes.
    ///
    /// # Errors
    /// It is neither among the credentials nor in the folder, can be read by others, or has another shape.
    pub fn secret(&self, secret: Secret) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let (bytes, path) = self.bytes(secret)?;
        parse(&bytes, &path).map(|key| Zeroizing::new(key.0))
    }

    /// A secret of 16 bytes: the key of cards.
    ///
    /// # Errors
    /// It is neither among the credentials nor in the folder, can be read by others, or has another shape.
    pub fn card_key(&self, secret: Secret) -> Result<Zeroizing<[u8; 16]>, KeyError> {
        let (bytes, path) = self.bytes(secret)?;
        let mut key = Zeroizing::new([0; 16]);
        shaped(&bytes, &mut *key).ok_or(KeyError::MalformedCardKey { path })?;
        Ok(key)
    }

    /// A secret as it is, such as PEM.
    ///
    /// # Errors
    /// It is neither among the credentials nor in the folder, can be read by others, or is over 64 KiB.
    pub fn text(&self, secret: Secret) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.bytes(secret).map(|(bytes, _)| bytes)
    }

    /// Where a secret is taken from; `None` when it is nowhere.
    ///
    /// # Errors
    /// A credential is there and cannot be read.
    pub fn source(&self, secret: Secret) -> Result<Option<Source>, KeyError> {
        if self.credentials.read(secret)?.is_some() {
            return Ok(Some(Source::Credential));
        }
        Ok(self.folder.join(secret.name()).exists().then_some(Source::Folder))
    }

    /// What locks a file of this box for `purpose`: 64 hexadecimal digits, derived from the root key.
    ///
    /// # Errors
    /// The root key is not at hand, or another one.
    pub fn passphrase(&self, purpose: &str) -> Result<Zeroizing<String>, KeyError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.root()?.0).expect("HMAC takes keys of any length");
        mac.update(b"examgate/store/passphrase\0");
        mac.update(purpose.as_bytes());
        Ok(Zeroizing::new(hex::encode(mac.finalize().into_bytes())))
    }

    fn bytes(&self, secret: Secret) -> Result<(Zeroizing<Vec<u8>>, PathBuf), KeyError> {
        if let (Some(bytes), Some(path)) = (self.credentials.read(secret)?, self.credentials.path(secret)) {
            return Ok((bytes, path));
        }
        let path = self.folder.join(secret.name());
        Ok((read_bytes(&path, Custody::Owner, LARGEST)?, path))
    }

    /// The root key, if it is the one that the folder's keys were made with.
    fn root(&self) -> Result<Key, KeyError> {
        let noted = match fs::read_to_string(self.check_path()) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(KeyError::Read { path: self.check_path(), source }),
        };
        let root = match self.secret(Secret::Root) {
            Ok(root) => Key(*root),
            Err(KeyError::Missing { .. }) if noted.is_some() || self.has_shares()? => {
                return Err(KeyError::RootMissing {
                    folder: self.folder.clone(),
                    credentials: self.credentials.folder().map(Path::to_owned),
                    noted: noted.map_or_else(String::new, |noted| format!(" {}", short(&noted))),
                });
            }
            Err(error) => return Err(error),
        };
        match noted {
            Some(noted) if noted != fingerprint(&root) => Err(KeyError::AnotherRoot {
                path: self.bytes(Secret::Root)?.1,
                folder: self.folder.clone(),
                found: short(&fingerprint(&root)).to_owned(),
                wanted: short(&noted).to_owned(),
            }),
            Some(_) | None => Ok(root),
        }
    }

    fn check_path(&self) -> PathBuf {
        self.folder.join("root.check")
    }
}

/// Overwrites a file of a key, unlinks it and waits for the disk. Says whether there was one.
pub(super) fn erase_file(path: &Path) -> Result<bool, KeyError> {
    let erase = || {
        let mut file = match OpenOptions::new().write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // As long as the file is, or longer.
        let length = file.metadata()?.len().clamp(128, LARGEST);
        file.write_all(&vec![0; usize::try_from(length).unwrap_or(128)])?;
        file.sync_all()?;
        fs::remove_file(path)?;
        sync_folder_of(path)?;
        Ok(true)
    };
    erase().map_err(|source| KeyError::Erase { path: path.into(), source })
}

fn derive(root: &Key, name: KeyName<'_>, share: &Key) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(&root.0).expect("HMAC takes keys of any length");
    mac.update(b"examgate/store/key\0");
    mac.update(&share.0);
    mac.update(name.file_name().as_bytes());
    Key(mac.finalize().into_bytes().into())
}

/// Tells root keys apart and says nothing of them: 128 bits of HMAC-SHA256 of a fixed text, hexadecimal.
fn fingerprint(root: &Key) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&root.0).expect("HMAC takes keys of any length");
    mac.update(b"examgate/store/root-check\0");
    hex::encode(&mac.finalize().into_bytes()[..16])
}

/// As much of a fingerprint as a person compares.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..8).unwrap_or(fingerprint)
}
