//! Commands to a whole box: given by `examgate-fleet command` over the real broker, seen at the door, told in the ledger.

mod hostile;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::mpsc,
    time::Duration,
};

use examgate::{
    domain::Timestamp,
    rig::{
        stage::{DEVICE, DoorBox, Enrolled, Programs, Reality, Stage},
        strings::Lying,
    },
};
use serde_json::Value;

const EXAM: &str = "MATH-UA-120-final";
const CARD: &str = "04AA000000000001";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "commands are dated by the real clock of whoever gives them")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn pause(duration: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// Waits until `look` finds something.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        pause(LOOK_EVERY);
    }
    panic!("waited {PATIENCE:?} in vain: {what}")
}

/// A box with a roster, a screen, a desk and a collector.
struct Scene {
    stage: Stage,
    screen: u16,
}

impl Scene {
    fn set() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
        let reality = Reality { reader: false, broker: true };
        let mut stage = Stage::set(project, programs, EXAM, reality).expect("a stage");
        let screen = stage.hang_screen(&["en"]).expect("a screen");
        stage.open_desk().expect("a desk");
        stage.collect().expect("a collector");
        // Doors that have not opened yet: the answer to a good card comes without a face.
        let at = |hours: u64| (now() + Duration::from_secs(hours * 3600)).to_string();
        let student =
            Enrolled { id: "N1", given_name: "Ada", card: CARD, pictures: &["photos/obama.jpg"], language: None };
        stage.enrol(EXAM, "Linear Algebra", (&at(2), &at(3)), &[student]).expect("a roster");
        Self { stage, screen }
    }

    /// A box that serves the exam.
    fn open(&self) -> DoorBox {
        let door = self.start();
        self.stage.push(EXAM).expect("pushed");
        door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", self.stage.door_log()));
        door
    }

    fn start(&self) -> DoorBox {
        self.stage.strings.set_clock(now()).expect("a clock");
        self.stage.start_door().expect("the box starts")
    }

    /// What the command line says. The box's clock shows the time of this machine.
    fn command(&self, word: &str, key: &str, more: &[&str]) -> Output {
        self.stage.strings.set_clock(now()).expect("a clock");
        self.stage.settle().expect("the box follows");
        self.stage.command(word, DEVICE, key, more).expect("the program runs")
    }

    /// What a command that is done says.
    #[track_caller]
    fn done(&self, word: &str, key: &str, more: &[&str]) -> String {
        let output = self.command(word, key, more);
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), self.stage.door_log());
        text(&output.stdout)
    }

    /// What a command that is not done says.
    #[track_caller]
    fn refused(&self, word: &str, key: &str) -> String {
        let output = self.command(word, key, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr)
    }

    /// What the screen shows now: the title, the detail, and when that was given.
    fn shown(&self) -> Option<(String, String, f64)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.screen)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.screen).ok()?;
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let sheet = lines.filter_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}"))).next()?;
        let sheet: Value = serde_json::from_str(&sheet).expect("a sheet is JSON");
        let line = |field: &str| sheet["lines"][0][field].as_str().expect("words").to_owned();
        Some((line("title"), line("detail"), sheet["since"].as_f64().expect("a time")))
    }

    /// Waits until the screen shows this title.
    #[track_caller]
    fn until_shown(&self, title: &str) {
        until(title, || self.shown().filter(|(shown, ..)| shown == title));
    }

    fn lay_card(&self) {
        let strings = &self.stage.strings;
        strings.set_card(&Lying::Nothing).expect("the card is taken away");
        self.stage.settle().expect("the box follows");
        let uid = hex::decode(CARD).expect("hexadecimal");
        strings.set_card(&Lying::Card(hex::encode([&uid[..], &[0x90, 0x00]].concat()))).expect("a card is laid");
    }

    /// What was commanded, by the ledger: the command, what came of it, and the key's name.
    fn commanded(&self) -> Vec<(String, String, Value)> {
        let committed = self.stage.committed().unwrap_or_default();
        let events = committed.iter().map(|entry| &entry["event"]).filter(|event| event["kind"] == "commanded");
        let one = |event: &Value| {
            let (answer, word) = (&event["answer"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
            let outcome = match answer["reason"].as_str() {
                Some(reason) => format!("{} ({reason})", word(&answer["outcome"])),
                None => word(&answer["outcome"]),
            };
            (word(&event["word"]), outcome, event["by"].clone())
        };
        events.map(one).collect()
    }

    /// What `examgate-fleet events` prints.
    fn events(&self) -> String {
        let fleet = Path::new(env!("CARGO_BIN_EXE_examgate")).with_file_name("examgate-fleet");
        let folder = self.stage.folder();
        let mut events = Command::new(fleet);
        events.arg("events").arg("--ledger").arg(folder.join("ledger.db"));
        let output = events.arg("--ledger-key").arg(folder.join("ledger.key")).output().expect("the program runs");
        text(&output.stdout)
    }

    /// Waits for so many commands in the ledger.
    fn until_commanded(&self, count: usize) -> Vec<(String, String, Value)> {
        until("the commands in the ledger", || Some(self.commanded()).filter(|events| events.len() >= count))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_box_shows_which_it_is_and_is_taken_out_of_service_and_back_and_the_ledger_says_by_whom() {
    let scene = Scene::set();
    let door = scene.open();
    scene.until_shown("Tap your card");

    let said = scene.done("identify", "help-desk.key", &[]);
    assert!(said.contains("shows its name on light and screen for 15 s"), "{said}");
    scene.until_shown(DEVICE);
    let said = scene.refused("drain", "help-desk.key");
    assert!(said.contains("not_allowed") && said.contains("`may`"), "{said}");

    let said = scene.done("drain", "command.key", &[]);
    assert!(said.contains("takes no more taps until `resume`"), "{said}");
    // The name gives way once its time is over.
    scene.until_shown("Please see the proctor");
    let (_, detail, before) = scene.shown().expect("a sheet");
    assert!(detail.contains("taking a break"), "{detail}");
    scene.lay_card();
    until("the tap is answered on the screen", || scene.shown().filter(|(.., since)| *since > before));

    // Out of service also after a restart.
    door.stop().expect("it stops");
    let door = scene.start();
    door.ready().unwrap_or_else(|error| panic!("{error:#}\n{}", scene.stage.door_log()));
    scene.until_shown("Please see the proctor");
    until("it is connected", || {
        let output = scene.command("resume", "command.key", &[]);
        output.status.success().then_some(())
    });
    scene.until_shown("Tap your card");
    scene.lay_card();
    let decided = door.decision(PATIENCE).expect("a decision");
    assert_eq!(decided.reason.as_deref(), Some("too_early"), "the door takes taps again");

    let commanded = scene.until_commanded(4);
    let accepted = |word: &str, by: Value| (word.to_owned(), "accepted".to_owned(), by);
    assert_eq!(
        commanded,
        [
            accepted("identify", "help-desk".into()),
            ("drain".into(), "refused (not_allowed)".into(), "help-desk".into()),
            accepted("drain", Value::Null),
            accepted("resume", Value::Null),
        ]
    );
    let printed = scene.events();
    assert!(printed.contains("command: drain refused (not_allowed), by help-desk, key "), "{printed}");
    assert!(printed.contains("command: resume accepted, by key "), "{printed}");
    let committed = until("the decision in the ledger", || {
        let committed = scene.stage.committed().unwrap_or_default();
        committed.iter().any(|entry| entry["event"]["kind"] == "verification").then_some(committed)
    });
    let verified = committed.iter().filter(|entry| entry["event"]["kind"] == "verification").count();
    assert_eq!(verified, 1, "nobody was verified while the door was out of service");
    drop(door);
}

#[test]
fn a_box_is_examined_starts_again_and_changes_the_key_that_rosters_are_sealed_to() {
    let scene = Scene::set();
    let door = scene.open();

    let said = scene.done("doctor", "help-desk.key", &["--json"]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&answer["device"], &answer["outcome"]), (&DEVICE.into(), &"done".into()), "{answer:#}");
    let findings = answer["detail"].as_array().expect("findings");
    let state_of = |part: &str| findings.iter().find(|finding| finding["part"] == part).map(|found| &found["state"]);
    for part in ["clock", "reader", "camera", "broker", "disk", "state", "keys", "roster", "collector"] {
        assert!(state_of(part).is_some(), "nothing about {part}: {answer:#}");
    }
    assert_eq!(state_of("camera"), Some(&"well".into()), "{answer:#}");
    let said = scene.done("doctor", "help-desk.key", &[]);
    assert!(said.lines().any(|line| line.starts_with("well") && line.contains("disk")), "{said}");
    scene.lay_card();
    let decided = door.decision(PATIENCE).expect("a decision");
    assert_eq!(decided.reason.as_deref(), Some("too_early"), "reader and camera were left alone");

    let reported = || fs::read(scene.stage.folder().join(format!("stock/reported/{DEVICE}.cose"))).expect("a report");
    let before = reported();
    let said = scene.done("rotate", "command.key", &["--json"]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    let recipient = answer["detail"]["recipient"].as_str().expect("a recipient").to_owned();
    assert!(recipient.starts_with("age1") && !text(&before).contains(&recipient), "{answer:#}");
    until("the new key is reported", || text(&reported()).contains(&recipient).then_some(()));

    // A configuration that would be refused takes no box down.
    let path = scene.stage.folder().join("door.toml");
    let good = fs::read_to_string(&path).expect("a configuration");
    fs::write(&path, format!("{good}\n[nonsense]\n")).expect("written");
    let said = scene.refused("reload", "command.key");
    assert!(said.contains("could not reload") && said.contains("nonsense"), "{said}");
    fs::write(&path, good.replace("languages = [\"en\"]", "languages = [\"es\"]")).expect("written");
    let said = scene.done("reload", "command.key", &[]);
    assert!(said.contains("starts again"), "{said}");
    let status = door.ended(PATIENCE).expect("it ends by itself");
    assert!(status.success(), "in order: {status}");

    // As systemd does.
    let door = scene.start();
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", scene.stage.door_log()));
    scene.until_shown("Acerca tu tarjeta");
    let commanded = scene.until_commanded(6);
    let outcomes: Vec<_> = commanded.iter().map(|(word, outcome, _)| format!("{word} {outcome}")).collect();
    assert_eq!(outcomes[..4], ["doctor accepted", "doctor accepted", "rotate accepted", "reload accepted"]);
    assert!(outcomes[4].starts_with("reload failed (") && outcomes[5] == "reload accepted", "{outcomes:?}");
    drop(door);
}

#[test]
fn a_box_that_does_not_answer_is_told_of_by_what_is_known() {
    let scene = Scene::set();
    let output = scene.stage.command("identify", "door-9", "command.key", &[]).expect("the program runs");
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("not in the list of devices"));
    let said = |output: Output| {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let never = said(scene.stage.command("identify", DEVICE, "command.key", &[]).expect("the program runs"));
    assert!(never.contains("did not answer") && never.contains("knows no box of that name"), "{never}");
    let door = scene.open();
    scene.done("identify", "command.key", &[]);
    // A key that the box does not know is never answered.
    fs::copy(scene.stage.folder().join("roster.key"), scene.stage.folder().join("other.key")).expect("copied");
    let stranger = said(scene.stage.command("identify", DEVICE, "other.key", &["--wait", "2s"]).expect("it runs"));
    assert!(stranger.contains("does not know this command key"), "{stranger}");
    door.stop().expect("it stops");
    let output = scene.stage.command("identify", DEVICE, "command.key", &["--json"]).expect("the program runs");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["outcome"], "unanswered");
    let stopped = said(output);
    assert!(stopped.contains("offline") && stopped.contains("in order"), "{stopped}");
}
