//! A fleet that was founded with its programs: its folder, its keeper, its collector, and a box of the stage that knows its root.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use examgate::{
    domain::{DeviceId, Timestamp},
    rig::{
        certificates::{Issued, Validity},
        stage::{DoorBox, Programs, Reality, Stage},
        strings::Lying,
    },
    wire::{
        envelope::EventEnvelope,
        keys::{PublicKey, SigningKey},
        reported::Reported,
        seal::Identity,
    },
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};
use serde_json::Value;

pub(crate) use examgate::rig::stage::DEVICE;

pub(crate) const EXAM: &str = "MATH-UA-120-final";
const CARD: &str = "04AA000000000001";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn pause(duration: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        pause(LOOK_EVERY);
    }
    panic!("waited {PATIENCE:?} in vain: {what}")
}

#[expect(clippy::disallowed_methods, reason = "the fleet's programs go by the real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

pub(crate) struct Fleet {
    pub(crate) stage: Stage,
    pub(crate) device: DeviceId,
    programs: Programs,
    root: String,
    keeper: Option<Running>,
    collector: Option<Running>,
}

fn secret(path: &Path, text: &str) {
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(path).expect("a new file");
    file.write_all(text.as_bytes()).expect("writable");
}

impl Fleet {
    /// Founds it, and sets up a box as `examgate provision` does, whose configuration names another collector.
    pub(crate) fn found() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("all programs");
        let reality = Reality { reader: false, broker: true };
        let stage = Stage::set(project, programs.clone(), EXAM, reality).expect("a stage");
        stage.strings.set_clock(now()).expect("a clock");
        let (device, _) = Stage::names();
        let mut fleet = Self { stage, device, programs, root: String::new(), keeper: None, collector: None };
        fs::write(fleet.at("words"), "six random words, or so\n").expect("writable");
        fleet.done(&["init", "--name", "Fleet"], &[("--folder", "fleet"), ("--passphrase-file", "words")]);
        fleet.root = fs::read_to_string(fleet.at("fleet/root.pub")).expect("readable").trim().to_owned();
        fs::copy(fleet.at("fleet/trust.cose"), fleet.at("trust.cose")).expect("copied");
        let (root, enrolled) = (&fleet.root, fleet.at("trust.cose").display().to_string());
        fleet.stage.configure(&format!("[fleet]\nroot = \"{root}\"\ntrust = \"{enrolled}\"\n")).expect("configured");
        for name in ["keeper", "manager"] {
            let Issued { certificate, key } = fleet.stage.authority.client(name, Validity::Good);
            secret(&fleet.at(&format!("{name}.pem")), &certificate);
            secret(&fleet.at(&format!("{name}-tls.key")), &key);
        }
        for name in ["desk", "desk/state", "desk/keys"] {
            fs::DirBuilder::new().mode(0o700).create(fleet.at(name)).expect("a new folder");
        }
        fs::copy(fleet.at("keys/pepper.key"), fleet.at("desk/keys/pepper.key")).expect("copied");
        fleet
    }

    fn at(&self, name: &str) -> PathBuf {
        self.stage.folder().join(name)
    }

    /// One of the fleet's secret keys, as `trust rotate` leaves them.
    pub(crate) fn key(&self, name: &str) -> SigningKey {
        let text = fs::read_to_string(self.at("fleet/keys").join(name)).expect("readable");
        text.parse().expect("a seed")
    }

    /// `examgate-fleet` with files of the stage.
    fn fleet(&self, arguments: &[&str], files: &[(&str, &str)]) -> Output {
        let mut command = Command::new(&self.programs.fleet);
        command.args(arguments);
        for (flag, file) in files {
            command.arg(flag).arg(self.at(file));
        }
        command.stdin(Stdio::null()).output().expect("it runs")
    }

    #[track_caller]
    fn done(&self, arguments: &[&str], files: &[(&str, &str)]) -> String {
        let output = self.fleet(arguments, files);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    #[track_caller]
    pub(crate) fn trust(&self, arguments: &[&str]) -> String {
        self.done(&[&["trust"], arguments].concat(), &[("--folder", "fleet"), ("--passphrase-file", "words")])
    }

    /// Purpose and id of the Ed25519 keys that count.
    pub(crate) fn counting(&self) -> Vec<(String, String)> {
        let shown: Value =
            serde_json::from_str(&self.done(&["trust", "show", "--json"], &[("--folder", "fleet")])).expect("JSON");
        let text = |key: &Value, field: &str| key[field].as_str().expect("a text").to_owned();
        let keys = shown["keys"].as_array().expect("keys").iter().map(|key| (text(key, "purpose"), text(key, "id")));
        keys.filter(|(purpose, _)| ["roster", "command", "receipt"].contains(&purpose.as_str())).collect()
    }

    fn start(&self, role: &str, files: &[(&str, &str)]) -> Running {
        let port = self.stage.broker.as_ref().expect("a real one").port();
        let mut command = Command::new(&self.programs.fleetd);
        command.arg(role).arg("--broker").arg(format!("localhost:{port}"));
        command.arg("--root-public-key").arg(&self.root);
        let common = [("--ca", "ca.pem"), ("--devices", "devices.toml"), ("--trust", "fleet/trust.cose")];
        for (flag, file) in common.iter().chain(files) {
            command.arg(flag).arg(self.at(file));
        }
        let log = File::options().create(true).append(true).open(self.at(&format!("{role}.log"))).expect("a log");
        Running(command.stderr(log).stdin(Stdio::null()).spawn().expect("it starts"))
    }

    pub(crate) fn keep(&mut self) {
        let files = [("--cert", "keeper.pem"), ("--key", "keeper-tls.key"), ("--stock", "stock")];
        self.keeper = Some(self.start("keep", &files));
    }

    pub(crate) fn stop_keeping(&mut self) {
        self.keeper = None;
    }

    pub(crate) fn keeper_log(&self) -> String {
        fs::read_to_string(self.at("keep.log")).unwrap_or_default()
    }

    pub(crate) fn collect(&mut self) {
        let files = [
            ("--cert", "collector.pem"),
            ("--key", "collector.key"),
            ("--ledger", "ledger.db"),
            ("--ledger-key", "ledger.key"),
            ("--receipt-key", "fleet/keys/receipt.key"),
            ("--age-identity", "fleet/keys/collector.age"),
        ];
        self.collector = Some(self.start("collect", &files));
    }

    pub(crate) fn stop_collecting(&mut self) {
        self.collector = None;
    }

    /// Imports a roster of one more student than the version before had.
    pub(crate) fn import(&self, version: usize) {
        let (_, room) = Stage::names();
        let rows: String = (1..=version).map(|n| format!("N{n},Ada,04AA{n:012X},{},\n", room.as_str())).collect();
        fs::write(self.at("roster.csv"), format!("student_id,given_name,card,room,photos\n{rows}")).expect("writable");
        // Doors that have not opened yet: the answer to a good card comes without a face.
        let hours = |hours: u64| (now() + Duration::from_secs(hours * 3600)).to_string();
        let (opens, closes) = (hours(2), hours(3));
        let words = ["roster", "import", "--exam", EXAM, "--title", "Algebra", "--opens", &opens, "--closes", &closes];
        let files =
            [("--csv", "roster.csv"), ("--photos", "photos"), ("--store", "desk/state"), ("--keys", "desk/keys")];
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").display().to_string();
        self.done(&[&words[..], &["--models", &models]].concat(), &files);
    }

    pub(crate) fn push(&self, key: &str) -> Result<String, String> {
        self.push_with(key, &[])
    }

    /// Takes over what the key `former` signed.
    pub(crate) fn push_after(&self, key: &str, former: &str) -> Result<String, String> {
        self.push_with(key, &["--former-public-key", &self.key(former).public().to_string()])
    }

    fn push_with(&self, key: &str, more: &[&str]) -> Result<String, String> {
        let (_, room) = Stage::names();
        let posted = format!("{DEVICE}:{}", room.as_str());
        let words = ["roster", "push", "--exam", EXAM, "--expires", "2099-12-31T00:00:00Z", "--device", &posted];
        let key = format!("fleet/keys/{key}");
        let files = [
            ("--store", "desk/state"),
            ("--keys", "desk/keys"),
            ("--stock", "stock"),
            ("--roster-key", &key),
            ("--devices", "devices.toml"),
        ];
        let output = self.fleet(&[&words[..], more].concat(), &files);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    pub(crate) fn command(&self, word: &str, key: &str, wait: &str) -> Output {
        self.stage.command(word, DEVICE, &format!("fleet/keys/{key}"), &["--wait", wait]).expect("it runs")
    }

    fn signs(&self) -> PublicKey {
        let devices = fs::read_to_string(self.at("devices.toml")).expect("readable");
        let key = devices.lines().find_map(|line| line.strip_prefix("public_key = \"")).expect("a key");
        key.trim_end_matches('"').parse().expect("a key")
    }

    pub(crate) fn read_report(&self, bytes: &[u8]) -> Option<Reported> {
        Reported::decode(bytes, &self.device, &self.signs()).ok()
    }

    /// What the box last reported to the keeper.
    pub(crate) fn reported(&self) -> Option<Reported> {
        self.read_report(&fs::read(self.at(&format!("stock/reported/{DEVICE}.cose"))).ok()?)
    }

    pub(crate) fn manifest(&self) -> Vec<u8> {
        fs::read(self.at(&format!("stock/desired/{DEVICE}.cose"))).expect("a manifest")
    }

    pub(crate) fn read_event(&self, bytes: &[u8]) -> EventEnvelope {
        let identity = fs::read_to_string(self.at("fleet/keys/collector.age")).expect("readable");
        let identity: Identity = identity.parse().expect("an identity");
        EventEnvelope::decode(bytes, &self.device, &self.signs(), &identity).expect("sealed to the document's key")
    }

    /// A student comes too early.
    pub(crate) fn tap(&self, door: &DoorBox, taps: &mut usize) {
        let uid = hex::decode(CARD).expect("hexadecimal");
        self.stage.strings.set_card(&Lying::Nothing).expect("the card is taken away");
        self.stage.settle().expect("the box follows");
        pause(Duration::from_millis(300));
        let card = Lying::Card(hex::encode([&uid[..], &[0x90, 0x00]].concat()));
        self.stage.strings.set_card(&card).expect("a card is laid");
        let said = door.decision(PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", self.stage.door_log()));
        assert_eq!(said.reason.as_deref(), Some("too_early"), "{}", self.stage.door_log());
        *taps += 1;
    }

    /// Waits until the ledger has so many taps, no fewer and no more.
    #[track_caller]
    pub(crate) fn until_committed(&self, taps: usize) {
        let is_tap = |event: &&Value| event["event"]["kind"] == "verification";
        until(&format!("{taps} taps are committed"), || {
            let found = self.stage.committed().ok()?.iter().filter(is_tap).count();
            assert!(found <= taps, "{found} of {taps} taps");
            (found == taps).then_some(())
        });
    }
}

/// A plain client with one of the fleet's certificates.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    client: AsyncClient,
    polled: EventLoop,
}

impl Client {
    pub(crate) fn connect(stage: &Stage, name: &str, topics: &[&str]) -> Self {
        let Issued { certificate, key } = stage.authority.client(name, Validity::Good);
        let authority = native_tls::Certificate::from_pem(stage.authority.certificate().as_bytes()).expect("PEM");
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(authority)
            .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("PEM"))
            .build()
            .expect("usable certificates");
        let port = stage.broker.as_ref().expect("a real one").port();
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_transport(Transport::tls_with_config(connector.into())).set_max_packet_size(Some(64 * 1024));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (client, polled) = AsyncClient::new(options, 64);
        let mut connected = Self { runtime, client, polled };
        for topic in topics {
            connected.client.try_subscribe(*topic, QoS::AtLeastOnce).expect("room");
            connected.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
        }
        connected
    }

    fn until<T>(&mut self, mut wanted: impl FnMut(Packet) -> Option<T>) -> T {
        let polled = &mut self.polled;
        self.runtime.block_on(async {
            let heard = async {
                loop {
                    if let Event::Incoming(packet) = polled.poll().await.expect("connected")
                        && let Some(found) = wanted(packet)
                    {
                        return found;
                    }
                }
            };
            tokio::time::timeout(PATIENCE, heard).await.expect("the broker says it")
        })
    }

    /// The next message that is not empty.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.until(|packet| {
            let Packet::Publish(message) = packet else { return None };
            (!message.payload.is_empty()).then(|| message.payload.to_vec())
        })
    }

    /// Publishes and waits until the broker has it.
    pub(crate) fn publish(&mut self, topic: &str, payload: Vec<u8>, retain: bool) {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).expect("room");
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(()));
    }
}
