//! The statements behind the event store, one table row at a time.
//!
//! They never begin or end a transaction, but for the epoch's.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction};
use uuid::Uuid;

use super::{
    Ends, EventError, Recorded,
    projection::{Projected, ruling_name},
};
use crate::{
    domain::{Epoch, Event, EventHash, NotUndoable, Seq, Timestamp, Undo},
    store::sealed::{Fault, Sealed},
};

/// The epoch of the store; a new store is given `fresh`.
pub(super) fn life(sealed: &mut Sealed, fresh: Epoch) -> Result<Epoch, EventError> {
    let fault = sealed.fault("begin an epoch");
    let read = |row: &SqlRow<'_>| row.get(0).map(|bytes| Epoch(Uuid::from_bytes(bytes)));
    let transaction = sealed.write()?;
    let held = transaction.query_row("SELECT epoch FROM life", [], read).optional().map_err(&fault)?;
    if let Some(epoch) = held {
        return Ok(epoch);
    }
    transaction.execute("INSERT INTO life (only, epoch) VALUES (1, ?1)", [fresh.0.as_bytes()]).map_err(&fault)?;
    transaction.commit().map_err(&fault)?;
    Ok(fresh)
}

/// What waits for the collector.
#[derive(Clone, Copy, Default)]
pub(super) struct Waiting {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// The newest row's running total of bytes.
    pub(super) total: u64,
}

/// Read from the two ends of the outbox, which has no gaps: as quick when it is full as when it is empty.
pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<Waiting> {
    let waiting = connection
        .prepare_cached(
            "SELECT newest.seq - oldest.seq + 1, newest.total - oldest.total + oldest.bytes, newest.total
             FROM (SELECT seq, total FROM outbox ORDER BY seq DESC LIMIT 1) AS newest,
                  (SELECT seq, total, bytes FROM outbox ORDER BY seq LIMIT 1) AS oldest",
        )?
        .query_row([], |row| Ok(Waiting { rows: row.get(0)?, bytes: row.get(1)?, total: row.get(2)? }))
        .optional()?;
    Ok(waiting.unwrap_or_default())
}

pub(super) fn ends(connection: &Connection) -> rusqlite::Result<Ends> {
    let ends = connection
        .prepare_cached("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(Ends { last: Seq(row.get(0)?), head: EventHash::from_bytes(row.get(1)?) }))
        .optional()?;
    Ok(ends.unwrap_or(Ends { last: Seq(0), head: EventHash::START }))
}

pub(super) fn append(
    transaction: &Transaction<'_>,
    event: &Event,
    recorded: Recorded,
    prev: &EventHash,
    body: &[u8],
) -> rusqlite::Result<()> {
    let Projected { exam, student, card, effect, ruling, undoes } = Projected::of(event);
    transaction
        .prepare_cached(
            "INSERT INTO events (seq, id, prev, hash, body, at, exam, student, card, effect, ruling, undoes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute((
            recorded.seq.0,
            event.id.0.as_bytes(),
            prev.as_bytes(),
            recorded.hash.as_bytes(),
            body,
            event.at.to_string(),
            exam.map(|exam| exam.as_str()),
            student.map(|student| student.as_str()),
            card.map(|card| card.as_bytes()),
            effect,
            ruling.map(ruling_name),
            undoes.map(|ruling| ruling.0.into_bytes()),
        ))?;
    Ok(())
}

/// Whether `undo`, to be recorded at `now`, may take its ruling back.
pub(super) fn check_undo(
    transaction: &Transaction<'_>,
    undo: &Undo,
    now: Timestamp,
    fault: impl Fn(rusqlite::Error) -> Fault,
) -> Result<(), EventError> {
    let ruling = undo.ruling.0.as_bytes();
    let ruled: Option<String> = transaction
        .query_row(
            "SELECT at FROM events WHERE id = ?1 AND exam = ?2 AND ruling IS NOT NULL",
            (ruling, undo.exam.as_str()),
            |row| row.get(0),
        )
        .optional()
        .map_err(&fault)?;
    let refused = |source| EventError::NotUndoable { ruling: undo.ruling, source };
    let ruled = ruled.ok_or_else(|| refused(NotUndoable::NoRuling))?;
    let ruled = ruled.parse().map_err(|_| EventError::Nonsense { what: "the time of an event" })?;
    let undone = transaction
        .prepare_cached("SELECT 1 FROM events WHERE undoes = ?1")
        .and_then(|mut query| query.exists([ruling]))
        .map_err(&fault)?;
    Undo::check(ruled, now, undone).map_err(refused)
}

/// Puts an event into the outbox; `total` is the running total of bytes before it.
pub(super) fn post(transaction: &Transaction<'_>, seq: Seq, bytes: u64, total: u64) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT INTO outbox (seq, bytes, total) VALUES (?1, ?2, ?3)")?.execute((
        seq.0,
        bytes,
        total + bytes,
    ))?;
    Ok(())
}
