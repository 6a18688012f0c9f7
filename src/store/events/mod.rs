//! Events and their outbox: recorded together in one transaction, chained by hash, never altered; outbox rows go when the
//! collector has confirmed them.
//!
//! Epoch, event ids and times arrive from outside.
//!
//! A store may be opened twice, also by two threads at once (WAL): one handle records, the other delivers. Reads never
//! wait; the two writers, [`EventStore::record`] and [`EventStore::acknowledge`], take turns of milliseconds. Only one
//! handle should record: two would be safe but would share one [`Limits`] reserve.
//!
//! After kill -9 or a power cut the store opens with everything that `record` had answered for: a commit is synchronised
//! to the disk before it is answered.

mod error;
mod projection;
mod tables;

use std::path::Path;

pub use error::EventError;
use rusqlite::Row as SqlRow;
use tables::{Waiting, append, check_undo, ends, life, post, waiting};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    key::Key,
    reserve::Reserve,
    sealed::{Fault, Kind, Migration, Sealed},
};
use crate::domain::{Epoch, Event, EventHash, EventId, EventKind, ExamId, Seq, chain_hash};

const EVENTS: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgEv"),
    name: "an event store",
    migrations: &[
        Migration { name: "events and outbox", sql: include_str!("events.sql") },
        Migration { name: "rulings", sql: include_str!("events_2.sql") },
    ],
};

/// How much may wait for the collector, and how much disk is set aside for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows in the outbox.
    pub rows: u64,
    /// Most bytes of event bodies in the outbox.
    pub bytes: u64,
    /// Bytes of disk set aside for decisions when the disk runs full.
    pub reserve: u64,
}

impl Default for Limits {
    /// 50,000 rows or 64 MiB: weeks of the busiest door. 16 MiB aside: hundreds of decisions on a full disk.
    fn default() -> Self {
        Self { rows: 50_000, bytes: 64 << 20, reserve: 16 << 20 }
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
    /// Its place, contiguous from 1.
    pub seq: Seq,
    /// Its link of the chain.
    pub hash: EventHash,
}

/// The two ends of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The newest event; zero when there is none.
    pub last: Seq,
    /// Its hash; [`EventHash::START`] when there is none.
    pub head: EventHash,
}

/// One event as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: Seq,
    /// Its name.
    pub event_id: EventId,
    /// The hash of the event before.
    pub prev: EventHash,
    /// Its own hash.
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
    epoch: Epoch,
    limits: Limits,
    reserve: Reserve,
    /// Whether the last event found neither disk nor reserve.
    refused: bool,
}

impl EventStore {
    /// Opens the store at `path`. If there is none it is made, and lives in the epoch `fresh`; otherwise `fresh` is not
    /// used.
    ///
    /// # Errors
    /// What [`Sealed::open_or_create`] refuses; [`EventError::Reserve`].
    pub fn open(path: &Path, key: &Key, fresh: Epoch, limits: Limits) -> Result<Self, EventError> {
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
        let epoch = life(&mut sealed, fresh)?;
        Ok(Self { sealed, epoch, limits, reserve, refused: false })
    }

    /// The life this store is in.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
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
        let Waiting { rows, bytes, total } = waiting(&transaction).map_err(&fault)?;
        if rows >= self.limits.rows || bytes.saturating_add(body.len() as u64) > self.limits.bytes {
            return Err(EventError::OutboxFull { rows, bytes });
        }
        let Ends { last, head } = ends(&transaction).map_err(&fault)?;
        let seq = Seq(last.0 + 1);
        let hash = chain_hash(self.epoch, seq, &head, body);
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
            .and_then(|()| post(&transaction, seq, body.len() as u64, total))
            .map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(Recorded { seq, hash })
    }

    /// Up to `limit` events after `after` that the collector has not confirmed, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending(&self, after: Seq, limit: usize) -> Result<Vec<Row>, EventError> {
        self.rows(
            "SELECT seq, id, prev, hash, body FROM outbox JOIN events USING (seq) WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            after,
            limit,
        )
    }

    /// Up to `limit` events after `after`, confirmed or not, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events(&self, after: Seq, limit: usize) -> Result<Vec<Row>, EventError> {
        self.rows("SELECT seq, id, prev, hash, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2", after, limit)
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

    fn rows(&self, sql: &str, after: Seq, limit: usize) -> Result<Vec<Row>, EventError> {
        let read = || {
            let mut query = self.sealed.connection().prepare_cached(sql)?;
            query.query_map((after.0, limit), Row::read)?.collect::<Result<Vec<_>, _>>()
        };
        Ok(read().map_err(self.sealed.fault("read events"))?)
    }

    /// The collector holds everything up to `seq`: takes it out of the outbox and says how many rows went. The events
    /// stay. Confirming twice is no error.
    ///
    /// # Errors
    /// [`EventError::AnotherEpoch`] and [`EventError::NeverRecorded`], which change nothing; or the database fails.
    pub fn acknowledge(&mut self, epoch: Epoch, seq: Seq) -> Result<usize, EventError> {
        if epoch != self.epoch {
            return Err(EventError::AnotherEpoch { receipt: epoch, ours: self.epoch });
        }
        let fault = self.sealed.fault("take confirmed events out of the outbox");
        let transaction = self.sealed.write()?;
        let last = ends(&transaction).map_err(&fault)?.last;
        if seq > last {
            return Err(EventError::NeverRecorded { receipt: seq, last });
        }
        let gone = transaction.execute("DELETE FROM outbox WHERE seq <= ?1", [seq.0]).map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(gone)
    }

    /// How many events wait for the collector.
    ///
    /// # Errors
    /// When the database fails.
    pub fn outbox_len(&self) -> Result<u64, EventError> {
        Ok(waiting(self.sealed.connection()).map_err(self.sealed.fault("count the outbox"))?.rows)
    }

    /// The newest event and its hash.
    ///
    /// # Errors
    /// When the database fails.
    pub fn ends(&self) -> Result<Ends, EventError> {
        Ok(ends(self.sealed.connection()).map_err(self.sealed.fault("read the newest event"))?)
    }

    /// How much room there is, as the handle that records knows it. A disk that filled up unseen shows with its next event.
    ///
    /// # Errors
    /// When the database fails.
    pub fn room(&self) -> Result<Headroom, EventError> {
        let Waiting { rows, bytes, .. } =
            waiting(self.sealed.connection()).map_err(self.sealed.fault("count the outbox"))?;
        let Limits { rows: most_rows, bytes: most_bytes, reserve: _ } = self.limits;
        Ok(if rows >= most_rows || bytes >= most_bytes || self.refused {
            Headroom::Exhausted
        } else if rows >= most_rows / 4 * 3 || bytes >= most_bytes / 4 * 3 || !self.reserve.is_whole() {
            Headroom::Low
        } else {
            Headroom::Plenty
        })
    }

    /// Walks all events and checks that each is in its place and covers the one before. Says where the chain ends.
    ///
    /// # Errors
    /// [`EventError::Broken`] at the first event that does not fit.
    pub fn verify_chain(&self) -> Result<Ends, EventError> {
        let fault = self.sealed.fault("walk the chain of events");
        let mut query = self
            .sealed
            .connection()
            .prepare("SELECT seq, id, prev, hash, body FROM events ORDER BY seq")
            .map_err(&fault)?;
        let mut at = Ends { last: Seq(0), head: EventHash::START };
        for row in query.query_map([], Row::read).map_err(&fault)? {
            let row = row.map_err(&fault)?;
            let broken = |what| Err(EventError::Broken { seq: row.seq, what });
            if row.seq.0 != at.last.0 + 1 {
                return broken("an event before it is missing");
            }
            if row.prev != at.head {
                return broken("it does not follow the event before it");
            }
            if row.hash != chain_hash(self.epoch, row.seq, &row.prev, &row.body) {
                return broken("its content is not what was hashed");
            }
            at = Ends { last: row.seq, head: row.hash };
        }
        Ok(at)
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
