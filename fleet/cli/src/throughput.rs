//! `examgate-fleet throughput`: how many students a minute came through each door of an exam, from the ledger.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use clap::Args;
use examgate::domain::{ExamId, Timestamp};
use examgate_fleet_core::{
    attendance::Fold,
    throughput::{Door, doors},
};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::{
    ledger::{self, LedgerArguments},
    table::{aligned, row},
};

/// Shows how many students a minute came through each door of an exam: mean from the first to the last, and the busiest minute.
///
/// Every admission counts, by the box or by a proctor, unless it was taken back. The busiest minute is any 60 seconds.
#[derive(Args)]
#[command(after_help = "Examples:
  examgate-fleet throughput --exam MATH-UA-120-final --ledger ledger.db --ledger-key ledger.key --time-zone America/New_York
  examgate-fleet throughput --exam MATH-UA-120-final --ledger ledger.db --ledger-key ledger.key --json")]
pub(crate) struct Arguments {
    /// The exam.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: ExamId,
    #[command(flatten)]
    ledger: LedgerArguments,
    /// Prints one JSON object; its times are in UTC.
    #[arg(long)]
    json: bool,
    /// Time zone of the table, an IANA name such as America/New_York [default: this machine's].
    #[arg(long, value_name = "ZONE", value_parser = |text: &str| TimeZone::get(text))]
    time_zone: Option<TimeZone>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut ledger = ledger::open(&arguments.ledger)?;
    let mut fold = Fold::new(arguments.exam.clone());
    ledger.each(|entry| {
        fold.take(&entry.device, entry.confirmed, &entry.body);
        Ok(())
    })??;
    let doors = doors(&fold.finish());
    let zone = arguments.time_zone.clone().unwrap_or_else(TimeZone::system);
    let text = match arguments.json {
        true => format!("{}\n", json!({ "exam": arguments.exam, "doors": doors })),
        false => table(&arguments.exam, &doors, &zone),
    };
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write the table")
}

fn table(exam: &ExamId, doors: &[Door], zone: &TimeZone) -> String {
    if doors.is_empty() {
        return format!("no door has admitted anybody to {exam}: is the exam's name right?\n");
    }
    let time = |at: Option<Timestamp>| {
        at.map_or_else(|| "-".into(), |at| at.to_zoned_datetime(zone.clone()).strftime("%F %H:%M:%S %Z").to_string())
    };
    let mut rows = vec![row(["box", "room", "admitted", "a minute", "at most", "from", "first", "last"])];
    for door in doors {
        let mean = door.mean_per_minute.map_or_else(|| "-".into(), |mean| format!("{mean:.1}"));
        let peak = door.peak_per_minute.to_string();
        rows.push(row([
            &door.device,
            door.room.as_str(),
            &door.admitted.to_string(),
            &mean,
            &peak,
            &time(door.peak_at),
            &time(door.first),
            &time(door.last),
        ]));
    }
    let mut text = aligned(&rows);
    let undated: usize = doors.iter().map(|door| door.undated).sum();
    if undated > 0 {
        text +=
            &format!("\n{undated} admissions are in `admitted` only: the door's clock was not to be believed then\n");
    }
    text
}
