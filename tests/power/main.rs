//! Power cuts with the page cache lost: what the box has answered for is on the disk at every moment.
//!
//! This test starts itself again with `record.c` preloaded. There it plays the box: it makes keys, records events, takes
//! receipts, begins epochs, keeps the clock's floor, and says each time what it would now answer for. `image.rs` then makes
//! out of the record what the disk may hold at any moment, and the box's own code opens that. `EXAMGATE_CUTS` says at how many
//! moments (150), `EXAMGATE_SEED` repeats a run. Needs a C compiler, as building does, and nothing else: no root, no mount.

mod image;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use examgate::{
    domain::{Decision, DeviceId, Epoch, Seq, Timestamp, sample::verified},
    edge::clock::SystemClock,
    store::{Acknowledged, Cause, EventStore, Key, KeyFolder, KeyName, Layout, Limits},
};
use uuid::Uuid;

use crate::image::{Chance, Change, Disk, Loses, waits};

/// The file in which the box says what it answers for. It is no part of the disk.
const SAID: &str = "said";

/// The folder in which this test plays the box, when it was started to do so.
const PLAY: &str = "EXAMGATE_RECORD_ROOT";

#[expect(clippy::disallowed_methods, reason = "the length of the run and its seed are chosen from outside")]
fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str) -> Option<u64> {
    from_environment(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

fn epoch(n: u64) -> Epoch {
    Epoch(Uuid::from_u128(u128::from(n)))
}

fn open(root: &Path, key: &Key, fresh: Epoch) -> Result<EventStore, examgate::store::EventError> {
    let limits = Limits { rows: 10_000, reserve: 0 };
    EventStore::open(&Layout::new(root.join("state")).events(), key, &door(), fresh, limits)
}

fn keys(root: &Path) -> KeyFolder {
    KeyFolder::new(root.join("keys"), None)
}

/// The box's part: everything that it writes, said after it was answered.
fn play(root: &Path) {
    let mut said = fs::File::create(root.join(SAID)).expect("writable");
    let mut say = |words: String| {
        std::io::Write::write_all(&mut said, words.as_bytes()).expect("writable");
    };
    fs::create_dir(root.join("keys")).expect("made");
    keys(root).provision().expect("provisioned");
    let key = keys(root).make(KeyName::Events).expect("made");
    say(format!("key {}", hex::encode(key.expose())));
    Layout::new(root.join("state")).make().expect("made");
    let mut store = open(root, &key, epoch(1)).expect("opens");
    say("epoch 1".into());
    let (mut epochs, floor) = (1, root.join("state/clock-floor"));
    for n in 1..=400_u64 {
        let recorded = store.record(&verified(n, "A", Some(n as u8), Decision::Admit)).expect("recorded");
        say(format!("recorded {} {}", recorded.seq, hex::encode(recorded.hash.as_bytes())));
        if n % 37 == 0 {
            SystemClock::new(&floor).note().expect("noted");
            say(format!("floor {}", fs::read_to_string(&floor).expect("written")));
        }
        if n % 29 == 0 {
            let sent = store.outgoing(Seq(0), usize::MAX >> 1).expect("readable");
            let up_to = &sent[sent.len() - 5];
            say(format!("receipt {}", n - 4));
            let gone = store.acknowledge(up_to.epoch, up_to.seq, up_to.hash).expect("works");
            assert!(matches!(gone, Acknowledged::Held(1..)), "{gone:?}");
            say(format!("deleted {}", n - 4));
        }
        if n % 90 == 0 {
            store.begin_epoch(epoch(epochs + 1), &door(), Cause::SetBack, Timestamp::UNIX_EPOCH).expect("begun");
            epochs += 1;
            say(format!("epoch {epochs}"));
        }
        if n % 53 == 0 {
            drop(store);
            store = open(root, &key, epoch(99)).expect("opens again");
        }
    }
}

/// What the box has answered for up to a moment.
#[derive(Clone, Default)]
struct Answered {
    key: Option<String>,
    epochs: u64,
    recorded: BTreeMap<u64, String>,
    /// Up to where rows may have left the outbox.
    receipted: u64,
    /// Up to where they have.
    deleted: u64,
    floor: Option<String>,
}

impl Answered {
    fn hear(&mut self, words: &str) {
        let (what, rest) = words.split_once(' ').expect("two words");
        let number = || rest.parse().expect("a number");
        match what {
            "key" => self.key = Some(rest.into()),
            "epoch" => self.epochs = number(),
            "recorded" => {
                let (seq, hash) = rest.split_once(' ').expect("two words");
                self.recorded.insert(seq.parse().expect("a number"), hash.into());
            }
            "receipt" => self.receipted = number(),
            "deleted" => self.deleted = number(),
            "floor" => self.floor = Some(rest.into()),
            other => panic!("{other}"),
        }
    }

    /// What of it is not on the disk.
    fn lacks(&self, root: &Path) -> Option<String> {
        if let Some(said) = &self.floor {
            let path = root.join("state/clock-floor");
            let Ok(held) = fs::read_to_string(&path) else { return Some("the clock's floor is gone".into()) };
            let standing = SystemClock::new(&path).explain().to_string();
            if standing.contains("clock-floor") || held.as_str() < said.as_str() {
                return Some(format!("the clock's floor is {held:?}: {standing}"));
            }
        }
        let Some(key) = &self.key else { return None };
        let held = match keys(root).read(KeyName::Events) {
            Ok(held) => held,
            Err(error) => return Some(format!("the key: {error}")),
        };
        if hex::encode(held.expose()) != *key {
            return Some("the key is another one".into());
        }
        if self.epochs == 0 {
            return None;
        }
        self.store_lacks(root, &held).unwrap_or_else(|error| Some(error.to_string()))
    }

    fn store_lacks(&self, root: &Path, key: &Key) -> Result<Option<String>, examgate::store::EventError> {
        let mut store = open(root, key, epoch(99))?;
        store.sealed().verify()?;
        let last = store.verify_chain()?.last;
        let epochs: Vec<_> = store.epochs()?.iter().map(|info| info.epoch).collect();
        if !(0..self.epochs).all(|n| epochs.get(n as usize) == Some(&epoch(n + 1))) {
            return Ok(Some(format!("epochs {epochs:?} of {}", self.epochs)));
        }
        let held: BTreeMap<_, _> = store
            .events(Seq(0), usize::MAX >> 1)?
            .iter()
            .map(|row| (row.seq.0, hex::encode(row.hash.as_bytes())))
            .collect();
        if let Some((seq, _)) = self.recorded.iter().find(|&(seq, hash)| held.get(seq) != Some(hash)) {
            return Ok(Some(format!("event {seq} is lost or another one; the last is {last}")));
        }
        let deleted = last.0 - store.outbox_len()?;
        if !(self.deleted..=self.receipted).contains(&deleted) {
            let (least, most) = (self.deleted, self.receipted);
            return Ok(Some(format!("{deleted} rows left the outbox, not {least} to {most}")));
        }
        let next = store.record(&verified(1_000, "A", None, Decision::Admit))?.seq;
        Ok((next.0 != last.0 + 1).then(|| format!("{next} after {last}")))
    }
}

/// A folder in memory where there is one: nothing here has to reach a disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

/// Compiles `record.c`, plays the box under it, and gives what it changed.
fn recorded(scratch: &Path) -> (PathBuf, Vec<Change>) {
    let (root, log, library) = (scratch.join("root"), scratch.join("log"), scratch.join("record.so"));
    fs::create_dir(&root).expect("made");
    let root = root.canonicalize().expect("there");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/record.c");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).output();
    let compiled = compiled.expect("a C compiler is needed: package gcc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let played = Command::new(std::env::current_exe().expect("a running test has a file"))
        .args(["what_was_answered_for_survives_a_power_cut", "--exact", "--nocapture"])
        .env("LD_PRELOAD", &library)
        .env(PLAY, &root)
        .env("EXAMGATE_RECORD_LOG", &log)
        .output()
        .expect("this test starts again");
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    (root, Change::read(&log))
}

/// Cuts the power `cuts` times and says what was missing, with the moment.
fn cut(root: &Path, changes: &[Change], cuts: usize, chance: &mut Chance, lies: bool) -> Vec<(usize, Loses, String)> {
    let mut moments: Vec<usize> = (0..cuts).map(|_| chance.below(changes.len())).collect();
    moments.sort_unstable();
    let mut moments = moments.into_iter().peekable();
    let (mut disk, mut answered) = (Disk::new(lies), Answered::default());
    let mut missing = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        match change.said(&root.join(SAID)) {
            Some(words) => answered.hear(words),
            None => disk.take(change),
        }
        while moments.next_if_eq(&at).is_some() {
            for loses in [Loses::Everything, Loses::Nothing, Loses::Some, Loses::Some] {
                let after = scratch();
                disk.cut(root, after.path(), loses, chance);
                missing.extend(answered.lacks(after.path()).map(|what| (at, loses, what)));
            }
        }
    }
    missing
}

#[test]
fn what_was_answered_for_survives_a_power_cut() {
    if let Some(root) = from_environment(PLAY) {
        return play(Path::new(&root));
    }
    let cuts = number("EXAMGATE_CUTS").unwrap_or(150);
    let seed = number("EXAMGATE_SEED").unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1 >> 1);
    eprintln!("repeat with EXAMGATE_SEED={seed} EXAMGATE_CUTS={cuts}");
    let (scratch, mut chance) = (scratch(), Chance(seed));
    let (root, changes) = recorded(scratch.path());
    assert!(waits(&changes) > 400, "only {} waits for the disk in {} changes", waits(&changes), changes.len());
    let missing = cut(&root, &changes, cuts as usize, &mut chance, false);
    assert!(missing.is_empty(), "{} times something was missing, first {:?}", missing.len(), missing[0]);
    // The same eyes see what a disk loses that does not keep its word.
    let missing = cut(&root, &changes, 20, &mut chance, true);
    assert!(!missing.is_empty(), "a disk that lies must be noticed");
    eprintln!("{} changes, {} waits, {} cuts", changes.len(), waits(&changes), 4 * cuts);
}
