//! A ledger in a PostgreSQL database, for a collector and its spares on several machines.
//!
//! The server stores each event's body sealed under the ledger's key, which it never gets. Boxes, numbers, times and hashes are
//! stored in the clear. A commit has reached the server's disk when it returns, whatever the server's own default is.

mod reading;
mod tables;

use std::{collections::HashMap, fs, io};

use examgate::{domain::EventId, store::Key};
use openssl::{
    error::ErrorStack,
    ssl::{SslConnector, SslMethod},
    x509::{X509, store::X509StoreBuilder},
};
use postgres::{Client, NoTls, Statement, fallible_iterator::FallibleIterator as _};
use postgres_openssl::MakeTlsConnector;
use uuid::Uuid;

use self::{reading::Reading, tables::OnServer};
use super::{
    LedgerFault,
    database::{Database, Done, Failure, See, Work},
    location::Server,
    seal::BodySeal,
};
use crate::{incidents::Held, lease::Row as LeaseRow};

/// The steps of the schema. Steps are only ever appended.
const MIGRATIONS: &[&str] = &[include_str!("postgres_1.sql"), include_str!("postgres_2.sql")];

/// The advisory lock under which the schema is made: "EgLg" in ASCII.
const MAKING: i64 = 0x4567_4C67;

/// What the ledger's key is recognised by.
const PROOF: &[u8] = b"examgate ledger";

/// The settings of a session. The ledger has a schema of its own, so that the database may hold other things, too. A collector that stops
/// in a transaction must not hold up its spare: the server ends such a session.
const SESSION: &str = "SET search_path = examgate_ledger; SET client_min_messages = warning; SET lock_timeout = '2s';
    SET idle_in_transaction_session_timeout = '3s'; SET statement_timeout = '10s'";

/// The lease, its age and what is left of it in milliseconds.
const LEASE: &str = "SELECT token, holder, name, (extract(epoch FROM clock_timestamp() - renewed_at) * 1000)::bigint,
    (extract(epoch FROM ends_at - clock_timestamp()) * 1000)::bigint FROM lease";

/// Statements that the server has prepared for this connection.
type Statements = HashMap<&'static str, Statement>;

/// A ledger on a server.
pub(super) struct Postgres {
    client: Client,
    statements: Statements,
    seal: BodySeal,
    server: String,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Postgres").field(&self.server).finish_non_exhaustive()
    }
}

/// What verifies a server: its certificate is of an authority in `pem`, and bears its name.
fn verifier(pem: &[u8]) -> Result<Option<SslConnector>, ErrorStack> {
    let authorities = X509::stack_from_pem(pem)?;
    if authorities.is_empty() {
        return Ok(None);
    }
    let mut store = X509StoreBuilder::new()?;
    authorities.into_iter().try_for_each(|authority| store.add_cert(authority))?;
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_cert_store(store.build());
    Ok(Some(connector.build()))
}

fn connect(server: &Server) -> Result<Client, LedgerFault> {
    let client = match &server.authorities {
        Some(path) => {
            let failed = |source| LedgerFault::Authorities { path: path.clone(), source };
            let verifier = verifier(&fs::read(path).map_err(failed)?);
            let verifier = verifier.map_err(|source| LedgerFault::Tls { path: path.clone(), source })?;
            let verifier = verifier.ok_or_else(|| failed(io::Error::other("it holds no certificate (PEM)")))?;
            server.config.connect(MakeTlsConnector::new(verifier))
        }
        None => server.config.connect(NoTls),
    };
    client.map_err(|source| LedgerFault::Postgres { server: server.name.clone(), doing: "connect", source })
}

impl Postgres {
    /// Connects to write; makes the ledger if there is none.
    pub(super) fn open(server: &Server, key: &Key) -> Result<Self, LedgerFault> {
        let mut ledger = Self::connect(server, key)?;
        ledger.be_careful()?;
        ledger.run("set up the session", |client| client.batch_execute(SESSION))?;
        if ledger.version()? < known() {
            ledger.migrate()?;
        }
        Ok(ledger)
    }

    /// Connects to read.
    pub(super) fn open_existing(server: &Server, key: &Key) -> Result<Self, LedgerFault> {
        let mut ledger = Self::connect(server, key)?;
        let session = "SET search_path = examgate_ledger; SET default_transaction_read_only = on";
        ledger.run("set up the session", |client| client.batch_execute(session))?;
        match ledger.version()? {
            0 => Err(LedgerFault::Missing { server: ledger.server }),
            _ => Ok(ledger),
        }
    }

    fn connect(server: &Server, key: &Key) -> Result<Self, LedgerFault> {
        let client = connect(server)?;
        Ok(Self { client, statements: HashMap::new(), seal: BodySeal::new(key), server: server.name.clone() })
    }

    fn run<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
    ) -> Result<T, LedgerFault> {
        work(&mut self.client).map_err(|source| LedgerFault::Postgres { server: self.server.clone(), doing, source })
    }

    /// Refuses a server that confirms what is not on its disk.
    fn be_careful(&mut self) -> Result<(), LedgerFault> {
        for setting in ["fsync", "full_page_writes"] {
            let row = self.run("read its settings", |client| client.query_one(&format!("SHOW {setting}"), &[]))?;
            if row.get::<_, String>(0) == "off" {
                return Err(LedgerFault::Careless { server: self.server.clone(), setting });
            }
        }
        self.run("read its settings", |client| {
            let confirms: String = client.query_one("SHOW synchronous_commit", &[])?.get(0);
            // `local` and `off` confirm too early; what is stricter than `on` stays.
            if matches!(confirms.as_str(), "off" | "local") {
                client.batch_execute("SET synchronous_commit = on")?;
            }
            Ok(())
        })
    }

    /// The schema's number, 0 if there is none. The key is checked.
    fn version(&mut self) -> Result<i32, LedgerFault> {
        let row = self.run("read its schema", |client| {
            let there = client.query_one("SELECT to_regclass('examgate_ledger.about') IS NOT NULL", &[])?;
            if there.get(0) {
                return client.query_one("SELECT version, mark, sealed FROM about", &[]).map(Some);
            }
            Ok(None)
        })?;
        let Some(row) = row else { return Ok(0) };
        let reading = self.reading();
        let found: i32 = reading.column(&row, 0)?;
        if found > known() {
            return Err(LedgerFault::NewerSchema { server: self.server.clone(), found, known: known() });
        }
        let (mark, sealed): (Vec<u8>, Vec<u8>) = (reading.column(&row, 1)?, reading.column(&row, 2)?);
        match self.seal.open(&proof_id(), &mark, &sealed) {
            Some(_) => Ok(found),
            None => Err(LedgerFault::WrongKey { server: self.server.clone() }),
        }
    }

    fn migrate(&mut self) -> Result<(), LedgerFault> {
        let mark = self.seal.mark(&proof_id(), PROOF);
        let sealed = self.seal.seal(&proof_id(), &mark, PROOF);
        self.run("make its schema", |client| {
            let mut transaction = client.transaction()?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
            transaction.batch_execute("CREATE SCHEMA IF NOT EXISTS examgate_ledger")?;
            // Another collector may have been quicker.
            let there = transaction.query_one("SELECT to_regclass('examgate_ledger.about') IS NOT NULL", &[])?;
            let held: i32 =
                if there.get(0) { transaction.query_one("SELECT version FROM about", &[])?.get(0) } else { 0 };
            for step in MIGRATIONS.iter().skip(usize::try_from(held).unwrap_or_default()) {
                transaction.batch_execute(step)?;
            }
            if held == 0 {
                let insert = "INSERT INTO about (version, mark, sealed) VALUES ($1, $2, $3)";
                transaction.execute(insert, &[&known(), &mark.as_slice(), &sealed])?;
            } else {
                transaction.execute("UPDATE about SET version = $1", &[&known()])?;
            }
            transaction.commit()
        })?;
        // Checks the key if another one made it.
        self.version().map(drop)
    }

    fn reading(&self) -> Reading<'_> {
        Reading { seal: &self.seal, server: &self.server }
    }
}

fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// What the proof of the key is sealed as: no event has this id.
fn proof_id() -> EventId {
    EventId(Uuid::nil())
}

impl Database for Postgres {
    fn transaction(&mut self, work: &mut Work<'_>) -> Done<()> {
        let Self { client, statements, seal, server } = self;
        let failed = |doing: &'static str| {
            let server = server.clone();
            move |source| Failure::Fault(LedgerFault::Postgres { server, doing, source })
        };
        let transaction = client.transaction().map_err(failed("begin a transaction"))?;
        let mut tables = OnServer { transaction, statements, seal, server };
        // One writer at a time.
        tables.rows("SELECT version FROM about FOR UPDATE", &[])?;
        work(&mut tables)?;
        tables.transaction.commit().map_err(failed("commit"))
    }

    fn lease(&mut self) -> Result<Option<LeaseRow>, LedgerFault> {
        let row = self.run("read the lease", |client| client.query_opt(LEASE, &[]))?;
        row.map(|row| self.reading().lease(&row)).transpose()
    }

    fn entries(&mut self, see: &mut See<'_>) -> Result<io::Result<()>, LedgerFault> {
        let list = "SELECT device, epoch, seq, in_line,
                to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), id, mark, sealed FROM
                (SELECT *, row_number() OVER (PARTITION BY event ORDER BY in_line DESC, epoch, seq) AS choice FROM place) AS chosen
            JOIN recorded ON recorded.n = event WHERE choice = 1 ORDER BY device, epoch, seq, event";
        let Self { client, statements: _, seal, server } = self;
        let failed = |source| LedgerFault::Postgres { server: server.clone(), doing: "read events", source };
        let reading = Reading { seal, server };
        let mut rows = client.query_raw(list, Vec::<i32>::new()).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if let Err(error) = see(reading.entry(&row)?) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn incidents(&mut self) -> Result<Vec<Held>, LedgerFault> {
        let list = "SELECT device, epoch, first_event, last_event, what,
                to_char(first_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                to_char(last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                extract(epoch FROM coalesce(ended_at, clock_timestamp()) - first_seen)::float8
            FROM incident ORDER BY first_seen, device, epoch, what";
        let rows = self.run("read the incidents", |client| client.query(list, &[]))?;
        rows.iter().map(|row| self.reading().held(row)).collect()
    }
}

#[cfg(test)]
mod tests;
