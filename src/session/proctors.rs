//! Tests: a proctor's tap, and lock-outs that only a proctor can end.

use super::{
    tables::{door, event, now, policy, recorded, tap},
    *,
};
use crate::domain::{History, ProctorId, SignInCode, Timestamp};

#[test]
fn a_proctors_tap_shows_their_code_and_decides_nothing() {
    let invitation =
        Invitation { proctor: ProctorId::new("okafor").expect("valid"), code: SignInCode::from_random(123_456) };
    let proctor = |n| Input::CardTapped(Tap { lookup: Lookup::Proctor(invitation.clone()), ..tap(n) });
    let shown = |n| Output::Show(Answer::SignIn { event: event(n), invitation: invitation.clone() });
    let mut session = Session::new(policy(), door());
    let outputs: Vec<_> = session.step(now(0), proctor(1)).into_iter().collect();
    let wake = WakeReason::ShownLongEnough { event: event(1) };
    assert_eq!(outputs, [shown(1), Output::WakeAt(now(60_000).mono, wake)]);
    assert!(!format!("{outputs:?}").contains("123456"), "a code is not for logs");

    // A student need not wait until the code is gone, nor does the next proctor.
    let _ = session.step(now(100), proctor(2));
    let outputs: Vec<_> = session.step(now(200), Input::CardTapped(tap(3))).into_iter().collect();
    assert!(outputs.iter().any(|o| matches!(o, Output::StartCapture { .. })), "{outputs:?}");
    // But a proctor waits until the student is done.
    let outputs: Vec<_> = session.step(now(300), proctor(4)).into_iter().collect();
    assert!(!outputs.contains(&shown(4)), "{outputs:?}");

    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::EdgeFault(Fault::Camera));
    let outputs: Vec<_> = session.step(now(1), proctor(5)).into_iter().collect();
    assert_eq!(outputs[0], shown(5), "also when the camera is broken");
}

#[test]
fn pauses_grow_from_thirty_seconds_to_an_hour_then_the_proctor() {
    let policy = policy();
    let seconds: Vec<_> = (0..=10).map(|n| policy.pause_after(n).map(|pause| pause.as_secs())).collect();
    let expected = [0, 0, 0, 30, 60, 120, 240, 480, 960, 1920].map(Some);
    assert_eq!(seconds[..10], expected);
    assert_eq!(seconds[10], None);
}

#[test]
fn a_pause_ends_and_a_clock_set_back_does_not_end_it() {
    let decision = |last_failed_at: i64| {
        let tapped = Tap {
            history: History {
                failed_in_a_row: 3,
                last_failed_at: Some(Timestamp::from_second(last_failed_at).expect("in range")),
                ..History::default()
            },
            ..tap(1)
        };
        recorded(Session::new(policy(), door()).step(now(0), Input::CardTapped(tapped))).map(|v| v.decision)
    };
    let here = now(0).wall.as_second();
    let locked = Some(Decision::Refer(Reason::LockedOut));
    assert_eq!(decision(here - 29), locked);
    assert_eq!(decision(here - 30), None);
    assert_eq!(decision(here + 500), locked);
}
