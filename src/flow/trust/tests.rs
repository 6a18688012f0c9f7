//! Documents that come to a box: which count, which are refused, and what is left after a start.

use std::sync::Mutex;

use tempfile::TempDir;

use super::*;
use crate::{
    domain::MonoTime,
    wire::{
        keys::SigningKey,
        reported::TrustRefusal,
        trust::{Purpose, TrustedKey},
    },
};

const BEGUN: i64 = 1_795_000_000;
const DAY: i64 = 24 * 60 * 60;

/// A clock that shows what the test sets.
struct Set(Mutex<(i64, ClockTrust)>);

impl Clock for Set {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_second(self.0.lock().unwrap().0).unwrap()
    }

    fn trust(&self) -> ClockTrust {
        self.0.lock().unwrap().1
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn root() -> SigningKey {
    key(100)
}

fn trusted(purpose: Purpose, seed: u8, days: i64) -> TrustedKey {
    TrustedKey::new(purpose, key(seed).public().to_string(), (BEGUN, BEGUN + days * DAY))
}

fn recipient() -> Recipient {
    let identity: crate::wire::seal::Identity = include_str!("../../../tests/golden/collector.age").parse().unwrap();
    identity.recipient()
}

/// The fleet's keys as it was founded.
fn first() -> TrustDocument {
    let events = TrustedKey::new(Purpose::Events, recipient().to_string(), (BEGUN, BEGUN + 1000 * DAY));
    let keys = [(Purpose::Roster, 1), (Purpose::Command, 2), (Purpose::Receipt, 3)];
    let keys = keys.map(|(purpose, seed)| trusted(purpose, seed, 1000)).into_iter().chain([events]).collect();
    TrustDocument { version: 1, issued: BEGUN, keys, revoked: [].into() }
}

/// The receipt key is rotated: the one before counts for 30 days.
fn rotated() -> TrustDocument {
    let mut document = TrustDocument { version: 2, issued: BEGUN + 10, ..first() };
    document.keys[2].not_after = BEGUN + 30 * DAY;
    document.keys.push(trusted(Purpose::Receipt, 13, 1000));
    document
}

fn signed(document: &TrustDocument) -> Vec<u8> {
    document.encode(&root()).unwrap()
}

struct Door {
    folder: TempDir,
    clock: Arc<Set>,
}

impl Door {
    fn new() -> Self {
        let clock = Arc::new(Set(Mutex::new((BEGUN + 60, ClockTrust::Synchronised))));
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }

    fn start(&self, enrolled: Option<&[u8]>) -> (FollowTrust, FleetKeysView) {
        let incoming = Incoming::open(self.folder.path().into()).unwrap();
        let clock: Arc<dyn Clock> = self.clock.clone();
        FollowTrust::new(root().public(), enrolled, incoming, clock).unwrap()
    }

    fn set(&self, second: i64, trust: ClockTrust) {
        *self.clock.0.lock().unwrap() = (second, trust);
    }
}

fn receipts(view: &FleetKeysView) -> Vec<PublicKey> {
    view.borrow().receipts.clone()
}

#[tokio::test]
async fn a_newer_document_counts_at_once_and_outlives_the_box_and_nothing_else_counts() {
    let door = Door::new();
    let (mut follow, view) = door.start(Some(&signed(&first())));
    let held = follow.held();
    let (old, new) = (key(3).public(), key(13).public());
    assert_eq!((receipts(&view), *held.borrow()), (vec![old], HeldTrust { version: 1, refused: None }));
    follow.arrived(&signed(&rotated())).await;
    assert_eq!(receipts(&view), [new, old], "both, for 30 days");
    assert_eq!(*held.borrow(), HeldTrust { version: 2, refused: None });

    let another = TrustDocument { issued: BEGUN + 20, ..rotated() };
    let dated_back = TrustDocument { version: 3, issued: BEGUN, ..rotated() };
    let mut torn = signed(&TrustDocument { version: 3, ..rotated() });
    torn.truncate(100);
    for (what, bytes, refused) in [
        ("older", signed(&first()), TrustRefusal::Older),
        ("two of one version", signed(&another), TrustRefusal::Forked),
        ("dated before", signed(&dated_back), TrustRefusal::DatedBack),
        (
            "another root's",
            TrustDocument { version: 9, ..rotated() }.encode(&key(101)).unwrap(),
            TrustRefusal::NotSigned,
        ),
        ("torn", torn, TrustRefusal::NotSigned),
    ] {
        follow.arrived(&bytes).await;
        assert_eq!(*held.borrow(), HeldTrust { version: 2, refused: Some(refused) }, "{what}");
        assert_eq!(receipts(&view), [new, old], "{what}");
    }
    follow.arrived(&[]).await;
    assert_eq!(held.borrow().version, 2, "cleared at the broker");
    follow.arrived(&signed(&rotated())).await;
    assert_eq!(*held.borrow(), HeldTrust { version: 2, refused: None }, "the right one is there again");

    drop(follow);
    let (mut follow, view) = door.start(Some(&signed(&first())));
    assert_eq!((receipts(&view), follow.held().borrow().version), (vec![new, old], 2), "after a start");
    let revoked = TrustDocument { version: 3, revoked: [rotated().keys[2].id()].into(), ..rotated() };
    follow.arrived(&signed(&revoked)).await;
    assert_eq!(receipts(&view), [new], "a revoked key counts no more");
}

#[tokio::test]
async fn a_document_that_the_disk_damaged_gives_way_to_that_of_the_enrolment_and_to_the_next() {
    let door = Door::new();
    let (mut follow, _) = door.start(None);
    follow.arrived(&signed(&rotated())).await;
    drop(follow);
    let path = door.folder.path().join("trust.cose");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (follow, view) = door.start(None);
    assert_eq!((receipts(&view), follow.held().borrow().version), (vec![], 0), "nobody is believed");
    drop(follow);
    let (mut follow, view) = door.start(Some(&signed(&first())));
    assert_eq!(receipts(&view), [key(3).public()]);
    follow.arrived(&signed(&rotated())).await;
    assert_eq!(receipts(&view).len(), 2);
    drop(follow);
    assert_eq!(door.start(None).0.held().borrow().version, 2, "the disk has it again");
}

#[tokio::test]
async fn keys_begin_and_end_by_their_dates_without_a_word_of_the_fleet() {
    let door = Door::new();
    let mut document = rotated();
    document.keys[4].not_before = BEGUN + DAY;
    let (follow, view) = door.start(Some(&signed(&document)));
    let (old, new) = (key(3).public(), key(13).public());
    for (second, trust, counts) in [
        (BEGUN + 60, ClockTrust::Synchronised, vec![old]),
        (BEGUN + DAY, ClockTrust::Synchronised, vec![new, old]),
        (BEGUN + 30 * DAY - 1, ClockTrust::Holdover, vec![new, old]),
        (BEGUN + 30 * DAY, ClockTrust::Holdover, vec![new]),
        (0, ClockTrust::Holdover, vec![old]),
        // It may be any day: the day of the document is the only one that is known.
        (BEGUN + 30 * DAY, ClockTrust::Untrusted, vec![old]),
        (0, ClockTrust::Untrusted, vec![old]),
    ] {
        door.set(second, trust);
        follow.count();
        assert_eq!(receipts(&view), counts, "at {second}, {trust:?}");
    }
    door.set(BEGUN + 1000 * DAY, ClockTrust::Synchronised);
    follow.count();
    let keys = view.borrow().clone();
    assert!(keys.receipts.is_empty() && keys.collector.is_none() && keys.roster.is_empty(), "{keys:?}");
    assert_eq!(keys.unrevoked_roster, [key(1).public()], "what is in force stays");
}

#[test]
fn command_keys_have_the_names_and_rights_of_the_document() {
    let mut document = first();
    let help_desk = TrustedKey {
        name: Some("help-desk".into()),
        may: Some(vec![Right::Identify]),
        ..trusted(Purpose::Command, 12, 500)
    };
    document.keys.push(help_desk);
    let keys = FleetKeys::of(&document, Timestamp::from_second(BEGUN).unwrap());
    let commanders: Vec<_> = keys.commanders.iter().map(|one| (one.key, one.name.as_deref())).collect();
    assert_eq!(commanders, [(key(2).public(), None), (key(12).public(), Some("help-desk"))]);
    let may = |right| keys.commanders.iter().map(|one| one.may(right)).collect::<Vec<_>>();
    assert_eq!((may(Right::Identify), may(Right::Drain)), (vec![true, true], vec![true, false]));
    assert_eq!(keys.lists(), [key(2).public()], "the help desk reports no card lost");
    assert_eq!(keys.collector, Some(recipient()));
}
