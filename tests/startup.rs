//! A box that is set up badly says what is wrong, where, and how to mend it: at its start, and to `examgate doctor`. And what is set up
//! anew while it runs: the roster.
//!
//! Over 400 lines, and still read at one sitting: one short story after the other.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use examgate::{
    app::machine::machine,
    domain::{DeviceId, Epoch, EventKind, ExamId, Seq},
    edge::{camera::replay::Scene, system::Running},
    rig::{
        certificates::{Authority, Validity},
        stage::{DEVICE, Enrolled, Programs, Reality, Stage},
        virtual_card::Behaviour,
    },
    store::{EventStore, KeyFolder, KeyName, Layout, Limits},
    vision::{Manifest, NetSpec, Provider, Tuned, Tuning},
};
use sha2::{Digest as _, Sha256};

const EXAM: &str = "MATH-UA-120-final";
const WINDOW: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
const STUDENTS: &[Enrolled<'static>] = &[Enrolled {
    id: "N10000001",
    given_name: "Barack",
    card: "04A1B2C3D4E5F6",
    pictures: &["photos/obama.jpg"],
    language: None,
}];

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn stage(broker: bool) -> Stage {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    Stage::set(project(), programs, EXAM, Reality { reader: false, broker }).expect("the stage can be set")
}

fn examgate(arguments: &[&str], configuration: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_examgate"))
        .args(arguments)
        .arg("--config")
        .arg(configuration)
        .output()
        .expect("the program starts")
}

/// `examgate run` ends with `code`, and what it says holds all `words`.
fn refused(configuration: &Path, code: i32, words: &[&str]) {
    let mut arguments = vec!["20", env!("CARGO_BIN_EXE_examgate"), "run", "--config"];
    let configuration = configuration.to_str().expect("a temporary folder's name is text");
    arguments.push(configuration);
    // A box that is not refused serves on: the wait is bounded (124 then).
    let output = Command::new("timeout").args(arguments).output().expect("coreutils are installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "without {word:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The finding of `examgate doctor` about `part`: its state and words.
fn diagnosis(configuration: &Path, part: &str) -> (String, String) {
    let output = examgate(&["doctor", "--json"], configuration);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let finding = findings.as_array().expect("an array").iter().find(|finding| finding["part"] == part);
    let finding = finding.unwrap_or_else(|| panic!("nothing about {part}: {findings:#}"));
    (text(&finding["state"]), text(&finding["found"]))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_bad_configuration_ends_with_64_and_names_the_key() {
    let stage = stage(false);
    let good = fs::read_to_string(stage.folder().join("door.toml")).expect("readable");
    let path = stage.folder().join("bad.toml");
    let cases: [(&str, &str, &[&str]); 5] = [
        ("width = 640", "width = 64", &["camera.width", "64", "320 to 1920"]),
        ("width = 640", "widht = 640", &["widht", "bad.toml"]),
        ("room = \"SILVER-207\"\n", "", &["room"]),
        ("room = \"SILVER-207\"", "room = 207", &["room", "207"]),
        ("[camera]", "[camera", &["bad.toml"]),
    ];
    for (from, to, words) in cases {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replace(from, to)).expect("writable");
        refused(&path, 64, words);
    }
    refused(&stage.folder().join("none.toml"), 1, &["none.toml", "cannot read"]);
}

/// A copy of the project's models and runtime by links, but for `file`, which holds `bytes`.
fn models_but_for(folder: &Path, file: &str, bytes: &[u8]) {
    for part in ["models", "models/ready", "runtime"] {
        fs::create_dir_all(folder.join(part)).expect("writable");
        for entry in fs::read_dir(project().join(part)).expect("`make models` was run").flatten() {
            let link = folder.join(part).join(entry.file_name());
            if entry.path().is_file() && link != folder.join(file) {
                symlink(entry.path(), link).expect("writable");
            }
        }
    }
    fs::write(folder.join(file), bytes).expect("writable");
}

#[test]
fn a_wrong_or_truncated_model_is_refused_by_name_before_anything_is_opened() {
    let stage = stage(false);
    // Neither roster nor reader nor camera is there: the model is what is named all the same.
    let good = fs::read_to_string(stage.folder().join("door.toml")).expect("readable");
    let sim = good.find("[sim]").expect("a stage is simulated");
    let ready = fs::read_dir(project().join("models/ready")).expect("`make models` was run").flatten();
    let net = ready.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|kind| kind == "onnx"));
    let net: PathBuf = net.expect("there is a net");
    let name = net.file_name().expect("a file").to_string_lossy().into_owned();
    let whole = fs::read(&net).expect("readable");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (n, bytes) in [&whole[..whole.len() - 1], &flipped, b""].into_iter().enumerate() {
        let folder = stage.folder().join(format!("copy-{n}"));
        models_but_for(&folder, &format!("models/ready/{name}"), bytes);
        let path = stage.folder().join(format!("copy-{n}.toml"));
        let models = project().display().to_string();
        let text =
            good[..sim].replace(&format!("models = \"{models}\""), &format!("models = \"{}\"", folder.display()));
        assert_ne!(text, good[..sim]);
        fs::write(&path, text).expect("writable");
        refused(&path, 1, &[&name, "make models"]);
        let (state, found) = diagnosis(&path, "models");
        assert!(state == "unwell" && found.contains(&name), "{found}");
    }
}

#[test]
fn a_roster_that_is_not_there_is_named() {
    let stage = stage(false);
    refused(&stage.folder().join("door.toml"), 1, &[EXAM, "roster import"]);
}

#[test]
fn a_key_that_is_missing_exposed_or_wrong_is_named() {
    let stage = stage(true);
    stage.enrol(EXAM, "Final", WINDOW, STUDENTS).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    let configuration = stage.folder().join("door.toml");
    // Once, so that there are events and their key.
    assert!(stage.open_door().expect("the box is ready").stop().expect("it stops").success());
    let keys = stage.folder().join("keys");
    let exam = format!("exam-{EXAM}.key");
    for name in ["pepper.key", "root.key", "device.key", "tls.key", &exam] {
        let path = keys.join(name);
        let good = fs::read(&path).expect("readable");
        fs::remove_file(&path).expect("ours");
        refused(&configuration, 1, &[name]);
        fs::write(&path, &good).expect("writable");
        mode(&path, 0o644);
        refused(&configuration, 1, &[name, "chmod 600"]);
        mode(&path, 0o600);
        if name != "tls.key" {
            fs::write(&path, b"short").expect("writable");
            refused(&configuration, 1, &[name, "32 bytes"]);
            fs::write(&path, &good).expect("writable");
        }
    }
    for (name, database) in [(exam.as_str(), "roster"), ("events.key", "event store")] {
        let path = keys.join(name);
        let good = fs::read(&path).expect("readable");
        fs::write(&path, [7; 32]).expect("writable");
        refused(&configuration, 1, &[database, "key"]);
        fs::write(&path, &good).expect("writable");
    }
    // An event store without its key is not made anew.
    let path = keys.join("events.key");
    let good = fs::read(&path).expect("readable");
    fs::remove_file(&path).expect("ours");
    refused(&configuration, 1, &["event store"]);
    assert!(!path.exists(), "the refusal left a new key behind");
    fs::write(&path, &good).expect("writable");
    mode(&path, 0o600);
    assert!(stage.open_door().expect("nothing was harmed").stop().expect("it stops").success());
}

#[test]
fn a_broker_whose_certificate_expired_is_told_of_and_the_box_serves_on() {
    let mut stage = stage(true);
    stage.enrol(EXAM, "Final", WINDOW, STUDENTS).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    let expired = stage.authority.broker(Validity::Expired);
    let broker = stage.broker.as_mut().expect("a real one");
    broker.present(&expired).expect("writable");
    broker.restart(false).expect("it starts again");
    let door = stage.open_door().expect("the box is ready");
    let tapped = stage.tap(&Behaviour::Uid(vec![4, 1, 2, 3, 4, 5, 6])).expect("a card can be laid down");
    let said = door.decision(Duration::from_secs(10)).expect("the box serves on");
    assert_eq!(said.reason.as_deref(), Some("card_unknown"));
    drop(tapped);
    let (state, found) = diagnosis(&stage.folder().join("door.toml"), "broker");
    assert!(state == "impaired" && found.contains("expired") && found.contains("outbox"), "{state}: {found}");
    assert!(door.stop().expect("it stops").success());
    assert!(stage.door_log().contains("expired"), "{}", stage.door_log());
}

#[test]
fn doctor_asks_the_broker_as_the_box_would_and_never_in_its_place() {
    let mut stage = stage(true);
    let path = stage.folder().join("door.toml");
    let (state, found) = diagnosis(&path, "broker");
    assert!(state == "impaired" && found.contains("no collector is connected"), "{state}: {found}");
    stage.collect().expect("the collector starts");
    // It connects within seconds; each look takes one.
    let looks = (0..30).map(|_| diagnosis(&path, "broker"));
    let (state, found) = looks.into_iter().find(|(state, _)| state == "well").expect("the collector connects");
    assert!(found.contains("lets this box in"), "{state}: {found}");
    // As a running box holds it.
    let running = Running::claim(&stage.folder().join("state")).expect("there is a state folder").expect("nobody runs");
    let (state, found) = diagnosis(&path, "broker");
    assert!(state == "well" && found.contains("was not asked"), "{state}: {found}");
    refused(&path, 1, &["another examgate", "stop it first"]);
    drop(running);

    let (ca, good) = (stage.folder().join("ca.pem"), stage.authority.certificate().to_owned());
    let other = Authority::new();
    fs::write(&ca, format!("{}{good}", other.certificate())).expect("writable");
    let (state, found) = diagnosis(&path, "broker");
    assert!(state == "well", "{state}: {found}");
    for (file, says) in [("", "empty"), ("-----BEGIN PRIVATE KEY-----", "PRIVATE KEY")] {
        fs::write(&ca, file).expect("writable");
        let (state, found) = diagnosis(&path, "broker");
        assert!(state == "unwell" && found.contains(says) && found.contains("uplink.ca"), "{state}: {found}");
    }
    fs::write(&ca, good).expect("writable");

    let theirs = stage.authority.client("door-of-others", Validity::Good);
    fs::write(stage.folder().join("door.pem"), &theirs.certificate).expect("writable");
    fs::write(stage.folder().join("keys/tls.key"), &theirs.key).expect("writable");
    let (state, found) = diagnosis(&path, "broker");
    assert!(state == "unwell" && found.contains("door-of-others"), "{state}: {found}");
}

#[test]
fn doctor_names_what_is_wrong_with_the_consoles_certificate() {
    let stage = stage(false);
    stage.furnish_office().expect("there is a port");
    let (path, certificate) = (stage.folder().join("door.toml"), stage.folder().join("console.pem"));
    let (state, found) = diagnosis(&path, "console");
    assert!(state == "well" && found.contains("2049"), "{state}: {found}");
    let expired = stage.authority.broker(Validity::Expired);
    fs::write(&certificate, &expired.certificate).expect("writable");
    fs::write(stage.folder().join("keys/console.key"), &expired.key).expect("writable");
    let (state, found) = diagnosis(&path, "console");
    assert!(state == "impaired" && found.contains("2021"), "{state}: {found}");
    fs::remove_file(&certificate).expect("ours");
    let (state, found) = diagnosis(&path, "console");
    assert!(state == "unwell" && found.contains("console.pem"), "{state}: {found}");
}

#[test]
fn a_provider_that_does_not_load_gives_way_to_its_declared_fallback() {
    const PROVIDER: &str = "runtime/libonnxruntime_providers_openvino.so";
    const BROKEN: &[u8] = b"no library";
    let stage = stage(false);
    stage.enrol(EXAM, "Final", WINDOW, STUDENTS).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    stage.strings.set_scene(&Scene::Still(stage.picture("photos/obama2.jpg"))).expect("the scene is set");
    let folder = stage.folder().join("copy");
    models_but_for(&folder, PROVIDER, BROKEN);
    // The runtime looks for its providers beside itself, wherever links lead.
    let runtime = "runtime/libonnxruntime.so.1.24.1";
    fs::remove_file(folder.join(runtime)).expect("a link of ours");
    fs::copy(project().join(runtime), folder.join(runtime)).expect("writable");
    // A manifest that knows the broken file: it is the provider that fails, not the check of the files.
    let manifest = fs::read_to_string(project().join("models/manifest.toml")).expect("readable");
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let whole = digest(&fs::read(project().join(PROVIDER)).expect("`make models` was run"));
    assert!(manifest.contains(&whole));
    fs::remove_file(folder.join("models/manifest.toml")).expect("a link of ours");
    fs::write(folder.join("models/manifest.toml"), manifest.replace(&whole, &digest(BROKEN))).expect("writable");
    let path = stage.folder().join("door.toml");
    let good = fs::read_to_string(&path).expect("readable");
    let models = |folder: &Path| format!("models = \"{}\"", folder.display());
    assert!(good.contains(&models(project())));
    fs::write(&path, good.replace(&models(project()), &models(&folder))).expect("writable");

    let (state, found) = diagnosis(&path, "provider of mobilefacenet");
    assert!(state == "impaired" && found.starts_with("cpu instead of openvino, which failed"), "{state}: {found}");
    let door = stage.open_door().expect("the box is ready");
    let tapped =
        stage.tap(&Behaviour::Uid(vec![4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6])).expect("a card can be laid down");
    let said = door.decision(Duration::from_secs(30)).expect("the box serves");
    // A still picture: looked at by every net, and not taken for a live face.
    assert!(
        said.since_first_usable_frame_ms.is_some() && said.reason.as_deref() == Some("spoof_suspected"),
        "{said:?}"
    );
    drop(tapped);
    assert!(door.stop().expect("it stops").success());
    assert!(stage.door_log().contains("fallback provider"), "{}", stage.door_log());
}

#[test]
fn a_tuning_of_this_machine_is_used_and_shown_and_one_of_another_is_not() {
    let stage = stage(false);
    stage.enrol(EXAM, "Final", WINDOW, STUDENTS).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    let (configuration, path) = (stage.folder().join("door.toml"), stage.folder().join("tuning.toml"));
    let good = fs::read_to_string(&configuration).expect("readable");
    fs::write(&configuration, format!("tuning = \"{}\"\n{good}", path.display())).expect("writable");

    let manifest = Manifest::load(&project().join("models/manifest.toml")).expect("it is sound");
    let on_cpu = |net: &NetSpec, threads| Tuned {
        model: net.name.clone(),
        sha256: net.sha256,
        provider: Provider::Cpu,
        threads,
    };
    let mut tuning = Tuning {
        machine: machine(),
        embed: on_cpu(&manifest.embedder.net, 2),
        liveness: on_cpu(&manifest.liveness.net, 1),
    };
    fs::write(&path, tuning.text()).expect("writable");
    let used = "mobilefacenet on cpu, 2 threads; minifasnet on cpu, 1 thread";
    assert_eq!(diagnosis(&configuration, "tuning"), ("well".into(), used.into()));
    assert_eq!(diagnosis(&configuration, "provider of mobilefacenet"), ("well".into(), "cpu".into()));
    assert!(stage.open_door().expect("the box is ready").stop().expect("it stops").success());
    assert!(stage.door_log().contains(used), "{}", stage.door_log());

    tuning.machine = "Z80 x 1".into();
    fs::write(&path, tuning.text()).expect("writable");
    let (state, found) = diagnosis(&configuration, "tuning");
    assert!(state == "impaired" && found.contains("Z80 x 1") && found.contains("doctor --tune"), "{state}: {found}");
    let (state, found) = diagnosis(&configuration, "provider of mobilefacenet");
    assert!(state == "well" && found == manifest.embedder.net.provider.to_string(), "{state}: {found}");
}

#[test]
fn thresholds_of_another_rule_are_told_of() {
    let stage = stage(false);
    let configuration = stage.folder().join("door.toml");
    let (state, found) = diagnosis(&configuration, "thresholds");
    assert!(state == "well" && found.contains("people"), "{state}: {found}");
    stage.configure("[policy]\nattempts = 5\n").expect("writable");
    let (state, found) = diagnosis(&configuration, "thresholds");
    assert!(state == "impaired" && found.contains("another rule") && found.contains("5 attempts"), "{state}: {found}");
}

#[test]
fn a_roster_imported_again_is_in_force_whole_and_without_a_restart() {
    const LATER: (&str, &str) = (WINDOW.0, "2026-12-14T11:15:00-05:00");
    let stage = stage(false);
    stage.enrol(EXAM, "Final", WINDOW, STUDENTS).expect("the roster is imported");
    // After the doors of the first edition have closed.
    stage.set_clock("2026-12-14T10:00:00-05:00").expect("the clock is set");
    stage.strings.set_scene(&Scene::Still(stage.picture("photos/obama2.jpg"))).expect("the scene is set");
    let door = stage.open_door().expect("the box is ready");
    let tap = |card: [u8; 7]| {
        let tapped = stage.tap(&Behaviour::Uid(card.to_vec())).expect("a card can be laid down");
        let said = door.decision(Duration::from_secs(30)).expect("the box serves");
        drop(tapped);
        stage.settle().expect("the box has seen it");
        said.reason.unwrap_or(said.decision)
    };
    let (barack, newcomer) = ([4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6], [4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF7]);
    assert_eq!((tap(barack), tap(newcomer)), ("too_late".into(), "card_unknown".into()));

    let another =
        Enrolled { id: "N10000002", given_name: "Joe", card: "04A1B2C3D4E5F7", pictures: &[], language: None };
    let both = [STUDENTS[0].clone(), another];
    stage.enrol(EXAM, "Final", LATER, &both).expect("the roster is imported again");
    // It is read beside the door, and taps are answered out of the edition before until then.
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    // Students and doors are those of the second edition: looked at, a still picture is not taken for a live face.
    assert_eq!((tap(newcomer), tap(barack)), ("no_template".into(), "spoof_suspected".into()));

    // Something is put in its place that is no roster.
    let (state, keys) = stage.state_and_keys();
    let layout = Layout::new(state);
    let roster = layout.exam(&ExamId::new(EXAM).expect("valid"));
    let beside = roster.with_extension("broken");
    fs::write(&beside, [7; 1 << 16]).expect("writable");
    fs::rename(&beside, &roster).expect("ours");
    assert_eq!(tap(newcomer), "no_template", "the edition before stays in force");
    // That it is none is found beside the door, too.
    for _ in 0..100 {
        if stage.door_log().contains("the one before stays in force") {
            break;
        }
        let _ = door.decision_within(Duration::from_millis(100)).expect("the box runs");
    }
    assert!(door.stop().expect("it stops").success());
    let log = stage.door_log();
    assert_eq!(log.matches("the one before stays in force").count(), 1, "{log}");

    let key = KeyFolder::new(keys, None).read(KeyName::Events).expect("readable");
    let device = DeviceId::new(DEVICE).expect("valid");
    let events = EventStore::open(&layout.events(), &key, &device, Epoch(uuid::Uuid::nil()), Limits::default())
        .expect("it opens");
    let rows = events.events(Seq(0), 100).expect("readable");
    let editions: Vec<u64> = rows
        .iter()
        .map(|row| match row.event().expect("an event").kind {
            EventKind::Verification(verification) => verification.roster.0,
            other @ (EventKind::Ruling(_) | EventKind::Undo(_) | EventKind::Access(_) | EventKind::Commanded(_)) => {
                panic!("{other:?}")
            }
        })
        .collect();
    assert_eq!(editions, [1, 1, 2, 2, 2], "events name the edition that was in force");
}

#[test]
fn a_changed_device_id_is_refused_until_it_is_changed_on_purpose() {
    let stage = stage(false);
    stage.enrol(EXAM, "Final", WINDOW, STUDENTS).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    assert!(stage.open_door().expect("the box is ready").stop().expect("it stops").success());
    let configuration = stage.folder().join("door.toml");
    let text = fs::read_to_string(&configuration).expect("readable");
    fs::write(&configuration, text.replace(DEVICE, "door-new")).expect("writable");
    let change = format!("change-id --from {DEVICE}");
    refused(&configuration, 1, &[&format!("those of {DEVICE}"), "`device` in the configuration is door-new", &change]);
    let (state, found) = diagnosis(&configuration, "events");
    assert!(state == "unwell" && found.contains(&change), "{state}: {found}");
    let wrong = examgate(&["change-id", "--from", "door-other"], &configuration);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains(DEVICE), "{wrong:?}");
    let changed = examgate(&["change-id", "--from", DEVICE], &configuration);
    let said = String::from_utf8_lossy(&changed.stdout).into_owned();
    assert!(changed.status.success() && said.contains("is door-new now"), "{changed:?}");
    assert!(stage.open_door().expect("the box is ready").stop().expect("it stops").success());
}
