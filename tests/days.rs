//! A day with several exams at one door: one box, as a process, over the real broker and keeper, serves each while its doors are open.
//! Nobody restarts it and nobody edits a file.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use examgate::rig::{
    stage::{DoorBox, Enrolled, Programs, Reality, Said, Stage},
    virtual_card::Behaviour,
};

/// How long a tap may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const MORNING: &str = "MATH-UA-120-final";
const AFTER: &str = "BIOL-UA-11-final";
const NOON: &str = "CHEM-UA-125-final";

/// The card of the only student of each.
const CARDS: [(&str, &str); 3] = [(MORNING, "04A1B2C3D4E5F6"), (AFTER, "04112233445566"), (NOON, "04C0FFEE112233")];

fn stage() -> Stage {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    Stage::set(project, programs, MORNING, Reality { reader: false, broker: true }).expect("the stage can be set")
}

fn tap(stage: &Stage, door: &DoorBox, exam: &str) -> Said {
    let (_, card) = CARDS.iter().find(|(name, _)| *name == exam).expect("one of them");
    stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
    let tapped = stage.tap(&Behaviour::Uid(hex::decode(card).expect("hexadecimal"))).expect("a card can be laid down");
    let said = door.decision(PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    drop(tapped);
    stage.settle().expect("the card is away");
    said
}

/// What the student screen says now, as far as it comes within the first sheets.
fn screen_says(port: u16, words: &str) {
    let mut page = TcpStream::connect(("127.0.0.1", port)).expect("the screen is served");
    page.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    write!(page, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").expect("asked");
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains(words) {
        let read = page.read(&mut piece).unwrap_or_else(|error| panic!("{words:?} is not said ({error}):\n{seen}"));
        assert!(read > 0 && seen.len() < 1 << 20, "{words:?} is not said:\n{seen}");
        seen += &String::from_utf8_lossy(&piece[..read]);
    }
}

#[test]
fn one_box_serves_each_exam_while_its_doors_are_open() {
    let mut stage = stage();
    stage.name_no_exam().expect("the configuration can be written");
    stage.open_desk().expect("the keeper starts");
    let screen = stage.hang_screen(&["en"]).expect("a free port");
    for ((exam, card), window) in CARDS.iter().zip([
        ("2026-12-14T08:30:00-05:00", "2026-12-14T08:40:00-05:00"),
        ("2026-12-14T08:40:03-05:00", "2026-12-14T09:00:00-05:00"),
        ("2026-12-14T14:00:00-05:00", "2026-12-14T15:00:00-05:00"),
    ]) {
        let pictures = &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];
        let id = format!("N{card}");
        let student = Enrolled { id: &id, given_name: "Mira", card, pictures, language: None };
        stage.enrol(exam, exam, window, &[student]).expect("the roster is imported");
    }
    stage.collect().expect("the collector starts");
    stage.set_clock("2026-12-14T08:35:00-05:00").expect("the clock is set");
    let door = stage.open_door().expect("a box without a roster is up");
    screen_says(screen, "No exam is set up here");
    for (exam, _) in CARDS {
        stage.push(exam).expect("the roster is pushed");
    }
    door.serves(MORNING).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    screen_says(screen, "Tap your card");
    let admitted = tap(&stage, &door, MORNING);
    assert_eq!(admitted.decision, "admit", "{admitted:?}");
    let early = tap(&stage, &door, AFTER);
    assert_eq!((early.decision.as_str(), early.reason.as_deref()), ("deny", Some("not_on_roster")), "{early:?}");

    // Its doors close in two seconds, and those of the next open three seconds later.
    stage.set_clock("2026-12-14T08:39:58-05:00").expect("the clock is set");
    door.opens(AFTER).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    let admitted = tap(&stage, &door, AFTER);
    assert_eq!(admitted.decision, "admit", "{admitted:?}");
    let late = tap(&stage, &door, MORNING);
    assert_eq!((late.decision.as_str(), late.reason.as_deref()), ("deny", Some("not_on_roster")), "{late:?}");

    stage.set_clock("2026-12-14T09:30:00-05:00").expect("the clock is set");
    screen_says(screen, "They open next at");
    let late = tap(&stage, &door, AFTER);
    assert_eq!((late.decision.as_str(), late.reason.as_deref()), ("deny", Some("too_late")), "{late:?}");
    stage.set_clock("2026-12-14T13:30:00-05:00").expect("the clock is set");
    door.serves(NOON).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    screen_says(screen, "Doors open at");
    let early = tap(&stage, &door, NOON);
    assert_eq!((early.decision.as_str(), early.reason.as_deref()), ("deny", Some("too_early")), "{early:?}");

    let told =
        [(MORNING, "admit"), (MORNING, "deny"), (AFTER, "admit"), (AFTER, "deny"), (AFTER, "deny"), (NOON, "deny")];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut committed = Vec::new();
    for _ in 0..150 {
        committed = stage.committed().unwrap_or_default();
        if committed.len() >= told.len() {
            break;
        }
        let _ = door.decision_within(Duration::from_millis(200)).expect("the box runs");
    }
    let committed: Vec<_> = committed
        .iter()
        .map(|entry| (text(&entry["event"]["exam"]), text(&entry["event"]["decision"]["outcome"])))
        .collect();
    assert_eq!(
        committed,
        told.map(|(exam, outcome)| (exam.to_owned(), outcome.to_owned())),
        "{}",
        stage.collector_log()
    );
    assert!(door.stop().expect("it stops").success());
    let starts = stage.door_log().matches("\"message\":\"ready\"").count();
    assert_eq!(starts, 1, "it ran through the whole day");
}
