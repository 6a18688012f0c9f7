//! How long it takes from the session's word to lamps and pixels, and what screen and console cost the box: CPU time with
//! followers and under attack, and memory.
//!
//! The pixels are those of Debian's Chromium in front of the running box, timed by the page itself against the box's clock.
//! Needs `examgate-fleet` built beside it; `make bench` does that. Writes `screen_ms`, `light_ms`, `clients_ratio`,
//! `screen_rss_mib` and `attack_cpu_ratio` into `target/bench/summary.json`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock and lets time pass")]

mod attack;
mod cost;
mod crowd;
#[path = "../../tests/browser/rig.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod rig;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use examgate::{
    domain::{Answer, Decision, EventId, MonoTime, Reason, Shown},
    edge::light::{Lit, Pattern, Player, SimulatedLamps},
    flow::show,
    rig::{
        stage::{Appointed, DoorBox, Enrolled, Programs, Reality, Stage},
        summary,
        virtual_card::Behaviour,
    },
};
use tokio::sync::watch;

/// Answers that are timed.
const ANSWERS: usize = 60;

const EXAM: &str = "BENCH-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
const PROCTOR: Appointed<'static> =
    Appointed { id: "aokafor", name: "A. Okafor", card: "04AA0000000001", pin: "481516" };

fn main() -> Result<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runtime = tokio::runtime::Runtime::new()?;
    let light = runtime.block_on(lamps())?;
    println!("decision to lamps: {light:.3} ms (median of {ANSWERS})");
    let bare = stage(project)?;
    let full = stage(project)?;
    let screen = full.hang_screen(&["en", "es", "zh-Hans"])?;
    let office = full.furnish_office()?;
    let door = full.open_door()?;
    let pixels = runtime.block_on(pixels(&full, &door, screen))?;
    door.stop()?;
    println!("decision to pixels: {pixels:.1} ms (median of {ANSWERS})");
    let numbers = cost::measure(&bare, &full, screen, &office)?;
    for (name, number) in &numbers {
        println!("{name:<18} {number:>8.3}");
    }
    summary::merge(project, &[&[("screen_ms", pixels), ("light_ms", light)], numbers.as_slice()].concat())?;
    Ok(())
}

/// A stage with a student for every look, and somebody else before the camera, so that looks last.
fn stage(project: &Path) -> Result<Stage> {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate")))?;
    let stage = Stage::set(project, programs, EXAM, Reality { reader: false, broker: false })?;
    let names: Vec<_> = (0..cost::CARDS).map(|n| (format!("N{n}"), cost::card(n))).collect();
    let students: Vec<_> = names
        .iter()
        .map(|(id, card)| Enrolled {
            id,
            given_name: "Ada",
            card,
            pictures: &["clips/single_face/0062.jpg"],
            language: None,
        })
        .collect();
    stage.enrol(EXAM, "A bench", DOORS, &students)?;
    stage.appoint(&PROCTOR)?;
    stage.set_clock("2026-12-14T08:40:00-05:00")?;
    stage.seat_woman()?;
    stage.configure("[policy]\nattempt_window_ms = 6000\nattempts = 1\n")?;
    Ok(stage)
}

/// From the session's answer to the frame that shows it, in milliseconds.
async fn pixels(stage: &Stage, door: &DoorBox, port: u16) -> Result<f64> {
    let mut surfer = rig::Surfer::start().await;
    let tab = surfer.open(&format!("http://127.0.0.1:{port}/")).await;
    tab.resize((1920, 1080)).await;
    tab.until("sheet").await;
    // A few beats tell the page the box's time.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let unknown = Behaviour::Uid(hex::decode("04DEADBEEF0102")?);
    let mut taken = Vec::new();
    for n in 0..ANSWERS {
        let (behaviour, look) = [(&unknown, "denied"), (&Behaviour::Pulled, "referred")][n % 2];
        let tapped = stage.tap(behaviour)?;
        door.decision(Duration::from_secs(20))?;
        let measured = "performance.getEntriesByType('measure').at(-1)";
        tab.until(&format!(
            "sheet?.look === '{look}' && Math.abs({measured}?.startTime - sheet.since - offset) < 5 && {measured}.name === '{look}'"
        ))
        .await;
        taken.push(tab.get::<f64>(&format!("{measured}.duration")).await);
        drop(tapped);
        stage.settle()?;
        // Not in step with the display.
        tokio::time::sleep(Duration::from_millis(120 + (n as u64 * 7) % 17)).await;
    }
    surfer.close().await;
    Ok(median(taken))
}

/// From an answer to the lamp that is lit for it, in milliseconds.
async fn lamps() -> Result<f64> {
    let (lamps, lit) = SimulatedLamps::watched();
    let (shown, seen) = watch::channel(Shown::new(Answer::Idle, MonoTime::default()));
    let following = tokio::spawn(show(seen, Player::start(lamps)?));
    let mut taken = Vec::new();
    for n in 0..ANSWERS {
        let (decision, pattern) =
            [(Decision::Admit, Pattern::Admit), (Decision::Deny(Reason::TooEarly), Pattern::Deny)][n % 2];
        let wanted = pattern.rhythm().steps[0].lit;
        tokio::time::sleep(Duration::from_millis(20)).await;
        while lit.try_recv().is_ok() {}
        let start = Instant::now();
        let answer = Answer::Decided { event: EventId(uuid::Uuid::nil()), decision, name: None, seat: None };
        shown.send_replace(Shown::new(answer, MonoTime::default()));
        while lit.recv().unwrap_or(Lit::DARK) != wanted {}
        taken.push(start.elapsed().as_secs_f64() * 1e3);
    }
    following.abort();
    Ok(median(taken))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
