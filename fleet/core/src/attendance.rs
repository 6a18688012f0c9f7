//! Who was in an exam, by what the doors recorded: every event of the exam folded per student, over all its rooms.
//!
//! Whether somebody is inside is told by [`Whereabouts::after`], as at the door. Events are taken in the order of their own times; a clock that
//! was not to be believed is said beside each.

use std::collections::BTreeMap;

use examgate::domain::{
    ClockTrust, Decision, Event, EventId, EventKind, ExamId, Passage, RoomId, StudentId, Timestamp, Verdict,
    Whereabouts,
};
use serde::Serialize;

/// What a box or a proctor decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Let in, by the box or against its answer.
    Admit,
    /// Denied by the box.
    Deny,
    /// Sent to the proctor by the box.
    Refer,
    /// Let in by a proctor, without a match.
    AdmitByHand,
    /// Asked to wait by a proctor.
    Refuse,
}

impl Decided {
    /// As JSON, tables and CSV say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Deny => "deny",
            Self::Refer => "refer",
            Self::AdmitByHand => "admit_by_hand",
            Self::Refuse => "refuse",
        }
    }
}

impl From<Decision> for Decided {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Admit => Self::Admit,
            Decision::Deny(_) => Self::Deny,
            Decision::Refer(_) => Self::Refer,
        }
    }
}

impl From<Verdict> for Decided {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Admit => Self::Admit,
            Verdict::AdmitByHand => Self::AdmitByHand,
            Verdict::Refuse => Self::Refuse,
        }
    }
}

/// One thing that happened to one student.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happening {
    /// When, by the door's clock.
    pub at: Timestamp,
    /// How far that clock could be believed.
    pub clock: ClockTrust,
    /// The room.
    pub room: RoomId,
    /// The box.
    pub device: String,
    /// The event that says so.
    pub event: EventId,
    /// What the box or the proctor decided.
    pub decided: Decided,
    /// The reason of the box, or the ground of the proctor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which proctor, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proctor: Option<String>,
    /// What the proctor wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The answer of the box that the proctor overruled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrules: Option<EventId>,
    /// Whether the ruling was taken back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// Whether the box's chain reaches the event without a gap. Otherwise see the incidents.
    pub confirmed: bool,
}

impl Happening {
    /// Whether it let the student in and was not taken back.
    #[must_use]
    pub fn admits(&self) -> bool {
        !self.undone && matches!(self.decided, Decided::Admit | Decided::AdmitByHand)
    }

    /// What it says of where the student is, unless it was taken back.
    fn passage(&self) -> Option<Passage> {
        let verdict = match (self.is_ruling(), self.decided) {
            (false, Decided::Admit) => return Some(Passage::AdmittedByBox),
            (true, Decided::Admit) => Verdict::Admit,
            (true, Decided::AdmitByHand) => Verdict::AdmitByHand,
            (true, Decided::Refuse) => Verdict::Refuse,
            (_, Decided::Deny | Decided::Refer) | (false, Decided::AdmitByHand | Decided::Refuse) => return None,
        };
        (!self.undone).then_some(Passage::Ruled { ruling: self.event, verdict })
    }

    /// Whether it is a proctor's.
    #[must_use]
    pub const fn is_ruling(&self) -> bool {
        self.proctor.is_some()
    }
}

/// One student.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attendee {
    /// Who.
    pub student: StudentId,
    /// Where, after all that happened.
    pub whereabouts: Whereabouts,
    /// In the order of their times.
    pub happenings: Vec<Happening>,
}

impl Attendee {
    /// What first let the student in.
    #[must_use]
    pub fn first_admission(&self) -> Option<&Happening> {
        self.happenings.iter().find(|happening| happening.admits())
    }

    /// What let the student in at each box by whose events they are inside, in the order of time: more than one where two boxes did not know of
    /// each other, or a proctor let in somebody whom another room has.
    #[must_use]
    pub fn standing_admissions(&self) -> Vec<&Happening> {
        let mut boxes: BTreeMap<&str, Vec<&Happening>> = BTreeMap::new();
        for happening in &self.happenings {
            boxes.entry(happening.device.as_str()).or_default().push(happening);
        }
        let standing = boxes.into_values().filter_map(|of_box| {
            let is_inside = Whereabouts::after(of_box.iter().filter_map(|one| one.passage())) == Whereabouts::Inside;
            of_box.into_iter().find(|one| is_inside && one.admits())
        });
        let mut standing: Vec<_> = standing.collect();
        standing.sort_by_key(|one| (one.at, one.event));
        standing
    }

    /// Whether a proctor and the box, or two proctors, disagreed.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.happenings.iter().any(|happening| happening.overrules.is_some() || happening.undone)
    }
}

/// The attendance of one exam.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attendance {
    /// Which exam.
    pub exam: ExamId,
    /// Everybody whom a door or a proctor decided about, by student number.
    pub students: Vec<Attendee>,
    /// Decisions about cards that belong to nobody on a roster.
    pub unknown_cards: u64,
    /// Events that this program cannot read, of any exam: a newer box wrote them.
    pub unreadable: u64,
}

/// Folds events into an attendance.
#[derive(Debug)]
pub struct Fold {
    exam: ExamId,
    happenings: BTreeMap<StudentId, Vec<(Happening, Option<Passage>)>>,
    rulings: BTreeMap<EventId, StudentId>,
    undone: Vec<EventId>,
    unknown_cards: u64,
    unreadable: u64,
}

/// A word of the wire, as it is written there.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Fold {
    /// Of no event yet.
    #[must_use]
    pub fn new(exam: ExamId) -> Self {
        Self {
            exam,
            happenings: BTreeMap::new(),
            rulings: BTreeMap::new(),
            undone: Vec::new(),
            unknown_cards: 0,
            unreadable: 0,
        }
    }

    /// Takes one event, of any exam, in any order. `body` is as recorded.
    pub fn take(&mut self, device: &str, confirmed: bool, body: &[u8]) {
        let Ok(Event { id, at, clock, room, kind }) = serde_json::from_slice::<Event>(body) else {
            self.unreadable += 1;
            return;
        };
        let happening = |decided, reason| Happening {
            at,
            clock,
            room,
            device: device.to_owned(),
            event: id,
            decided,
            reason,
            proctor: None,
            note: None,
            overrules: None,
            undone: false,
            confirmed,
        };
        match kind {
            EventKind::Verification(said) if said.exam == self.exam => {
                let Some(student) = said.student else {
                    self.unknown_cards += 1;
                    return;
                };
                let reason = said.decision.reason().map(|reason| reason.to_string());
                let passage = (said.decision == Decision::Admit).then_some(Passage::AdmittedByBox);
                let line = happening(said.decision.into(), reason);
                self.happenings.entry(student).or_default().push((line, passage));
            }
            EventKind::Ruling(ruling) if ruling.exam == self.exam => {
                self.rulings.insert(id, ruling.student.clone());
                let line = Happening {
                    proctor: Some(ruling.proctor.as_str().to_owned()),
                    note: ruling.note.map(String::from),
                    overrules: ruling.answer,
                    ..happening(ruling.verdict.into(), Some(word(&ruling.ground)))
                };
                let passage = Passage::Ruled { ruling: id, verdict: ruling.verdict };
                self.happenings.entry(ruling.student).or_default().push((line, Some(passage)));
            }
            EventKind::Undo(undo) if undo.exam == self.exam => self.undone.push(undo.ruling),
            EventKind::Verification(_)
            | EventKind::Ruling(_)
            | EventKind::Undo(_)
            | EventKind::Access(_)
            | EventKind::Commanded(_) => {}
        }
    }

    /// The attendance.
    #[must_use]
    pub fn finish(mut self) -> Attendance {
        let mut undoings: BTreeMap<StudentId, Vec<EventId>> = BTreeMap::new();
        for ruling in &self.undone {
            if let Some(student) = self.rulings.get(ruling) {
                undoings.entry(student.clone()).or_default().push(*ruling);
            }
        }
        let students = std::mem::take(&mut self.happenings).into_iter().map(|(student, mut lines)| {
            let undone = undoings.remove(&student).unwrap_or_default();
            // Stable, and ids of version 7 rise with time: two events of one instant keep one order everywhere.
            lines.sort_by_key(|(line, _)| (line.at, line.event));
            let passages = lines.iter().filter_map(|(_, passage)| *passage);
            let undos = undone.iter().map(|&ruling| Passage::Undone { ruling });
            let whereabouts = Whereabouts::after(passages.chain(undos));
            let happenings =
                lines.into_iter().map(|(line, _)| Happening { undone: undone.contains(&line.event), ..line });
            Attendee { student, whereabouts, happenings: happenings.collect() }
        });
        Attendance {
            students: students.collect(),
            exam: self.exam,
            unknown_cards: self.unknown_cards,
            unreadable: self.unreadable,
        }
    }
}

#[cfg(test)]
mod tests;
