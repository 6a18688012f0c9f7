//! The collector: the boxes' events, verified, committed to an encrypted ledger, and only then receipted.
//!
//! One collector is active at a time, by a lease in the ledger's database; others stand by and take over when it ends. It never trusts
//! the broker: who sent what is proved by signatures, what is missing by the chain.

mod broker;
mod hold;
mod intake;
mod metrics;
mod opening;
mod term;
mod trusted;
mod waiting;

use std::{env, io, path::PathBuf, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use examgate::{exit::Refusal, store::Credentials};

use examgate_fleet_core::ledger::{LedgerArguments, URL_VARIABLE};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    health::{Board, HealthArguments},
    line::{BrokerArguments, Line},
};

use self::{
    broker::{Answer, Broker},
    hold::{Hold, Until},
    intake::Intake,
    metrics::Metrics,
    term::Terms,
    trusted::TrustedArguments,
    waiting::Waiting,
};

/// How long the ledger may take to finish what it has when the collector is told to stop.
const FINISH: Duration = Duration::from_secs(10);

/// What the collector needs.
#[derive(Debug, Args)]
#[command(after_help = "Several may run with one ledger: one collects, the others stand by.

Example:
  examgate-fleetd collect --broker broker.example.edu:8883 --ca authorities.pem --cert collector.pem --key collector.key \\
    --ledger ledger.db --ledger-key ledger.key --receipt-key receipt.key --age-identity collector.age --devices devices.toml \\
    --trust trust.cose --root-public-key 3c569650e1a3dc3c35b1e944bae05b1c5c743bdbf85334e803905e78ccc93fb4

The ledger is made if there is none.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: BrokerArguments,
    #[command(flatten)]
    ledger: LedgerArguments,
    #[command(flatten)]
    trusted: TrustedArguments,
    /// A gap in a box's event numbers becomes an incident after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    gap_after: u64,
    /// How long a spare collector waits for a sign of life of the active one before it takes over. The same for all collectors of a ledger.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=300))]
    lease: u64,
    #[command(flatten)]
    health: HealthArguments,
}

/// Collects until told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// When a file cannot be used, or the ledger fails in a way that does not pass: what cannot be kept must not be taken.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (following, trusted) = arguments.trusted.open()?;
    let waiting = Arc::new(Waiting::default());
    let line = Line::read(&arguments.broker, "collector")?;
    let listener = arguments.health.listen()?;
    let metrics = Metrics::default();
    let board = Board::with_broker(|registry| metrics.register(registry));
    board.does("starting");
    board.trouble("ledger", "not opened yet");
    let broker = Broker::new(line, trusted.clone(), Arc::clone(&waiting), (board.clone(), metrics.clone()));
    #[expect(clippy::disallowed_methods, reason = "systemd tells only there where its credentials are")]
    let credentials = Credentials::new(env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    #[expect(clippy::disallowed_methods, reason = "a URL with a password must not be an argument")]
    let environment = env::var_os(URL_VARIABLE);
    let location =
        arguments.ledger.location(environment).context(Refusal::Usage("there is no ledger to write".into()))?;
    let key = arguments.ledger.key_given(&credentials)?;
    let (answers_tx, answers) = mpsc::unbounded_channel();
    let gap_after = Duration::from_secs(arguments.gap_after);
    // Nobody is left to tell when standard error is gone.
    let _ = trusted::introduce(&trusted.borrow(), &mut io::stderr());
    let intake = Intake::new(trusted, gap_after, answers_tx, metrics.clone());
    let (until_tx, until) = watch::channel(None);
    let hold = Hold::new(Duration::from_secs(arguments.lease), until_tx, board.clone(), metrics.lease);
    let terms = Terms { location, key, intake, waiting: Arc::clone(&waiting), hold, board: board.clone() };

    let (ended_tx, mut ended) = oneshot::channel();
    thread::Builder::new().name("ledger".into()).spawn(move || {
        // Nobody listens any more when the ledger took too long to finish.
        let _ = ended_tx.send(terms.run());
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stopped = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            () = connect(broker, answers, until, &board) => Ok(None),
            () = following.run(&board) => Ok(None),
            failed = board.clone().serve(listener) => failed.map(|()| None),
            _ = terminate.recv() => Ok(None),
            stopped = tokio::signal::ctrl_c() => stopped.map(|()| None).map_err(Into::into),
            // Nothing is committed any more, so nothing may be taken.
            ended = &mut ended => Ok(Some(ended)),
        }
    })?;
    // The connection is gone with the future above: the ledger finishes what it has.
    waiting.close();
    let ended = match stopped {
        Some(ended) => ended,
        None => match runtime.block_on(async { tokio::time::timeout(FINISH, ended).await }) {
            Ok(ended) => ended,
            Err(_) => bail!("the ledger does not answer; what was not receipted comes again"),
        },
    };
    runtime.shutdown_background();
    ended.map_err(|_| anyhow!("the ledger's thread panicked"))?.context("nothing is taken until the ledger is mended")
}

/// Keeps a connection to the broker while this collector is the active one.
async fn connect(
    mut broker: Broker,
    mut answers: mpsc::UnboundedReceiver<Answer>,
    mut until: watch::Receiver<Until>,
    board: &Board,
) {
    while hold::begun(&mut until).await {
        tokio::select! {
            // Looked at first: a collector that was paused must not connect again and so end the connection of the one that took over.
            biased;
            () = hold::over(&mut until) => tracing::warn!("no connection to the broker while this collector is not the active one"),
            () = broker.run(&mut answers) => {}
        }
        board.left();
        if until.borrow().is_some() {
            board.trouble("lease", "the ledger's database does not answer: the lease ended before it was renewed");
        }
    }
    // The ledger's thread has ended, which is told by its result.
    std::future::pending().await
}
