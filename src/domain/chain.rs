//! The hash chain over a box's events: each link names the one before, so that nothing can be taken out, put in or
//! reordered unseen. It shows tampering to whoever knows a later link; it does not prevent it.

use sha2::{Digest, Sha256};

use super::{Epoch, Seq};

/// Keeps this chain's hashes apart from every other use of SHA-256.
const TAG: &[u8] = b"examgate/event-chain/v1\0";

/// What the first event of an epoch names as the one before.
pub const CHAIN_START: [u8; 32] = [0; 32];

/// The link of one event: SHA-256 over the tag, the epoch (16 bytes), `seq` (8 bytes, big-endian), the link before
/// (32 bytes) and the event's body as recorded. All but the last have a fixed length, so no two inputs look alike.
#[must_use]
pub fn chain_hash(epoch: Epoch, seq: Seq, prev: &[u8; 32], body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(TAG)
        .chain_update(epoch.0.as_bytes())
        .chain_update(seq.0.to_be_bytes())
        .chain_update(prev)
        .chain_update(body)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_part_counts() {
        let epoch = Epoch(Uuid::from_u128(1));
        let link = chain_hash(epoch, Seq(1), &CHAIN_START, b"body");
        for other in [
            chain_hash(Epoch(Uuid::from_u128(2)), Seq(1), &CHAIN_START, b"body"),
            chain_hash(epoch, Seq(2), &CHAIN_START, b"body"),
            chain_hash(epoch, Seq(1), &[1; 32], b"body"),
            chain_hash(epoch, Seq(1), &CHAIN_START, b"bodY"),
        ] {
            assert_ne!(link, other);
        }
    }

    #[test]
    fn the_definition_never_changes() {
        // Computed apart from this code, with Python: hashlib.sha256(tag + epoch + seq + prev + body).
        let link = chain_hash(Epoch(Uuid::from_u128(1)), Seq(1), &CHAIN_START, b"body");
        assert_eq!(hex::encode(link), "670e5f4cf6dbe43444c56a7cd635d22fb07f16fd6724ffdc6d12d44a37eb87be");
    }
}
