//! A wall clock that a script sets; it runs on from there. Monotonic time stays real.

use std::sync::{Mutex, PoisonError};

use super::{Clock, system::boottime};
use crate::domain::{ClockTrust, MonoTime, Timestamp};

/// A wall clock set by a script; monotonic time stays real.
#[derive(Debug)]
pub struct ScriptedClock(Mutex<Script>);

#[derive(Debug)]
struct Script {
    wall: Timestamp,
    set_at: MonoTime,
}

impl ScriptedClock {
    /// A trusted clock that shows `wall` now and runs on.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self(Mutex::new(Script { wall, set_at: boottime() }))
    }

    /// Shows `wall` now and runs on.
    pub fn set(&self, wall: Timestamp) {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (script.wall, script.set_at) = (wall, boottime());
    }
}

impl Clock for ScriptedClock {
    fn mono(&self) -> MonoTime {
        boottime()
    }

    fn wall(&self) -> Timestamp {
        let script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        script.wall.saturating_add(boottime().since(script.set_at)).unwrap_or(Timestamp::MAX)
    }

    fn trust(&self) -> ClockTrust {
        ClockTrust::Synchronised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_script() {
        let start: Timestamp = "2026-12-14T13:00:00Z".parse().unwrap();
        let clock = ScriptedClock::starting_at(start);
        assert!(clock.wall() >= start);
        let later = "2026-12-14T15:00:00Z".parse().unwrap();
        clock.set(later);
        assert!(clock.wall() >= later);
        clock.set(start);
        assert!(clock.wall() < later);
    }
}
