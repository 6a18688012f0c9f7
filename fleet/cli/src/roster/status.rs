//! `roster status`: which box holds which roster, which is on its way, and what was refused.
//!
//! It shows what boxes last reported to the keeper. It never shows a person.

use std::{io, path::PathBuf};

use anyhow::Result;
use examgate::{
    domain::{DeviceId, RosterVersion},
    wire::{desired::Desired, keys::PublicKey, reported::Reported},
};
use examgate_fleet_core::{devices::Devices, stock::Stock};
use serde_json::json;

use super::push::report;

/// Shows which box has which roster: in force, on its way, or refused; one line per box and exam.
#[derive(clap::Args)]
#[command(after_help = "Example:
  examgate-fleet roster status --stock stock --devices devices.toml \
    --roster-public-key 3c569650e1a3dc3c35b1e944bae05b1c5c743bdbf85334e803905e78ccc93fb4")]
pub(crate) struct Args {
    /// The stock folder, from which `examgate-fleetd keep` sends rosters.
    #[arg(long, value_name = "DIR")]
    stock: PathBuf,
    /// File of the enrolled boxes (TOML: `[[device]]` with `id` and `public_key`).
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// Public half of the roster key (64 hexadecimal digits). May be repeated.
    #[arg(long, value_name = "HEX", required = true)]
    roster_public_key: Vec<PublicKey>,
    /// Prints one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// One exam on one box.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    exam: String,
    wanted: Option<u64>,
    held: Option<u64>,
    words: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (stock, devices) = (Stock::open(&args.stock)?, Devices::read(&args.devices)?);
    let mut out = io::stdout().lock();
    for device in &devices.ids() {
        let Some(key) = devices.key(device) else { continue };
        let desired = match stock.manifest(device)? {
            Some(bytes) => Some(Desired::decode(&bytes, device, &args.roster_public_key)?),
            None => None,
        };
        let reported = report(&stock, device, &key)?;
        for standing in standings(desired.as_ref(), reported.as_ref()) {
            write(&mut out, args.json, device, reported.as_ref(), &standing)?;
        }
    }
    Ok(())
}

fn write(
    out: &mut impl io::Write,
    json: bool,
    device: &DeviceId,
    reported: Option<&Reported>,
    standing: &Standing,
) -> io::Result<()> {
    let Standing { exam, wanted, held, words } = standing;
    let at = reported.map(|reported| reported.at.to_string());
    if json {
        let line = json!({ "device": device.as_str(), "exam": exam, "wanted": wanted, "held": held, "standing": words, "reported_at": at });
        return writeln!(out, "{line}");
    }
    let number = |number: &Option<u64>| number.map_or("-".into(), |number| number.to_string());
    let at = at.unwrap_or_else(|| "never".into());
    writeln!(out, "{device}  {exam}  wanted {}  held {}  {words}  (reported {at})", number(wanted), number(held))
}

/// How a box stands with each exam that it should hold or holds; one line at least.
fn standings(desired: Option<&Desired>, reported: Option<&Reported>) -> Vec<Standing> {
    let mut standings = Vec::new();
    let held = |exam| reported.and_then(|reported| reported.held.iter().find(|held| held.exam == exam));
    let refused = |exam, version: RosterVersion| {
        let refused = reported.and_then(|reported| reported.refused.as_ref());
        refused.filter(|refused| {
            refused.exam.as_ref().is_none_or(|name| *name == exam) && refused.version.is_none_or(|v| v == version)
        })
    };
    let serial = desired.map_or(0, |desired| desired.serial);
    for wanted in desired.iter().flat_map(|desired| &desired.exams) {
        let held = held(wanted.exam.clone());
        let words = match (held, refused(wanted.exam.clone(), wanted.version), reported) {
            (Some(held), _, _) if held.version == wanted.version && held.whole == Some(wanted.whole) => {
                "in force".into()
            }
            (_, Some(refused), _) => format!("refused: {}", refused.reason),
            (_, None, None) => "the box has never reported".into(),
            (_, None, Some(reported)) if reported.serial < serial => "the box has not seen the manifest yet".into(),
            (_, None, Some(reported)) => format!("on its way: at least {} chunks to go", reported.missing.len()),
        };
        let (exam, wanted) = (wanted.exam.to_string(), Some(wanted.version.0));
        standings.push(Standing { exam, wanted, held: held.map(|held| held.version.0), words });
    }
    for held in reported.iter().flat_map(|reported| &reported.held) {
        if desired.is_some_and(|desired| desired.exams.iter().any(|wanted| wanted.exam == held.exam)) {
            continue;
        }
        let is_to_go = desired.is_some_and(|desired| desired.erase.contains(&held.exam));
        let words = if is_to_go { "to be erased" } else { "held, and not wanted by the fleet" };
        standings.push(Standing {
            exam: held.exam.to_string(),
            wanted: None,
            held: Some(held.version.0),
            words: words.into(),
        });
    }
    if standings.is_empty() {
        let words = match reported {
            Some(reported) => reported
                .refused
                .as_ref()
                .map_or("holds nothing".into(), |refused| format!("refused: {}", refused.reason)),
            None => "the box has never reported".into(),
        };
        standings.push(Standing { exam: "-".into(), wanted: None, held: None, words });
    }
    standings
}

#[cfg(test)]
mod tests {
    use examgate::{
        domain::{EmbeddingSpaceId, ExamId},
        wire::{
            desired::Wanted,
            digest::Digest,
            reported::{HeldExam, RefusalReason, Refused},
        },
    };

    use super::*;

    #[test]
    fn every_way_to_stand_has_its_words() {
        let (exam, space) = (ExamId::new("MATH").unwrap(), EmbeddingSpaceId::new("s"));
        let wanted = Wanted {
            exam: exam.clone(),
            version: RosterVersion(2),
            expires: "2026-12-20T00:00:00Z".parse().unwrap(),
            space: space.clone(),
            whole: Digest::of(b"2"),
            size: 1,
            index: Digest::of(b"i"),
            difference: None,
        };
        let device = DeviceId::new("door-1").unwrap();
        let desired = Desired { device: device.clone(), serial: 5, exams: vec![wanted], erase: vec![] };
        let gone = Desired { exams: vec![], erase: vec![exam.clone()], ..desired.clone() };
        let reported = |serial, version, whole: &[u8], reason: Option<RefusalReason>| Reported {
            device: device.clone(),
            at: "2026-12-13T00:00:00Z".parse().unwrap(),
            serial,
            recipient: "age1".into(),
            space: space.clone(),
            held: vec![HeldExam {
                exam: exam.clone(),
                version: RosterVersion(version),
                whole: Some(Digest::of(whole)),
            }],
            missing: vec![],
            refused: reason.map(|reason| Refused { exam: None, version: None, reason }),
            lost_cards: None,
            trust: None,
            reads: None,
        };
        for (desired, reported, starts) in [
            (Some(&desired), None, "the box has never"),
            (Some(&desired), Some(reported(4, 1, b"1", None)), "the box has not seen"),
            (Some(&desired), Some(reported(5, 1, b"1", None)), "on its way"),
            (Some(&desired), Some(reported(5, 2, b"2", None)), "in force"),
            (
                Some(&desired),
                Some(reported(5, 3, b"3", Some(RefusalReason::RolledBack))),
                "refused: the box holds a newer",
            ),
            (Some(&gone), Some(reported(5, 2, b"2", None)), "to be erased"),
            (None, Some(reported(5, 2, b"2", None)), "held, and not wanted"),
            (None, None, "the box has never"),
        ] {
            let standings = standings(desired, reported.as_ref());
            assert!(standings.len() == 1 && standings[0].words.starts_with(starts), "{starts}: {standings:?}");
        }
    }
}
