//! Two kinds of time. [`MonoTime`] orders what happens on this box and cannot be set; [`Timestamp`] is the wall clock,
//! which can be wrong, so it always travels with a [`ClockTrust`].

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Wall-clock time, UTC.
pub type Timestamp = jiff::Timestamp;

/// Monotonic time since an arbitrary start on this box (its boot). Never compared between boxes or boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MonoTime(Duration);

impl MonoTime {
    /// The instant `since_start` after the arbitrary start.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long after the arbitrary start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `by` later.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl fmt::Display for MonoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}

/// How far the wall clock may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockTrust {
    /// Disciplined by a time server now.
    Synchronised,
    /// Not disciplined now, but recently enough that its drift is bounded, and never behind the persisted floor.
    Holdover,
    /// Behind the floor, or never disciplined: exam windows cannot be judged.
    Untrusted,
}

impl ClockTrust {
    /// Whether exam windows and pauses may be judged by this clock.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Synchronised | Self::Holdover)
    }
}
