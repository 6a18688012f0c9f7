//! Events and their outbox: recorded together in one transaction, chained by hash, never altered; outbox rows go when the
//! collector has confirmed them.
//!
//! Device, epochs, event ids and times arrive from outside.
//!
//! A store may be opened twice, also by two threads at once (WAL): one handle records, the other delivers. Reads never
//! wait; the two writers, [`EventStore::record`] and [`EventStore::acknowledge`], take turns of milliseconds. Only one
//! handle should record: two would be safe but would share one [`Limits`] reserve.
//!
//! After kill -9 or a power cut the store opens with everything that `record` had answered for: a commit is synchronised
//! to the disk before it is answered.

mod chain;
mod delivery;
mod epochs;
mod error;
mod projection;
mod tables;

use std::path::Path;

pub use delivery::{Acknowledged, Contradiction, Outgoing};
pub use epochs::{Began, Cause, EpochInfo};
use epochs::{Current, claim};
pub use error::EventError;
use rusqlite::Row as SqlRow;
use tables::{append, check_undo, ends, post, waiting};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    key::Key,
    reserve::Reserve,
    sealed::{Fault, Kind, Migration, Sealed},
};
use crate::domain::{DeviceId, Epoch, Event, EventHash, EventId, EventKind, ExamId, Seq, chain_hash};

const EVENTS: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgEv"),
    name: "an event store",
    migrations: &[
        Migration { name: "events and outbox", sql: include_str!("events.sql") },
        Migration { name: "rulings", sql: include_str!("events_2.sql") },
        Migration { name: "epochs", sql: include_str!("events_3.sql") },
    ],
};

/// How much may wait for the collector, and how much disk is set aside for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most events in the outbox.
    pub rows: u64,
    /// Bytes of disk set aside for decisions when the disk runs full.
    pub reserve: u64,
}

impl Default for Limits {
    /// 200,000 events: months of the busiest door. 16 MiB aside: hundreds of decisions on a full disk.
    fn default() -> Self {
        Self { rows: 200_000, reserve: 16 << 20 }
    }
}

/// Bytes of disk that one waiting event takes, with its indexes and its row in the outbox. Measured with
/// `an_event_takes_less_disk_than_is_reckoned`: a verification with everything in it takes about half of it.
const EVENT_ON_DISK: u64 = 2048;

/// Bytes of disk for the log beside the database, its shared memory, and the database while it is empty.
const DATABASE: u64 = 16 << 20;

impl Limits {
    /// Bytes of disk that `events` waiting events need, the reserve and the database's own files included.
    #[must_use]
    pub const fn disk(&self, events: u64) -> u64 {
        events.saturating_mul(EVENT_ON_DISK).saturating_add(self.reserve).saturating_add(DATABASE)
    }

    /// How many waiting events a disk of so many bytes holds, the reserve and the database's own files included.
    #[must_use]
    pub const fn held_by(&self, disk: u64) -> u64 {
        disk.saturating_sub(self.reserve).saturating_sub(DATABASE) / EVENT_ON_DISK
    }
}

/// How much room there is for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headroom {
    /// All is well.
    Plenty,
    /// Decisions still go in, but the outbox is three quarters full or the disk reserve is being used: raise an alarm.
    Low,
    /// The outbox is full, or the last decision was refused because the disk was and the reserve is used up.
    Exhausted,
}

/// What [`EventStore::record`] gave the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number among all events of this store, contiguous from 1.
    pub seq: Seq,
    /// Its link in the chain of the epoch it was recorded in.
    pub hash: EventHash,
}

/// The two ends of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The newest event, by its number among all of this store; zero when there is none.
    pub last: Seq,
    /// Its link in the current epoch; [`EventHash::START`] when that has none.
    pub head: EventHash,
}

/// One event as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number among all events of this store.
    pub seq: Seq,
    /// Its name.
    pub event_id: EventId,
    /// The link before it in the epoch it was recorded in.
    pub prev: EventHash,
    /// Its own link there.
    pub hash: EventHash,
    /// The exact JSON that was hashed. Personal data: redacted in `Debug`, wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
}

impl Row {
    /// The event.
    ///
    /// # Errors
    /// When the body was written by a newer Examgate that knows more kinds of events.
    pub fn event(&self) -> Result<Event, EventError> {
        serde_json::from_slice(&self.body).map_err(|source| EventError::Read { seq: self.seq, source })
    }

    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: Seq(row.get(0)?),
            event_id: EventId(Uuid::from_bytes(row.get(1)?)),
            prev: EventHash::from_bytes(row.get(2)?),
            hash: EventHash::from_bytes(row.get(3)?),
            body: Zeroizing::new(row.get(4)?),
        })
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({}, {}, {} bytes, redacted)", self.seq, self.event_id, self.body.len())
    }
}

/// Events and their outbox.
#[derive(Debug)]
pub struct EventStore {
    sealed: Sealed,
    limits: Limits,
    reserve: Reserve,
    /// Whether the last event found neither disk nor reserve.
    refused: bool,
}

impl EventStore {
    /// Opens the store of the box `device` at `path`. If there is none it is made, in the epoch `fresh`; otherwise `fresh` is
    /// not used.
    ///
    /// ```
    /// use examgate::{
    ///     domain::{DeviceId, Epoch, Seq},
    ///     store::{EventStore, Key, Limits},
    /// };
    /// use uuid::Uuid;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let (path, key, door) = (folder.path().join("events.db"), Key::generate()?, DeviceId::new("door-7")?);
    /// let first = Epoch(Uuid::from_u128(1));
    /// let store = EventStore::open(&path, &key, &door, first, Limits::default())?;
    /// assert_eq!((store.epoch()?, store.ends()?.last, store.outbox_len()?), (first, Seq(0), 0));
    /// drop(store);
    ///
    /// // Opened again it is in the epoch it was made in; with another key it is refused.
    /// let again = EventStore::open(&path, &key, &door, Epoch(Uuid::from_u128(2)), Limits::default())?;
    /// assert_eq!(again.epoch()?, first);
    /// assert!(EventStore::open(&path, &Key::generate()?, &door, first, Limits::default()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What [`Sealed::open_or_create`] refuses; [`EventError::Reserve`]; [`EventError::OtherDevice`] when the events are
    /// those of a box with another id.
    pub fn open(path: &Path, key: &Key, device: &DeviceId, fresh: Epoch, limits: Limits) -> Result<Self, EventError> {
        let reserve = path.with_extension("reserve");
        let mut reserve =
            Reserve::open(&reserve, limits.reserve).map_err(|source| EventError::Reserve { path: reserve, source })?;
        let mut sealed = loop {
            match Sealed::open_or_create(path, key, &EVENTS) {
                // Opening needs a little room too: the log and the shared memory beside the database.
                Err(Fault::Full { .. }) if release(&mut reserve, path)? => {}
                opened => break opened?,
            }
        };
        claim(&mut sealed, device, fresh)?;
        Ok(Self { sealed, limits, reserve, refused: false })
    }

    /// Opens the store at `path` to look at it, whosever it is: nothing is made, written or brought up to date, and nothing
    /// can be recorded.
    ///
    /// # Errors
    /// What [`Sealed::look`] refuses; [`Fault::Older`] when the store has to be brought up to date first.
    pub fn look(path: &Path, key: &Key, limits: Limits) -> Result<Self, EventError> {
        let sealed = Sealed::look(path, key, &EVENTS)?;
        if !sealed.is_up_to_date(&EVENTS)? {
            return Err(Fault::Older { path: path.into() }.into());
        }
        let reserve = Reserve::look(&path.with_extension("reserve"), limits.reserve);
        Ok(Self { sealed, limits, reserve, refused: false })
    }

    /// Records `event` and puts it in the outbox, in one transaction that is on the disk when this returns.
    ///
    /// # Errors
    /// [`EventError::DiskFull`] and [`EventError::OutboxFull`] when there is no room left, [`EventError::Duplicate`],
    /// [`EventError::NotUndoable`], or when the database fails. Nothing is recorded then, and nothing recorded before is lost.
    pub fn record(&mut self, event: &Event) -> Result<Recorded, EventError> {
        let body = Zeroizing::new(serde_json::to_vec(event).map_err(EventError::Write)?);
        let path = self.sealed.path().to_path_buf();
        self.reserve.refill().map_err(|source| EventError::Reserve { path: path.clone(), source })?;
        loop {
            match self.insert(event, &body) {
                Err(EventError::Database(Fault::Full { .. })) => {
                    if !release(&mut self.reserve, &path)? {
                        self.refused = true;
                        return Err(EventError::DiskFull);
                    }
                }
                answer => {
                    self.refused &= answer.is_err();
                    return answer;
                }
            }
        }
    }

    fn insert(&mut self, event: &Event, body: &[u8]) -> Result<Recorded, EventError> {
        let fault = self.sealed.fault("record an event");
        let transaction = self.sealed.write()?;
        let rows = waiting(&transaction).map_err(&fault)?;
        if rows >= self.limits.rows {
            return Err(EventError::OutboxFull { rows });
        }
        let current = Current::of(&transaction).map_err(&fault)?;
        let Ends { last, head } = ends(&transaction, &current).map_err(&fault)?;
        let seq = Seq(last.0 + 1);
        let hash = chain_hash(current.epoch, current.number(seq), &head, body);
        let known = transaction
            .prepare_cached("SELECT 1 FROM events WHERE id = ?1")
            .and_then(|mut query| query.exists([event.id.0.as_bytes()]))
            .map_err(&fault)?;
        if known {
            return Err(EventError::Duplicate { id: event.id });
        }
        if let EventKind::Undo(undo) = &event.kind {
            check_undo(&transaction, undo, event.at, &fault)?;
        }
        append(&transaction, event, Recorded { seq, hash }, &head, body)
            .and_then(|()| post(&transaction, seq))
            .map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(Recorded { seq, hash })
    }

    /// Up to `limit` events after `after`, confirmed or not, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events(&self, after: Seq, limit: usize) -> Result<Vec<Row>, EventError> {
        let read = || {
            let sql = "SELECT seq, id, prev, hash, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2";
            let mut query = self.sealed.connection().prepare_cached(sql)?;
            query.query_map((after.0, limit), Row::read)?.collect::<Result<Vec<_>, _>>()
        };
        Ok(read().map_err(self.sealed.fault("read events"))?)
    }

    /// All events of `exam` after `after`, in order, and those of no exam.
    ///
    /// # Errors
    /// When the database fails.
    pub fn of_exam(&self, exam: &ExamId, after: Seq) -> Result<Vec<Row>, EventError> {
        let read = || {
            let mut query = self.sealed.connection().prepare_cached(
                "SELECT seq, id, prev, hash, body FROM events WHERE seq > ?1 AND (exam = ?2 OR exam IS NULL) ORDER BY seq",
            )?;
            query.query_map((after.0, exam.as_str()), Row::read)?.collect::<Result<Vec<_>, _>>()
        };
        Ok(read().map_err(self.sealed.fault("read an exam's events"))?)
    }

    /// How many events wait for the collector.
    ///
    /// # Errors
    /// When the database fails.
    pub fn outbox_len(&self) -> Result<u64, EventError> {
        Ok(waiting(self.sealed.connection()).map_err(self.sealed.fault("count the outbox"))?)
    }

    /// The newest event and its hash.
    ///
    /// # Errors
    /// When the database fails.
    pub fn ends(&self) -> Result<Ends, EventError> {
        let read = |connection| ends(connection, &Current::of(connection)?);
        Ok(read(self.sealed.connection()).map_err(self.sealed.fault("read the newest event"))?)
    }

    /// How much room there is, as the handle that records knows it. A disk that filled up unseen shows with its next event.
    ///
    /// # Errors
    /// When the database fails.
    pub fn room(&self) -> Result<Headroom, EventError> {
        let rows = waiting(self.sealed.connection()).map_err(self.sealed.fault("count the outbox"))?;
        let most = self.limits.rows;
        Ok(if rows >= most || self.refused {
            Headroom::Exhausted
        } else if rows >= most / 4 * 3 || !self.reserve.is_whole() {
            Headroom::Low
        } else {
            Headroom::Plenty
        })
    }

    /// The database, for checks of the whole file.
    #[must_use]
    pub const fn sealed(&self) -> &Sealed {
        &self.sealed
    }
}

/// Gives a slice of the reserve back. Says whether there was one.
fn release(reserve: &mut Reserve, path: &Path) -> Result<bool, EventError> {
    reserve.release().map_err(|source| EventError::Reserve { path: path.into(), source })
}

#[cfg(test)]
mod rulings;
#[cfg(test)]
mod tests;
