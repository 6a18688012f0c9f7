//! What the uplink needs: the events as they travel, and what a receipt does. A receipt that comes here has been verified.

use rusqlite::Row as SqlRow;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{EventError, EventStore, epochs::Current, tables::ends};
use crate::domain::{Epoch, EventHash, EventId, Seq};

/// One event as it travels.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its number there, from 1.
    pub seq: Seq,
    /// Its name.
    pub event_id: EventId,
    /// The link before; [`EventHash::START`] for the first.
    pub prev: EventHash,
    /// Its link.
    pub hash: EventHash,
    /// The body as recorded. Personal data: redacted in `Debug`, wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} {} {}, {} bytes, redacted)", self.epoch, self.seq, self.event_id, self.body.len())
    }
}

/// What a receipt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// The collector's event is this box's own: so many rows left the outbox (0 if they had left before).
    Held(u64),
    /// The receipt is for an epoch that is not the current one. Nothing was changed.
    AnotherEpoch,
    /// The collector holds another history of the current epoch. Nothing was changed.
    Contradicts(Contradiction),
}

/// How the collector's history differs from this store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Its event there is another one.
    #[error("the collector holds another event {seq} than this box")]
    OtherEvent {
        /// The number in the epoch.
        seq: Seq,
    },
    /// It goes further than anything this store recorded in this epoch.
    #[error("the collector holds events up to {receipt}, this box recorded only {last}")]
    Beyond {
        /// Up to where the collector has events.
        receipt: Seq,
        /// The newest event here, by its number in the epoch.
        last: Seq,
    },
}

impl EventStore {
    /// Up to which event of the current epoch everything has been receipted.
    ///
    /// # Errors
    /// When the database fails.
    pub fn receipted(&self) -> Result<Seq, EventError> {
        let read = || {
            let connection = self.sealed.connection();
            let current = Current::of(connection)?;
            let receipted = connection
                .prepare_cached("SELECT coalesce((SELECT min(seq) - 1 FROM outbox), (SELECT max(seq) FROM events), 0)")?
                .query_row([], |row| row.get(0))?;
            Ok(current.number(Seq(receipted)))
        };
        Ok(read().map_err(self.sealed.fault("read the outbox"))?)
    }

    /// Up to `limit` events of the current epoch after its number `after`, in order; also such as have been receipted, for a
    /// collector whose ledger was set back.
    ///
    /// # Errors
    /// When the database fails.
    pub fn outgoing(&self, after: Seq, limit: usize) -> Result<Vec<Outgoing>, EventError> {
        let read = || {
            let connection = self.sealed.connection();
            let current = Current::of(connection)?;
            let outgoing = |row: &SqlRow<'_>| {
                Ok(Outgoing {
                    epoch: current.epoch,
                    seq: current.number(Seq(row.get(0)?)),
                    event_id: EventId(Uuid::from_bytes(row.get(1)?)),
                    prev: EventHash::from_bytes(row.get(2)?),
                    hash: EventHash::from_bytes(row.get(3)?),
                    body: Zeroizing::new(row.get(4)?),
                })
            };
            connection
                .prepare_cached(
                    "SELECT e.seq, e.id, coalesce(r.prev, e.prev), coalesce(r.hash, e.hash), e.body
                     FROM events AS e LEFT JOIN resealed AS r ON r.n = ?1 AND r.seq = e.seq
                     WHERE e.seq > ?2 ORDER BY e.seq LIMIT ?3",
                )?
                .query_map((current.n, current.after.0.saturating_add(after.0), limit), outgoing)?
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(read().map_err(self.sealed.fault("read events"))?)
    }

    /// The collector says that it holds everything of `epoch` up to its number `seq`, whose link is `hash`. If this store's
    /// own event there has that link, everything up to it leaves the outbox. The events stay. Confirming twice is no error.
    ///
    /// # Errors
    /// When the database fails.
    pub fn acknowledge(&mut self, epoch: Epoch, seq: Seq, hash: EventHash) -> Result<Acknowledged, EventError> {
        let fault = self.sealed.fault("take receipted events out of the outbox");
        let transaction = self.sealed.write()?;
        let current = Current::of(&transaction).map_err(&fault)?;
        if epoch != current.epoch {
            return Ok(Acknowledged::AnotherEpoch);
        }
        let last = current.number(ends(&transaction, &current).map_err(&fault)?.last);
        if seq > last {
            return Ok(Acknowledged::Contradicts(Contradiction::Beyond { receipt: seq, last }));
        }
        let up_to = Seq(current.after.0 + seq.0);
        if current.link(&transaction, up_to).map_err(&fault)? != Some(hash) {
            return Ok(Acknowledged::Contradicts(Contradiction::OtherEvent { seq }));
        }
        let gone = transaction.execute("DELETE FROM outbox WHERE seq <= ?1", [up_to.0]).map_err(&fault)?;
        transaction.commit().map_err(&fault)?;
        Ok(Acknowledged::Held(gone as u64))
    }
}

#[cfg(test)]
mod tests;
