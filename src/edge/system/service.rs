//! What is told to systemd: ready, status, alive, stopping (sd_notify(3)). Without systemd nothing is told to nobody.
//!
//! Never decides whether the box is well: whoever does, beats.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Service;

impl Service {
    /// Serving begins.
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// One line for `systemctl status`.
    pub fn status(self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// Draining begins.
    pub fn stopping(self, status: &str) {
        tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// Alive. To be told every [`Self::beat_every`], and only while the box is.
    pub fn beat(self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// How often to beat: half of the unit's `WatchdogSec=`, as sd_watchdog_enabled(3) advises. `None` without one.
    #[must_use]
    pub fn beat_every(self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::warn!(%why, "systemd was not told");
    }
}
