//! `examgate-fleet events`: what the ledger holds, as lines or as JSON lines, and the incidents.
//!
//! The lines name no student; the JSON holds everything. Incidents go to standard error, or to standard output if they are
//! asked for. It never alters the ledger.

use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result};
use clap::Args;
use examgate::domain::{AccessStep, Commanded, Event, EventKind};

use examgate_fleet_core::{incidents::Held, ledger::Entry};

use crate::{
    incidents::as_json,
    ledger::{self, LedgerArguments},
};

/// Which ledger, and how to show it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  examgate-fleet events --ledger ledger.db --ledger-key ledger.key\n  examgate-fleet events --ledger ledger.db --ledger-key ledger.key --incidents\n  examgate-fleet events --ledger ledger.db --ledger-key ledger.key --json | jq -c 'select(.event.kind == \"ruling\")'"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    ledger: LedgerArguments,
    /// Prints one JSON object per line with all fields of the event. This is personal data.
    #[arg(long)]
    json: bool,
    /// Prints only the incidents, one per line. `examgate-fleet incidents` shows them as a table and says what to do.
    #[arg(long)]
    incidents: bool,
}

/// Prints the ledger.
///
/// # Errors
/// When it cannot be read, or the output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut ledger = ledger::open(&arguments.ledger)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let incidents = ledger.incidents()?;
    if arguments.incidents {
        let mut show =
            |held: &Held| if arguments.json { writeln!(out, "{}", as_json(held)) } else { writeln!(out, "{held}") };
        let written = incidents.iter().try_for_each(&mut show);
        return written.and_then(|()| out.flush()).context("cannot write the incidents");
    }
    let written = ledger.each(|entry| if arguments.json { json(&mut out, &entry) } else { line(&mut out, &entry) })?;
    written.and_then(|()| out.flush()).context("cannot write the events")?;
    for held in incidents {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "INCIDENT {held}");
    }
    Ok(())
}

fn json(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    let Entry { device, epoch, seq, confirmed, committed_at, .. } = entry;
    let whole = serde_json::json!({
        "device": device, "epoch": epoch, "seq": seq, "confirmed": confirmed, "committed_at": committed_at, "event": body
    });
    writeln!(out, "{whole}")
}

fn line(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let Entry { device, seq, committed_at, confirmed, .. } = entry;
    let unconfirmed = if *confirmed { "" } else { ", not confirmed: see the incidents" };
    match serde_json::from_slice::<Event>(&entry.body) {
        Ok(Event { at, room, kind, .. }) => {
            let what = match kind {
                EventKind::Verification(verification) => verification.decision.to_string(),
                EventKind::Ruling(ruling) => format!("proctor: {}", name(&ruling.verdict)),
                EventKind::Undo(undo) => format!("proctor: undo of {}", undo.ruling),
                EventKind::Access(access) => match access.step {
                    AccessStep::SignedIn => "console: signed in".into(),
                    AccessStep::SignedOut => "console: signed out".into(),
                    AccessStep::Refused { times } => format!("console: refused {times} times, {}", access.from),
                },
                EventKind::Commanded(Commanded { word, by, key, answer, .. }) => {
                    // The first digits tell keys apart; `--json` has all of them.
                    let key = key.get(..8).unwrap_or_default();
                    let by = by.map_or_else(String::new, |by| format!("{by}, "));
                    format!("command: {word} {answer}, by {by}key {key}…")
                }
            };
            writeln!(out, "{at}  {device} {seq}  {room}  {what}  (committed {committed_at}{unconfirmed})")
        }
        // A newer box knows more kinds of events than this program.
        Err(_) => {
            writeln!(out, "?  {device} {seq}  an event of a newer version  (committed {committed_at}{unconfirmed})")
        }
    }
}

/// A word of the wire, as it is written there.
fn name(word: &impl serde::Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
