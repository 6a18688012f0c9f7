//! What can be wrong with a ledger, and whether it may pass by itself.

use std::path::PathBuf;

use examgate::store::sealed::Fault;
use postgres::error::SqlState;

/// What is wrong with a ledger. A server is named without user and password.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The file.
    #[error(transparent)]
    File(#[from] Fault),
    /// The server cannot be reached, or fails.
    #[error("PostgreSQL at {server}: cannot {doing}")]
    Postgres {
        /// Where.
        server: String,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: postgres::Error,
    },
    /// TLS cannot be set up.
    #[error("the connection to PostgreSQL cannot be secured by sslrootcert {}: is it a file of certificates (PEM)?", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: openssl::error::ErrorStack,
    },
    /// The authorities cannot be read, or there are none.
    #[error("sslrootcert {} cannot be read", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No ledger there.
    #[error("the database at {server} holds no ledger: `examgate-fleetd collect` makes it; is it the right database?")]
    Missing {
        /// Where.
        server: String,
    },
    /// The key is another one.
    #[error(
        "the ledger at {server} was made with another --ledger-key; nothing was altered. Bring back the key it was made with"
    )]
    WrongKey {
        /// Where.
        server: String,
    },
    /// Made by a newer Examgate.
    #[error(
        "the ledger at {server} has schema {found}, this Examgate knows up to {known}: install the newer version again"
    )]
    NewerSchema {
        /// Where.
        server: String,
        /// Its schema.
        found: i32,
        /// The newest one known here.
        known: i32,
    },
    /// A power cut would lose what was committed.
    #[error(
        "PostgreSQL at {server} runs with {setting} = off: a power cut would lose events that were receipted. Set it to on"
    )]
    Careless {
        /// Where.
        server: String,
        /// Which setting.
        setting: &'static str,
    },
    /// A row was altered by somebody without the key.
    #[error(
        "event {id} in the ledger at {server} does not open with the ledger's key: it was altered. Restore the database"
    )]
    Altered {
        /// Where.
        server: String,
        /// The event.
        id: uuid::Uuid,
    },
    /// A row is of no shape that a ledger has.
    #[error("the ledger at {server} holds a row that no Examgate wrote ({what}): restore the database")]
    Foreign {
        /// Where.
        server: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The lease is another's: nothing was committed.
    #[error("the lease has changed hands (now: {by}): this collector commits nothing and stands by")]
    Fenced {
        /// Who holds the lease: machine and process.
        by: String,
    },
    /// The database does not take a value that is not an event's.
    #[error("the ledger's database refuses its own values: {why}")]
    Refused {
        /// What it said.
        why: String,
    },
}

impl LedgerFault {
    /// Whether it may pass without anybody changing the set-up: the disk is full, the server is down, somebody else is in the way.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::File(fault) => matches!(
                fault,
                Fault::Full { .. }
                    | Fault::Locked { .. }
                    | Fault::ReadOnly { .. }
                    | Fault::File { .. }
                    | Fault::Sqlite { .. }
            ),
            Self::Postgres { source, .. } => source.code().is_none_or(|code| {
                // Without a code the connection failed. Classes of PostgreSQL's appendix A.
                let passing = ["08", "25", "40", "53", "55", "57", "58", "XX"];
                passing.iter().any(|class| code.code().starts_with(class)) && *code != SqlState::DATABASE_DROPPED
            }),
            Self::Fenced { .. } => true,
            Self::Careless { .. } | Self::Missing { .. } => false,
            Self::Tls { .. }
            | Self::Authorities { .. }
            | Self::WrongKey { .. }
            | Self::NewerSchema { .. }
            | Self::Altered { .. }
            | Self::Foreign { .. }
            | Self::Refused { .. } => false,
        }
    }
}
