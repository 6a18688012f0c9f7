//! The secrets that are given to a box, and the folder of systemd credentials that they may come from.
//!
//! Never writes one.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Custody, KeyError, LARGEST, read_bytes};

/// A secret that is given to a box: a systemd credential of its name, or a file of mode 0600 in the key folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// What all keys of databases are derived from, with their shares. 32 bytes.
    Root,
    /// The fleet's secret that turns a card's identifier into a pseudonym. 32 bytes.
    Pepper,
    /// The seed of the key that signs events. 32 bytes.
    Device,
    /// The key of the box's certificate at the broker. PEM.
    Tls,
    /// The key of the console's certificate. PEM.
    Console,
    /// The key by which a site's DESFire cards prove themselves. 16 bytes.
    CardDesfire,
    /// The key by which the SAM that holds the card key knows this box. 16 bytes.
    CardSam,
}

impl Secret {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Root, Self::Pepper, Self::Device, Self::Tls, Self::Console, Self::CardDesfire, Self::CardSam];

    /// The name of the credential, and of the file in the key folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root.key",
            Self::Pepper => "pepper.key",
            Self::Device => "device.key",
            Self::Tls => "tls.key",
            Self::Console => "console.key",
            Self::CardDesfire => "card-desfire.key",
            Self::CardSam => "card-sam.key",
        }
    }
}

/// Where a secret was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Among the credentials: sealed as long as it lies on the disk, if the unit says `LoadCredentialEncrypted=`.
    Credential,
    /// In the key folder, as it is.
    Folder,
}

/// What systemd hands over (`$CREDENTIALS_DIRECTORY`, systemd.exec(5)). Redacted in `Debug`, wiped when dropped.
#[derive(Clone, Default)]
pub struct Credentials {
    folder: Option<PathBuf>,
    /// All that are there, once they were read ahead.
    held: Option<Vec<(Secret, Zeroizing<Vec<u8>>)>>,
}

impl Credentials {
    /// Those in `folder`, read when they are asked for.
    #[must_use]
    pub const fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, held: None }
    }

    /// Reads them all now: a process that drops root cannot read them afterwards.
    ///
    /// # Errors
    /// One is there and cannot be read.
    pub fn hold(mut self) -> Result<Self, KeyError> {
        let mut held = Vec::new();
        for secret in Secret::ALL {
            held.extend(self.read(secret)?.map(|bytes| (secret, bytes)));
        }
        self.held = Some(held);
        Ok(self)
    }

    /// The folder, if there is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The secret as it is, or `None` where it was not handed over.
    pub(super) fn read(&self, secret: Secret) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        if let Some(held) = &self.held {
            return Ok(held.iter().find(|(held, _)| *held == secret).map(|(_, bytes)| bytes.clone()));
        }
        let Some(path) = self.path(secret) else { return Ok(None) };
        match read_bytes(&path, Custody::Systemd, LARGEST) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(KeyError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn path(&self, secret: Secret) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(secret.name()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, redacted)", self.folder)
    }
}
