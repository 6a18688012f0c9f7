//! What a commit comes to: confirmed, forked, missing, renamed.

use std::time::Duration;

use examgate::domain::{EventId, chain_hash};
use uuid::Uuid;

use super::*;

const EPOCH: Epoch = Epoch(Uuid::from_u128(1));

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

/// Events 1..=n of one chain.
fn chain(n: u64) -> Vec<EventEnvelope> {
    let mut prev = EventHash::START;
    (1..=n)
        .map(|seq| {
            let event = envelope(EPOCH, seq, prev, &format!("event {seq}"));
            prev = event.hash;
            event
        })
        .collect()
}

fn envelope(epoch: Epoch, seq: u64, prev: EventHash, body: &str) -> EventEnvelope {
    EventEnvelope {
        device: door(),
        epoch,
        seq: Seq(seq),
        event_id: EventId(Uuid::from_u128(u128::from(seq))),
        prev,
        hash: chain_hash(epoch, Seq(seq), &prev, body.as_bytes()),
        body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger =
        Ledger::open(&folder.path().join("ledger.db"), &Key::generate().expect("random")).expect("a new ledger");
    (folder, ledger)
}

fn outcome(fresh: usize, end: (u64, EventHash), raised: &[(u64, Incident)]) -> Committed {
    let raised =
        raised.iter().map(|&(seq, what)| Raised { device: door(), epoch: EPOCH, events: (Seq(seq), Seq(seq)), what });
    Committed {
        fresh,
        contiguous: BTreeMap::from([((door(), EPOCH), (Seq(end.0), end.1))]),
        raised: raised.collect(),
        unusable: Vec::new(),
    }
}

fn seen(ledger: &Ledger) -> Vec<(u128, u64, bool)> {
    let mut seen = Vec::new();
    ledger
        .each(|entry| {
            seen.push((entry.epoch.0.as_u128(), entry.seq.0, entry.confirmed));
            Ok(())
        })
        .expect("readable")
        .expect("no output to fail");
    seen
}

#[test]
fn an_event_that_the_database_cannot_take_is_put_aside_and_the_others_are_kept() {
    let (_folder, mut ledger) = ledger();
    let good = chain(2);
    let bad = envelope(EPOCH, u64::MAX, EventHash::START, "no place in SQLite");
    let committed = ledger.commit(&[good[0].clone(), bad.clone(), good[1].clone()]).expect("the disk is well");
    let [(device, epoch, seq, why)] = committed.unusable.as_slice() else { panic!("one: {committed:?}") };
    assert_eq!((device, *epoch, *seq), (&door(), EPOCH, bad.seq));
    assert!(!why.is_empty());
    let end = (Seq(2), good[1].hash);
    assert_eq!((committed.fresh, committed.contiguous[&(door(), EPOCH)]), (2, end));
    // Alone, too, and nothing is receipted for it.
    assert!(ledger.commit(&[bad]).expect("the disk is well").contiguous.is_empty());
    let top = ledger.commit(&[envelope(EPOCH, Seq::MAX.0, EventHash::START, "the last place")]).expect("works");
    assert_eq!((top.fresh, top.contiguous[&(door(), EPOCH)]), (1, end));
}

#[test]
fn a_fault_of_the_database_is_an_error() {
    let (folder, mut ledger) = ledger();
    ledger.0.connection().pragma_update(None, "max_page_count", 32).expect("a limit");
    let event = |seq| envelope(EPOCH, seq, EventHash::START, &"x".repeat(4000));
    let full = (1..500).find_map(|seq| ledger.commit(&[event(seq)]).err());
    assert!(matches!(full, Some(Fault::Full { .. })), "{full:?}");
    drop(folder);
}

#[test]
fn out_of_order_is_committed_and_only_the_contiguous_is_confirmed() {
    let (_folder, mut ledger) = ledger();
    let events = chain(4);
    let end = |n: usize| (n as u64, events[n - 1].hash);
    let nothing = (0, EventHash::START);
    assert_eq!(ledger.commit(&events[2..3]).expect("works"), outcome(1, nothing, &[]));
    assert_eq!(ledger.commit(&events[..1]).expect("works"), outcome(1, end(1), &[]));
    assert_eq!(seen(&ledger), [(1, 1, true), (1, 3, false)]);
    assert_eq!(ledger.commit(&events[1..2]).expect("works"), outcome(1, end(3), &[]));
    assert_eq!(ledger.commit(&events[..]).expect("works"), outcome(1, end(4), &[]), "known ones change nothing");
    assert_eq!(seen(&ledger), [(1, 1, true), (1, 2, true), (1, 3, true), (1, 4, true)]);
}

#[test]
fn a_forked_chain_is_an_incident_and_no_event_of_it_is_lost() {
    let (_folder, mut ledger) = ledger();
    let events = chain(3);
    ledger.commit(&events).expect("works");
    // The box was set back to 1 and recorded three others.
    let mut prev = events[0].hash;
    let others: Vec<_> = (2..5)
        .map(|seq| {
            let event = EventEnvelope {
                event_id: EventId(Uuid::from_u128(u128::from(seq) + 100)),
                ..envelope(EPOCH, seq, prev, &format!("another {seq}"))
            };
            prev = event.hash;
            event
        })
        .collect();
    let end = (3, events[2].hash);
    let first = ledger.commit(&others[..1]).expect("works");
    assert_eq!(first, outcome(1, end, &[(2, Incident::Forked)]), "the receipt says whose chain goes on");
    assert_eq!(ledger.commit(&others).expect("works"), outcome(2, end, &[]), "said once");
    let held = ledger.incidents().expect("readable");
    assert_eq!((held.len(), held[0].what, held[0].events), (1, Incident::Forked, (Seq(2), Seq(4))));
    // The same events in a new epoch count once.
    let (epoch, mut prev) = (Epoch(Uuid::from_u128(2)), EventHash::START);
    let again: Vec<_> = events[2..3]
        .iter()
        .chain(&others)
        .zip(1..)
        .map(|(event, seq)| {
            let body = std::str::from_utf8(&event.body).expect("text");
            let event = EventEnvelope { event_id: event.event_id, ..envelope(epoch, seq, prev, body) };
            prev = event.hash;
            event
        })
        .collect();
    let committed = ledger.commit(&again).expect("works");
    assert_eq!((committed.fresh, committed.raised), (0, Vec::new()));
    assert_eq!(committed.contiguous[&(door(), epoch)], (Seq(4), prev));
    let all = seen(&ledger);
    assert_eq!(all, [(1, 1, true), (1, 2, true), (1, 3, true), (2, 2, true), (2, 3, true), (2, 4, true)]);
}

#[test]
fn one_id_for_two_events_is_an_incident_and_both_are_kept() {
    let (_folder, mut ledger) = ledger();
    let events = chain(1);
    ledger.commit(&events).expect("works");
    let reused = EventEnvelope { event_id: events[0].event_id, ..envelope(EPOCH, 2, events[0].hash, "second") };
    let end = (2, reused.hash);
    assert_eq!(ledger.commit(&[reused]).expect("works"), outcome(1, end, &[(2, Incident::NameReused)]));
    assert_eq!(seen(&ledger), [(1, 1, true), (1, 2, true)]);
}

#[test]
fn a_gap_that_stays_is_an_incident_until_it_is_filled() {
    let (_folder, mut ledger) = ledger();
    let events = chain(5);
    ledger.commit(&events[..1]).expect("works");
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty(), "nothing is missing");
    ledger.commit(&events[3..4]).expect("works");
    assert!(ledger.gaps(Duration::from_secs(60)).expect("works").is_empty(), "it is young");
    let raised = ledger.gaps(Duration::ZERO).expect("works");
    let gap =
        |first, last| Raised { device: door(), epoch: EPOCH, events: (Seq(first), Seq(last)), what: Incident::Gap };
    assert_eq!(raised, [gap(2, 3)]);
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty(), "said once");
    assert!(ledger.incidents().expect("readable")[0].ended_at.is_none());
    ledger.commit(&events[4..5]).expect("works");
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty(), "it is the same gap");
    ledger.commit(&events[1..3]).expect("works");
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty());
    let filled = ledger.incidents().expect("readable");
    assert!(filled.len() == 1 && filled[0].ended_at.is_some(), "{filled:?}");
    assert!(filled[0].to_string().contains("events 2 to 3: gap"), "{}", filled[0]);
}

#[test]
fn an_epoch_of_another_box_is_an_incident() {
    let (_folder, mut ledger) = ledger();
    let events = chain(2);
    ledger.commit(&events[..1]).expect("works");
    let renamed = EventEnvelope { device: DeviceId::new("door-2").expect("valid"), ..events[1].clone() };
    let committed = ledger.commit(std::slice::from_ref(&renamed)).expect("works");
    assert_eq!(committed.raised[0].what, Incident::OtherDevice);
    assert_eq!(committed.contiguous[&(renamed.device.clone(), EPOCH)], (Seq(0), EventHash::START));
    assert_eq!(ledger.gaps(Duration::ZERO).expect("works")[0].events, (Seq(1), Seq(1)), "and its gap stays");
}

#[test]
fn a_ledger_of_the_schema_before_is_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, key) = (folder.path().join("ledger.db"), Key::generate().expect("random"));
    let events = chain(4);
    {
        let old = Kind { migrations: &LEDGER.migrations[..1], ..LEDGER };
        let sealed = Sealed::open_or_create(&path, &key, &old).expect("made");
        for event in events[..2].iter().chain(&events[3..]) {
            let EventEnvelope { device, epoch, seq, event_id, prev, hash, body } = event;
            sealed
                .connection()
                .execute(
                    "INSERT INTO event (device, epoch, seq, id, prev, hash, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        device.as_str(),
                        epoch.0.as_bytes(),
                        seq.0,
                        event_id.0.as_bytes(),
                        prev.as_bytes(),
                        hash.as_bytes(),
                        body.as_slice()
                    ],
                )
                .expect("inserted");
        }
        let life = "INSERT INTO life (device, epoch, contiguous) VALUES ('door-1', ?1, 2)";
        sealed.connection().execute(life, [EPOCH.0.as_bytes()]).expect("inserted");
    }
    let mut ledger = Ledger::open(&path, &key).expect("taken over");
    assert_eq!(seen(&ledger), [(1, 1, true), (1, 2, true), (1, 4, false)]);
    let end = (4, events[3].hash);
    assert_eq!(ledger.commit(&events[2..]).expect("works"), outcome(1, end, &[]));
}
