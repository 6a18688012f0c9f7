//! The event store where it hurts: killed in the middle of its work, and on a disk that is really full.
//!
//! Both need a process or a mount of their own, so each test starts this very test again in a prepared folder: there it
//! plays the other part.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use examgate::{
    domain::{Decision, DeviceId, Epoch, EventHash, Seq, sample::verified},
    store::{EventError, EventStore, Headroom, Key, Limits},
};
use uuid::Uuid;

const EPOCH: Epoch = Epoch(Uuid::from_u128(0xE));

fn open(folder: &Path, reserve: u64) -> Result<EventStore, EventError> {
    let limits = Limits { reserve, ..Limits::default() };
    let device = DeviceId::new("door-1").expect("valid");
    EventStore::open(&folder.join("events.db"), &Key::from_bytes([7; 32]), &device, EPOCH, limits)
}

/// Starts one test of this file again, in `folder`.
fn this_test_again(name: &str, folder: &Path, before: &[&str]) -> Command {
    let this = std::env::current_exe().expect("a running test has a file");
    let (program, arguments) = before.split_first().map_or((this.as_os_str(), before), |(p, rest)| (p.as_ref(), rest));
    let mut command = Command::new(program);
    command.args(arguments);
    if !before.is_empty() {
        command.arg(&this);
    }
    command.args([name, "--exact", "--nocapture"]).current_dir(folder);
    command
}

/// In this folder the test records for ever.
const FOR_EVER: &str = "for-ever";

#[test]
fn what_was_answered_for_survives_kill_9() {
    if Path::new(FOR_EVER).exists() {
        record_for_ever();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    File::create(folder.path().join(FOR_EVER)).expect("an empty file");
    let mut answered = BTreeMap::new();
    // A different number of events before each kill; together enough for the log to be moved into the database.
    for round in 0_u64..20 {
        let events = 1 + (round * 37 + 11) % 50;
        let mut child = this_test_again("what_was_answered_for_survives_kill_9", folder.path(), &[])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test starts again");
        let new = answers_until_killed(&mut child, events as usize);
        assert!(new.len() >= events as usize, "the child stopped early in round {round}");
        answered.extend(new);

        let store = open(folder.path(), 0).expect("opens after kill -9");
        let end = store.verify_chain().expect("whole");
        let last = *answered.last_key_value().expect("some").0;
        assert!((last..=last + 1).contains(&end.last.0), "answered for {last}, holds {}", end.last);
        let held: BTreeMap<_, _> = store
            .events(Seq(0), usize::MAX >> 1)
            .expect("reads")
            .iter()
            .map(|row| (row.seq.0, text(row.hash)))
            .collect();
        for (seq, hash) in &answered {
            assert_eq!(held.get(seq), Some(hash), "event {seq} is lost or another one");
        }
        assert_eq!(store.outbox_len().expect("counts"), end.last.0, "an event without its outbox row");
    }
}

fn text(hash: EventHash) -> String {
    hex::encode(hash.as_bytes())
}

/// The part that is killed: prints each event only after the store has answered for it.
fn record_for_ever() -> ! {
    let mut store = open(Path::new("."), 0).expect("opens");
    let mut out = std::io::stdout();
    loop {
        let n = store.ends().expect("reads").last.0 + 1;
        let recorded = store.record(&verified(n, "A", Some(1), Decision::Admit)).expect("records");
        out.write_all(format!("recorded {} {}\n", recorded.seq, text(recorded.hash)).as_bytes()).expect("prints");
        out.flush().expect("prints");
    }
}

/// Waits for `count` answers, kills the child, and takes what it still had printed.
fn answers_until_killed(child: &mut Child, count: usize) -> BTreeMap<u64, String> {
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut answers = BTreeMap::new();
    for line in out.lines() {
        let line = line.expect("text");
        let Some((seq, hash)) = line.strip_prefix("recorded ").and_then(|rest| rest.split_once(' ')) else { continue };
        // A line cut by the kill is no answer.
        if hash.len() == 64 {
            answers.insert(seq.parse().expect("a number"), hash.to_owned());
        }
        if answers.len() == count {
            child.kill().expect("kill -9");
        }
    }
    child.wait().expect("the child is gone");
    answers
}

/// Bytes of the small disk, and of the reserve on it.
const DISK: u64 = 6 << 20;
const RESERVE: u64 = 1 << 20;

#[test]
fn on_a_full_disk_the_reserve_is_for_decisions() {
    let here = rustix::fs::statvfs(".").expect("a filesystem");
    if here.f_blocks * here.f_frsize == DISK {
        return fill_the_disk();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = format!("mount -t tmpfs -o size={DISK} tmpfs . && cd \"$PWD\" && exec \"$@\"");
    let before = [mount_namespace(), &["sh", "-c", &script, "sh"]].concat();
    let output = this_test_again("on_a_full_disk_the_reserve_is_for_decisions", folder.path(), &before).output();
    let output = output.expect("unshare is needed (package util-linux), or sudo");
    assert!(
        output.status.success(),
        "needs a mount of its own (user namespaces, root, or sudo without a password), or it failed there:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What gives a program mounts of its own. In a chroot, and where an administrator says so, a plain user has no user namespaces: then
/// root has to help.
fn mount_namespace() -> &'static [&'static str] {
    const OF_A_USER: &[&str] = &["unshare", "--map-root-user", "--mount"];
    let tried = Command::new(OF_A_USER[0]).args(&OF_A_USER[1..]).arg("true").stderr(Stdio::null()).status();
    if tried.is_ok_and(|ended| ended.success()) {
        OF_A_USER
    } else {
        &["sudo", "--non-interactive", "unshare", "--mount"]
    }
}

fn fill_the_disk() {
    let here = Path::new(".");
    let mut store = open(here, RESERVE).expect("opens");
    let mut n = 0;
    let mut next = |store: &mut EventStore| {
        let recorded = store.record(&verified(n + 1, "A", Some(1), Decision::Admit));
        n += u64::from(recorded.is_ok());
        recorded
    };
    for _ in 0..3 {
        next(&mut store).expect("there is room");
    }
    assert_eq!(store.room().expect("reads"), Headroom::Plenty);

    let hog = || {
        let mut hog = File::options().append(true).create(true).open("hog").expect("opens");
        while hog.write_all(&[1; 4096]).is_ok() {}
    };
    hog();
    while store.room().expect("reads") == Headroom::Plenty {
        next(&mut store).expect("recorded out of the reserve");
    }
    assert_eq!(store.room().expect("reads"), Headroom::Low);

    // A restart on the full disk.
    drop(store);
    let mut store = open(here, RESERVE).expect("opens on a full disk");

    // The hog takes whatever it can between any two decisions.
    let mut out_of_reserve = 0;
    let error = loop {
        hog();
        match next(&mut store) {
            Ok(_) => out_of_reserve += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, EventError::DiskFull), "{error}");
    assert!(out_of_reserve >= 10, "only {out_of_reserve} decisions out of {RESERVE} bytes");
    assert_eq!(store.room().expect("reads"), Headroom::Exhausted);
    let held = store.verify_chain().expect("whole").last.0;
    assert_eq!(store.outbox_len().expect("counts"), held);

    fs::remove_file("hog").expect("removes");
    assert_eq!(next(&mut store).expect("there is room again").seq, Seq(held + 1));
    assert_eq!(store.room().expect("reads"), Headroom::Plenty);
    assert_eq!(n, held + 1, "an event was lost");
}
