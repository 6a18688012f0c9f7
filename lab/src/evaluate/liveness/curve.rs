//! The error over the time of a look: what the rule does by then, and what a rule that looks so long would do.

use examgate::session::Policy;
use serde::Serialize;

use super::report::Line;
use crate::play::tap::Ended;

/// Steps of the error over time: tenths of a second in the window as it is.
const STEPS: u32 = 25;

/// Shares of the sessions, over the time since the first usable frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Moment {
    pub(super) ms: u64,
    /// Live sessions and attacks that the rule has admitted by then.
    pub(super) live_admitted: f64,
    pub(super) attacks_admitted: f64,
    /// Live sessions whose fused face is alike enough at that moment, whether or not it is believed to live.
    pub(super) live_alike: f64,
    /// Live sessions and attacks that passive evidence alone would admit, if a look had to last at least so long.
    pub(super) live_if_least: f64,
    pub(super) attacks_if_least: f64,
}

/// The shares over the time, to the end of a window.
pub(super) fn curve(live: &[Line], attacks: &[Line], policy: &Policy) -> Vec<Moment> {
    let thresholds = &policy.thresholds;
    let share = |lines: &[Line], is: &dyn Fn(&Ended) -> bool| {
        let clips: Vec<_> = lines.iter().filter_map(|line| line.ended.as_ref()).collect();
        clips.iter().filter(|ended| is(ended)).count() as f64 / clips.len().max(1) as f64
    };
    let step = policy.attempt_window / STEPS;
    (0..=STEPS)
        .map(|n| {
            let at = step * n;
            let admitted = |ended: &Ended| ended.admitted() && ended.decided_in.is_some_and(|in_| in_ <= at);
            let alike = |ended: &Ended| {
                let then = ended.watched.iter().rfind(|moment| moment.at <= at);
                then.is_some_and(|moment| moment.similarity >= thresholds.admit.get())
            };
            let if_least = |ended: &Ended| {
                ended.watched.iter().any(|moment| {
                    moment.at >= at
                        && moment.frames >= policy.min_frames
                        && moment.liveness >= thresholds.sure
                        && moment.similarity >= thresholds.admit.get()
                })
            };
            Moment {
                ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
                live_admitted: share(live, &admitted),
                attacks_admitted: share(attacks, &admitted),
                live_alike: share(live, &alike),
                live_if_least: share(live, &if_least),
                attacks_if_least: share(attacks, &if_least),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use examgate::domain::{Decision, Reason};

    use super::{
        super::report::tests::{line, policy},
        *,
    };

    #[test]
    fn the_curve_tells_the_rule_from_what_other_looks_would_do() {
        let live = [line(Decision::Admit, false, 0.95), line(Decision::Refer(Reason::SpoofSuspected), true, 0.6)];
        let attack = [line(Decision::Refer(Reason::SpoofSuspected), false, 0.95)];
        let curve = curve(&live, &attack, &policy());
        for (at, admitted, alike, live_if_least, attacks_if_least) in
            [(0, 0.0, 0.0, 0.5, 1.0), (6, 0.0, 1.0, 0.5, 1.0), (7, 0.5, 1.0, 0.5, 1.0), (8, 0.5, 1.0, 0.0, 0.0)]
        {
            let wanted = Moment {
                ms: at * 100,
                live_admitted: admitted,
                attacks_admitted: 0.0,
                live_alike: alike,
                live_if_least,
                attacks_if_least,
            };
            assert_eq!(curve[at as usize], wanted);
        }
    }
}
