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
        database::{Done, End, Failure, Look, New, NewEnd, OpenGap, Tables},
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

/// One value of each, as an array of the server.
fn column<'a, T, V>(all: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    all.iter().map(value).collect()
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

    /// Reads one row for each that was asked about.
    fn each<T>(&self, rows: &[Row], asked: usize, read: impl Fn(&Row) -> Done<T>) -> Done<Vec<T>> {
        if rows.len() != asked {
            let what = "another number of rows than was asked for";
            return Err(Failure::Fault(LedgerFault::Foreign { server: self.server.into(), what }));
        }
        rows.iter().map(read).collect()
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
        Ok(self.look_all(&[event])?.first().copied().unwrap_or_default())
    }

    fn look_all(&mut self, events: &[&EventEnvelope]) -> Done<Vec<Look>> {
        let marks: Vec<_> = events.iter().map(|event| self.seal.mark(&event.event_id, &event.body)).collect();
        // Neither EXISTS nor LIMIT: the planner, which knows nothing about a table that was never analysed, would hope to find one soon by
        // reading the table from its start.
        let rows = self.rows(
            "SELECT
                 (SELECT count(*) FROM place AS p
                  WHERE p.device = e.device AND p.epoch = e.epoch AND p.seq = e.seq AND p.hash = e.hash) > 0,
                 (SELECT (array_agg(r.n ORDER BY r.n))[1] FROM recorded AS r WHERE r.id = e.id AND r.mark = e.mark),
                 (SELECT count(*) FROM recorded AS r WHERE r.id = e.id) > 0,
                 (SELECT count(*) FROM place AS p WHERE p.device = e.device AND p.epoch = e.epoch AND p.seq = e.seq) > 0,
                 (SELECT count(*) FROM epoch AS h WHERE h.epoch = e.epoch AND h.device <> e.device) > 0
             FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[])
                 WITH ORDINALITY AS e (device, epoch, seq, hash, id, mark, at)
             ORDER BY e.at",
            &[
                &column(events, |event| event.device.as_str()),
                &column(events, |event| event.epoch.0.as_bytes().as_slice()),
                &column(events, |event| number(event.seq)),
                &column(events, |event| event.hash.as_bytes().as_slice()),
                &column(events, |event| event.event_id.0.as_bytes().as_slice()),
                &column(&marks, |mark| mark.as_slice()),
            ],
        )?;
        let reading = self.reading();
        let look = |row: &Row| -> Done<Look> {
            Ok(Look {
                known: reading.column(row, 0)?,
                same: reading.column(row, 1)?,
                id_used: reading.column(row, 2)?,
                taken: reading.column(row, 3)?,
                of_another: reading.column(row, 4)?,
            })
        };
        self.each(&rows, events.len(), look)
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

    fn place(&mut self, event: &EventEnvelope, recorded: i64, in_line: bool) -> Done<()> {
        let EventEnvelope { device, epoch, seq, event_id: _, prev, hash, body: _ } = event;
        self.rows(
            "INSERT INTO place (device, epoch, seq, hash, prev, event, in_line) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                &device.as_str(),
                &epoch.0.as_bytes().as_slice(),
                &number(*seq),
                &hash.as_bytes().as_slice(),
                &prev.as_bytes().as_slice(),
                &recorded,
                &in_line,
            ],
        )
        .map(drop)
    }

    fn add_all(&mut self, events: &[New<'_>]) -> Done<()> {
        let seal = self.seal;
        let sealed = events.iter().map(|(event, _)| {
            let mark = seal.mark(&event.event_id, &event.body);
            (mark, seal.seal(&event.event_id, &mark, &event.body))
        });
        let sealed: Vec<_> = sealed.collect();
        // No two have an id in common, so each finds its own row.
        self.rows(
            "WITH given AS MATERIALIZED (
                 SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[],
                     $8::bytea[], $9::boolean[])
                 WITH ORDINALITY AS e (device, epoch, seq, hash, prev, id, mark, sealed, in_line, at)),
             kept AS (INSERT INTO recorded (id, mark, sealed) SELECT id, mark, sealed FROM given ORDER BY at RETURNING n, id)
             INSERT INTO place (device, epoch, seq, hash, prev, event, in_line)
             SELECT device, epoch, seq, hash, prev, n, in_line FROM given JOIN kept USING (id) ORDER BY at",
            &[
                &column(events, |(event, _)| event.device.as_str()),
                &column(events, |(event, _)| event.epoch.0.as_bytes().as_slice()),
                &column(events, |(event, _)| number(event.seq)),
                &column(events, |(event, _)| event.hash.as_bytes().as_slice()),
                &column(events, |(event, _)| event.prev.as_bytes().as_slice()),
                &column(events, |(event, _)| event.event_id.0.as_bytes().as_slice()),
                &column(&sealed, |(mark, _)| mark.as_slice()),
                &column(&sealed, |(_, sealed)| sealed.as_slice()),
                &column(events, |(_, in_line)| *in_line),
            ],
        )
        .map(drop)
    }

    fn end(&mut self, device: &DeviceId, epoch: Epoch) -> Done<End> {
        Ok(self.end_all(&[(device, epoch)])?.pop().flatten())
    }

    fn end_all(&mut self, epochs: &[(&DeviceId, Epoch)]) -> Done<Vec<End>> {
        let rows = self.rows(
            "SELECT h.contiguous, h.head
             FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS e (device, epoch, at)
             LEFT JOIN epoch AS h ON h.device = e.device AND h.epoch = e.epoch ORDER BY e.at",
            &[
                &column(epochs, |(device, _)| device.as_str()),
                &column(epochs, |(_, epoch)| epoch.0.as_bytes().as_slice()),
            ],
        )?;
        let reading = self.reading();
        let end = |row: &Row| -> Done<End> {
            if reading.column::<Option<i64>>(row, 0)?.is_none() {
                return Ok(None);
            }
            Ok(Some((reading.seq(row, 0)?, reading.hash(row, 1)?)))
        };
        self.each(&rows, epochs.len(), end)
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
        Ok(self.beyond_all(&[(device, epoch, seq)])?.pop().unwrap_or_default())
    }

    fn beyond_all(&mut self, ends: &[(&DeviceId, Epoch, Seq)]) -> Done<Vec<(bool, bool)>> {
        let rows = self.rows(
            "SELECT
                 (SELECT count(*) FROM place AS p
                  WHERE p.device = e.device AND p.epoch = e.epoch AND p.seq = e.next AND p.seq > e.seq) > 0,
                 (SELECT count(*) FROM place AS p WHERE p.device = e.device AND p.epoch = e.epoch AND p.seq > e.seq) > 0
             FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[])
                 WITH ORDINALITY AS e (device, epoch, seq, next, at)
             ORDER BY e.at",
            &[
                &column(ends, |(device, _, _)| device.as_str()),
                &column(ends, |(_, epoch, _)| epoch.0.as_bytes().as_slice()),
                &column(ends, |(_, _, seq)| number(*seq)),
                &column(ends, |(_, _, seq)| number(*seq).saturating_add(1)),
            ],
        )?;
        let reading = self.reading();
        let beyond = |row: &Row| -> Done<(bool, bool)> { Ok((reading.column(row, 0)?, reading.column(row, 1)?)) };
        self.each(&rows, ends.len(), beyond)
    }

    fn set_end(&mut self, end: &NewEnd<'_>) -> Done<()> {
        self.set_end_all(std::slice::from_ref(end))
    }

    fn set_end_all(&mut self, ends: &[NewEnd<'_>]) -> Done<()> {
        self.rows(
            "INSERT INTO epoch AS held (device, epoch, contiguous, head, gap_since)
             SELECT device, epoch, seq, head, CASE WHEN gap THEN clock_timestamp() END
             FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[], $5::boolean[]) AS e (device, epoch, seq, head, gap)
             ON CONFLICT (device, epoch) DO UPDATE SET contiguous = excluded.contiguous, head = excluded.head, gap_since =
                 CASE WHEN held.contiguous = excluded.contiguous AND excluded.gap_since IS NOT NULL
                      THEN coalesce(held.gap_since, excluded.gap_since) ELSE excluded.gap_since END",
            &[
                &column(ends, |end| end.device.as_str()),
                &column(ends, |end| end.epoch.0.as_bytes().as_slice()),
                &column(ends, |end| number(end.seq)),
                &column(ends, |end| end.head.as_bytes().as_slice()),
                &column(ends, |end| end.gap),
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
        self.ended_all(&[(device, epoch, what)])
    }

    fn ended_all(&mut self, incidents: &[(&DeviceId, Epoch, Incident)]) -> Done<()> {
        self.rows(
            "UPDATE incident AS i SET ended_at = clock_timestamp()
             FROM unnest($1::text[], $2::bytea[], $3::text[]) AS e (device, epoch, what)
             WHERE i.device = e.device AND i.epoch = e.epoch AND i.what = e.what AND i.ended_at IS NULL",
            &[
                &column(incidents, |(device, _, _)| device.as_str()),
                &column(incidents, |(_, epoch, _)| epoch.0.as_bytes().as_slice()),
                &column(incidents, |(_, _, what)| what.name()),
            ],
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
