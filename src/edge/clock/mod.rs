//! Time, the one place where it is read. Everyone else is handed it.
//!
//! It says how far its wall clock may be believed and why, not what follows from it.

mod system;
mod trust;

#[cfg(feature = "sim")]
mod scripted;

#[cfg(feature = "sim")]
pub use scripted::ScriptedClock;
pub use system::{ClockError, SystemClock};
pub use trust::{ClockStanding, Distrust, HOLDOVER};

use crate::domain::{ClockTrust, MonoTime, Timestamp};

/// Reads the two kinds of time.
pub trait Clock: Send + Sync {
    /// Monotonic time since this box's boot, running on through suspend.
    fn mono(&self) -> MonoTime;

    /// The wall clock.
    fn wall(&self) -> Timestamp;

    /// How far the wall clock may be believed now.
    fn trust(&self) -> ClockTrust;
}
