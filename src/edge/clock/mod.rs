//! Time, the one place where it is read. Everyone else is handed it.

mod system;

#[cfg(feature = "sim")]
mod scripted;

#[cfg(feature = "sim")]
pub use scripted::ScriptedClock;
pub use system::SystemClock;

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
