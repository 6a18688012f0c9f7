//! Opens the ledger that a command reads; and `examgate-fleet ledger`, whose one command notes something in it. Nothing else here alters a
//! ledger.

mod restored;

use std::{env, ffi::OsString};

use anyhow::{Context, Result};
use examgate::exit::Refusal;
use examgate_fleet_core::ledger::{Ledger, URL_VARIABLE};
pub(crate) use examgate_fleet_core::ledger::{LedgerArguments, LedgerChoice};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Restored(restored::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Restored(arguments) => restored::run(arguments),
    }
}

/// The URL of a ledger that is in the environment.
#[expect(clippy::disallowed_methods, reason = "a URL with a password must not be an argument")]
pub(crate) fn environment() -> Option<OsString> {
    env::var_os(URL_VARIABLE)
}

/// Opens the ledger that these arguments name, which must be there.
pub(crate) fn open(arguments: &LedgerArguments) -> Result<Ledger> {
    let location = arguments.location(environment()).context(Refusal::Usage("there is no ledger to read".into()))?;
    Ok(Ledger::open_existing(&location, &arguments.key()?)?)
}
