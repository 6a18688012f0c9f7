//! The keeper of what boxes should hold: it publishes the manifests of the stock, retained, sends the chunks that boxes ask
//! for, and notes what they report.
//!
//! It holds no key that signs or opens a roster. An attacker who takes it over can withhold rosters, but neither read nor forge one.

mod broker;
mod sending;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use examgate::wire::keys::PublicKey;
use examgate_fleet_core::{devices::Devices, stock::Stock};

use self::broker::Keeper;
use crate::line::BrokerArguments;

/// What the keeper needs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: BrokerArguments,
    /// The stock that `examgate-fleet roster push` writes; made if there is none.
    #[arg(long, value_name = "DIR")]
    stock: PathBuf,
    /// The public roster key, 64 hexadecimal digits; may be repeated. What is not signed with it is not published.
    #[arg(long, value_name = "HEX", required = true)]
    roster_public_key: Vec<PublicKey>,
    /// The enrolled boxes (TOML: `[[device]]` with `id` and `public_key`).
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
}

/// Keeps until told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When a file cannot be used.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let devices = Arc::new(Devices::read(&arguments.devices)?);
    let stock = Stock::open(&arguments.stock)?;
    let keeper = Keeper::new(arguments.broker.line("keeper")?, devices, stock, arguments.roster_public_key.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .context("signals cannot be waited for")?;
        tokio::select! {
            () = keeper.run() => Ok(()),
            _ = terminate.recv() => Ok(()),
            stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
        }
    })
}
