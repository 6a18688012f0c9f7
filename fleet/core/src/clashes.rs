//! Students whom two boxes of one exam let in: as when the network was down between two rooms, and a card was passed on.
//!
//! It follows from the events alone, so it is found whenever the ledger is asked, and is gone once a proctor has taken one admission back.

use std::collections::BTreeMap;

use examgate::domain::{Event, EventKind, ExamId, StudentId};

use crate::attendance::{Fold, Happening};

/// The incident's name in lists.
pub const NAME: &str = "admitted_twice";

/// What it means and what to do.
pub const ADVICE: &str = "two boxes of one exam let this student in: one did not hear of the other in time, or a proctor decided so. See who sits in \
     each of the rooms; the proctor of the wrong one rules `left room`";

/// One student.
#[derive(Clone, Debug, PartialEq)]
pub struct Clash {
    /// The exam.
    pub exam: ExamId,
    /// Who.
    pub student: StudentId,
    /// What let the student in, one for each box, in the order of time.
    pub places: Vec<Happening>,
}

/// Folds events of all exams.
#[derive(Debug, Default)]
pub struct Clashes(BTreeMap<ExamId, Fold>);

impl Clashes {
    /// Takes one event, in any order, of any exam, or of `only` this one.
    pub fn take(&mut self, only: Option<&ExamId>, device: &str, confirmed: bool, body: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event>(body) else { return };
        let exam = match event.kind {
            EventKind::Verification(said) => said.exam,
            EventKind::Ruling(ruling) => ruling.exam,
            EventKind::Undo(undo) => undo.exam,
            EventKind::Access(_) | EventKind::Commanded(_) => return,
        };
        if only.is_none_or(|only| *only == exam) {
            self.0.entry(exam.clone()).or_insert_with(|| Fold::new(exam)).take(device, confirmed, body);
        }
    }

    /// Who was let in twice, by exam and student.
    #[must_use]
    pub fn finish(self) -> Vec<Clash> {
        let mut clashes = Vec::new();
        for (exam, fold) in self.0 {
            for attendee in fold.finish().students {
                let places: Vec<Happening> = attendee.standing_admissions().into_iter().cloned().collect();
                if places.len() > 1 {
                    clashes.push(Clash { exam: exam.clone(), student: attendee.student, places });
                }
            }
        }
        clashes
    }
}

#[cfg(test)]
mod tests {
    use examgate::domain::{
        CardPseudonym, Decision, EventId, Ground, ProctorId, Reason, RoomId, Ruling, Undo, Verdict, sample::verified,
    };
    use uuid::Uuid;

    use super::*;

    const EXAM: &str = "MATH-UA-120-final";

    fn exam() -> ExamId {
        ExamId::new(EXAM).expect("valid")
    }

    fn proctor() -> ProctorId {
        ProctorId::new("pat").expect("valid")
    }

    fn ruling(number: u64, student: u8, verdict: Verdict) -> Event {
        let mut event = verified(number, EXAM, Some(student), Decision::Admit);
        event.kind = EventKind::Ruling(Ruling {
            exam: exam(),
            student: StudentId::new(format!("N{student}")).expect("valid"),
            card: CardPseudonym::from_bytes([student; 32]),
            proctor: proctor(),
            verdict,
            ground: Ground::IdChecked,
            note: None,
            answer: None,
        });
        event
    }

    fn undo(number: u64, ruling: u64) -> Event {
        let mut event = verified(number, EXAM, None, Decision::Admit);
        let ruling = EventId(Uuid::from_u128(u128::from(ruling)));
        event.kind = EventKind::Undo(Undo { exam: exam(), proctor: proctor(), ruling });
        event
    }

    /// Who was let in twice, with the boxes.
    fn found(events: &[(&str, Event)]) -> Vec<(String, Vec<String>)> {
        let mut clashes = Clashes::default();
        for (device, event) in events {
            let mut event = event.clone();
            event.room = RoomId::new(format!("room-of-{device}")).expect("valid");
            clashes.take(None, device, true, &serde_json::to_vec(&event).expect("JSON"));
        }
        let boxes = |clash: &Clash| clash.places.iter().map(|place| place.device.clone()).collect();
        clashes.finish().iter().map(|clash| (clash.student.as_str().to_owned(), boxes(clash))).collect()
    }

    #[test]
    fn who_is_inside_by_the_events_of_two_boxes_is_found_until_one_is_taken_back() {
        let admit = |number, student| verified(number, EXAM, Some(student), Decision::Admit);
        let refused = verified(3, EXAM, Some(1), Decision::Refer(Reason::AlreadyAdmitted));
        let once = [("a", admit(1, 1)), ("b", admit(2, 2)), ("b", refused.clone())];
        assert!(found(&once).is_empty(), "the second box referred");
        let other_exam = verified(4, "another-exam", Some(1), Decision::Admit);
        assert!(found(&[&once[..], &[("b", other_exam)]].concat()).is_empty(), "another exam is another seat");

        let twice = [("b", admit(5, 1)), ("a", admit(1, 1)), ("a", admit(6, 1))];
        let both = [("N1".to_owned(), vec!["a".to_owned(), "b".to_owned()])];
        assert_eq!(found(&twice), both, "in the order of time, each box once");
        let by_ruling = [("a", admit(1, 1)), ("b", refused), ("b", ruling(5, 1, Verdict::Admit))];
        assert_eq!(found(&by_ruling), both);

        let settled = [&twice[..], &[("a", ruling(7, 1, Verdict::Refuse))]].concat();
        assert!(found(&settled).is_empty(), "one room let the student go");
        let unsettled = [&settled[..], &[("a", undo(8, 7))]].concat();
        assert_eq!(found(&unsettled), both, "that was undone");
        assert!(found(&[&by_ruling[..], &[("b", undo(8, 5))]].concat()).is_empty());
    }

    #[test]
    fn only_the_exam_that_is_asked_for_is_looked_at() {
        let mut clashes = Clashes::default();
        let other = ExamId::new("other").expect("valid");
        for (number, device) in [(1, "a"), (2, "b")] {
            let event = verified(number, EXAM, Some(1), Decision::Admit);
            clashes.take(Some(&other), device, true, &serde_json::to_vec(&event).expect("JSON"));
        }
        assert!(clashes.finish().is_empty());
    }
}
