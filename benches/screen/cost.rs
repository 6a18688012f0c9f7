//! What screen and console cost the box: CPU time per frame, and memory.
//!
//! Looks at somebody else are compared with one another, some together and in turns, so that what else the machine does
//! meets all. CPU time is the kernel's count, which ticks a hundred times per second.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use examgate::rig::{
    stage::{DoorBox, Office, Stage},
    virtual_card::Behaviour,
};

use super::{
    PROCTOR, attack,
    crowd::{self, Crowd},
    median,
};

/// How often looks are compared.
const ROUNDS: usize = 5;

/// How often memory is.
const MEMORIES: usize = 3;

/// Pages that follow, beside none.
const CLIENTS: usize = 10;

/// How many looks are taken together: one look, some 2 s, is 60 ticks of CPU time or fewer, too coarse for a ratio.
const LOOKS: usize = 4;

/// One look a card: beyond that a box might pause it.
pub(crate) const CARDS: usize = 4 * ROUNDS * LOOKS + 4 * MEMORIES;

/// The number of the `n`th card.
pub(crate) fn card(n: usize) -> String {
    format!("04A1B2C3D4E5{n:02X}")
}

/// All that is measured, by its name in the summary.
pub(crate) fn measure(bare: &Stage, full: &Stage, screen: u16, office: &Office) -> Result<Vec<(&'static str, f64)>> {
    let mut cards = (0..CARDS).map(card);
    let mut next = || cards.next().context("there are cards enough");

    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..MEMORIES {
        let door = bare.open_door()?;
        look(bare, &door, &next()?)?;
        look(bare, &door, &next()?)?;
        without.push(peak(&door)?);
        door.stop()?;
        let door = full.open_door()?;
        let page = crowd::proctor(full, screen, office, &PROCTOR)?;
        let all_on = crowd::all_on(screen, &page);
        look(full, &door, &next()?)?;
        look(full, &door, &next()?)?;
        with.push(peak(&door)?);
        drop(all_on);
        door.stop()?;
    }

    let door = full.open_door()?;
    let (mut followed, mut attacked, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let (mut peace, mut under) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let followers = || Crowd::gather(CLIENTS, move |stop| crowd::follow(screen, stop));
        // In turns, and not always in the same order.
        let (alone, with_followers) = if round % 2 == 0 {
            let alone = looks(full, &door, &mut next)?;
            let _following = followers();
            (alone, looks(full, &door, &mut next)?)
        } else {
            let following = followers();
            let with_followers = looks(full, &door, &mut next)?;
            drop(following);
            (looks(full, &door, &mut next)?, with_followers)
        };
        followed.push(with_followers.whole / alone.whole);
        let attackers = attack::begin(screen, office.port);
        let spent = looks(full, &door, &mut next)?;
        println!("attack: {}", attackers.end());
        let calm = looks(full, &door, &mut next)?;
        attacked.push(spent.verification / calm.verification);
        whole.push(spent.whole / calm.whole);
        peace.push(calm.verification);
        under.push(spent.verification);
    }
    door.stop()?;
    Ok(vec![
        ("clients_ratio", median(followed)),
        ("screen_rss_mib", median(with) - median(without)),
        ("attack_cpu_ratio", median(attacked)),
        ("attack_box_ratio", median(whole)),
        ("verify_peace_ms", median(peace)),
        ("verify_attack_ms", median(under)),
    ])
}

/// CPU milliseconds, of one look or of a frame that was used.
struct Spent {
    /// Of the whole box.
    whole: f64,
    /// Of the threads that look, judge and record.
    verification: f64,
}

/// Some looks at somebody, one after the other.
fn looks(stage: &Stage, door: &DoorBox, next: &mut impl FnMut() -> Result<String>) -> Result<Spent> {
    let (mut frames, mut whole, mut verification) = (0.0, 0.0, 0.0);
    for _ in 0..LOOKS {
        let (used, spent) = look(stage, door, &next()?)?;
        frames += f64::from(used);
        whole += spent.whole;
        verification += spent.verification;
    }
    Ok(Spent { whole: whole / frames, verification: verification / frames })
}

/// One look at somebody, from the tap to the decision: the frames that were used, and what they cost together.
fn look(stage: &Stage, door: &DoorBox, card: &str) -> Result<(u32, Spent)> {
    let before = used(door)?;
    let tapped = stage.tap(&Behaviour::Uid(hex::decode(card)?))?;
    let said = door.decision(Duration::from_secs(40))?;
    let after = used(door)?;
    drop(tapped);
    stage.settle()?;
    ensure!(said.frames > 10, "a look at somebody else has frames enough: {said:?}");
    Ok((said.frames, Spent { whole: after.0 - before.0, verification: after.1 - before.1 }))
}

/// CPU milliseconds so far: of the process, and of the threads that verify.
fn used(door: &DoorBox) -> Result<(f64, f64)> {
    let process = format!("/proc/{}", door.id());
    let mut verification = 0.0;
    for task in fs::read_dir(format!("{process}/task"))? {
        let task = task?.path();
        // A thread may have ended meanwhile.
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        if ["examgate-vision", "examgate-verify", "examgate-store"].contains(&name.trim()) {
            verification += ticks(&task.join("stat"))?;
        }
    }
    Ok((ticks(Path::new(&format!("{process}/stat")))?, verification))
}

/// utime and stime of a stat file, in milliseconds; a tick is 10 ms on every Linux that ships (`USER_HZ`).
fn ticks(stat: &Path) -> Result<f64> {
    let text = fs::read_to_string(stat)?;
    let fields: Vec<_> = text.rsplit_once(')').context("a stat line")?.1.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) * 10.0)
}

/// The most memory held so far, MiB.
fn peak(door: &DoorBox) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", door.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
