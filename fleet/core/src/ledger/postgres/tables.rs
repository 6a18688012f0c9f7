//! The tables of a ledger in one transaction of PostgreSQL.

use std::time::Duration;

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    wire::envelope::EventEnvelope,
};
use postgres::{Row, Transaction, types::ToSql};

use super::{
    super::{
        LedgerFault,
        database::{Done, Failure, Look, OpenGap, Tables},
        seal::BodySeal,
    },
    LEASE, Statements,
    reading::Reading,
};
use crate::{
    incidents::Incident,
    lease::{Holder, Row as LeaseRow, Token},
};

/// The tables inside a transaction.
pub(super) struct OnServer<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) statements: &'a mut Statements,
    pub(super) seal: &'a BodySeal,
    pub(super) server: &'a str,
}

/// At most [`Seq::MAX`], as all that comes here.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

impl OnServer<'_> {
    fn failure(&self, source: postgres::Error) -> Failure {
        // Data exceptions, broken constraints, limits of the program: appendix A of PostgreSQL's manual.
        let about_the_value = ["22", "23", "54"];
        match source.as_db_error() {
            Some(said) if about_the_value.iter().any(|class| said.code().code().starts_with(class)) => {
                Failure::Value(said.message().to_owned())
            }
            _ => Failure::Fault(LedgerFault::Postgres { server: self.server.into(), doing: "commit events", source }),
        }
    }

    /// Runs a statement, which the server prepares once for each connection.
    pub(super) fn rows(&mut self, sql: &'static str, with: &[&(dyn ToSql + Sync)]) -> Done<Vec<Row>> {
        let found = match self.statements.get(sql) {
            Some(prepared) => self.transaction.query(prepared, with),
            None => self.transaction.prepare(sql).and_then(|prepared| {
                let rows = self.transaction.query(&prepared, with);
                self.statements.insert(sql, prepared);
                rows
            }),
        };
        found.map_err(|error| self.failure(error))
    }

    fn reading(&self) -> Reading<'_> {
        Reading { seal: self.seal, server: self.server }
    }
}

impl Tables for OnServer<'_> {
    fn lease(&mut self) -> Done<Option<LeaseRow>> {
        let rows = self.rows(LEASE, &[])?;
        Ok(rows.first().map(|row| self.reading().lease(row)).transpose()?)
    }

    fn set_lease(&mut self, token: Token, holder: &Holder, lasts: Duration) -> Done<()> {
        let token = i64::try_from(token.number()).unwrap_or(i64::MAX);
        let lasts = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        self.rows(
            "INSERT INTO lease (one, token, holder, name, renewed_at, ends_at)
             SELECT true, $1, $2, $3, now, now + $4::bigint * interval '1 millisecond' FROM (SELECT clock_timestamp() AS now) AS clock
             ON CONFLICT (one) DO UPDATE SET token = excluded.token, holder = excluded.holder, name = excluded.name,
                 renewed_at = excluded.renewed_at, ends_at = excluded.ends_at",
            &[&token, &holder.id.as_bytes().as_slice(), &holder.name, &lasts],
        )
        .map(drop)
    }

    fn look(&mut self, event: &EventEnvelope) -> Done<Look> {
        let EventEnvelope { device, epoch, seq, event_id, prev: _, hash, body } = event;
        let mark = self.seal.mark(event_id, body);
        let rows = self.rows(
            "SELECT EXISTS (SELECT 1 FROM place WHERE device = $1 AND epoch = $2 AND seq = $3 AND hash = $4),
                 (SELECT n FROM recorded WHERE id = $5 AND mark = $6 LIMIT 1),
                 EXISTS (SELECT 1 FROM recorded WHERE id = $5),
                 EXISTS (SELECT 1 FROM place WHERE device = $1 AND epoch = $2 AND seq = $3),
                 EXISTS (SELECT 1 FROM epoch WHERE epoch = $2 AND device <> $1)",
            &[
                &device.as_str(),
                &epoch.0.as_bytes().as_slice(),
                &number(*seq),
                &hash.as_bytes().as_slice(),
                &event_id.0.as_bytes().as_slice(),
                &mark.as_slice(),
            ],
        )?;
        let Some(row) = rows.first() else { return Ok(Look::default()) };
        let reading = self.reading();
        Ok(Look {
            known: reading.column(row, 0)?,
            same: reading.column(row, 1)?,
            id_used: reading.column(row, 2)?,
            taken: reading.column(row, 3)?,
            of_another: reading.column(row, 4)?,
        })
    }

    fn keep(&mut self, event: &EventEnvelope) -> Done<i64> {
        let mark = self.seal.mark(&event.event_id, &event.body);
        let sealed = self.seal.seal(&event.event_id, &mark, &event.body);
        let rows = self.rows(
            "INSERT INTO recorded (id, mark, sealed) VALUES ($1, $2, $3) RETURNING n",
            &[&event.event_id.0.as_bytes().as_slice(), &mark.as_slice(), &sealed],
        )?;
        let nothing = || LedgerFault::Foreign { server: self.server.into(), what: "no number for a new row" };
        Ok(self.reading().column(rows.first().ok_or_else(nothing)?, 0)?)
    }

    fn place(&mut self, event: &EventEnvelope, recorded: i64) -> Done<()> {
        let EventEnvelope { device, epoch, seq, event_id: _, prev, hash, body: _ } = event;
        self.rows(
            "INSERT INTO place (device, epoch, seq, hash, prev, event) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                &device.as_str(),
                &epoch.0.as_bytes().as_slice(),
                &number(*seq),
                &hash.as_bytes().as_slice(),
                &prev.as_bytes().as_slice(),
                &recorded,
            ],
        )
        .map(drop)
    }

    fn end(&mut self, device: &DeviceId, epoch: Epoch) -> Done<Option<(Seq, EventHash)>> {
        let rows = self.rows(
            "SELECT contiguous, head FROM epoch WHERE device = $1 AND epoch = $2",
            &[&device.as_str(), &epoch.0.as_bytes().as_slice()],
        )?;
        let reading = self.reading();
        rows.first().map(|row| Ok((reading.seq(row, 0)?, reading.hash(row, 1)?))).transpose()
    }

    fn confirm(&mut self, device: &DeviceId, epoch: Epoch, seq: Seq, prev: &EventHash) -> Done<Option<EventHash>> {
        let rows = self.rows(
            "UPDATE place SET in_line = true WHERE (device, epoch, seq, hash) IN
                 (SELECT device, epoch, seq, hash FROM place
                  WHERE device = $1 AND epoch = $2 AND seq = $3 AND prev = $4 ORDER BY event LIMIT 1)
             RETURNING hash",
            &[&device.as_str(), &epoch.0.as_bytes().as_slice(), &number(seq), &prev.as_bytes().as_slice()],
        )?;
        Ok(rows.first().map(|row| self.reading().hash(row, 0)).transpose()?)
    }

    fn beyond(&mut self, device: &DeviceId, epoch: Epoch, seq: Seq) -> Done<(bool, bool)> {
        let next = number(seq).saturating_add(1);
        let rows = self.rows(
            "SELECT EXISTS (SELECT 1 FROM place WHERE device = $1 AND epoch = $2 AND seq = $3 AND seq > $4),
                 EXISTS (SELECT 1 FROM place WHERE device = $1 AND epoch = $2 AND seq > $4)",
            &[&device.as_str(), &epoch.0.as_bytes().as_slice(), &next, &number(seq)],
        )?;
        let Some(row) = rows.first() else { return Ok((false, false)) };
        Ok((self.reading().column(row, 0)?, self.reading().column(row, 1)?))
    }

    fn set_end(&mut self, device: &DeviceId, epoch: Epoch, end: (Seq, &EventHash), gap: bool) -> Done<()> {
        self.rows(
            "INSERT INTO epoch AS held (device, epoch, contiguous, head, gap_since)
             VALUES ($1, $2, $3, $4, CASE WHEN $5::boolean THEN clock_timestamp() END)
             ON CONFLICT (device, epoch) DO UPDATE SET contiguous = excluded.contiguous, head = excluded.head, gap_since =
                 CASE WHEN held.contiguous = excluded.contiguous AND excluded.gap_since IS NOT NULL
                      THEN coalesce(held.gap_since, excluded.gap_since) ELSE excluded.gap_since END",
            &[
                &device.as_str(),
                &epoch.0.as_bytes().as_slice(),
                &number(end.0),
                &end.1.as_bytes().as_slice(),
                &gap,
            ],
        )
        .map(drop)
    }

    fn raise(&mut self, device: &DeviceId, epoch: Epoch, events: (Seq, Seq), what: Incident) -> Done<bool> {
        let (name, epoch) = (what.name(), epoch.0.as_bytes().as_slice());
        let (first, last) = (number(events.0), number(events.1));
        let of: [&(dyn ToSql + Sync); 5] = [&device.as_str(), &epoch, &name, &first, &last];
        let known = self.rows(
            "UPDATE incident SET first_event = least(first_event, $4), last_event = greatest(last_event, $5),
                 last_seen = clock_timestamp()
             WHERE device = $1 AND epoch = $2 AND what = $3 AND ended_at IS NULL RETURNING what",
            &of,
        )?;
        if known.is_empty() {
            self.rows(
                "INSERT INTO incident (device, epoch, what, first_event, last_event) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (device, epoch, what) DO UPDATE SET first_event = excluded.first_event,
                     last_event = excluded.last_event, first_seen = excluded.first_seen,
                     last_seen = excluded.last_seen, ended_at = NULL",
                &of,
            )?;
        }
        Ok(known.is_empty())
    }

    fn ended(&mut self, device: &DeviceId, epoch: Epoch, what: Incident) -> Done<()> {
        self.rows(
            "UPDATE incident SET ended_at = clock_timestamp()
             WHERE device = $1 AND epoch = $2 AND what = $3 AND ended_at IS NULL",
            &[&device.as_str(), &epoch.0.as_bytes().as_slice(), &what.name()],
        )
        .map(drop)
    }

    fn ends(&mut self) -> Done<Vec<(String, Epoch, Seq)>> {
        let rows = self.rows("SELECT device, epoch, contiguous FROM epoch", &[])?;
        let reading = self.reading();
        let end = |row: &Row| -> Done<(String, Epoch, Seq)> {
            Ok((reading.column(row, 0)?, Epoch(reading.uuid(row, 1)?), reading.seq(row, 2)?))
        };
        rows.iter().map(end).collect()
    }

    fn open_gaps(&mut self, patience: Duration) -> Done<Vec<OpenGap>> {
        let rows = self.rows(
            "SELECT device, epoch, contiguous + 1, (SELECT min(seq) - 1 FROM place
                 WHERE device = e.device AND epoch = e.epoch AND seq > contiguous)
             FROM epoch AS e WHERE gap_since IS NOT NULL
                 AND extract(epoch FROM clock_timestamp() - gap_since)::float8 >= $1",
            &[&patience.as_secs_f64()],
        )?;
        let reading = self.reading();
        rows.iter()
            .map(|row| {
                let epoch = Epoch(reading.uuid(row, 1)?);
                let events = (reading.seq(row, 2)?, reading.seq(row, 3)?);
                Ok(OpenGap { device: reading.column(row, 0)?, epoch, events })
            })
            .collect()
    }

    fn date_gap(&mut self, device: &DeviceId, epoch: Epoch) -> Done<()> {
        self.rows(
            "UPDATE incident SET first_seen = (SELECT gap_since FROM epoch WHERE device = $1 AND epoch = $2)
             WHERE device = $1 AND epoch = $2 AND what = 'gap'",
            &[&device.as_str(), &epoch.0.as_bytes().as_slice()],
        )
        .map(drop)
    }
}
