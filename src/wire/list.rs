//! The signature of an attendance list, apart from the list: whose exam it is of, when it was made, and the SHA-256 of its bytes.
//!
//! It shows that the list is the one that the fleet's key made, to the last byte. It does not show that the list is complete at that time:
//! the ledger's chains and incidents do.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{ExamId, Timestamp};

/// What the signature is for.
const PURPOSE: &str = "examgate/attendance/v1";

/// Longest signature, bytes.
pub const MAX_SIGNATURE: usize = 512;

/// Why a signature does not vouch for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not made by this key for this purpose.
    #[error("the signature was not made by this key; is it the public half of the key that signs lists?")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("the signature is not one of an attendance list, version 1")]
    Malformed,
    /// The list is not the one that was signed.
    #[error("the list was altered after it was signed: its bytes are others")]
    Altered,
}

/// What a signature vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedList {
    /// Whose attendance.
    pub exam: ExamId,
    /// When the list was made.
    pub made_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    exam: ExamId,
    made_at: Timestamp,
    #[serde(with = "cbor::bytes")]
    sha256: [u8; 32],
}

impl SignedList {
    /// Signs `list`, the bytes of a whole file.
    ///
    /// ```
    /// use examgate::{domain::ExamId, wire::{keys::SigningKey, list::{ListError, SignedList}}};
    /// let key = SigningKey::from_seed(&[7; 32]);
    /// let list = SignedList { exam: ExamId::new("MATH-1").unwrap(), made_at: "2026-12-14T10:00:00Z".parse().unwrap() };
    /// let signature = list.sign(b"student_id\nN1\n", &key);
    /// assert_eq!(SignedList::check(b"student_id\nN1\n", &signature, &key.public()), Ok(list));
    /// assert_eq!(SignedList::check(b"student_id\nN2\n", &signature, &key.public()), Err(ListError::Altered));
    /// ```
    #[must_use]
    pub fn sign(&self, list: &[u8], key: &SigningKey) -> Vec<u8> {
        let Self { exam, made_at } = self.clone();
        let payload = Payload { v: 1, exam, made_at, sha256: Sha256::digest(list).into() };
        signed::sign(PURPOSE, key, cbor::to_vec(&payload))
    }

    /// What `signature` says of `list`, if `key` made it.
    ///
    /// # Errors
    /// When it was made by another key, is of another shape, or is about other bytes.
    pub fn check(list: &[u8], signature: &[u8], key: &PublicKey) -> Result<Self, ListError> {
        if signature.len() > MAX_SIGNATURE {
            return Err(ListError::Malformed);
        }
        let payload = signed::verify(PURPOSE, key, signature).ok_or(ListError::NotSigned)?;
        let Payload { v, exam, made_at, sha256 } = cbor::from_slice(&payload).ok_or(ListError::Malformed)?;
        if v != 1 {
            return Err(ListError::Malformed);
        }
        if sha256 != <[u8; 32]>::from(Sha256::digest(list)) {
            return Err(ListError::Altered);
        }
        Ok(Self { exam, made_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DeviceId, Epoch, EventHash, Seq};

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    #[test]
    fn only_this_key_and_these_bytes_are_vouched_for() {
        let list = SignedList {
            exam: ExamId::new("MATH-1").expect("valid"),
            made_at: "2026-12-14T10:00:00Z".parse().expect("a time"),
        };
        let mut signature = list.sign(b"list", &key());
        let other = SigningKey::from_seed(&[8; 32]).public();
        assert_eq!(SignedList::check(b"list", &signature, &key().public()), Ok(list));
        assert_eq!(SignedList::check(b"list ", &signature, &key().public()), Err(ListError::Altered));
        assert_eq!(SignedList::check(b"list", &signature, &other), Err(ListError::NotSigned));
        let last = signature.len() - 1;
        signature[last] ^= 1;
        assert_eq!(SignedList::check(b"list", &signature, &key().public()), Err(ListError::NotSigned));
        assert_eq!(SignedList::check(b"list", &[0; MAX_SIGNATURE + 1], &key().public()), Err(ListError::Malformed));
    }

    #[test]
    fn what_was_signed_as_a_receipt_vouches_for_no_list() {
        let receipt = crate::wire::receipt::Receipt {
            device: DeviceId::new("door-1").expect("valid"),
            epoch: Epoch(uuid::Uuid::nil()),
            seq: Seq(1),
            hash: EventHash::START,
        };
        let receipt = receipt.encode(&key());
        assert_eq!(SignedList::check(b"list", &receipt, &key().public()), Err(ListError::NotSigned));
    }
}
