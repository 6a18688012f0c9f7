//! A camera whose buffers are torn or old: nobody is judged by them, and the box says so.

use std::{fs, time::Duration};

use examgate::{edge::camera::replay::Scene, rig::virtual_card::Behaviour};

use super::{CARD, screen::Screen, stage};

const FAULT_WITHIN: Duration = Duration::from_secs(8);
const MENDED_WITHIN: Duration = Duration::from_secs(20);
/// A student is told the same whatever part is out of order.
const WORDS: &str = "This device needs a rest";

#[test]
fn torn_and_repeated_pictures_are_a_fault_of_the_box_and_admit_nobody() {
    let (stage, port) = stage(false);
    // Old pictures of the student herself: what a driver's buffers hold when nothing new comes.
    let ring = stage.folder().join("ring");
    fs::create_dir(&ring).expect("writable");
    for n in 0..16 {
        let from = stage.picture(&format!("clips/WolfgangLanger_Pexels/{:04}.jpg", 80 + n));
        fs::copy(&from, ring.join(format!("{n:04}.jpg"))).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let door = stage.open_door().expect("the box serves");
    let screen = Screen::follow(port);
    screen.shows("idle", "Tap your card", MENDED_WITHIN);
    for scene in [Scene::Torn, Scene::Ring(ring)] {
        stage.strings.set_scene(&scene).expect("a string is pulled");
        screen.shows("unwell", WORDS, FAULT_WITHIN);
        let card = stage.tap(&Behaviour::Uid(CARD.to_vec())).expect("a card is laid");
        let said = door.decision(Duration::from_secs(30)).expect("the box decides");
        assert_eq!((said.decision.as_str(), said.reason.as_deref()), ("refer", Some("camera_fault")), "{scene:?}");
        drop(card);
        screen.shows("unwell", "see the proctor", FAULT_WITHIN);
        stage.seat_woman().expect("a string is pulled");
        screen.shows("idle", "Tap your card", MENDED_WITHIN);
    }
    stage.seat_woman().expect("a string is pulled");
    let _card = stage.tap(&Behaviour::Uid(CARD.to_vec())).expect("a card is laid");
    assert_eq!(door.decision(Duration::from_secs(30)).expect("the box decides").decision, "admit");
    assert!(door.stop().expect("it is asked").success());
}
