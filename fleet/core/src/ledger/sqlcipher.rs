//! A ledger in an encrypted SQLite file, for a collector and its spares on one machine.

use std::{io, path::Path, time::Duration};

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    store::{
        Key,
        sealed::{Fault, Kind, Migration, Sealed},
    },
    wire::envelope::EventEnvelope,
};
use rusqlite::{OptionalExtension, Params, Row, Transaction, params};
use uuid::Uuid;

use super::{
    Entry, LedgerFault,
    database::{Database, Done, End, Failure, Look, NewEnd, OpenGap, See, Tables, Work},
};
use crate::{
    incidents::{Held, Incident},
    lease::{Holder, Row as LeaseRow, Token},
};

/// What the file is, and the steps of its schema.
pub(super) const LEDGER: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgLg"),
    name: "a collector's ledger",
    migrations: &[
        Migration { name: "events, lives and alarms", sql: include_str!("sqlcipher_1.sql") },
        Migration { name: "places apart from events, incidents", sql: include_str!("sqlcipher_2.sql") },
        Migration { name: "the lease of the active collector", sql: include_str!("sqlcipher_3.sql") },
    ],
};

/// A ledger in a file.
#[derive(Debug)]
pub(super) struct SqlCipher(pub(super) Sealed);

impl SqlCipher {
    pub(super) fn open(path: &Path, key: &Key) -> Result<Self, LedgerFault> {
        Ok(Self(Sealed::open_or_create(path, key, &LEDGER)?))
    }

    pub(super) fn open_existing(path: &Path, key: &Key) -> Result<Self, LedgerFault> {
        Ok(Self(Sealed::open(path, key, &LEDGER)?))
    }
}

/// Whether `error` is about the value that was to be written.
fn is_about_the_value(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    if let Some(code) = error.sqlite_error_code() {
        return matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig);
    }
    matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
}

impl Database for SqlCipher {
    fn transaction(&mut self, work: &mut Work<'_>) -> Done<()> {
        let fault = self.0.fault("commit");
        let path = self.0.path().to_owned();
        let transaction = self.0.write().map_err(LedgerFault::from)?;
        let mut tables = InFile { transaction: &transaction, path: &path };
        work(&mut tables)?;
        transaction.commit().map_err(|error| Failure::Fault(fault(error).into()))
    }

    fn lease(&mut self) -> Result<Option<LeaseRow>, LedgerFault> {
        let found = self.0.connection().prepare_cached(LEASE).and_then(|mut read| read.query_row([], lease).optional());
        found.map_err(|error| self.0.fault("read the lease")(error).into())
    }

    fn entries(&mut self, see: &mut See<'_>) -> Result<io::Result<()>, LedgerFault> {
        let mut read = || {
            let mut query = self.0.connection().prepare(
                "SELECT device, epoch, seq, in_line, committed_at, body FROM
                     (SELECT *, row_number() OVER (PARTITION BY event ORDER BY in_line DESC, epoch, seq) AS choice FROM place)
                 JOIN recorded ON recorded.n = event WHERE choice = 1 ORDER BY device, epoch, seq, event",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let entry = Entry {
                    device: row.get(0)?,
                    epoch: Epoch(row.get(1).map(Uuid::from_bytes)?),
                    seq: Seq(row.get(2)?),
                    confirmed: row.get(3)?,
                    committed_at: row.get(4)?,
                    body: row.get::<_, Vec<u8>>(5)?.into(),
                };
                if let Err(error) = see(entry) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(|error| self.0.fault("read events")(error).into())
    }

    fn incidents(&mut self) -> Result<Vec<Held>, LedgerFault> {
        let read = || {
            self.0
                .connection()
                .prepare(
                    "SELECT device, epoch, first_event, last_event, what, first_seen, last_seen, ended_at,
                         unixepoch(coalesce(ended_at, 'now'), 'subsec') - unixepoch(first_seen, 'subsec')
                     FROM incident ORDER BY first_seen, device, epoch, what",
                )?
                .query_map([], |row| {
                    Ok(Held {
                        device: row.get(0)?,
                        epoch: Epoch(Uuid::from_bytes(row.get(1)?)),
                        events: (Seq(row.get(2)?), Seq(row.get(3)?)),
                        what: Incident::named(&row.get::<_, String>(4)?).ok_or(rusqlite::Error::InvalidQuery)?,
                        first_seen: row.get(5)?,
                        last_seen: row.get(6)?,
                        ended_at: row.get(7)?,
                        lasted: Duration::try_from_secs_f64(row.get(8)?).unwrap_or_default(),
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.0.fault("read the incidents")(error).into())
    }
}

/// The lease, its age and what is left of it.
const LEASE: &str = "SELECT token, holder, name, now - renewed_at, ends_at - now FROM lease,
    (SELECT CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER) AS now)";

fn lease(row: &Row<'_>) -> rusqlite::Result<LeaseRow> {
    let holder = Holder { id: Uuid::from_bytes(row.get(1)?), name: row.get(2)? };
    Ok(LeaseRow { number: row.get(0)?, holder, age: row.get(3)?, left: row.get(4)? })
}

/// The tables inside a transaction.
struct InFile<'a> {
    transaction: &'a Transaction<'a>,
    path: &'a Path,
}

impl InFile<'_> {
    fn failure(&self, error: rusqlite::Error) -> Failure {
        if is_about_the_value(&error) {
            return Failure::Value(error.to_string());
        }
        Failure::Fault(Fault::of(self.path, "commit events", error).into())
    }

    fn execute(&self, sql: &str, with: impl Params) -> Done<usize> {
        let done = self.transaction.prepare_cached(sql).and_then(|mut statement| statement.execute(with));
        done.map_err(|error| self.failure(error))
    }

    fn first<T>(
        &self,
        sql: &str,
        with: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Option<T>> {
        let found =
            self.transaction.prepare_cached(sql).and_then(|mut statement| statement.query_row(with, read).optional());
        found.map_err(|error| self.failure(error))
    }
}

impl Tables for InFile<'_> {
    fn lease(&mut self) -> Done<Option<LeaseRow>> {
        self.first(LEASE, [], lease)
    }

    fn set_lease(&mut self, token: Token, holder: &Holder, lasts: Duration) -> Done<()> {
        let lasts = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        self.execute(
            "INSERT OR REPLACE INTO lease (one, token, holder, name, renewed_at, ends_at)
             SELECT 1, ?1, ?2, ?3, now, now + ?4 FROM (SELECT CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER) AS now)",
            params![token.number(), holder.id.as_bytes(), holder.name, lasts],
        )
        .map(drop)
    }

    fn look(&mut self, event: &EventEnvelope) -> Done<Look> {
        let EventEnvelope { device, epoch, seq, event_id, prev: _, hash, body } = event;
        let found = self.first(
            "SELECT EXISTS (SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq = ?3 AND hash = ?4),
                 (SELECT n FROM recorded WHERE id = ?5 AND body = ?6 LIMIT 1),
                 EXISTS (SELECT 1 FROM recorded WHERE id = ?5),
                 EXISTS (SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq = ?3),
                 EXISTS (SELECT 1 FROM epoch WHERE epoch = ?2 AND device <> ?1)",
            params![
                device.as_str(),
                epoch.0.as_bytes(),
                seq.0,
                hash.as_bytes(),
                event_id.0.as_bytes(),
                body.as_slice()
            ],
            |row| {
                Ok(Look {
                    known: row.get(0)?,
                    same: row.get(1)?,
                    id_used: row.get(2)?,
                    taken: row.get(3)?,
                    of_another: row.get(4)?,
                })
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    fn keep(&mut self, event: &EventEnvelope) -> Done<i64> {
        self.execute(
            "INSERT INTO recorded (id, body) VALUES (?1, ?2)",
            params![event.event_id.0.as_bytes(), event.body.as_slice()],
        )?;
        Ok(self.transaction.last_insert_rowid())
    }

    fn place(&mut self, event: &EventEnvelope, recorded: i64, in_line: bool) -> Done<()> {
        let EventEnvelope { device, epoch, seq, event_id: _, prev, hash, body: _ } = event;
        self.execute(
            "INSERT INTO place (device, epoch, seq, hash, prev, event, in_line) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![device.as_str(), epoch.0.as_bytes(), seq.0, hash.as_bytes(), prev.as_bytes(), recorded, in_line],
        )
        .map(drop)
    }

    fn end(&mut self, device: &DeviceId, epoch: Epoch) -> Done<End> {
        self.first(
            "SELECT contiguous, head FROM epoch WHERE device = ?1 AND epoch = ?2",
            params![device.as_str(), epoch.0.as_bytes()],
            |row| Ok((Seq(row.get(0)?), EventHash::from_bytes(row.get(1)?))),
        )
    }

    fn confirm(&mut self, device: &DeviceId, epoch: Epoch, seq: Seq, prev: &EventHash) -> Done<Option<EventHash>> {
        self.first(
            "UPDATE place SET in_line = 1 WHERE (device, epoch, seq, hash) IN
                 (SELECT device, epoch, seq, hash FROM place
                  WHERE device = ?1 AND epoch = ?2 AND seq = ?3 AND prev = ?4 ORDER BY event LIMIT 1)
             RETURNING hash",
            params![device.as_str(), epoch.0.as_bytes(), seq.0, prev.as_bytes()],
            |row| row.get(0).map(EventHash::from_bytes),
        )
    }

    fn beyond(&mut self, device: &DeviceId, epoch: Epoch, seq: Seq) -> Done<(bool, bool)> {
        let found = self.first(
            "SELECT EXISTS (SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq = ?3 + 1),
                 EXISTS (SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq > ?3)",
            params![device.as_str(), epoch.0.as_bytes(), seq.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(found.unwrap_or_default())
    }

    fn set_end(&mut self, end: &NewEnd<'_>) -> Done<()> {
        let NewEnd { device, epoch, seq, head, gap } = end;
        self.execute(
            "INSERT INTO epoch (device, epoch, contiguous, head, gap_since)
             VALUES (?1, ?2, ?3, ?4, CASE WHEN ?5 THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END)
             ON CONFLICT DO UPDATE SET contiguous = excluded.contiguous, head = excluded.head, gap_since =
                 CASE WHEN ?5 THEN CASE WHEN contiguous = excluded.contiguous
                      THEN coalesce(gap_since, excluded.gap_since) ELSE excluded.gap_since END END",
            params![device.as_str(), epoch.0.as_bytes(), seq.0, head.as_bytes(), gap],
        )
        .map(drop)
    }

    fn raise(&mut self, device: &DeviceId, epoch: Epoch, events: (Seq, Seq), what: Incident) -> Done<bool> {
        let of = params![device.as_str(), epoch.0.as_bytes(), what.name(), events.0.0, events.1.0];
        let known = self.execute(
            "UPDATE incident SET first_event = min(first_event, ?4), last_event = max(last_event, ?5),
                 last_seen = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE device = ?1 AND epoch = ?2 AND what = ?3 AND ended_at IS NULL",
            of,
        )?;
        if known == 0 {
            self.execute(
                "INSERT OR REPLACE INTO incident (device, epoch, what, first_event, last_event) VALUES (?1, ?2, ?3, ?4, ?5)",
                of,
            )?;
        }
        Ok(known == 0)
    }

    fn ended(&mut self, device: &DeviceId, epoch: Epoch, what: Incident) -> Done<()> {
        self.execute(
            "UPDATE incident SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE device = ?1 AND epoch = ?2 AND what = ?3 AND ended_at IS NULL",
            params![device.as_str(), epoch.0.as_bytes(), what.name()],
        )
        .map(drop)
    }

    fn ends(&mut self) -> Done<Vec<(String, Epoch, Seq)>> {
        let read = || {
            self.transaction
                .prepare_cached("SELECT device, epoch, contiguous FROM epoch")?
                .query_map([], |row| Ok((row.get(0)?, Epoch(Uuid::from_bytes(row.get(1)?)), Seq(row.get(2)?))))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.failure(error))
    }

    fn open_gaps(&mut self, patience: Duration) -> Done<Vec<OpenGap>> {
        let read = || {
            self.transaction
                .prepare_cached(
                    "SELECT device, epoch, contiguous + 1, (SELECT min(seq) - 1 FROM place
                         WHERE device = e.device AND epoch = e.epoch AND seq > contiguous)
                     FROM epoch AS e WHERE gap_since IS NOT NULL
                         AND unixepoch('now', 'subsec') - unixepoch(gap_since, 'subsec') >= ?1",
                )?
                .query_map([patience.as_secs_f64()], |row| {
                    let events = (Seq(row.get(2)?), Seq(row.get(3)?));
                    Ok(OpenGap { device: row.get(0)?, epoch: Epoch(Uuid::from_bytes(row.get(1)?)), events })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.failure(error))
    }

    fn date_gap(&mut self, device: &DeviceId, epoch: Epoch) -> Done<()> {
        self.execute(
            "UPDATE incident SET first_seen = (SELECT gap_since FROM epoch WHERE device = ?1 AND epoch = ?2)
             WHERE device = ?1 AND epoch = ?2 AND what = 'gap'",
            params![device.as_str(), epoch.0.as_bytes()],
        )
        .map(drop)
    }
}

#[cfg(test)]
mod tests;
