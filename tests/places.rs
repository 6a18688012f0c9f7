//! Several cards, lost ones among them, and opting out at a whole box: imported and pushed at the manager's desk, answered at the door.

use std::{path::Path, sync::mpsc, time::Duration};

use examgate::rig::{
    stage::{DoorBox, Enrolled, Programs, Reality, Stage},
    strings::Lying,
};

const EXAM: &str = "MATH-UA-120-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");

fn pause(duration: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// What the box answers to a card, as decision and reason.
fn tap(stage: &Stage, door: &DoorBox, card: &str) -> (String, Option<String>) {
    let uid = hex::decode(card).expect("hexadecimal");
    stage.strings.set_card(&Lying::Nothing).expect("the card is taken away");
    pause(Duration::from_millis(300));
    stage.strings.set_card(&Lying::Card(hex::encode([&uid[..], &[0x90, 0x00]].concat()))).expect("a card is laid");
    let said = door.decision(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    (said.decision, said.reason)
}

#[test]
fn each_card_opens_the_same_place_and_who_opted_out_goes_to_the_proctor() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(Path::new(env!("CARGO_MANIFEST_DIR")), programs, EXAM, reality).expect("a stage");
    stage.open_desk().expect("a desk");
    let (_, room) = Stage::names();
    // Without a photo a good card is referred at once, and no face is needed here.
    let table = format!(
        "student_id,given_name,preferred_name,card,card_standing,card_2,card_3,room,seat,photos,matching\n\
         N1,Augusta,Ada,04AA000000000001,replaced,04AA000000000002,04AA000000000003,{room},42,,\n\
         N2,Bo,,04AA000000000004,,,04AA000000000005,{room},,,none\n"
    );
    let said = stage.enrol_table(EXAM, "Linear Algebra", DOORS, &table).expect("a roster");
    assert!(said.contains("2 students, 0 with a face (0 templates of 0 photos), 1 without, 1 opted out"), "{said}");
    stage.set_clock("2026-12-14T08:35:00-05:00").expect("a clock");
    let door = stage.start_door().expect("the box starts");
    stage.push(EXAM).expect("pushed");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));

    let refer = |reason: &str| ("refer".to_owned(), Some(reason.to_owned()));
    let deny = |reason: &str| ("deny".to_owned(), Some(reason.to_owned()));
    for (card, wanted) in [
        ("04AA000000000001", deny("card_revoked")),
        ("04AA000000000002", refer("no_template")),
        ("04AA000000000003", refer("no_template")),
        ("04AA000000000004", refer("opted_out")),
        ("04AA000000000005", refer("opted_out")),
        ("04AA000000000009", deny("card_unknown")),
    ] {
        assert_eq!(tap(&stage, &door, card), wanted, "{card}");
    }
    assert!(door.stop().expect("it stops").success());
    let log = stage.door_log();
    assert!(["Augusta", "Ada", "N1"].iter().all(|secret| !log.contains(&format!("\"{secret}\""))), "{log}");
}

#[test]
fn a_twin_whose_face_matches_goes_to_the_proctor() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
    let reality = Reality { reader: false, broker: false };
    let stage = Stage::set(Path::new(env!("CARGO_MANIFEST_DIR")), programs, EXAM, reality).expect("a stage");
    let pictures = &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];
    let student = |id, card, pictures| Enrolled { id, given_name: "Ada", card, pictures, language: None };
    // The first two have one face between them; nobody knows of it yet.
    let [one, other] = [("N1", "04AA000000000001"), ("N2", "04AA000000000002")];
    let students = [student(one.0, one.1, pictures), student(other.0, other.1, pictures)];
    stage.enrol(EXAM, "Linear Algebra", DOORS, &students).expect("a roster");
    stage.set_clock("2026-12-14T08:35:00-05:00").expect("a clock");
    stage.seat_woman().expect("a scene");
    let door = stage.open_door().expect("the box is up");
    assert_eq!(tap(&stage, &door, one.1), ("admit".into(), None), "{}", stage.door_log());

    stage.record_look_alikes(EXAM).expect("recorded");
    // A tap looks for a newer edition.
    assert_eq!(tap(&stage, &door, other.1), ("refer".into(), Some("look_alike".into())), "{}", stage.door_log());
    assert!(door.stop().expect("it stops").success());
}
