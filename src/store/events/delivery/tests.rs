//! Receipts that confirm, contradict or come too late; epochs that begin with what waits; the id of a box.

use std::path::Path;

use rusqlite::params;

use super::*;
use crate::{
    domain::{CardPseudonym, Decision, DeviceId, ExamId, Reason, StudentId, Whereabouts, chain_hash, sample::verified},
    store::{
        Cause, EventStore, Key, Limits,
        events::{EVENTS, tests::at},
        sealed::{Kind, Sealed},
    },
};

const KEY: Key = Key::from_bytes([7; 32]);
const FIRST: Epoch = Epoch(Uuid::from_u128(1));
const SECOND: Epoch = Epoch(Uuid::from_u128(2));
const START: EventHash = EventHash::START;

fn door(n: u32) -> DeviceId {
    DeviceId::new(format!("door-{n}")).unwrap()
}

fn try_open(folder: &Path, device: &DeviceId) -> Result<EventStore, EventError> {
    let limits = Limits { rows: 10_000, reserve: 0 };
    EventStore::open(&folder.join("events.db"), &KEY, device, FIRST, limits)
}

fn open(folder: &Path) -> EventStore {
    try_open(folder, &door(1)).unwrap()
}

fn record(store: &mut EventStore, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        store.record(&verified(n, "A", Some(n as u8), Decision::Admit)).unwrap();
    }
}

/// Number and event of what travels.
fn travels(store: &EventStore, after: u64) -> Vec<(u64, u128)> {
    store.outgoing(Seq(after), 10_000).unwrap().iter().map(|row| (row.seq.0, row.event_id.0.as_u128())).collect()
}

/// The link at a number of the current epoch.
fn link(store: &EventStore, seq: u64) -> EventHash {
    store.outgoing(Seq(seq - 1), 1).unwrap()[0].hash
}

/// Whether what travels is one chain from its start.
fn is_chained(store: &EventStore) {
    let mut prev = START;
    for (row, seq) in store.outgoing(Seq(0), 10_000).unwrap().iter().zip(1..) {
        assert_eq!((row.seq, row.prev), (Seq(seq), prev));
        assert_eq!(row.hash, chain_hash(row.epoch, row.seq, &row.prev, &row.body));
        prev = row.hash;
    }
    store.verify_chain().unwrap();
}

#[test]
fn only_a_receipt_for_this_boxs_own_event_lets_rows_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    record(&mut store, 1..=5);
    let (third, fifth) = (link(&store, 3), link(&store, 5));
    let other = Acknowledged::Contradicts(Contradiction::OtherEvent { seq: Seq(3) });
    let beyond = Acknowledged::Contradicts(Contradiction::Beyond { receipt: Seq(6), last: Seq(5) });
    for (epoch, seq, hash, outcome, waiting) in [
        (SECOND, 5, fifth, Acknowledged::AnotherEpoch, 5),
        (FIRST, 3, fifth, other, 5),
        (FIRST, 3, START, other, 5),
        (FIRST, 6, fifth, beyond, 5),
        (
            FIRST,
            u64::MAX,
            fifth,
            Acknowledged::Contradicts(Contradiction::Beyond { receipt: Seq(u64::MAX), last: Seq(5) }),
            5,
        ),
        (FIRST, 0, START, Acknowledged::Held(0), 5),
        (FIRST, 3, third, Acknowledged::Held(3), 2),
        (FIRST, 3, third, Acknowledged::Held(0), 2),
        (FIRST, 3, fifth, other, 2),
        (FIRST, 1, link(&store, 1), Acknowledged::Held(0), 2),
        (FIRST, 5, fifth, Acknowledged::Held(2), 0),
    ] {
        assert_eq!(store.acknowledge(epoch, Seq(seq), hash).unwrap(), outcome, "{epoch} {seq}");
        assert_eq!(store.outbox_len().unwrap(), waiting, "{epoch} {seq}");
    }
    assert_eq!(store.receipted().unwrap(), Seq(5));
    assert_eq!(travels(&store, 0), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], "the events stay");
    record(&mut store, 6..=6);
    assert_eq!((store.receipted().unwrap(), travels(&store, 5)), (Seq(5), vec![(6, 6)]));
}

#[test]
fn what_waits_travels_in_the_new_epoch_and_history_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let failed = |n| verified(n, "A", Some(9), Decision::Deny(Reason::FaceMismatch));
    record(&mut store, 1..=3);
    store.record(&failed(4)).unwrap();
    store.acknowledge(FIRST, Seq(2), link(&store, 2)).unwrap();
    assert_eq!(store.begin_epoch(SECOND, &door(1), Cause::SetBack, at(9)).unwrap(), 2);

    assert_eq!((store.epoch().unwrap(), store.receipted().unwrap()), (SECOND, Seq(0)));
    assert_eq!(travels(&store, 0), [(1, 3), (2, 4)], "under new numbers and their own ids");
    store.record(&failed(5)).unwrap();
    assert_eq!(travels(&store, 1), [(2, 4), (3, 5)]);
    is_chained(&store);
    let card = CardPseudonym::from_bytes([9; 32]);
    assert_eq!(store.history(&[card]).unwrap().failed_in_a_row, 2, "a lock-out counts over the epochs");
    let (exam, student) = (ExamId::new("A").unwrap(), StudentId::new("N1").unwrap());
    assert_eq!(store.whereabouts(&exam, &student).unwrap(), Whereabouts::Inside);
    assert!(matches!(store.record(&failed(4)), Err(EventError::Duplicate { .. })));

    let (two, three) = (link(&store, 2), link(&store, 3));
    assert_eq!(store.acknowledge(FIRST, Seq(4), two).unwrap(), Acknowledged::AnotherEpoch, "its time is over");
    assert_eq!(store.acknowledge(SECOND, Seq(2), two).unwrap(), Acknowledged::Held(2));
    drop(store);
    let mut store = open(folder.path());
    assert_eq!(store.acknowledge(SECOND, Seq(3), three).unwrap(), Acknowledged::Held(1));
    // With nothing waiting, and with an epoch that has no event of its own.
    for (n, resealed) in [(3, 0), (4, 0)] {
        let epoch = Epoch(Uuid::from_u128(n));
        assert_eq!(store.begin_epoch(epoch, &door(1), Cause::SetBack, at(9)).unwrap(), resealed);
        assert_eq!(store.acknowledge(epoch, Seq(0), START).unwrap(), Acknowledged::Held(0));
    }
    record(&mut store, 6..=7);
    assert_eq!(travels(&store, 0), [(1, 6), (2, 7)]);
    is_chained(&store);
    let began: Vec<_> = store.epochs().unwrap().iter().map(|info| info.began.map(|began| began.resealed)).collect();
    assert_eq!(began, [None, Some(2), Some(0), Some(0)]);
}

#[test]
fn a_new_epoch_begins_while_events_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (mut uplink, mut writer) = (open(folder.path()), open(folder.path()));
    record(&mut writer, 1..=3_500);
    let recording = std::thread::spawn(move || record(&mut writer, 3_501..=3_600));
    let resealed = uplink.begin_epoch(SECOND, &door(1), Cause::SetBack, at(9)).unwrap();
    recording.join().unwrap();
    assert!((3_500..=3_600).contains(&resealed), "{resealed}");
    assert_eq!(travels(&uplink, 0), (1..=3_600).map(|n| (n, u128::from(n))).collect::<Vec<_>>());
    is_chained(&uplink);
}

#[test]
fn an_epoch_that_was_cut_off_while_it_began_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    record(&mut store, 1..=3);
    let left = "INSERT INTO resealed (n, seq, prev, hash) VALUES (2, 1, x'00', x'00'), (2, 2, x'00', x'00')";
    store.sealed.connection().execute_batch(left).unwrap();
    drop(store);
    let mut store = open(folder.path());
    store.verify_chain().unwrap();
    assert_eq!(store.begin_epoch(SECOND, &door(1), Cause::SetBack, at(9)).unwrap(), 3);
    is_chained(&store);
}

#[test]
fn a_link_of_a_later_epoch_that_was_altered_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    record(&mut store, 1..=4);
    store.begin_epoch(SECOND, &door(1), Cause::SetBack, at(9)).unwrap();
    record(&mut store, 5..=5);
    for (harm, place) in [
        ("UPDATE resealed SET hash = zeroblob(32) WHERE seq = 2", 2),
        ("UPDATE resealed SET prev = zeroblob(32) WHERE seq = 3", 3),
        ("DELETE FROM resealed WHERE seq = 3", 4),
        ("DELETE FROM resealed WHERE seq = 4", 4),
    ] {
        store.sealed.connection().execute_batch("SAVEPOINT harm").unwrap();
        store.sealed.connection().execute_batch(harm).unwrap();
        let broken = store.verify_chain();
        assert!(matches!(&broken, Err(EventError::Broken { seq, .. }) if seq.0 == place), "{harm}: {broken:?}");
        store.sealed.connection().execute_batch("ROLLBACK TO harm; RELEASE harm").unwrap();
        store.verify_chain().unwrap();
    }
}

#[test]
fn another_id_is_refused_until_it_is_changed_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    record(&mut store, 1..=2);
    let refused = try_open(folder.path(), &door(2)).unwrap_err().to_string();
    for said in ["those of door-1", "is door-2", "set it back to door-1", "examgate change-id --from door-1"] {
        assert!(refused.contains(said), "{said}: {refused}");
    }
    assert_eq!((store.epochs().unwrap().len(), store.outbox_len().unwrap()), (1, 2), "nothing was changed");
    assert_eq!(store.begin_epoch(SECOND, &door(2), Cause::NewIdentity, at(9)).unwrap(), 2);
    drop(store);
    assert!(matches!(try_open(folder.path(), &door(1)), Err(EventError::OtherDevice { held, .. }) if held == "door-2"));
    let store = try_open(folder.path(), &door(2)).unwrap();
    assert_eq!(travels(&store, 0), [(1, 1), (2, 2)]);
    let last = store.epochs().unwrap().pop().unwrap();
    assert_eq!((last.device, last.began.unwrap().cause), (door(2), Cause::NewIdentity));
}

#[test]
fn a_store_of_the_schema_before_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    {
        let old = Kind { migrations: &EVENTS.migrations[..2], ..EVENTS };
        let sealed = Sealed::open_or_create(&path, &KEY, &old).unwrap();
        let sql = |sql: &str, values: &[&dyn rusqlite::ToSql]| sealed.connection().execute(sql, values).unwrap();
        sql("INSERT INTO life (only, epoch) VALUES (1, ?1)", params![FIRST.0.as_bytes()]);
        let mut prev = START;
        for n in 1..=3_u64 {
            let event = verified(n, "A", Some(1), Decision::Admit);
            let body = serde_json::to_vec(&event).unwrap();
            let hash = chain_hash(FIRST, Seq(n), &prev, &body);
            sql(
                "INSERT INTO events (seq, id, prev, hash, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![n, event.id.0.as_bytes(), prev.as_bytes(), hash.as_bytes(), body, event.at.to_string()],
            );
            prev = hash;
        }
        sql("INSERT INTO outbox (seq, bytes, total) VALUES (2, 9, 9), (3, 9, 18)", &[]);
    }
    let mut store = open(folder.path());
    is_chained(&store);
    let held = (store.epoch().unwrap(), store.receipted().unwrap(), store.outbox_len().unwrap());
    assert_eq!(held, (FIRST, Seq(1), 2));
    record(&mut store, 4..=4);
    is_chained(&store);
    assert!(matches!(try_open(folder.path(), &door(2)), Err(EventError::OtherDevice { .. })), "now it has an id");
}

#[test]
fn an_event_takes_less_disk_than_is_reckoned() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    record(&mut store, 1..=3_000);
    store.sealed.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let bytes = std::fs::metadata(folder.path().join("events.db")).unwrap().len();
    let limits = Limits { rows: 3_000, reserve: 0 };
    let reckoned = limits.disk(3_000) - limits.disk(0);
    eprintln!("{} bytes an event", bytes / 3_000);
    assert!(bytes * 3 / 2 < reckoned, "{bytes} of {reckoned}");
    assert_eq!(limits.held_by(limits.disk(3_000)), 3_000);
}
