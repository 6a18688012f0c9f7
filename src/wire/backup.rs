//! The signature over the manifest of a backup of the fleet side: made with a command key of the fleet.
//!
//! It shows that the fleet made the backup, since whoever has a recipient's public key can encrypt to it. It signs the manifest's
//! SHA-256, and the manifest holds the SHA-256 of every file.

use sha2::{Digest as _, Sha256};

use super::{
    keys::{PublicKey, SigningKey},
    signed,
};

/// What the signature is for.
const PURPOSE: &str = "examgate/backup/v1";

/// Longest signature, bytes.
pub const MAX_SIGNATURE: usize = 256;

/// Signs `manifest`.
#[must_use]
pub fn sign(manifest: &[u8], key: &SigningKey) -> Vec<u8> {
    signed::sign(PURPOSE, key, Sha256::digest(manifest).to_vec())
}

/// Whether `key` signed exactly this `manifest`.
///
/// ```
/// use examgate::wire::{backup, keys::SigningKey};
/// let key = SigningKey::from_seed(&[7; 32]);
/// let signature = backup::sign(b"manifest", &key);
/// assert!(backup::is_signed(b"manifest", &signature, &key.public()));
/// assert!(!backup::is_signed(b"manifests", &signature, &key.public()));
/// assert!(!backup::is_signed(b"manifest", &signature, &SigningKey::from_seed(&[8; 32]).public()));
/// ```
#[must_use]
pub fn is_signed(manifest: &[u8], signature: &[u8], key: &PublicKey) -> bool {
    signature.len() <= MAX_SIGNATURE
        && signed::verify(PURPOSE, key, signature).is_some_and(|digest| digest == Sha256::digest(manifest).as_slice())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    #[test]
    fn a_signature_is_short_and_of_its_purpose_alone() {
        assert!(sign(b"manifest", &key()).len() <= MAX_SIGNATURE);
        let other = signed::sign("examgate/attendance/v1", &key(), Sha256::digest(b"manifest").to_vec());
        assert!(!is_signed(b"manifest", &other, &key().public()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!is_signed(b"manifest", &bytes, &key().public()));
        }
    }
}
