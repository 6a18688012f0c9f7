//! The light against a list of what is shown.

use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::{
    domain::{Hint, MonoTime, Reason},
    edge::light::LightError,
};

struct Watched(Sender<Pattern>);

impl Light for Watched {
    fn show(&mut self, pattern: Pattern) -> Result<(), LightError> {
        self.0.send(pattern).expect("somebody watches");
        Ok(())
    }
}

fn decided(event: u128, decision: Decision) -> (Answer, Option<Hint>) {
    (Answer::Decided { event: EventId(uuid::Uuid::from_u128(event)), decision, given_name: None }, None)
}

/// What the light is told when `shown` is shown one after the other.
fn lit(shown: impl IntoIterator<Item = (Answer, Option<Hint>)>) -> Vec<Pattern> {
    let (sender, receiver) = watch::channel(Shown::new(Answer::Idle, MonoTime::default()));
    let (light, lit) = channel();
    let script = async move {
        for (answer, hint) in shown {
            // Once for the light to see what was there, once for it to see this.
            tokio::task::yield_now().await;
            sender.send_replace(Shown { answer, hint, since: MonoTime::default() });
            tokio::task::yield_now().await;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { tokio::join!(show(receiver, Watched(light)), script) });
    lit.iter().collect()
}

#[test]
fn every_answer_has_its_pattern() {
    let cases = [
        ((Answer::Unwell(Reason::CameraFault), None), Pattern::Fault),
        ((Answer::Looking { attempt: 1, of: 3 }, None), Pattern::Looking),
        (decided(1, Decision::Admit), Pattern::Admit),
        (decided(1, Decision::Deny(Reason::TooEarly)), Pattern::Deny),
        (decided(1, Decision::Refer(Reason::NoFace)), Pattern::Refer),
    ];
    for (shown, pattern) in cases {
        assert_eq!(lit([shown]), [Pattern::Idle, pattern]);
    }
}

#[test]
fn hints_and_attempts_do_not_disturb_the_rhythm_and_the_next_student_starts_it_anew() {
    let looking = |attempt, hint| (Answer::Looking { attempt, of: 3 }, hint);
    let lit = lit([
        looking(1, None),
        looking(1, Some(Hint::ComeCloser)),
        looking(1, None),
        looking(2, None),
        decided(1, Decision::Deny(Reason::FaceMismatch)),
        decided(2, Decision::Deny(Reason::CardUnknown)),
        (Answer::Idle, None),
    ]);
    assert_eq!(lit, [Pattern::Idle, Pattern::Looking, Pattern::Deny, Pattern::Deny, Pattern::Idle]);
}
