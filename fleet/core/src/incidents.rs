//! Incidents: findings that need attention, because they never occur with a healthy box and a working delivery. They do not change
//! which events are receipted.

use std::{fmt, time::Duration};

use examgate::{
    domain::{DeviceId, Epoch, Seq},
    store::sealed::Fault,
};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::ledger::Ledger;

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
}

impl Incident {
    const ALL: [Self; 4] = [Self::Forked, Self::NameReused, Self::OtherDevice, Self::Gap];

    /// Its name in the ledger and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forked => "forked",
            Self::NameReused => "name_reused",
            Self::OtherDevice => "other_device",
            Self::Gap => "gap",
        }
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
    /// Of a gap: when it was filled.
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
            (Incident::Gap, None) => write!(f, ", for {} h {} min: {}", minutes / 60, minutes % 60, what.advice()),
            (Incident::Forked | Incident::NameReused | Incident::OtherDevice, _) => write!(f, ": {}", what.advice()),
        }
    }
}

/// Keeps the incident; passes it on if it is new.
pub fn raise(
    ledger: &Connection,
    device: &DeviceId,
    epoch: Epoch,
    events: (Seq, Seq),
    what: Incident,
    raised: &mut Vec<Raised>,
) -> rusqlite::Result<()> {
    let known = ledger
        .prepare_cached(
            "UPDATE incident SET first_event = min(first_event, ?4), last_event = max(last_event, ?5),
                 last_seen = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE device = ?1 AND epoch = ?2 AND what = ?3 AND ended_at IS NULL",
        )?
        .execute(params![device.as_str(), epoch.0.as_bytes(), what.name(), events.0.0, events.1.0])?;
    if known == 0 {
        ledger
            .prepare_cached(
                "INSERT OR REPLACE INTO incident (device, epoch, what, first_event, last_event) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![device.as_str(), epoch.0.as_bytes(), what.name(), events.0.0, events.1.0])?;
        raised.push(Raised { device: device.clone(), epoch, events, what });
    }
    Ok(())
}

/// The gap of this epoch, if it was an incident, has ended.
pub fn gap_filled(ledger: &Connection, device: &DeviceId, epoch: Epoch) -> rusqlite::Result<()> {
    ledger
        .prepare_cached(
            "UPDATE incident SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE device = ?1 AND epoch = ?2 AND what = 'gap' AND ended_at IS NULL",
        )?
        .execute(params![device.as_str(), epoch.0.as_bytes()])?;
    Ok(())
}

impl Ledger {
    /// Raises an incident for each gap that has stayed for `patience`, and gives those that are new.
    pub fn gaps(&mut self, patience: Duration) -> Result<Vec<Raised>, Fault> {
        let fault = self.0.fault("look for gaps");
        let transaction = self.0.write()?;
        let mut raised = Vec::new();
        let mut apply = || {
            let gaps: Vec<(String, [u8; 16], u64, u64)> = transaction
                .prepare_cached(
                    "SELECT device, epoch, contiguous + 1, (SELECT min(seq) - 1 FROM place
                         WHERE device = e.device AND epoch = e.epoch AND seq > contiguous)
                     FROM epoch AS e WHERE gap_since IS NOT NULL
                         AND unixepoch('now', 'subsec') - unixepoch(gap_since, 'subsec') >= ?1",
                )?
                .query_map([patience.as_secs_f64()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<Result<_, _>>()?;
            for (device, epoch, first, last) in gaps {
                // Only ids come in here.
                let Ok(device) = DeviceId::new(device) else { continue };
                let epoch = Epoch(Uuid::from_bytes(epoch));
                raise(&transaction, &device, epoch, (Seq(first), Seq(last)), Incident::Gap, &mut raised)?;
                transaction
                    .prepare_cached(
                        "UPDATE incident SET first_seen = (SELECT gap_since FROM epoch WHERE device = ?1 AND epoch = ?2)
                         WHERE device = ?1 AND epoch = ?2 AND what = 'gap'",
                    )?
                    .execute(params![device.as_str(), epoch.0.as_bytes()])?;
            }
            Ok(())
        };
        apply().map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(raised)
    }

    /// All incidents, the oldest first.
    pub fn incidents(&self) -> Result<Vec<Held>, Fault> {
        let read = || {
            self.0
                .connection()
                .prepare(
                    "SELECT device, epoch, first_event, last_event, what, first_seen, last_seen, ended_at,
                         unixepoch(coalesce(ended_at, 'now'), 'subsec') - unixepoch(first_seen, 'subsec')
                     FROM incident ORDER BY first_seen, device, epoch, what",
                )?
                .query_map([], |row| {
                    let name: String = row.get(4)?;
                    let what = Incident::ALL.into_iter().find(|what| what.name() == name);
                    Ok(Held {
                        device: row.get(0)?,
                        epoch: Epoch(Uuid::from_bytes(row.get(1)?)),
                        events: (Seq(row.get(2)?), Seq(row.get(3)?)),
                        what: what.ok_or(rusqlite::Error::InvalidQuery)?,
                        first_seen: row.get(5)?,
                        last_seen: row.get(6)?,
                        ended_at: row.get(7)?,
                        lasted: Duration::try_from_secs_f64(row.get(8)?).unwrap_or_default(),
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.0.fault("read the incidents"))
    }
}
