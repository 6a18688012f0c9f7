//! Projections of the events: how often a card failed in a row, and whether a student is inside.
//!
//! It finds the events and never decides what they mean: who is inside is the domain's word, lock-out and its pauses are the session's
//! policy.

use rusqlite::params_from_iter;
use uuid::Uuid;

use super::{EventError, EventStore};
use crate::domain::{
    CardPseudonym, CredentialProfile, Decision, Event, EventId, EventKind, ExamId, History, Passage, Ruling, StudentId,
    Verdict, Verification, Whereabouts,
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
            EventKind::Verification(verification @ Verification { exam, student, card, decision, .. }) => Self {
                exam: Some(exam),
                student: student.as_ref(),
                card: card.as_ref(),
                effect: match decision {
                    Decision::Admit => Some("admitted"),
                    Decision::Deny(_) | Decision::Refer(_) => verification.is_failed_match().then_some("failed"),
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
            EventKind::Access(_) | EventKind::Commanded(_) => Self::default(),
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

fn verdict(name: &str) -> Option<Verdict> {
    [Verdict::Admit, Verdict::AdmitByHand, Verdict::Refuse].into_iter().find(|verdict| ruling_name(*verdict) == name)
}

impl EventStore {
    /// How often one student's `cards`, taken together, failed to match since any of them was last admitted, by the box or by a proctor.
    /// Survives restarts: it is read from the events.
    ///
    /// # Errors
    /// When the database fails.
    pub fn history(&self, cards: &[CardPseudonym]) -> Result<History, EventError> {
        let read = || {
            let places: Vec<_> = (1..=cards.len()).map(|n| format!("?{n}")).collect();
            let mine = format!("card IN ({})", places.join(", "));
            let sql = format!(
                "SELECT failed, (SELECT at FROM events WHERE seq = last)
                 FROM (SELECT count(*) AS failed, max(seq) AS last FROM events
                       WHERE {mine} AND effect = 'failed' AND seq > max(
                           coalesce((SELECT max(seq) FROM events WHERE {mine} AND effect = 'admitted'), 0),
                           coalesce((SELECT max(seq) FROM events AS ruled
                                     WHERE {mine} AND ruling IN ('admit', 'admit_by_hand') AND NOT EXISTS
                                         (SELECT 1 FROM events WHERE undoes = ruled.id)), 0)))"
            );
            self.sealed
                .connection()
                .prepare_cached(&sql)?
                .query_row(params_from_iter(cards.iter().map(CardPseudonym::as_bytes)), |row| {
                    Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))
                })
        };
        let (failed_in_a_row, last) = read().map_err(self.sealed.fault("read a card's history"))?;
        let last_failed_at = last.map(|at| at.parse()).transpose();
        let last_failed_at = last_failed_at.map_err(|_| EventError::Nonsense { what: "the time of an event" })?;
        Ok(History { failed_in_a_row, last_failed_at, proven: None })
    }

    /// The strongest way in which any of one student's `cards` was read when a face was looked at with it. It is read from the events, so
    /// it counts over restarts and exams.
    ///
    /// # Errors
    /// When the database fails.
    pub fn proven(&self, cards: &[CardPseudonym]) -> Result<Option<CredentialProfile>, EventError> {
        let read = || {
            let places: Vec<_> = (1..=cards.len()).map(|n| format!("?{n}")).collect();
            // An event is JSON in a BLOB, which is another thing to SQLite than JSON in a text.
            let sql = format!(
                "SELECT DISTINCT CAST(body AS TEXT) ->> '$.profile' FROM events WHERE card IN ({}) AND effect IS NOT NULL",
                places.join(", ")
            );
            self.sealed
                .connection()
                .prepare_cached(&sql)?
                .query_map(params_from_iter(cards.iter().map(CardPseudonym::as_bytes)), |row| {
                    row.get::<_, Option<String>>(0)
                })?
                .collect::<Result<Vec<_>, _>>()
        };
        let names = read().map_err(self.sealed.fault("read how a student's cards were read"))?;
        let known = |name: &str| CredentialProfile::ALL.into_iter().find(|profile| profile.name() == name);
        let profiles = names.iter().flatten().map(|name| known(name).ok_or(EventError::Nonsense { what: "a profile" }));
        Ok(profiles.collect::<Result<Vec<_>, _>>()?.into_iter().max())
    }

    /// Where `student` of `exam` is by the events; [`Whereabouts::after`] says what they mean.
    ///
    /// # Errors
    /// When the database fails.
    pub fn whereabouts(&self, exam: &ExamId, student: &StudentId) -> Result<Whereabouts, EventError> {
        let read = || {
            let mut query = self.sealed.connection().prepare_cached(
                "SELECT seq, id, NULL, 0 FROM events WHERE exam = ?1 AND student = ?2 AND effect = 'admitted'
                 UNION ALL
                 SELECT seq, id, ruling, EXISTS (SELECT 1 FROM events WHERE undoes = ruled.id) FROM events AS ruled
                 WHERE exam = ?1 AND student = ?2 AND ruling IS NOT NULL
                 ORDER BY 1",
            )?;
            query
                .query_map([exam.as_str(), student.as_str()], |row| {
                    Ok((
                        EventId(Uuid::from_bytes(row.get(1)?)),
                        row.get::<_, Option<String>>(2)?,
                        row.get::<_, bool>(3)?,
                    ))
                })?
                .collect::<Result<Vec<_>, _>>()
        };
        let mut passages = Vec::new();
        for (ruling, name, is_undone) in read().map_err(self.sealed.fault("read who is inside"))? {
            let Some(name) = name else {
                passages.push(Passage::AdmittedByBox);
                continue;
            };
            let verdict = verdict(&name).ok_or(EventError::Nonsense { what: "a ruling" })?;
            passages.push(Passage::Ruled { ruling, verdict });
            passages.extend(is_undone.then_some(Passage::Undone { ruling }));
        }
        Ok(Whereabouts::after(passages))
    }
}
