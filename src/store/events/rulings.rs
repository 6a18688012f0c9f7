//! Random mornings of taps, rulings and undos, held against a reference model that keeps the whole history.

use proptest::prelude::*;

use super::{
    tests::{Bench, at, event, exam},
    *,
};
use crate::domain::{
    Access, AccessStep, CardPseudonym, ClockTrust, Decision, Ground, History, NotUndoable, ProctorId, Reason, RoomId,
    Ruling, Shortfall, StudentId, Undo, Verdict, Whereabouts,
};

fn recorded(n: u64, second: u64, kind: EventKind) -> Event {
    Event {
        id: EventId(Uuid::from_u128(u128::from(n))),
        at: at(second),
        clock: ClockTrust::Synchronised,
        room: RoomId::new("room-1").unwrap(),
        kind,
    }
}

fn okafor() -> ProctorId {
    ProctorId::new("okafor").unwrap()
}

fn ruling(n: u64, second: u64, student: u8, verdict: Verdict) -> Event {
    recorded(
        n,
        second,
        EventKind::Ruling(Ruling {
            exam: exam("A"),
            student: StudentId::new(format!("N{student}")).unwrap(),
            card: CardPseudonym::from_bytes([student; 32]),
            proctor: okafor(),
            verdict,
            ground: verdict.grounds()[0],
            note: None,
            answer: None,
        }),
    )
}

fn undo(n: u64, second: u64, ruling: u64) -> Event {
    let ruling = EventId(Uuid::from_u128(u128::from(ruling)));
    recorded(n, second, EventKind::Undo(Undo { exam: exam("A"), proctor: okafor(), ruling }))
}

fn student(n: u8) -> StudentId {
    StudentId::new(format!("N{n}")).unwrap()
}

#[derive(Clone, Debug)]
enum Happening {
    Tap(u8, Decision),
    Ruling(u8, Verdict),
    /// Undo the event made so many events ago.
    Undo(u64),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let decision = prop_oneof![
        Just(Decision::Admit),
        Just(Decision::Deny(Reason::FaceMismatch)),
        Just(Decision::Refer(Reason::NoFace))
    ];
    let verdict = prop_oneof![Just(Verdict::Admit), Just(Verdict::AdmitByHand), Just(Verdict::Refuse)];
    prop_oneof![
        2 => (1_u8..3, decision).prop_map(|(student, decision)| Happening::Tap(student, decision)),
        2 => (1_u8..3, verdict).prop_map(|(student, verdict)| Happening::Ruling(student, verdict)),
        2 => (0_u64..5).prop_map(Happening::Undo),
        1 => prop_oneof![Just(1_u64), Just(30), Just(61)].prop_map(Happening::Pass),
    ]
}

/// Everything that was recorded, and what the rules make of it when read from the start.
#[derive(Default)]
struct Model {
    events: Vec<(u64, u64, Happening)>,
}

impl Model {
    fn is_undone(&self, ruling: u64) -> bool {
        self.events.iter().any(|(_, _, what)| matches!(what, Happening::Undo(of) if *of == ruling))
    }

    fn may_undo(&self, ruling: u64, second: u64) -> Result<(), NotUndoable> {
        let found = self.events.iter().find(|(n, _, what)| *n == ruling && matches!(what, Happening::Ruling(..)));
        let (_, ruled, _) = found.ok_or(NotUndoable::NoRuling)?;
        match (self.is_undone(ruling), second - ruled) {
            (true, _) => Err(NotUndoable::Already),
            (false, 0..=60) => Ok(()),
            (false, _) => Err(NotUndoable::TooLate),
        }
    }

    fn whereabouts(&self, student: u8) -> Whereabouts {
        let mut at = Whereabouts::Outside;
        let mut a_proctor_spoke = false;
        for (n, _, what) in &self.events {
            match what {
                Happening::Tap(who, Decision::Admit) if *who == student && !a_proctor_spoke => at = Whereabouts::Inside,
                Happening::Ruling(who, verdict) if *who == student && !self.is_undone(*n) => {
                    a_proctor_spoke = true;
                    at = if verdict.admits() { Whereabouts::Inside } else { Whereabouts::TurnedAway };
                }
                Happening::Tap(..) | Happening::Ruling(..) | Happening::Undo(_) | Happening::Pass(_) => {}
            }
        }
        at
    }

    fn failures(&self, card: u8) -> u32 {
        self.events.iter().fold(0, |failures, (n, _, what)| match what {
            Happening::Tap(who, Decision::Admit) if *who == card => 0,
            Happening::Ruling(who, verdict) if *who == card && verdict.admits() && !self.is_undone(*n) => 0,
            Happening::Tap(who, Decision::Deny(_)) if *who == card => failures + 1,
            Happening::Tap(..) | Happening::Ruling(..) | Happening::Undo(_) | Happening::Pass(_) => failures,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_is_inside_follows_from_all_events(morning in prop::collection::vec(happening(), 1..30)) {
        let bench = Bench::new();
        let mut store = bench.open();
        let (mut model, mut n, mut second) = (Model::default(), 0, 0);
        for happening in morning {
            n += 1;
            let (recorded, happening) = match happening {
                Happening::Pass(seconds) => {
                    second += seconds;
                    continue;
                }
                Happening::Tap(who, decision) => {
                    let mut event = event(n, "A", who, decision);
                    event.at = at(second);
                    (store.record(&event), happening)
                }
                Happening::Ruling(who, verdict) => (store.record(&ruling(n, second, who, verdict)), happening),
                Happening::Undo(back) => {
                    let of = n.saturating_sub(back);
                    let (allowed, answer) = (model.may_undo(of, second), store.record(&undo(n, second, of)));
                    match (allowed, answer) {
                        (Ok(()), Ok(recorded)) => (Ok(recorded), Happening::Undo(of)),
                        (Err(why), Err(EventError::NotUndoable { source, .. })) if why == source => continue,
                        (allowed, answer) => return Err(TestCaseError::fail(format!("{allowed:?}, but {answer:?}"))),
                    }
                }
            };
            recorded.unwrap();
            model.events.push((n, second, happening));
            for who in 1..3 {
                prop_assert_eq!(store.whereabouts(&exam("A"), &student(who)).unwrap(), model.whereabouts(who));
                let card = CardPseudonym::from_bytes([who; 32]);
                prop_assert_eq!(store.history(&[card]).unwrap().failed_in_a_row, model.failures(who));
            }
        }
        store.verify_chain().unwrap();
    }
}

#[test]
fn an_undo_is_of_the_same_exam_and_of_a_ruling() {
    let bench = Bench::new();
    let mut store = bench.open();
    store.record(&event(1, "A", 1, Decision::Admit)).unwrap();
    let mut elsewhere = ruling(2, 2, 1, Verdict::Refuse);
    if let EventKind::Ruling(ruling) = &mut elsewhere.kind {
        ruling.exam = exam("B");
    }
    store.record(&elsewhere).unwrap();
    for of in [1, 2, 99] {
        let refused = store.record(&undo(3, 3, of));
        let why = NotUndoable::NoRuling;
        assert!(matches!(&refused, Err(EventError::NotUndoable { source, .. }) if *source == why), "{of}: {refused:?}");
    }
    assert_eq!(store.ends().unwrap().last, Seq(2), "nothing was recorded");
}

#[test]
fn an_exams_events_are_its_own_and_those_of_the_console() {
    let bench = Bench::new();
    let mut store = bench.open();
    store.record(&event(1, "A", 1, Decision::Admit)).unwrap();
    store.record(&event(2, "B", 1, Decision::Admit)).unwrap();
    let from = "192.0.2.7".parse().unwrap();
    let access = Access { proctor: None, from, step: AccessStep::Refused { times: 3 } };
    store.record(&recorded(3, 3, EventKind::Access(access.clone()))).unwrap();
    store.record(&ruling(4, 4, 1, Verdict::Refuse)).unwrap();
    let of = |after| store.of_exam(&exam("A"), Seq(after)).unwrap().iter().map(|row| row.seq.0).collect::<Vec<_>>();
    assert_eq!((of(0), of(3)), (vec![1, 3, 4], vec![4]));
    let rows = store.of_exam(&exam("A"), Seq(2)).unwrap();
    assert_eq!(rows[0].event().unwrap().kind, EventKind::Access(access), "it reads back as it was written");
}

#[test]
fn an_admission_by_a_proctor_ends_a_cards_pause() {
    let bench = Bench::new();
    let mut store = bench.open();
    let card = CardPseudonym::from_bytes([1; 32]);
    for n in 1..4 {
        store.record(&event(n, "A", 1, Decision::Deny(Reason::FaceMismatch))).unwrap();
    }
    assert_eq!(store.history(&[card]).unwrap().failed_in_a_row, 3);
    assert!(Verdict::Admit.grounds().contains(&Ground::IdChecked));
    store.record(&ruling(4, 4, 1, Verdict::Admit)).unwrap();
    assert_eq!(store.history(&[card]).unwrap(), History::default());
}

#[test]
fn a_face_that_fell_short_counts_whatever_the_tap_ended_with() {
    let bench = Bench::new();
    let mut store = bench.open();
    let card = CardPseudonym::from_bytes([1; 32]);
    let fault = Decision::Refer(Reason::CameraFault);
    for (n, decision, worst, failures) in [
        (1, fault, None, 0),
        (2, fault, Some(Shortfall::Mismatch), 1),
        (3, Decision::Refer(Reason::NoFace), Some(Shortfall::Unanswered), 2),
        (4, Decision::Refer(Reason::NoFace), None, 2),
        (5, Decision::Admit, Some(Shortfall::Borderline), 0),
    ] {
        let mut tap = event(n, "A", 1, decision);
        let EventKind::Verification(verification) = &mut tap.kind else { panic!("{tap:?}") };
        verification.measured.worst = worst;
        store.record(&tap).unwrap();
        assert_eq!(store.history(&[card]).unwrap().failed_in_a_row, failures, "{decision} {worst:?}");
    }
}
