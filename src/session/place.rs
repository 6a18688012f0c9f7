//! Tests: what a student's place on the roster says of their cards, of how they are verified, and of what they are told.

use super::{
    tables::{CLOSES, OPENS, door, enrolled, event, face, now, policy, recorded, tap},
    *,
};
use crate::domain::{
    Card, CardPseudonym, CardStanding, Continuity, History, Liveness, Matching, OtherRoom, RoomId, Seat, StudentId,
    Timestamp, Whereabouts,
};

/// Where another box says that it let the student in.
pub(super) fn other_room() -> OtherRoom {
    let at = Timestamp::from_second(OPENS + 30).expect("in range");
    OtherRoom { room: RoomId::new("S301").expect("valid"), at }
}

#[test]
fn only_the_card_that_was_tapped_counts_and_who_opted_out_is_referred() {
    let other = |standing| Card { pseudonym: CardPseudonym::from_bytes([8; 32]), standing };
    let opted_out = |e: &mut Enrolled| {
        (e.entry.matching, e.templates) = (Matching::None, TemplateStock::None);
    };
    type Change<'a> = &'a dyn Fn(&mut Enrolled);
    let cases: [(&str, Change<'_>, Option<Decision>); 6] = [
        ("another card is revoked", &|e| e.entry.other_cards = vec![other(CardStanding::Revoked)], None),
        (
            "this one is, and another is not",
            &|e| {
                e.entry.other_cards = vec![Card { standing: CardStanding::Revoked, ..e.entry.card }];
                e.entry.card = other(CardStanding::Active);
            },
            Some(Decision::Deny(Reason::CardRevoked)),
        ),
        ("none of theirs", &|e| e.entry.card = other(CardStanding::Active), Some(Decision::Deny(Reason::CardUnknown))),
        ("opted out", &opted_out, Some(Decision::Refer(Reason::OptedOut))),
        (
            "opted out, and there are templates",
            &|e| e.entry.matching = Matching::None,
            Some(Decision::Refer(Reason::OptedOut)),
        ),
        (
            "opted out, and inside",
            &|e| {
                opted_out(e);
                e.whereabouts = Whereabouts::Inside;
            },
            Some(Decision::Refer(Reason::AlreadyAdmitted)),
        ),
    ];
    for (name, change, expected) in cases {
        let mut enrolled = enrolled();
        change(&mut enrolled);
        let tap = Tap { lookup: Lookup::Enrolled(enrolled), ..tap(1) };
        let outputs = Session::new(policy(), door()).step(now(0), Input::CardTapped(tap));
        assert_eq!(recorded(outputs).map(|verification| verification.decision), expected, "{name}");
    }
}

#[test]
fn who_was_let_in_at_another_door_is_for_the_proctor_and_what_this_roster_denies_stays_denied() {
    type Change<'a> = &'a dyn Fn(&mut Tap);
    let enrolled_with = |change: &dyn Fn(&mut Enrolled)| {
        let mut enrolled = enrolled();
        change(&mut enrolled);
        Lookup::Enrolled(enrolled)
    };
    let already = Decision::Refer(Reason::AlreadyAdmitted);
    let elsewhere = Some(other_room());
    let cases: [(&str, Change<'_>, Decision, Option<OtherRoom>); 8] = [
        ("a good card", &|_| {}, already, elsewhere.clone()),
        ("a card of another room", &|t| t.lookup = Lookup::Unknown, already, elsewhere.clone()),
        ("a student of another exam too", &|t| t.lookup = Lookup::Elsewhere, already, elsewhere.clone()),
        (
            "inside here as well",
            &|t| t.lookup = enrolled_with(&|e| e.whereabouts = Whereabouts::Inside),
            already,
            elsewhere.clone(),
        ),
        ("opted out", &|t| t.lookup = enrolled_with(&|e| e.entry.matching = Matching::None), already, elsewhere),
        (
            "a revoked card",
            &|t| t.lookup = enrolled_with(&|e| e.entry.card.standing = CardStanding::Revoked),
            Decision::Deny(Reason::CardRevoked),
            None,
        ),
        (
            "turned away here",
            &|t| t.lookup = enrolled_with(&|e| e.whereabouts = Whereabouts::TurnedAway),
            Decision::Refer(Reason::TurnedAway),
            None,
        ),
        ("no answer of the store", &|t| t.lookup = Lookup::Unavailable, Decision::Refer(Reason::StorageFault), None),
    ];
    for (name, change, decision, told) in cases {
        let mut tap = Tap { other_room: Some(other_room()), ..tap(1) };
        change(&mut tap);
        let outputs = Session::new(policy(), door()).step(now(0), Input::CardTapped(tap));
        let verification = recorded(outputs).expect("settled at the tap: no face is looked at");
        assert_eq!((verification.decision, verification.other_room), (decision, told), "{name}");
    }
    let late = Now { wall: Timestamp::from_second(CLOSES).expect("in range"), ..now(0) };
    let tap = Tap { other_room: Some(other_room()), ..tap(1) };
    let verification = recorded(Session::new(policy(), door()).step(late, Input::CardTapped(tap))).expect("settled");
    assert_eq!((verification.decision, verification.other_room), (Decision::Deny(Reason::TooLate), None));
}

#[test]
fn who_opted_out_is_referred_also_when_the_camera_is_broken_and_no_capture_begins() {
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::EdgeFault(Fault::Camera));
    let mut enrolled = enrolled();
    enrolled.entry.matching = Matching::None;
    // Pauses are for those whose face is compared.
    let history = History { failed_in_a_row: 10, last_failed_at: Some(now(0).wall), proven: None };
    let tap = Tap { lookup: Lookup::Enrolled(enrolled), history, ..tap(1) };
    let outputs = session.step(now(1), Input::CardTapped(tap));
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::StartCapture { .. } | Output::Alarm(_))),
        "{outputs:?}"
    );
    let verification = recorded(outputs).expect("it is recorded");
    assert_eq!(verification.decision, Decision::Refer(Reason::OptedOut));
    assert!(!verification.is_failed_match() && verification.measured.liveness == Liveness::NotAssessed);
}

#[test]
fn who_is_admitted_is_greeted_as_they_wish_and_told_their_seat() {
    let mut session = Session::new(policy(), door());
    let mut enrolled = enrolled();
    enrolled.entry.student.preferred_name = Some("Lova".into());
    enrolled.entry.seat = Some(Seat::new("42").expect("a seat"));
    let _ = session.step(now(0), Input::CardTapped(Tap { lookup: Lookup::Enrolled(enrolled), ..tap(1) }));
    for t in [100, 200, 300, 400, 800] {
        let _ = session.step(now(t), Input::FaceObserved(face(t, 0.9, 0.9, Continuity::Same)));
    }
    let shown: Vec<_> = session.step(now(900), Input::Recorded { event: event(1) }).into_iter().collect();
    let (name, seat) = (Some("Lova".into()), Some(Seat::new("42").expect("a seat")));
    assert_eq!(shown[0], Output::Show(Answer::Decided { event: event(1), decision: Decision::Admit, name, seat }));
}

#[test]
fn a_match_of_somebody_with_a_look_alike_is_for_the_proctor_and_nothing_else_changes() {
    let looked_at = |twins: &[&str], similarity, liveness| {
        let mut session = Session::new(policy(), door());
        let mut enrolled = enrolled();
        enrolled.entry.look_alikes = twins.iter().map(|number| StudentId::new(*number).expect("valid")).collect();
        let _ = session.step(now(0), Input::CardTapped(Tap { lookup: Lookup::Enrolled(enrolled), ..tap(1) }));
        for t in (100..4_000).step_by(100) {
            let seen = face(t, similarity, liveness, Continuity::Same);
            if let Some(verification) = recorded(session.step(now(t), Input::FaceObserved(seen))) {
                return verification;
            }
        }
        // Whoever is too close to call is looked at again.
        for attempt in 1..=policy().attempts {
            let over = WakeReason::AttemptOver { event: event(1), attempt };
            let at = now(4_000 * u64::from(attempt));
            if let Some(verification) = recorded(session.step(at, Input::TimerFired(over))) {
                return verification;
            }
        }
        panic!("{similarity} and {liveness} come to nothing");
    };
    let match_of_a_twin = looked_at(&["N2"], 0.9, 0.9);
    assert_eq!(match_of_a_twin.decision, Decision::Refer(Reason::LookAlike));
    assert!(!match_of_a_twin.is_failed_match(), "it does not count against anybody");
    assert_eq!(match_of_a_twin.measured.similarity.map(|similarity| similarity.get()), Some(0.9));
    assert_eq!(looked_at(&[], 0.9, 0.9).decision, Decision::Admit);
    for (similarity, liveness) in [(0.1, 0.9), (0.4, 0.9), (0.9, 0.1)] {
        let [twin, other] = [&["N2"][..], &[]].map(|twins| looked_at(twins, similarity, liveness));
        assert_eq!(twin, other, "{similarity} {liveness}");
        assert!(twin.is_failed_match(), "{:?}", twin.decision);
    }
}
