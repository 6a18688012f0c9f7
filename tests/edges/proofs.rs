//! A box that asks cards to prove themselves: nobody gets past it with what can be copied of a card, nor from afar.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use examgate::rig::{
    cards::{
        Applet, Chip, Fault, Faulty, Moment,
        desfire::{Access, Application, Desfire, File, Generation, Mode},
    },
    stage::{DoorBox, Enrolled, Programs, Reality, Said, Stage},
    virtual_card::Behaviour,
};

use super::{CARD, EXAM, WINDOW};

const PATIENCE: Duration = Duration::from_secs(30);

const KEY: [u8; 16] = [0x3C; 16];

/// How the box reads its cards. A card on the reader is far faster than the limit.
const CARDS: &str = "[card]\nprofiles = [\"desfire_aes\", \"uid\"]\nslowest_ms = { desfire_aes = 900 }\n\
                     [card.desfire]\napplication = \"F51CDB\"\nfile = 2\nlength = 4\nkey = 1\n";

/// A card with the student's identifier and identity.
fn card(key: [u8; 16]) -> Desfire {
    let identity = File::new(Mode::Full, Access::Key(1), &[0x01, 0x23, 0xAB, 0xCD]);
    let application = Application::new([0xF5, 0x1C, 0xDB], &[[0; 16], key]).with(2, identity);
    Desfire::new(Generation::Ev2, CARD).with(application)
}

fn chip(card: impl Applet + 'static) -> Behaviour {
    Behaviour::Applet(Chip::new(card).any())
}

/// What the box says of a card.
fn tapped(stage: &Stage, door: &DoorBox, card: &Behaviour) -> Said {
    stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
    let card = stage.tap(card).expect("a card is laid");
    let said = door.decision(PATIENCE).expect("the box decides");
    drop(card);
    // pcscd looks for cards every 400 ms.
    let _ = door.decision_within(Duration::from_millis(900)).expect("the box runs");
    said
}

#[test]
fn a_copy_of_a_card_that_proves_itself_gets_nobody_in() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let reality = Reality { reader: true, broker: false };
    let stage =
        Stage::set(Path::new(env!("CARGO_MANIFEST_DIR")), programs, EXAM, reality).expect("the stage can be set");
    let (_, keys) = stage.state_and_keys();
    let key = keys.join("card-desfire.key");
    fs::write(&key, hex::encode(KEY)).expect("writable");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
    stage.configure(CARDS).expect("writable");
    let pictures = &["clips/WolfgangLanger_Pexels/0010.jpg", "clips/WolfgangLanger_Pexels/0040.jpg"];
    let both = "desfire:0123ABCD 04A1B2C3D4E5F6";
    let woman = Enrolled { id: "N1", given_name: "Ada", card: both, pictures, language: None };
    stage.enrol(EXAM, "Linear Algebra", WINDOW, &[woman]).expect("the roster is imported");
    stage.set_clock("2026-12-14T08:40:00-05:00").expect("a string is pulled");
    let door = stage.open_door().expect("the box serves");

    // Somebody carries the commands to the card and its answers back, a second later.
    let relayed = Faulty::new(card(KEY), Moment::Instruction(0xAF, 0), Fault::Late(Duration::from_secs(1)));
    let blank = Behaviour::Uid(CARD.to_vec());
    let taps = [
        ("a relay", chip(relayed), ("refer", Some("card_slow"))),
        ("a copy with the application and another key", chip(card([0xC3; 16])), ("refer", Some("card_unproved"))),
        ("the card", chip(card(KEY)), ("admit", None)),
        ("its identifier on a blank", blank.clone(), ("refer", Some("card_downgraded"))),
        ("the card again", chip(card(KEY)), ("refer", Some("already_admitted"))),
    ];
    for (what, behaviour, expected) in taps {
        let said = tapped(&stage, &door, &behaviour);
        assert_eq!((said.decision.as_str(), said.reason.as_deref()), expected, "{what}: {}", stage.door_log());
    }
    assert!(door.stop().expect("it is asked").success());

    stage.configure("[policy]\nweakest_profile = \"desfire_aes\"\n").expect("writable");
    let door = stage.open_door().expect("the box serves");
    let said = tapped(&stage, &door, &blank);
    assert_eq!((said.decision.as_str(), said.reason.as_deref()), ("refer", Some("card_too_weak")));
    assert!(door.stop().expect("it is asked").success());

    // Without its key the box is at fault, and says so; the card is not asked for anything weaker.
    fs::remove_file(&key).expect("ours");
    let door = stage.open_door().expect("the box serves");
    let said = tapped(&stage, &door, &chip(card(KEY)));
    assert_eq!((said.decision.as_str(), said.reason.as_deref()), ("refer", Some("card_keys_missing")));
    assert!(door.stop().expect("it is asked").success());
}
