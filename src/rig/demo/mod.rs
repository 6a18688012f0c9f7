//! `examgate demo`: a scripted exam morning on a real stage. One line a student; then what the collector committed.
//!
//! The box is the ordinary `examgate run` in a process of its own. Only the picture before the camera and the wall clock are
//! scripted; the card is virtual, its reader service is real.

mod commands;
mod proofs;
mod script;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use proofs::Proofs;
use script::Step;

use super::stage::{DoorBox, Programs, Reality, Said, Stage};

/// How to run the demonstration.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// If pcscd or mosquitto cannot be started, use in-process stand-ins, and say so on every line.
    #[arg(long)]
    allow_stand_ins: bool,
    /// The project's folder, which holds models/ and the test pictures.
    #[arg(long, default_value = ".", value_name = "DIR")]
    project: PathBuf,
}

/// How long one decision may take: three capture windows and the answer's time, on a busy machine.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

/// From one student to the next: nobody is faster, and pcscd looks for cards every 400 ms.
const NEXT_STUDENT: Duration = Duration::from_millis(700);

/// How long the box may take to know of a lost card, on a busy machine.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);

/// How long the collector may take to have everything, once the last decision is made.
const COLLECTED_WITHIN: Duration = Duration::from_secs(30);

/// Plays the morning and tells it to `out`. Says whether every decision was the expected one and reached the collector.
///
/// # Errors
/// What could not be started, and what to do.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<bool> {
    let project = std::path::absolute(&arguments.project)?;
    let programs = Programs::beside(&std::env::current_exe().context("this program has no path")?)?;
    let reality = Reality { reader: true, broker: true };
    writeln!(out, "Setting the stage: keys, certificates, broker, reader service, rosters, box.")?;
    let (mut stage, reality) = match Stage::set(&project, programs.clone(), script::EXAM, reality) {
        Ok(stage) => (stage, reality),
        Err(error) if !arguments.allow_stand_ins => {
            bail!("{error:#}\n(`--allow-stand-ins` plays without what cannot be started)");
        }
        Err(error) => {
            writeln!(out, "STAND-INS: {error:#}")?;
            with_stand_ins(&project, &programs)?
        }
    };
    let mark = match (reality.reader, reality.broker) {
        (true, true) => "",
        (false, true) => "  [STAND-IN: card reader]",
        (true, false) => "  [STAND-IN: no broker, no collector]",
        (false, false) => "  [STAND-INS: card reader; no broker, no collector]",
    };
    if reality.broker {
        stage.open_desk()?;
    }
    // The stand-in for a reader plays no card with a program of its own.
    let proofs = reality.reader.then(|| Proofs::prepare(&stage)).transpose()?;
    stage.configure(&proofs.as_ref().map_or_else(script::cards, Proofs::configuration))?;
    stage.enrol(script::OTHER_EXAM, script::OTHER_TITLE, script::OTHER_DOORS, script::OTHERS)?;
    stage.enrol(script::EXAM, script::EXAM_TITLE, script::DOORS, script::STUDENTS)?;
    stage.collect()?;
    stage.set_clock(script::EARLY)?;
    let mut door = stage.start_door()?;
    if reality.broker {
        writeln!(out, "The box waits for its rosters; the fleet pushes them over the broker:")?;
        for exam in [script::OTHER_EXAM, script::EXAM] {
            write!(out, "  {}", stage.push(exam)?)?;
        }
    }
    door.serves(script::EXAM).with_context(|| format!("the box does not serve; it said:\n{}", stage.door_log()))?;
    writeln!(out, "\n{}, doors open 8:30.\n", script::EXAM_TITLE)?;
    writeln!(out, "     {:<48} {:<28} {:>9} {:>12}", "who taps", "the box", "from tap", "from a face")?;
    let mut decided = Vec::new();
    let morning = script::morning(|name| stage.picture(name));
    let mut as_expected = play(out, (&stage, reality, mark), &door, morning, &mut decided)?;
    if reality.broker {
        as_expected &= commands::play(out, &stage, &door, &mut decided)?;
    }
    if let Some(proofs) = proofs {
        writeln!(
            out,
            "\nThe box is started again with weakest_profile = \"desfire_aes\": cards must prove themselves.\n"
        )?;
        as_expected &= door.stop()?.success();
        stage.configure(proofs::POLICY)?;
        door = stage.start_door()?;
        door.serves(script::EXAM).with_context(|| format!("the box does not serve; it said:\n{}", stage.door_log()))?;
        let steps = proofs.steps(|name| stage.picture(name));
        as_expected &= play(out, (&stage, reality, mark), &door, steps, &mut decided)?;
    }
    if reality.broker {
        as_expected &= tell_committed(out, &stage, &decided)?;
    } else {
        writeln!(out, "\nEvents wait in the box's outbox.{mark}")?;
    }
    let status = door.stop()?;
    writeln!(out, "\nThe box stopped in order: {}.", if status.success() { "yes" } else { "NO" })?;
    writeln!(
        out,
        "{}",
        if as_expected { "Every decision was the expected one." } else { "NOT every decision was the expected one." }
    )?;
    Ok(as_expected && status.success())
}

/// Plays steps at the door, and adds what it said to `decided`. Says whether every decision was the expected one.
fn play(
    out: &mut impl Write,
    (stage, reality, mark): (&Stage, Reality, &str),
    door: &DoorBox,
    steps: Vec<Step>,
    decided: &mut Vec<Said>,
) -> Result<bool> {
    let mut as_expected = true;
    for Step { what, clock, lost, card, scene, expected } in steps {
        if let Some(lost) = lost {
            // The list travels over the broker: without one there is nothing to show.
            if !reality.broker {
                continue;
            }
            report_lost(stage, lost)?;
        }
        if let Some(clock) = clock {
            stage.set_clock(clock)?;
        }
        stage.strings.set_scene(&scene)?;
        stage.settle()?;
        let tapped = stage.tap(&card)?;
        let said =
            door.decision(DECIDED_WITHIN).with_context(|| format!("{what}: no decision\n{}", stage.door_log()))?;
        drop(tapped);
        pause(NEXT_STUDENT);
        let fine = (said.decision.as_str(), said.reason.as_deref()) == expected;
        as_expected &= fine;
        tell(out, what, &said, fine, mark)?;
        if !fine {
            writeln!(out, "       expected was {}", answer(expected.0, expected.1))?;
        }
        decided.push(said);
    }
    Ok(as_expected)
}

/// Has the manager report a card lost, and waits until the box knows.
fn report_lost(stage: &Stage, card: &str) -> Result<()> {
    stage.mark_card(card, true)?;
    let look_every = Duration::from_millis(50);
    for _ in 0..KNOWN_WITHIN.as_millis() / look_every.as_millis() {
        if stage.lost_cards_of_the_box().is_some() {
            return Ok(());
        }
        pause(look_every);
    }
    bail!("the box does not know of a lost card after {KNOWN_WITHIN:?}; it said:\n{}", stage.door_log())
}

/// Lets time pass, as people do.
fn pause(duration: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// The most real stage that can be had.
fn with_stand_ins(project: &std::path::Path, programs: &Programs) -> Result<(Stage, Reality)> {
    let mut last = None;
    for (reader, broker) in [(false, true), (true, false), (false, false)] {
        let reality = Reality { reader, broker };
        match Stage::set(project, programs.clone(), script::EXAM, reality) {
            Ok(stage) => return Ok((stage, reality)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("three stages were tried")?)
}

fn answer(decision: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| decision.to_owned(), |reason| format!("{decision} ({reason})"))
}

fn tell(out: &mut impl Write, what: &str, said: &Said, fine: bool, mark: &str) -> io::Result<()> {
    let face = said.since_first_usable_frame_ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms"));
    writeln!(
        out,
        "{}  {what:<48} {:<28} {:>6} ms {face:>12}{mark}",
        if fine { " ok" } else { "BAD" },
        answer(&said.decision, said.reason.as_deref()),
        said.since_tap_ms,
    )
}

/// Waits for the collector, and lists what it has. Says whether that is exactly what was decided and commanded, in order.
fn tell_committed(out: &mut impl Write, stage: &Stage, decided: &[Said]) -> Result<bool> {
    let look_every = Duration::from_millis(200);
    let mut committed = Vec::new();
    for _ in 0..COLLECTED_WITHIN.as_millis() / look_every.as_millis() {
        committed = stage.committed().unwrap_or_default();
        if committed.len() >= decided.len() + commands::expected().len() {
            break;
        }
        pause(look_every);
    }
    writeln!(out, "\nWhat the collector committed:\n")?;
    let (mut ids, mut commanded) = (Vec::new(), Vec::new());
    for entry in &committed {
        let event = &entry["event"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        let what = if event["kind"] == "commanded" {
            let said = &event["answer"];
            let outcome = answer(&text(&said["outcome"]), said["reason"].as_str());
            commanded.push(format!("{} {outcome}", text(&event["word"])));
            format!("command: {} {outcome}", text(&event["word"]))
        } else {
            ids.push(text(&event["id"]));
            answer(&text(&event["decision"]["outcome"]), event["decision"]["reason"]["code"].as_str())
        };
        writeln!(out, "  {:>3}  {}  {}  {what}", entry["seq"], text(&event["at"]), text(&event["id"]))?;
    }
    let complete = ids.iter().eq(decided.iter().map(|said| &said.event)) && commanded == commands::expected();
    if !complete {
        writeln!(out, "  These are NOT exactly the decisions and commands above.\n{}", stage.collector_log())?;
    }
    Ok(complete)
}
