//! The broker, bridges as processes, and boxes as the broker sees them: clients that publish signed telemetry and have a last will.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use examgate::{
    domain::{ClockTrust, DeviceId, Timestamp},
    rig::{
        certificates::{Authority, Issued, Validity},
        mosquitto::{Memory, Mosquitto},
    },
    wire::{
        keys::SigningKey,
        state::{DeviceState, Status, Versions},
        telemetry::{Place, Reading, Series, Telemetry, metrics},
        topic::DeviceTopic,
    },
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{LastWill, Packet},
        },
    },
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

/// Waits for `what`, and fails after a time limit.
pub(crate) async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited 60 s in vain: {what}"),
    }
}

/// Looks again and again until `is` so.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    soon(what, async {
        while !is() {
            looks.tick().await;
        }
    })
    .await;
}

pub(crate) fn id(name: &str) -> DeviceId {
    DeviceId::new(name).expect("valid")
}

/// The signing key of a box.
pub(crate) fn device_key(name: &str) -> SigningKey {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SigningKey::from_seed(&seed)
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

#[expect(clippy::disallowed_methods, reason = "Prometheus and certificates go by the real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// What a box says that opened so many windows in this run, and whose taps all took 1.3 s.
pub(crate) fn telemetry(name: &str, run: u64, seq: u64, counted: u64) -> Telemetry {
    let spread = |metric: &'static metrics::Metric, labels: &[&str], value: f64| {
        let metrics::Kind::Histogram(buckets) = metric.kind else { panic!("{} is no histogram", metric.name) };
        let mut counts = vec![0; buckets.len()];
        counts[buckets.of(value)] = counted;
        let reading = Reading::Histogram { counts, sum: value * counted as f64 };
        Series { metric, labels: labels.iter().map(|label| (*label).to_owned()).collect(), reading }
    };
    Telemetry {
        device: id(name),
        boot_id: Uuid::from_u128(1),
        place: Place { run, seq },
        made: now(),
        since: now(),
        every: 60,
        clock: ClockTrust::Synchronised,
        software: "0.1.0".into(),
        models: BTreeMap::from([("embedder".into(), "abc".into())]),
        series: vec![
            Series { metric: &metrics::ATTEMPTS, labels: Vec::new(), reading: Reading::Counter(counted) },
            spread(&metrics::TAP_TO_DECISION, &["admit"], 1.3),
            spread(&metrics::LIVENESSES, &["abc"], 0.9),
        ],
    }
}

/// The broker and the files of the bridges.
pub(crate) struct World {
    authority: Authority,
    pub(crate) broker: Mosquitto,
    folder: TempDir,
}

/// A bridge as a process; killed when dropped.
pub(crate) struct Bridge {
    process: Child,
    pub(crate) port: u16,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

fn secret(path: &Path, content: &str) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file");
    file.write_all(content.as_bytes()).expect("writable");
}

impl World {
    /// Four boxes are enrolled: door-6 is of shard 1 of 2, the others of shard 2.
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)
            .unwrap_or_else(|error| panic!("{error}"));
        let world = Self { authority, broker, folder: tempfile::tempdir().expect("a temporary folder") };
        fs::write(world.at("ca.pem"), world.authority.certificate()).expect("writable");
        for name in ["bridge", "bridge-2"] {
            let Issued { certificate, key } = world.authority.client(name, Validity::Good);
            fs::write(world.at(&format!("{name}.pem")), certificate).expect("writable");
            secret(&world.at(&format!("{name}.key")), &key);
        }
        secret(&world.at("tally.key"), &"5a".repeat(32));
        let listed = [1, 2, 3, 6].map(|n| {
            let key = device_key(&format!("door-{n}")).public();
            format!("[[device]]\nid = \"door-{n}\"\npublic_key = \"{key}\"\nroom = \"R-{n}\"\nsite = \"north\"\n")
        });
        fs::write(world.at("devices.toml"), listed.concat()).expect("writable");
        world
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a bridge with the certificate of `name` and the tally that it had.
    pub(crate) fn bridge(&self, name: &str, arguments: &[&str]) -> Bridge {
        self.bridge_at(name, free_port(), arguments)
    }

    pub(crate) fn bridge_at(&self, name: &str, port: u16, arguments: &[&str]) -> Bridge {
        let mut command = Command::new(env!("CARGO_BIN_EXE_examgate-fleetd"));
        command.arg("bridge").arg("--broker").arg(format!("127.0.0.1:{}", self.broker.port()));
        command.arg("--health").arg(port.to_string()).args(arguments);
        for (flag, file) in [
            ("--ca", "ca.pem"),
            ("--cert", &*format!("{name}.pem")),
            ("--key", &format!("{name}.key")),
            ("--tally", &format!("{name}.db")),
            ("--tally-key", "tally.key"),
            ("--devices", "devices.toml"),
        ] {
            command.arg(flag).arg(self.at(file));
        }
        Bridge { process: command.spawn().expect("it starts"), port }
    }

    /// Connects a box.
    pub(crate) async fn door(&self, name: &str) -> Door {
        let Issued { certificate, key } = self.authority.client(name, Validity::Good);
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(
                native_tls::Certificate::from_pem(self.authority.certificate().as_bytes()).expect("PEM"),
            )
            .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("PEM"))
            .build()
            .expect("usable certificates");
        let state = DeviceTopic::State.of(&id(name));
        let mut options = MqttOptions::new(name, "127.0.0.1", self.broker.port());
        options.set_transport(Transport::tls_with_config(connector.into())).set_max_packet_size(Some(64 * 1024));
        options.set_last_will(LastWill::new(state, said(Status::Lost), QoS::AtLeastOnce, true, None));
        let (client, mut events) = AsyncClient::new(options, 64);
        let (acknowledged_tx, acknowledged) = watch::channel(0u64);
        #[expect(clippy::disallowed_methods, reason = "the task is held by the door, which aborts it")]
        let polled = tokio::spawn(async move {
            let mut pauses = tokio::time::interval(Duration::from_millis(100));
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => acknowledged_tx.send_modify(|count| *count += 1),
                    Ok(_) => {}
                    // The broker starts again.
                    Err(_) => _ = pauses.tick().await,
                }
            }
        });
        let door = Door { name: name.to_owned(), client, polled, acknowledged };
        door.say(Status::Online).await;
        door
    }
}

fn said(status: Status) -> Vec<u8> {
    DeviceState::new(status, Uuid::from_u128(1), Versions::default()).encode()
}

/// A box as the broker sees it.
pub(crate) struct Door {
    name: String,
    client: AsyncClient,
    polled: JoinHandle<()>,
    acknowledged: watch::Receiver<u64>,
}

impl Door {
    /// Publishes what a box says that has counted so much in this run.
    pub(crate) async fn tell(&self, run: u64, seq: u64, counted: u64) {
        self.send(telemetry(&self.name, run, seq, counted).encode(&device_key(&self.name))).await;
    }

    /// Publishes any bytes as telemetry.
    pub(crate) async fn send(&self, bytes: Vec<u8>) {
        self.publish(DeviceTopic::Telemetry, bytes).await;
    }

    /// Says whether it is there.
    pub(crate) async fn say(&self, status: Status) {
        self.publish(DeviceTopic::State, said(status)).await;
    }

    /// Until the broker has it.
    async fn publish(&self, topic: DeviceTopic, bytes: Vec<u8>) {
        let mut acknowledged = self.acknowledged.clone();
        let before = *acknowledged.borrow_and_update();
        let topic = topic.of(&id(&self.name));
        self.client.publish(topic, QoS::AtLeastOnce, true, bytes).await.expect("the task runs");
        let taken = acknowledged.wait_for(|count| *count > before);
        soon("the broker has the message", taken).await.expect("the task runs");
    }

    /// Is gone without a word: the will speaks.
    pub(crate) async fn vanish(self) {
        self.polled.abort();
        assert!(self.polled.await.is_err(), "it was aborted");
    }
}
