//! An exam's roster to one bundle a room, and to the manifest of one box. Pure: no disk, no clock, no broker.

use std::collections::HashSet;

use examgate::{
    domain::{
        DeviceId, EmbeddingSpaceId, Exam, ExamId, PepperCheck, Proctor, RoomId, RosterEntry, Template, TemplateForm,
        Timestamp,
    },
    wire::{
        bundle::{Bundle, BundleError, Difference, WITH_FORMS},
        chunk::{self, ChunkError, Cut},
        desired::{Desired, MAX_ERASED, Wanted, WantedDifference},
        seal::Recipient,
    },
};
use zeroize::Zeroizing;

use crate::stock::Edition;

/// Why a room's roster cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Nobody sits there.
    #[error("nobody of {exam} sits in {room}: see the room's name in the imported table")]
    NobodySits {
        /// The exam.
        exam: ExamId,
        /// The room.
        room: RoomId,
    },
    /// The roster is no bundle.
    #[error("the roster of {room} cannot be sent")]
    Bundle {
        /// The room.
        room: RoomId,
        /// Why.
        source: BundleError,
    },
    /// The bundle is too large.
    #[error("the roster of {room} cannot be cut in pieces")]
    Cut {
        /// The room.
        room: RoomId,
        /// Why.
        source: ChunkError,
    },
}

/// An exam's roster as it was imported. All its proctors may sign in at every door.
pub struct Imported {
    /// The exam and the version.
    pub exam: Exam,
    /// Everybody, in all rooms.
    pub entries: Vec<(RosterEntry, Vec<Template>)>,
    /// Proctors with the hash of their PIN.
    pub proctors: Vec<(Proctor, Zeroizing<String>)>,
    /// Which pepper the cards were made into pseudonyms with.
    pub pepper: PepperCheck,
}

impl Imported {
    /// The bundle of one room as every box reads it: its students, with their templates of `space` only.
    ///
    /// # Errors
    /// [`PushError::NobodySits`].
    pub fn bundle(&self, room: &RoomId, space: &EmbeddingSpaceId) -> Result<Bundle, PushError> {
        self.bundle_for(room, space, None)
    }

    /// The bundle of one room for a box whose net is of `space`, and that `reads` bundles up to this version, as it reports: with templates
    /// of all spaces in their short form, if it reads that, so that its net can be replaced meanwhile.
    ///
    /// # Errors
    /// [`PushError::NobodySits`].
    pub fn bundle_for(&self, room: &RoomId, space: &EmbeddingSpaceId, reads: Option<u64>) -> Result<Bundle, PushError> {
        let with_forms = reads.is_some_and(|version| version >= WITH_FORMS);
        let of_room = self.entries.iter().filter(|(entry, _)| entry.room == *room);
        let is_sent = |template: &&Template| with_forms || template.space == *space;
        let mut entries: Vec<(RosterEntry, Vec<Template>)> = of_room
            .map(|(entry, templates)| (entry.clone(), templates.iter().filter(is_sent).cloned().collect()))
            .collect();
        // The order that a difference counts in.
        entries.sort_by(|(a, _), (b, _)| a.student.id.cmp(&b.student.id));
        if entries.is_empty() {
            return Err(PushError::NobodySits { exam: self.exam.id.clone(), room: room.clone() });
        }
        Ok(Bundle {
            exam: self.exam.clone(),
            room: room.clone(),
            space: space.clone(),
            form: if with_forms { TemplateForm::SENT } else { TemplateForm::F32 },
            pepper: self.pepper,
            entries,
            proctors: self.proctors.clone(),
            peers: None,
        })
    }
}

/// Seals a bundle to one box and cuts it: what its manifest says of it, and the chunks.
///
/// # Errors
/// When it contradicts itself, or is larger than what travels.
pub fn seal(bundle: &Bundle, recipient: &Recipient, expires: Timestamp) -> Result<(Wanted, Cut), PushError> {
    let content = bundle.encode().map_err(|source| PushError::Bundle { room: bundle.room.clone(), source })?;
    let cut =
        chunk::cut(&recipient.seal(&content)).map_err(|source| PushError::Cut { room: bundle.room.clone(), source })?;
    let wanted = Wanted {
        exam: bundle.exam.id.clone(),
        version: bundle.exam.version,
        expires,
        space: bundle.space.clone(),
        whole: cut.whole,
        size: cut.size,
        index: cut.index,
        difference: None,
    };
    Ok((wanted, cut))
}

/// How many times shorter than the whole bundle a difference is at least: otherwise it is not worth a second way.
const SHORTER: u64 = 2;

/// The difference between the edition that a box holds and the one that it is to hold, sealed and cut: what the manifest says of it, and
/// the chunks. `None`: it would not be much shorter than the whole bundle, which is `size` bytes long.
///
/// # Errors
/// When it contradicts itself, or is larger than what travels.
pub fn seal_difference(
    (held, next): (&Edition, &Edition),
    bundle: &Bundle,
    size: u64,
    recipient: &Recipient,
) -> Result<Option<(WantedDifference, Cut)>, PushError> {
    let refused = |source| PushError::Bundle { room: bundle.room.clone(), source };
    let [before, after]: [HashSet<_>; 2] = [held, next].map(|edition| edition.marks().iter().collect());
    let base = (held.version, held.whole);
    let kept = |place: usize| after.contains(&held.marks()[place]);
    let is_new = |place: usize| next.marks().get(place).is_none_or(|mark| !before.contains(mark));
    let difference = Difference::to(bundle, base, held.marks().len(), kept, is_new).map_err(refused)?;
    let content = difference.encode().map_err(refused)?;
    if content.len() as u64 * SHORTER > size {
        return Ok(None);
    }
    let cut =
        chunk::cut(&recipient.seal(&content)).map_err(|source| PushError::Cut { room: bundle.room.clone(), source })?;
    let wanted =
        WantedDifference { base: held.version, from: held.whole, whole: cut.whole, size: cut.size, index: cut.index };
    Ok(Some((wanted, cut)))
}

/// The manifest of a box with one exam more, or in a newer version. What has expired by `now` is left out.
#[must_use]
pub fn with(before: Option<&Desired>, device: &DeviceId, floor: u64, wanted: Wanted, now: Timestamp) -> Desired {
    let mut next = after(before, device, floor, now);
    next.erase.retain(|exam| *exam != wanted.exam);
    next.exams.retain(|held| held.exam != wanted.exam);
    next.exams.push(wanted);
    next
}

/// The manifest of a box without an exam, which it is to erase.
#[must_use]
pub fn without(before: Option<&Desired>, device: &DeviceId, floor: u64, exam: &ExamId, now: Timestamp) -> Desired {
    let mut next = after(before, device, floor, now);
    next.exams.retain(|held| held.exam != *exam);
    if !next.erase.contains(exam) {
        next.erase.push(exam.clone());
    }
    // The oldest were erased long ago, or their box is gone.
    let surplus = next.erase.len().saturating_sub(MAX_ERASED);
    next.erase.drain(..surplus);
    next
}

/// The same again, under the next serial; higher than `floor`, the serial that the box last reported.
fn after(before: Option<&Desired>, device: &DeviceId, floor: u64, now: Timestamp) -> Desired {
    let serial = before.map_or(0, |before| before.serial).max(floor).saturating_add(1);
    let exams = before.iter().flat_map(|before| &before.exams).filter(|wanted| wanted.expires > now).cloned().collect();
    let erase = before.map(|before| before.erase.clone()).unwrap_or_default();
    Desired { device: device.clone(), serial, exams, erase }
}

#[cfg(test)]
mod tests {
    use examgate::{
        domain::{ArtifactId, CardPseudonym, Embedding, ExamWindow, RosterVersion, Student, StudentId},
        store::Key,
        wire::{bundle::MAX_BUNDLE, digest::Digest, seal::Identity},
    };

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn template(space: &str) -> Template {
        Template {
            space: EmbeddingSpaceId::new(space),
            artifact: ArtifactId::from_bytes([1; 32]),
            embedding: Embedding::normalised(vec![1.0, 0.0]).unwrap(),
        }
    }

    fn imported() -> Imported {
        let entry = |n: u8, room: &str, spaces: &[&str]| {
            let student = Student::new(StudentId::new(format!("N{n}")).unwrap(), "Ada");
            let (card, room) = (CardPseudonym::from_bytes([n; 32]), RoomId::new(room).unwrap());
            let entry = RosterEntry::new(student, card, room);
            (entry, spaces.iter().map(|space| template(space)).collect())
        };
        Imported {
            exam: Exam {
                id: ExamId::new("MATH").unwrap(),
                title: "Mathematics".into(),
                window: ExamWindow { opens: time("2026-12-14T08:00:00Z"), closes: time("2026-12-14T11:00:00Z") },
                version: RosterVersion(4),
            },
            entries: vec![entry(1, "R-1", &["new", "old"]), entry(2, "R-2", &["old"]), entry(3, "R-1", &[])],
            proctors: vec![],
            pepper: PepperCheck::from_bytes([5; 16]),
        }
    }

    #[test]
    fn a_room_gets_its_own_students_and_templates_and_only_its_box_can_open_them() {
        let (room, space, door) = (RoomId::new("R-1").unwrap(), EmbeddingSpaceId::new("new"), Identity::generate());
        let bundle = imported().bundle(&room, &space).unwrap();
        let held: Vec<_> = bundle.entries.iter().map(|(entry, t)| (entry.student.id.as_str(), t.len())).collect();
        assert_eq!(held, [("N1", 1), ("N3", 0)]);
        let (wanted, cut) = seal(&bundle, &door.recipient(), time("2026-12-15T00:00:00Z")).unwrap();
        assert_eq!((wanted.version, wanted.whole, wanted.size), (RosterVersion(4), cut.whole, cut.size));
        let opened = door.open(&cut.chunks[1].1, MAX_BUNDLE).unwrap();
        assert!(Bundle::decode(&opened).unwrap() == bundle);
        assert!(Identity::generate().open(&cut.chunks[1].1, MAX_BUNDLE).is_err());
        // A box that says what it reads gets the templates of the net that it is about to get, too.
        let newest = imported().bundle_for(&room, &space, Some(WITH_FORMS)).unwrap();
        let held: Vec<_> = newest.entries.iter().map(|(entry, t)| (entry.student.id.as_str(), t.len())).collect();
        assert_eq!((held, newest.form), (vec![("N1", 2), ("N3", 0)], TemplateForm::SENT));
        assert!(imported().bundle_for(&room, &space, Some(WITH_FORMS - 1)).unwrap() == bundle);
        let nobody = imported().bundle(&RoomId::new("R-9").unwrap(), &space).err().map(|error| error.to_string());
        assert!(nobody.is_some_and(|text| text.contains("R-9")));
    }

    #[test]
    fn a_small_change_is_sealed_as_a_difference_and_a_large_one_is_not() {
        let (room, space, door) = (RoomId::new("R-1").unwrap(), EmbeddingSpaceId::new("new"), Identity::generate());
        let (mut before, key) = (imported(), Key::from_bytes([3; 32]));
        let (of_one, templates) = before.entries[0].clone();
        for n in 10..60_u8 {
            let mut entry = of_one.clone();
            entry.student.id = StudentId::new(format!("N{n}")).unwrap();
            entry.card.pseudonym = CardPseudonym::from_bytes([n; 32]);
            before.entries.push((entry, templates.clone()));
        }
        let bundle_of = |imported: &Imported| imported.bundle_for(&room, &space, Some(WITH_FORMS)).unwrap();
        let edition = |bundle: &Bundle, name: &[u8]| Edition::of(bundle, Digest::of(name), &key).unwrap();
        let first = bundle_of(&before);
        let held = edition(&first, b"first");
        let mut after = Imported { entries: before.entries.clone(), exam: before.exam.clone(), ..imported() };
        after.exam.version.0 += 1;
        after.entries.remove(7);
        after.entries[9].0.card.pseudonym = CardPseudonym::from_bytes([200; 32]);
        let second = bundle_of(&after);
        let (whole, _) = seal(&second, &door.recipient(), time("2026-12-15T00:00:00Z")).unwrap();
        let next = edition(&second, b"second");
        let sealed = seal_difference((&held, &next), &second, whole.size, &door.recipient()).unwrap();
        let (wanted, cut) = sealed.expect("a small change");
        assert_eq!((wanted.base, wanted.from, wanted.size), (held.version, held.whole, cut.size));
        assert!(wanted.size * 2 < whole.size, "{} of {}", wanted.size, whole.size);
        let read = Difference::decode(&door.open(&cut.chunks[1].1, MAX_BUNDLE).unwrap()).unwrap();
        assert_eq!((read.gone.len(), read.changed.entries.len()), (2, 1));
        assert!(read.apply(first.entries).unwrap() == second);

        // Everybody has another card.
        for (n, (entry, _)) in (0..).zip(&mut after.entries) {
            entry.card.pseudonym = CardPseudonym::from_bytes([n, 7].repeat(16).try_into().unwrap());
        }
        let third = bundle_of(&after);
        let next = edition(&third, b"third");
        assert_eq!(seal_difference((&held, &next), &third, whole.size, &door.recipient()).unwrap(), None);
    }

    #[test]
    fn a_manifest_follows_the_one_before_and_what_the_box_reported() {
        let (door, now) = (DeviceId::new("door-1").unwrap(), time("2026-12-13T00:00:00Z"));
        let wanted = |exam: &str, version, expires| Wanted {
            exam: ExamId::new(exam).unwrap(),
            version: RosterVersion(version),
            expires: time(expires),
            space: EmbeddingSpaceId::new("new"),
            whole: Digest::of(b"whole"),
            size: 1,
            index: Digest::of(b"index"),
            difference: None,
        };
        let (late, past) = ("2026-12-20T00:00:00Z", "2026-12-12T00:00:00Z");
        let first = with(None, &door, 0, wanted("OLD", 1, past), now);
        let second = with(Some(&first), &door, 0, wanted("MATH", 1, late), now);
        let third = with(Some(&second), &door, 7, wanted("MATH", 2, late), now);
        let listed: Vec<_> = third.exams.iter().map(|wanted| (wanted.exam.as_str(), wanted.version.0)).collect();
        assert_eq!((first.serial, second.serial, third.serial, listed), (1, 2, 8, vec![("MATH", 2)]));
        let fourth = without(Some(&third), &door, 7, &ExamId::new("MATH").unwrap(), now);
        assert_eq!((fourth.serial, fourth.exams.len(), fourth.erase.len()), (9, 0, 1));
        let again = with(Some(&fourth), &door, 7, wanted("MATH", 3, late), now);
        assert_eq!((again.exams.len(), again.erase.len()), (1, 0));
    }
}
