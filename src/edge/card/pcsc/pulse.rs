//! Tells a call into the PC/SC service that is being waited for from one that never returns. Nothing can call such a call
//! back, and the thread that made it is blocked. So the consumer of its events checks its pulse, a counter of calls.
//!
//! Reads no clock: the watching side adds up how long it has waited.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long a call may last. All wait for half a second at most; the rest is for a loaded machine.
pub(super) const HUNG_AFTER: Duration = Duration::from_secs(3);

/// How long the watching side waits before it looks again.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Set while a call is under way.
const CALLING: u64 = 1;
/// Set when the watching side gave that call up.
const GIVEN_UP: u64 = 2;
/// What is counted above the two flags: calls.
const ONE_CALL: u64 = 4;

/// Shared by the calling and the watching side.
#[derive(Debug, Default)]
pub(super) struct Pulse(AtomicU64);

/// The call was given up meanwhile: an outage was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenUp;

impl Pulse {
    /// Makes a `call`. With its result comes whether the watching side had given it up before it returned.
    pub(super) fn during<T>(&self, call: impl FnOnce() -> T) -> (T, Result<(), GivenUp>) {
        let begun = (self.0.load(Ordering::Acquire) & !(CALLING | GIVEN_UP)).wrapping_add(ONE_CALL);
        self.0.store(begun | CALLING, Ordering::Release);
        let result = call();
        let before = self.0.swap(begun, Ordering::AcqRel);
        (result, if before & GIVEN_UP == 0 { Ok(()) } else { Err(GivenUp) })
    }
}

/// The watching side's memory.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: u64,
    waited: Duration,
}

impl Watch {
    /// Looks at `pulse` after having waited for `waited`. Gives up, once, a call that has lasted [`HUNG_AFTER`]: says how long.
    pub(super) fn look(&mut self, pulse: &Pulse, waited: Duration) -> Option<Duration> {
        let now = pulse.0.load(Ordering::Acquire);
        if now != self.seen || now & CALLING == 0 || now & GIVEN_UP != 0 {
            *self = Self { seen: now, waited: Duration::ZERO };
            return None;
        }
        self.waited += waited;
        if self.waited < HUNG_AFTER {
            return None;
        }
        // It may return at this very moment: then it was not given up.
        let given_up = pulse.0.compare_exchange(now, now | GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok();
        given_up.then_some(self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_lasts_is_given_up_once_and_learns_it() {
        let pulse = Pulse::default();
        let mut watch = Watch::default();
        let look = |watch: &mut Watch| watch.look(&pulse, HUNG_AFTER / 2);
        assert_eq!([look(&mut watch), look(&mut watch), look(&mut watch)], [None; 3], "no call, no hang");
        let (seen, ended) = pulse.during(|| [(); 5].map(|()| look(&mut watch)));
        assert_eq!(seen, [None, None, Some(HUNG_AFTER), None, None]);
        assert_eq!(ended, Err(GivenUp));
        let (seen, ended) = pulse.during(|| [look(&mut watch), look(&mut watch)]);
        assert_eq!((seen, ended), ([None, None], Ok(())), "the next call has its own time");
    }

    #[test]
    fn many_short_calls_are_no_hang() {
        let pulse = Pulse::default();
        let mut watch = Watch::default();
        for _ in 0..100 {
            assert_eq!(pulse.during(|| watch.look(&pulse, HUNG_AFTER / 2)), (None, Ok(())));
        }
    }
}
