//! Incidents: findings that need attention, because they never occur with a healthy box and a working delivery. They do not change
//! which events are receipted.

use std::{fmt, time::Duration};

use examgate::domain::{DeviceId, Epoch, Seq};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incident {
    /// An event at a number that another one has, or that does not follow the one before: the box was set back, its disk
    /// lost its last writes, its store was copied, or its history was rewritten.
    Forked,
    /// An event id with two bodies.
    NameReused,
    /// An epoch that belongs to another box.
    OtherDevice,
    /// Events are missing although later ones are here, and have been for a while.
    Gap,
    /// The ledger was restored from a backup, and nothing of this epoch has come since.
    Restored,
}

impl Incident {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Forked, Self::NameReused, Self::OtherDevice, Self::Gap, Self::Restored];

    /// Its name in the ledger and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forked => "forked",
            Self::NameReused => "name_reused",
            Self::OtherDevice => "other_device",
            Self::Gap => "gap",
            Self::Restored => "restored",
        }
    }

    /// The incident of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }

    /// What it means and what to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Forked => {
                "the box sent other events than the ledger holds there: it was set back, its disk lost its last writes, or it \
                 was copied; all events are kept, and the box begins a new epoch by itself"
            }
            Self::NameReused => "the box gave one event id to two events; both are kept: examine the box",
            Self::OtherDevice => {
                "the epoch belongs to a box with another id: was the id changed without `examgate change-id`, or the store copied?"
            }
            Self::Gap => {
                "events are missing although later ones came: is a second collector running, or was the box's outbox lost? \
                 the box sends them again if it still has them"
            }
            Self::Restored => {
                "the ledger was restored from a backup: what this box recorded since is missing. It sends it again with its next event; \
                 if it has begun a new epoch since, or was set up anew, the events are on its old disk alone: keep it"
            }
        }
    }
}

/// An incident as it is raised: said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The box.
    pub device: DeviceId,
    /// Which epoch of it.
    pub epoch: Epoch,
    /// The first and the last event concerned.
    pub events: (Seq, Seq),
    /// What is wrong.
    pub what: Incident,
}

/// An incident as the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The box.
    pub device: String,
    /// Which epoch of it.
    pub epoch: Epoch,
    /// The first and the last event concerned.
    pub events: (Seq, Seq),
    /// What is wrong.
    pub what: Incident,
    /// RFC 3339, as all of these.
    pub first_seen: String,
    /// When it was last seen.
    pub last_seen: String,
    /// Of a gap: when it was filled. Of a restored ledger: when the box went on.
    pub ended_at: Option<String>,
    /// From its beginning to its end or now.
    pub lasted: Duration,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, epoch, events: (first, last), what, first_seen, ended_at, lasted, .. } = self;
        write!(f, "{device} epoch {epoch} events {first} to {last}: {}, first seen {first_seen}", what.name())?;
        let minutes = lasted.as_secs() / 60;
        match (what, ended_at) {
            (Incident::Gap, Some(ended)) => write!(f, ", filled {ended}"),
            (Incident::Restored, Some(ended)) => write!(f, ", the box sends again since {ended}"),
            (Incident::Gap, None) => write!(f, ", for {} h {} min: {}", minutes / 60, minutes % 60, what.advice()),
            (Incident::Forked | Incident::NameReused | Incident::OtherDevice, _) | (Incident::Restored, None) => {
                write!(f, ": {}", what.advice())
            }
        }
    }
}
