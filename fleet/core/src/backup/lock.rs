//! The encryption of a backup: an age file, to recipients or with a passphrase, as `age -d` opens it.
//!
//! age authenticates every 64 KiB and the end of the file: a changed or shortened one does not open to its end.

use std::{
    io::{self, BufRead, Read, Write},
    iter,
};

use age::{
    DecryptError, Decryptor, Encryptor, scrypt,
    secrecy::SecretString,
    stream::{StreamReader, StreamWriter},
    x25519,
};
use anyhow::{Context as _, Result};
use examgate::exit::Refusal;
use zeroize::Zeroizing;

use crate::root::{MOST_WORK, SHORTEST, WORK};

/// What a backup is encrypted with.
pub enum Lock {
    /// Whoever has the passphrase opens it.
    Passphrase(Zeroizing<String>),
    /// Whoever has the identity of one of these recipients (`age1…`) opens it.
    Recipients(Vec<x25519::Recipient>),
}

/// What opens a backup.
pub enum Opener {
    /// The passphrase.
    Passphrase(Zeroizing<String>),
    /// Identities (`AGE-SECRET-KEY-1…`), one of which fits.
    Identities(Vec<x25519::Identity>),
}

impl Lock {
    /// With a passphrase of 12 characters or more.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn with_passphrase(passphrase: Zeroizing<String>) -> Result<Self> {
        if passphrase.chars().count() < SHORTEST {
            return Err(Refusal::Usage(format!(
                "a passphrase of a backup has at least {SHORTEST} characters: take six random words"
            ))
            .into());
        }
        Ok(Self::Passphrase(passphrase))
    }

    /// To recipients, one `age1…` each.
    ///
    /// # Errors
    /// When a text is none.
    pub fn to_recipients(texts: &[String]) -> Result<Self> {
        let parse = |text: &String| {
            let why = || {
                Refusal::Usage(format!(
                    "{text:?} is no age recipient: it begins with age1 (`age-keygen -y FILE` prints it)"
                ))
            };
            text.trim().parse::<x25519::Recipient>().map_err(|_| why())
        };
        Ok(Self::Recipients(texts.iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// Encrypts what is written into `out`. With it goes what opens the file once more, to check it: never kept.
    pub(super) fn lock<W: Write>(&self, out: W) -> Result<(StreamWriter<W>, Opener)> {
        let (encryptor, opener) = match self {
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(SecretString::from((**passphrase).clone()));
                recipient.set_work_factor(WORK);
                let only = iter::once(&recipient as &dyn age::Recipient);
                (Encryptor::with_recipients(only), Opener::Passphrase(passphrase.clone()))
            }
            Self::Recipients(recipients) => {
                // Only the recipients' owners could open the file to check it: a key of this moment can, too.
                let own = x25519::Identity::generate();
                let checker = own.to_public();
                let all = recipients.iter().chain([&checker]).map(|recipient| recipient as &dyn age::Recipient);
                (Encryptor::with_recipients(all), Opener::Identities(vec![own]))
            }
        };
        let encryptor = encryptor.context("the backup cannot be encrypted")?;
        Ok((encryptor.wrap_output(out).context("the backup cannot be written")?, opener))
    }
}

impl Opener {
    /// The identities in a file as age-keygen writes it: comments, then one identity per line.
    ///
    /// # Errors
    /// When there is none, or a line is none.
    pub fn from_identities(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let none =
            || Refusal::Usage("the file holds no age identity, AGE-SECRET-KEY-1…, as age-keygen makes it".into());
        let identities: Vec<_> =
            lines.map(|line| line.parse::<x25519::Identity>().map_err(|_| none())).collect::<Result<_, _>>()?;
        if identities.is_empty() {
            return Err(none().into());
        }
        Ok(Self::Identities(identities))
    }

    /// Decrypts `input`. A file that was changed fails while it is read.
    ///
    /// # Errors
    /// When this does not open it, or it is no age file.
    pub(super) fn open<R: BufRead>(&self, input: R) -> Result<StreamReader<R>> {
        let opened = Decryptor::new_buffered(input).and_then(|closed| match self {
            Self::Passphrase(passphrase) => {
                let mut identity = scrypt::Identity::new(SecretString::from((**passphrase).clone()));
                identity.set_max_work_factor(MOST_WORK);
                closed.decrypt(iter::once(&identity as &dyn age::Identity))
            }
            Self::Identities(identities) => {
                closed.decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
            }
        });
        opened.map_err(|error| {
            let is_locked = matches!(
                error,
                DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys
            );
            let words = match is_locked {
                true => Refusal::Usage(
                    "the backup does not open with this key: take the passphrase or the identity that it was made for"
                        .into(),
                ),
                false => Refusal::Data("this is no backup, or a damaged one: take another copy of it".into()),
            };
            anyhow::Error::new(error).context(words)
        })
    }
}

/// What reading an encrypted stream came to, in words that help.
pub(super) fn damaged(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error)
        .context(Refusal::Data("the backup is damaged or cut short: take another copy of it".into()))
}

/// Reads all of `input`, at most `limit` bytes.
pub(super) fn read_up_to(input: &mut dyn Read, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    input.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds more than it may"));
    }
    Ok(bytes)
}
