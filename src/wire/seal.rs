//! age (X25519): bytes only one reader can open. A seal says nothing of who closed it: what is sealed is also signed.

use std::{fmt, io::Read, str::FromStr};

use zeroize::Zeroizing;

/// Why a text is not a sealing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASealKey {
    /// Not a recipient.
    #[error("not an age recipient (`age1…`)")]
    Recipient,
    /// Not an identity.
    #[error("not an age identity (`AGE-SECRET-KEY-1…`)")]
    Identity,
}

/// Why a seal does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed to somebody else, damaged, or not an age file.
    #[error("the seal does not open with this identity")]
    Closed,
    /// More inside than was agreed.
    #[error("the sealed content is longer than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
}

/// Whom to seal to: the public half, `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

impl Recipient {
    /// Seals `content`. Every call gives other bytes.
    #[must_use]
    pub fn seal(&self, content: &[u8]) -> Vec<u8> {
        age::encrypt(&self.0, content).expect("sealing into memory to one recipient cannot fail")
    }
}

impl FromStr for Recipient {
    type Err = NotASealKey;
    fn from_str(text: &str) -> Result<Self, NotASealKey> {
        text.trim().parse().map(Self).map_err(|_| NotASealKey::Recipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

/// Who opens: the secret half, `AGE-SECRET-KEY-1…`. Redacted in `Debug`.
#[derive(Clone)]
pub struct Identity(age::x25519::Identity);

impl Identity {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The text that [`FromStr`] reads: the secret itself.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        use age::secrecy::ExposeSecret as _;
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// Opens `sealed`, which may hold at most `limit` bytes. The content is wiped when dropped.
    ///
    /// # Errors
    /// When it was sealed to somebody else, is damaged, or holds more.
    pub fn open(&self, sealed: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let opened = age::Decryptor::new_buffered(sealed)
            .and_then(|closed| closed.decrypt(std::iter::once(&self.0 as &dyn age::Identity)))
            .map_err(|_| OpenError::Closed)?;
        // The content is never longer than the seal, so this does not grow and leave copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(sealed.len()));
        opened.take(limit as u64 + 1).read_to_end(&mut content).map_err(|_| OpenError::Closed)?;
        if content.len() > limit { Err(OpenError::TooLong { limit }) } else { Ok(content) }
    }
}

impl FromStr for Identity {
    type Err = NotASealKey;
    fn from_str(text: &str) -> Result<Self, NotASealKey> {
        text.trim().parse().map(Self).map_err(|_| NotASealKey::Identity)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn opens_only_for_its_reader() {
        let (reader, other) =
            (Identity(age::x25519::Identity::generate()), Identity(age::x25519::Identity::generate()));
        let sealed = reader.recipient().seal(b"content");
        assert_eq!(reader.open(&sealed, 7).expect("sealed to it").as_slice(), b"content");
        assert_eq!(reader.open(&sealed, 6), Err(OpenError::TooLong { limit: 6 }));
        assert_eq!(other.open(&sealed, 7), Err(OpenError::Closed));
        assert_eq!(format!("{reader:?}"), "Identity(redacted)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let reader = Identity(age::x25519::Identity::generate());
            prop_assert_eq!(reader.open(&bytes, 100), Err(OpenError::Closed));
        }

        #[test]
        fn a_damaged_seal_is_survived(at in 0usize..1000, byte in any::<u8>(), cut in 0usize..1000) {
            let reader = Identity(age::x25519::Identity::generate());
            let mut sealed = reader.recipient().seal(b"content");
            let (at, cut) = (at % sealed.len(), cut % sealed.len());
            sealed[at] ^= byte.max(1);
            sealed.truncate(sealed.len() - cut);
            prop_assert!(reader.open(&sealed, 100).is_err());
        }
    }
}
