//! The machine's clocks.

use super::Clock;
use crate::domain::{ClockTrust, MonoTime, Timestamp};

/// The machine's own clocks.
#[derive(Debug, Default)]
pub struct SystemClock {}

impl Clock for SystemClock {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::default()
    }

    fn trust(&self) -> ClockTrust {
        ClockTrust::Untrusted
    }
}
