//! `examgate-fleet ledger restored`: notes that a ledger was set back by its database's own means.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use examgate::exit::Refusal;
use examgate_fleet_core::ledger::{Ledger, LedgerArguments};
use serde_json::json;

/// Notes that the ledger was restored from a backup by other means than `examgate-fleet restore`: with pg_restore, from a snapshot, or by
/// copying its file back.
///
/// Run it before a collector starts. A collector from before the restore can then not write to the ledger any more without
/// a new lease. For each box the ledger gets an incident `restored`, which ends when the box has sent what is missing. A second run does no harm.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pg_restore --clean --if-exists --dbname \"$DATABASE\" ledger.dump
  examgate-fleet ledger restored --ledger-url-file ledger.url --ledger-key ledger.key
  examgate-fleet ledger restored --ledger ledger.db --ledger-key ledger.key --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    ledger: LedgerArguments,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let location = arguments
        .ledger
        .location(super::environment())
        .context(Refusal::Usage("there is no ledger to note it in".into()))?;
    let key = arguments.ledger.key()?;
    // It must be there: a new one would hide that the wrong database was named.
    drop(Ledger::open_existing(&location, &key)?);
    let boxes = Ledger::open(&location, &key)?.restored()?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let boxes = boxes
            .iter()
            .map(|one| json!({ "device": one.device, "epoch": one.epoch, "first_missing": one.events.0 }))
            .collect::<Vec<_>>();
        writeln!(out, "{}", json!({ "boxes_to_hear_from": boxes }))?;
        return Ok(());
    }
    writeln!(out, "noted; {} boxes may have recorded more than the ledger holds:", boxes.len())?;
    for one in &boxes {
        writeln!(out, "  {}  from event {} of its epoch {} on", one.device, one.events.0, one.epoch)?;
    }
    writeln!(
        out,
        "start `examgate-fleetd collect`: they send what is missing with their next event; `examgate-fleet incidents` names those that have not yet"
    )?;
    Ok(())
}
