//! A box goes over to another signing key, with events waiting, and whatever is killed in between.

use std::{collections::BTreeSet, fs};

use examgate::{
    domain::{Epoch, EventId, Seq, chain_hash},
    store::Secret,
    wire::{
        envelope::EventEnvelope,
        keys::{PublicKey, SigningKey},
    },
};
use examgate_fleet_core::devices::Devices;
use uuid::Uuid;

use super::{
    DAY,
    world::{Disk, Door, World, believed, id, now, soon},
};

fn key(disk: &Disk) -> PublicKey {
    SigningKey::from_seed(&disk.keys.signing_seed().expect("a key")).public()
}

fn allow(world: &World) {
    world.registry().allow_hand_over(&id("door-1"), now() + DAY).expect("enrolled");
}

/// Every event once, and each epoch's events by one key: those of two epochs here.
#[track_caller]
fn all_once(world: &World, numbers: std::ops::RangeInclusive<u128>, epochs: usize) {
    let committed = world.committed("door-1");
    assert_eq!(committed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    let found: BTreeSet<_> = committed.into_iter().map(|(_, epoch)| epoch).collect();
    assert_eq!(found.len(), epochs, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_goes_over_to_another_key_and_every_event_counts_once() {
    let world = World::new();
    let disk = world.enrol("door-1", 1);
    let (old, before) = (key(&disk), fs::read(disk.certificate()).expect("PEM"));
    let first_epoch = disk.epoch();
    allow(&world);
    let collector = world.collect();
    let mut door = Door::start(disk);
    for number in 1..=30 {
        door.record(number);
    }
    door.has_delivered().await;
    // Events that nobody receipts wait while the keys change.
    drop(collector);
    for number in 31..=50 {
        door.record(number);
    }
    let renewed = door.rotate().await.expect("renewed");
    let next = renewed.signing.expect("allowed");
    assert_ne!(next, old);
    door.has_renewed(&before).await;
    for number in 51..=60 {
        door.record(number);
    }
    // The box starts again, as the command makes it.
    let disk = door.kill().await;
    assert_eq!((key(&disk), disk.waiting()), (old, 30), "it goes over at its next start");
    let _collector = world.collect();
    let mut door = Door::start(disk);
    assert_eq!(key(&door.disk), next);
    door.is_up().await;
    door.has_delivered().await;
    all_once(&world, 1..=60, 2);

    let registry = world.registry();
    let (device, certificates) = registry.device(&id("door-1")).expect("there");
    assert_eq!(device.signing_key, Some(next));
    let former = registry.former_keys(&id("door-1")).expect("readable");
    let place = former[0].place.expect("handed over");
    assert_eq!((former.len(), former[0].key, place.epoch, place.last), (1, old, first_epoch, Seq(50)));
    let revoked: Vec<bool> = certificates.iter().map(|one| one.revoked_at.is_some()).collect();
    assert_eq!(revoked.iter().filter(|revoked| !**revoked).count(), 1, "the certificates of before count no more");
    let keys = &door.disk.keys;
    assert!(keys.secret(Secret::Device).is_err() && keys.hand_over().expect("readable").is_none());

    // What is known of it is read again by everybody who reads the list.
    let devices = Devices::read(&world.folder.devices()).expect("a list");
    let listed = devices.former(&id("door-1")).expect("listed");
    assert_eq!((devices.key(&id("door-1")), listed.public_key, listed.last), (Some(next), old, Seq(50)));
}

/// The collector as a program, asked with envelopes of either key.
#[tokio::test(flavor = "multi_thread")]
async fn neither_key_counts_where_the_other_does() {
    let world = World::new();
    let disk = world.enrol("door-1", 1);
    let thief = SigningKey::from_seed(&disk.keys.signing_seed().expect("a key"));
    let first_epoch = disk.epoch();
    allow(&world);
    let _collector = world.collect();
    let door = Door::start(disk);
    door.record(1);
    door.has_delivered().await;
    door.rotate().await.expect("renewed").signing.expect("allowed");
    let mut door = Door::start(door.kill().await);
    door.is_up().await;
    door.record(2);
    door.has_delivered().await;
    let own = SigningKey::from_seed(&door.disk.keys.signing_seed().expect("a key"));
    let recipient = believed(&door.disk.config).collector.expect("a recipient");
    let envelope = |key: &SigningKey, epoch: Epoch, seq: u64, number: u128| {
        let (body, prev) = (b"{}".to_vec(), examgate::domain::EventHash::START);
        let hash = chain_hash(epoch, Seq(seq), &prev, &body);
        let (device, event_id) = (id("door-1"), EventId(Uuid::from_u128(number)));
        let event = EventEnvelope { device, epoch, seq: Seq(seq), event_id, prev, hash, body: body.into() };
        event.encode(key, &recipient).expect("short")
    };
    let foreign = Epoch(Uuid::now_v7());
    // The thief of the old key: beyond its place, and in an epoch of his own. The box itself: in the epoch of the old key.
    let forged =
        [envelope(&thief, first_epoch, 2, 901), envelope(&thief, foreign, 1, 902), envelope(&own, first_epoch, 2, 903)];
    let examgate::edge::mqtt::Link::Up(line) = door.link.borrow().clone() else { panic!("it is up") };
    for (at, bytes) in (1_000..).zip(forged) {
        line.try_send(Seq(at), bytes).expect("it is up");
    }
    door.record(3);
    door.has_delivered().await;
    all_once(&world, 1..=3, 2);
    assert!(world.log().contains("a key that does not count there"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_point_of_a_hand_over_loses_and_doubles_nothing() {
    let mut world = World::new();
    let disk = world.enrol("door-1", 1);
    let (old, first_epoch) = (key(&disk), disk.epoch());
    allow(&world);
    let _collector = world.collect();
    for number in 1..=10 {
        disk.record(number);
    }
    // Noted and never asked: the fleet is not reached.
    world.stop_endpoint();
    let door = Door::start(disk);
    door.rotate().await.expect_err("nobody answers");
    let disk = door.kill().await;
    let note = disk.keys.hand_over().expect("readable").expect("noted");
    assert!(!note.accepted);
    assert_eq!(key(&disk), old);
    // Asked by itself, and answered; the box is killed before it starts again in order.
    world.start_endpoint();
    let mut door = Door::start(disk);
    door.is_up().await;
    soon("the box wants to start again", door.restart.notified()).await;
    for number in 11..=20 {
        door.record(number);
    }
    let disk = door.kill().await;
    let accepted = disk.keys.hand_over().expect("readable").expect("noted");
    assert!(accepted.accepted && accepted.begins == note.begins, "asked in the same words");
    assert_eq!(world.registry().device(&id("door-1")).expect("there").0.signing_key, Some(next_of(&disk)));

    // As if the answer had never come: it asks again, signed by the old key, and is answered again.
    disk.keys.note_hand_over(&note).expect("written");
    let door = Door::start(disk);
    soon("the box wants to start again", door.restart.notified()).await;
    let disk = door.kill().await;

    // Killed after the new epoch began and before the key was in force; then again before the note was gone.
    let again = disk.keys.hand_over().expect("readable").expect("noted");
    disk.begin(note.begins);
    assert_eq!(key(&disk), old);
    let disk = Door::start(disk).kill().await;
    assert_eq!((disk.epoch(), disk.keys.signing_number().expect("readable")), (note.begins, 1));
    disk.keys.note_hand_over(&again).expect("written");
    let mut door = Door::start(disk);
    assert_eq!(door.disk.epoch(), note.begins, "it begins once");
    door.is_up().await;
    for number in 21..=30 {
        door.record(number);
    }
    door.has_delivered().await;
    assert_ne!(first_epoch, note.begins);
    let committed = world.committed("door-1");
    assert_eq!(committed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    assert_eq!(world.registry().former_keys(&id("door-1")).expect("readable").len(), 1);
}

/// The key that the box goes over to at its next start.
fn next_of(disk: &Disk) -> PublicKey {
    SigningKey::from_seed(&disk.keys.next_signing_seed().expect("a key").1).public()
}
