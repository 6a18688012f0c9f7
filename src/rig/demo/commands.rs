//! The fleet commands the box over the broker: to show which it is, out of service, back again. Each command is signed, and the help desk's key
//! may do less than the manager's.

use std::io::Write;

use anyhow::{Context, Result};

use super::{DECIDED_WITHIN, NEXT_STUDENT, pause, script, tell};
use crate::{
    domain::Timestamp,
    rig::{
        stage::{DEVICE, DoorBox, Said, Stage},
        virtual_card::Behaviour,
    },
};

/// Who signs.
#[derive(Clone, Copy)]
struct Signer {
    name: &'static str,
    /// The file of the key.
    key: &'static str,
}

const HELP_DESK: Signer = Signer { name: "the help desk", key: "help-desk.key" };
const MANAGER: Signer = Signer { name: "the manager", key: "command.key" };

/// A command, who gives it, and what the ledger should say of it.
type Given = (&'static str, Signer, &'static str);

const BEFORE: [Given; 3] = [
    ("identify", HELP_DESK, "accepted"),
    ("drain", HELP_DESK, "refused (not_allowed)"),
    ("drain", MANAGER, "accepted"),
];
const AFTER: Given = ("resume", MANAGER, "accepted");

/// What the ledger should say about commands, in order.
pub(super) fn expected() -> Vec<String> {
    BEFORE.iter().chain([&AFTER]).map(|(word, _, outcome)| format!("{word} {outcome}")).collect()
}

/// Plays them. A student taps while the box is out of service, which is no decision, and one once it is back, who is added to `decided`. Says whether
/// all went as expected.
pub(super) fn play(out: &mut impl Write, stage: &Stage, door: &DoorBox, decided: &mut Vec<Said>) -> Result<bool> {
    writeln!(out, "\nCommands over the broker:\n")?;
    let mut as_expected = true;
    for given in &BEFORE {
        as_expected &= give(out, stage, given)?;
    }
    let (card, _) = script::inside();
    drop(stage.tap(&Behaviour::Uid(card))?);
    pause(NEXT_STUDENT);
    writeln!(out, "     a student taps meanwhile, and there must be no decision about it in the ledger")?;
    as_expected &= give(out, stage, &AFTER)?;
    stage.set_clock(script::OPEN)?;
    stage.settle()?;
    let (card, expected) = script::inside();
    let tapped = stage.tap(&Behaviour::Uid(card))?;
    let said =
        door.decision(DECIDED_WITHIN).with_context(|| format!("no decision after `resume`\n{}", stage.door_log()))?;
    drop(tapped);
    let fine = (said.decision.as_str(), said.reason.as_deref()) == expected;
    tell(out, "back in service: somebody who is inside taps", &said, fine, "")?;
    decided.push(said);
    Ok(as_expected && fine)
}

/// Gives one command, and tells what its program says.
fn give(out: &mut impl Write, stage: &Stage, (word, by, outcome): &Given) -> Result<bool> {
    // Commands are dated by the clock of the desk that gives them, which is real, and judged by the box's, which is scripted.
    stage.set_clock(&now().to_string())?;
    stage.settle()?;
    let output = stage.command(word, DEVICE, by.key, &[])?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    let fine = output.status.success() == (*outcome == "accepted");
    writeln!(out, "{}  {}: {word}\n       {said}", if fine { " ok" } else { "BAD" }, by.name)?;
    Ok(fine)
}

#[expect(clippy::disallowed_methods, reason = "the desk that commands a box goes by the real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
