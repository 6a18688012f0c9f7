//! What a box should hold: the manifest, version 1, retained on its `desired` topic and signed by the fleet's roster key.
//!
//! COSE_Sign1 over a CBOR map `{v, device, serial, exams, erase}`. It names rosters by digest and holds none. The serial
//! rises with every manifest of a box, so an older one cannot be put in the place of a newer one.

use serde::{Deserialize, Serialize};

use super::{
    cbor,
    chunk::MAX_WHOLE,
    digest::Digest,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{DeviceId, EmbeddingSpaceId, ExamId, RosterVersion, Timestamp};

/// What the signature is for.
const PURPOSE: &str = "examgate/desired/v1";

/// Most exams that one box holds.
pub const MAX_EXAMS: usize = 32;

/// Most exams that one manifest has erased.
pub const MAX_ERASED: usize = 64;

/// Longest manifest, bytes: all exams with the longest names, and the signature.
pub const MAX_DESIRED: usize = 24 * 1024;

/// Longest name of an embedding space, bytes.
pub const MAX_SPACE: usize = 128;

/// Why bytes are not a manifest for this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesiredError {
    /// Longer than any manifest.
    #[error("longer than the {MAX_DESIRED} bytes of a manifest")]
    TooLong,
    /// Not signed by a roster key for this purpose; nothing in it is believed.
    #[error("not signed by a roster key that counts here; is it in the trust document or `roster_keys`?")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the fleet, but not a manifest of version 1; is the fleet's software newer than the box's?")]
    Malformed,
    /// For another box.
    #[error("a manifest for another box")]
    OtherDevice,
}

/// One exam that a box should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The exam.
    pub exam: ExamId,
    /// The version of its roster.
    pub version: RosterVersion,
    /// From when on it is of no use: it is not applied any more, and erased where it was.
    pub expires: Timestamp,
    /// The embedding space of its templates.
    pub space: EmbeddingSpaceId,
    /// The digest of the sealed bundle.
    pub whole: Digest,
    /// Its length, bytes.
    pub size: u64,
    /// The digest of the index of its chunks.
    pub index: Digest,
    /// A shorter way, for a box that holds the edition before; only in manifests of boxes that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<WantedDifference>,
}

/// What makes the edition that a box holds into the one it should hold: a small bundle. The whole one is there, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedDifference {
    /// The version that it starts from.
    pub base: RosterVersion,
    /// The digest of the sealed bundle that the box holds that version by.
    pub from: Digest,
    /// The digest of the sealed difference.
    pub whole: Digest,
    /// Its length, bytes.
    pub size: u64,
    /// The digest of the index of its chunks.
    pub index: Digest,
}

/// What one box should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The box.
    pub device: DeviceId,
    /// Higher than that of every manifest before; from 1.
    pub serial: u64,
    /// What to hold, each exam once.
    pub exams: Vec<Wanted>,
    /// What to erase, if it is held. None of `exams`.
    pub erase: Vec<ExamId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    device: DeviceId,
    serial: u64,
    exams: Vec<Wanted>,
    erase: Vec<ExamId>,
}

impl Desired {
    /// Signs the manifest.
    ///
    /// # Errors
    /// [`DesiredError::Malformed`] or [`DesiredError::TooLong`], when no box would take it.
    pub fn encode(&self, key: &SigningKey) -> Result<Vec<u8>, DesiredError> {
        if !self.makes_sense() {
            return Err(DesiredError::Malformed);
        }
        let Self { device, serial, exams, erase } = self.clone();
        let bytes = signed::sign(PURPOSE, key, cbor::to_vec(&Payload { v: 1, device, serial, exams, erase }));
        if bytes.len() > MAX_DESIRED { Err(DesiredError::TooLong) } else { Ok(bytes) }
    }

    /// Reads a manifest for `device`, signed by any of `keys`. Whether it is newer is for the plan to judge.
    ///
    /// ```
    /// use examgate::{
    ///     domain::DeviceId,
    ///     wire::{desired::{Desired, DesiredError}, keys::SigningKey},
    /// };
    ///
    /// let fleet = SigningKey::from_seed(&[9; 32]);
    /// let (door, other) = (DeviceId::new("door-7")?, DeviceId::new("door-8")?);
    /// let desired = Desired { device: door.clone(), serial: 1, exams: vec![], erase: vec![] };
    /// let bytes = desired.encode(&fleet).expect("it makes sense");
    /// assert_eq!(Desired::decode(&bytes, &door, &[fleet.public()]), Ok(desired));
    /// assert_eq!(Desired::decode(&bytes, &other, &[fleet.public()]), Err(DesiredError::OtherDevice));
    /// assert_eq!(Desired::decode(&bytes, &door, &[]), Err(DesiredError::NotSigned));
    /// # Ok::<(), examgate::domain::NotAnIdentifier>(())
    /// ```
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it, or it is for another box.
    pub fn decode(bytes: &[u8], device: &DeviceId, keys: &[PublicKey]) -> Result<Self, DesiredError> {
        if bytes.len() > MAX_DESIRED {
            return Err(DesiredError::TooLong);
        }
        let content = keys.iter().find_map(|key| signed::verify(PURPOSE, key, bytes)).ok_or(DesiredError::NotSigned)?;
        let payload: Payload = cbor::from_slice(&content).ok_or(DesiredError::Malformed)?;
        // One content has one form: what would be written otherwise was not written by the fleet's tools.
        if payload.v != 1 || cbor::to_vec(&payload) != content {
            return Err(DesiredError::Malformed);
        }
        let Payload { device: named, serial, exams, erase, .. } = payload;
        let desired = Self { device: named, serial, exams, erase };
        if !desired.makes_sense() {
            return Err(DesiredError::Malformed);
        }
        if desired.device != *device { Err(DesiredError::OtherDevice) } else { Ok(desired) }
    }

    fn makes_sense(&self) -> bool {
        let names = self.exams.iter().map(|wanted| &wanted.exam).chain(&self.erase);
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        let is_listed_once = names.windows(2).all(|pair| pair[0] != pair[1]);
        let fits = |wanted: &Wanted| {
            (1..=MAX_WHOLE as u64).contains(&wanted.size)
                && (1..=MAX_SPACE).contains(&wanted.space.as_str().len())
                && wanted.difference.as_ref().is_none_or(|difference| {
                    (1..=MAX_WHOLE as u64).contains(&difference.size) && difference.base < wanted.version
                })
        };
        self.serial > 0
            && is_listed_once
            && self.exams.len() <= MAX_EXAMS
            && self.erase.len() <= MAX_ERASED
            && self.exams.iter().all(fits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/desired-v1.cose");

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn door() -> DeviceId {
        DeviceId::new("door-1").expect("valid")
    }

    fn wanted(exam: &str) -> Wanted {
        Wanted {
            exam: ExamId::new(exam).expect("valid"),
            version: RosterVersion(3),
            expires: "2026-12-20T00:00:00Z".parse().expect("a time"),
            space: EmbeddingSpaceId::new("sface-128"),
            whole: Digest::of(b"whole"),
            size: 40_000,
            index: Digest::of(b"index"),
            difference: None,
        }
    }

    fn difference() -> WantedDifference {
        WantedDifference {
            base: RosterVersion(2),
            from: Digest::of(b"before"),
            whole: Digest::of(b"difference"),
            size: 900,
            index: Digest::of(b"its index"),
        }
    }

    #[test]
    fn a_manifest_may_name_a_shorter_way() {
        let mut shorter = desired();
        shorter.exams[0].difference = Some(difference());
        let bytes = shorter.encode(&key()).expect("it fits");
        assert_eq!(Desired::decode(&bytes, &door(), &[key().public()]), Ok(shorter));
    }

    fn desired() -> Desired {
        let erase = vec![ExamId::new("OLD").expect("valid")];
        Desired { device: door(), serial: 12, exams: vec![wanted("MATH-1"), wanted("BIO-2")], erase }
    }

    #[test]
    fn golden_manifest() {
        assert_eq!(desired().encode(&key()).expect("it fits"), GOLDEN);
        assert_eq!(
            Desired::decode(GOLDEN, &door(), &[SigningKey::from_seed(&[8; 32]).public(), key().public()]),
            Ok(desired())
        );
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let with = |change: &dyn Fn(&mut Desired)| {
            let mut changed = desired();
            change(&mut changed);
            let Desired { device, serial, exams, erase } = changed;
            signed::sign(PURPOSE, &key(), cbor::to_vec(&Payload { v: 1, device, serial, exams, erase }))
        };
        let exam = |n: usize| ExamId::new(format!("E{n}")).expect("valid");
        for (name, bytes, error) in [
            ("another key", desired().encode(&SigningKey::from_seed(&[8; 32])).expect("fits"), DesiredError::NotSigned),
            ("another purpose", signed::sign("examgate/event/v1", &key(), vec![]), DesiredError::NotSigned),
            ("another box", with(&|d| d.device = DeviceId::new("door-2").expect("valid")), DesiredError::OtherDevice),
            ("serial 0", with(&|d| d.serial = 0), DesiredError::Malformed),
            ("no size", with(&|d| d.exams[0].size = 0), DesiredError::Malformed),
            ("oversized", with(&|d| d.exams[0].size = MAX_WHOLE as u64 + 1), DesiredError::Malformed),
            (
                "from itself",
                with(&|d| {
                    d.exams[0].difference = Some(WantedDifference { base: d.exams[0].version, ..difference() });
                }),
                DesiredError::Malformed,
            ),
            (
                "an empty difference",
                with(&|d| {
                    d.exams[0].difference = Some(WantedDifference { size: 0, ..difference() });
                }),
                DesiredError::Malformed,
            ),
            ("twice", with(&|d| d.exams.push(wanted("BIO-2"))), DesiredError::Malformed),
            ("held and erased", with(&|d| d.erase.push(d.exams[0].exam.clone())), DesiredError::Malformed),
            ("many erased", with(&|d| d.erase = (0..=MAX_ERASED).map(exam).collect()), DesiredError::Malformed),
            ("too long", vec![0; MAX_DESIRED + 1], DesiredError::TooLong),
            ("cut short", GOLDEN[..100].to_vec(), DesiredError::NotSigned),
        ] {
            assert_eq!(Desired::decode(&bytes, &door(), &[key().public()]), Err(error), "{name}");
        }
    }

    #[test]
    fn the_longest_manifest_fits() {
        let exam = |n: usize| ExamId::new(format!("{n:064}")).expect("valid");
        let longest = |n| Wanted {
            exam: exam(n),
            version: RosterVersion(u64::MAX),
            space: EmbeddingSpaceId::new("s".repeat(MAX_SPACE)),
            size: MAX_WHOLE as u64,
            difference: Some(WantedDifference {
                base: RosterVersion(u64::MAX - 1),
                size: MAX_WHOLE as u64,
                ..difference()
            }),
            ..wanted("x")
        };
        let full = Desired {
            device: DeviceId::new("d".repeat(64)).expect("valid"),
            serial: u64::MAX,
            exams: (0..MAX_EXAMS).map(longest).collect(),
            erase: (100..100 + MAX_ERASED).map(exam).collect(),
        };
        assert!(full.encode(&key()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), signed in any::<bool>()) {
            let bytes = if signed { signed::sign(PURPOSE, &key(), bytes) } else { bytes };
            prop_assert!(Desired::decode(&bytes, &door(), &[key().public()]).is_err());
        }

        #[test]
        fn any_changed_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = GOLDEN.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Desired::decode(&bytes, &door(), &[key().public()]), Err(DesiredError::NotSigned));
        }
    }
}
