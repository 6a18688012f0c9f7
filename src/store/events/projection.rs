//! What follows from the events: how often a card failed in a row, and who is inside.
//!
//! It never decides what follows from that: lock-out and its pauses are the session's policy.

use rusqlite::{OptionalExtension, params};

use super::{EventError, EventStore};
use crate::domain::{
    CardPseudonym, Decision, Event, EventId, EventKind, ExamId, History, Ruling, StudentId, Verdict, Verification,
    Whereabouts,
};

/// What the projections need of one event.
#[derive(Default)]
pub(super) struct Projected<'a> {
    pub(super) exam: Option<&'a ExamId>,
    pub(super) student: Option<&'a StudentId>,
    pub(super) card: Option<&'a CardPseudonym>,
    /// What the box did: `admitted`, `failed` (to match), or nothing that counts.
    pub(super) effect: Option<&'static str>,
    /// What a proctor did.
    pub(super) ruling: Option<Verdict>,
    /// Which ruling a proctor took back.
    pub(super) undoes: Option<EventId>,
}

impl<'a> Projected<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        match &event.kind {
            EventKind::Verification(Verification { exam, student, card, decision, .. }) => Self {
                exam: Some(exam),
                student: student.as_ref(),
                card: card.as_ref(),
                effect: match decision {
                    Decision::Admit => Some("admitted"),
                    Decision::Deny(reason) | Decision::Refer(reason) => reason.is_failed_match().then_some("failed"),
                },
                ..Self::default()
            },
            EventKind::Ruling(Ruling { exam, student, card, verdict, .. }) => Self {
                exam: Some(exam),
                student: Some(student),
                card: Some(card),
                ruling: Some(*verdict),
                ..Self::default()
            },
            EventKind::Undo(undo) => Self { exam: Some(&undo.exam), undoes: Some(undo.ruling), ..Self::default() },
            EventKind::Access(_) => Self::default(),
        }
    }
}

/// A verdict's name in the database.
pub(super) const fn ruling_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Admit => "admit",
        Verdict::AdmitByHand => "admit_by_hand",
        Verdict::Refuse => "refuse",
    }
}

impl EventStore {
    /// How often `card` failed to match since it was last admitted, by the box or by a proctor. Survives restarts: it is read from the events.
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
                           WHERE card = ?1 AND effect = 'failed' AND seq > max(
                               coalesce((SELECT max(seq) FROM events WHERE card = ?1 AND effect = 'admitted'), 0),
                               coalesce((SELECT max(seq) FROM events AS ruled
                                         WHERE card = ?1 AND ruling IN ('admit', 'admit_by_hand') AND NOT EXISTS
                                             (SELECT 1 FROM events WHERE undoes = ruled.id)), 0)))",
                )?
                .query_row(params![card.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))
        };
        let (failed_in_a_row, last) = read().map_err(self.sealed.fault("read a card's history"))?;
        let last_failed_at = last.map(|at| at.parse()).transpose();
        let last_failed_at = last_failed_at.map_err(|_| EventError::Nonsense { what: "the time of an event" })?;
        Ok(History { failed_in_a_row, last_failed_at })
    }

    /// Where `student` of `exam` is: the last ruling that stands, or else what the box decided.
    ///
    /// # Errors
    /// When the database fails.
    pub fn whereabouts(&self, exam: &ExamId, student: &StudentId) -> Result<Whereabouts, EventError> {
        let connection = self.sealed.connection();
        let read = || {
            let last_word = connection
                .prepare_cached(
                    "SELECT ruling FROM events AS ruled WHERE exam = ?1 AND student = ?2 AND ruling IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM events WHERE undoes = ruled.id) ORDER BY seq DESC LIMIT 1",
                )?
                .query_row([exam.as_str(), student.as_str()], |row| row.get::<_, String>(0))
                .optional()?;
            let admitted = connection
                .prepare_cached("SELECT 1 FROM events WHERE exam = ?1 AND student = ?2 AND effect = 'admitted'")?
                .exists([exam.as_str(), student.as_str()])?;
            Ok((last_word, admitted))
        };
        let (last_word, admitted) = read().map_err(self.sealed.fault("read who is inside"))?;
        let known = |name: String| {
            let verdicts = [Verdict::Admit, Verdict::AdmitByHand, Verdict::Refuse];
            verdicts.into_iter().find(|verdict| ruling_name(*verdict) == name)
        };
        let last_word = last_word.map(|name| known(name).ok_or(EventError::Nonsense { what: "a ruling" }));
        Ok(Whereabouts::of(last_word.transpose()?, admitted))
    }
}
