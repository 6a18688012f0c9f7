//! Another edition of the roster, another exam or none comes while the door is served.

use super::{
    tables::{door, event, exam, now, policy, recorded, tap},
    *,
};
use crate::domain::{ClockTrust, ExamWindow, RosterVersion};

#[test]
fn a_tap_is_judged_to_its_end_by_the_edition_it_began_with() {
    let mut later = exam();
    later.version = RosterVersion(4);
    let opens = later.window.closes;
    later.window = ExamWindow { opens, closes: opens + std::time::Duration::from_secs(3600) };

    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(1)));
    let _ = session.step(now(10), Input::RosterChanged(Some(later.clone())));
    assert_eq!(session.exam(), Some(&exam()), "while looking");
    let outputs = session.step(now(20), Input::EdgeFault(Fault::Camera));
    assert_eq!(recorded(outputs).map(|v| v.roster), Some(exam().version));
    assert_eq!(session.exam(), Some(&exam()), "while recording");
    let _ = session.step(now(30), Input::Recorded { event: event(1) });
    assert_eq!(session.exam(), Some(&later), "between two students");
    let next = recorded(session.step(now(40), Input::CardTapped(tap(2)))).expect("doors are not open yet");
    assert_eq!((next.decision, next.roster), (Decision::Deny(Reason::TooEarly), later.version));

    let mut idle = Session::new(policy(), door());
    let _ = idle.step(now(0), Input::RosterChanged(Some(later.clone())));
    assert_eq!(idle.exam(), Some(&later), "at once when nobody is there");
}

#[test]
fn a_verification_ends_with_the_exam_it_began_with_also_when_that_is_erased() {
    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(1)));
    let _ = session.step(now(10), Input::RosterChanged(None));
    let outputs = session.step(now(20), Input::EdgeFault(Fault::Camera));
    assert_eq!(recorded(outputs).map(|v| (v.exam, v.roster)), Some((exam().id, exam().version)));
    let _ = session.step(now(30), Input::Recorded { event: event(1) });
    assert_eq!(session.exam(), None, "between two students");
}

#[test]
fn a_door_without_an_exam_records_nothing_and_begins_again_with_one() {
    let mut session = Session::new(policy(), Door { exam: None, ..door() });
    let outputs = session.step(now(0), Input::CardTapped(tap(1)));
    assert!(outputs.iter().eq([&Output::Show(Answer::Idle)]), "{outputs:?}");
    assert!(session.takes_taps());
    let _ = session.step(now(10), Input::RosterChanged(Some(exam())));
    let _ = session.step(now(20), Input::CardTapped(tap(2)));
    assert!(matches!(session.state, State::Looking(_)));
}

#[test]
fn a_student_of_another_exam_is_referred_while_the_clock_is_not_believed() {
    let elsewhere = |clock| {
        let tap = Tap { lookup: Lookup::Elsewhere, ..tap(1) };
        let outputs = Session::new(policy(), door()).step(Now { clock, ..now(0) }, Input::CardTapped(tap));
        recorded(outputs).map(|v| v.decision)
    };
    assert_eq!(elsewhere(ClockTrust::Synchronised), Some(Decision::Deny(Reason::NotOnRoster)));
    assert_eq!(elsewhere(ClockTrust::Untrusted), Some(Decision::Refer(Reason::ClockUntrusted)));
}
