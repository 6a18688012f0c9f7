//! What a box holds and what it misses, version 1: retained on its `reported` topic, signed by the box's signing key.
//!
//! COSE_Sign1 over a CBOR map. It names exams, versions and digests, and no person. An old report that somebody repeats
//! makes the fleet send chunks again, and no more.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    cbor,
    desired::{MAX_EXAMS, MAX_SPACE},
    digest::Digest,
    keys::{PublicKey, SigningKey},
    signed,
    trust::TrustError,
};
use crate::domain::{DeviceId, EmbeddingSpaceId, ExamId, RosterVersion, Timestamp};

/// What the signature is for.
const PURPOSE: &str = "examgate/reported/v1";

/// Most chunks asked for at a time: half a MiB.
pub const MAX_ASKED: usize = 16;

/// Longest report, bytes: all exams with the longest names, all digests, and the signature.
pub const MAX_REPORTED: usize = 12 * 1024;

/// Longest recipient, bytes; `age1…` has 62.
const MAX_RECIPIENT: usize = 128;

/// Why bytes are not a report of this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportedError {
    /// Longer than any report.
    #[error("longer than the {MAX_REPORTED} bytes of a report")]
    TooLong,
    /// Not signed by this box's enrolled key for this purpose; nothing in it is believed.
    #[error("not signed as a report by this box's enrolled key; if the box was set up anew, enrol its new key")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the box, but not a report of version 1; is the box's software newer than the fleet's?")]
    Malformed,
    /// The box signed another name than the topic's.
    #[error("the report names another box than its topic")]
    OtherDevice,
}

/// Why a box refused what the fleet wants it to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The manifest is not signed by a roster key that the box knows.
    NotSigned,
    /// The manifest is not of this shape.
    Malformed,
    /// The manifest is for another box.
    OtherDevice,
    /// An older manifest than the one in force, or another one of the same serial.
    Replayed,
    /// A roster version below the one held.
    RolledBack,
    /// The version held, with other content.
    Conflicting,
    /// Templates of another embedding space than the box's.
    OtherSpace,
    /// Its time is over.
    Expired,
    /// The pieces are not what the manifest names, or its bundle cannot be read.
    Damaged,
    /// The bundle is of a newer version than the box reads.
    NewerBundle,
    /// The bundle is sealed to a prekey that the box has destroyed, or that was never its own.
    OtherPrekey,
    /// The bundle is for another exam, version, room or space than the manifest or the box says.
    Mismatched,
    /// Cards made into pseudonyms with another pepper than the box's.
    OtherPepper,
    /// The box could not store it; it tries again.
    Storage,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSigned => "not signed by a roster key that the box knows: see whether it has the newest trust document (`device list --stock`), or `roster_keys` in its [fleet]",
            Self::Malformed => "not a manifest that the box can read: is its software older than the fleet's?",
            Self::OtherDevice => "made for another box: somebody moved it; see who may write to the broker",
            Self::Replayed => "an older manifest came in the place of a newer one: see who may write to the broker, then push again",
            Self::RolledBack => "the box holds a newer version: raise the version and push again",
            Self::Conflicting => "the box holds this version with other content: raise the version and push again",
            Self::OtherSpace => "templates of another embedding space than the box's net makes: import again with the box's models",
            Self::Expired => "its time is over: push again with a later --expires; if it is not, mend the box's clock",
            Self::Damaged => "what came is not what the manifest names, or the box cannot read it: push again with `--again`; if that does not help, its software may be older than the fleet's: update the box",
            Self::NewerBundle => "the roster says more than the box's software can read, which is older than the fleet's: update the box, and it takes the roster by itself",
            Self::OtherPrekey => "it is sealed to a key that the box has destroyed since, or never had: push again; that seals it to the newest that the box reported",
            Self::Mismatched => "made for another room or exam than the manifest or the box's configuration says: push it to the right room",
            Self::OtherPepper => "its cards were made with another pepper than the box has: give the box the fleet's pepper.key",
            Self::Storage => "the box cannot store it and tries again: look at the box's log and disk",
        })
    }
}

/// An exam that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldExam {
    /// The exam.
    pub exam: ExamId,
    /// The version in force.
    pub version: RosterVersion,
    /// The digest of the sealed bundle it came in; `None`: imported on the box.
    pub whole: Option<Digest>,
}

/// The last thing refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Which exam of the manifest; `None`: the manifest as a whole.
    pub exam: Option<ExamId>,
    /// The version refused.
    pub version: Option<RosterVersion>,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a box refused a trust document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustRefusal {
    /// The box's root did not sign it.
    NotSigned,
    /// Signed by the root, but not a document that the box can read.
    Malformed,
    /// Of a lower version than the one held.
    Older,
    /// Another document of the version held.
    Forked,
    /// Of a higher version, but dated before the one held.
    DatedBack,
}

impl From<TrustError> for TrustRefusal {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::NotSigned => Self::NotSigned,
            TrustError::Older { .. } => Self::Older,
            TrustError::Forked { .. } => Self::Forked,
            TrustError::DatedBack { .. } => Self::DatedBack,
            TrustError::TooLong { .. }
            | TrustError::Malformed
            | TrustError::TooMany
            | TrustError::NotAKey { .. }
            | TrustError::Dates { .. }
            | TrustError::Labelled { .. }
            | TrustError::Twice { .. }
            | TrustError::Undated { .. } => Self::Malformed,
        }
    }
}

impl fmt::Display for TrustRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSigned => {
                "not signed by the root that the box knows: see who may write to the broker, and `root` in its [fleet]"
            }
            Self::Malformed => "not a document that the box can read: update the box",
            Self::Older => "older than the one that the box holds: see who may write to the broker",
            Self::Forked => "the root signed two documents of one version: make one more with `trust rotate`",
            Self::DatedBack => {
                "dated before the one that the box holds: set the clock where the root signs, and sign again"
            }
        })
    }
}

/// The trust document that a box holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldTrust {
    /// Its version; 0: there is none.
    pub version: u64,
    /// Why the last one that came was refused.
    pub refused: Option<TrustRefusal>,
}

/// What a box says it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The box.
    pub device: DeviceId,
    /// By the box's own clock.
    pub at: Timestamp,
    /// The serial of the manifest in force; 0: none.
    pub serial: u64,
    /// Whom bundles for this box are sealed to, `age1…`.
    pub recipient: String,
    /// The embedding space of its net.
    pub space: EmbeddingSpaceId,
    /// What it holds.
    pub held: Vec<HeldExam>,
    /// The chunks it wants next, at most [`MAX_ASKED`].
    pub missing: Vec<Digest>,
    /// What it refused since the manifest in force came.
    pub refused: Option<Refused>,
    /// The serial of the list of lost cards in force; `None`: there is none, or the box is of a version that does not say.
    pub lost_cards: Option<u64>,
    /// The trust document held; `None`: the box knows no root, or is of a version that does not say.
    pub trust: Option<HeldTrust>,
    /// The newest version of a bundle that the box reads; `None`: one below 4, the first that boxes say.
    pub reads: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    device: DeviceId,
    at: Timestamp,
    serial: u64,
    recipient: String,
    space: EmbeddingSpaceId,
    held: Vec<HeldExam>,
    missing: Vec<Digest>,
    refused: Option<Refused>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost_cards: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<HeldTrust>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reads: Option<u64>,
}

impl Reported {
    /// Signs the report. What is beyond the bounds is left out: held exams after [`MAX_EXAMS`], digests after [`MAX_ASKED`].
    #[must_use]
    pub fn encode(&self, key: &SigningKey) -> Vec<u8> {
        let Self { device, at, serial, recipient, space, mut held, mut missing, refused, lost_cards, trust, reads } =
            self.clone();
        held.truncate(MAX_EXAMS);
        missing.truncate(MAX_ASKED);
        signed::sign(
            PURPOSE,
            key,
            cbor::to_vec(&Payload {
                v: 1,
                device,
                at,
                serial,
                recipient,
                space,
                held,
                missing,
                refused,
                lost_cards,
                trust,
                reads,
            }),
        )
    }

    /// Reads a report of `device`, signed by its enrolled `key`.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it, or it is of another box.
    pub fn decode(bytes: &[u8], device: &DeviceId, key: &PublicKey) -> Result<Self, ReportedError> {
        if bytes.len() > MAX_REPORTED {
            return Err(ReportedError::TooLong);
        }
        let content = signed::verify(PURPOSE, key, bytes).ok_or(ReportedError::NotSigned)?;
        let payload: Payload = cbor::from_slice(&content).ok_or(ReportedError::Malformed)?;
        let fits = payload.v == 1
            && payload.held.len() <= MAX_EXAMS
            && payload.missing.len() <= MAX_ASKED
            && payload.recipient.len() <= MAX_RECIPIENT
            && payload.space.as_str().len() <= MAX_SPACE;
        if !fits || cbor::to_vec(&payload) != content {
            return Err(ReportedError::Malformed);
        }
        if payload.device != *device {
            return Err(ReportedError::OtherDevice);
        }
        let Payload { device, at, serial, recipient, space, held, missing, refused, lost_cards, trust, reads, .. } =
            payload;
        Ok(Self { device, at, serial, recipient, space, held, missing, refused, lost_cards, trust, reads })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/reported-v1.cose");

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn reported() -> Reported {
        let exam = |name: &str| ExamId::new(name).expect("valid");
        Reported {
            device: DeviceId::new("door-1").expect("valid"),
            at: "2026-12-13T18:00:00Z".parse().expect("a time"),
            serial: 12,
            recipient: "age1qqqq".into(),
            space: EmbeddingSpaceId::new("sface-128"),
            held: vec![HeldExam { exam: exam("MATH-1"), version: RosterVersion(3), whole: Some(Digest::of(b"whole")) }],
            missing: vec![Digest::of(b"chunk")],
            refused: Some(Refused {
                exam: Some(exam("BIO-2")),
                version: Some(RosterVersion(1)),
                reason: RefusalReason::RolledBack,
            }),
            lost_cards: None,
            trust: None,
            reads: None,
        }
    }

    #[test]
    fn golden_report() {
        assert_eq!(reported().encode(&key()), GOLDEN);
        assert_eq!(Reported::decode(GOLDEN, &reported().device, &key().public()), Ok(reported()));
    }

    #[test]
    fn a_report_says_which_list_of_lost_cards_is_in_force_and_what_the_box_reads() {
        let with_list = Reported { lost_cards: Some(7), reads: Some(3), ..reported() };
        let bytes = with_list.encode(&key());
        assert_eq!(Reported::decode(&bytes, &with_list.device, &key().public()), Ok(with_list));
    }

    #[test]
    fn a_report_says_which_trust_document_is_held_and_why_the_last_was_refused() {
        for refused in [None, Some(TrustRefusal::Forked)] {
            let with_trust = Reported { trust: Some(HeldTrust { version: 3, refused }), ..reported() };
            let bytes = with_trust.encode(&key());
            assert_eq!(Reported::decode(&bytes, &with_trust.device, &key().public()), Ok(with_trust));
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let door = reported().device;
        let other = Reported { device: DeviceId::new("door-2").expect("valid"), ..reported() };
        for (name, bytes, error) in [
            ("another box", other.encode(&key()), ReportedError::OtherDevice),
            ("another key", reported().encode(&SigningKey::from_seed(&[8; 32])), ReportedError::NotSigned),
            ("another purpose", signed::sign("examgate/event/v1", &key(), vec![]), ReportedError::NotSigned),
            (
                "a long recipient",
                Reported { recipient: "a".repeat(200), ..reported() }.encode(&key()),
                ReportedError::Malformed,
            ),
            ("too long", vec![0; MAX_REPORTED + 1], ReportedError::TooLong),
        ] {
            assert_eq!(Reported::decode(&bytes, &door, &key().public()), Err(error), "{name}");
        }
    }

    #[test]
    fn the_longest_report_fits() {
        let exam = |n: usize| ExamId::new(format!("{n:064}")).expect("valid");
        let held = |n| HeldExam { exam: exam(n), version: RosterVersion(u64::MAX), whole: Some(Digest::of(b"")) };
        let longest = Reported {
            device: DeviceId::new("d".repeat(64)).expect("valid"),
            recipient: "a".repeat(MAX_RECIPIENT),
            space: EmbeddingSpaceId::new("s".repeat(MAX_SPACE)),
            held: (0..2 * MAX_EXAMS).map(held).collect(),
            missing: vec![Digest::of(b""); 2 * MAX_ASKED],
            lost_cards: Some(u64::MAX),
            trust: Some(HeldTrust { version: u64::MAX, refused: Some(TrustRefusal::DatedBack) }),
            reads: Some(u64::MAX),
            ..reported()
        };
        let bytes = longest.encode(&key());
        assert!(Reported::decode(&bytes, &longest.device, &key().public()).is_ok(), "{} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), signed in any::<bool>()) {
            let bytes = if signed { signed::sign(PURPOSE, &key(), bytes) } else { bytes };
            prop_assert!(Reported::decode(&bytes, &reported().device, &key().public()).is_err());
        }
    }
}
