//! `examgate-fleet incidents`: what in the ledger somebody must look into, with what it means and what to do. It never alters the ledger.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use anyhow::{Context as _, Result};
use clap::Args;
use examgate::domain::{Event, EventKind, ExamId, Timestamp};
use examgate_fleet_core::{
    attendance::Happening,
    clashes::{self, Clash, Clashes},
    incidents::{Held, Incident},
    ledger::Ledger,
};
use serde_json::{Value, json};

use crate::{
    ledger::{self, LedgerArguments},
    table::{aligned, row},
};

/// Lists what in the ledger a person must look into: forked chains, missing events, a restored ledger, students admitted by two boxes.
///
/// Each kind is explained below the table. The exit code is 0 whatever is found.
#[derive(Args)]
#[command(after_help = "Examples:
  examgate-fleet incidents --ledger ledger.db --ledger-key ledger.key
  examgate-fleet incidents --ledger ledger.db --ledger-key ledger.key --exam MATH-UA-120-final --open
  examgate-fleet incidents --ledger ledger.db --ledger-key ledger.key --json | jq '.[] | select(.ended_at == null)'")]
pub(crate) struct Arguments {
    #[command(flatten)]
    ledger: LedgerArguments,
    /// Only those of boxes that recorded something of this exam, and only students of it.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: Option<ExamId>,
    /// Only those that have not ended.
    #[arg(long)]
    open: bool,
    /// Prints one JSON array.
    #[arg(long)]
    json: bool,
}

/// Prints them.
///
/// # Errors
/// When the ledger cannot be read, or the output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut ledger = ledger::open(&arguments.ledger)?;
    let mut all = ledger.incidents()?;
    if let Some(exam) = &arguments.exam {
        let boxes = boxes_of(&mut ledger, exam)?;
        all.retain(|held| boxes.contains(&held.device));
    }
    if arguments.open {
        all.retain(|held| held.ended_at.is_none());
    }
    let twice = clashes(&mut ledger, arguments.exam.as_ref())?;
    let text = if arguments.json {
        let (now, listed) = (crate::now(), all.iter().map(as_json));
        format!("{}\n", listed.chain(twice.iter().map(|clash| clash_as_json(clash, now))).collect::<Value>())
    } else {
        match (all.is_empty(), twice.is_empty()) {
            (_, true) => table(&all),
            (true, false) => clash_table(&twice),
            (false, false) => format!("{}\n{}", table(&all), clash_table(&twice)),
        }
    };
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write the incidents")
}

/// The boxes that recorded something of an exam. What is missing of an exam is missing from one of them, or from a box that sent nothing.
fn boxes_of(ledger: &mut Ledger, exam: &ExamId) -> Result<BTreeSet<String>> {
    let mut boxes = BTreeSet::new();
    ledger.each(|entry| {
        let event = serde_json::from_slice::<Event>(&entry.body);
        let of = event.ok().and_then(|event| match event.kind {
            EventKind::Verification(said) => Some(said.exam),
            EventKind::Ruling(ruling) => Some(ruling.exam),
            EventKind::Undo(undo) => Some(undo.exam),
            EventKind::Access(_) | EventKind::Commanded(_) => None,
        });
        if of.as_ref() == Some(exam) && !boxes.contains(&entry.device) {
            boxes.insert(entry.device);
        }
        Ok(())
    })??;
    Ok(boxes)
}

/// Who was admitted by two boxes of an exam, or of any.
fn clashes(ledger: &mut Ledger, exam: Option<&ExamId>) -> Result<Vec<Clash>> {
    let mut clashes = Clashes::default();
    ledger.each(|entry| {
        clashes.take(exam, &entry.device, entry.confirmed, &entry.body);
        Ok(())
    })??;
    Ok(clashes.finish())
}

/// A student admitted by two boxes as JSON. It began with the second admission.
fn clash_as_json(clash: &Clash, now: Timestamp) -> Value {
    let Clash { exam, student, places } = clash;
    let place = |place: &Happening| {
        let Happening { at, room, device, event, decided, proctor, .. } = place;
        json!({ "room": room, "device": device, "at": at, "event": event, "decided": decided, "proctor": proctor })
    };
    let began = places[1].at;
    json!({
        "incident": clashes::NAME, "exam": exam, "student": student, "places": places.iter().map(place).collect::<Value>(),
        "first_seen": began, "last_seen": began, "ended_at": null,
        "seconds": now.duration_since(began).as_secs().max(0), "advice": clashes::ADVICE,
    })
}

fn clash_table(all: &[Clash]) -> String {
    let mut rows = vec![row(["student", "incident", "exam", "admitted at"])];
    for Clash { exam, student, places } in all {
        let place =
            |place: &Happening| format!("{} by {} {}", place.room, place.device, place.at.strftime("%F %H:%M:%S UTC"));
        let places = places.iter().map(place).collect::<Vec<_>>().join(", ");
        rows.push(row([student.as_str(), clashes::NAME, exam.as_str(), &places]));
    }
    format!("{}\n{}: {}\n", aligned(&rows), clashes::NAME, clashes::ADVICE)
}

/// One incident as JSON.
pub(crate) fn as_json(held: &Held) -> Value {
    let Held { device, epoch, events: (first, last), what, first_seen, last_seen, ended_at, lasted } = held;
    json!({
        "device": device, "epoch": epoch, "first_event": first, "last_event": last, "incident": what.name(),
        "first_seen": first_seen, "last_seen": last_seen, "ended_at": ended_at, "seconds": lasted.as_secs(),
        "advice": what.advice(),
    })
}

fn table(all: &[Held]) -> String {
    if all.is_empty() {
        return "no incidents: no chain has forked, no event is known to be missing, and nobody was admitted by two boxes\n".into();
    }
    let mut rows = vec![row(["box", "incident", "events", "first seen", "state", "epoch"])];
    for held in all {
        let Held { device, epoch, events: (first, last), what, first_seen, ended_at, lasted, .. } = held;
        let events = if first == last { first.to_string() } else { format!("{first} to {last}") };
        let state = match ended_at {
            Some(ended) => format!("ended {}", minute(ended)),
            None => format!("open for {}", span(lasted.as_secs())),
        };
        rows.push(row([device, what.name(), &events, &minute(first_seen), &state, &epoch.to_string()]));
    }
    let mut text = aligned(&rows);
    for kind in Incident::ALL.into_iter().filter(|kind| all.iter().any(|held| held.what == *kind)) {
        text += &format!("\n{}: {}\n", kind.name(), kind.advice());
    }
    text
}

/// A time of the ledger to the minute.
fn minute(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(|_| text.into(), |at| at.strftime("%F %H:%M UTC").to_string())
}

/// So many seconds in words.
fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_at_a_glance() {
        for (seconds, words) in [(59, "0 min"), (3599, "59 min"), (7260, "2 h 1 min"), (2 * 86_400 + 3600, "2 d 1 h")] {
            assert_eq!(span(seconds), words);
        }
        assert_eq!(minute("2026-12-14T08:30:12.345Z"), "2026-12-14 08:30 UTC");
    }
}
