//! What follows from the events: how often a card failed in a row, and who is inside.
//!
//! It never decides what follows from that: lock-out and its pauses are the session's policy.

use rusqlite::params;

use super::{EventError, EventStore};
use crate::domain::{CardPseudonym, Decision, Event, EventKind, ExamId, History, StudentId, Verification};

/// What the projections need of one event.
pub(super) struct Projected<'a> {
    pub(super) exam: &'a ExamId,
    pub(super) student: Option<&'a StudentId>,
    pub(super) card: Option<&'a CardPseudonym>,
    /// `admitted`, `failed` (to match), or nothing that counts.
    pub(super) effect: Option<&'static str>,
}

impl<'a> Projected<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        match &event.kind {
            EventKind::Verification(Verification { exam, student, card, decision, .. }) => Self {
                exam,
                student: student.as_ref(),
                card: card.as_ref(),
                effect: match decision {
                    Decision::Admit => Some("admitted"),
                    Decision::Deny(reason) | Decision::Refer(reason) => reason.is_failed_match().then_some("failed"),
                },
            },
        }
    }
}

impl EventStore {
    /// How often `card` failed to match since it was last admitted. Survives restarts: it is read from the events.
    ///
    /// # Errors
    /// When the database fails.
    pub fn history(&self, card: &CardPseudonym) -> Result<History, EventError> {
        let read = || {
            self.sealed
                .connection()
                .prepare_cached(
                    "SELECT failed, (SELECT at FROM events WHERE seq = last)
                     FROM (SELECT count(*) AS failed, max(seq) AS last FROM events
                           WHERE card = ?1 AND effect = 'failed' AND seq > coalesce(
                               (SELECT max(seq) FROM events WHERE card = ?1 AND effect = 'admitted'), 0))",
                )?
                .query_row(params![card.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))
        };
        let (failed_in_a_row, last) = read().map_err(self.sealed.fault("read a card's history"))?;
        let last_failed_at = last.map(|at| at.parse()).transpose();
        let last_failed_at = last_failed_at.map_err(|_| EventError::Nonsense { what: "the time of an event" })?;
        Ok(History { failed_in_a_row, last_failed_at })
    }

    /// Whether this box admitted `student` to `exam`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_admitted(&self, exam: &ExamId, student: &StudentId) -> Result<bool, EventError> {
        let read = || {
            self.sealed
                .connection()
                .prepare_cached("SELECT 1 FROM events WHERE exam = ?1 AND student = ?2 AND effect = 'admitted'")?
                .exists([exam.as_str(), student.as_str()])
        };
        Ok(read().map_err(self.sealed.fault("read who is inside"))?)
    }
}
