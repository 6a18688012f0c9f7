//! The collector and the fleet's trust document: the receipt key moves, boxes come and go, and no event is lost or doubled.

use std::fs;

use examgate::{
    flow::{deliver::Standing, trust::FleetKeys},
    wire::{
        keys::SigningKey,
        seal::Identity,
        trust::{Purpose, TrustDocument, TrustedKey},
    },
};

use crate::{
    door::{Door, RECEIPT_SEED, World, believing, soon},
    rig::{Collector, CollectorRig, secret},
};

const NEXT_SEED: [u8; 32] = [19; 32];

fn root() -> SigningKey {
    SigningKey::from_seed(&[14; 32])
}

fn receipt_key(seed: &[u8; 32]) -> TrustedKey {
    TrustedKey::new(Purpose::Receipt, SigningKey::from_seed(seed).public().to_string(), (0, 4_000_000_000))
}

/// These receipt keys count, for as long as anybody tests this.
pub(crate) fn document(version: u64, receipts: &[[u8; 32]]) -> TrustDocument {
    let keys = receipts.iter().map(receipt_key).collect();
    TrustDocument { version, issued: 1_795_000_000, keys, revoked: [].into() }
}

pub(crate) fn write(desk: &CollectorRig, document: &TrustDocument) {
    fs::write(desk.at("trust.new"), document.encode(&root()).expect("a document")).expect("writable");
    fs::rename(desk.at("trust.new"), desk.at("trust.cose")).expect("replaced");
}

/// What makes a collector follow the document.
pub(crate) fn arguments(desk: &CollectorRig) -> [String; 4] {
    let file = desk.at("trust.cose").display().to_string();
    ["--trust".into(), file, "--root-public-key".into(), root().public().to_string()]
}

fn collect(desk: &CollectorRig, world: &World) -> Collector {
    let own = arguments(desk);
    desk.collect_with(world, &own.each_ref().map(String::as_str))
}

/// Changes files, and waits until the collector has read them.
async fn changed(desk: &CollectorRig, change: impl FnOnce()) {
    let times = || desk.log().matches("were read again").count();
    let before = times();
    change();
    let reads = async {
        while times() == before {
            tokio::task::yield_now().await;
        }
    };
    soon("the collector reads its files again", reads).await;
}

/// As `examgate-fleet trust rotate` leaves a secret key.
fn replace(desk: &CollectorRig, name: &str, old: &str, content: &str) {
    fs::rename(desk.at(name), desk.at(&format!("{name}.{old}"))).expect("moved");
    secret(&desk.at(name), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_key_moves_and_boxes_that_have_not_heard_of_it_lose_nothing() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    write(&desk, &document(1, &[RECEIPT_SEED]));
    let collector = collect(&desk, &world);
    let mut door = Door::open(&world, 50).await;
    door.until_receipted(50).await;

    changed(&desk, || {
        replace(&desk, "receipt.key", "old-1", &hex::encode(NEXT_SEED));
        write(&desk, &document(2, &[NEXT_SEED, RECEIPT_SEED]));
    })
    .await;
    (0..50).for_each(|_| door.record());
    door.until_receipted(100).await;
    door.fleet.send_replace(believing(&[NEXT_SEED]));
    (0..50).for_each(|_| door.record());
    door.until_receipted(150).await;
    drop(collector);
    let _collector = collect(&desk, &world);
    door.fleet.send_replace(believing(&[RECEIPT_SEED]));
    door.record();
    door.until_receipted(151).await;

    let mut revoked = document(3, &[NEXT_SEED, RECEIPT_SEED]);
    revoked.revoked = [receipt_key(&RECEIPT_SEED).id()].into();
    changed(&desk, || write(&desk, &revoked)).await;
    door.record();
    door.stands(Standing::NoReceipts).await;
    assert_eq!((door.waiting(), door.receipted().0), (1, 151), "nothing signs with a revoked key");
    door.fleet.send_replace(believing(&[NEXT_SEED]));
    door.until_receipted(152).await;

    // A document that was set back changes nothing.
    write(&desk, &document(2, &[NEXT_SEED, RECEIPT_SEED]));
    desk.says("log", "version 2 is older than version 3").await;
    door.fleet.send_replace(believing(&[RECEIPT_SEED]));
    door.record();
    door.stands(Standing::NoReceipts).await;
    door.fleet.send_replace(believing(&[NEXT_SEED]));
    door.until_receipted(153).await;
    assert_eq!(desk.committed(), (1..=153).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_sealed_to_the_key_before_are_opened_too() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    write(&desk, &document(1, &[RECEIPT_SEED]));
    let _collector = collect(&desk, &world);
    let mut door = Door::open(&world, 5).await;
    door.until_receipted(5).await;
    let next = Identity::generate();
    changed(&desk, || replace(&desk, "age.key", "old-1", &next.to_text())).await;
    door.record();
    door.until_receipted(6).await;
    let keys = FleetKeys { collector: Some(next.recipient()), ..(*believing(&[RECEIPT_SEED])).clone() };
    door.fleet.send_replace(keys.into());
    door.record();
    door.until_receipted(7).await;
    assert_eq!(desk.committed(), (1..=7).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_is_revoked_is_not_heard_any_more_without_a_restart() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    write(&desk, &document(1, &[RECEIPT_SEED]));
    let _collector = collect(&desk, &world);
    let mut door = Door::open(&world, 5).await;
    door.until_receipted(5).await;
    let listed = fs::read_to_string(desk.at("devices.toml")).expect("readable");
    changed(&desk, || fs::write(desk.at("devices.toml"), "# none\n").expect("writable")).await;
    door.record();
    door.stands(Standing::NoReceipts).await;
    assert_eq!(desk.committed(), (1..=5).collect::<Vec<_>>());
    fs::write(desk.at("devices.toml"), listed).expect("writable");
    door.until_receipted(6).await;
    assert_eq!(desk.committed(), (1..=6).collect::<Vec<_>>());
}

#[test]
fn a_collector_that_could_sign_no_receipt_does_not_start() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    write(&desk, &document(1, &[NEXT_SEED]));
    let mut collector = collect(&desk, &world);
    assert!(!collector.0.wait().expect("ours").success());
    assert!(desk.log().contains("no receipt key that counts by trust document 1"), "{}", desk.log());
}
