//! The keeper of what boxes should hold: it publishes the manifests of the stock, retained, sends the chunks that boxes ask
//! for, and notes what they report. It publishes the list of lost cards and the trust document, too.
//!
//! It holds no key that signs or opens a roster. An attacker who takes it over can withhold rosters, but neither read nor forge one.

mod broker;
mod metrics;
mod sending;
mod trust;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use examgate::wire::keys::PublicKey;
use examgate_fleet_core::{devices::Devices, stock::Stock};

use self::{
    broker::Keeper,
    metrics::Metrics,
    trust::{Keys, TrustArguments},
};
use crate::{
    health::{Board, HealthArguments},
    line::{BrokerArguments, Line},
};

/// What the keeper needs.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  examgate-fleetd keep --broker broker.example.edu:8883 --ca authorities.pem --cert keeper.pem --key keeper.key --stock stock \\
    --devices devices.toml --trust trust.cose --root-public-key 3c569650e1a3dc3c35b1e944bae05b1c5c743bdbf85334e803905e78ccc93fb4

Without a trust document, for boxes that know no root, name the keys with --roster-public-key and --command-public-key.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: BrokerArguments,
    /// The stock folder, which `examgate-fleet roster push` fills; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    stock: PathBuf,
    /// Public half of the roster key (64 hexadecimal digits). May be repeated. Manifests signed with another key are not published.
    #[arg(long, value_name = "HEX", required_unless_present = "trust")]
    roster_public_key: Vec<PublicKey>,
    /// Public half of the command key (64 hexadecimal digits). May be repeated. A list of lost cards signed with another key is not published.
    #[arg(long, value_name = "HEX")]
    command_public_key: Vec<PublicKey>,
    #[command(flatten)]
    trust: TrustArguments,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`).
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    #[command(flatten)]
    health: HealthArguments,
}

/// Keeps until told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When a file cannot be used.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let devices = Arc::new(Devices::read(&arguments.devices)?);
    let stock = Stock::open(&arguments.stock)?;
    let (roster, command) = (arguments.roster_public_key.clone(), arguments.command_public_key.clone());
    let keys = Keys { roster, command, trust: arguments.trust.open(&stock)? };
    let metrics = Metrics::default();
    let board = Board::with_broker(|registry| metrics.register(registry));
    board.does("keeping");
    let listener = arguments.health.listen()?;
    let keeper = Keeper::new(Line::read(&arguments.broker, "keeper")?, devices, stock, keys, (board.clone(), metrics));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .context("signals cannot be waited for")?;
        tokio::select! {
            () = keeper.run() => Ok(()),
            failed = board.serve(listener) => failed,
            _ = terminate.recv() => Ok(()),
            stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
        }
    })
}
