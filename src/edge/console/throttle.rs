//! Growing pauses after repeated failures.
//!
//! It slows guessing down but locks nobody out: after the pause, the next try is allowed.

use std::{collections::HashMap, hash::Hash, time::Duration};

use crate::domain::MonoTime;

/// Most remembered at a time; beyond it the oldest is forgotten.
const MOST: usize = 1024;

/// How pauses grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// Failures without a pause.
    pub(super) free: u32,
    /// The first pause; it doubles with every further failure.
    pub(super) first: Duration,
    /// The longest.
    pub(super) longest: Duration,
}

/// Who failed how often.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    pauses: Pauses,
    failures: HashMap<K, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    times: u32,
    /// When the last was noticed …
    last: MonoTime,
    /// … and how long ago it was then: monotonic time may have begun since.
    ago: Duration,
}

impl Failures {
    fn passed(&self, now: MonoTime) -> Duration {
        now.since(self.last) + self.ago
    }
}

impl<K: Eq + Hash + Clone> Throttle<K> {
    pub(super) fn new(pauses: Pauses) -> Self {
        Self { pauses, failures: HashMap::new() }
    }

    /// How long `who` still has to wait; zero: not at all.
    pub(super) fn wait(&self, now: MonoTime, who: &K) -> Duration {
        let Some(failures) = self.failures.get(who) else { return Duration::ZERO };
        self.pause(failures.times).saturating_sub(failures.passed(now))
    }

    fn pause(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.pauses.free + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
                self.pauses.first.saturating_mul(factor).min(self.pauses.longest)
            }
        }
    }

    pub(super) fn failed(&mut self, now: MonoTime, who: &K) {
        // After three of the longest pauses without a failure, counting starts again at zero.
        let memory = self.pauses.longest * 3;
        self.failures.retain(|_, failures| failures.passed(now) < memory);
        if self.failures.len() >= MOST
            && let Some(oldest) =
                self.failures.iter().max_by_key(|(_, failures)| failures.passed(now)).map(|(who, _)| who.clone())
        {
            self.failures.remove(&oldest);
        }
        let times = self.failures.get(who).map_or(0, |failures| failures.times).saturating_add(1);
        self.failures.insert(who.clone(), Failures { times, last: now, ago: Duration::ZERO });
    }

    /// `times` failures in a row, the last of them `ago`.
    pub(super) fn remember(&mut self, now: MonoTime, who: K, times: u32, ago: Duration) {
        self.failures.insert(who, Failures { times, last: now, ago });
    }

    pub(super) fn succeeded(&mut self, who: &K) {
        self.failures.remove(who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses { free: 2, first: Duration::from_secs(1), longest: Duration::from_secs(8) };

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_grow_end_and_are_forgotten() {
        let mut throttle = Throttle::new(PAUSES);
        let mut waits = Vec::new();
        for _ in 0..8 {
            throttle.failed(at(100), &"a");
            waits.push(throttle.wait(at(100), &"a").as_secs());
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 8, 8]);
        assert_eq!(throttle.wait(at(105), &"a").as_secs(), 3);
        assert_eq!(throttle.wait(at(100), &"b").as_secs(), 0, "nobody waits for another");
        throttle.failed(at(200), &"b");
        throttle.failed(at(200), &"a");
        assert_eq!(throttle.wait(at(200), &"a").as_secs(), 0, "quiet for long enough");
        throttle.succeeded(&"a");
        assert_eq!(throttle.failures.len(), 1);
    }

    #[test]
    fn a_flood_of_names_does_not_fill_the_memory() {
        let mut throttle = Throttle::new(PAUSES);
        for n in 0..5_000_u32 {
            throttle.failed(at(1), &n);
        }
        assert_eq!(throttle.failures.len(), MOST);
    }
}
