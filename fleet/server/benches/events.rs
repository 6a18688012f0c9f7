//! How many events a second come through the broker and the collector into the ledger, in a file and in PostgreSQL, and what each
//! process spends on it. At two sizes: the rate must not fall, nor the collector's memory grow.
//!
//! Events are signed and sealed before. Eight boxes of ours each have as many on their way as a real one may; the broker is the
//! real mosquitto over TLS, the collector the program that ships. Written into `target/bench/summary.json`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    error::Error,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use examgate::{
    domain::{Decision, DeviceId, Epoch, EventHash, Seq, chain_hash, sample::verified},
    rig::{
        certificates::{Authority, Issued, Validity},
        mosquitto::{Memory, Mosquitto},
        postgres::Postgres,
        summary,
    },
    wire::{
        envelope::EventEnvelope,
        keys::SigningKey,
        receipt::Receipt,
        seal::{Identity, Recipient},
        topic::DeviceTopic,
    },
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event as Polled, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;
use zeroize::Zeroizing;

const BOXES: u64 = 8;
/// Events of each box, at each size.
const SIZES: [u64; 2] = [250, 2_500];
/// Most events of one box without a receipt, as a real one has.
const AHEAD: u64 = 128;
/// Longer than any of this may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Clock ticks a second in `/proc` on Linux (`USER_HZ`, proc(5)).
const TICKS: f64 = 100.0;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Postgres::start()?;
    println!(
        "{:>10} {:>8} {:>10} {:>34} {:>14}",
        "ledger", "events", "a second", "us an event: collector / broker / us", "collector MiB"
    );
    let mut numbers = Vec::new();
    for (name, url) in [("sqlite", None), ("postgres", Some(server.database()?))] {
        let desk = Desk::new(url)?;
        for (round, events) in SIZES.into_iter().enumerate() {
            let run = runtime.block_on(desk.run(round as u64, events))?;
            let total = BOXES * events;
            let rate = total as f64 / run.took.as_secs_f64();
            let each = |seconds: f64| seconds * 1e6 / total as f64;
            let (collector, broker, ours) = (each(run.collector), each(run.broker), each(run.ours));
            println!(
                "{name:>10} {total:>8} {rate:>10.0} {collector:>14.0} / {broker:>5.0} / {ours:>5.0} {:>20.1}",
                run.mib
            );
            if round == SIZES.len() - 1 {
                numbers.push((format!("events_per_s_{name}"), rate));
                numbers.push((format!("event_collector_us_{name}"), collector));
                numbers.push((format!("collector_rss_mib_{name}"), run.mib));
            }
        }
    }
    let numbers: Vec<_> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    Ok(summary::merge(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &numbers)?)
}

/// What one run came to: wall time, processor seconds of each side, and the most memory that the collector held.
struct Run {
    took: Duration,
    collector: f64,
    broker: f64,
    ours: f64,
    mib: f64,
}

/// Broker, keys and files of one collector.
struct Desk {
    folder: TempDir,
    authority: Authority,
    broker: Mosquitto,
    identity: Identity,
    ledger: [String; 2],
}

fn device(n: u64) -> DeviceId {
    DeviceId::new(format!("door-{n}")).expect("valid")
}

fn key(n: u64) -> SigningKey {
    SigningKey::from_seed(&[n as u8 + 1; 32])
}

fn receipt_key() -> SigningKey {
    SigningKey::from_seed(&[99; 32])
}

impl Desk {
    fn new(url: Option<String>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new();
        let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)?;
        let at = |name: &str| folder.path().join(name);
        let secret = |name: &str, content: &str| -> Outcome<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(at(name))?;
            Ok(file.write_all(content.as_bytes())?)
        };
        let Issued { certificate, key: tls } = authority.client("collector", Validity::Good);
        fs::write(at("ca.pem"), authority.certificate())?;
        fs::write(at("collector.pem"), certificate)?;
        secret("collector.key", &tls)?;
        secret("ledger.key", &"5a".repeat(32))?;
        secret("receipt.key", &"63".repeat(32))?;
        let identity = Identity::generate();
        secret("age.key", &identity.to_text())?;
        let listed = |n| format!("[[device]]\nid = \"{}\"\npublic_key = \"{}\"\n", device(n), key(n).public());
        fs::write(at("devices.toml"), (0..BOXES).map(listed).collect::<String>())?;
        let ledger = match url {
            Some(url) => {
                secret("ledger.url", &url)?;
                ["--ledger-url-file".to_owned(), at("ledger.url").display().to_string()]
            }
            None => ["--ledger".to_owned(), at("ledger.db").display().to_string()],
        };
        Ok(Self { folder, authority, broker, identity, ledger })
    }

    fn collector(&self) -> Outcome<Process> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_examgate-fleetd"));
        command.arg("collect").args(&self.ledger);
        for (flag, file) in [
            ("--ca", "ca.pem"),
            ("--cert", "collector.pem"),
            ("--key", "collector.key"),
            ("--ledger-key", "ledger.key"),
            ("--receipt-key", "receipt.key"),
            ("--age-identity", "age.key"),
            ("--devices", "devices.toml"),
        ] {
            command.arg(flag).arg(self.folder.path().join(file));
        }
        command.arg("--broker").arg(format!("127.0.0.1:{}", self.broker.port()));
        command.stderr(fs::File::create(self.folder.path().join("log"))?);
        Ok(Process(command.spawn()?))
    }

    /// All boxes deliver `events` events each, in an epoch of their own.
    async fn run(&self, round: u64, events: u64) -> Outcome<Run> {
        let epoch = Epoch(Uuid::from_u128(u128::from(round) + 1));
        let collector = self.collector()?;
        let broker = child_named("mosquitto")?;
        let mut doors = Vec::new();
        for n in 0..BOXES {
            let sealed = chain(n, epoch, events, &self.identity.recipient())?;
            let mut door = Door::connect(n, self)?;
            // The first event gets through once the collector listens.
            door.deliver(&sealed[..1]).await?;
            doors.push((door, sealed));
        }
        let before = (seconds(collector.id())?, seconds(broker)?, seconds(std::process::id())?);
        let start = Instant::now();
        let mut all = JoinSet::new();
        for (mut door, sealed) in doors {
            all.spawn(async move { door.deliver(&sealed).await });
        }
        while let Some(done) = tokio::time::timeout(LIMIT, all.join_next()).await? {
            done??;
        }
        let took = start.elapsed();
        Ok(Run {
            took,
            collector: seconds(collector.id())? - before.0,
            broker: seconds(broker)? - before.1,
            ours: seconds(std::process::id())? - before.2,
            mib: most_held(collector.id())?,
        })
    }
}

/// Events of one box, as they travel.
fn chain(n: u64, epoch: Epoch, events: u64, collector: &Recipient) -> Outcome<Vec<Vec<u8>>> {
    let (mut prev, mut sealed) = (EventHash::START, Vec::new());
    for seq in 1..=events {
        let number = epoch.0.as_u128() as u64 * 1_000_000 + n * 100_000 + seq;
        let body = serde_json::to_vec(&verified(number, "BENCH", Some((seq % 256) as u8), Decision::Admit))?;
        let hash = chain_hash(epoch, Seq(seq), &prev, &body);
        let event_id = examgate::domain::EventId(Uuid::from_u128(number.into()));
        let (device, body) = (device(n), Zeroizing::new(body));
        let envelope = EventEnvelope { device, epoch, seq: Seq(seq), event_id, prev, hash, body };
        sealed.push(envelope.encode(&key(n), collector)?);
        prev = hash;
    }
    Ok(sealed)
}

/// A box's line, without its disk.
struct Door {
    device: DeviceId,
    client: AsyncClient,
    polled: EventLoop,
}

impl Door {
    fn connect(n: u64, desk: &Desk) -> Outcome<Self> {
        let device = device(n);
        let Issued { certificate, key } = desk.authority.client(device.as_str(), Validity::Good);
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(native_tls::Certificate::from_pem(desk.authority.certificate().as_bytes())?)
            .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes())?)
            .build()?;
        let mut options = MqttOptions::new(device.as_str(), "127.0.0.1", desk.broker.port());
        options.set_transport(Transport::tls_with_config(connector.into()));
        let (client, polled) = AsyncClient::new(options, 2 * AHEAD as usize);
        client.try_subscribe(DeviceTopic::Receipt.of(&device), QoS::AtLeastOnce)?;
        Ok(Self { device, client, polled })
    }

    /// Sends events from the first on, again after a second without a receipt, until all are receipted.
    async fn deliver(&mut self, sealed: &[Vec<u8>]) -> Outcome<()> {
        let (mut sent, mut receipted) = (0, 0);
        while receipted < sealed.len() as u64 {
            while sent < sealed.len() as u64 && sent < receipted + AHEAD {
                let payload = sealed[sent as usize].clone();
                self.client.try_publish(DeviceTopic::Event.of(&self.device), QoS::AtLeastOnce, false, payload)?;
                sent += 1;
            }
            match tokio::time::timeout(Duration::from_secs(1), self.polled.poll()).await {
                Ok(Ok(Polled::Incoming(Packet::Publish(receipt)))) => {
                    let receipt = Receipt::decode(&receipt.payload, &self.device, &receipt_key().public())?;
                    receipted = receipted.max(receipt.seq.0);
                    sent = sent.max(receipted);
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => sent = receipted,
            }
        }
        Ok(())
    }
}

struct Process(Child);

impl Process {
    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time that a process has used, user and system, in seconds.
fn seconds(pid: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit_once(") ").ok_or("no stat")?.1;
    let field = |n: usize| after.split(' ').nth(n).and_then(|text| text.parse::<f64>().ok()).ok_or("no stat");
    // utime and stime, the 14th and 15th of proc(5).
    Ok((field(11)? + field(12)?) / TICKS)
}

/// The most memory that a process held, MiB.
fn most_held(pid: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// The child of this process with this name that was started last.
fn child_named(name: &str) -> Outcome<u32> {
    let ours = format!("PPid:\t{}", std::process::id());
    let mut found = None;
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        if status.starts_with(&format!("Name:\t{name}\n")) && status.lines().any(|line| line == ours) {
            found = found.max(Some(pid));
        }
    }
    found.ok_or_else(|| format!("{name} does not run").into())
}
