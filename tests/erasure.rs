//! What is left of a student and of an exam on a box's disk: nothing in clear while it is held, nothing readable of a student who was
//! withdrawn, and after the exam nothing that opens, with all keys that are still on the disk and all that travelled to it recorded.
//!
//! The box, the keeper and the broker are real; the disk is read as an image is: every byte of every file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use examgate::{
    domain::{Embedding, ExamId, StudentId, TemplateForm},
    rig::{
        stage::{DEVICE, DoorBox, Enrolled, Programs, Reality, Stage},
        virtual_card::Behaviour,
    },
    store::{Key, KeyFolder, KeyName, Layout, RosterStore, read_secret},
    wire::{
        bundle::MAX_BUNDLE,
        chunk,
        desired::{Desired, Wanted},
        digest::Digest,
        keys::SigningKey,
        seal::Identity,
    },
};
use openssl::symm::{Cipher, Crypter, Mode};

const EXAM: &str = "MATH-UA-120-final";
const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:00:00-05:00");
const PATIENCE: Duration = Duration::from_secs(30);

/// SQLCipher 4: pages of 4096 bytes, of which the last 80 are an initialisation vector and an authentication code.
const PAGE: usize = 4096;
const RESERVED: usize = 80;
/// SQLite file format, 4.1: header of a log, header of each page in it.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

const STAYS: Enrolled<'static> = Enrolled {
    id: "N71828182",
    given_name: "Quirinus",
    card: "04A1B2C3D4E5F6",
    pictures: &["clips/WolfgangLanger_Pexels/0001.jpg"],
    language: None,
};
const WITHDRAWN: Enrolled<'static> = Enrolled {
    id: "N27182845",
    given_name: "Zebulonia",
    card: "04C0FFEE112233",
    pictures: &["photos/obama.jpg"],
    language: None,
};

/// What tells that a student can be read: number, name, and pieces of the template as the desk has it, as it travels, and as the box holds it.
struct Traces(Vec<Vec<u8>>);

impl Traces {
    /// As the manager's desk has them. A template may be cut where a page ends, so pieces of it are looked for.
    fn of(stage: &Stage, student: &Enrolled<'_>) -> Self {
        let (folder, exam) = (stage.folder().join("desk"), exam());
        let key = KeyFolder::new(folder.join("keys"), None).read(KeyName::Exam(&exam)).expect("the desk's key");
        let roster =
            RosterStore::open(&Layout::new(folder.join("state")).exam(&exam), &key).expect("the desk's roster");
        let templates = roster.templates(&StudentId::new(student.id).expect("valid")).expect("readable");
        let template = templates.first().expect("a template");
        let sent = TemplateForm::SENT.pack(&template.embedding);
        let held = TemplateForm::SENT.unpack(&sent).expect("what was packed");
        let whole = |embedding: &Embedding| -> Vec<u8> {
            embedding.as_slice().iter().flat_map(|component| component.to_le_bytes()).collect()
        };
        let forms = [whole(&template.embedding), sent.to_vec(), whole(&held)];
        assert!(forms.iter().all(|bytes| bytes.len() >= 512));
        let pieces = forms.iter().flat_map(|bytes| bytes.chunks(32).map(<[u8]>::to_vec));
        Self([student.id.into(), student.given_name.into()].into_iter().chain(pieces).collect())
    }

    /// How many of them are in `bytes`.
    fn found_in(&self, bytes: &[u8]) -> usize {
        self.0.iter().filter(|trace| bytes.windows(trace.len()).any(|window| window == trace.as_slice())).count()
    }
}

fn exam() -> ExamId {
    ExamId::new(EXAM).expect("valid")
}

/// Every file below the folders.
fn files(folders: &[&Path]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() { found.extend(files(&[&path])) } else { found.push(path) }
        }
    }
    found
}

/// All bytes of the box's state and keys, in clear as they lie there. A file that goes meanwhile is passed over.
fn image(state: &Path, keys: &Path) -> Vec<u8> {
    files(&[state, keys]).iter().filter_map(|path| fs::read(path).ok()).flatten().collect()
}

/// What a holder of the key can read of a page, in whatever state SQLite left it.
fn page(key: &Key, page: &[u8], is_first: bool) -> Option<Vec<u8>> {
    let from = if is_first { 16 } else { 0 };
    let (content, reserved) = page.split_at(PAGE - RESERVED);
    let mut crypter = Crypter::new(Cipher::aes_256_cbc(), Mode::Decrypt, key.expose(), Some(&reserved[..16])).ok()?;
    crypter.pad(false);
    let mut clear = vec![0; content.len() + 16];
    let length = crypter.update(&content[from..], &mut clear).ok()?;
    clear.truncate(length);
    Some(clear)
}

/// All pages of a database and its log, read with the key: also those that are free, and what is left in them.
fn pages(key: &Key, database: &Path) -> Vec<u8> {
    let mut clear = Vec::new();
    for (number, bytes) in fs::read(database).unwrap_or_default().chunks_exact(PAGE).enumerate() {
        clear.extend(page(key, bytes, number == 0).expect("it decrypts to something"));
    }
    let log = fs::read(format!("{}-wal", database.display())).unwrap_or_default();
    for frame in log.get(LOG_HEADER..).unwrap_or_default().chunks_exact(FRAME_HEADER + PAGE) {
        let (head, bytes) = frame.split_at(FRAME_HEADER);
        clear.extend(page(key, bytes, head[..4] == 1_u32.to_be_bytes()).expect("it decrypts to something"));
    }
    clear
}

/// What the manifest says of the exam now.
fn wanted(stage: &Stage) -> Wanted {
    let seed = read_secret(&stage.folder().join("roster.key")).expect("the roster key");
    let manifest = fs::read(stage.folder().join(format!("stock/desired/{DEVICE}.cose"))).expect("a manifest");
    let (device, _) = Stage::names();
    let desired = Desired::decode(&manifest, &device, &[SigningKey::from_seed(&seed).public()]).expect("signed");
    desired.exams.into_iter().find(|wanted| wanted.exam == exam()).expect("the exam")
}

/// Put together from the chunks that travel to the box: as somebody who listens has it.
fn assembled(stage: &Stage, index: &Digest, whole: Digest, size: u64) -> Vec<u8> {
    let chunk =
        |digest: &Digest| fs::read(stage.folder().join(format!("stock/chunks/{DEVICE}/{digest}"))).expect("a chunk");
    let listed = chunk::index(&chunk(index), size).expect("an index");
    let pieces: Vec<_> = listed.iter().map(chunk).collect();
    chunk::assemble(&pieces, whole, size).expect("whole")
}

/// The sealed bundle of the exam that the manifest names now.
fn recorded(stage: &Stage) -> Vec<u8> {
    let wanted = wanted(stage);
    assembled(stage, &wanted.index, wanted.whole, wanted.size)
}

/// The sealed difference that the manifest names beside it, if there is one.
fn recorded_difference(stage: &Stage) -> Option<Vec<u8>> {
    let wanted = wanted(stage);
    let named = wanted.difference.as_ref()?;
    Some(assembled(stage, &named.index, named.whole, named.size))
}

/// What opens with the prekeys that lie in the key folder now.
fn opened(keys: &Path, sealed: &[u8]) -> Option<Vec<u8>> {
    let prekeys = files(&[keys]).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "age"));
    let mut identities = prekeys.map(|path| {
        let text = fs::read_to_string(&path).expect("readable");
        text.parse::<Identity>().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    identities.find_map(|identity| identity.open(sealed, MAX_BUNDLE).ok()).map(|bundle| bundle.to_vec())
}

/// Looks again and again until `is` so, while the box runs.
fn until(door: &DoorBox, stage: &Stage, what: &str, is: impl Fn() -> bool) {
    for _ in 0..300 {
        if is() {
            return;
        }
        let _ = door.decision_within(Duration::from_millis(200)).expect("the box runs");
    }
    panic!("waited in vain: {what}\n{}", stage.door_log());
}

#[test]
fn nothing_of_a_withdrawn_student_or_of_an_exam_that_is_over_can_be_read() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    stage.name_no_exam().expect("the configuration can be written");
    stage.open_desk().expect("the keeper starts");
    stage.furnish_office().expect("a console");
    stage.enrol(EXAM, "Final", DOORS, &[STAYS, WITHDRAWN]).expect("the roster is imported");
    let (stays, withdrawn) = (Traces::of(&stage, &STAYS), Traces::of(&stage, &WITHDRAWN));
    stage.set_clock("2026-12-14T08:35:00-05:00").expect("the clock is set");
    let door = stage.open_door().expect("the box is up");
    stage.push(EXAM).expect("the roster is pushed");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
    let tapped = stage.tap(&Behaviour::Uid(hex::decode(STAYS.card).expect("digits"))).expect("a card can be laid down");
    door.decision(PATIENCE).expect("the box answers");
    drop(tapped);

    // While it is held: nothing in clear. Whoever has the keys reads it all, so what is looked for can be found.
    let (state, keys) = stage.state_and_keys();
    let database = Layout::new(&state).exam(&exam());
    let key = KeyFolder::new(&keys, None).read(KeyName::Exam(&exam())).expect("its key");
    let first = image(&state, &keys);
    assert_eq!((stays.found_in(&first), withdrawn.found_in(&first)), (0, 0), "in clear on the disk");
    let read = pages(&key, &database);
    assert!(stays.found_in(&read) > 10 && withdrawn.found_in(&read) > 10, "with the key it can be read");
    let first_bundle = recorded(&stage);

    // The student is withdrawn: gone from every page and from the log.
    stage.enrol(EXAM, "Final", DOORS, &[STAYS]).expect("the roster is imported again");
    stage.push(EXAM).expect("the correction is pushed");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    let second_bundle = recorded(&stage);
    assert_ne!(first_bundle, second_bundle);
    let difference = recorded_difference(&stage);
    until(&door, &stage, "the withdrawn student is gone from every page", || {
        withdrawn.found_in(&pages(&key, &database)) == 0
    });
    assert!(stays.found_in(&pages(&key, &database)) > 10, "the others are there");
    // A while after it came into force the box destroys what it was sealed to; at an exam's end it does so at once.
    let listened = opened(&keys, &first_bundle).expect("until then a recorded bundle opens with what is on the disk");
    assert!(withdrawn.found_in(&listened) > 10, "and what is looked for is in it");
    let copies: Vec<_> = files(&[&state, &keys]).iter().map(|path| fs::read(path).unwrap_or_default()).collect();
    let old_database = fs::read(&database).expect("readable");

    // The exam's time is over: the box erases it by itself.
    stage.set_clock("2100-01-01T00:00:00Z").expect("the clock is set");
    until(&door, &stage, "the exam is erased", || !database.exists());
    let shares = KeyFolder::new(&keys, None);
    assert!(!shares.holds(KeyName::Exam(&exam())));
    let last = image(&state, &keys);
    assert_eq!((stays.found_in(&last), withdrawn.found_in(&last)), (0, 0));
    for bundle in [&first_bundle, &second_bundle].into_iter().chain(&difference) {
        assert_eq!(opened(&keys, bundle), None, "a recorded bundle does not open with what is on the disk");
    }
    // The database as an image of before has it, with every 32 bytes of the keys that are left.
    let copy = stage.folder().join("copy.db");
    fs::write(&copy, &old_database).expect("writable");
    let events = shares.read(KeyName::Events).expect("the key of events stays");
    let mut candidates = vec![events];
    for path in files(&[&keys]) {
        let bytes = fs::read(&path).expect("readable");
        candidates.extend(bytes.as_chunks::<32>().0.iter().map(|bytes| Key::from_bytes(*bytes)));
        let digits = String::from_utf8_lossy(&bytes).trim().to_owned();
        let decoded = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
        candidates.extend(decoded.map(Key::from_bytes));
    }
    for candidate in &candidates {
        assert!(RosterStore::look(&copy, candidate).is_err());
        assert_eq!(stays.found_in(&pages(candidate, &copy)), 0);
    }
    assert!(RosterStore::look(&copy, &key).is_ok(), "the key that was destroyed would open it");
    assert!(copies.iter().all(|bytes| stays.found_in(bytes) == 0));
    assert!(door.stop().expect("it stops").success());
}
