//! All keys of one box: made, read and erased by name.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Custody, Key, KeyError, read, sync_folder_of};
use crate::domain::ExamId;

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
