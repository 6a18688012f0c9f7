//! The Ed25519 keys that sign and verify. A purpose is given with every use.

use std::{fmt, str::FromStr};

use ed25519_dalek::Signer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Not 32 bytes in hex.
    #[error("a key is 64 hexadecimal digits (32 bytes)")]
    NotHex,
    /// Hex, but not a usable point of the curve.
    #[error("these 32 bytes are not a usable Ed25519 public key")]
    NotAPoint,
}

fn bytes_of(text: &str) -> Result<Zeroizing<[u8; 32]>, NotAKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), bytes.as_mut()).map_err(|_| NotAKey::NotHex)?;
    Ok(bytes)
}

/// A secret signing key. Redacted in `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte secret seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}

impl FromStr for SigningKey {
    type Err = NotAKey;

    /// Reads the seed as 64 hexadecimal digits, as a key file holds it.
    fn from_str(text: &str) -> Result<Self, NotAKey> {
        Ok(Self::from_seed(&*bytes_of(text)?))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// A public key, in text as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// The key of these 32 bytes.
    ///
    /// # Errors
    /// [`NotAKey::NotAPoint`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, NotAKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| NotAKey::NotAPoint)?;
        if key.is_weak() { Err(NotAKey::NotAPoint) } else { Ok(Self(key)) }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether `signature` over `message` was made with the secret half. Strict: small-order points and malleable
    /// signatures are refused.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| self.0.verify_strict(message, &s).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        Self::from_bytes(&*bytes_of(text)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NotAKey;
    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_text_each() {
        let key: SigningKey = format!("{}\n", "07".repeat(32)).parse().expect("64 digits");
        assert_eq!(key.public(), SigningKey::from_seed(&[7; 32]).public());
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert_eq!(format!("{key:?}"), "SigningKey(redacted)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let identity_point = format!("01{}", "00".repeat(31));
        for (text, why) in [
            ("", NotAKey::NotHex),
            ("xyz", NotAKey::NotHex),
            (&"07".repeat(31), NotAKey::NotHex),
            (&identity_point, NotAKey::NotAPoint),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(why), "{text:?}");
        }
    }
}
