//! Another edition of the roster comes while the door is served.

use super::{
    tables::{door, event, now, policy, recorded, tap},
    *,
};
use crate::domain::{ExamWindow, RosterVersion};

#[test]
fn a_tap_is_judged_to_its_end_by_the_edition_it_began_with() {
    let mut later = door().exam;
    later.version = RosterVersion(4);
    let opens = later.window.closes;
    later.window = ExamWindow { opens, closes: opens + std::time::Duration::from_secs(3600) };

    let mut session = Session::new(policy(), door());
    let _ = session.step(now(0), Input::CardTapped(tap(1)));
    let _ = session.step(now(10), Input::RosterChanged(later.clone()));
    assert_eq!(session.exam(), &door().exam, "while looking");
    let outputs = session.step(now(20), Input::EdgeFault(Fault::Camera));
    assert_eq!(recorded(outputs).map(|v| v.roster), Some(door().exam.version));
    assert_eq!(session.exam(), &door().exam, "while recording");
    let _ = session.step(now(30), Input::Recorded { event: event(1) });
    assert_eq!(session.exam(), &later, "between two students");
    let next = recorded(session.step(now(40), Input::CardTapped(tap(2)))).expect("doors are not open yet");
    assert_eq!((next.decision, next.roster), (Decision::Deny(Reason::TooEarly), later.version));

    let mut idle = Session::new(policy(), door());
    let _ = idle.step(now(0), Input::RosterChanged(later.clone()));
    assert_eq!(idle.exam(), &later, "at once when nobody is there");
}
