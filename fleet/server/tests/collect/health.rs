//! What a collector and its spare say about themselves, asked over HTTP.

use std::fs;

use examgate::rig::postgres::Postgres;

use crate::{
    door::{Door, RECEIPT_SEED, World, soon},
    publish,
    rig::CollectorRig,
    scrape::Endpoint,
    takeover::good,
    trust,
    unit::Unit,
};

async fn until_healthy(endpoint: &Endpoint, status: u16, text: &str) {
    let asked = async {
        while !endpoint.health().is_some_and(|(found, body)| found == status && body.contains(text)) {
            tokio::task::yield_now().await;
        }
    };
    soon(&format!("{status} {text:?}"), asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_and_its_spare_say_what_they_do_and_what_is_wrong() {
    let (mut world, mut server) = (World::new(), good(Postgres::start()));
    let desk = CollectorRig::on(&world, &server);
    let (active, spare) = (Endpoint::new(), Endpoint::new());
    let mut first = desk.collect_as(&world, "first.log", &["--lease", "300", "--health", &active.argument()]);
    until_healthy(&active, 200, "collecting").await;
    let _second = desk.collect_as(&world, "second.log", &["--lease", "300", "--health", &spare.argument()]);
    until_healthy(&spare, 200, &format!("standing by: the lease is held by {}", machine(first.0.id()))).await;

    let mut door = Door::open(&world, 5).await;
    door.until_receipted(5).await;
    publish(&world, "stranger", vec![b"junk".to_vec(); 3]).await;
    door.record();
    door.until_receipted(6).await;
    let counted = active.metrics();
    let of = |name: &str| *counted.get(name).unwrap_or_else(|| panic!("{name} is not in {counted:?}"));
    assert_eq!((of("collector_events_committed_total"), of("collector_messages_refused_total")), (6.0, 3.0));
    assert!(of("collector_receipts_sent_total") >= 2.0 && of("collector_messages_dropped_total") == 0.0, "{counted:?}");
    assert_eq!((of("collector_lease_held"), of("broker_connected")), (1.0, 1.0));
    // After 2025, in seconds.
    let last = of("collector_last_commit_timestamp_seconds");
    assert!(last > 1.7e9 && last < 1e10, "{last}");
    let idle = spare.metrics();
    assert_eq!(idle.keys().collect::<Vec<_>>(), counted.keys().collect::<Vec<_>>());
    assert!(idle.values().all(|value| *value == 0.0), "{idle:?}");

    world.broker.kill9().expect("it can be killed");
    until_healthy(&active, 503, "broker: no connection to 127.0.0.1:").await;
    assert_eq!(active.metrics()["broker_connected"], 0.0);
    until_healthy(&spare, 200, "standing by").await;
    world.broker.restart(true).expect("it starts again");
    until_healthy(&active, 200, "collecting").await;
    server.kill9();
    until_healthy(&active, 503, "ledger: PostgreSQL at ").await;
    until_healthy(&spare, 503, "ledger: PostgreSQL at ").await;
    let told = active.health().expect("it listens").1;
    assert!(!told.contains(examgate::rig::postgres::PASSWORD), "{told}");
    good(server.restart());
    until_healthy(&active, 200, "collecting").await;
    until_healthy(&spare, 200, "standing by").await;
    assert!(first.0.try_wait().expect("ours").is_none(), "one process all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_starts_a_collector_that_works() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let variables = [
        ("BROKER", format!("127.0.0.1:{}", world.broker.port())),
        ("DEVICES", desk.at("devices.toml").display().to_string()),
        ("TRUST", trust::arguments(&desk).join(" ")),
    ];
    trust::write(&desk, &trust::document(1, &[RECEIPT_SEED]));
    let unit = Unit::new("examgate-fleetd-collect.service", &["fleetd.env", "ledger.env"], &variables);
    for (file, place) in [
        ("ca.pem", "authorities.pem"),
        ("collector.pem", "collector.pem"),
        ("collector.key", "keys/collector.key"),
        ("ledger.key", "keys/ledger.key"),
        ("receipt.key", "keys/receipt.key"),
        ("age.key", "keys/collector.age"),
    ] {
        fs::copy(desk.at(file), unit.at(&format!("/etc/examgate-fleet/{place}"))).expect("copied");
    }
    let started = unit.start();
    until_healthy(&started.endpoint, 200, "collecting").await;
    let mut door = Door::open(&world, 3).await;
    door.until_receipted(3).await;
    started.stop();
}

/// How a collector on this machine is named.
fn machine(process: u32) -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
    format!("{}, process {process}", name.trim())
}
