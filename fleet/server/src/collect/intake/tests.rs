//! Many boxes, one of them poisoned, into a real ledger: what is receipted, in which order, and to whom.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use examgate::{
    domain::{Epoch, EventHash, EventId, chain_hash},
    store::Key,
    wire::seal::{Identity, Recipient},
};
use examgate_fleet_core::{devices::Devices, ledger::Location};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{super::waiting::Offered, *};
use crate::health::Board;

const BOXES: u64 = 12;
const EVENTS: u64 = 60;
const POISONED: u64 = 5;

fn device(n: u64) -> DeviceId {
    DeviceId::new(format!("door-{n}")).expect("valid")
}

fn key(n: u64) -> SigningKey {
    SigningKey::from_seed(&[n as u8 + 1; 32])
}

fn receipt_key() -> SigningKey {
    SigningKey::from_seed(&[99; 32])
}

fn epoch(n: u64) -> Epoch {
    Epoch(Uuid::from_u128(u128::from(n) + 1))
}

/// Events of one box, as they travel. One that is poisoned signs places that no database holds, bodies that are not those of its
/// chain, and what is no event.
fn events(n: u64, collector: &Recipient) -> Vec<Vec<u8>> {
    let mut prev = EventHash::START;
    let mut event = |number: u64| {
        let seq = Seq(if n == POISONED && number.is_multiple_of(3) { Seq::MAX.0 } else { number });
        let body = format!("event {number} of {n}").into_bytes();
        let hash = chain_hash(epoch(n), seq, &prev, &body);
        let event_id = EventId(Uuid::from_u128(u128::from(n * 1_000 + number)));
        let event =
            EventEnvelope { device: device(n), epoch: epoch(n), seq, event_id, prev, hash, body: Zeroizing::new(body) };
        prev = hash;
        let signed = event.encode(&key(if n == POISONED && number % 3 == 1 { n + 1 } else { n }), collector);
        signed.expect("short")
    };
    (1..=EVENTS).map(&mut event).collect()
}

#[test]
fn each_box_is_receipted_in_its_order_and_one_that_is_poisoned_harms_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listed = (0..BOXES).fold(String::new(), |mut list, n| {
        let _ = write!(list, "[[device]]\nid = \"{}\"\npublic_key = \"{}\"\n", device(n), key(n).public());
        list
    });
    let path = folder.path().join("devices.toml");
    fs::write(&path, listed).expect("writable");
    let devices = Devices::read(&path).expect("a list");
    let (identity, metrics) = (Identity::generate(), Metrics::default());
    let waiting = Waiting::default();
    let mut sent: Vec<_> = (0..BOXES).map(|n| (n, events(n, &identity.recipient()).into_iter())).collect();
    // In turn, as the broker hands them over; the poisoned one twice as often.
    for _ in 0..EVENTS {
        for (n, events) in &mut sent {
            let payload = events.next().expect("as many as the others");
            for _ in 0..if *n == POISONED { 2 } else { 1 } {
                let topic = DeviceTopic::Event.of(&device(*n));
                let message = Message { topic, payload: payload.clone(), place: None };
                assert_ne!(waiting.offer(Some(device(*n)), message), Offered::Full);
            }
        }
    }
    waiting.close();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let gap_after = Duration::from_secs(600);
    let trusted = Trusted { devices, identities: vec![identity], receipts: vec![receipt_key()], document: None };
    let (_trusts, trusted) = watch::channel(Arc::new(trusted));
    let mut intake = Intake::new(trusted, gap_after, answers, metrics.clone());
    let location = Location::File(folder.path().join("ledger.db"));
    let mut ledger = Ledger::open(&location, &Key::generate().expect("random")).expect("a new ledger");
    let (until, _told) = watch::channel(None);
    let board = Board::with_broker(|registry| metrics.register(registry));
    let mut hold = Hold::new(Duration::from_secs(60), until, board, Gauge::default());
    assert_eq!(intake.serve(&mut ledger, &waiting, &mut hold).expect("the ledger is well"), Served::All);

    let mut receipted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    while let Ok(answer) = answered.try_recv() {
        let Answer::Receipt { topic, receipt } = answer else { panic!("nothing waits at the broker: {answer:?}") };
        let (named, _) = DeviceTopic::parse(&topic).expect("a topic of a box");
        let receipt = Receipt::decode(&receipt, &named, &receipt_key().public()).expect("signed");
        let n = (0..BOXES).find(|n| device(*n) == named).expect("one of ours");
        receipted.entry(n).or_default().push(receipt.seq.0);
    }
    for (n, receipts) in &receipted {
        assert!(receipts.is_sorted(), "box {n}: {receipts:?}");
        assert_eq!(receipts.last(), Some(if *n == POISONED { &0 } else { &EVENTS }), "box {n}: {receipts:?}");
    }
    assert_eq!(receipted.len() as u64, BOXES);
    let mut places: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let seen = ledger.each(|entry| {
        if entry.confirmed {
            places.entry(entry.device).or_default().push(entry.seq.0);
        }
        Ok(())
    });
    seen.expect("readable").expect("no output to fail");
    let whole: BTreeMap<_, _> = (0..BOXES)
        .filter(|n| *n != POISONED)
        .map(|n| (device(n).to_string(), (1..=EVENTS).collect::<Vec<_>>()))
        .collect();
    assert_eq!(places, whole);
    let poison = EVENTS / 3 * 2;
    assert_eq!(metrics.refused.get(), poison, "what it signed with another key, each time it came");
}
