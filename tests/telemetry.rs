//! Telemetry of a box as a process, over the real broker: what it tells is what the ledger holds, and it begins anew with each run.

use std::{collections::BTreeMap, path::Path, time::Duration};

use examgate::{
    domain::DeviceId,
    rig::{
        certificates::{Issued, Validity},
        stage::{DEVICE, DoorBox, Enrolled, Programs, Reality, Said, Stage},
        virtual_card::Behaviour,
    },
    wire::{
        keys::PublicKey,
        state::{DeviceState, Status},
        telemetry::{Metric, Reading, Telemetry, metrics},
        topic::DeviceTopic,
    },
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};

const EXAM: &str = "MATH-UA-120-final";
const CARD: &str = "04A1B2C3D4E5F6";
const UNKNOWN: &str = "04112233445566";

/// How long a tap, or a message, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came from the box.
#[derive(Debug)]
enum Heard {
    Telemetry(Telemetry),
    State(DeviceState),
}

/// A plain client in the bridge's place.
struct Bridge {
    _client: AsyncClient,
    polled: EventLoop,
    device: DeviceId,
    key: PublicKey,
}

impl Bridge {
    async fn connect(stage: &Stage) -> Self {
        let Issued { certificate, key } = stage.authority.client("bridge", Validity::Good);
        let authority = native_tls::Certificate::from_pem(stage.authority.certificate().as_bytes()).expect("PEM");
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(authority)
            .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("PEM"))
            .build()
            .expect("usable certificates");
        let port = stage.broker.as_ref().expect("a real one").port();
        let mut options = MqttOptions::new("bridge", "127.0.0.1", port);
        options.set_transport(Transport::tls_with_config(connector.into())).set_max_packet_size(Some(64 * 1024));
        let (client, polled) = AsyncClient::new(options, 16);
        for topic in [DeviceTopic::Telemetry, DeviceTopic::State] {
            client.try_subscribe(topic.of_all(), QoS::AtLeastOnce).expect("there is room");
        }
        let devices = std::fs::read_to_string(stage.folder().join("devices.toml")).expect("written by the stage");
        let key = devices.split("public_key = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key");
        let device = DeviceId::new(DEVICE).expect("valid");
        Self { _client: client, polled, device, key: key.parse().expect("a key") }
    }

    /// The next thing that the box says; every telemetry is whole and its own.
    async fn next(&mut self) -> Heard {
        let next = async {
            loop {
                let Event::Incoming(Packet::Publish(said)) = self.polled.poll().await.expect("the broker stays") else {
                    continue;
                };
                let topic = std::str::from_utf8(&said.topic).expect("UTF-8");
                if topic == DeviceTopic::State.of(&self.device) {
                    return Heard::State(DeviceState::decode(&said.payload).expect("a state"));
                }
                assert_eq!(topic, DeviceTopic::Telemetry.of(&self.device));
                let taken = Telemetry::decode(&said.payload, &self.device, &self.key).expect("signed by the box");
                assert_eq!(taken.passed_over, 0, "this version knows all that it tells");
                return Heard::Telemetry(taken.telemetry);
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("the box tells in time")
    }

    /// The first telemetry that is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Telemetry) -> bool) -> Telemetry {
        loop {
            if let Heard::Telemetry(telemetry) = self.next().await
                && wanted(&telemetry)
            {
                return telemetry;
            }
        }
    }

    /// The last telemetry before the box says that it has stopped.
    async fn last(&mut self) -> Telemetry {
        let mut last = None;
        loop {
            match self.next().await {
                Heard::Telemetry(telemetry) => last = Some(telemetry),
                Heard::State(state) if state.status == Status::Online => {}
                Heard::State(state) => {
                    assert_eq!(state.status, Status::Stopped);
                    return last.expect("told before the goodbye");
                }
            }
        }
    }
}

/// Of each labelling, what was counted; without what is 0.
fn counted(telemetry: &Telemetry, metric: &Metric) -> BTreeMap<Vec<String>, u64> {
    let of_it = telemetry.series.iter().filter(|series| series.metric.name == metric.name);
    let count = of_it.map(|series| match &series.reading {
        Reading::Counter(count) => (series.labels.clone(), *count),
        Reading::Histogram { counts, .. } => (series.labels.clone(), counts.iter().sum()),
        Reading::Gauge(value) => (series.labels.clone(), *value as u64),
    });
    count.filter(|(_, count)| *count > 0).collect()
}

fn sum(telemetry: &Telemetry, metric: &Metric) -> u64 {
    counted(telemetry, metric).values().sum()
}

/// The verifications of the ledger, by decision and reason.
fn ledger(stage: &Stage) -> BTreeMap<Vec<String>, u64> {
    let mut ledger = BTreeMap::new();
    for entry in stage.committed().unwrap_or_default() {
        let decision = &entry["event"]["decision"];
        let reason = decision["reason"]["code"].as_str().unwrap_or("none");
        *ledger.entry(vec![decision["outcome"].as_str().expect("a word").into(), reason.into()]).or_default() += 1;
    }
    ledger
}

fn tap(stage: &Stage, door: &DoorBox, card: &str) -> Said {
    stage.seat_woman().and_then(|()| stage.settle()).expect("the scene is set");
    let tapped = stage.tap(&Behaviour::Uid(hex::decode(card).expect("hexadecimal"))).expect("a card can be laid down");
    let said = door.decision(PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", stage.door_log()));
    drop(tapped);
    stage.settle().expect("the card is away");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_box_tells_is_what_its_ledger_holds_and_begins_anew_with_each_run() {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs are built");
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    stage.configure("[telemetry]\nevery_s = 5\nnon_mated_scores = true\n").expect("it can be configured");
    let pictures = &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];
    let student = Enrolled { id: "N1234567", given_name: "Mira", card: CARD, pictures, language: None };
    let window = ("2026-12-14T08:30:00-05:00", "2026-12-14T10:30:00-05:00");
    stage.enrol(EXAM, EXAM, window, &[student]).expect("the roster is imported");
    stage.collect().expect("the collector starts");
    stage.set_clock("2026-12-14T08:35:00-05:00").expect("the clock is set");

    let mut bridge = Bridge::connect(&stage).await;
    let door = stage.open_door().unwrap_or_else(|error| panic!("{error:#}"));
    let empty = bridge.until(|_| true).await;
    assert_eq!(sum(&empty, &metrics::SESSIONS), 0);
    assert_eq!(empty.place.seq, 1);

    assert_eq!(tap(&stage, &door, CARD).decision, "admit", "{}", stage.door_log());
    assert_eq!(tap(&stage, &door, CARD).reason.as_deref(), Some("already_admitted"));
    for _ in 0..2 {
        assert_eq!(tap(&stage, &door, UNKNOWN).reason.as_deref(), Some("card_unknown"));
    }
    let told = bridge.until(|telemetry| sum(telemetry, &metrics::SESSIONS) == 4).await;
    assert_eq!((told.place.run, told.boot_id), (empty.place.run, empty.boot_id));
    assert!(told.place > empty.place);
    let told = bridge.until(|telemetry| sum(telemetry, &metrics::OUTBOX) == 0).await;
    assert_eq!(counted(&told, &metrics::SESSIONS), ledger(&stage), "{}", stage.collector_log());
    assert_eq!(counted(&told, &metrics::EVENTS), BTreeMap::from([(vec!["verification".into()], 4)]));
    assert_eq!(sum(&told, &metrics::TAP_TO_DECISION), 4);
    let stages = counted(&told, &metrics::STAGES);
    let took = |stage: &str| stages.get(&vec![stage.to_owned()]).copied().unwrap_or(0);
    assert_eq!((took("lookup"), took("record"), took("first_face"), took("judgement")), (4, 4, 1, 1), "{stages:?}");
    assert!(took("frame") > 0);
    for metric in [&metrics::SIMILARITIES, &metrics::LIVENESSES, &metrics::NON_MATED] {
        assert_eq!(sum(&told, metric), 0, "{}: one student is no crowd", metric.name);
    }
    for metric in [&metrics::RESIDENT, &metrics::DISK, &metrics::ROSTER, &metrics::CERTIFICATE, &metrics::PROVIDERS] {
        assert!(sum(&told, metric) > 0, "{} is told", metric.name);
    }
    assert_eq!(sum(&told, &metrics::UP), 4, "all parts work");

    // What happened since the last message is told at the end.
    assert_eq!(tap(&stage, &door, UNKNOWN).reason.as_deref(), Some("card_unknown"));
    assert!(door.stop().expect("it stops").success());
    let last = bridge.last().await;
    assert_eq!(sum(&last, &metrics::SESSIONS), 5);
    assert_eq!(last.place.run, told.place.run);

    let door = stage.open_door().unwrap_or_else(|error| panic!("{error:#}"));
    let anew = bridge.until(|telemetry| telemetry.place.run != last.place.run).await;
    assert!(anew.place > last.place && anew.place.seq == 1, "{:?} after {:?}", anew.place, last.place);
    assert_eq!((sum(&anew, &metrics::SESSIONS), anew.boot_id), (0, last.boot_id));
    tap(&stage, &door, UNKNOWN);
    let told = bridge.until(|telemetry| sum(telemetry, &metrics::SESSIONS) > 0).await;
    assert_eq!(sum(&told, &metrics::SESSIONS), 1);
    assert!(door.stop().expect("it stops").success());
    // Nothing in it names anybody.
    let all = format!("{last:?}{told:?}");
    for secret in ["N1234567", "Mira", CARD, UNKNOWN, EXAM] {
        assert!(!all.contains(secret), "{secret}");
    }
}
