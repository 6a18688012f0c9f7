//! The whole box as it ships, in a process of its own: from its start to ready, and the most memory it holds after it has
//! verified students. Nets, store, broker line and all; only picture, card and clock are scripted.
//!
//! Needs `examgate-fleet` built beside it; `make bench` does that. Writes `ready_s`, `admit_ms` and `peak_rss_mib` into
//! `target/bench/summary.json`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use examgate::rig::{
    stage::{Enrolled, Programs, Reality, Stage},
    summary,
    virtual_card::Behaviour,
};

const STARTS: usize = 7;
const STUDENTS: usize = 5;
const EXAM: &str = "BENCH-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");

fn main() -> Result<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate")))?;
    let mut stage = Stage::set(project, programs, EXAM, Reality { reader: false, broker: true })?;
    let ids: Vec<_> = (0..STUDENTS).map(|n| (format!("N{n}"), format!("04A1B2C3D4E5{n:02X}"))).collect();
    let students: Vec<_> = ids
        .iter()
        .map(|(id, card)| Enrolled {
            id,
            given_name: "Ada",
            card,
            pictures: &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"],
            language: None,
        })
        .collect();
    stage.enrol(EXAM, "A bench", DOORS, &students)?;
    stage.collect()?;
    stage.set_clock("2026-12-14T08:40:00-05:00")?;
    stage.seat_woman()?;

    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let door = stage.open_door()?;
        starts.push(start.elapsed());
        door.stop()?;
    }
    let door = stage.open_door()?;
    let mut admissions = Vec::new();
    for (_, card) in &ids {
        stage.seat_woman()?;
        stage.settle()?;
        let tapped = stage.tap(&Behaviour::Uid(hex::decode(card)?))?;
        let said = door.decision(Duration::from_secs(20))?;
        ensure!(said.decision == "admit", "{said:?}");
        admissions.push(Duration::from_millis(said.since_tap_ms));
        drop(tapped);
        // The reader's string must be seen to be empty before the next card lies on it.
        stage.settle()?;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", door.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0;
    door.stop()?;

    let (ready, admit) = (median(starts), median(admissions));
    println!("start to ready: {ready:.2?} (median of {STARTS})");
    println!("tap to admission: {admit:.0?} (median of {STUDENTS})");
    println!("most memory held: {peak:.0} MiB");
    let numbers = [("ready_s", ready.as_secs_f64()), ("admit_ms", admit.as_secs_f64() * 1e3), ("peak_rss_mib", peak)];
    Ok(summary::merge(project, &numbers)?)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
