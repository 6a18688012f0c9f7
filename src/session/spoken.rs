//! Tests: whose language is shown at which time.

use super::{
    tables::{door, event, now, policy, tap},
    *,
};
use crate::domain::SignInCode;

#[test]
fn whoever_stands_at_the_door_is_spoken_to() {
    let spanish = Language::new("es").expect("a tag");
    let with = |language: Option<&Language>, n| {
        let mut tap = tap(n);
        if let Lookup::Enrolled(enrolled) = &mut tap.lookup {
            enrolled.entry.student.language = language.cloned();
        }
        tap
    };
    let mut session = Session::new(policy(), door());
    assert_eq!(session.language(), None);
    let _ = session.step(now(0), Input::CardTapped(with(Some(&spanish), 1)));
    assert_eq!(session.language(), Some(&spanish), "while looked at");
    // Whoever taps meanwhile is not the one who is spoken to.
    let _ = session.step(now(10), Input::CardTapped(with(None, 2)));
    assert_eq!(session.language(), Some(&spanish));
    let _ = session.step(now(20), Input::EdgeFault(Fault::Camera));
    let _ = session.step(now(30), Input::Recorded { event: event(1) });
    assert_eq!(session.language(), Some(&spanish), "the answer too");
    let _ = session.step(now(40), Input::TimerFired(WakeReason::ShownLongEnough { event: event(1) }));
    assert_eq!(session.language(), None, "then the door's own again");

    let _ = session.step(now(50), Input::CardTapped(with(Some(&spanish), 3)));
    let _ = session.step(now(60), Input::Recorded { event: event(3) });
    let invitation = Invitation {
        proctor: crate::domain::ProctorId::new("okafor").expect("valid"),
        code: SignInCode::from_random(1),
    };
    let _ = session.step(now(70), Input::CardTapped(Tap { lookup: Lookup::Proctor(invitation), ..tap(4) }));
    assert_eq!(session.language(), None, "a code is the same in every language");
}
