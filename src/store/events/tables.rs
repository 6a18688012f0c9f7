//! The statements behind the event store, one table row at a time.
//!
//! They never begin or end a transaction.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{
    Ends, EventError, Recorded,
    epochs::Current,
    projection::{Projected, ruling_name},
};
use crate::{
    domain::{Event, EventHash, NotUndoable, Seq, Timestamp, Undo},
    store::sealed::Fault,
};

/// How many events wait for the collector. Read from the two ends of the outbox, which has no gaps: as quick when it is
/// full as when it is empty.
pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce((SELECT max(seq) FROM outbox) - (SELECT min(seq) FROM outbox) + 1, 0)")?
        .query_row([], |row| row.get(0))
}

/// The newest event, and its link in the current epoch.
pub(super) fn ends(connection: &Connection, current: &Current) -> rusqlite::Result<Ends> {
    let last = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0).map(Seq))?;
    let head = current.link(connection, last)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Ends { last, head })
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

/// Puts an event into the outbox.
pub(super) fn post(transaction: &Transaction<'_>, seq: Seq) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT INTO outbox (seq) VALUES (?1)")?.execute([seq.0])?;
    Ok(())
}
