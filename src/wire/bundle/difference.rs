//! What changes the roster that a box holds into the next edition: a small bundle, version 1, sealed to the box like a whole one.
//!
//! It names the edition that it starts from, which of its students do not stay as they were, and the students who are new or
//! changed. The rest of the next edition is in it whole: exam, proctors, pepper, the other boxes. It says the digest of the bundle that comes out, so a
//! box that holds something else finds out before anything is written. Who was withdrawn is named by place only.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Bundle, BundleError, MAX_BUNDLE, MAX_STUDENTS};
use crate::{
    domain::{RosterEntry, RosterVersion, Template},
    wire::{cbor, digest::Digest},
};

/// A difference between two editions of one room's roster. Personal data: no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Difference {
    /// The version that it starts from.
    pub base: RosterVersion,
    /// The digest of the sealed bundle that the box holds that version by.
    pub from: Digest,
    /// The digest of the next edition's bundle, before it is sealed.
    pub result: Digest,
    /// Places of the students who are withdrawn or changed, in the order of student numbers, from 0, ascending.
    pub gone: Vec<u32>,
    /// The next edition, with its new and changed students only.
    pub changed: Bundle,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    base: RosterVersion,
    from: Digest,
    result: Digest,
    gone: Vec<u32>,
    #[serde(with = "cbor::bytes")]
    changed: Zeroizing<Vec<u8>>,
}

impl Difference {
    /// From an edition to `next`, both with students in the order of their numbers. `kept` says whether the student at this place of the
    /// edition before is in `next` just as before, `is_new` whether the student at this place of `next` was not.
    ///
    /// # Errors
    /// When `next` is no bundle.
    pub fn to(
        next: &Bundle,
        (base, from): (RosterVersion, Digest),
        students: usize,
        kept: impl Fn(usize) -> bool,
        is_new: impl Fn(usize) -> bool,
    ) -> Result<Self, BundleError> {
        let result = Digest::of(&next.encode()?);
        let gone = (0..students).filter(|&place| !kept(place)).filter_map(|place| u32::try_from(place).ok()).collect();
        let entries = next.entries.iter().enumerate().filter(|(place, _)| is_new(*place));
        let entries = entries.map(|(_, student)| student.clone()).collect();
        Ok(Self { base, from, result, gone, changed: Bundle { entries, ..without_students(next) } })
    }

    /// The bytes, to be sealed. Wiped when dropped.
    ///
    /// # Errors
    /// When it holds more than a bundle may, or contradicts itself.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        self.check()?;
        let Self { base, from, result, gone, changed } = self;
        let changed = changed.encode_any()?;
        let payload = Payload { v: 1, base: *base, from: *from, result: *result, gone: gone.clone(), changed };
        let bytes = Zeroizing::new(cbor::to_vec(&payload));
        if bytes.len() > MAX_BUNDLE { Err(BundleError::TooMuch { what: "changes" }) } else { Ok(bytes) }
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// When anything about it is otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::TooMuch { what: "bytes" });
        }
        let payload: Payload = cbor::from_slice(bytes).ok_or(BundleError::Malformed)?;
        if payload.v != 1 || *Zeroizing::new(cbor::to_vec(&payload)) != *bytes {
            return Err(BundleError::Malformed);
        }
        let Payload { v: _, base, from, result, gone, changed } = payload;
        let difference = Self { base, from, result, gone, changed: Bundle::decode_any(&changed)? };
        difference.check()?;
        Ok(difference)
    }

    /// The next edition, out of the students of the one before, in the order of their numbers.
    ///
    /// # Errors
    /// [`BundleError::Nonsense`], when they are not those that it was made for; or the result is no bundle.
    pub fn apply(&self, before: Vec<(RosterEntry, Vec<Template>)>) -> Result<Bundle, BundleError> {
        let gone: BTreeSet<usize> = self.gone.iter().map(|&place| place as usize).collect();
        if gone.last().is_some_and(|&last| last >= before.len()) {
            return Err(BundleError::Nonsense { what: "a student who is gone and was not there" });
        }
        let stays = before.into_iter().enumerate().filter(|(place, _)| !gone.contains(place));
        let mut entries: Vec<_> =
            stays.map(|(_, student)| student).chain(self.changed.entries.iter().cloned()).collect();
        entries.sort_by(|(a, _), (b, _)| a.student.id.cmp(&b.student.id));
        let next = Bundle { entries, ..without_students(&self.changed) };
        if Digest::of(&next.encode()?) != self.result {
            return Err(BundleError::Nonsense { what: "another edition than the difference leads to" });
        }
        Ok(next)
    }

    fn check(&self) -> Result<(), BundleError> {
        let is_ascending = self.gone.is_sorted_by(|a, b| a < b);
        if self.gone.len() > MAX_STUDENTS || !is_ascending || self.base >= self.changed.exam.version {
            return Err(BundleError::Nonsense { what: "a difference that leads nowhere" });
        }
        Ok(())
    }
}

/// All but the students.
fn without_students(bundle: &Bundle) -> Bundle {
    let Bundle { exam, room, space, form, pepper, entries: _, proctors, peers } = bundle;
    Bundle {
        exam: exam.clone(),
        room: room.clone(),
        space: space.clone(),
        form: *form,
        pepper: *pepper,
        entries: Vec::new(),
        proctors: proctors.clone(),
        peers: peers.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tests::{bundle, more},
        *,
    };
    use crate::domain::{StudentId, TemplateForm};

    const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/difference-v1.cbor");

    #[test]
    fn golden_difference() {
        let read = Difference::decode(GOLDEN).expect("of version 1");
        let changed = &read.changed.entries[0].0.student;
        assert_eq!((read.base, read.gone.as_slice(), changed.id.as_str()), (RosterVersion(3), &[1][..], "N2"));
        assert_eq!(read.encode().expect("it fits").as_slice(), GOLDEN);
    }

    fn sorted(mut bundle: Bundle) -> Bundle {
        bundle.entries.sort_by(|(a, _), (b, _)| a.student.id.cmp(&b.student.id));
        bundle
    }

    fn next_of(bundle: &Bundle) -> Bundle {
        let mut next = sorted(bundle.clone());
        next.exam.version.0 += 1;
        next
    }

    /// What the fleet's side does, by whole rows.
    fn between(before: &Bundle, next: &Bundle) -> Difference {
        let rows = |bundle: &Bundle| bundle.rows().map(|row| row.expect("fits").to_vec()).collect::<Vec<_>>();
        let (old, new) = (rows(before), rows(next));
        let base = (before.exam.version, Digest::of(b"sealed"));
        Difference::to(next, base, old.len(), |at| new.contains(&old[at]), |at| !old.contains(&new[at])).expect("fits")
    }

    #[test]
    fn a_student_more_one_less_and_a_new_card_make_the_next_edition() {
        let base = sorted(Bundle { form: TemplateForm::F16, ..more(bundle(40)) });
        let mut next = next_of(&base);
        let withdrawn = next.entries.remove(7).0.student.id;
        next.entries[20].0.card.pseudonym = crate::domain::CardPseudonym::from_bytes([222; 32]);
        next.entries.push(bundle(41).entries.pop().expect("a student"));
        let next = sorted(next);
        let difference = between(&base, &next);
        assert_eq!((difference.gone.len(), difference.changed.entries.len()), (2, 2));
        let bytes = difference.encode().expect("it fits");
        assert!(bytes.len() * 2 < next.encode().expect("fits").len());
        let named = withdrawn.as_str().as_bytes();
        assert!(!bytes.windows(named.len()).any(|window| window == named), "who was withdrawn is not named");
        let read = Difference::decode(&bytes).expect("its own");
        assert!(read == difference && read.apply(base.entries.clone()) == Ok(next.clone()));
        // As a box holds it: what it read of the bundle that it was sent.
        let held = Bundle::decode(&base.encode().expect("fits")).expect("its own");
        assert!(read.apply(held.entries) == Ok(next.clone()));

        // Nobody is new, and the last one is gone.
        let mut fewer = next_of(&next);
        fewer.entries.truncate(3);
        let difference = between(&next, &fewer);
        let read = Difference::decode(&difference.encode().expect("fits")).expect("its own");
        assert!(read.changed.entries.is_empty() && read.apply(next.entries) == Ok(fewer));
    }

    #[test]
    fn another_base_is_found_out() {
        let base = sorted(bundle(9));
        let mut next = next_of(&base);
        next.entries.remove(3);
        let difference = between(&base, &next);
        let mut other = base.entries.clone();
        other[5].0.student.given_name = "Somebody else".into();
        for (name, held) in [
            ("another name", other),
            ("one less", base.entries[..8].to_vec()),
            ("nobody", vec![]),
            ("few", base.entries[..2].to_vec()),
        ] {
            assert!(matches!(difference.apply(held), Err(BundleError::Nonsense { .. })), "{name}");
        }
        assert!(difference.apply(base.entries) == Ok(next));
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let base = sorted(bundle(9));
        let good = between(&base, &next_of(&base));
        type Harm<'a> = &'a dyn Fn(&mut Difference);
        let harms: [(&str, Harm<'_>); 5] = [
            ("not newer", &|d| d.base = d.changed.exam.version),
            ("twice", &|d| d.gone = vec![1, 1]),
            ("descending", &|d| d.gone = vec![2, 1]),
            ("many", &|d| d.gone = (0..=MAX_STUDENTS as u32).collect()),
            ("doors", &|d| d.changed.exam.window.closes = d.changed.exam.window.opens),
        ];
        for (name, harm) in harms {
            let mut harmed = good.clone();
            harm(&mut harmed);
            assert!(harmed.encode().is_err(), "{name}");
        }
        let bytes = good.encode().expect("fits");
        for (name, bytes) in
            [("longer", [&bytes[..], &[0]].concat()), ("shorter", bytes[1..].to_vec()), ("nothing", Vec::new())]
        {
            assert!(Difference::decode(&bytes) == Err(BundleError::Malformed), "{name}");
        }
    }

    proptest! {
        /// Any two editions: the difference, as it travels, makes the one into the other.
        #[test]
        fn any_edition_is_reached_from_any_other(
            here in prop::collection::btree_set(1_u32..60, 1..40),
            there in prop::collection::btree_set(1_u32..60, 1..40),
            changed in prop::collection::btree_set(1_u32..60, 0..6),
            form in prop_oneof![Just(TemplateForm::F16), Just(TemplateForm::I8)],
        ) {
            let all = more(bundle(60));
            let of = |numbers: &BTreeSet<u32>| {
                let is_in = |id: &StudentId| numbers.iter().any(|n| id.as_str() == format!("N{n}"));
                let entries = all.entries.iter().filter(|(entry, _)| is_in(&entry.student.id)).cloned().collect();
                sorted(Bundle { form, entries, ..all.clone() })
            };
            let (base, mut next) = (of(&here), next_of(&of(&there)));
            for (entry, _) in &mut next.entries {
                if changed.iter().any(|n| entry.student.id.as_str() == format!("N{n}")) {
                    entry.student.given_name.push('!');
                }
            }
            let bytes = between(&base, &next).encode().expect("fits");
            prop_assert!(Difference::decode(&bytes).expect("its own").apply(base.entries) == Ok(next));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Difference::decode(&bytes).is_err());
        }

        #[test]
        fn a_damaged_difference_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let base = sorted(bundle(5));
            let mut bytes = between(&base, &next_of(&base)).encode().expect("fits").to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= byte.max(1);
            if let Ok(read) = Difference::decode(&bytes) {
                let _ = read.apply(base.entries);
            }
        }
    }
}
