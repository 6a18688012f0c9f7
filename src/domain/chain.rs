//! The hash chain over a box's events: each link names the one before, so that nothing can be taken out, put in or
//! reordered unseen. It shows tampering to anyone who knows a later link; it does not prevent it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Epoch, Seq};

/// Keeps this chain's hashes apart from every other use of SHA-256.
const TAG: &[u8] = b"examgate/event-chain/v1\0";

/// One link of the chain: a SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventHash(#[serde(with = "hex::serde")] [u8; 32]);

impl EventHash {
    /// What the first event of an epoch names as the link before: 32 zero bytes.
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

/// The link of one event: SHA-256 over the tag, the epoch (16 bytes), `seq` (8 bytes, big-endian), the link before
/// (32 bytes) and the event's body as recorded. All but the last have a fixed length, so no two inputs look alike.
#[must_use]
pub fn chain_hash(epoch: Epoch, seq: Seq, prev: &EventHash, body: &[u8]) -> EventHash {
    let digest = Sha256::new()
        .chain_update(TAG)
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
    fn every_part_counts() {
        let epoch = Epoch(Uuid::from_u128(1));
        let link = chain_hash(epoch, Seq(1), &EventHash::START, b"body");
        for other in [
            chain_hash(Epoch(Uuid::from_u128(2)), Seq(1), &EventHash::START, b"body"),
            chain_hash(epoch, Seq(2), &EventHash::START, b"body"),
            chain_hash(epoch, Seq(1), &link, b"body"),
            chain_hash(epoch, Seq(1), &EventHash::START, b"bodY"),
        ] {
            assert_ne!(link, other);
        }
    }

    #[test]
    fn the_definition_never_changes() {
        // Computed apart from this code, with Python: hashlib.sha256(tag + epoch + seq + prev + body).
        let link = chain_hash(Epoch(Uuid::from_u128(1)), Seq(1), &EventHash::START, b"body");
        assert_eq!(hex::encode(link.as_bytes()), "670e5f4cf6dbe43444c56a7cd635d22fb07f16fd6724ffdc6d12d44a37eb87be");
    }
}
