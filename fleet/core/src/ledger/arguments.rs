//! Arguments that name a ledger, the same for the service and for every command.
//!
//! They read nothing but the key: the environment is handed in.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use examgate::store::{Credentials, Key, KeyError};

use super::{Location, NotALocation};

/// Where a ledger is.
#[derive(Clone, Debug, Args)]
struct LedgerPlace {
    /// The ledger: a file, or a PostgreSQL database as postgres://user@host/database.
    #[arg(long, value_name = "FILE|URL")]
    ledger: Option<PathBuf>,
    /// A file of mode 0600 with the database's URL, which may hold a password. EXAMGATE_LEDGER_URL in the environment does, too.
    #[arg(long, value_name = "FILE", conflicts_with = "ledger")]
    ledger_url_file: Option<PathBuf>,
}

/// A ledger and its key.
#[derive(Clone, Debug, Args)]
pub struct LedgerArguments {
    #[command(flatten)]
    place: LedgerPlace,
    /// The ledger's key: 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    ledger_key: PathBuf,
}

impl LedgerArguments {
    /// The ledger that is meant. `environment`: what the variable [`super::URL_VARIABLE`] holds.
    ///
    /// # Errors
    /// As [`Location::named`].
    pub fn location(&self, environment: Option<OsString>) -> Result<Location, NotALocation> {
        let LedgerPlace { ledger, ledger_url_file } = &self.place;
        Location::named(ledger.as_deref(), ledger_url_file.as_deref(), environment)
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn key(&self) -> Result<Key, KeyError> {
        Key::read(&self.ledger_key)
    }

    /// As [`Self::key`], also where systemd handed it in.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn key_given(&self, credentials: &Credentials) -> Result<Key, KeyError> {
        Key::read_given(&self.ledger_key, credentials)
    }
}

/// A ledger and its key where they need not be named: beside a subcommand, or where there may be no ledger.
#[derive(Clone, Debug, Args)]
pub struct LedgerChoice {
    #[command(flatten)]
    place: LedgerPlace,
    /// The ledger's key: 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    ledger_key: Option<PathBuf>,
}

impl LedgerChoice {
    /// Whether a ledger or a key is named by an argument.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.place.ledger.is_some() || self.place.ledger_url_file.is_some() || self.ledger_key.is_some()
    }

    /// The file of the key, if one is named.
    #[must_use]
    pub fn key_file(&self) -> Option<&Path> {
        self.ledger_key.as_deref()
    }

    /// The ledger with its key; `None` without a key.
    #[must_use]
    pub fn complete(&self) -> Option<LedgerArguments> {
        let ledger_key = self.ledger_key.clone()?;
        Some(LedgerArguments { place: self.place.clone(), ledger_key })
    }
}
