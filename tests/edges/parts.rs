//! A part of a running box that panics: the whole box ends and names it, so that systemd starts it anew. A box that only looks alive would be
//! worse.

use std::{fs, time::Duration};

use super::stage;

/// As they are called where the box starts them, but for the line to the broker, which this stage has not.
const PARTS: [&str; 9] = [
    "examgate-store",
    "examgate-vision",
    "examgate-verify",
    "examgate-lookup",
    "examgate-taps",
    "the light",
    "the screen's plate",
    "the mirror",
    "the screen",
];

/// Longest that a box which must end may take: a part beats within a second, and draining has its own limit.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_part_that_panics_ends_the_box_and_is_named() {
    let (stage, _) = stage(false);
    for part in PARTS {
        let door = stage.open_door().expect("the box serves");
        stage.make_panic(part).expect("a string is pulled");
        match door.decision_within(SOON) {
            Ok(decision) => panic!("{part} panicked, and the box went on: {:?}", decision.is_some()),
            Err(end) => assert!(end.to_string().contains("has ended"), "{part}: {end}"),
        }
        let log = stage.door_log();
        // Whoever waits for it may end first and be told of as the cause; the panic itself is always in the log.
        assert!(log.contains(&format!("the script wants {part} to panic")), "{part} is not named:\n{log}");
        fs::remove_file(stage.folder().join("strings/panic")).expect("it was pulled");
    }
}
