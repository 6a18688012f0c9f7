//! An exam's roster to one bundle a room, and to the manifest of one box. Pure: no disk, no clock, no broker.

use examgate::{
    domain::{
        DeviceId, EmbeddingSpaceId, Exam, ExamId, PepperCheck, Proctor, RoomId, RosterEntry, Template, Timestamp,
    },
    wire::{
        bundle::{Bundle, BundleError},
        chunk::{self, ChunkError, Cut},
        desired::{Desired, MAX_ERASED, Wanted},
        seal::Recipient,
    },
};
use zeroize::Zeroizing;

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
    /// The bundle of one room: its students, with their templates of `space` only.
    ///
    /// # Errors
    /// [`PushError::NobodySits`].
    pub fn bundle(&self, room: &RoomId, space: &EmbeddingSpaceId) -> Result<Bundle, PushError> {
        let of_room = self.entries.iter().filter(|(entry, _)| entry.room == *room);
        let entries: Vec<_> = of_room
            .map(|(entry, templates)| {
                (entry.clone(), templates.iter().filter(|template| template.space == *space).cloned().collect())
            })
            .collect();
        if entries.is_empty() {
            return Err(PushError::NobodySits { exam: self.exam.id.clone(), room: room.clone() });
        }
        Ok(Bundle {
            exam: self.exam.clone(),
            room: room.clone(),
            space: space.clone(),
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
    };
    Ok((wanted, cut))
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
        let nobody = imported().bundle(&RoomId::new("R-9").unwrap(), &space).err().map(|error| error.to_string());
        assert!(nobody.is_some_and(|text| text.contains("R-9")));
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
