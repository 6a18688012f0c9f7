//! Secrets handed in by systemd (`LoadCredentialEncrypted=`, TPM-sealed in the field) or, in development, a folder.
//!
//! Never knows what a secret is for, and never shows one.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// systemd hands in at most this much (systemd.exec(5), credentials).
const LARGEST: u64 = 1024 * 1024;

/// A credential cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// There is no folder to look in.
    #[error(
        "no credentials are handed in; run as the systemd unit, or name a folder of 0600 files in [credentials] folder"
    )]
    NoFolder,
    /// The name leads elsewhere.
    #[error("{0:?} is no name of a credential: it is one plain file name")]
    Name(String),
    /// It cannot be read.
    #[error(
        "cannot read the credential {path}; hand it in with LoadCredentialEncrypted= in the unit, or put the file there"
    )]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the credential {path} may be read by others (mode {mode:04o}); chmod 600 it and replace the secret")]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no credential.
    #[error("the credential {path} is over 1 MiB; see whether the right file was handed in")]
    TooLarge {
        /// Where.
        path: PathBuf,
    },
}

/// Where credentials are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    folder: PathBuf,
    /// systemd's folder is private to the unit and readable by an ACL, which shows in the group's bits.
    check_mode: bool,
}

impl Credentials {
    /// The folder that systemd hands in (`handed_in`, the value of `$CREDENTIALS_DIRECTORY`), or else that of `development`.
    ///
    /// # Errors
    /// There is neither.
    pub fn locate(handed_in: Option<PathBuf>, development: Option<PathBuf>) -> Result<Self, CredentialError> {
        let systemd = handed_in.map(|folder| Self { folder, check_mode: false });
        systemd.or_else(|| development.map(|folder| Self { folder, check_mode: true })).ok_or(CredentialError::NoFolder)
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes of the credential `name`, at most 1 MiB, as they are: no line end is taken off.
    ///
    /// # Errors
    /// It is missing, unreadable, too large, or may be read by others.
    pub fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(CredentialError::Name(name.to_owned()));
        }
        let path = self.folder.join(name);
        let failed = |source| CredentialError::Read { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let mode = found.permissions().mode() & 0o777;
        if self.check_mode && mode & 0o077 != 0 {
            return Err(CredentialError::Exposed { path, mode });
        }
        if found.len() > LARGEST {
            return Err(CredentialError::TooLarge { path });
        }
        // Enough room at once: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST.min(found.len()) as usize + 1));
        file.take(found.len()).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Whether the credential `name` is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        fs::metadata(self.folder.join(name)).is_ok_and(|found| found.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, bytes: &[u8], mode: u32) {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn systemd_comes_before_development() {
        let (a, b) = (PathBuf::from("/a"), PathBuf::from("/b"));
        let cases = [
            (Some(a.clone()), Some(b.clone()), Some("/a")),
            (Some(a), None, Some("/a")),
            (None, Some(b), Some("/b")),
            (None, None, None),
        ];
        for (handed_in, development, wanted) in cases {
            let found = Credentials::locate(handed_in, development).ok();
            assert_eq!(found.as_ref().map(Credentials::folder), wanted.map(Path::new));
        }
    }

    #[test]
    fn reads_what_is_private_and_refuses_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "key", b"secret\n", 0o600);
        write(folder.path(), "open", b"secret", 0o640);
        write(folder.path(), "huge", &vec![0; LARGEST as usize + 1], 0o600);
        let development = Credentials::locate(None, Some(folder.path().to_owned())).unwrap();
        assert_eq!(**development.read("key").unwrap(), *b"secret\n");
        assert!(development.has("key") && !development.has("none"));
        let cases = [
            ("none", "none"),
            ("open", "0640"),
            ("huge", "1 MiB"),
            ("../key", "plain file name"),
            ("", "plain file name"),
            (".", "plain file name"),
        ];
        for (name, says) in cases {
            let said = development.read(name).unwrap_err().to_string();
            assert!(said.contains(says), "{name}: {said}");
        }
        let systemd = Credentials::locate(Some(folder.path().to_owned()), None).unwrap();
        assert_eq!(**systemd.read("open").unwrap(), *b"secret", "an ACL shows as the group's bits");
    }
}
