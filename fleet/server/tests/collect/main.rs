//! The whole way of an event: a door's store, the real mosquitto over TLS, the collector as a process, and back.
//!
//! Over 400 lines, and still read at one sitting: one short story after the other.

mod database;
#[path = "../../../../tests/uplink/door.rs"]
#[expect(dead_code, reason = "shared with the box's own tests, which use more of it")]
mod door;
mod health;
mod restored;
mod rig;
mod scrape;
mod takeover;
mod trust;
mod unit;

use std::fs;

use examgate::{
    domain::{Epoch, EventHash, EventId, chain_hash},
    rig::certificates::{Issued, Validity},
    wire::{envelope::EventEnvelope, keys::SigningKey},
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};

use crate::{
    door::{Door, EPOCH, World, collector, device, device_key, soon},
    rig::CollectorRig,
};

/// A box that is enrolled and in bad hands.
const BAD: &str = "door-bad";

fn bad_key() -> SigningKey {
    SigningKey::from_seed(&[13; 32])
}

/// What the bad box signs, as event `seq`.
fn bad_event(seq: u64) -> Vec<u8> {
    let (seq, body) = (examgate::domain::Seq(seq), b"{}");
    let event = EventEnvelope {
        device: examgate::domain::DeviceId::new(BAD).expect("valid"),
        epoch: EPOCH,
        seq,
        event_id: EventId(uuid::Uuid::from_u128(seq.0.into())),
        prev: EventHash::START,
        hash: chain_hash(EPOCH, seq, &EventHash::START, body),
        body: zeroize::Zeroizing::new(body.to_vec()),
    };
    event.encode(&bad_key(), &collector().recipient()).expect("short")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_deleted_when_the_ledger_holds_it() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let mut door = Door::open(&world, 200).await;
    let _collector = desk.collect(&world);
    door.until_receipted(200).await;
    assert_eq!(door.waiting(), 0);
    assert_eq!(desk.committed(), (1..=200).collect::<Vec<_>>());
    let plain = fs::read(desk.at("ledger.db")).expect("readable");
    assert!(!plain.windows(4).any(|bytes| bytes == b"R101"), "the ledger is encrypted");
    door.record();
    door.until_receipted(201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_with_its_memory_loses_nothing_and_doubles_nothing() {
    let mut world = World::new();
    let desk = CollectorRig::new(&world);
    let mut door = Door::open(&world, 600).await;
    let _collector = desk.collect(&world);
    door.until_receipted(20).await;
    world.broker.kill9().expect("it can be killed");
    door.record();
    world.broker.restart(true).expect("it starts again");
    door.until_receipted(601).await;
    assert_eq!(door.waiting(), 0);
    assert_eq!(desk.committed(), (1..=601).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_killed_in_the_middle_is_replaced_by_the_next() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let mut door = Door::open(&world, 400).await;
    let first = desk.collect(&world);
    door.until_receipted(20).await;
    drop(first);
    let _second = desk.collect(&world);
    door.until_receipted(400).await;
    assert_eq!(desk.committed(), (1..=400).collect::<Vec<_>>());
}

/// Publishes as any client with this certificate could, until the broker has all of it.
async fn publish(world: &World, name: &str, payloads: Vec<Vec<u8>>) {
    let (client, mut polled) = client(world, name);
    let mut unanswered = payloads.len();
    for payload in payloads {
        client.try_publish(format!("examgate/v1/{name}/event"), QoS::AtLeastOnce, false, payload).expect("room");
    }
    while unanswered > 0 {
        if let Event::Incoming(Packet::PubAck(_)) = soon("an answer", polled.poll()).await.expect("connected") {
            unanswered -= 1;
        }
    }
}

fn client(world: &World, name: &str) -> (AsyncClient, EventLoop) {
    let Issued { certificate, key } = world.authority.client(name, Validity::Good);
    let connector = native_tls::TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(native_tls::Certificate::from_pem(world.authority.certificate().as_bytes()).expect("PEM"))
        .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("PEM"))
        .build()
        .expect("usable certificates");
    let mut options = MqttOptions::new(name, "127.0.0.1", world.broker.port());
    options.set_transport(Transport::tls_with_config(connector.into()));
    AsyncClient::new(options, 64)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_believed_is_said_once_and_harms_nobody() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let _collector = desk.collect(&world);
    let mut door = Door::open(&world, 1).await;
    door.until_receipted(1).await;
    door.close().await;
    let body = b"forged";
    let seq = examgate::domain::Seq(2);
    let forged = EventEnvelope {
        device: device(),
        epoch: EPOCH,
        seq,
        event_id: EventId(uuid::Uuid::from_u128(77)),
        prev: EventHash::START,
        hash: chain_hash(EPOCH, seq, &EventHash::START, body),
        body: zeroize::Zeroizing::new(body.to_vec()),
    };
    let forged = forged.encode(&SigningKey::from_seed(&[66; 32]), &collector().recipient()).expect("short");
    publish(&world, "door-1", vec![forged; 5]).await;
    publish(&world, "door-1", vec![b"junk".to_vec(), Vec::new()]).await;
    publish(&world, "door-2", vec![b"junk".to_vec(); 5]).await;
    // Messages are read in order: a door that is served shows that the others have been dealt with.
    let mut door = Door::open(&world, 3).await;
    door.until_receipted(3).await;
    assert_eq!(desk.committed(), [1, 2, 3]);
    let log = desk.log();
    for said in ["not signed as an event", "not enrolled"] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_database_can_hold_ends_nothing_and_delays_nobody() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let mut collecting = desk.collect(&world);
    let mut door = Door::open(&world, 1).await;
    door.until_receipted(1).await;
    for seq in [u64::MAX, 1 << 63, i64::MAX as u64] {
        publish(&world, BAD, vec![bad_event(seq); 3]).await;
        door.record();
    }
    door.until_receipted(4).await;
    assert_eq!(desk.committed(), [1, 2, 3, 4]);
    assert!(collecting.0.try_wait().expect("ours").is_none(), "the collector still runs");
    let log = desk.log();
    assert_eq!(log.matches("the box must be examined").count(), 1, "said once, by name: {log}");
    assert!(log.contains(BAD), "{log}");
}

/// A client that publishes as fast as the broker takes it, until it is dropped.
fn flood(world: &World, name: &'static str, qos: QoS, payload: Vec<u8>) -> tokio::task::JoinSet<()> {
    let (client, mut polled) = client(world, name);
    let mut flooding = tokio::task::JoinSet::new();
    flooding.spawn(async move {
        let topic = format!("examgate/v1/{name}/event");
        while client.publish(&topic, qos, false, payload.clone()).await.is_ok() {}
    });
    flooding.spawn(async move { while polled.poll().await.is_ok() {} });
    flooding
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_box_leaves_the_others_their_receipts() {
    for (name, qos, payload) in [
        // Good events of an enrolled box, over and over; noise of one; noise of a stranger; messages that nobody sends.
        (BAD, QoS::AtLeastOnce, bad_event(1)),
        (BAD, QoS::AtLeastOnce, vec![0xD2; 30_000]),
        ("stranger", QoS::AtLeastOnce, b"junk".to_vec()),
        (BAD, QoS::AtMostOnce, bad_event(1)),
    ] {
        let world = World::new();
        let desk = CollectorRig::new(&world);
        let mut collecting = desk.collect(&world);
        let mut door = Door::open(&world, 1).await;
        door.until_receipted(1).await;
        let flooding = flood(&world, name, qos, payload);
        for number in 2..=20 {
            door.record();
            door.until_receipted(number).await;
        }
        drop(flooding);
        assert_eq!(desk.committed(), (1..=20).collect::<Vec<_>>());
        assert!(collecting.0.try_wait().expect("ours").is_none(), "the collector still runs: {}", desk.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_was_set_back_loses_no_decision_and_none_counts_twice() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let _collector = desk.collect(&world);
    let mut door = Door::open(&world, 10).await;
    door.until_receipted(8).await;
    let disk = door.close().await;
    let backup = disk.copy();
    let mut door = Door::on(&world, disk);
    (11..=30).for_each(|number| door.record_as(number));
    door.until_receipted(30).await;
    drop(door.close().await);

    let mut door = Door::on(&world, backup);
    (1..=35).for_each(|number| door.record_as(1_000 + number));
    door.until_delivered_in_epoch(2).await;
    let all = (1..=30).chain(1_001..=1_035).collect::<Vec<_>>();
    assert_eq!(desk.numbers(), all, "65 decisions, each once");
    assert_eq!(desk.incidents().iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), ["forked"]);
    assert!(desk.log().contains("it was set back"), "{}", desk.log());
    // It goes on as any other.
    door.record_as(2_000);
    door.until_delivered_in_epoch(2).await;
    assert_eq!(desk.numbers(), all.into_iter().chain([2_000]).collect::<Vec<_>>());
    let disk = door.close().await;
    let mut door = Door::on(&world, disk);
    door.record_as(2_001);
    door.until_delivered_in_epoch(2).await;
    assert_eq!(door.epochs().len(), 2, "a restart begins no epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_set_back_is_filled_again_by_the_box() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let collector = desk.collect(&world);
    let mut door = Door::open(&world, 10).await;
    door.until_receipted(10).await;
    drop(collector);
    let files = ["ledger.db", "ledger.db-wal", "ledger.db-shm"];
    let kept: Vec<_> = files.map(|name| fs::read(desk.at(name)).ok()).into_iter().collect();
    let collector = desk.collect(&world);
    (11..=30).for_each(|number| door.record_as(number));
    door.until_receipted(30).await;
    drop(collector);
    for (name, content) in files.iter().zip(kept) {
        match content {
            Some(content) => fs::write(desk.at(name), content).expect("writable"),
            None => drop(fs::remove_file(desk.at(name))),
        }
    }
    assert_eq!(desk.committed().len(), 10);
    let _collector = desk.collect(&world);
    door.record_as(31);
    soon("the ledger is full again", async {
        while desk.committed().len() < 31 {
            door.delivery.changed().await.expect("delivery runs");
        }
    })
    .await;
    assert_eq!(desk.committed(), (1..=31).collect::<Vec<_>>());
    assert_eq!(door.epochs().len(), 1, "a lower receipt begins no epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_stays_is_said_and_listed_until_it_is_filled() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let _collector = desk.collect_with(&world, &["--gap-after", "1"]);
    // A door that is served shows that the collector listens.
    let mut door = Door::open(&world, 1).await;
    door.until_receipted(1).await;
    door.close().await;
    let epoch = Epoch(uuid::Uuid::from_u128(77));
    let mut prev = EventHash::START;
    let events: Vec<_> = (1..=4)
        .map(|seq| {
            let (body, seq) = (format!("{{\"n\":{seq}}}").into_bytes(), examgate::domain::Seq(seq));
            let hash = chain_hash(epoch, seq, &prev, &body);
            let envelope = EventEnvelope {
                device: device(),
                epoch,
                seq,
                event_id: EventId(uuid::Uuid::from_u128(700 + u128::from(seq.0))),
                prev,
                hash,
                body: zeroize::Zeroizing::new(body),
            };
            prev = hash;
            envelope.encode(&device_key(), &collector().recipient()).expect("short")
        })
        .collect();
    publish(&world, "door-1", vec![events[0].clone(), events[3].clone()]).await;
    let until = async |kind: &str, lists: &dyn Fn() -> bool| {
        soon(kind, async {
            while !lists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    until("the gap is an incident", &|| desk.incidents() == [("gap".to_owned(), 2, 3)]).await;
    assert_eq!(desk.log().matches("events are missing").count(), 1, "{}", desk.log());
    publish(&world, "door-1", events[1..3].to_vec()).await;
    until("it is filled", &|| !desk.printed(&["--incidents"])[0]["ended_at"].is_null()).await;
}
