//! Stories of one morning, and that the order in which events come makes no difference.

use examgate::domain::{
    CardPseudonym, Decision, Ground, Note, ProctorId, Reason, Ruling, Undo, Verdict, sample::verified,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const EXAM: &str = "MATH-UA-120-final";

fn exam() -> ExamId {
    ExamId::new(EXAM).expect("valid")
}

fn by_proctor(number: u64, student: u8, verdict: Verdict, overrules: Option<u64>) -> Event {
    let mut event = verified(number, EXAM, Some(student), Decision::Admit);
    event.kind = EventKind::Ruling(Ruling {
        exam: exam(),
        student: StudentId::new(format!("N{student}")).expect("valid"),
        card: CardPseudonym::from_bytes([student; 32]),
        proctor: ProctorId::new("pat").expect("valid"),
        verdict,
        ground: Ground::IdChecked,
        note: Note::new("looked at twice").ok(),
        answer: overrules.map(|n| EventId(Uuid::from_u128(u128::from(n)))),
    });
    event
}

fn undo(number: u64, ruling: u64) -> Event {
    let mut event = verified(number, EXAM, None, Decision::Admit);
    event.kind = EventKind::Undo(Undo {
        exam: exam(),
        proctor: ProctorId::new("pat").expect("valid"),
        ruling: EventId(Uuid::from_u128(u128::from(ruling))),
    });
    event
}

fn folded(events: &[Event]) -> Attendance {
    let mut fold = Fold::new(exam());
    for event in events {
        fold.take("door-1", true, &serde_json::to_vec(event).expect("JSON"));
    }
    fold.finish()
}

fn morning() -> Vec<Event> {
    vec![
        verified(1, EXAM, Some(1), Decision::Admit),
        verified(2, EXAM, Some(2), Decision::Deny(Reason::FaceMismatch)),
        by_proctor(3, 2, Verdict::Admit, Some(2)),
        verified(4, EXAM, None, Decision::Deny(Reason::CardUnknown)),
        verified(5, "another-exam", Some(1), Decision::Deny(Reason::TooLate)),
        verified(6, EXAM, Some(3), Decision::Refer(Reason::PoorQuality(examgate::domain::QualityDefect::Blurred))),
        by_proctor(7, 1, Verdict::Refuse, Some(1)),
        undo(8, 7),
        by_proctor(9, 4, Verdict::AdmitByHand, None),
    ]
}

#[test]
fn a_morning_is_told_student_by_student() {
    let attendance = folded(&morning());
    let told: Vec<_> = attendance
        .students
        .iter()
        .map(|one| (one.student.as_str(), one.whereabouts, one.first_admission().map(|first| first.decided)))
        .collect();
    assert_eq!(
        told,
        [
            ("N1", Whereabouts::Inside, Some(Decided::Admit)),
            ("N2", Whereabouts::Inside, Some(Decided::Admit)),
            ("N3", Whereabouts::Outside, None),
            ("N4", Whereabouts::Inside, Some(Decided::AdmitByHand)),
        ]
    );
    assert_eq!(attendance.unknown_cards, 1);
    assert_eq!(attendance.students[0].happenings.len(), 2, "another exam's event is not told");
    assert!(attendance.students[0].is_disputed() && attendance.students[0].happenings[1].undone);
    assert!(attendance.students[1].is_disputed());
    assert_eq!(attendance.students[1].happenings[0].reason.as_deref(), Some("face_mismatch"));
    let ruling = &attendance.students[1].happenings[1];
    assert_eq!((ruling.proctor.as_deref(), ruling.note.as_deref()), (Some("pat"), Some("looked at twice")));
    assert!(!attendance.students[3].is_disputed());
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut fold = Fold::new(exam());
    fold.take("door-1", true, b"{\"kind\":\"of a newer box\"}");
    assert_eq!(fold.finish().unreadable, 1);
}

proptest! {
    #[test]
    fn the_order_in_which_events_come_makes_no_difference(order in Just(morning()).prop_shuffle()) {
        prop_assert_eq!(folded(&order), folded(&morning()));
    }
}
