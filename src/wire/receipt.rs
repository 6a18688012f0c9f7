//! The collector's receipt, version 2: up to which event it has committed everything of a box, and which event that is.
//! Only this lets a box forget an event; a broker's acknowledgement does not.
//!
//! The hash tells the box whether the collector's history is its own. Without it (version 1) a box that was set back to an
//! older state would delete events which the collector never took.

use serde::{Deserialize, Serialize};

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{DeviceId, Epoch, EventHash, Seq};

/// What the signature is for.
const PURPOSE: &str = "examgate/receipt/v2";

/// What the signature of a receipt without a hash was for.
const PURPOSE_1: &str = "examgate/receipt/v1";

/// Longest receipt, bytes.
pub const MAX_RECEIPT: usize = 512;

/// Why bytes are not a receipt for this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not signed by the collector's receipt key for this purpose.
    #[error(
        "not signed by a receipt key that counts here; is it in the trust document, or the right `receipt_key` configured?"
    )]
    NotSigned,
    /// Signed by a collector of version 1, whose receipts name no hash: they cannot show which history they confirm.
    #[error("a receipt of version 1, which names no hash: install the collector's newer version")]
    Version1,
    /// Signed, but not of this shape.
    #[error("signed by the collector, but not a receipt of version 2")]
    Malformed,
    /// For another box.
    #[error("a receipt for another box")]
    OtherDevice,
}

/// Everything of `device` in `epoch` up to and including `seq` is committed, and the event there has this `hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The box.
    pub device: DeviceId,
    /// Which epoch of its events.
    pub epoch: Epoch,
    /// The highest event with no gap before it; 0 when even the first is missing.
    pub seq: Seq,
    /// The link of the chain at `seq`; [`EventHash::START`] at 0.
    pub hash: EventHash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    device: DeviceId,
    epoch: Epoch,
    seq: Seq,
    #[serde(with = "cbor::bytes")]
    hash: [u8; 32],
}

impl Receipt {
    /// Signs the receipt.
    #[must_use]
    pub fn encode(&self, key: &SigningKey) -> Vec<u8> {
        let payload = Payload {
            v: 2,
            device: self.device.clone(),
            epoch: self.epoch,
            seq: self.seq,
            hash: *self.hash.as_bytes(),
        };
        signed::sign(PURPOSE, key, cbor::to_vec(&payload))
    }

    /// Reads a receipt for `device`, signed by the collector's `key`. Epoch and hash are for the event store to judge.
    ///
    /// ```
    /// use examgate::{
    ///     domain::{DeviceId, Epoch, EventHash, Seq},
    ///     wire::{keys::SigningKey, receipt::{Receipt, ReceiptError}},
    /// };
    ///
    /// let collector = SigningKey::from_seed(&[9; 32]);
    /// let door = DeviceId::new("door-7")?;
    /// let hash = EventHash::from_bytes([3; 32]);
    /// let receipt = Receipt { device: door.clone(), epoch: Epoch(uuid::Uuid::from_u128(1)), seq: Seq(41), hash };
    /// let bytes = receipt.encode(&collector);
    /// assert_eq!(Receipt::decode(&bytes, &door, &collector.public()), Ok(receipt));
    ///
    /// let somebody_else = SigningKey::from_seed(&[8; 32]).public();
    /// assert_eq!(Receipt::decode(&bytes, &door, &somebody_else), Err(ReceiptError::NotSigned));
    /// # Ok::<(), examgate::domain::NotAnIdentifier>(())
    /// ```
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it, or it is for another box.
    pub fn decode(bytes: &[u8], device: &DeviceId, key: &PublicKey) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_RECEIPT {
            return Err(ReceiptError::NotSigned);
        }
        let Some(payload) = signed::verify(PURPOSE, key, bytes) else {
            let of_version_1 = signed::verify(PURPOSE_1, key, bytes).is_some();
            return Err(if of_version_1 { ReceiptError::Version1 } else { ReceiptError::NotSigned });
        };
        let Payload { v, device: named, epoch, seq, hash } =
            cbor::from_slice(&payload).ok_or(ReceiptError::Malformed)?;
        let hash = EventHash::from_bytes(hash);
        if v != 2 || (seq.0 == 0 && hash != EventHash::START) {
            return Err(ReceiptError::Malformed);
        }
        if named != *device {
            return Err(ReceiptError::OtherDevice);
        }
        Ok(Self { device: named, epoch, seq, hash })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/receipt-v2.cose");
    const GOLDEN_1: &[u8] = include_bytes!("../../tests/golden/receipt-v1.cose");

    fn key() -> SigningKey {
        SigningKey::from_seed(&[9; 32])
    }

    fn door() -> DeviceId {
        DeviceId::new("door-1").expect("valid")
    }

    fn receipt() -> Receipt {
        Receipt {
            device: door(),
            epoch: Epoch(Uuid::from_u128(1)),
            seq: Seq(7),
            hash: EventHash::from_bytes([0xA5; 32]),
        }
    }

    #[test]
    fn the_bytes_of_version_2_never_change() {
        assert_eq!(receipt().encode(&key()), GOLDEN);
        assert_eq!(Receipt::decode(GOLDEN, &door(), &key().public()), Ok(receipt()));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let other = Receipt { device: DeviceId::new("door-2").expect("valid"), ..receipt() };
        let payload = |v, seq| Payload { v, device: door(), epoch: receipt().epoch, seq: Seq(seq), hash: [1; 32] };
        let signed_for = |purpose, payload: Payload| signed::sign(purpose, &key(), cbor::to_vec(&payload));
        for (bytes, error) in [
            (other.encode(&key()), ReceiptError::OtherDevice),
            (receipt().encode(&SigningKey::from_seed(&[8; 32])), ReceiptError::NotSigned),
            (GOLDEN_1.to_vec(), ReceiptError::Version1),
            (signed_for("examgate/event/v1", payload(2, 7)), ReceiptError::NotSigned),
            (signed_for(PURPOSE, payload(1, 7)), ReceiptError::Malformed),
            (signed_for(PURPOSE, payload(3, 7)), ReceiptError::Malformed),
            (signed_for(PURPOSE, payload(2, 0)), ReceiptError::Malformed),
            (vec![0; MAX_RECEIPT + 1], ReceiptError::NotSigned),
        ] {
            assert_eq!(Receipt::decode(&bytes, &door(), &key().public()), Err(error));
        }
        let longest =
            Receipt { device: DeviceId::new("d".repeat(64)).expect("valid"), seq: Seq(u64::MAX), ..receipt() };
        assert!(longest.encode(&key()).len() <= MAX_RECEIPT);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), signed in any::<bool>()) {
            let bytes = if signed { signed::sign(PURPOSE, &key(), bytes) } else { bytes };
            prop_assert!(Receipt::decode(&bytes, &door(), &key().public()).is_err());
        }
    }
}
