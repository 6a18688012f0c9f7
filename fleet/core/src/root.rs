//! The root's secret key, which signs trust documents: locked with a passphrase, in the shape that `age -d` opens.
//!
//! Keep it on an offline medium, and connect that only to sign.

use std::io::Read as _;

use age::{
    Decryptor,
    scrypt::{Identity, Recipient},
    secrecy::SecretString,
};
use examgate::store::Key;
use zeroize::Zeroizing;

/// scrypt's log2(N): about a second and 256 MiB, as the age program chooses on today's machines.
pub(crate) const WORK: u8 = 18;

/// The most that is borne from a file: eight times that.
pub(crate) const MOST_WORK: u8 = 21;

/// Shortest passphrase, characters. A dozen guesses a second against six random words would take ages; against a name, a day.
pub(crate) const SHORTEST: usize = 12;

/// Why a root key cannot be locked or opened.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A passphrase that is guessed.
    #[error("a passphrase has at least {SHORTEST} characters: take six random words")]
    Short,
    /// Another passphrase, or another file.
    #[error("the root key does not open with this passphrase: type it again, or take the right file")]
    Closed,
    /// It opened, and holds no key.
    #[error("the file opened, but holds no root key: take the one that `examgate-fleet init` made")]
    NotAKey,
}

/// Locks the root key.
///
/// # Errors
/// When the passphrase is too short.
pub fn lock(root: &Key, passphrase: &str) -> Result<Vec<u8>, RootError> {
    if passphrase.chars().count() < SHORTEST {
        return Err(RootError::Short);
    }
    let mut recipient = Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(WORK);
    let digits = Zeroizing::new(hex::encode(root.expose()));
    Ok(age::encrypt(&recipient, digits.as_bytes()).expect("sealing into memory with a passphrase cannot fail"))
}

/// Opens a locked root key.
///
/// # Errors
/// When the passphrase is another, or the file is.
pub fn open(locked: &[u8], passphrase: &str) -> Result<Key, RootError> {
    let mut identity = Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(MOST_WORK);
    let opened = Decryptor::new_buffered(locked)
        .and_then(|closed| closed.decrypt(std::iter::once(&identity as &dyn age::Identity)))
        .map_err(|_| RootError::Closed)?;
    let mut digits = Zeroizing::new(Vec::with_capacity(locked.len()));
    opened.take(65).read_to_end(&mut digits).map_err(|_| RootError::Closed)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(&*digits, &mut *seed).map_err(|_| RootError::NotAKey)?;
    Ok(Key::from_bytes(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_opens_with_its_passphrase_alone() {
        let root = Key::from_bytes([7; 32]);
        assert!(matches!(lock(&root, "short"), Err(RootError::Short)));
        let locked = lock(&root, "correct horse battery").unwrap();
        assert_eq!(open(&locked, "correct horse battery").unwrap().expose(), root.expose());
        assert!(matches!(open(&locked, "another horse battery"), Err(RootError::Closed)));
        assert!(matches!(open(&locked[..100], "correct horse battery"), Err(RootError::Closed)));
    }
}
