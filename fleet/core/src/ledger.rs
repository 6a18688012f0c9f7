//! The ledger: every event once, in an encrypted database.
//!
//! An event is known by its id and its body, wherever it stands. A box that was set back sends an event again at another
//! place: the place is kept and the event counts once. An event that contradicts the chain is kept, too, and an incident is
//! raised; receipts go on along the chain that was there first. An event that the database cannot take is put aside and harms no other; only a
//! fault of the database itself is an error. What comes here has been verified.

use std::{collections::BTreeMap, path::Path};

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    store::{
        Key,
        sealed::{Fault, Kind, Migration, Sealed},
    },
    wire::envelope::EventEnvelope,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::incidents::{self, Incident, Raised};

const LEDGER: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgLg"),
    name: "a collector's ledger",
    migrations: &[
        Migration { name: "events, lives and alarms", sql: include_str!("ledger.sql") },
        Migration { name: "places apart from events, incidents", sql: include_str!("ledger_2.sql") },
    ],
};

/// What one commit came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events that were new.
    pub fresh: usize,
    /// Up to where each epoch that was touched is complete, and the link there: 0 and [`EventHash::START`] if even its first
    /// event is missing.
    pub contiguous: BTreeMap<(DeviceId, Epoch), (Seq, EventHash)>,
    /// Incidents not raised before.
    pub raised: Vec<Raised>,
    /// Events that the database does not take, and what it says. They are not in the ledger and never receipted.
    pub unusable: Vec<(DeviceId, Epoch, Seq, String)>,
}

/// Whether `error` is about the value that was to be written, not about the database or the disk under it.
fn is_about_the_value(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    if let Some(code) = error.sqlite_error_code() {
        return matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig);
    }
    matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
}

/// One committed event.
pub struct Entry {
    /// The box.
    pub device: String,
    /// Which epoch of it.
    pub epoch: Epoch,
    /// Its number there.
    pub seq: Seq,
    /// Whether the chain reaches it without a gap.
    pub confirmed: bool,
    /// When it was committed, RFC 3339.
    pub committed_at: String,
    /// The body as recorded. Personal data.
    pub body: Vec<u8>,
}

/// The collector's ledger.
#[derive(Debug)]
pub struct Ledger(pub Sealed);

impl Ledger {
    /// Opens the ledger, made if there is none.
    pub fn open(path: &Path, key: &Key) -> Result<Self, Fault> {
        Sealed::open_or_create(path, key, &LEDGER).map(Self)
    }

    /// Opens a ledger that must be there.
    pub fn open_existing(path: &Path, key: &Key) -> Result<Self, Fault> {
        Sealed::open(path, key, &LEDGER).map(Self)
    }

    /// Commits `events` together: all is on the disk when this returns, or nothing.
    pub fn commit(&mut self, events: &[EventEnvelope]) -> Result<Committed, Fault> {
        let fault = self.0.fault("commit events");
        let transaction = self.0.write()?;
        let mut committed = Committed::default();
        let mut apply = || {
            for event in events {
                // A statement that fails changes nothing, so the transaction goes on without this event.
                match insert(&transaction, event, &mut committed.raised) {
                    Ok(fresh) => committed.fresh += usize::from(fresh),
                    Err(error) if is_about_the_value(&error) => {
                        let EventEnvelope { device, epoch, seq, .. } = event;
                        committed.unusable.push((device.clone(), *epoch, *seq, error.to_string()));
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                committed.contiguous.insert((event.device.clone(), event.epoch), (Seq(0), EventHash::START));
            }
            for ((device, epoch), end) in &mut committed.contiguous {
                *end = advance(&transaction, device, *epoch, &mut committed.raised)?;
            }
            Ok(())
        };
        apply().map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(committed)
    }

    /// Calls `see` with every event, each once, by its first confirmed place if it has one: box by box, epoch by epoch, in
    /// order.
    pub fn each(&self, mut see: impl FnMut(Entry) -> std::io::Result<()>) -> Result<std::io::Result<()>, Fault> {
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
                    epoch: Epoch(row.get(1).map(uuid::Uuid::from_bytes)?),
                    seq: Seq(row.get(2)?),
                    confirmed: row.get(3)?,
                    committed_at: row.get(4)?,
                    body: row.get(5)?,
                };
                if let Err(error) = see(entry) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(self.0.fault("read events"))
    }
}

/// `true` if the event was new.
fn insert(ledger: &Connection, event: &EventEnvelope, raised: &mut Vec<Raised>) -> rusqlite::Result<bool> {
    let EventEnvelope { device, epoch, seq, event_id, prev, hash, body } = event;
    let mut raise = |what| incidents::raise(ledger, device, *epoch, (*seq, *seq), what, raised);
    let known = ledger
        .prepare_cached("SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq = ?3 AND hash = ?4")?
        .exists(params![device.as_str(), epoch.0.as_bytes(), seq.0, hash.as_bytes()])?;
    if known {
        return Ok(false);
    }
    let same: Option<i64> = ledger
        .prepare_cached("SELECT n FROM recorded WHERE id = ?1 AND body = ?2")?
        .query_row(params![event_id.0.as_bytes(), body.as_slice()], |row| row.get(0))
        .optional()?;
    let recorded = match same {
        Some(recorded) => recorded,
        None => {
            if ledger.prepare_cached("SELECT 1 FROM recorded WHERE id = ?1")?.exists([event_id.0.as_bytes()])? {
                raise(Incident::NameReused)?;
            }
            ledger
                .prepare_cached("INSERT INTO recorded (id, body) VALUES (?1, ?2)")?
                .insert(params![event_id.0.as_bytes(), body.as_slice()])?
        }
    };
    let taken = ledger
        .prepare_cached("SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq = ?3")?
        .exists(params![device.as_str(), epoch.0.as_bytes(), seq.0])?;
    if taken {
        raise(Incident::Forked)?;
    }
    let of_another = ledger
        .prepare_cached("SELECT 1 FROM epoch WHERE epoch = ?1 AND device <> ?2")?
        .exists(params![epoch.0.as_bytes(), device.as_str()])?;
    if of_another {
        raise(Incident::OtherDevice)?;
    }
    ledger
        .prepare_cached("INSERT INTO place (device, epoch, seq, hash, prev, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![device.as_str(), epoch.0.as_bytes(), seq.0, hash.as_bytes(), prev.as_bytes(), recorded])?;
    Ok(same.is_none())
}

/// Follows the chain as far as it goes without a gap. Says where it ends and the link there.
fn advance(
    ledger: &Connection,
    device: &DeviceId,
    epoch: Epoch,
    raised: &mut Vec<Raised>,
) -> rusqlite::Result<(Seq, EventHash)> {
    let (before, mut head) = ledger
        .prepare_cached("SELECT contiguous, head FROM epoch WHERE device = ?1 AND epoch = ?2")?
        .query_row(params![device.as_str(), epoch.0.as_bytes()], |row| {
            Ok((row.get(0)?, EventHash::from_bytes(row.get(1)?)))
        })
        .optional()?
        .unwrap_or((0, EventHash::START));
    let mut contiguous: u64 = before;
    let mut next = ledger.prepare_cached(
        "UPDATE place SET in_line = 1 WHERE (device, epoch, seq, hash) IN
             (SELECT device, epoch, seq, hash FROM place
              WHERE device = ?1 AND epoch = ?2 AND seq = ?3 AND prev = ?4 ORDER BY event LIMIT 1)
         RETURNING hash",
    )?;
    loop {
        let at = params![device.as_str(), epoch.0.as_bytes(), contiguous + 1, head.as_bytes()];
        let Some(hash) = next.query_row(at, |row| row.get(0)).optional()? else { break };
        (contiguous, head) = (contiguous + 1, EventHash::from_bytes(hash));
    }
    let seen = |sql| ledger.prepare_cached(sql)?.exists(params![device.as_str(), epoch.0.as_bytes(), contiguous]);
    let loose = seen("SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq = ?3 + 1")?;
    if loose {
        let at = Seq(contiguous + 1);
        incidents::raise(ledger, device, epoch, (at, at), Incident::Forked, raised)?;
    }
    let gap = !loose && seen("SELECT 1 FROM place WHERE device = ?1 AND epoch = ?2 AND seq > ?3")?;
    if !gap || contiguous > before {
        // A gap that comes after it is another one, and young.
        incidents::gap_filled(ledger, device, epoch)?;
    }
    ledger
        .prepare_cached(
            "INSERT INTO epoch (device, epoch, contiguous, head, gap_since)
             VALUES (?1, ?2, ?3, ?4, CASE WHEN ?5 THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END)
             ON CONFLICT DO UPDATE SET contiguous = excluded.contiguous, head = excluded.head, gap_since =
                 CASE WHEN ?5 THEN CASE WHEN contiguous = excluded.contiguous
                      THEN coalesce(gap_since, excluded.gap_since) ELSE excluded.gap_since END END",
        )?
        .execute(params![device.as_str(), epoch.0.as_bytes(), contiguous, head.as_bytes(), gap])?;
    Ok((Seq(contiguous), head))
}

#[cfg(test)]
mod restored;
#[cfg(test)]
mod tests;
