//! The trust document on its way from the fleet's folder to every box: the newest one, also after the broker forgot everything.

use examgate::{
    flow::trust::FleetKeys,
    wire::{
        topic::TRUST,
        trust::{Purpose, TrustDocument, TrustedKey},
    },
};
use examgate_fleet_core::stock::Stock;

use super::*;

fn root() -> SigningKey {
    SigningKey::from_seed(&[14; 32])
}

fn key(purpose: Purpose, seed: u8) -> TrustedKey {
    TrustedKey::new(purpose, SigningKey::from_seed(&[seed; 32]).public().to_string(), (0, 4_000_000_000))
}

/// The fleet's keys count, for as long as anybody tests this.
pub(crate) fn document(version: u64) -> TrustDocument {
    let keys = vec![key(Purpose::Roster, ROSTER_SEED[0]), key(Purpose::Command, COMMAND_SEED[0])];
    TrustDocument { version, issued: 1_795_000_000, keys, revoked: [].into() }
}

fn put(world: &World, bytes: &[u8]) {
    fs::write(world.at("trust.new"), bytes).expect("writable");
    fs::rename(world.at("trust.new"), world.at("trust.cose")).expect("replaced");
}

pub(crate) fn write(world: &World, document: &TrustDocument) {
    put(world, &document.encode(&root()).expect("a document"));
}

/// What makes a keeper follow the document.
pub(crate) fn arguments(world: &World) -> [String; 4] {
    let file = world.at("trust.cose").display().to_string();
    ["--trust".into(), file, "--root-public-key".into(), root().public().to_string()]
}

fn keep(world: &World, more: &[&str]) -> Running {
    let own = arguments(world);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    world.keep_by(&[&own[..], more].concat())
}

/// What a box hears first of the document: what the broker retains.
async fn retained(world: &World) -> u64 {
    let (client, polled) = world.client("door-2");
    let mut nosy = Nosy { client, polled, heard: VecDeque::new() };
    nosy.subscribe(TRUST).await;
    while nosy.heard.is_empty() {
        nosy.turn().await;
    }
    let message = nosy.heard.pop_front().expect("looked at");
    TrustDocument::decode(&message.payload, &root().public()).expect("the fleet's").version
}

async fn until_retained(world: &World, version: u64) {
    soon(&format!("document {version} is retained"), async { while retained(world).await != version {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_document_is_retained_and_one_that_is_older_or_not_the_fleets_is_not_sent() {
    let mut world = World::new();
    write(&world, &document(1));
    let endpoint = Endpoint::new();
    let keeper = keep(&world, &["--health", &endpoint.argument()]);
    until_retained(&world, 1).await;
    write(&world, &document(2));
    until_retained(&world, 2).await;

    let unwell = |words: &'static str| {
        let endpoint = &endpoint;
        move || endpoint.health().is_some_and(|(code, said)| code == 503 && said.contains(words))
    };
    let forged = document(9).encode(&SigningKey::from_seed(&[15; 32])).expect("a document");
    put(&world, &forged);
    until("it says that another root signed", unwell("not signed by the fleet's root")).await;
    write(&world, &document(1));
    until("it says that the file is old", unwell("version 1 is older than version 2")).await;
    world.broker.restart(true).expect("it starts again");
    until_retained(&world, 2).await;
    // Also by a keeper that begins with the file that was set back.
    drop(keeper);
    world.broker.restart(true).expect("it starts again");
    let _keeper = keep(&world, &[]);
    until_retained(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_document_at_the_broker_is_taken_over() {
    let world = World::new();
    {
        // As another keeper left it, whose stock is lost.
        let (client, polled) = world.client("keeper");
        let mut other = Nosy { client, polled, heard: VecDeque::new() };
        let newest = document(5).encode(&root()).expect("a document");
        other.client.try_publish(TRUST, QoS::AtLeastOnce, true, newest).expect("room");
        while !matches!(other.turn().await, Packet::PubAck(_)) {}
    }
    write(&world, &document(2));
    let _keeper = keep(&world, &[]);
    let kept = || {
        let bytes = Stock::open(&world.at("stock")).ok()?.trust().ok()??;
        Some(TrustDocument::decode(&bytes, &root().public()).ok()?.version)
    };
    until("the stock has it", || kept() == Some(5)).await;
    until_retained(&world, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_sent_that_a_key_of_the_document_signed_and_no_revoked_one() {
    let world = World::new();
    write(&world, &document(1));
    let _keeper = keep(&world, &[]);
    let mut door = world.introduce("door-1", "R-1").await;
    world.import(1, 5);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    let mut without = document(2);
    without.revoked = [without.keys[0].id()].into();
    write(&world, &without);
    until_retained(&world, 2).await;
    world.import(2, 6);
    world.push(&["door-1:R-1"], &[]);
    let log = || fs::read_to_string(world.at("log")).expect("a log");
    until("the keeper says so", || log().contains("a manifest of the stock is not published")).await;
    assert_eq!(door.students().map(|(version, _)| version), Some(1));
    // The key counts again by the next document: it is sent at last.
    write(&world, &document(3));
    door.holds(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_came_before_the_document_with_its_key_is_taken_once_that_is_there() {
    let world = World::new();
    write(&world, &document(1));
    let _keeper = keep(&world, &[]);
    let (tell, keys) = watch::channel(Arc::new(FleetKeys::default()));
    let disk = tempfile::tempdir().expect("a temporary folder");
    let mut door = Door::believing(&world, "door-1", "R-1", disk, Some(keys));
    world.until_reported("door-1", "its recipient", |_| true).await;
    world.import(1, 5);
    world.push(&["door-1:R-1"], &[]);
    let not_signed = Some(RefusalReason::NotSigned);
    world.until_reported("door-1", "that it knows no such key", |report| refusal(report) == not_signed).await;
    let roster = vec![SigningKey::from_seed(&ROSTER_SEED).public()];
    tell.send_replace(Arc::new(FleetKeys { unrevoked_roster: roster.clone(), roster, ..FleetKeys::default() }));
    door.holds(1).await;
    world.until_reported("door-1", "no refusal", |report| refusal(report).is_none()).await;
}
