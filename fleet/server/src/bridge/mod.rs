//! The bridge from the broker to Prometheus: telemetry of the boxes in, verified and added up; series out, at each scrape.
//!
//! It holds no key but that of its own disk and connection, and no student is in what it handles. An attacker who takes it over can show wrong numbers, and
//! nothing else. Several bridges know nothing of each other: shards share the boxes by their names, and two bridges of one shard tell the
//! same of each box, so that queries take the greater one.

mod boxes;
mod broker;
mod exposition;
mod metrics;
mod shard;
mod sums;

use std::{
    env,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use clap::Args;
use examgate::{
    domain::Timestamp,
    store::{Credentials, Key},
};
use examgate_fleet_core::{devices::Devices, tally::Tally};

use self::{boxes::Boxes, broker::Bridge, exposition::Panel, metrics::Metrics, shard::Shard};
use crate::{
    health::{Board, HealthArguments},
    line::{BrokerArguments, Line},
};

/// What the bridge needs.
#[derive(Debug, Args)]
#[command(
    after_help = "Each bridge has a certificate and a tally of its own. The broker's ACL has blocks for `bridge` and `bridge-2`.

Examples:
  examgate-fleetd bridge --broker broker.example.edu:8883 --ca authorities.pem --cert bridge.pem --key bridge.key \\
    --devices devices.toml --tally tally.db --tally-key tally.key --health 9714
  examgate-fleetd bridge --broker broker.example.edu:8883 --ca authorities.pem --cert bridge-2.pem --key bridge-2.key \\
    --devices devices.toml --tally tally-2.db --tally-key tally-2.key --health 9715 --shard 2/2

The first serves all boxes; in place of it, two bridges with --shard 1/2 and --shard 2/2 serve half of them each. Two with the same --shard are spares
of each other."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: BrokerArguments,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id`, `public_key`, `room` and `site`), read again when it changes.
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// What is to be remembered over restarts: the sums of each box. Made if there is none. Each bridge has its own.
    #[arg(long, value_name = "FILE")]
    tally: PathBuf,
    /// The tally's key: 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    tally_key: PathBuf,
    /// Serve only the boxes of this shard: its number and how many there are.
    #[arg(long, value_name = "NUMBER/ALL", default_value = "1/1")]
    shard: Shard,
    #[command(flatten)]
    health: HealthArguments,
}

/// Bridges until told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When a file cannot be used.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "systemd tells only there where its credentials are")]
    let credentials = Credentials::new(env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    let enrolled = Arc::new(Devices::read(&arguments.devices)?);
    let line = Line::read(&arguments.broker, "bridge")?;
    let listener = arguments.health.listen()?;
    let tally = Tally::open(&arguments.tally, &Key::read_given(&arguments.tally_key, &credentials)?)?;
    let boxes = Arc::new(Mutex::new(Boxes::new(tally.all()?)));
    let panel = Panel { boxes, enrolled, shard: arguments.shard, now };
    let metrics = Metrics::default();
    let board = Board::with_broker(|registry| {
        metrics.register(registry);
        registry.register_collector(Box::new(panel.clone()));
    });
    board.does("bridging");
    let bridge = Bridge { line, panel, tally, board: board.clone(), metrics };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .context("signals cannot be waited for")?;
        tokio::select! {
            () = bridge.run() => Ok(()),
            failed = board.serve(listener) => failed,
            _ = terminate.recv() => Ok(()),
            stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "here the bridge reads the clock: when a box was last heard of")]
fn now() -> Timestamp {
    Timestamp::now()
}
