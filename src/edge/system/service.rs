//! Notifications to systemd: ready, status, alive, stopping (sd_notify(3)). Without systemd these calls do nothing.
//!
//! It does not decide whether the box is healthy: its caller does, and sends the watchdog pings through it.

use sd_notify::NotifyState;

/// The service manager, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Service;

impl Service {
    /// Serving begins.
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Draining begins.
    pub fn stopping(self, status: &str) {
        tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// Alive: restarts the watchdog of a unit with `WatchdogSec=` (sd_watchdog_enabled(3)).
    pub fn beat(self) {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::warn!(%why, "systemd was not told");
    }
}
