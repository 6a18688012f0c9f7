//! The collector: the boxes' events, verified, committed to an encrypted ledger, and only then receipted.
//!
//! One collector is active at a time. It never trusts the broker: who sent what is proved by signatures, what is missing
//! by the chain.

mod broker;
mod intake;
mod waiting;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use examgate::{
    store::{Key, read_secret},
    wire::{keys::SigningKey, seal::Identity},
};

use examgate_fleet_core::{devices::Devices, ledger::Ledger};

use crate::line::BrokerArguments;

use self::{broker::Broker, intake::Intake, waiting::Waiting};

/// What the collector needs.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  examgate-fleetd collect --broker broker.example.edu:8883 --ca authorities.pem --cert collector.pem --key collector.key \\
    --ledger ledger.db --ledger-key ledger.key --receipt-key receipt.key --age-identity collector.age --devices devices.toml")]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: BrokerArguments,
    /// The ledger, an encrypted database; created if it does not exist.
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// The ledger's key: 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    ledger_key: PathBuf,
    /// File of the receipt key, which signs receipts: an Ed25519 seed, 32 bytes or 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    receipt_key: PathBuf,
    /// File of the age identity that decrypts events, as age-keygen writes it.
    #[arg(long, value_name = "FILE")]
    age_identity: PathBuf,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`).
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// A gap in a box's event numbers becomes an incident after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    gap_after: u64,
}

/// The identity in a file as age-keygen writes it: comments, then the key.
fn age_identity(path: &PathBuf) -> Result<Identity> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(line) = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')) else {
        bail!("{} holds no age identity", path.display());
    };
    line.parse().with_context(|| format!("in {}", path.display()))
}

/// Collects until told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When a file cannot be used, or the ledger fails: what cannot be kept must not be taken.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let devices = Arc::new(Devices::read(&arguments.devices)?);
    let waiting = Arc::new(Waiting::default());
    let line = arguments.broker.line("collector")?;
    let broker = Broker::new(line, Arc::clone(&devices), Arc::clone(&waiting));
    let receipts = SigningKey::from_seed(&*read_secret(&arguments.receipt_key)?);
    let ledger = Ledger::open(&arguments.ledger, &Key::read(&arguments.ledger_key)?)?;
    let (answers_tx, answers) = tokio::sync::mpsc::unbounded_channel();
    let gap_after = Duration::from_secs(arguments.gap_after);
    let identity = age_identity(&arguments.age_identity)?;
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(
        io::stderr(),
        "examgate-fleetd: boxes need these under [uplink.collector]:\n  recipient = \"{}\"\n  receipt_key = \"{}\"",
        identity.recipient(),
        receipts.public()
    );
    let intake = Intake::new(devices, identity, ledger, receipts, gap_after, answers_tx);

    let (failed_tx, failed) = tokio::sync::oneshot::channel();
    let taking = Arc::clone(&waiting);
    let committing = thread::Builder::new().name("ledger".into()).spawn(move || {
        if let Err(error) = intake.run(&taking) {
            // Nobody listens any more when the collector is stopping anyway.
            let _ = failed_tx.send(error);
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            () = broker.run(answers) => Ok(()),
            _ = terminate.recv() => Ok(()),
            stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
            // Without a word it panicked: nothing is committed any more, so nothing may be taken.
            failed = failed => Err(failed.unwrap_or_else(|_| anyhow!("the ledger's thread has ended"))),
        }
    });
    // The connection is gone with the future above: the ledger finishes what it has.
    runtime.shutdown_background();
    waiting.close();
    if committing.join().is_err() {
        bail!("the ledger's thread panicked");
    }
    ended
}
