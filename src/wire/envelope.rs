//! The event envelope, version 1: one recorded event, sealed to the collector, signed by the box.
//!
//! COSE_Sign1 over a CBOR map `{v, device, epoch, seq, event_id, prev, hash, sealed}`. `sealed` is the body as
//! recorded, encrypted with age; `hash` is its link of the chain, so the collector sees gaps and rewritten history.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    seal::{Identity, OpenError, Recipient},
    signed,
};
use crate::domain::{DeviceId, Epoch, EventHash, EventId, Seq, chain_hash};

/// What the signature is for.
const PURPOSE: &str = "examgate/event/v1";

/// Longest body, bytes. An event without pictures is about one KiB.
pub const MAX_BODY: usize = 32 * 1024;

/// Longest envelope, bytes: a body, the seal's header and tags, and the fields around it.
pub const MAX_ENVELOPE: usize = MAX_BODY + 2 * 1024;

/// Why an event does not fit into an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event's body of {len} bytes is longer than the {MAX_BODY} an envelope holds")]
pub struct BodyTooLong {
    /// Its length, bytes.
    pub len: usize,
}

/// Why bytes are not an envelope of this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than any envelope.
    #[error("{len} bytes are more than the {MAX_ENVELOPE} of an envelope")]
    TooLong {
        /// Its length, bytes.
        len: usize,
    },
    /// Not signed by this box's enrolled key for this purpose; nothing in it is believed.
    #[error("not signed as an event by this box's enrolled key; if the box was set up anew, enrol its new key")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the box, but not an envelope of version 1; is the box's software newer than the collector's?")]
    Malformed,
    /// Signed, but its place is no place an event can have.
    #[error("signed by the box as event {seq}, which is outside 1 to {max}: the box must be examined", max = Seq::MAX)]
    NoSuchPlace {
        /// The place it names.
        seq: Seq,
    },
    /// The box signed another name than the topic's.
    #[error("the envelope names another box than its topic")]
    OtherDevice,
    /// The seal does not open.
    #[error("the body cannot be opened; does the box seal to this collector's recipient?")]
    Open(#[source] OpenError),
    /// The body is not the one the chain names.
    #[error("the body does not match its link of the chain")]
    WrongHash,
}

/// One event on its way: what the box recorded, and its place in the box's chain.
#[derive(Clone, PartialEq, Eq)]
pub struct EventEnvelope {
    /// The box.
    pub device: DeviceId,
    /// Which epoch of its events.
    pub epoch: Epoch,
    /// Its place in that epoch, from 1.
    pub seq: Seq,
    /// Its own name.
    pub event_id: EventId,
    /// The link before.
    pub prev: EventHash,
    /// Its link: [`chain_hash`] of the fields above and the body.
    pub hash: EventHash,
    /// The body as recorded. Personal data: redacted in `Debug`, wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for EventEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventEnvelope({} {} {} {}, body redacted)", self.device, self.epoch, self.seq, self.event_id)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    device: DeviceId,
    epoch: Epoch,
    seq: Seq,
    event_id: EventId,
    #[serde(with = "cbor::bytes")]
    prev: [u8; 32],
    #[serde(with = "cbor::bytes")]
    hash: [u8; 32],
    #[serde(with = "cbor::bytes")]
    sealed: Vec<u8>,
}

impl EventEnvelope {
    /// Seals the body to the collector and signs the whole.
    ///
    /// # Errors
    /// When the body is longer than [`MAX_BODY`].
    pub fn encode(&self, key: &SigningKey, collector: &Recipient) -> Result<Vec<u8>, BodyTooLong> {
        if self.body.len() > MAX_BODY {
            return Err(BodyTooLong { len: self.body.len() });
        }
        let payload = Payload {
            v: 1,
            device: self.device.clone(),
            epoch: self.epoch,
            seq: self.seq,
            event_id: self.event_id,
            prev: *self.prev.as_bytes(),
            hash: *self.hash.as_bytes(),
            sealed: collector.seal(&self.body),
        };
        Ok(signed::sign(PURPOSE, key, cbor::to_vec(&payload)))
    }

    /// Reads an envelope that came on `device`'s topic: first the signature by that box's enrolled `key`, then the
    /// rest. That the chain continues from the event before is for the collector's ledger to judge.
    ///
    /// ```
    /// use examgate::{
    ///     domain::{DeviceId, Epoch, EventHash, EventId, Seq, chain_hash},
    ///     wire::{envelope::EventEnvelope, keys::SigningKey, seal::Identity},
    /// };
    /// use uuid::Uuid;
    ///
    /// let (door, box_key, collector) = (DeviceId::new("door-7")?, SigningKey::from_seed(&[7; 32]), Identity::generate());
    /// let (epoch, seq, prev, body) = (Epoch(Uuid::from_u128(1)), Seq(1), EventHash::START, b"{}".to_vec());
    /// let envelope = EventEnvelope {
    ///     device: door.clone(),
    ///     epoch,
    ///     seq,
    ///     event_id: EventId(Uuid::from_u128(2)),
    ///     prev,
    ///     hash: chain_hash(epoch, seq, &prev, &body),
    ///     body: body.into(),
    /// };
    /// let bytes = envelope.encode(&box_key, &collector.recipient())?;
    /// assert_eq!(EventEnvelope::decode(&bytes, &door, &box_key.public(), &collector)?, envelope);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(
        bytes: &[u8],
        device: &DeviceId,
        key: &PublicKey,
        collector: &Identity,
    ) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLong { len: bytes.len() });
        }
        let payload = signed::verify(PURPOSE, key, bytes).ok_or(EnvelopeError::NotSigned)?;
        let Payload { v, device: named, epoch, seq, event_id, prev, hash, sealed } =
            cbor::from_slice(&payload).ok_or(EnvelopeError::Malformed)?;
        if v != 1 {
            return Err(EnvelopeError::Malformed);
        }
        if seq.0 == 0 || seq > Seq::MAX {
            return Err(EnvelopeError::NoSuchPlace { seq });
        }
        if named != *device {
            return Err(EnvelopeError::OtherDevice);
        }
        let (prev, hash) = (EventHash::from_bytes(prev), EventHash::from_bytes(hash));
        let body = collector.open(&sealed, MAX_BODY).map_err(EnvelopeError::Open)?;
        if chain_hash(epoch, seq, &prev, &body) != hash {
            return Err(EnvelopeError::WrongHash);
        }
        Ok(Self { device: named, epoch, seq, event_id, prev, hash, body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const IDENTITY: &str = include_str!("../../tests/golden/collector.age");
    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/event-v1.cose");

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn collector() -> Identity {
        IDENTITY.parse().expect("an age identity")
    }

    fn door() -> DeviceId {
        DeviceId::new("door-1").expect("valid")
    }

    fn envelope() -> EventEnvelope {
        let (epoch, seq, body) = (Epoch(Uuid::from_u128(1)), Seq(1), b"{\"kind\":\"golden\"}");
        EventEnvelope {
            device: door(),
            epoch,
            seq,
            event_id: EventId(Uuid::from_u128(2)),
            prev: EventHash::START,
            hash: chain_hash(epoch, seq, &EventHash::START, body),
            body: Zeroizing::new(body.to_vec()),
        }
    }

    fn decode(bytes: &[u8]) -> Result<EventEnvelope, EnvelopeError> {
        EventEnvelope::decode(bytes, &door(), &key().public(), &collector())
    }

    /// An envelope as another program might sign it.
    fn signed_payload(change: impl FnOnce(&mut Payload)) -> Vec<u8> {
        let EventEnvelope { device, epoch, seq, event_id, prev, hash, body } = envelope();
        let sealed = collector().recipient().seal(&body);
        let mut payload =
            Payload { v: 1, device, epoch, seq, event_id, prev: *prev.as_bytes(), hash: *hash.as_bytes(), sealed };
        change(&mut payload);
        signed::sign(PURPOSE, &key(), cbor::to_vec(&payload))
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let bytes = envelope().encode(&key(), &collector().recipient()).expect("short");
        assert_eq!(decode(&bytes), Ok(envelope()));
        assert!(!format!("{:?}", envelope()).contains("golden"));
    }

    #[test]
    fn the_bytes_of_version_1_never_change() {
        assert_eq!(decode(GOLDEN), Ok(envelope()));
        // Signing and CBOR are deterministic; only the seal is not, so it is taken from the golden file.
        let payload = signed::verify(PURPOSE, &key().public(), GOLDEN).expect("signed");
        let sealed = cbor::from_slice::<Payload>(&payload).expect("a payload").sealed;
        assert_eq!(signed_payload(|payload| payload.sealed = sealed), GOLDEN);
    }

    #[test]
    fn the_longest_body_fits() {
        let sized = |len| {
            let EventEnvelope { epoch, seq, prev, .. } = envelope();
            let body = vec![b'x'; len];
            EventEnvelope { hash: chain_hash(epoch, seq, &prev, &body), body: Zeroizing::new(body), ..envelope() }
        };
        let bytes = sized(MAX_BODY).encode(&key(), &collector().recipient()).expect("fits");
        assert_eq!(decode(&bytes), Ok(sized(MAX_BODY)));
        let too_long = sized(MAX_BODY + 1).encode(&key(), &collector().recipient());
        assert_eq!(too_long, Err(BodyTooLong { len: MAX_BODY + 1 }));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let good = signed_payload(|_| ());
        let other_key = SigningKey::from_seed(&[8; 32]).public();
        let refused = EventEnvelope::decode(&good, &door(), &other_key, &collector());
        assert_eq!(refused, Err(EnvelopeError::NotSigned));
        let as_receipt = signed::sign("examgate/receipt/v2", &key(), b"x".to_vec());
        let stranger: Recipient =
            "age1zwq0txq4gx25620yeypugakmwexpum90pe0acrpfzay5ljry7erssf24ql".parse().expect("an age recipient");
        let mut trailing = signed::verify(PURPOSE, &key().public(), &good).expect("signed");
        trailing.push(0);
        for (bytes, error) in [
            (vec![0; MAX_ENVELOPE + 1], EnvelopeError::TooLong { len: MAX_ENVELOPE + 1 }),
            (Vec::new(), EnvelopeError::NotSigned),
            (as_receipt, EnvelopeError::NotSigned),
            (signed::sign(PURPOSE, &key(), b"no cbor".to_vec()), EnvelopeError::Malformed),
            (signed::sign(PURPOSE, &key(), trailing), EnvelopeError::Malformed),
            (signed_payload(|p| p.v = 2), EnvelopeError::Malformed),
            (signed_payload(|p| p.seq = Seq(0)), EnvelopeError::NoSuchPlace { seq: Seq(0) }),
            (signed_payload(|p| p.seq = Seq(u64::MAX)), EnvelopeError::NoSuchPlace { seq: Seq(u64::MAX) }),
            (signed_payload(|p| p.seq = Seq(1 << 63)), EnvelopeError::NoSuchPlace { seq: Seq(1 << 63) }),
            // The greatest that is allowed gets further: only its hash is not right here.
            (signed_payload(|p| p.seq = Seq::MAX), EnvelopeError::WrongHash),
            (signed_payload(|p| p.device = DeviceId::new("door-2").expect("valid")), EnvelopeError::OtherDevice),
            (signed_payload(|p| p.sealed.clear()), EnvelopeError::Open(OpenError::Closed)),
            (signed_payload(|p| p.sealed = stranger.seal(b"x")), EnvelopeError::Open(OpenError::Closed)),
            (signed_payload(|p| p.seq = Seq(2)), EnvelopeError::WrongHash),
            (signed_payload(|p| p.prev = [1; 32]), EnvelopeError::WrongHash),
        ] {
            assert_eq!(decode(&bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(decode(&bytes), Err(EnvelopeError::NotSigned));
        }

        #[test]
        fn any_signed_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(decode(&signed::sign(PURPOSE, &key(), bytes)), Err(EnvelopeError::Malformed));
        }
    }
}
