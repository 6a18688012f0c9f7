//! A card reader that is not there, whose service dies, or hangs.

use std::{process::Command, time::Duration};

use examgate::rig::virtual_card::Behaviour;

use super::{CARD, screen::Screen, stage};

/// How long a fault may take to be seen: three seconds of a call that hangs, and a loaded machine.
const FAULT_WITHIN: Duration = Duration::from_secs(8);

/// How long its end may take: a pause of five seconds before the service is tried again, and a loaded machine.
const MENDED_WITHIN: Duration = Duration::from_secs(15);

/// A student is told the same whatever part is out of order.
const WORDS: &str = "This device needs a rest";

#[test]
fn a_reader_whose_service_hangs_or_dies_is_a_fault_within_seconds_and_mends() {
    let (mut stage, port) = stage(true);
    let door = stage.open_door().expect("the box serves");
    let screen = Screen::follow(port);
    screen.shows("idle", "Tap your card", MENDED_WITHIN);

    let admitted = |door: &examgate::rig::stage::DoorBox| {
        let card = stage.tap(&Behaviour::Uid(CARD.to_vec())).expect("a card is laid");
        let said = door.decision(Duration::from_secs(30)).expect("the box decides");
        drop(card);
        said
    };
    assert_eq!(admitted(&door).decision, "admit");
    screen.shows("idle", "Tap your card", MENDED_WITHIN);

    stage.reader().expect("it is real").pause().expect("it runs");
    screen.shows("unwell", WORDS, FAULT_WITHIN);
    // Who looks from outside is told the same.
    let configuration = stage.folder().join("door.toml");
    let doctor = Command::new(env!("CARGO_BIN_EXE_examgate"))
        .args(["doctor", "--json", "--config"])
        .arg(&configuration)
        .env(examgate::rig::pcscd::SOCKET, stage.reader().expect("it is real").socket())
        .output()
        .expect("the program starts");
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("findings");
    let about = findings.as_array().and_then(|all| all.iter().find(|finding| finding["part"] == "reader"));
    let found = about.expect("the reader is looked at")["found"].to_string();
    assert!(found.contains("pcscd) hangs") && !found.contains("no card reader"), "{found}");

    stage.reader().expect("it is real").resume().expect("it is paused");
    screen.shows("idle", "Tap your card", MENDED_WITHIN);
    assert_eq!(admitted(&door).reason.as_deref(), Some("already_admitted"));
    screen.shows("idle", "Tap your card", MENDED_WITHIN);

    stage.reader_mut().expect("it is real").kill();
    screen.shows("unwell", WORDS, FAULT_WITHIN);
    stage.reader_mut().expect("it is real").restart().expect("it started before");
    screen.shows("idle", "Tap your card", MENDED_WITHIN);
    let card = stage.tap(&Behaviour::Uid(CARD.to_vec())).expect("a card is laid");
    assert!(door.decision(Duration::from_secs(30)).is_ok());
    drop(card);
    assert!(door.stop().expect("it is asked").success());

    let log = stage.door_log();
    for words in ["the PC/SC service (pcscd) hangs", "alarm: the box is unwell", "reader_fault"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    // Red, amber and green together blink as for every fault: the light is not idle.
    assert!(log.contains("\"message\":\"light\""), "{log}");
}

#[test]
fn a_box_without_a_reader_starts_and_shows_the_fault() {
    let (mut stage, port) = stage(true);
    stage.reader_mut().expect("it is real").unplug().expect("it starts again");
    let door = stage.open_door().expect("the box serves");
    let screen = Screen::follow(port);
    screen.shows("unwell", WORDS, FAULT_WITHIN);
    assert!(stage.door_log().contains("no card reader is attached"));
    stage.reader_mut().expect("it is real").restart().expect("it started before");
    screen.shows("idle", "Tap your card", MENDED_WITHIN);
    assert!(door.stop().expect("it is asked").success());
}

#[test]
fn a_box_whose_reader_service_hangs_at_the_start_shows_the_fault() {
    let (stage, port) = stage(true);
    stage.reader().expect("it is real").pause().expect("it runs");
    let door = stage.open_door().expect("the box serves");
    let screen = Screen::follow(port);
    screen.shows("unwell", WORDS, FAULT_WITHIN);
    stage.reader().expect("it is real").resume().expect("it is paused");
    screen.shows("idle", "Tap your card", MENDED_WITHIN);
    assert!(door.stop().expect("it is asked").success());
}
