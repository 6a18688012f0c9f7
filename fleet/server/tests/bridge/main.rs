//! The whole way of telemetry: boxes that sign what they count, the real mosquitto with TLS and ACL, bridges as processes, and the real Prometheus,
//! asked by its API. What Prometheus says is what the boxes counted, also after a restart of the bridge, the broker or Prometheus.

mod prometheus;
mod rules;
#[path = "../collect/scrape.rs"]
mod scrape;
#[path = "../collect/unit.rs"]
mod unit;
mod world;

use std::fs;

use examgate::wire::state::Status;

use self::{
    prometheus::Prometheus,
    unit::Unit,
    world::{World, device_key},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_says_is_what_the_boxes_counted() {
    let mut world = World::new();
    let bridge = world.bridge("bridge", &[]);
    let mut prometheus = Prometheus::start(&[bridge.port]);
    let mut doors = Vec::new();
    for name in ["door-1", "door-2", "door-3"] {
        doors.push(world.door(name).await);
    }
    for (door, counted) in doors.iter().zip([5, 7, 11]) {
        door.tell(1, 1, counted).await;
    }
    let total = "sum(examgate_attempts_total)";
    prometheus.until(total, "23").await;
    prometheus.until("sum(examgate_attempts_total{site=\"north\",room=\"R-1\",device=\"door-1\"})", "5").await;
    prometheus.until("count(examgate_box_info{software=\"0.1.0\"})", "3").await;
    prometheus.until("count(examgate_model_info{role=\"embedder\",model=\"abc\"})", "3").await;
    prometheus.until("examgate_broker_connected", "1").await;

    // A box starts again: its counts begin at nothing, and the fleet's do not.
    doors[0].tell(2, 1, 2).await;
    prometheus.until(total, "25").await;

    // The bridge is killed. Meanwhile one run goes on and ends, and another begins.
    let port = bridge.port;
    drop(bridge);
    doors[1].tell(1, 2, 8).await;
    doors[1].tell(2, 1, 1).await;
    let bridge = world.bridge_at("bridge", port, &[]);
    prometheus.until(total, "27").await;

    // Prometheus is killed, then the broker, which forgets everything.
    prometheus.restart();
    world.broker.restart(true).expect("it starts");
    doors[2].tell(1, 2, 13).await;
    prometheus.until(total, "29").await;

    // Nothing of what comes again, is forged or is nonsense counts.
    let foreign = world.door("door-4").await;
    doors[0].send(world::telemetry("door-1", 1, 9, 99).encode(&device_key("door-1"))).await;
    doors[0].send(world::telemetry("door-1", 3, 1, 99).encode(&device_key("door-2"))).await;
    doors[0].send(b"nonsense".to_vec()).await;
    foreign.tell(1, 1, 99).await;
    for outcome in ["replayed", "unknown_box"] {
        prometheus.until(&format!("examgate_bridge_telemetry_total{{outcome=\"{outcome}\"}}"), "1").await;
    }
    prometheus.until("examgate_bridge_telemetry_total{outcome=\"forged\"}", "2").await;
    doors[0].tell(2, 2, 3).await;
    prometheus.until(total, "30").await;

    // One is gone without a word: its series end, and when it was last seen stays.
    let seen = "count(examgate_last_seen_timestamp_seconds)";
    doors.remove(0).vanish().await;
    prometheus.until("examgate_box_online{device=\"door-1\"}", "0").await;
    prometheus.until("count(examgate_attempts_total)", "2").await;
    prometheus.until(seen, "3").await;
    doors.remove(0).say(Status::Stopped).await;
    prometheus.until("count(examgate_attempts_total)", "1").await;
    prometheus.until("count(examgate_box_online)", "2").await;
    prometheus.until(seen, "3").await;
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bridges_share_the_boxes_or_stand_in_for_each_other() {
    let world = World::new();
    let mut doors = Vec::new();
    for name in ["door-1", "door-2", "door-6"] {
        doors.push(world.door(name).await);
    }
    let tell = async |seq: u64, counted: u64| {
        for door in &doors {
            door.tell(1, seq, counted).await;
        }
    };
    // Each serves its share; nothing is told twice.
    let (one, two) = (world.bridge("bridge", &["--shard", "1/2"]), world.bridge("bridge-2", &["--shard", "2/2"]));
    let prometheus = Prometheus::start(&[one.port, two.port]);
    tell(1, 4).await;
    prometheus.until("sum(examgate_attempts_total)", "12").await;
    prometheus.until("count(examgate_attempts_total)", "3").await;
    prometheus.until("count(count by (instance) (examgate_attempts_total))", "2").await;
    drop((one, two, prometheus));

    // Both serve all; the recording rule takes each box once, and one may be killed.
    let (one, two) = (world.bridge("bridge", &[]), world.bridge("bridge-2", &[]));
    let prometheus = Prometheus::start(&[one.port, two.port]);
    let total = "sum(max without (instance, job) (examgate_attempts_total))";
    tell(2, 6).await;
    prometheus.until("count(examgate_attempts_total)", "6").await;
    prometheus.until(total, "18").await;
    drop(one);
    tell(3, 7).await;
    prometheus.until(total, "21").await;
    drop(two);
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_are_native_and_classic() {
    let world = World::new();
    let bridge = world.bridge("bridge", &[]);
    let door = world.door("door-1").await;
    let native = Prometheus::native(&[bridge.port]);
    let classic = Prometheus::start(&[bridge.port]);
    door.tell(1, 1, 3).await;
    // Three taps of 2^(1/4) to 2^(2/4) s: what both say of the middle one is in that bucket, and they agree on how many were faster than it.
    native.until("histogram_count(examgate_tap_to_decision_seconds)", "3").await;
    native.until("histogram_fraction(1, 2, examgate_tap_to_decision_seconds)", "1").await;
    native.until("histogram_fraction(0, 1, examgate_tap_to_decision_seconds)", "0").await;
    classic.until("examgate_tap_to_decision_seconds_bucket{le=\"1.0\"}", "0").await;
    classic.until("examgate_tap_to_decision_seconds_bucket{le=\"2.0\"}", "3").await;
    classic.until("examgate_tap_to_decision_seconds_count", "3").await;
    // Scores have other bounds, and are classic in either format.
    native.until("examgate_liveness_ratio_count", "3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_bridges() {
    let world = World::new();
    let variables = [
        ("BROKER", format!("127.0.0.1:{}", world.broker.port())),
        ("DEVICES", world.at("devices.toml").display().to_string()),
    ];
    let unit = Unit::new("examgate-fleetd-bridge.service", &["fleetd.env"], &variables);
    for (file, place) in [
        ("ca.pem", "authorities.pem"),
        ("bridge.pem", "bridge.pem"),
        ("bridge.key", "keys/bridge.key"),
        ("tally.key", "keys/tally.key"),
    ] {
        fs::copy(world.at(file), unit.at(&format!("/etc/examgate-fleet/{place}"))).expect("copied");
    }
    // systemd makes the folder (StateDirectory=).
    assert!(!unit.at("/var/lib/examgate-bridge/tally.db").exists());
    let started = unit.start();
    world::until("it bridges", || started.endpoint.health() == Some((200, "bridging\n".into()))).await;
    let metrics = started.endpoint.metrics();
    assert_eq!((metrics["broker_connected"], metrics["bridge_telemetry_total{outcome=\"accepted\"}"]), (1.0, 0.0));
    let prometheus = Prometheus::start(&[started.endpoint.argument().parse().expect("a port")]);
    world.door("door-1").await.tell(1, 1, 3).await;
    prometheus.until("examgate_attempts_total", "3").await;
    started.stop();
}
