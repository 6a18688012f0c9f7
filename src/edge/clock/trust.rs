//! How far the wall clock may be believed: a pure judgement over what was read.
//!
//! Blocks: a dead RTC battery (the clock wakes behind the floor), an RTC gone wild (too long after the last
//! synchronisation), a clock set by hand between two synchronisations. Does not block a lying time server: use NTS.
//! Never reads a clock or a file itself.

use std::{fmt, time::Duration};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::domain::{ClockTrust, MonoTime, Timestamp};

/// How long after the last synchronisation the wall clock is still believed, unless configured otherwise. A crystal of
/// the usual 100 ppm drifts 26 s in this time: little against exam windows of minutes.
pub const HOLDOVER: Duration = Duration::from_hours(72);

/// Largest disagreement of wall and monotonic clock since both were last believed. Far over drift, far under a window.
const STEP: SignedDuration = SignedDuration::from_secs(60);

/// What the time service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discipline {
    Disciplined,
    Undisciplined,
    /// Neither the kernel nor timesyncd could be asked.
    Unknown,
}

/// The believed past, kept over reboots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Floor {
    /// The latest wall time that was believed.
    pub(super) wall: Timestamp,
    /// The latest wall time that was disciplined.
    pub(super) synchronised: Timestamp,
}

/// What the floor's file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FloorFile {
    Missing,
    Unreadable(String),
    Holds(Floor),
}

/// Both clocks at a moment when the wall was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) wall: Timestamp,
    pub(super) mono: MonoTime,
}

/// Why the wall clock is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It was never synchronised on this box, as far as is known.
    NeverSynchronised,
    /// The record of the last synchronisation cannot be read.
    RecordUnreadable(String),
    /// It is earlier than a time already seen.
    BehindFloor {
        /// What the wall clock says.
        wall: Timestamp,
        /// What it said before.
        floor: Timestamp,
    },
    /// The last synchronisation is too long ago.
    TooLongAgo {
        /// For how long.
        since: Duration,
        /// How long is allowed.
        bound: Duration,
    },
    /// It was set while no time server was reached.
    Stepped {
        /// By how much.
        by: SignedDuration,
    },
}

/// The judgement and its ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockStanding {
    /// A time server disciplines the clock now.
    Synchronised,
    /// It did, recently enough.
    Holdover {
        /// How long ago.
        since: Duration,
    },
    /// The clock cannot be believed.
    Untrusted(Distrust),
}

impl ClockStanding {
    /// The judgement alone.
    #[must_use]
    pub const fn trust(&self) -> ClockTrust {
        match self {
            Self::Synchronised => ClockTrust::Synchronised,
            Self::Holdover { .. } => ClockTrust::Holdover,
            Self::Untrusted(_) => ClockTrust::Untrusted,
        }
    }
}

impl fmt::Display for ClockStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synchronised => f.write_str("the clock is synchronised"),
            Self::Holdover { since } => write!(
                f,
                "the clock was last synchronised {} h ago and is still believed; see `timedatectl timesync-status`",
                since.as_secs() / 3600
            ),
            Self::Untrusted(why) => write!(f, "the clock cannot be believed: {why}"),
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSynchronised => f.write_str(
                "it was never synchronised on this box; name a reachable time server in /etc/systemd/timesyncd.conf and \
                 see `timedatectl timesync-status`",
            ),
            Self::RecordUnreadable(why) => write!(
                f,
                "the record of its last synchronisation cannot be read ({why}); it is written anew at the next \
                 synchronisation, so let the box reach its time server"
            ),
            Self::BehindFloor { wall, floor } => write!(
                f,
                "it says {wall}, but {floor} was already seen; let the box reach its time server, and replace the \
                 battery of its RTC if this follows a power cut"
            ),
            Self::TooLongAgo { since, bound } => write!(
                f,
                "it was last synchronised {} h ago, {} h are allowed; let the box reach its time server",
                since.as_secs() / 3600,
                bound.as_secs() / 3600
            ),
            Self::Stepped { by } => write!(
                f,
                "it was set by {} s while no time server was reached; let the box reach its time server",
                by.as_secs()
            ),
        }
    }
}

/// Judges. A disciplined clock is believed whatever the floor says: a fast holdover may have put the floor ahead.
pub(super) fn judge(
    discipline: Discipline,
    now: Anchor,
    believed: Option<Anchor>,
    file: &FloorFile,
    bound: Duration,
) -> ClockStanding {
    match discipline {
        Discipline::Disciplined => return ClockStanding::Synchronised,
        Discipline::Undisciplined | Discipline::Unknown => {}
    }
    let floor = match file {
        FloorFile::Missing => return ClockStanding::Untrusted(Distrust::NeverSynchronised),
        FloorFile::Unreadable(why) => return ClockStanding::Untrusted(Distrust::RecordUnreadable(why.clone())),
        FloorFile::Holds(floor) => floor,
    };
    if now.wall < floor.wall {
        return ClockStanding::Untrusted(Distrust::BehindFloor { wall: now.wall, floor: floor.wall });
    }
    if let Some(anchor) = believed {
        let by = now
            .wall
            .duration_since(anchor.wall)
            .saturating_sub(SignedDuration::try_from(now.mono.since(anchor.mono)).unwrap_or(SignedDuration::MAX));
        if by.abs() > STEP {
            return ClockStanding::Untrusted(Distrust::Stepped { by });
        }
    }
    // A synchronisation ahead of the wall is impossible here: the floor's wall is never behind it.
    let since = Duration::try_from(now.wall.duration_since(floor.synchronised)).unwrap_or_default();
    if since > bound {
        return ClockStanding::Untrusted(Distrust::TooLongAgo { since, bound });
    }
    ClockStanding::Holdover { since }
}

/// What is to be kept after a judgement: nothing new from a clock that is not believed.
pub(super) fn raise(standing: &ClockStanding, wall: Timestamp, file: &FloorFile) -> Option<Floor> {
    match (standing, file) {
        (ClockStanding::Synchronised, _) => Some(Floor { wall, synchronised: wall }),
        (ClockStanding::Holdover { .. }, FloorFile::Holds(floor)) => {
            Some(Floor { wall: wall.max(floor.wall), ..*floor })
        }
        (ClockStanding::Holdover { .. }, FloorFile::Missing | FloorFile::Unreadable(_))
        | (ClockStanding::Untrusted(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn anchor(wall: i64, mono: u64) -> Anchor {
        Anchor { wall: at(wall), mono: MonoTime::from_start(Duration::from_hours(mono)) }
    }

    fn holds(wall: i64, synchronised: i64) -> FloorFile {
        FloorFile::Holds(Floor { wall: at(wall), synchronised: at(synchronised) })
    }

    #[test]
    fn judgements() {
        use Discipline::{Disciplined, Undisciplined, Unknown};
        let untrusted = ClockStanding::Untrusted;
        let holdover = |h| ClockStanding::Holdover { since: Duration::from_hours(h) };
        let garbled = FloorFile::Unreadable("garbled".into());
        let cases = [
            ("disciplined, no past", Disciplined, None, FloorFile::Missing, ClockStanding::Synchronised),
            ("disciplined wins over a floor ahead", Disciplined, None, holds(101, 99), ClockStanding::Synchronised),
            ("disciplined wins over a garbled record", Disciplined, None, garbled.clone(), ClockStanding::Synchronised),
            ("no past", Undisciplined, None, FloorFile::Missing, untrusted(Distrust::NeverSynchronised)),
            ("garbled", Undisciplined, None, garbled, untrusted(Distrust::RecordUnreadable("garbled".into()))),
            ("recent", Undisciplined, None, holds(99, 90), holdover(10)),
            ("recent, nobody to ask", Unknown, None, holds(99, 90), holdover(10)),
            ("at the bound", Undisciplined, None, holds(28, 28), holdover(72)),
            (
                "past the bound",
                Undisciplined,
                None,
                holds(99, 27),
                untrusted(Distrust::TooLongAgo { since: Duration::from_hours(73), bound: HOLDOVER }),
            ),
            (
                "behind the floor",
                Undisciplined,
                None,
                holds(101, 90),
                untrusted(Distrust::BehindFloor { wall: at(100), floor: at(101) }),
            ),
            ("steady", Undisciplined, Some(anchor(95, 5)), holds(95, 90), holdover(10)),
            (
                "set forward",
                Undisciplined,
                Some(anchor(95, 8)),
                holds(95, 90),
                untrusted(Distrust::Stepped { by: SignedDuration::from_hours(3) }),
            ),
            (
                "set back, not behind the floor",
                Undisciplined,
                Some(anchor(95, 2)),
                holds(95, 90),
                untrusted(Distrust::Stepped { by: SignedDuration::from_hours(-3) }),
            ),
        ];
        for (name, discipline, believed, file, wanted) in cases {
            assert_eq!(judge(discipline, anchor(100, 10), believed, &file, HOLDOVER), wanted, "{name}");
        }
    }

    #[test]
    fn only_a_believed_clock_raises_the_floor() {
        let holdover = ClockStanding::Holdover { since: Duration::ZERO };
        let untrusted = ClockStanding::Untrusted(Distrust::NeverSynchronised);
        let floor = |wall, synchronised| Some(Floor { wall: at(wall), synchronised: at(synchronised) });
        let cases = [
            ("synchronised", ClockStanding::Synchronised, FloorFile::Missing, floor(100, 100)),
            ("synchronised lowers", ClockStanding::Synchronised, holds(101, 101), floor(100, 100)),
            ("holdover raises", holdover, holds(99, 90), floor(100, 90)),
            ("untrusted", untrusted, holds(101, 90), None),
        ];
        for (name, standing, file, wanted) in cases {
            assert_eq!(raise(&standing, at(100), &file), wanted, "{name}");
        }
    }

    #[test]
    fn every_distrust_says_how_to_mend_it() {
        for why in [
            Distrust::NeverSynchronised,
            Distrust::RecordUnreadable("x".into()),
            Distrust::BehindFloor { wall: at(0), floor: at(1) },
            Distrust::TooLongAgo { since: HOLDOVER, bound: HOLDOVER },
            Distrust::Stepped { by: SignedDuration::from_secs(61) },
        ] {
            assert!(ClockStanding::Untrusted(why.clone()).to_string().contains("time server"), "{why:?}");
        }
    }
}
