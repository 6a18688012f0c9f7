//! The hash chain over events: each event's hash covers the one before, so none can be dropped or altered unseen.
//!
//! It knows bytes only. It proves order and completeness to whoever holds the newest hash; it does not prove origin:
//! that is the envelope's signature.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{Epoch, Seq};

/// SHA-256 link of the event chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventHash(#[serde(with = "hex::serde")] [u8; 32]);

impl EventHash {
    /// What stands before the first event of an epoch: 32 zero bytes.
    pub const START: Self = Self([0; 32]);

    /// Wraps a SHA-256 digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventHash({})", hex::encode(&self.0[..6]))
    }
}

/// SHA-256 over a tag, the epoch (16 bytes), the sequence number (8 bytes, big endian), the hash before and the body.
///
/// All parts before `body` have a fixed length, so no two different events share an input.
#[must_use]
pub fn chain_hash(epoch: Epoch, seq: Seq, prev: &EventHash, body: &[u8]) -> EventHash {
    let digest = Sha256::new()
        .chain_update(b"examgate/event/v1\0")
        .chain_update(epoch.0.as_bytes())
        .chain_update(seq.0.to_be_bytes())
        .chain_update(prev.0)
        .chain_update(body)
        .finalize();
    EventHash(digest.into())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_part_changes_the_hash() {
        let epoch = Epoch(Uuid::from_u128(1));
        let of = chain_hash(epoch, Seq(1), &EventHash::START, b"{}");
        for other in [
            chain_hash(Epoch(Uuid::from_u128(2)), Seq(1), &EventHash::START, b"{}"),
            chain_hash(epoch, Seq(2), &EventHash::START, b"{}"),
            chain_hash(epoch, Seq(1), &of, b"{}"),
            chain_hash(epoch, Seq(1), &EventHash::START, b"{ }"),
        ] {
            assert_ne!(of, other);
        }
    }

    #[test]
    fn the_construction_is_fixed() {
        // Computed with Python's hashlib from the description above.
        let hash = chain_hash(Epoch(Uuid::from_u128(1)), Seq(1), &EventHash::START, b"{}");
        assert_eq!(hex::encode(hash.as_bytes()), "2125a066112c5f7aacf339adb0fc33ddfcb32886dca405d1108c3b55c1e3a644");
    }
}
