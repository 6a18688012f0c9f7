//! Which ledger a command reads. It never alters one.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use examgate::{exit::Refusal, store::Key};
use examgate_fleet_core::ledger::{Ledger, Location, URL_VARIABLE};

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct LedgerArguments {
    /// The ledger: a file, or a PostgreSQL database as postgres://user@host/database.
    #[arg(long, value_name = "FILE|URL")]
    ledger: Option<PathBuf>,
    /// A file of mode 0600 with the database's URL, which may hold a password. EXAMGATE_LEDGER_URL in the environment does, too.
    #[arg(long, value_name = "FILE", conflicts_with = "ledger")]
    ledger_url_file: Option<PathBuf>,
    /// The ledger's key: 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    ledger_key: PathBuf,
}

impl LedgerArguments {
    /// Opens the ledger, which must be there.
    pub(crate) fn open(&self) -> Result<Ledger> {
        open(self.ledger.as_deref(), self.ledger_url_file.as_deref(), &self.ledger_key)
    }
}

/// Opens the ledger that these arguments name, which must be there.
pub(crate) fn open(ledger: Option<&Path>, url_file: Option<&Path>, key: &Path) -> Result<Ledger> {
    #[expect(clippy::disallowed_methods, reason = "a URL with a password must not be an argument")]
    let environment = env::var_os(URL_VARIABLE);
    let location =
        Location::named(ledger, url_file, environment).context(Refusal::Usage("there is no ledger to read".into()))?;
    Ok(Ledger::open_existing(&location, &Key::read(key)?)?)
}
