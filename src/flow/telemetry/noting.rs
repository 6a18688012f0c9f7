//! What the other drivers note for telemetry: a bounded queue that never makes anybody wait, and numbers only.
//!
//! Who a student is goes through a hash with a key that the process draws at its start and never tells: it serves to count different students,
//! and names nobody.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use crate::{
    domain::{
        Access, AccessStep, ArtifactId, Decision, Event, EventId, EventKind, Hint, Liveness, Ruling, Similarity,
        StudentId, Verdict, Verification,
    },
    session::Fault,
};

/// Notes that wait: far more than a door makes in the time that one message takes.
const WAITING: usize = 1024;

/// A student, as telemetry counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Someone(u64);

/// A stage of a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The card was looked up.
    Lookup,
    /// Tap to the first usable face.
    FirstFace,
    /// First usable face to the decision.
    Judgement,
    /// The event was put on disk.
    Record,
    /// From a frame's capture until it was looked at.
    Frame,
}

impl Stage {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::FirstFace => "first_face",
            Self::Judgement => "judgement",
            Self::Record => "record",
            Self::Frame => "frame",
        }
    }
}

/// A verification, without whose.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Its event.
    pub event: EventId,
    /// Whose it was, where a student is known.
    pub who: Option<Someone>,
    /// The answer.
    pub decision: Decision,
    /// Capture windows.
    pub attempts: u32,
    /// Tap to decision.
    pub since_tap: Duration,
    /// First usable frame to decision.
    pub since_first_usable_frame: Option<Duration>,
    /// To the student's own templates.
    pub similarity: Option<f32>,
    /// Score.
    pub liveness: Option<f32>,
    /// What computed the probe.
    pub artifact: Option<ArtifactId>,
}

/// Something that is counted.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// A verification was recorded.
    Verified(Box<Verified>),
    /// A ruling was recorded.
    Ruled {
        /// What the proctor decided.
        verdict: Verdict,
        /// The answer of the box that it overrules.
        over: Option<EventId>,
    },
    /// A ruling was taken back.
    Undone,
    /// Somebody came to the console or went; so often refused.
    Access {
        /// Refusals.
        refused: u32,
    },
    /// A command was recorded.
    Commanded,
    /// An event could not be recorded.
    Unrecorded,
    /// One stage of a tap took so long.
    Took(Stage, Duration),
    /// A student was told how to be seen better.
    Hinted(Hint),
    /// A student was asked to turn, for the first time in a verification.
    Challenged,
    /// A part broke.
    Broke(Fault),
    /// It works again.
    Mended(Fault),
    /// A probe was compared with templates of others.
    ComparedWithOthers {
        /// Whose probe.
        who: Someone,
        /// To each other student, the greatest.
        similarities: Vec<f32>,
    },
    /// The box shuts down.
    Stop,
}

#[derive(Debug)]
struct Queue {
    to: SyncSender<Noted>,
    key: RandomState,
    /// Notes taken and not counted yet.
    waiting: AtomicU64,
    lost: AtomicU64,
}

/// Where notes are taken. Without telemetry it takes none.
#[derive(Clone, Debug, Default)]
pub struct Noting(Option<Arc<Queue>>);

impl Noting {
    /// A queue of notes.
    #[must_use]
    pub fn new() -> (Self, Receiver<Noted>) {
        let (to, notes) = sync_channel(WAITING);
        let queue = Queue { to, key: RandomState::new(), waiting: AtomicU64::new(0), lost: AtomicU64::new(0) };
        (Self(Some(Arc::new(queue))), notes)
    }

    /// Takes a note, without waiting. One for which there is no room is counted as lost.
    pub fn note(&self, noted: Noted) {
        let Some(queue) = &self.0 else { return };
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        if queue.to.try_send(noted).is_err() {
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
            queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the counting after all that was noted before; waits for room.
    pub fn stop(&self) {
        if let Some(queue) = &self.0 {
            // Nobody counts any more.
            let _ = queue.to.send(Noted::Stop);
        }
    }

    /// A recorded event.
    pub fn recorded(&self, event: &Event) {
        if self.0.is_none() {
            return;
        }
        self.note(match &event.kind {
            EventKind::Verification(verification) => Noted::Verified(Box::new(self.verified(event.id, verification))),
            EventKind::Ruling(Ruling { verdict, answer, .. }) => Noted::Ruled { verdict: *verdict, over: *answer },
            EventKind::Undo(_) => Noted::Undone,
            EventKind::Access(Access { step: AccessStep::Refused { times }, .. }) => Noted::Access { refused: *times },
            EventKind::Access(Access { step: AccessStep::SignedIn | AccessStep::SignedOut, .. }) => {
                Noted::Access { refused: 0 }
            }
            EventKind::Commanded(_) => Noted::Commanded,
        });
    }

    fn verified(&self, event: EventId, verification: &Verification) -> Verified {
        let measured = &verification.measured;
        Verified {
            event,
            who: verification.student.as_ref().and_then(|student| self.someone(student)),
            decision: verification.decision,
            attempts: measured.attempts,
            since_tap: measured.since_tap,
            since_first_usable_frame: measured.since_first_usable_frame,
            similarity: measured.similarity.map(Similarity::get),
            liveness: match measured.liveness {
                Liveness::Scored { score, .. } => Some(score),
                Liveness::NotAssessed => None,
            },
            artifact: measured.artifact,
        }
    }

    /// The student, as telemetry counts them; `None` without telemetry.
    #[must_use]
    pub fn someone(&self, student: &StudentId) -> Option<Someone> {
        self.0.as_ref().map(|queue| Someone(queue.key.hash_one(student)))
    }

    /// One note was counted.
    pub(super) fn counted(&self) {
        if let Some(queue) = &self.0 {
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes that wait, and those that were lost since the start.
    pub(super) fn waiting_and_lost(&self) -> (u64, u64) {
        let read = |queue: &Arc<Queue>| (queue.waiting.load(Ordering::Relaxed), queue.lost.load(Ordering::Relaxed));
        self.0.as_ref().map_or((0, 0), read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_and_what_is_lost_is_counted() {
        let (noting, notes) = Noting::new();
        for _ in 0..WAITING + 3 {
            noting.note(Noted::Undone);
        }
        assert_eq!(noting.waiting_and_lost(), (WAITING as u64, 3));
        assert_eq!(notes.recv(), Ok(Noted::Undone));
        noting.counted();
        assert_eq!(noting.waiting_and_lost(), (WAITING as u64 - 1, 3));
        Noting::default().note(Noted::Undone);
    }

    #[test]
    fn a_student_is_counted_under_another_number_in_every_process() {
        let (one, _one) = Noting::new();
        let (other, _other) = Noting::new();
        let student = |id: &str| StudentId::new(id).unwrap();
        assert_eq!(one.someone(&student("N1")), one.someone(&student("N1")));
        assert_ne!(one.someone(&student("N1")), one.someone(&student("N2")));
        assert_ne!(one.someone(&student("N1")), other.someone(&student("N1")));
    }
}
