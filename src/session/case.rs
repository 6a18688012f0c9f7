//! One tap: whose it is, and what a face that matched comes to.
//!
//! It holds no picture and no evidence.

use std::time::Duration;

use super::{Enrolled, Lookup, Now, Tap};
use crate::domain::{
    Credential, Decision, EventId, Exam, ExamId, MonoTime, OtherRoom, Reason, RosterVersion, Seat, Student,
};

/// One tap, from its first moment to its event.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) event: EventId,
    pub(super) exam: (ExamId, RosterVersion),
    pub(super) tapped_at: MonoTime,
    pub(super) credential: Option<Credential>,
    pub(super) took: Option<Duration>,
    pub(super) student: Option<Student>,
    pub(super) seat: Option<Seat>,
    /// Whether a match does not tell the student from another one.
    pub(super) has_look_alike: bool,
    /// Where another box says that it let the student in.
    pub(super) other_room: Option<OtherRoom>,
}

impl Case {
    pub(super) fn new(now: Now, exam: &Exam, tap: Tap) -> Self {
        let (student, seat, has_look_alike) = match tap.lookup {
            Lookup::Enrolled(Enrolled { entry, .. }) => {
                (Some(entry.student), entry.seat, !entry.look_alikes.is_empty())
            }
            Lookup::Unknown | Lookup::Elsewhere | Lookup::Shared | Lookup::Proctor(_) | Lookup::Unavailable => {
                (None, None, false)
            }
        };
        let exam = (exam.id.clone(), exam.version);
        Self {
            event: tap.event,
            exam,
            tapped_at: now.mono,
            credential: tap.credential.ok(),
            took: tap.took,
            student,
            seat,
            has_look_alike,
            other_room: tap.other_room,
        }
    }

    /// What a face came to: a match of somebody who has a look-alike is for the proctor.
    pub(super) const fn judged(&self, decision: Decision) -> Decision {
        match decision {
            Decision::Admit if self.has_look_alike => Decision::Refer(Reason::LookAlike),
            decided @ (Decision::Admit | Decision::Deny(_) | Decision::Refer(_)) => decided,
        }
    }
}
