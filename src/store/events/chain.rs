//! Checks the chains of all epochs.

use rusqlite::Row as SqlRow;
use zeroize::Zeroizing;

use super::{Ends, EventError, EventStore, Row, epochs::Current};
use crate::domain::{EventHash, Seq, chain_hash};

/// A link that an event has in an epoch later than the one it was recorded in.
struct Resealed {
    seq: Seq,
    prev: EventHash,
    hash: EventHash,
    body: Zeroizing<Vec<u8>>,
}

impl Resealed {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: Seq(row.get(0)?),
            prev: EventHash::from_bytes(row.get(1)?),
            hash: EventHash::from_bytes(row.get(2)?),
            body: Zeroizing::new(row.get(3)?),
        })
    }
}

impl EventStore {
    /// Walks all events and checks that each is in its place and covers the one before, in the epoch it was recorded in and
    /// in those in which it was sealed anew. Says where the chain ends.
    ///
    /// # Errors
    /// [`EventError::Broken`] at the first event that does not fit.
    pub fn verify_chain(&self) -> Result<Ends, EventError> {
        let fault = self.sealed.fault("walk the chain of events");
        let connection = self.sealed.connection();
        let epochs = Current::all(connection).map_err(&fault)?;
        let mut query =
            connection.prepare("SELECT seq, id, prev, hash, body FROM events ORDER BY seq").map_err(&fault)?;
        let mut rows = query.query_map([], Row::read).map_err(&fault)?;
        let mut at = Ends { last: Seq(0), head: EventHash::START };
        for (index, epoch) in epochs.iter().enumerate() {
            at.head = self.verify_resealed(epoch)?;
            let end = epochs.get(index + 1).map_or(Seq(u64::MAX), |next| next.resealed);
            while at.last < end {
                let Some(row) = rows.next() else { break };
                let row = row.map_err(&fault)?;
                let broken = |what| Err(EventError::Broken { seq: row.seq, what });
                if row.seq.0 != at.last.0 + 1 {
                    return broken("an event before it is missing");
                }
                if row.prev != at.head {
                    return broken("it does not follow the event before it");
                }
                if row.hash != chain_hash(epoch.epoch, epoch.number(row.seq), &row.prev, &row.body) {
                    return broken("its content is not what was hashed");
                }
                at = Ends { last: row.seq, head: row.hash };
            }
        }
        Ok(at)
    }

    /// The link at which the events recorded in `epoch` begin.
    fn verify_resealed(&self, epoch: &Current) -> Result<EventHash, EventError> {
        let fault = self.sealed.fault("walk the chain of events sealed anew");
        let sql =
            "SELECT seq, r.prev, r.hash, body FROM resealed AS r JOIN events USING (seq) WHERE n = ?1 ORDER BY seq";
        let mut query = self.sealed.connection().prepare(sql).map_err(&fault)?;
        let (mut last, mut head) = (epoch.after, EventHash::START);
        for row in query.query_map([epoch.n], Resealed::read).map_err(&fault)? {
            let Resealed { seq, prev, hash, body } = row.map_err(&fault)?;
            let broken = |what| Err(EventError::Broken { seq, what });
            if seq.0 != last.0 + 1 {
                return broken("an event before it was not sealed anew");
            }
            if prev != head || hash != chain_hash(epoch.epoch, epoch.number(seq), &prev, &body) {
                return broken("its link in a later epoch is not what was sealed anew");
            }
            (last, head) = (seq, hash);
        }
        if last != epoch.resealed {
            return Err(EventError::Broken { seq: epoch.resealed, what: "it was not sealed anew in a later epoch" });
        }
        Ok(head)
    }
}
