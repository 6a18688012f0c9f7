//! Epochs: under which number and link each event travels, and how a new epoch begins.
//!
//! Events are numbered on over all epochs of a store and are never altered; so who is inside and who is locked out does not
//! depend on epochs. An epoch gives the events after a certain one the numbers 1, 2, 3 … and a chain of their own that begins
//! at [`EventHash::START`]. What the collector had not receipted when an epoch began travels in it with a new number and
//! link, under its own event id: the ledger recognises it by that. The caller decides when a new epoch is needed.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Ends, EventError, EventStore, tables::ends};
use crate::{
    domain::{DeviceId, Epoch, EventHash, Seq, Timestamp, chain_hash},
    store::sealed::Sealed,
};

/// Events sealed anew in one transaction. Each transaction is about 10 ms long, so that the writer gets its turn between.
const CHUNK: usize = 1_000;

/// Why an epoch began that is not the store's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The collector's history of the epoch before was another one: the store was set back to an older state, or the disk
    /// lost its last writes.
    SetBack,
    /// The box got another id, or another signing key.
    NewIdentity,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::SetBack => "set_back",
            Self::NewIdentity => "new_id",
        }
    }

    fn read(name: &str) -> Option<Self> {
        [Self::SetBack, Self::NewIdentity].into_iter().find(|cause| cause.name() == name)
    }
}

/// How an epoch began that is not the store's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// The cause.
    pub cause: Cause,
    /// The time, by the wall clock.
    pub at: Timestamp,
    /// Number of events of earlier epochs that travel in it.
    pub resealed: u64,
}

/// An epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// Its name.
    pub epoch: Epoch,
    /// The id under which its events travel.
    pub device: DeviceId,
    /// How it began; `None` for the store's first.
    pub began: Option<Began>,
}

/// The row of an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    pub(super) n: u64,
    pub(super) epoch: Epoch,
    /// The event before its first.
    pub(super) after: Seq,
    /// Events up to here were recorded before it began.
    pub(super) resealed: Seq,
}

impl Current {
    /// What its events are read with, in this order.
    const COLUMNS: &str = "n, epoch, after, resealed";

    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            epoch: Epoch(Uuid::from_bytes(row.get(1)?)),
            after: Seq(row.get(2)?),
            resealed: Seq(row.get(3)?),
        })
    }

    /// The current one.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = format!("SELECT {} FROM epochs ORDER BY n DESC LIMIT 1", Self::COLUMNS);
        connection.prepare_cached(&sql)?.query_row([], Self::read)
    }

    /// All of them, in order.
    pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        let sql = format!("SELECT {} FROM epochs ORDER BY n", Self::COLUMNS);
        connection.prepare_cached(&sql)?.query_map([], Self::read)?.collect()
    }

    /// The number in this epoch of the store's event `seq`, which belongs to it.
    pub(super) const fn number(&self, seq: Seq) -> Seq {
        Seq(seq.0 - self.after.0)
    }

    /// The link in this epoch of the store's event `seq`; [`EventHash::START`] before its first, `None` if there is no such
    /// event in it.
    pub(super) fn link(&self, connection: &Connection, seq: Seq) -> rusqlite::Result<Option<EventHash>> {
        if seq == self.after {
            return Ok(Some(EventHash::START));
        }
        if seq < self.after {
            return Ok(None);
        }
        let read = |row: &SqlRow<'_>| row.get(0).map(EventHash::from_bytes);
        if seq <= self.resealed {
            let mut query = connection.prepare_cached("SELECT hash FROM resealed WHERE n = ?1 AND seq = ?2")?;
            return query.query_row((self.n, seq.0), read).optional();
        }
        connection.prepare_cached("SELECT hash FROM events WHERE seq = ?1")?.query_row([seq.0], read).optional()
    }
}

/// Makes the first epoch of a new store; takes over a store of the schema before; refuses another box's.
pub(super) fn claim(sealed: &mut Sealed, device: &DeviceId, fresh: Epoch) -> Result<(), EventError> {
    let fault = sealed.fault("begin an epoch");
    let transaction = sealed.write()?;
    let held: Option<Option<String>> = transaction
        .query_row("SELECT device FROM epochs ORDER BY n DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(&fault)?;
    let changed = match held {
        Some(Some(held)) if held == device.as_str() => return Ok(()),
        Some(Some(held)) => return Err(EventError::OtherDevice { held, configured: device.clone() }),
        Some(None) => transaction.execute("UPDATE epochs SET device = ?1", [device.as_str()]),
        None => transaction.execute(
            "INSERT INTO epochs (n, epoch, device, after, resealed) VALUES (1, ?1, ?2, 0, 0)",
            params![fresh.0.as_bytes(), device.as_str()],
        ),
    };
    changed.map_err(&fault)?;
    Ok(transaction.commit().map_err(&fault)?)
}

impl EventStore {
    /// The current epoch.
    ///
    /// # Errors
    /// When the database fails.
    pub fn epoch(&self) -> Result<Epoch, EventError> {
        Ok(Current::of(self.sealed.connection()).map_err(self.sealed.fault("read the epoch"))?.epoch)
    }

    /// The current epoch, and its newest event by the number and the link that it travels with; number 0 when it has none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn place(&self) -> Result<(Epoch, Seq, EventHash), EventError> {
        let read = |connection| {
            let current = Current::of(connection)?;
            let Ends { last, head } = ends(connection, &current)?;
            Ok((current.epoch, current.number(last), head))
        };
        Ok(read(self.sealed.connection()).map_err(self.sealed.fault("read the newest event"))?)
    }

    /// All epochs, the current one last.
    ///
    /// # Errors
    /// When the database fails or holds what no Examgate writes.
    pub fn epochs(&self) -> Result<Vec<EpochInfo>, EventError> {
        let nonsense = || EventError::Nonsense { what: "an epoch" };
        let read = |row: &SqlRow<'_>| {
            let began = (row.get::<_, Option<String>>(2)?, row.get::<_, Option<String>>(3)?, row.get::<_, u64>(4)?);
            Ok((Epoch(Uuid::from_bytes(row.get(0)?)), row.get::<_, String>(1)?, began))
        };
        let rows = || {
            let sql = "SELECT epoch, device, cause, begun_at, resealed - after FROM epochs ORDER BY n";
            self.sealed.connection().prepare_cached(sql)?.query_map([], read)?.collect::<Result<Vec<_>, _>>()
        };
        let rows = rows().map_err(self.sealed.fault("read the epochs"))?;
        type Stored = (Epoch, String, (Option<String>, Option<String>, u64));
        let info = |(epoch, device, began): Stored| {
            let began = match began {
                (None, None, _) => None,
                (Some(cause), Some(at), resealed) => Some(Began {
                    cause: Cause::read(&cause).ok_or_else(nonsense)?,
                    at: at.parse().map_err(|_| nonsense())?,
                    resealed,
                }),
                (Some(_), None, _) | (None, Some(_), _) => return Err(nonsense()),
            };
            Ok(EpochInfo { epoch, device: DeviceId::new(device).map_err(|_| nonsense())?, began })
        };
        rows.into_iter().map(info).collect()
    }

    /// Begins the epoch `fresh`, whose events travel under the id `device`, at the time `at`. Everything in the outbox
    /// travels in it, with a new number and link. Says how many events that were.
    ///
    /// The links are made in short transactions, between which events are recorded in the old epoch; the last transaction
    /// begins the new one. After a power cut in between, the old epoch is still the current one.
    ///
    /// # Errors
    /// When the database fails. The old epoch goes on then.
    pub fn begin_epoch(
        &mut self,
        fresh: Epoch,
        device: &DeviceId,
        cause: Cause,
        at: Timestamp,
    ) -> Result<u64, EventError> {
        let fault = self.sealed.fault("begin an epoch");
        let transaction = self.sealed.write()?;
        let n = Current::of(&transaction).map_err(&fault)?.n + 1;
        // An attempt that was cut off.
        transaction.execute("DELETE FROM resealed WHERE n = ?1", [n]).map_err(&fault)?;
        let after: u64 = transaction
            .query_row(
                "SELECT coalesce((SELECT min(seq) - 1 FROM outbox), (SELECT max(seq) FROM events), 0)",
                [],
                |row| row.get(0),
            )
            .map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        let (mut done, mut head) = (after, EventHash::START);
        loop {
            let transaction = self.sealed.write()?;
            let reseal = || {
                let mut rows =
                    transaction.prepare_cached("SELECT body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
                let bodies = rows.query_map((done, CHUNK), |row| row.get(0).map(Zeroizing::new))?;
                let bodies: Vec<Zeroizing<Vec<u8>>> = bodies.collect::<Result<_, _>>()?;
                let mut insert =
                    transaction.prepare_cached("INSERT INTO resealed (n, seq, prev, hash) VALUES (?1, ?2, ?3, ?4)")?;
                for body in &bodies {
                    done += 1;
                    let hash = chain_hash(fresh, Seq(done - after), &head, body);
                    insert.execute((n, done, head.as_bytes(), hash.as_bytes()))?;
                    head = hash;
                }
                let all = bodies.len() < CHUNK;
                if all {
                    transaction.execute(
                        "INSERT INTO epochs (n, epoch, device, after, resealed, cause, begun_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                        params![n, fresh.0.as_bytes(), device.as_str(), after, done, cause.name(), at.to_string()],
                    )?;
                }
                Ok(all)
            };
            let all = { reseal }().map_err(&fault)?;
            transaction.commit().map_err(&fault)?;
            if all {
                return Ok(done - after);
            }
        }
    }
}
