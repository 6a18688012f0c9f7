//! A box that is killed at random moments while a roster that the fleet sent comes into force holds the edition before or the new one,
//! whole, and comes to the new one after it is started again. Box, keeper and broker are real processes.
//!
//! `EXAMGATE_KILLS` says how often (6), `EXAMGATE_SEED` repeats a run.

use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use examgate::{
    domain::ExamId,
    rig::stage::{Enrolled, Programs, Reality, Stage},
    store::{KeyFolder, KeyName, Layout, RosterStore},
};

const EXAM: &str = "MATH-UA-120-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:00:00-05:00");

/// So many that writing them takes a while.
const STUDENTS: u64 = 4000;

/// The longest from a push to the kill: by then the edition is in force, on an idle machine.
const LATEST: u64 = 2500;

#[expect(clippy::disallowed_methods, reason = "the length of the run and its seed are chosen from outside")]
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn pause(millis: u64) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(millis));
}

/// Imports and pushes this version, in which there is one student more than in the one before.
fn push(stage: &Stage, version: u64) {
    let names: Vec<_> = (0..STUDENTS + version).map(|n| (format!("N{n:08}"), format!("04AA0000{n:06X}"))).collect();
    let student = |(id, card): &'static (String, String)| Enrolled {
        id,
        given_name: "Mira",
        card,
        pictures: &[],
        language: None,
    };
    let students: Vec<_> = names.leak().iter().map(student).collect();
    stage.enrol(EXAM, "Final", DOORS, &students).expect("the roster is imported");
    stage.push(EXAM).expect("the roster is pushed");
}

/// The edition that lies on the disk: its version, and how many are on it. Fails where it is not whole.
fn held(stage: &Stage) -> Option<(u64, u64)> {
    let ((state, keys), exam) = (stage.state_and_keys(), ExamId::new(EXAM).expect("valid"));
    let key = KeyFolder::new(keys, None).read(KeyName::Exam(&exam)).ok()?;
    let roster = RosterStore::open(&Layout::new(state).exam(&exam), &key).expect("it opens");
    let version = roster.exam().expect("readable")?.version.0;
    Some((version, roster.len().expect("readable") as u64))
}

#[expect(clippy::disallowed_methods, reason = "a process outside is waited for: there is no clock to be handed")]
fn until_held(stage: &Stage, version: u64) {
    let until = Instant::now() + Duration::from_secs(90);
    while held(stage).is_none_or(|(held, _)| held != version) {
        assert!(Instant::now() < until, "version {version} does not come: {:?}\n{}", held(stage), stage.door_log());
        pause(50);
    }
}

#[test]
fn a_box_killed_while_an_edition_comes_into_force_holds_one_of_both_whole() {
    let kills = from_environment("EXAMGATE_KILLS").unwrap_or(6);
    let seed = from_environment("EXAMGATE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("EXAMGATE_SEED={seed} EXAMGATE_KILLS={kills}");
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    stage.name_no_exam().expect("the configuration can be written");
    stage.open_desk().expect("the keeper starts");
    stage.set_clock("2026-12-14T08:35:00-05:00").expect("the clock is set");
    let mut door = stage.open_door().expect("the box is up");
    push(&stage, 1);
    until_held(&stage, 1);

    let (mut random, mut old, mut new) = (seed, 0, 0);
    for version in 2..2 + kills {
        push(&stage, version);
        // SplitMix64's multiplier; the high bits are random enough to choose a moment by.
        random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x94d0_49bb_1331_11eb);
        let moment = (random >> 33) % LATEST;
        pause(moment);
        door.kill9().expect("it is killed");
        let (found, students) = held(&stage).expect("an edition is held");
        println!("killed {moment} ms after the push of version {version}: version {found} is held");
        assert!(found == version || found == version - 1, "version {found} is held after {version} was pushed");
        assert_eq!(students, STUDENTS + found, "version {found} is whole");
        if found == version {
            new += 1
        } else {
            old += 1
        }
        door = stage.open_door().unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
        until_held(&stage, version);
        assert_eq!(held(&stage), Some((version, STUDENTS + version)));
    }
    println!("killed {kills} times: {old} times the edition before was held, {new} times the new one");
    assert!(door.stop().expect("it stops").success());
}
