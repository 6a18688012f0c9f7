//! Events as the door records and the uplink delivers them.

use std::path::PathBuf;

use super::*;
use crate::domain::{
    CardPseudonym, CredentialProfile, Decision, ExamId, History, Reason, StudentId, Timestamp, Whereabouts,
    sample::verified,
};

const KEY: Key = Key::from_bytes([7; 32]);
const EPOCH: Epoch = Epoch(Uuid::from_u128(0xE));
const LIMITS: Limits = Limits { rows: 1_000, reserve: 128 << 10 };

fn door() -> DeviceId {
    DeviceId::new("door-1").unwrap()
}

fn card(n: u8) -> CardPseudonym {
    CardPseudonym::from_bytes([n; 32])
}

pub(super) fn at(n: u64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n as i64).unwrap()
}

pub(super) fn exam(name: &str) -> ExamId {
    ExamId::new(name).unwrap()
}

/// Event `n` says: this card's student was answered so.
pub(super) fn event(n: u64, exam: &str, card: u8, decision: Decision) -> Event {
    verified(n, exam, Some(card), decision)
}

fn admit(n: u64) -> Event {
    event(n, "A", n as u8, Decision::Admit)
}

pub(super) struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        Self { _folder: folder, path }
    }

    pub(super) fn open(&self) -> EventStore {
        EventStore::open(&self.path, &KEY, &door(), EPOCH, LIMITS).unwrap()
    }
}

fn record(store: &mut EventStore, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        store.record(&admit(n)).unwrap();
    }
}

fn seqs(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.seq.0).collect()
}

#[test]
fn records_in_order_and_reads_back_what_was_recorded() {
    let bench = Bench::new();
    let mut store = bench.open();
    assert_eq!(store.ends().unwrap(), Ends { last: Seq(0), head: EventHash::START });
    let recorded: Vec<_> = (1..=5).map(|n| store.record(&admit(n)).unwrap()).collect();
    drop(store);

    let store = bench.open();
    let rows = store.events(Seq(0), 10).unwrap();
    assert_eq!(seqs(&rows), [1, 2, 3, 4, 5]);
    let mut prev = EventHash::START;
    for ((row, recorded), n) in rows.iter().zip(&recorded).zip(1..) {
        assert_eq!((row.seq, row.hash, row.prev), (recorded.seq, recorded.hash, prev));
        assert_eq!(row.event().unwrap(), admit(n));
        assert_eq!(*row.body, serde_json::to_vec(&admit(n)).unwrap());
        prev = row.hash;
    }
    assert_eq!(store.ends().unwrap(), Ends { last: Seq(5), head: prev });
    assert_eq!(store.verify_chain().unwrap(), Ends { last: Seq(5), head: prev });
    assert!(!format!("{rows:?}").contains("exam"), "{rows:?}");
}

#[test]
fn the_first_epoch_stays() {
    let bench = Bench::new();
    drop(bench.open());
    let other = Epoch(Uuid::from_u128(2));
    assert_eq!(EventStore::open(&bench.path, &KEY, &door(), other, LIMITS).unwrap().epoch().unwrap(), EPOCH);
}

#[test]
fn an_event_is_recorded_once() {
    let bench = Bench::new();
    let mut store = bench.open();
    store.record(&admit(1)).unwrap();
    assert!(matches!(store.record(&admit(1)), Err(EventError::Duplicate { id }) if id == admit(1).id));
    assert_eq!((store.ends().unwrap().last, store.outbox_len().unwrap()), (Seq(1), 1));
}

#[test]
fn a_second_handle_delivers_while_the_first_records() {
    let bench = Bench::new();
    let (mut door, mut uplink) = (bench.open(), bench.open());
    let thread = std::thread::spawn(move || {
        record(&mut door, 1..=100);
    });
    let mut delivered = Seq(0);
    while delivered < Seq(100) {
        let Some(last) = uplink.outgoing(delivered, 7).unwrap().pop() else { continue };
        delivered = last.seq;
        assert!(matches!(uplink.acknowledge(EPOCH, delivered, last.hash).unwrap(), Acknowledged::Held(1..=7)));
    }
    thread.join().unwrap();
    assert_eq!(uplink.outbox_len().unwrap(), 0);
    assert_eq!(uplink.verify_chain().unwrap().last, Seq(100));
}

#[test]
fn nothing_recorded_can_be_altered() {
    let bench = Bench::new();
    let mut store = bench.open();
    record(&mut store, 1..=3);
    let sql = |sql| store.sealed.connection().execute_batch(sql);
    assert!(sql("UPDATE events SET body = x'00' WHERE seq = 2").is_err());
    assert!(sql("DELETE FROM events WHERE seq = 3").is_err());

    // Whoever holds the key can take the guard away. The chain tells.
    for (harm, at) in [
        ("UPDATE events SET body = x'00' WHERE seq = 2", 2),
        ("UPDATE events SET prev = zeroblob(32) WHERE seq = 3", 3),
        ("DELETE FROM outbox WHERE seq = 1; DELETE FROM events WHERE seq = 1", 2),
    ] {
        sql("SAVEPOINT harm; DROP TRIGGER events_are_never_altered; DROP TRIGGER events_are_never_deleted").unwrap();
        sql(harm).unwrap();
        let broken = store.verify_chain();
        assert!(matches!(&broken, Err(EventError::Broken { seq, .. }) if seq.0 == at), "{harm}: {broken:?}");
        sql("ROLLBACK TO harm; RELEASE harm").unwrap();
        store.verify_chain().unwrap();
    }
}

#[test]
fn the_history_of_a_card_counts_failed_matches_in_a_row() {
    use Decision::{Admit, Deny, Refer};
    let bench = Bench::new();
    let mut store = bench.open();
    assert_eq!(store.history(&[card(1)]).unwrap(), History::default());
    for (n, (exam, card_number, decision, failed, last)) in [
        ("A", 1, Deny(Reason::FaceMismatch), 1, Some(1)),
        ("A", 1, Refer(Reason::SpoofSuspected), 2, Some(2)),
        ("A", 2, Deny(Reason::FaceMismatch), 2, Some(2)),
        ("A", 1, Refer(Reason::NoFace), 2, Some(2)),
        ("B", 1, Deny(Reason::FaceMismatch), 3, Some(5)),
        ("B", 2, Admit, 3, Some(5)),
        ("B", 1, Admit, 0, None),
        ("A", 1, Refer(Reason::FaceMismatch), 1, Some(8)),
    ]
    .into_iter()
    .enumerate()
    {
        store.record(&event(n as u64 + 1, exam, card_number, decision)).unwrap();
        store = bench.open();
        let history = History { failed_in_a_row: failed, last_failed_at: last.map(at), proven: None };
        assert_eq!(store.history(&[card(1)]).unwrap(), history, "after event {}", n + 1);
    }
}

#[test]
fn how_a_students_cards_were_read_is_known_over_exams_and_restarts() {
    use CredentialProfile::{Pacs, Uid};
    let bench = Bench::new();
    let mut store = bench.open();
    let both = [card(1), card(2)];
    assert_eq!(store.proven(&both).unwrap(), None);
    for (n, (exam, number, profile, decision, proven)) in [
        ("A", 1, Some(Uid), Decision::Admit, Some(Uid)),
        // Nobody looked at the camera: it says nothing of whose the card is.
        ("A", 2, Some(Pacs), Decision::Refer(Reason::NoFace), Some(Uid)),
        ("A", 2, None, Decision::Admit, Some(Uid)),
        ("A", 3, Some(Pacs), Decision::Admit, Some(Uid)),
        ("B", 2, Some(Pacs), Decision::Admit, Some(Pacs)),
        ("B", 1, Some(Uid), Decision::Admit, Some(Pacs)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut recorded = event(n as u64 + 1, exam, number, decision);
        let EventKind::Verification(verification) = &mut recorded.kind else { panic!("{recorded:?}") };
        verification.profile = profile;
        store.record(&recorded).unwrap();
        store = bench.open();
        assert_eq!(store.proven(&both).unwrap(), proven, "after event {}", n + 1);
    }
    assert_eq!(store.proven(&[card(1)]).unwrap(), Some(Uid));
    assert_eq!(store.proven(&[]).unwrap(), None);
}

#[test]
fn who_is_inside_is_known_per_exam() {
    let bench = Bench::new();
    let mut store = bench.open();
    store.record(&event(1, "A", 1, Decision::Refer(Reason::NoFace))).unwrap();
    store.record(&event(2, "B", 1, Decision::Admit)).unwrap();
    let n1 = StudentId::new("N1").unwrap();
    assert_eq!(store.whereabouts(&exam("A"), &n1).unwrap(), Whereabouts::Outside);
    assert_eq!(store.whereabouts(&exam("B"), &n1).unwrap(), Whereabouts::Inside);
    let n2 = StudentId::new("N2").unwrap();
    assert_eq!(store.whereabouts(&exam("B"), &n2).unwrap(), Whereabouts::Outside);
}

#[test]
fn projections_use_their_indexes() {
    let bench = Bench::new();
    let store = bench.open();
    for (sql, wanted) in [
        ("SELECT count(*) FROM events WHERE card = x'00' AND effect = 'failed' AND seq > 5", "of_card"),
        ("SELECT max(seq) FROM events WHERE card = x'00' AND effect = 'admitted'", "of_card"),
        ("SELECT 1 FROM events WHERE exam = 'A' AND student = 'N' AND effect = 'admitted'", "of_student"),
        (
            "SELECT ruling FROM events WHERE exam = 'A' AND student = 'N' AND ruling IS NOT NULL ORDER BY seq DESC LIMIT 1",
            "ruling_of_student",
        ),
        ("SELECT max(seq) FROM events WHERE card = x'00' AND ruling IN ('admit', 'admit_by_hand')", "ruling_of_card"),
        ("SELECT 1 FROM events WHERE undoes = x'00'", "undone_once"),
    ] {
        let plan: String =
            store.sealed.connection().query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3)).unwrap();
        assert!(plan.contains("SEARCH") && plan.contains(wanted), "{sql}: {plan}");
    }
}

#[test]
fn a_full_outbox_refuses_and_takes_up_again() {
    let bench = Bench::new();
    let limits = Limits { rows: 4, ..LIMITS };
    let mut store = EventStore::open(&bench.path, &KEY, &door(), EPOCH, limits).unwrap();
    assert_eq!(store.room().unwrap(), Headroom::Plenty);
    record(&mut store, 1..=3);
    assert_eq!(store.room().unwrap(), Headroom::Low);
    let last = store.record(&admit(4)).unwrap();
    assert_eq!(store.room().unwrap(), Headroom::Exhausted);
    assert!(matches!(store.record(&admit(5)), Err(EventError::OutboxFull { rows: 4 })));
    assert_eq!(store.outbox_len().unwrap(), 4);
    store.acknowledge(EPOCH, Seq(4), last.hash).unwrap();
    assert_eq!(store.room().unwrap(), Headroom::Plenty);
    assert_eq!(store.record(&admit(5)).unwrap().seq, Seq(5));
}

#[test]
fn without_room_the_next_event_is_refused_and_none_is_lost() {
    let bench = Bench::new();
    let mut store = bench.open();
    store.record(&admit(1)).unwrap();
    let pages: u32 = store.sealed.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.sealed.connection().pragma_update(None, "max_page_count", pages + 3).unwrap();
    let mut recorded = 1;
    let error = loop {
        match store.record(&admit(recorded + 1)) {
            Ok(_) => recorded += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, EventError::DiskFull), "{error}");
    assert_eq!(store.room().unwrap(), Headroom::Exhausted);
    assert_eq!(store.ends().unwrap().last, Seq(recorded));
    assert_eq!(store.outbox_len().unwrap(), recorded);
    store.verify_chain().unwrap();

    store.sealed.connection().pragma_update(None, "max_page_count", pages + 100).unwrap();
    assert_eq!(store.record(&admit(recorded + 1)).unwrap().seq, Seq(recorded + 1));
    assert_eq!(store.room().unwrap(), Headroom::Plenty);
}
