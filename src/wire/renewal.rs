//! What an enrolled box asks of its fleet without a code: another certificate, and that another signing key counts.
//!
//! Both are signed with the key that the box signs events with, which the fleet's registry knows, and name the TLS certificate that the
//! box saw, so nobody can relay them. A request for a certificate needs no nonce: the key in it is new, and a certificate for it is of use
//! to its box alone. A hand-over asks for a certificate, too, which shows that the fleet itself has answered. It is signed by both keys: the old one gives, the new one takes. It names the last event that was
//! recorded under the old key, and the epoch that begins with the new one.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    cbor,
    enrolment::{LONGEST_PEM, ServerHash},
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{DeviceId, Epoch, EventHash, Seq};

/// What the signatures are for.
const RENEWAL: &str = "examgate/renewal-request/v1";
const HAND_OVER: &str = "examgate/hand-over/v1";
const TAKE_OVER: &str = "examgate/take-over/v1";

/// Longest request of either kind, bytes: a hand-over holds its request for a certificate twice, once in what the new key signed.
pub const MAX_RENEWAL: usize = 24 * 1024;

/// Why bytes are no request of this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalError {
    /// Not signed by the box's key for this purpose; nothing in it is believed.
    #[error("it is not signed by the key that this box was enrolled with: enrol the box again with a new code")]
    NotSigned,
    /// Signed, but of another shape.
    #[error("signed by the box, but of another version: install the same version of Examgate on both sides")]
    Malformed,
    /// It names another box than its address.
    #[error("it names another box than its address")]
    OtherDevice,
    /// Made for another connection.
    #[error("something stands between the box and the fleet (another TLS certificate was seen): connect them directly")]
    Between,
    /// The new key did not sign.
    #[error("the box did not show that the new signing key is its own")]
    NotItsKey,
}

/// A request for another certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The box.
    pub device: DeviceId,
    /// The request for a certificate (PKCS#10, PEM), of a key that has none yet.
    pub csr: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RenewalPayload {
    v: u8,
    device: DeviceId,
    #[serde(with = "cbor::bytes")]
    server: ServerHash,
    csr: String,
}

/// The content of `bytes`, if `key` signed it for `purpose`.
fn content<T: Serialize + for<'a> Deserialize<'a>>(
    purpose: &str,
    bytes: &[u8],
    key: &PublicKey,
) -> Result<T, RenewalError> {
    if bytes.len() > MAX_RENEWAL {
        return Err(RenewalError::NotSigned);
    }
    let content = signed::verify(purpose, key, bytes).ok_or(RenewalError::NotSigned)?;
    let payload: T = cbor::from_slice(&content).ok_or(RenewalError::Malformed)?;
    if cbor::to_vec(&payload) == content { Ok(payload) } else { Err(RenewalError::Malformed) }
}

impl Renewal {
    /// Signs the request with the box's `key`, for the connection to `server`.
    #[must_use]
    pub fn encode(&self, key: &SigningKey, server: &ServerHash) -> Vec<u8> {
        let payload = RenewalPayload { v: 1, device: self.device.clone(), server: *server, csr: self.csr.clone() };
        signed::sign(RENEWAL, key, cbor::to_vec(&payload))
    }

    /// Reads a request of `device`, whose key is `key`, that came over a connection to `server`.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], device: &DeviceId, key: &PublicKey, server: &ServerHash) -> Result<Self, RenewalError> {
        let RenewalPayload { v, device: named, server: seen, csr } = content(RENEWAL, bytes, key)?;
        if v != 1 || csr.len() > LONGEST_PEM {
            return Err(RenewalError::Malformed);
        }
        if named != *device {
            return Err(RenewalError::OtherDevice);
        }
        if seen != *server {
            return Err(RenewalError::Between);
        }
        Ok(Self { device: named, csr })
    }
}

/// From which key to which a box's events go, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The box.
    pub device: DeviceId,
    /// The key that counts from now on.
    pub next: PublicKey,
    /// The epoch that ends: the last one whose events the old key signs.
    pub ends: Epoch,
    /// The last event that the box had recorded in it; 0: none.
    pub last: Seq,
    /// The chain there.
    pub hash: EventHash,
    /// The epoch that the new key begins.
    pub begins: Epoch,
    /// The request for a certificate (PKCS#10, PEM) that comes with it.
    pub csr: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOverPayload {
    v: u8,
    device: DeviceId,
    #[serde(with = "cbor::bytes")]
    server: ServerHash,
    next: PublicKey,
    ends: Epoch,
    last: Seq,
    #[serde(with = "cbor::bytes")]
    hash: [u8; 32],
    begins: Epoch,
    csr: String,
    /// The new key's signature over all of the above with this empty.
    #[serde(with = "cbor::bytes")]
    taken: Vec<u8>,
}

impl HandOver {
    fn payload(&self, server: &ServerHash) -> HandOverPayload {
        HandOverPayload {
            v: 1,
            device: self.device.clone(),
            server: *server,
            next: self.next,
            ends: self.ends,
            last: self.last,
            hash: *self.hash.as_bytes(),
            begins: self.begins,
            csr: self.csr.clone(),
            taken: Vec::new(),
        }
    }

    /// Signs the hand-over from `old` to `next`, for the connection to `server`.
    #[must_use]
    pub fn encode(&self, old: &SigningKey, next: &SigningKey, server: &ServerHash) -> Vec<u8> {
        let mut payload = self.payload(server);
        payload.taken = signed::sign(TAKE_OVER, next, cbor::to_vec(&payload));
        signed::sign(HAND_OVER, old, cbor::to_vec(&payload))
    }

    /// Reads a hand-over of `device` by its key `old`, that came over a connection to `server`.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], device: &DeviceId, old: &PublicKey, server: &ServerHash) -> Result<Self, RenewalError> {
        let mut payload: HandOverPayload = content(HAND_OVER, bytes, old)?;
        let is_version_7 = |epoch: Epoch| -> bool { Uuid::get_version_num(&epoch.0) == 7 };
        if payload.v != 1
            || payload.last > Seq::MAX
            || payload.csr.len() > LONGEST_PEM
            || payload.ends == payload.begins
            || payload.next == *old
            || !is_version_7(payload.begins)
        {
            return Err(RenewalError::Malformed);
        }
        if payload.device != *device {
            return Err(RenewalError::OtherDevice);
        }
        if payload.server != *server {
            return Err(RenewalError::Between);
        }
        let taken = std::mem::take(&mut payload.taken);
        if signed::verify(TAKE_OVER, &payload.next, &taken) != Some(cbor::to_vec(&payload)) {
            return Err(RenewalError::NotItsKey);
        }
        let HandOverPayload { device, next, ends, last, hash, begins, csr, .. } = payload;
        Ok(Self { device, next, ends, last, hash: EventHash::from_bytes(hash), begins, csr })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: ServerHash = [3; 32];

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn door() -> DeviceId {
        DeviceId::new("door-1").expect("valid")
    }

    fn hand_over() -> HandOver {
        HandOver {
            device: door(),
            next: key(8).public(),
            ends: Epoch(Uuid::from_u128(1)),
            last: Seq(12),
            hash: EventHash::from_bytes([4; 32]),
            begins: Epoch(Uuid::from_u128(0x019b_1c2d_0000_7000_8000_0000_0000_000c)),
            csr: "a request".into(),
        }
    }

    #[test]
    fn a_renewal_counts_for_its_box_key_and_connection_only() {
        let renewal = Renewal { device: door(), csr: "a request".into() };
        let bytes = renewal.encode(&key(7), &SERVER);
        let read = |device: &str, seed, server| {
            Renewal::decode(&bytes, &DeviceId::new(device).expect("valid"), &key(seed).public(), server)
        };
        assert_eq!(read("door-1", 7, &SERVER), Ok(renewal));
        assert_eq!(read("door-2", 7, &SERVER), Err(RenewalError::OtherDevice));
        assert_eq!(read("door-1", 8, &SERVER), Err(RenewalError::NotSigned));
        assert_eq!(read("door-1", 7, &[4; 32]), Err(RenewalError::Between));
        let long = Renewal { device: door(), csr: "x".repeat(LONGEST_PEM + 1) }.encode(&key(7), &SERVER);
        assert_eq!(Renewal::decode(&long, &door(), &key(7).public(), &SERVER), Err(RenewalError::Malformed));
    }

    #[test]
    fn a_hand_over_is_given_by_the_old_key_and_taken_by_the_new_one() {
        let bytes = hand_over().encode(&key(7), &key(8), &SERVER);
        let old = key(7).public();
        assert_eq!(HandOver::decode(&bytes, &door(), &old, &SERVER), Ok(hand_over()));
        assert_eq!(HandOver::decode(&bytes, &door(), &key(8).public(), &SERVER), Err(RenewalError::NotSigned));
        assert_eq!(HandOver::decode(&bytes, &door(), &old, &[4; 32]), Err(RenewalError::Between));
        let stolen = hand_over().encode(&key(7), &key(9), &SERVER);
        assert_eq!(HandOver::decode(&stolen, &door(), &old, &SERVER), Err(RenewalError::NotItsKey));
        for change in [
            |it: &mut HandOver| it.begins = it.ends,
            |it: &mut HandOver| it.next = key(7).public(),
            |it: &mut HandOver| it.last = Seq(u64::MAX),
            |it: &mut HandOver| it.begins = Epoch(Uuid::from_u128(2)),
            |it: &mut HandOver| it.csr = "x".repeat(LONGEST_PEM + 1),
        ] {
            let mut other = hand_over();
            change(&mut other);
            let bytes = other.encode(&key(7), &key(8), &SERVER);
            assert_eq!(HandOver::decode(&bytes, &door(), &old, &SERVER), Err(RenewalError::Malformed), "{other:?}");
        }
        // What one was signed for never counts for the other.
        assert_eq!(Renewal::decode(&bytes, &door(), &old, &SERVER), Err(RenewalError::NotSigned));
    }

    proptest! {
        #[test]
        fn any_signed_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (renewal, hand_over) =
                (signed::sign(RENEWAL, &key(7), bytes.clone()), signed::sign(HAND_OVER, &key(7), bytes));
            prop_assert_eq!(Renewal::decode(&renewal, &door(), &key(7).public(), &SERVER), Err(RenewalError::Malformed));
            prop_assert_eq!(
                HandOver::decode(&hand_over, &door(), &key(7).public(), &SERVER),
                Err(RenewalError::Malformed)
            );
        }
    }
}
