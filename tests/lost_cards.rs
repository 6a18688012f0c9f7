//! A lost card at a whole box: reported at the manager's desk, brought by the keeper over the real broker, refused at the door.

use std::{sync::mpsc, time::Duration};

use examgate::rig::{
    stage::{DoorBox, Enrolled, Programs, Reality, Stage},
    strings::Lying,
};

const EXAM: &str = "MATH-UA-120-final";
const CARD: &str = "04AA000000000001";
const OTHER: &str = "04AA000000000002";

/// How long a list may take from the command to the box, on a busy machine. "Within seconds" is what is promised.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

fn pause(duration: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// What the box answers to a card.
fn tap(stage: &Stage, door: &DoorBox, card: &str) -> Option<String> {
    let uid = hex::decode(card).expect("hexadecimal");
    stage.strings.set_card(&Lying::Nothing).expect("the card is taken away");
    pause(Duration::from_millis(300));
    stage.strings.set_card(&Lying::Card(hex::encode([&uid[..], &[0x90, 0x00]].concat()))).expect("a card is laid");
    door.decision(Duration::from_secs(60)).expect("a decision").reason
}

/// Waits until the box has another list than `before`.
fn until_another_list(stage: &Stage, before: Option<&[u8]>) {
    let look_every = Duration::from_millis(20);
    for _ in 0..KNOWN_WITHIN.as_millis() / look_every.as_millis() {
        if stage.lost_cards_of_the_box().as_deref() != before {
            return;
        }
        pause(look_every);
    }
    panic!("the box does not know after {KNOWN_WITHIN:?}; it said:\n{}", stage.door_log());
}

#[test]
fn a_lost_card_opens_no_door_within_seconds_nor_after_a_restart_without_the_network() {
    let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::beside(std::path::Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("a stage");
    stage.open_desk().expect("a desk");
    let student = |id, card| Enrolled { id, given_name: "Ada", card, pictures: &["photos/obama.jpg"], language: None };
    // Doors that have not opened yet: the answer to a good card comes without a face.
    let doors = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
    stage.enrol(EXAM, "Linear Algebra", doors, &[student("N1", CARD), student("N2", OTHER)]).expect("a roster");
    stage.set_clock("2026-12-14T08:05:00-05:00").expect("a clock");
    let door = stage.start_door().expect("the box starts");
    stage.push(EXAM).expect("pushed");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    assert_eq!(tap(&stage, &door, CARD).as_deref(), Some("too_early"));

    let said = stage.mark_card(CARD, true).expect("marked");
    assert!(said.contains("1 card on the list"), "{said}");
    until_another_list(&stage, None);
    assert_eq!(tap(&stage, &door, CARD).as_deref(), Some("card_revoked"), "{}", stage.door_log());
    assert_eq!(tap(&stage, &door, OTHER).as_deref(), Some("too_early"), "another card is not lost");

    // The broker forgets, the keeper is gone, the box starts again: it knows by itself.
    stage.close_desk();
    stage.broker.as_mut().expect("a real one").restart(true).expect("the broker starts again");
    door.stop().expect("it stops");
    stage.strings.set_card(&Lying::Nothing).expect("the card is taken away");
    let door = stage.start_door().expect("the box starts");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    assert_eq!(tap(&stage, &door, CARD).as_deref(), Some("card_revoked"));
    drop(door);
}

#[test]
fn a_card_that_was_found_opens_doors_again_and_what_is_wrong_is_said() {
    let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::beside(std::path::Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("a stage");
    stage.open_desk().expect("a desk");
    let refused = stage.mark_card("04AA", true).expect_err("no card has two bytes").to_string();
    assert!(refused.contains("--card, number 1") && !refused.contains("04AA"), "{refused}");
    let refused = stage.mark_card(CARD, false).expect_err("it is not on the list").to_string();
    assert!(refused.contains("not on the list"), "{refused}");
    stage.mark_card(CARD, true).expect("marked");
    assert!(stage.mark_card(CARD, true).expect("harmless").contains("on the list before"));
    let said = stage.mark_card(CARD, false).expect("found");
    assert!(said.contains("0 cards on the list now, it was 1"), "{said}");
}
