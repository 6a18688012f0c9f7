//! What a tap keeps of the faces in it: ways to hide a failed match, and ways to be blamed for somebody else's.

use super::{
    tables::{door, event, face, faces, now, policy, recorded, tap},
    *,
};
use crate::domain::{Continuity, Observation};

/// What is seen, every 100 ms.
#[derive(Clone, Copy)]
enum Seen {
    /// The same face as before, so like the student, so live.
    Face(f32, f32),
    /// Another one.
    Another(f32, f32),
    Nobody,
    Several,
    /// The lens is covered until the camera counts as broken.
    Covered,
}

use Seen::{Another, Covered, Face, Nobody, Several};

/// Parts of a tap: so many frames of what is seen.
type Shown<'s> = &'s [(u64, Seen)];

const WRONG: (f32, f32) = (0.1, 0.9);
const SPOOF: (f32, f32) = (0.9, 0.2);
const NEAR: (f32, f32) = (0.4, 0.9);
const DOUBT: (f32, f32) = (0.9, 0.7);
const STUDENT: (f32, f32) = (0.9, 0.9);

fn observation(millis: u64, seen: Seen) -> Option<Observation> {
    Some(match seen {
        Face(similarity, liveness) => face(millis, similarity, liveness, Continuity::Same),
        Another(similarity, liveness) => face(millis, similarity, liveness, Continuity::Changed),
        Nobody => faces(millis, 0),
        Several => faces(millis, 2),
        Covered => return None,
    })
}

/// One tap: each part for so many frames; the last goes on until there is a decision.
fn play(parts: &[(u64, Seen)]) -> Verification {
    let mut session = Session::new(policy(), door());
    let mut timers = Vec::new();
    let mut frames = parts.iter().flat_map(|&(times, seen)| {
        let after = match seen {
            Another(similarity, liveness) => Face(similarity, liveness),
            Face(..) | Nobody | Several | Covered => seen,
        };
        std::iter::once(seen).chain((1..times).map(move |_| after))
    });
    let last = match parts.last().expect("at least one part").1 {
        Another(similarity, liveness) => Face(similarity, liveness),
        seen @ (Face(..) | Nobody | Several | Covered) => seen,
    };
    for step in 0..300_u64 {
        let millis = step * 100;
        let at = now(millis).mono;
        let mut inputs: Vec<_> =
            timers.extract_if(.., |(due, _)| *due <= at).map(|(_, reason)| Input::TimerFired(reason)).collect();
        inputs.push(match step {
            0 => Input::CardTapped(tap(1)),
            _ => {
                let seen = frames.next().unwrap_or(last);
                observation(millis, seen).map_or(Input::EdgeFault(Fault::Camera), Input::FaceObserved)
            }
        });
        // Another tap, of any card, and taking the card away end nothing.
        inputs.extend((step % 7 == 3).then(|| Input::CardTapped(tap(2))));
        inputs.extend((step % 7 == 5).then_some(Input::CardRemoved));
        for input in inputs {
            let outputs = session.step(now(millis), input);
            timers.extend(outputs.iter().filter_map(|output| {
                let Output::WakeAt(at, reason) = output else { return None };
                Some((*at, *reason))
            }));
            if let Some(verification) = recorded(outputs) {
                return verification;
            }
        }
    }
    panic!("no decision within 30 s");
}

fn shown((similarity, liveness): (f32, f32)) -> Seen {
    Face(similarity, liveness)
}

fn another((similarity, liveness): (f32, f32)) -> Seen {
    Another(similarity, liveness)
}

const MISMATCH: Decision = Decision::Deny(Reason::FaceMismatch);
const SUSPECTED: Decision = Decision::Refer(Reason::SpoofSuspected);

#[test]
fn no_trick_hides_a_failed_match() {
    let cases: [(&str, Shown<'_>, Decision, u32); 15] = [
        (
            "a wrong face, then another for a frame",
            &[(22, shown(WRONG)), (1, another(WRONG)), (1, Nobody)],
            MISMATCH,
            1,
        ),
        (
            "a spoof, then another face for a frame",
            &[(22, shown(SPOOF)), (1, another(WRONG)), (1, Nobody)],
            SUSPECTED,
            1,
        ),
        ("a wrong face, then a spoof", &[(10, shown(WRONG)), (9, another(SPOOF))], MISMATCH, 1),
        ("a wrong face, then the student", &[(22, shown(WRONG)), (1, another(STUDENT))], MISMATCH, 1),
        ("a spoof, then the student", &[(10, shown(SPOOF)), (1, another(STUDENT))], SUSPECTED, 1),
        ("a wrong face, then nobody", &[(10, shown(WRONG)), (1, Nobody)], MISMATCH, 1),
        ("a wrong face, then several", &[(10, shown(WRONG)), (1, Several)], MISMATCH, 1),
        (
            "a wrong face, then a hand over the lens",
            &[(22, shown(WRONG)), (1, Covered)],
            Decision::Refer(Reason::CameraFault),
            1,
        ),
        ("too close to call, then nobody", &[(24, shown(NEAR)), (1, Nobody)], Decision::Refer(Reason::FaceMismatch), 3),
        (
            "too close to call, then a hand over the lens",
            &[(30, shown(NEAR)), (1, Covered)],
            Decision::Refer(Reason::CameraFault),
            2,
        ),
        (
            "too close to call, then another who is",
            &[(10, shown(NEAR)), (9, another(NEAR)), (1, another(NEAR)), (1, Nobody)],
            Decision::Refer(Reason::FaceMismatch),
            3,
        ),
        ("too close to call, then a wrong face", &[(24, shown(NEAR)), (25, shown(WRONG))], MISMATCH, 2),
        (
            "a doubt, then another face for a frame, then nobody",
            &[(22, shown(DOUBT)), (1, another(WRONG)), (1, Nobody)],
            SUSPECTED,
            3,
        ),
        (
            "a doubt, then a hand over the lens",
            &[(30, shown(DOUBT)), (1, Covered)],
            Decision::Refer(Reason::CameraFault),
            2,
        ),
        ("a doubt that somebody else does not answer", &[(22, shown(DOUBT)), (1, another(STUDENT))], SUSPECTED, 3),
    ];
    for (name, parts, decision, attempts) in cases {
        let verification = play(parts);
        assert_eq!((verification.decision, verification.measured.attempts), (decision, attempts), "{name}");
        assert!(verification.is_failed_match(), "{name}");
        assert!(verification.measured.worst.is_some(), "{name}: the event says so");
    }
}

#[test]
fn somebody_who_walks_through_the_picture_is_nobodys_attempt() {
    let cases: [(&str, Shown<'_>, Decision); 7] = [
        ("a friend for a frame", &[(4, shown(STUDENT)), (1, another(WRONG)), (1, another(STUDENT))], Decision::Admit),
        (
            "a friend for half a second",
            &[(4, shown(STUDENT)), (6, another(WRONG)), (1, another(STUDENT))],
            Decision::Admit,
        ),
        (
            "a friend before the student comes",
            &[(6, shown(WRONG)), (25, Nobody), (1, another(STUDENT))],
            Decision::Admit,
        ),
        ("a portrait on the wall behind", &[(6, shown(SPOOF)), (1, another(STUDENT))], Decision::Admit),
        (
            "the student's first window was too close to call",
            &[(25, shown(NEAR)), (1, shown(STUDENT))],
            Decision::Admit,
        ),
        (
            "a friend for a frame, and the student went",
            &[(1, shown(WRONG)), (1, Nobody)],
            Decision::Refer(Reason::NoFace),
        ),
        (
            "friends one after the other",
            &[(3, shown(WRONG)), (3, another(WRONG)), (3, another(WRONG)), (1, Nobody)],
            Decision::Refer(Reason::NoFace),
        ),
    ];
    for (name, parts, decision) in cases {
        let verification = play(parts);
        assert_eq!(verification.decision, decision, "{name}");
        assert!(!verification.is_failed_match(), "{name}");
    }
}

#[test]
fn an_admission_after_a_close_call_says_so() {
    let verification = play(&[(25, shown(NEAR)), (1, shown(STUDENT))]);
    assert_eq!((verification.decision, verification.measured.worst), (Decision::Admit, Some(Shortfall::Borderline)));
}

#[test]
fn a_doubt_that_was_left_is_answered_by_turning_and_by_nothing_else() {
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(0b11)));
    let show = |session: &mut Session, millis, (similarity, liveness), yaw, continuity| {
        let mut seen = face(millis, similarity, liveness, continuity);
        seen.face.as_mut().expect("has one").pose.yaw = yaw;
        recorded(session.step(now(millis), Input::FaceObserved(seen))).map(|v| v.decision)
    };
    for millis in (100..=1000).step_by(100) {
        assert_eq!(show(&mut session, millis, DOUBT, 0.0, Continuity::Same), None);
    }
    assert_eq!(show(&mut session, 1100, WRONG, 0.0, Continuity::Changed), None, "a friend walks by");
    assert_eq!(show(&mut session, 1200, STUDENT, 0.0, Continuity::Changed), None);
    for millis in (1300..2500).step_by(100) {
        assert_eq!(show(&mut session, millis, STUDENT, 0.0, Continuity::Same), None, "however sure");
    }
    let over = WakeReason::AttemptOver { event: event(0b11), attempt: 1 };
    let _ = session.step(now(2500), Input::TimerFired(over));
    let mut decision = None;
    for (millis, yaw) in (2600..).step_by(100).zip([-20.0, -20.0, 0.0, 0.0, -20.0, -20.0, 0.0, 0.0]) {
        decision = decision.or(show(&mut session, millis, STUDENT, yaw, Continuity::Same));
    }
    assert_eq!(decision, Some(Decision::Admit));
}
