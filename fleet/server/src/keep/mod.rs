//! The keeper of what boxes should hold: it publishes the manifests of the stock, retained, sends the chunks that boxes ask
//! for, and notes what they report.
//!
//! It never makes or signs anything: whoever takes it over can withhold rosters, and neither read nor forge one.

mod broker;
mod sending;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use examgate::wire::keys::PublicKey;
use examgate_fleet_core::{devices::Devices, stock::Stock};

use self::broker::Keeper;

/// What the keeper needs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The broker's TLS address, its host as its certificate names it; an IPv6 address in brackets.
    #[arg(long, value_name = "HOST:PORT")]
    broker: String,
    /// The authorities that may have issued the broker's certificate (PEM); all in the file count.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The keeper's certificate (PEM); its common name is `keeper`.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key (PEM, PKCS#8).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
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
    let files = (&*arguments.ca, &*arguments.cert, &*arguments.key);
    let keeper = Keeper::new(&arguments.broker, files, devices, stock, arguments.roster_public_key.clone())?;
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
