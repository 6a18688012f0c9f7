//! Rows of the server into values of the domain. What no Examgate wrote is a fault, never a panic.

use std::time::Duration;

use examgate::domain::{Epoch, EventHash, EventId, Seq};
use postgres::{Row, types::FromSqlOwned};
use uuid::Uuid;

use super::super::{Entry, LedgerFault, seal::BodySeal};
use crate::{
    incidents::{Held, Incident},
    lease::{Holder, Row as LeaseRow},
};

/// Reads rows of one server.
pub(super) struct Reading<'a> {
    pub(super) seal: &'a BodySeal,
    pub(super) server: &'a str,
}

impl Reading<'_> {
    fn foreign(&self, what: &'static str) -> LedgerFault {
        LedgerFault::Foreign { server: self.server.into(), what }
    }

    pub(super) fn column<T: FromSqlOwned>(&self, row: &Row, index: usize) -> Result<T, LedgerFault> {
        let failed = |source| LedgerFault::Postgres { server: self.server.into(), doing: "read a row", source };
        row.try_get(index).map_err(failed)
    }

    pub(super) fn uuid(&self, row: &Row, index: usize) -> Result<Uuid, LedgerFault> {
        let bytes: Vec<u8> = self.column(row, index)?;
        Uuid::from_slice(&bytes).map_err(|_| self.foreign("a UUID of another length"))
    }

    pub(super) fn hash(&self, row: &Row, index: usize) -> Result<EventHash, LedgerFault> {
        let bytes: Vec<u8> = self.column(row, index)?;
        bytes.try_into().map(EventHash::from_bytes).map_err(|_| self.foreign("a hash of another length"))
    }

    pub(super) fn seq(&self, row: &Row, index: usize) -> Result<Seq, LedgerFault> {
        let number: i64 = self.column(row, index)?;
        number.try_into().map(Seq).map_err(|_| self.foreign("a number below 0"))
    }

    pub(super) fn entry(&self, row: &Row) -> Result<Entry, LedgerFault> {
        let id = EventId(self.uuid(row, 5)?);
        let (mark, sealed): (Vec<u8>, Vec<u8>) = (self.column(row, 6)?, self.column(row, 7)?);
        let body = self.seal.open(&id, &mark, &sealed);
        Ok(Entry {
            device: self.column(row, 0)?,
            epoch: Epoch(self.uuid(row, 1)?),
            seq: self.seq(row, 2)?,
            confirmed: self.column(row, 3)?,
            committed_at: self.column(row, 4)?,
            body: body.ok_or_else(|| LedgerFault::Altered { server: self.server.into(), id: id.0 })?,
        })
    }

    pub(super) fn lease(&self, row: &Row) -> Result<LeaseRow, LedgerFault> {
        let number: i64 = self.column(row, 0)?;
        let number = number.try_into().map_err(|_| self.foreign("a token below 0"))?;
        let holder = Holder { id: self.uuid(row, 1)?, name: self.column(row, 2)? };
        Ok(LeaseRow { number, holder, age: self.column(row, 3)?, left: self.column(row, 4)? })
    }

    pub(super) fn held(&self, row: &Row) -> Result<Held, LedgerFault> {
        let name: String = self.column(row, 4)?;
        Ok(Held {
            device: self.column(row, 0)?,
            epoch: Epoch(self.uuid(row, 1)?),
            events: (self.seq(row, 2)?, self.seq(row, 3)?),
            what: Incident::named(&name).ok_or_else(|| self.foreign("an incident of no known kind"))?,
            first_seen: self.column(row, 5)?,
            last_seen: self.column(row, 6)?,
            ended_at: self.column(row, 7)?,
            lasted: Duration::try_from_secs_f64(self.column(row, 8)?).unwrap_or_default(),
        })
    }
}
