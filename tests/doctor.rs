//! `examgate doctor` tells the truth about what is well-formed and cannot work on the morning of the exam, and leaves no trace.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use examgate::{
    domain::{EmbeddingSpaceId, ExamId, Roster, RosterVersion},
    rig::stage::{Enrolled, Programs, Reality, Stage},
    store::{KeyFolder, KeyName, Layout, RosterStore},
    wire::{keys::SigningKey, seal::Identity},
};

const EXAM: &str = "MATH-UA-120-final";
const WINDOW: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");
const ADA: Enrolled<'static> = Enrolled {
    id: "N10000001",
    given_name: "Ada",
    card: "04A1B2C3D4E5F6",
    pictures: &["photos/obama.jpg"],
    language: None,
};
/// Nobody's number: `nobody` on Debian.
const SERVICE: u32 = 65_534;

fn stage(students: &[Enrolled<'_>]) -> Stage {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stage =
        Stage::set(project, programs, EXAM, Reality { reader: false, broker: false }).expect("the stage can be set");
    stage.enrol(EXAM, "Final", WINDOW, students).expect("the roster is imported");
    stage.set_clock(WINDOW.0).expect("the clock is set");
    stage
}

/// What doctor finds: part, state and words, in its order.
fn findings(stage: &Stage, more: &[&str]) -> Vec<(String, String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_examgate"))
        .args(["doctor", "--json"])
        .args(more)
        .arg("--config")
        .arg(stage.folder().join("door.toml"))
        .output()
        .expect("the program starts");
    let found: Vec<BTreeMap<String, String>> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    found.into_iter().map(|one| (one["part"].clone(), one["state"].clone(), one["found"].clone())).collect()
}

/// Doctor says of `part`, in this state, all of `words` in one finding.
#[track_caller]
fn says(stage: &Stage, part: &str, state: &str, words: &[&str]) {
    let found = findings(stage, &[]);
    let fits = |(of, how, what): &&(String, String, String)| {
        of == part && how == state && words.iter().all(|word| what.contains(word))
    };
    assert!(found.iter().any(|one| fits(&one)), "no {state} {part} with {words:?}: {found:#?}");
    if state != "well" {
        let first = found.iter().find(|(of, ..)| of == part).expect("it is there");
        assert_ne!(first.1, "well", "the worst comes first: {first:?}");
    }
}

fn configure(stage: &Stage, from: &str, to: &str) {
    let path = stage.folder().join("door.toml");
    let text = fs::read_to_string(&path).expect("readable");
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).expect("writable");
}

/// `examgate run` does not start and says `words`.
#[track_caller]
fn does_not_start(stage: &Stage, words: &[&str]) {
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_examgate"), "run", "--config"])
        .arg(stage.folder().join("door.toml"))
        .output()
        .expect("coreutils are installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn a_room_that_nobody_sits_in_is_told_with_those_that_the_roster_knows() {
    let stage = stage(&[ADA]);
    says(&stage, "roster", "well", &["1 of 1 student sit in SILVER-207, 1 of them with a face"]);
    configure(&stage, "room = \"SILVER-207\"", "room = \"Silver-0207\"");
    says(
        &stage,
        "roster",
        "unwell",
        &["nobody", "Silver-0207", "SILVER-207 (1 student)", "written otherwise", "`room`"],
    );
}

#[test]
fn another_pepper_is_told_and_the_box_does_not_start_with_it() {
    let stage = stage(&[ADA]);
    let (state, keys) = stage.state_and_keys();
    let pepper = keys.join("pepper.key");
    let good = fs::read(&pepper).expect("readable");
    fs::write(&pepper, [7; 32]).expect("writable");
    says(&stage, "roster", "unwell", &["another pepper", "pepper.key"]);
    does_not_start(&stage, &["another pepper"]);
    fs::write(&pepper, good).expect("writable");

    // A roster that nobody noted it for, as those of before, is served and reported.
    let (mut roster, exam) = open(&state, &keys);
    let mut exam = exam.expect("there is a roster");
    exam.version = RosterVersion(exam.version.0 + 1);
    let entries = roster.entries().expect("readable").into_iter().map(|entry| (entry, Vec::new())).collect();
    roster.replace(&Roster { exam, entries }).expect("writable");
    drop(roster);
    says(&stage, "roster", "impaired", &["does not say which pepper", "import it again"]);
    // It has no picture either.
    says(&stage, "roster", "unwell", &["nobody of SILVER-207 has a usable picture"]);
    assert!(stage.open_door().expect("the box is ready").stop().expect("it stops").success());
}

fn open(state: &Path, keys: &Path) -> (RosterStore, Option<examgate::domain::Exam>) {
    let exam = ExamId::new(EXAM).expect("valid");
    let key = KeyFolder::new(keys, None).read(KeyName::Exam(&exam)).expect("readable");
    let store = RosterStore::open(&Layout::new(state).exam(&exam), &key).expect("it opens");
    let exam = store.exam().expect("readable");
    (store, exam)
}

#[test]
fn doors_that_have_closed_or_open_in_weeks_are_told() {
    let stage = stage(&[ADA]);
    stage.set_clock("2027-12-14T08:30:00-05:00").expect("the clock is set");
    says(&stage, "roster", "unwell", &["closed 364 days ago", "2026-12-14T14:15:00Z", "`exam`"]);
    stage.set_clock("2026-11-14T08:30:00-05:00").expect("the clock is set");
    says(&stage, "roster", "impaired", &["open only in 30 days", "2026-12-14T13:30:00Z"]);
    stage.set_clock("2026-12-13T18:00:00-05:00").expect("the clock is set");
    assert_eq!(findings(&stage, &[]).iter().find(|(part, ..)| part == "roster").expect("it is there").1, "well");
}

#[test]
fn faces_of_another_embedding_space_are_told() {
    let stage = stage(&[ADA]);
    let (state, keys) = stage.state_and_keys();
    let (mut roster, exam) = open(&state, &keys);
    let mut exam = exam.expect("there is a roster");
    exam.version = RosterVersion(exam.version.0 + 1);
    let entries = roster.entries().expect("readable");
    let entries = entries.into_iter().map(|entry| {
        let mut templates = roster.templates(&entry.student.id).expect("readable");
        templates.iter_mut().for_each(|template| template.space = EmbeddingSpaceId::new("another-space"));
        (entry, templates)
    });
    let roster_of_before = Roster { exam, entries: entries.collect() };
    roster.replace(&roster_of_before).expect("writable");
    drop(roster);
    says(&stage, "roster", "unwell", &["another embedding space", "another-space", "import it again"]);
}

#[test]
fn an_exam_without_a_roster_is_told_with_those_that_are_here() {
    let stage = stage(&[ADA]);
    configure(&stage, &format!("exam = \"{EXAM}\""), "exam = \"MATH-UA-120-Final\"");
    says(&stage, "roster", "unwell", &["MATH-UA-120-Final", "roster import", &format!("here are {EXAM}")]);
}

#[test]
fn a_box_whose_rosters_are_pushed_is_told_to_have_them_pushed() {
    let stage = stage(&[ADA]);
    let (key, recipient) = (SigningKey::from_seed(&[7; 32]).public(), Identity::generate().recipient());
    stage
        .configure(&format!(
            "[uplink]\nhost = \"localhost\"\nca = \"/none.pem\"\ncertificate = \"/none.pem\"\n[uplink.collector]\n\
             recipient = \"{recipient}\"\nreceipt_key = \"{key}\"\n[fleet]\nroster_keys = [\"{key}\"]\n"
        ))
        .expect("writable");
    let speaks_of_a_roster = |words: &[&str]| {
        says(&stage, "roster", "unwell", words);
        let found = findings(&stage, &[]);
        let of_an_import = found.iter().filter(|(_, state, what)| state != "well" && what.contains("roster import"));
        assert_eq!(of_an_import.count(), 0, "{found:#?}");
    };
    stage.set_clock("2027-12-14T08:30:00-05:00").expect("the clock is set");
    speaks_of_a_roster(&["closed 364 days ago", "roster push"]);
    stage.set_clock(WINDOW.0).expect("the clock is set");
    configure(&stage, "room = \"SILVER-207\"", "room = \"GOULD-1\"");
    speaks_of_a_roster(&["nobody", "GOULD-1", "roster push"]);
    let (state, keys) = stage.state_and_keys();
    let exam = ExamId::new(EXAM).expect("valid");
    let key = KeyFolder::new(&keys, None).path(KeyName::Exam(&exam));
    fs::rename(&key, stage.folder().join("moved.key")).expect("ours");
    speaks_of_a_roster(&["no key for the roster", "roster erase", "roster push --again"]);
    does_not_start(&stage, &["no key for the roster", "roster push --again"]);
    fs::remove_dir_all(&state).expect("ours");
    fs::create_dir(&state).expect("ours");
    says(&stage, "roster", "impaired", &["has not come yet", "roster push"]);
}

#[test]
fn configurations_that_cannot_work_are_told() {
    let stage = stage(&[ADA]);
    // y = 2 is no point of the curve.
    let point = format!("02{}", "00".repeat(31));
    stage
        .configure(&format!(
            "[screen]\nlanguages = [\"en\", \"tlh\"]\n[policy]\nweakest_profile = \"piv\"\n[uplink]\nhost = \"localhost\"\nca = \"/none.pem\"\n\
             certificate = \"/none.pem\"\n[uplink.collector]\nrecipient = \"age1nonsense\"\nreceipt_key = \"{point}\"\n\
             [console]\nlisten = \"192.0.2.7:8443\"\ncertificate = \"/none.pem\"\n"
        ))
        .expect("writable");
    for (part, words) in [
        ("screen", &["tlh"][..]),
        ("policy", &["weakest_profile", "uid"]),
        ("collector", &["recipient", "receipt_key"]),
        // TEST-NET-1 (RFC 5737): no machine's own address.
        ("console", &["192.0.2.7:8443", "listen"]),
        ("keys", &["console.key"]),
    ] {
        says(&stage, part, "unwell", words);
    }
}

#[test]
fn plain_keys_are_told_and_a_second_root_key_beside_a_credential_is_a_fault() {
    let mut stage = stage(&[ADA]);
    let (_, keys) = stage.state_and_keys();
    says(&stage, "keys", "impaired", &["root.key, pepper.key", "plain"]);
    let credentials = stage.folder().join("credentials");
    fs::create_dir(&credentials).expect("writable");
    for name in ["root.key", "pepper.key"] {
        fs::rename(keys.join(name), credentials.join(name)).expect("ours");
    }
    let folder: &'static str = credentials.to_str().expect("text").to_owned().leak();
    stage.set_environment("CREDENTIALS_DIRECTORY", folder);
    let door = stage.open_door().expect("the box takes its keys from the credentials");
    assert!(door.stop().expect("it stops").success());

    fs::copy(credentials.join("pepper.key"), keys.join("pepper.key")).expect("writable");
    fs::write(keys.join("root.key"), [7; 32]).expect("writable");
    fs::set_permissions(keys.join("root.key"), fs::Permissions::from_mode(0o600)).expect("ours");
    // Without the credentials the other root key is found, and not taken for the box's.
    says(&stage, "keys", "unwell", &["root.key", "not the root key", "examgate-with-keys"]);
    does_not_start(&stage, &["not the root key"]);
}

/// Every path below `folder`, with what would show that it was touched.
fn traces(folder: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten() {
            let about = entry.metadata().expect("readable");
            if about.is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path(), (about.mode(), about.len(), about.mtime(), about.mtime_nsec()));
        }
    }
    found
}

#[test]
fn doctor_makes_nothing_and_changes_nothing() {
    // No state folder, no keys: nothing comes to be.
    let bare = stage(&[ADA]);
    for name in ["state", "keys"] {
        fs::remove_dir_all(bare.folder().join(name)).expect("ours");
    }
    let before = traces(bare.folder());
    findings(&bare, &[]);
    assert_eq!(traces(bare.folder()), before);
    says(&bare, "state", "unwell", &["there is no folder"]);
    says(&bare, "key folder", "unwell", &["there is no folder"]);

    // A roster, no events yet.
    let fresh = stage(&[ADA]);
    let before = traces(fresh.folder());
    findings(&fresh, &[]);
    assert_eq!(traces(fresh.folder()), before);
    says(&fresh, "events", "well", &["made at the first start"]);

    // A box that runs, then one that was killed: what it holds is looked at all the same.
    let door = fresh.open_door().expect("the box is ready");
    says(&fresh, "events", "well", &["0 recorded", "chain is whole"]);
    says(&fresh, "roster", "well", &["1 of 1"]);
    drop(door);
    let (state, _) = fresh.state_and_keys();
    let names = |traces: BTreeMap<PathBuf, (u32, u64, i64, i64)>| traces.into_keys().collect::<Vec<_>>();
    let before = names(traces(&state));
    says(&fresh, "events", "well", &["0 recorded"]);
    assert_eq!(names(traces(&state)), before);
}

#[test]
fn a_folder_that_the_service_cannot_open_is_named_also_to_root() {
    let stage = stage(&[ADA]);
    let (state, keys) = stage.state_and_keys();
    if stage.folder().metadata().expect("ours").uid() == 0 {
        // As documented imports by root used to leave it: the folders are the service's, what lies in them is root's.
        fs::set_permissions(stage.folder(), fs::Permissions::from_mode(0o755)).expect("ours");
        fs::set_permissions(stage.folder().join("strings"), fs::Permissions::from_mode(0o755)).expect("ours");
        for folder in [&state, &keys] {
            chown(folder, Some(SERVICE), Some(SERVICE)).expect("root may");
        }
        says(&stage, "user", "well", &["looked as"]);
        says(&stage, "keys", "unwell", &["root.key", "Permission denied"]);
        says(&stage, "roster", "unwell", &["cannot be had", "Permission denied"]);
        says(&stage, "key folder", "unwell", &["root.key", "chown -R"]);
        for (path, _) in traces(&state).into_iter().chain(traces(&keys)) {
            chown(&path, Some(SERVICE), Some(SERVICE)).expect("root may");
        }
        says(&stage, "state", "well", &["can use"]);
        says(&stage, "roster", "well", &["1 of 1"]);
        // Owned by the service, but not for it to enter.
        fs::set_permissions(&state, fs::Permissions::from_mode(0o000)).expect("ours");
        says(&stage, "state", "unwell", &["cannot use", "state"]);
        assert!(
            findings(&stage, &["--user", "root"]).iter().any(|(part, state, _)| part == "state" && state == "well")
        );
    } else {
        fs::set_permissions(&state, fs::Permissions::from_mode(0o000)).expect("ours");
        says(&stage, "state", "unwell", &["cannot use", "state"]);
    }
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn a_card_key_that_is_missing_is_told_with_what_comes_of_it() {
    let stage = stage(&[ADA]);
    says(&stage, "cards", "well", &["reads uid (identifier-only)", "all of them are accepted"]);
    stage
        .configure(
            "[card]\nprofiles = [\"desfire_aes\", \"uid\"]\n[card.desfire]\npreset = \"leaf-cc\"\n[policy]\nweakest_profile = \"desfire_aes\"\n",
        )
        .expect("writable");
    says(
        &stage,
        "cards",
        "unwell",
        &["desfire_aes (card-authenticated), but NOT now", "card_keys_missing", "card-desfire.key"],
    );
    let (_, keys) = stage.state_and_keys();
    put_key(&keys.join("card-desfire.key"), &"a5".repeat(16));
    says(
        &stage,
        "cards",
        "well",
        &["reads desfire_aes (card-authenticated), uid", "weaker than desfire_aes goes to the proctor"],
    );
}

fn put_key(path: &Path, digits: &str) {
    fs::write(path, digits).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
}
