//! What only a ledger in a file has: a full disk, and schemas of before.

use examgate::domain::chain_hash;
use zeroize::Zeroizing;

use super::*;
use crate::lease::Claim;

const EPOCH: Epoch = Epoch(Uuid::from_u128(1));

fn envelope(seq: u64, prev: EventHash, body: &str) -> EventEnvelope {
    EventEnvelope {
        device: DeviceId::new("door-1").expect("valid"),
        epoch: EPOCH,
        seq: Seq(seq),
        event_id: examgate::domain::EventId(Uuid::from_u128(u128::from(seq))),
        prev,
        hash: chain_hash(EPOCH, Seq(seq), &prev, body.as_bytes()),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    }
}

/// Claims the lease and gives its token.
fn claim(ledger: &mut SqlCipher) -> Token {
    let holder = Holder { id: Uuid::from_u128(1), name: "collector".into() };
    match super::super::fence::claim(ledger, &holder, Duration::from_secs(3_600)).expect("works") {
        Claim::Held(token) => token,
        another @ Claim::Another { .. } => panic!("{another:?}"),
    }
}

#[test]
fn a_full_disk_is_a_fault_that_may_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut ledger = SqlCipher::open(&folder.path().join("ledger.db"), &Key::from_bytes([1; 32])).expect("made");
    let token = claim(&mut ledger);
    ledger.0.connection().pragma_update(None, "max_page_count", 32).expect("a limit");
    let event = |seq| envelope(seq, EventHash::START, &"x".repeat(4000));
    let full = (1..500).find_map(|seq| super::super::commit::commit(&mut ledger, token, &[event(seq)]).err());
    assert!(matches!(&full, Some(fault @ LedgerFault::File(Fault::Full { .. })) if fault.may_pass()), "{full:?}");
}

#[test]
fn a_ledger_of_the_schema_before_is_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, key) = (folder.path().join("ledger.db"), Key::from_bytes([1; 32]));
    let mut prev = EventHash::START;
    let events: Vec<_> = (1..=4)
        .map(|seq| {
            let event = envelope(seq, prev, &format!("event {seq}"));
            prev = event.hash;
            event
        })
        .collect();
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
    let mut ledger = SqlCipher::open(&path, &key).expect("taken over");
    let mut seen = Vec::new();
    ledger
        .entries(&mut |entry| {
            seen.push((entry.seq.0, entry.confirmed));
            Ok(())
        })
        .expect("readable")
        .expect("no output to fail");
    assert_eq!(seen, [(1, true), (2, true), (4, false)]);
    let token = claim(&mut ledger);
    let committed = super::super::commit::commit(&mut ledger, token, &events[2..]).expect("works");
    let end = committed.contiguous[&(events[0].device.clone(), EPOCH)];
    assert_eq!((committed.fresh, end), (1, (Seq(4), events[3].hash)));
}
