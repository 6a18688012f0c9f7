//! What the fleet may tell the door: out of service, in service again, and to show which box it is.
//!
//! None of it touches a verification that has begun: it changes what is shown at rest, and whether another one begins.

use std::time::Duration;

use super::{Now, Output, Outputs, Session, State, WakeReason};
use crate::domain::{Answer, DeviceId, MonoTime};

/// What the door was told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) is_drained: bool,
    /// The box's name, and until when it is shown.
    identified: Option<(DeviceId, MonoTime)>,
}

impl Told {
    pub(super) const NOTHING: Self = Self { is_drained: false, identified: None };

    /// What is shown at rest because of it.
    pub(super) fn shown(&self) -> Option<Answer> {
        let identified = self.identified.as_ref().map(|(device, _)| Answer::Identified { device: device.clone() });
        identified.or_else(|| self.is_drained.then_some(Answer::Drained))
    }
}

impl Session {
    /// The same session, out of service from the start or not.
    #[must_use]
    pub fn drained(mut self, is_drained: bool) -> Self {
        self.told.is_drained = is_drained;
        self
    }

    /// Whether nobody is verified and no answer is shown.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) fn set_drained(&mut self, is_drained: bool, out: &mut Outputs) {
        self.told.is_drained = is_drained;
        self.show_at_rest(out);
    }

    pub(super) fn identity_asked(&mut self, now: Now, device: DeviceId, lasts: Duration, out: &mut Outputs) {
        let until = now.mono.after(lasts);
        self.told.identified = Some((device, until));
        out.push(Output::WakeAt(until, WakeReason::IdentifiedLongEnough));
        self.show_at_rest(out);
    }

    pub(super) fn identified_long_enough(&mut self, now: Now, out: &mut Outputs) {
        // One that was asked for again lasts longer.
        if self.told.identified.take_if(|(_, until)| *until <= now.mono).is_some() {
            self.show_at_rest(out);
        }
    }

    fn show_at_rest(&self, out: &mut Outputs) {
        if self.is_at_rest() {
            out.push(Output::Show(self.at_rest()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Fault, Input, Lookup, Tap,
            tables::{door, event, face, now, policy, recorded, tap},
        },
        *,
    };
    use crate::domain::{Continuity, Decision, Invitation, ProctorId, SignInCode};

    const LASTS: Duration = Duration::from_secs(15);

    fn asked() -> Input {
        Input::IdentityAsked { device: DeviceId::new("door-1").expect("valid"), lasts: LASTS }
    }

    fn identified() -> Answer {
        Answer::Identified { device: DeviceId::new("door-1").expect("valid") }
    }

    fn shown(outputs: Outputs) -> Vec<Answer> {
        let shown = |output| if let Output::Show(answer) = output { Some(answer) } else { None };
        outputs.into_iter().filter_map(shown).collect()
    }

    /// What a student who looks into the camera is answered, with `told` in the middle of it.
    fn verified_with(told: Vec<Input>) -> Option<Decision> {
        let mut session = Session::new(policy(), door());
        let _ = session.step(now(0), Input::CardTapped(tap(1)));
        let mut decision = None;
        for n in 1..=19_u64 {
            if n == 3 {
                for input in told.clone() {
                    assert!(shown(session.step(now(n * 40), input)).is_empty(), "nothing is shown meanwhile");
                }
            }
            let seen = Input::FaceObserved(face(n * 40, 0.9, 0.9, Continuity::Same));
            decision = decision.or(recorded(session.step(now(n * 40), seen)).map(|v| v.decision));
        }
        let _ = session.step(now(1000), Input::Recorded { event: event(1) });
        decision
    }

    #[test]
    fn a_verification_comes_to_the_same_end_whatever_the_door_is_told_meanwhile() {
        let untouched = verified_with(vec![]);
        assert_eq!(untouched, Some(Decision::Admit));
        for told in [vec![Input::Drained], vec![asked()], vec![asked(), Input::Drained, Input::Resumed]] {
            assert_eq!(verified_with(told.clone()), untouched, "{told:?}");
        }
    }

    #[test]
    fn a_drained_door_finishes_whom_it_has_and_takes_nobody_until_it_is_resumed() {
        let mut session = Session::new(policy(), door());
        let _ = session.step(now(0), Input::CardTapped(tap(1)));
        assert!(shown(session.step(now(10), Input::Drained)).is_empty());
        assert!(recorded(session.step(now(20), Input::EdgeFault(Fault::Camera))).is_some(), "it is decided");
        let _ = session.step(now(30), Input::Recorded { event: event(1) });
        assert!(!session.is_at_rest());
        let over = Input::TimerFired(WakeReason::ShownLongEnough { event: event(1) });
        assert_eq!(shown(session.step(now(40), over)), [Answer::Drained], "before any fault");
        let outputs = session.step(now(50), Input::CardTapped(tap(2)));
        assert!(recorded(outputs.clone()).is_none() && shown(outputs) == [Answer::Drained], "nobody is verified");
        let _ = session.step(now(60), Input::EdgeRecovered(Fault::Camera));
        assert_eq!(shown(session.step(now(70), Input::Resumed)), [Answer::Idle]);
        let _ = session.step(now(80), Input::CardTapped(tap(3)));
        assert!(matches!(session.state, State::Looking(_)), "the next one is");
    }

    #[test]
    fn a_proctor_can_sign_in_at_a_drained_door() {
        let mut session = Session::new(policy(), door()).drained(true);
        assert_eq!(session.at_rest(), Answer::Drained);
        let proctor = ProctorId::new("okafor").expect("valid");
        let invitation = Invitation { proctor, code: SignInCode::from_random(1) };
        let outputs = session.step(now(0), Input::CardTapped(Tap { lookup: Lookup::Proctor(invitation), ..tap(1) }));
        assert!(matches!(shown(outputs).as_slice(), [Answer::SignIn { .. }]));
    }

    #[test]
    fn the_name_is_shown_at_rest_for_its_time_and_gives_way_to_a_tap() {
        let mut session = Session::new(policy(), door());
        assert_eq!(shown(session.step(now(0), asked())), [identified()]);
        // Asked for again after ten seconds: the first time is no longer its end.
        let _ = session.step(now(10_000), asked());
        let over = || Input::TimerFired(WakeReason::IdentifiedLongEnough);
        assert!(shown(session.step(now(15_000), over())).is_empty());
        let outputs = session.step(now(16_000), Input::CardTapped(tap(1)));
        assert!(matches!(shown(outputs).as_slice(), [Answer::Looking { .. }]), "a student goes first");
        assert!(shown(session.step(now(25_000), over())).is_empty(), "it is over, and nobody sees it");
        let _ = session.step(now(25_010), Input::EdgeFault(Fault::Camera));
        let _ = session.step(now(25_020), Input::Recorded { event: event(1) });
        let _ = session.step(now(25_030), Input::EdgeRecovered(Fault::Camera));
        let rest = Input::TimerFired(WakeReason::ShownLongEnough { event: event(1) });
        assert_eq!(shown(session.step(now(30_000), rest)), [Answer::Idle]);
    }
}
