//! Two whole boxes of one exam, as processes: a student let in at one door is known at the other within a second; where the network was cut
//! both let them in, and the fleet names the clash.

use std::{collections::BTreeSet, path::Path, sync::mpsc, time::Duration};

use examgate::{
    edge::camera::replay::Scene,
    rig::{
        stage::{Beside, DoorBox, Programs, Reality, Said, Stage},
        strings::{Lying, Strings},
    },
};

const EXAM: &str = "MATH-UA-120-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:45:00-05:00");
const OTHER_BOX: &str = "door-bobst-100";
const OTHER_ROOM: &str = "BOBST-100";

/// How long a tap may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One card for each student.
const ADA: &str = "04AA000000000001";
const BO: &str = "04AA000000000002";
const CY: &str = "04AA000000000003";

fn pause(duration: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// Waits until `is`.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let look_every = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() * 2 / look_every.as_millis() {
        if is() {
            return;
        }
        pause(look_every);
    }
    panic!("waited in vain: {what}");
}

struct Campus {
    stage: Stage,
    beside: Beside,
}

impl Campus {
    fn new() -> Self {
        let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
        let reality = Reality { reader: false, broker: true };
        let mut stage = Stage::set(Path::new(env!("CARGO_MANIFEST_DIR")), programs, EXAM, reality).expect("a stage");
        let beside = stage.add_box(OTHER_BOX, OTHER_ROOM).expect("a second box");
        stage.open_desk().expect("a desk");
        stage.collect().expect("a collector");
        let pictures = ["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];
        for (n, picture) in pictures.iter().enumerate() {
            for student in ["N1", "N2", "N3"] {
                let to = stage.folder().join(format!("photos/{student}-{n}.jpg"));
                std::fs::copy(stage.picture(picture), to).expect("a picture");
            }
        }
        Self { stage, beside }
    }

    /// Imports the next version, with Cy in this room.
    fn import(&self, room_of_cy: &str) {
        let (_, room) = Stage::names();
        let table = format!(
            "student_id,given_name,card,room,photos\nN1,Ada,{ADA},{room},N1-0.jpg;N1-1.jpg\n\
             N2,Bo,{BO},{OTHER_ROOM},N2-0.jpg;N2-1.jpg\nN3,Cy,{CY},{room_of_cy},N3-0.jpg;N3-1.jpg\n"
        );
        self.stage.enrol_table(EXAM, "Linear Algebra", DOORS, &table).expect("a roster");
    }

    fn set_clocks(&self, wall: &str) {
        self.stage.set_clock(wall).expect("a clock");
        self.beside.strings.set_clock(wall.parse().expect("a time")).expect("a clock");
    }

    fn logs(&self) -> String {
        format!("{}\n--- the other box:\n{}", self.stage.door_log(), self.beside.log())
    }

    /// What the first box answers to a card, with the face of the woman before it.
    fn tap(&self, door: &DoorBox, card: &str) -> Said {
        self.tap_at(&self.stage.strings, door, card)
    }

    fn tap_beside(&self, door: &DoorBox, card: &str) -> Said {
        self.tap_at(&self.beside.strings, door, card)
    }

    fn tap_at(&self, strings: &Strings, door: &DoorBox, card: &str) -> Said {
        let folder = self.stage.picture("clips/WolfgangLanger_Pexels");
        strings.set_scene(&Scene::Clip { folder, range: Some(72..150), looping: true }).expect("a scene");
        strings.settle(PATIENCE).expect("the scene is set");
        strings.set_card(&Lying::Card(format!("{card}9000"))).expect("a card is laid");
        let said = door.decision(PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()));
        strings.set_card(&Lying::Nothing).expect("the card is taken away");
        strings.settle(PATIENCE).expect("the card is away");
        said
    }

    fn start(&self) -> (DoorBox, DoorBox) {
        (
            self.stage.start_door().expect("the box starts"),
            self.stage.start_beside(&self.beside).expect("the other too"),
        )
    }
}

fn answer(said: &Said) -> (&str, Option<&str>) {
    (said.decision.as_str(), said.reason.as_deref())
}

const ALREADY: (&str, Option<&str>) = ("refer", Some("already_admitted"));

#[test]
fn a_student_let_in_at_one_door_is_known_at_the_other_and_without_the_network_the_clash_is_named() {
    let mut campus = Campus::new();
    let (device, room) = Stage::names();
    let (device, room) = (device.to_string(), room.to_string());
    campus.import(&room);
    campus.set_clocks("2026-12-14T08:35:00-05:00");
    let (here, there) = campus.start();
    until("both report", || campus.stage.has_reported(&device) && campus.stage.has_reported(OTHER_BOX));
    campus.stage.push_to(EXAM, &[(&device, &room), (OTHER_BOX, OTHER_ROOM)]).expect("pushed");
    for door in [&here, &there] {
        door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", campus.logs()));
    }
    // Cy was moved, and only the new room has heard of it.
    campus.import(OTHER_ROOM);
    campus.stage.push_to(EXAM, &[(OTHER_BOX, OTHER_ROOM)]).expect("pushed");
    there.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", campus.logs()));

    // Each moved to its edition and hears the other by it.
    let hears = |log: &str, editions| log.matches("the other boxes of the exam are told").count() >= editions;
    until("both hear", || hears(&campus.stage.door_log(), 1) && hears(&campus.beside.log(), 2));
    let said = campus.tap(&here, ADA);
    assert_eq!(answer(&said), ("admit", None), "{}", campus.logs());
    // A second is fifty looks; the box knows before it has written the page.
    let looks =
        (0..50).take_while(|_| campus.beside.told_of(EXAM).is_empty()).inspect(|_| pause(Duration::from_millis(20)));
    let looks = looks.count();
    assert!(looks < 50, "the other box does not know after a second\n{}", campus.logs());
    assert_eq!(answer(&campus.tap_beside(&there, ADA)), ALREADY, "on no roster there\n{}", campus.logs());

    // Without the network, and after a start, the other box knows what it knew.
    campus.stage.broker.as_mut().expect("a real one").kill9().expect("killed");
    assert!(there.stop().expect("it stops").success());
    let there = campus.stage.start_beside(&campus.beside).expect("the box starts");
    there.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", campus.logs()));
    assert_eq!(answer(&campus.tap_beside(&there, ADA)), ALREADY, "{}", campus.logs());
    // Each room goes on alone.
    assert_eq!(answer(&campus.tap(&here, CY)), ("admit", None), "{}", campus.logs());
    for card in [CY, BO] {
        assert_eq!(answer(&campus.tap_beside(&there, card)), ("admit", None), "{}", campus.logs());
    }

    campus.stage.broker.as_mut().expect("a real one").restart(true).expect("the broker starts again");
    let mut clashes = serde_json::Value::Null;
    until("both admissions are collected", || {
        clashes = campus.stage.incidents(EXAM).unwrap_or_default();
        clashes.as_array().is_some_and(|all| !all.is_empty())
    });
    let [clash] = clashes.as_array().expect("a list").as_slice() else { panic!("{clashes}") };
    assert_eq!((&clash["incident"], &clash["student"]), (&"admitted_twice".into(), &"N3".into()));
    // Both clocks stand still, so neither is the first.
    let places = [0, 1].map(|n| clash["places"][n]["room"].as_str().unwrap_or_default());
    assert_eq!(BTreeSet::from(places), BTreeSet::from([room.as_str(), OTHER_ROOM]));
    // And each box hears what happened meanwhile, though the broker forgot everything.
    let kept = campus.stage.state_and_keys().0.join(format!("admitted/{EXAM}/{OTHER_BOX}.0.cose"));
    until("the first box hears", || kept.exists());
    assert_eq!(answer(&campus.tap(&here, BO)), ALREADY, "{}", campus.logs());

    let committed = campus.stage.committed().expect("the ledger");
    let told: Vec<_> =
        committed.iter().map(|entry| &entry["event"]["other_room"]["room"]).filter(|room| !room.is_null()).collect();
    assert!(told.iter().any(|told| **told == room.as_str()), "{told:?}");
    for door in [here, there] {
        assert!(door.stop().expect("it stops").success());
    }
    let logs = campus.logs();
    assert!(["\"N1\"", "\"N3\"", ADA, CY].iter().all(|secret| !logs.contains(secret)), "{logs}");
}
