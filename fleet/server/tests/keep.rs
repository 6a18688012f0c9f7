//! The whole way of a roster: pushed by the manager's command, kept by the keeper as a process, over the real mosquitto with TLS
//! and ACL, to boxes whose line and disk are real.
//!
//! Over 400 lines, and still read at one sitting: one short story after the other.

#[path = "keep/differences.rs"]
mod differences;
#[path = "keep/restored.rs"]
mod restored;
#[path = "keep/together.rs"]
mod together;
#[path = "keep/trust.rs"]
mod trust;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    sync::Arc,
    time::Duration,
};

use examgate::{
    domain::{
        ArtifactId, Card, CardPseudonym, DeviceId, Embedding, EmbeddingSpaceId, Exam, ExamId, ExamWindow, Matching,
        Peer, PeerKey, Peers, Pepper, RoomId, Roster, RosterEntry, RosterVersion, Seat, Student, StudentId, Template,
        Timestamp,
    },
    edge::{
        clock::{Clock, ScriptedClock},
        mqtt::{Patience, Settings, Tls, Uplink, uplink},
    },
    flow::{
        fetch::{self, Connected, Disk, Fetch, Held, Party, Prekeys},
        trust::FleetKeysView,
    },
    rig::{
        certificates::{Authority, Issued, Validity},
        mosquitto::{Memory, Mosquitto},
    },
    store::{Incoming, KeyFolder, KeyName, Layout, RosterStore},
    wire::{
        bundle::NEWEST,
        chunk,
        desired::{Desired, Wanted},
        keys::SigningKey,
        reported::{RefusalReason, Reported},
        seal::Recipient,
        state::{DeviceState, Status, Versions},
        topic::{DeviceTopic, admitted_of, chunk_of, chunks_of},
    },
};
use examgate_fleet_core::{
    rosters::{Imported, seal, with},
    stock::Stock,
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, PubAckReason, Publish},
        },
    },
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};
use zeroize::Zeroizing;

#[path = "collect/scrape.rs"]
mod scrape;
#[path = "collect/unit.rs"]
mod unit;

use self::{scrape::Endpoint, unit::Unit};

const EXAM: &str = "MATH-1";
const PEPPER: [u8; 32] = [5; 32];
const ROSTER_SEED: [u8; 32] = [11; 32];
const COMMAND_SEED: [u8; 32] = [12; 32];

/// Waits for `what`, and fails after a time limit.
async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited 60 s in vain: {what}"),
    }
}

/// Looks again and again until `is` so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    soon(what, async {
        while !is() {
            looks.tick().await;
        }
    })
    .await;
}

fn id(name: &str) -> DeviceId {
    DeviceId::new(name).expect("valid")
}

fn exam_id() -> ExamId {
    ExamId::new(EXAM).expect("valid")
}

/// The signing key of a box.
fn device_key(name: &str) -> SigningKey {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SigningKey::from_seed(&seed)
}

fn secret(path: &Path, content: &[u8]) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(content).expect("writable");
}

/// A roster of two rooms: `R-1` with as many students as asked for, `R-2` with three.
fn roster(version: u64, students: u32) -> Roster {
    let entry = |n: u32| {
        let mut card = [0; 32];
        card[..4].copy_from_slice(&n.to_be_bytes());
        let student = Student::new(StudentId::new(format!("N{n}")).expect("valid"), format!("Ada {n}"));
        let room = RoomId::new(if n < 3 { "R-2" } else { "R-1" }).expect("valid");
        let template = Template {
            space: EmbeddingSpaceId::new("space"),
            artifact: ArtifactId::from_bytes([1; 32]),
            embedding: Embedding::normalised((0..512u32).map(|i| (i * 7 + n + 1) as f32).collect())
                .expect("has direction"),
        };
        (RosterEntry::new(student, CardPseudonym::from_bytes(card), room), vec![template])
    };
    let time = |text: &str| text.parse().expect("a time");
    Roster {
        exam: Exam {
            id: exam_id(),
            title: "Mathematics".into(),
            // Far ahead: the commands go by the real clock.
            window: ExamWindow { opens: time("2099-12-14T08:00:00Z"), closes: time("2099-12-14T11:00:00Z") },
            version: RosterVersion(version),
        },
        entries: (0..students + 3).map(entry).collect(),
    }
}

/// The broker, the manager's desk and the keeper's files.
struct World {
    authority: Authority,
    broker: Mosquitto,
    folder: TempDir,
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)
            .unwrap_or_else(|error| panic!("{error}"));
        let world = Self { broker, folder: tempfile::tempdir().expect("a temporary folder"), authority };
        let Issued { certificate, key } = world.authority.client("keeper", Validity::Good);
        fs::write(world.at("ca.pem"), world.authority.certificate()).expect("writable");
        fs::write(world.at("keeper.pem"), certificate).expect("writable");
        secret(&world.at("keeper.key"), key.as_bytes());
        secret(&world.at("roster.key"), &ROSTER_SEED);
        secret(&world.at("command.key"), &COMMAND_SEED);
        let listed = ["door-1", "door-2"]
            .map(|name| format!("[[device]]\nid = \"{name}\"\npublic_key = \"{}\"\n", device_key(name).public()));
        fs::write(world.at("devices.toml"), listed.concat()).expect("writable");
        let keys = KeyFolder::new(world.at("keys"), None);
        keys.provision().expect("a root key");
        keys.make(KeyName::Exam(&exam_id())).expect("an exam's key");
        Layout::new(world.at("state")).make().expect("folders");
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As `roster import` leaves it.
    fn import(&self, version: u64, students: u32) {
        self.import_roster(&roster(version, students));
    }

    fn import_roster(&self, roster: &Roster) {
        let key = KeyFolder::new(self.at("keys"), None).read(KeyName::Exam(&exam_id())).expect("its key");
        let mut store = RosterStore::create(&Layout::new(self.at("state")).exam(&exam_id()), &key).expect("a database");
        store.replace(roster).expect("a roster");
        store.set_pepper(&Pepper::from_bytes(PEPPER).check()).expect("noted");
    }

    fn roster(&self, arguments: &[&str], files: &[(&str, &str)]) -> Output {
        self.fleet(&[&["roster"], arguments].concat(), files)
    }

    fn fleet(&self, arguments: &[&str], files: &[(&str, &str)]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_examgate-fleetd")).with_file_name("examgate-fleet");
        let mut command = Command::new(program);
        command.args(arguments);
        for (flag, file) in files {
            command.arg(flag).arg(self.at(file));
        }
        command.output().expect("examgate-fleet runs: `cargo build --workspace --bins` makes it")
    }

    fn push(&self, boxes: &[&str], more: &[&str]) -> String {
        let output = self.try_push(boxes, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn try_push(&self, boxes: &[&str], more: &[&str]) -> Output {
        let mut arguments = vec!["push", "--exam", EXAM];
        boxes.iter().for_each(|posted| arguments.extend(["--device", posted]));
        arguments.extend(more);
        let files = [
            ("--store", "state"),
            ("--keys", "keys"),
            ("--stock", "stock"),
            ("--roster-key", "roster.key"),
            ("--devices", "devices.toml"),
        ];
        self.roster(&arguments, &files)
    }

    fn status(&self) -> Vec<serde_json::Value> {
        let key = SigningKey::from_seed(&ROSTER_SEED).public().to_string();
        let arguments = ["status", "--json", "--roster-public-key", &key];
        let output = self.roster(&arguments, &[("--stock", "stock"), ("--devices", "devices.toml")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn keep(&self) -> Running {
        self.keep_with(&[])
    }

    fn keep_with(&self, arguments: &[&str]) -> Running {
        let public = |seed| SigningKey::from_seed(&seed).public().to_string();
        let (roster, command) = (public(ROSTER_SEED), public(COMMAND_SEED));
        self.keep_by(&[&["--roster-public-key", &roster, "--command-public-key", &command], arguments].concat())
    }

    /// `arguments` say which keys count.
    fn keep_by(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_examgate-fleetd"));
        command.arg("keep").arg("--broker").arg(format!("127.0.0.1:{}", self.broker.port()));
        for (flag, file) in [
            ("--ca", "ca.pem"),
            ("--cert", "keeper.pem"),
            ("--key", "keeper.key"),
            ("--stock", "stock"),
            ("--devices", "devices.toml"),
        ] {
            command.arg(flag).arg(self.at(file));
        }
        let log = OpenOptions::new().create(true).append(true).open(self.at("log")).expect("writable");
        Running(command.args(arguments).stderr(log).spawn().expect("it starts"))
    }

    /// What a box last reported, as the keeper noted it.
    fn reported(&self, name: &str) -> Option<Reported> {
        let bytes = fs::read(self.at(&format!("stock/reported/{name}.cose"))).ok()?;
        Reported::decode(&bytes, &id(name), &device_key(name).public()).ok()
    }

    async fn until_reported(&self, name: &str, what: &str, is: impl Fn(&Reported) -> bool) {
        until(&format!("{name} reports {what}"), || self.reported(name).is_some_and(|reported| is(&reported))).await;
    }

    /// Starts a box for the first time and waits until the fleet knows whom to seal to.
    async fn introduce(&self, name: &str, room: &str) -> Door {
        let door = Door::start(self, name, room, tempfile::tempdir().expect("a temporary folder"));
        self.until_reported(name, "its recipient", |_| true).await;
        door
    }

    fn client(&self, name: &str) -> (AsyncClient, EventLoop) {
        let Issued { certificate, key } = self.authority.client(name, Validity::Good);
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(
                native_tls::Certificate::from_pem(self.authority.certificate().as_bytes()).expect("PEM"),
            )
            .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("PEM"))
            .build()
            .expect("usable certificates");
        let mut options = MqttOptions::new(name, "127.0.0.1", self.broker.port());
        options.set_transport(Transport::tls_with_config(connector.into())).set_max_packet_size(Some(64 * 1024));
        AsyncClient::new(options, 64)
    }
}

/// A box: the real line, the real disk, the real driver of rosters.
struct Door {
    disk: TempDir,
    held: watch::Receiver<BTreeMap<ExamId, Held>>,
    tasks: JoinSet<()>,
    _near: Uplink,
}

impl Door {
    fn start(world: &World, name: &str, room: &str, disk: TempDir) -> Self {
        Self::believing(world, name, room, disk, None)
    }

    /// With keys that come and go, if any are given.
    fn believing(world: &World, name: &str, room: &str, disk: TempDir, counting: Option<FleetKeysView>) -> Self {
        let keys = KeyFolder::new(disk.path().join("keys"), None);
        keys.provision().expect("a root key");
        let prekeys = Prekeys::open(keys.clone()).expect("a prekey");
        let own = world.authority.client(name, Validity::Good);
        let settings = Settings {
            host: "127.0.0.1".into(),
            port: world.broker.port(),
            device: id(name),
            tls: Tls {
                authority: world.authority.certificate().into(),
                certificate: own.certificate.into(),
                key: Zeroizing::new(own.key.into()),
            },
            state: DeviceState::new(Status::Online, uuid::Uuid::from_u128(5), Versions::default()),
            patience: Patience::default(),
        };
        let now: Timestamp = "2099-12-13T18:00:00Z".parse().expect("a time");
        let clock: Arc<dyn Clock> = Arc::new(ScriptedClock::starting_at(now));
        let (near, mut polling) = uplink(settings, Arc::clone(&clock)).expect("usable certificates");
        let party = Party {
            device: id(name),
            keys: vec![SigningKey::from_seed(&ROSTER_SEED).public()],
            space: EmbeddingSpaceId::new("space"),
            recipient: prekeys.recipient().expect("a prekey"),
        };
        let layout = Layout::new(disk.path().join("state"));
        layout.make().expect("folders");
        let folders = Disk {
            incoming: Incoming::open(layout.incoming()).expect("a folder"),
            layout,
            keys,
            prekeys,
            room: RoomId::new(room).expect("valid"),
            pepper: Pepper::from_bytes(PEPPER).check(),
        };
        let connected = Connected {
            link: near.link.clone(),
            arrivals: polling.subscribe(fetch::filters(&id(name)), fetch::WAITING),
        };
        let (fetch, held) = Fetch::new(party, device_key(name), folders, connected, clock).expect("a readable disk");
        let fetch = match counting {
            Some(counting) => fetch.believing(counting),
            None => fetch,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(polling.run(std::future::pending()));
        tasks.spawn(fetch.run());
        Self { disk, held, tasks, _near: near }
    }

    /// Ends as a power cut ends it: nothing is said, and the disk holds what it holds.
    async fn kill(mut self) -> TempDir {
        self.tasks.shutdown().await;
        self.disk
    }

    async fn holds(&mut self, version: u64) {
        let is = |held: &BTreeMap<ExamId, Held>| held.get(&exam_id()).is_some_and(|held| held.version.0 == version);
        soon(&format!("version {version} is held"), self.held.wait_for(is)).await.expect("the driver runs");
    }

    /// How many students the disk holds in which version; `None`: no roster that can be opened.
    fn students(&self) -> Option<(u64, usize)> {
        students(self.disk.path())
    }

    fn chunks(&self) -> Vec<String> {
        chunks(self.disk.path())
    }
}

fn students(disk: &Path) -> Option<(u64, usize)> {
    let key = KeyFolder::new(disk.join("keys"), None).read(KeyName::Exam(&exam_id())).ok()?;
    let store = RosterStore::look(&Layout::new(disk.join("state")).exam(&exam_id()), &key).ok()?;
    Some((store.exam().ok()??.version.0, store.len().ok()?))
}

fn chunks(disk: &Path) -> Vec<String> {
    // To open the folder as the box does would remove what it is writing.
    let names =
        fs::read_dir(disk.join("state/incoming")).expect("a folder").map(|entry| entry.expect("readable").file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(".chunk").map(str::to_owned)).collect()
}

fn version(report: &Reported) -> u64 {
    report.held.first().map_or(0, |held| held.version.0)
}

fn refusal(report: &Reported) -> Option<RefusalReason> {
    report.refused.as_ref().map(|refused| refused.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_room_gets_its_own_roster_and_says_so() {
    let world = World::new();
    let _keeper = world.keep();
    let (mut one, mut two) = (world.introduce("door-1", "R-1").await, world.introduce("door-2", "R-2").await);
    world.import(1, 60);
    let said = world.push(&["door-1:R-1", "door-2:R-2"], &[]);
    assert!(said.contains("60 students") && said.contains("3 students"), "{said}");
    tokio::join!(one.holds(1), two.holds(1));
    assert_eq!((one.students(), two.students()), (Some((1, 60)), Some((1, 3))));
    for name in ["door-1", "door-2"] {
        world.until_reported(name, "version 1", |report| version(report) == 1 && report.missing.is_empty()).await;
    }
    assert_eq!((one.chunks(), two.chunks()), (vec![], vec![]), "nothing on the way is left over");
    assert!(world.push(&["door-1:R-1"], &[]).contains("pushed before"), "the same version is left as it is");
    // The next version replaces it, without a restart.
    world.import(2, 30);
    world.push(&["door-1:R-1"], &[]);
    one.holds(2).await;
    assert_eq!(one.students(), Some((2, 30)));
    world.until_reported("door-1", "version 2", |report| version(report) == 2).await;
    let standings: Vec<_> =
        world.status().iter().map(|line| (line["held"].as_u64(), line["standing"].clone())).collect();
    assert_eq!(standings, [(Some(2), "in force".into()), (Some(1), "in force".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_never_reported_or_sits_elsewhere_gets_nothing_and_the_manager_is_told_why() {
    let world = World::new();
    world.import(1, 5);
    let refused = |output: Output| {
        assert_eq!(output.status.code(), Some(64));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let said = refused(world.try_push(&["door-1:R-1"], &[]));
    assert!(said.contains("has not reported yet") && said.contains("[fleet]"), "{said}");
    let said = refused(world.try_push(&["door-9:R-1"], &[]));
    assert!(said.contains("door-9") && said.contains("enrol"), "{said}");
    assert!(!world.at("stock/desired/door-1.cose").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_is_off_gets_it_later_though_the_broker_forgot_everything() {
    let mut world = World::new();
    let _keeper = world.keep();
    let disk = world.introduce("door-1", "R-1").await.kill().await;
    world.import(1, 40);
    world.push(&["door-1:R-1"], &[]);
    world.broker.restart(true).expect("it starts again");
    let mut door = Door::start(&world, "door-1", "R-1", disk);
    door.holds(1).await;
    assert_eq!(door.students(), Some((1, 40)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_says_how_many_boxes_are_out_of_date_and_whether_it_works() {
    let mut world = World::new();
    let endpoint = Endpoint::new();
    let _keeper = world.keep_with(&["--health", &endpoint.argument()]);
    until("it is healthy", || endpoint.health() == Some((200, "keeping\n".into()))).await;
    assert!(endpoint.metrics()["broker_connected"] == 1.0);
    let disk = world.introduce("door-1", "R-1").await.kill().await;
    world.import(1, 40);
    world.push(&["door-1:R-1"], &[]);
    until("a box is out of date", || endpoint.metrics()["keeper_boxes_out_of_date"] == 1.0).await;
    let mut door = Door::start(&world, "door-1", "R-1", disk);
    door.holds(1).await;
    until("none is", || endpoint.metrics()["keeper_boxes_out_of_date"] == 0.0).await;
    let counted = endpoint.metrics();
    assert!(
        counted["keeper_manifests_asserted_total"] >= 1.0 && counted["keeper_chunks_sent_total"] >= 1.0,
        "{counted:?}"
    );
    world.broker.kill9().expect("it can be killed");
    until("it says so", || {
        endpoint.health().is_some_and(|(status, said)| status == 503 && said.starts_with("broker: no connection to "))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_starts_a_keeper_that_works() {
    let world = World::new();
    let variables = [
        ("BROKER", format!("127.0.0.1:{}", world.broker.port())),
        ("DEVICES", world.at("devices.toml").display().to_string()),
        ("TRUST", trust::arguments(&world).join(" ")),
    ];
    trust::write(&world, &trust::document(1));
    let unit = Unit::new("examgate-fleetd-keep.service", &["fleetd.env"], &variables);
    for (file, place) in
        [("ca.pem", "authorities.pem"), ("keeper.pem", "keeper.pem"), ("keeper.key", "keys/keeper.key")]
    {
        fs::copy(world.at(file), unit.at(&format!("/etc/examgate-fleet/{place}"))).expect("copied");
    }
    let report = unit.at("/var/lib/examgate-stock/reported/door-1.cose");
    let started = unit.start();
    until("it keeps", || started.endpoint.health() == Some((200, "keeping\n".into()))).await;
    let door = Door::start(&world, "door-1", "R-1", tempfile::tempdir().expect("a temporary folder"));
    until("it notes what a box reports", || report.exists()).await;
    door.kill().await;
    started.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_killed_in_the_middle_of_a_transfer_goes_on_where_it_was() {
    let world = World::new();
    let keeper = world.keep();
    let door = world.introduce("door-1", "R-1").await;
    world.import(1, 1500);
    world.push(&["door-1:R-1"], &[]);
    until("some chunks are on the disk", || door.chunks().len() > 20).await;
    let disk = door.kill().await;
    drop(keeper);
    let kept = chunks(disk.path());
    assert!(kept.len() > 20 && students(disk.path()).is_none(), "{} chunks", kept.len());
    // The fleet could not send these again.
    for name in &kept {
        fs::remove_file(world.at(&format!("stock/chunks/door-1/{name}"))).expect("it was pushed");
    }
    let _keeper = world.keep();
    let mut door = Door::start(&world, "door-1", "R-1", disk);
    door.holds(1).await;
    assert_eq!(door.students(), Some((1, 1500)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_or_rolled_back_is_refused_and_reported_and_the_roster_before_stays() {
    let world = World::new();
    let keeper = world.keep();
    let mut door = world.introduce("door-1", "R-1").await;
    world.import(1, 5);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    let first = fs::read(world.at("stock/desired/door-1.cose")).expect("a manifest");
    world.import(2, 6);
    world.push(&["door-1:R-1"], &[]);
    door.holds(2).await;
    drop(keeper);

    // Somebody has the keeper's certificate, and even the roster key once.
    let (client, polled) = world.client("keeper");
    let mut nosy = Nosy { client, polled, heard: VecDeque::new() };
    nosy.subscribe(&DeviceTopic::Reported.of(&id("door-1"))).await;
    let desired = |bytes: &[u8]| Desired::decode(bytes, &id("door-1"), &[SigningKey::from_seed(&ROSTER_SEED).public()]);
    let old = desired(&first).expect("its own");
    let forged = Desired { serial: 90, ..old.clone() }.encode(&SigningKey::from_seed(&[66; 32])).expect("it fits");
    let mut tampered = first.clone();
    tampered[50] ^= 1;
    let elsewhere = Desired { device: id("door-2"), serial: 90, ..old.clone() };
    let rolled_back = Desired { serial: 91, ..old };
    let key = SigningKey::from_seed(&ROSTER_SEED);
    for (name, bytes, reason) in [
        ("forged", forged, RefusalReason::NotSigned),
        ("replayed", first, RefusalReason::Replayed),
        ("tampered", tampered, RefusalReason::NotSigned),
        ("another box's", elsewhere.encode(&key).expect("it fits"), RefusalReason::OtherDevice),
        ("not a manifest", vec![7; 30_000], RefusalReason::Malformed),
        ("rolled back", rolled_back.encode(&key).expect("it fits"), RefusalReason::RolledBack),
    ] {
        nosy.publish(&DeviceTopic::Desired.of(&id("door-1")), bytes).await;
        let report = nosy.report(reason).await;
        assert_eq!(version(&report), 2, "{name}");
        assert_eq!(door.students(), Some((2, 6)), "{name}");
    }
    drop(nosy);

    // The next push finds its way: its serial is above what the box has seen.
    let _keeper = world.keep();
    world.until_reported("door-1", "the forged serial", |report| report.serial == 91).await;
    world.import(3, 7);
    world.push(&["door-1:R-1"], &[]);
    door.holds(3).await;
    world.until_reported("door-1", "no refusal", |report| version(report) == 3 && refusal(report).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_names_seats_and_opting_out_arrive_and_what_a_box_is_too_old_for_is_refused_by_name() {
    let world = World::new();
    let _keeper = world.keep();
    let mut door = world.introduce("door-1", "R-1").await;
    let mut more = roster(1, 5);
    let (entry, _) = &mut more.entries[4];
    entry.other_cards = vec![Card::active(CardPseudonym::from_bytes([9; 32]))];
    entry.student.preferred_name = Some("Lova".into());
    entry.seat = Some(Seat::new("Row C, 7").expect("a seat"));
    entry.look_alikes = vec![StudentId::new("N0").expect("valid")];
    let (entry, templates) = &mut more.entries[5];
    entry.matching = Matching::None;
    templates.clear();
    world.import_roster(&more);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    let key = KeyFolder::new(door.disk.path().join("keys"), None).read(KeyName::Exam(&exam_id())).expect("its key");
    let held =
        RosterStore::look(&Layout::new(door.disk.path().join("state")).exam(&exam_id()), &key).expect("a roster");
    let mut sent: Vec<_> = more.entries[3..].iter().map(|(entry, _)| entry.clone()).collect();
    sent.sort_by(|a, b| a.student.id.cmp(&b.student.id));
    assert_eq!(held.entries().expect("readable"), sent);

    // As a later fleet sends it: the same, of a version that this box does not know.
    world.until_reported("door-1", "version 1", |report| version(report) == 1).await;
    let (report, time) =
        (world.reported("door-1").expect("it reported"), "2099-12-15T00:00:00Z".parse().expect("a time"));
    more.exam.version = RosterVersion(2);
    let imported = Imported {
        exam: more.exam,
        entries: more.entries,
        proctors: Vec::new(),
        pepper: Pepper::from_bytes(PEPPER).check(),
    };
    let bundle = imported.bundle(&RoomId::new("R-1").expect("valid"), &report.space).expect("students");
    let mut content = bundle.encode().expect("it fits").to_vec();
    content[3] = u8::try_from(NEWEST + 1).expect("few versions");
    let recipient: Recipient = report.recipient.parse().expect("a recipient");
    let cut = chunk::cut(&recipient.seal(&content)).expect("it fits");
    let (wanted, _) = seal(&bundle, &recipient, time).expect("it fits");
    let wanted = Wanted { whole: cut.whole, size: cut.size, index: cut.index, ..wanted };
    let (stock, signing) = (Stock::open(&world.at("stock")).expect("a folder"), SigningKey::from_seed(&ROSTER_SEED));
    stock.add_chunks(&id("door-1"), &cut.chunks).expect("writable");
    let desired = with(None, &id("door-1"), report.serial, wanted, "2099-12-13T18:00:00Z".parse().expect("a time"));
    stock.set_manifest(&id("door-1"), &desired.encode(&signing).expect("it fits")).expect("writable");
    world.until_reported("door-1", "why", |report| refusal(report) == Some(RefusalReason::NewerBundle)).await;
    assert_eq!(door.students(), Some((1, 5)), "the roster before stays");
    let standing = world.status()[0]["standing"].to_string();
    assert!(standing.contains("update the box"), "{standing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_that_is_withdrawn_is_erased_with_its_key() {
    let world = World::new();
    let _keeper = world.keep();
    let mut door = world.introduce("door-1", "R-1").await;
    world.import(1, 5);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    let files = [("--stock", "stock"), ("--roster-key", "roster.key"), ("--devices", "devices.toml")];
    let output = world.roster(&["withdraw", "--exam", EXAM, "--device", "door-1"], &files);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    soon("it is erased", door.held.wait_for(BTreeMap::is_empty)).await.expect("the driver runs");
    let keys = KeyFolder::new(door.disk.path().join("keys"), None);
    assert!(!keys.holds(KeyName::Exam(&exam_id())), "the key is gone");
    assert!(!Layout::new(door.disk.path().join("state")).exam(&exam_id()).exists());
    world.until_reported("door-1", "nothing held", |report| report.held.is_empty() && report.serial == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_reads_and_writes_nothing_of_another_box() {
    let world = World::new();
    let _keeper = world.keep();
    let (_one, two) = (world.introduce("door-1", "R-1").await, world.introduce("door-2", "R-2").await);
    two.kill().await;
    world.import(1, 5);
    world.push(&["door-1:R-1", "door-2:R-2"], &[]);
    world.until_reported("door-1", "version 1", |report| version(report) == 1).await;
    let (client, polled) = world.client("door-2");
    let mut nosy = Nosy { client, polled, heard: VecDeque::new() };
    let (one, digest) = (id("door-1"), examgate::wire::digest::Digest::of(b"chunk"));
    for topic in [
        DeviceTopic::Reported.of(&one),
        DeviceTopic::Desired.of(&one),
        chunk_of(&one, &digest),
        DeviceTopic::Desired.of(&id("door-2")),
        chunk_of(&id("door-2"), &digest),
        admitted_of(&exam_id(), &one, 0),
        examgate::wire::topic::TRUST.to_owned(),
    ] {
        assert_eq!(nosy.publish(&topic, b"x".to_vec()).await, PubAckReason::NotAuthorized, "{topic}");
    }
    for filter in
        ["examgate/v1/#".to_owned(), chunks_of(&one), DeviceTopic::Desired.of_all(), DeviceTopic::Reported.of_all()]
    {
        nosy.subscribe(&filter).await;
    }
    // The broker answers in order: what it had for these subscriptions came before this answer.
    assert_ne!(
        nosy.publish(&DeviceTopic::Reported.of(&id("door-2")), b"x".to_vec()).await,
        PubAckReason::NotAuthorized
    );
    let heard: Vec<String> = nosy.heard.iter().map(topic_of).collect();
    let own = DeviceTopic::Desired.of(&id("door-2"));
    assert!(!heard.is_empty() && heard.iter().all(|topic| *topic == own), "{heard:?}");
}

fn topic_of(message: &Publish) -> String {
    String::from_utf8(message.topic.to_vec()).expect("UTF-8")
}

/// A plain client that looks around.
struct Nosy {
    client: AsyncClient,
    polled: EventLoop,
    heard: VecDeque<Publish>,
}

impl Nosy {
    async fn turn(&mut self) -> Packet {
        loop {
            let event = soon("something from the broker", self.polled.poll()).await.expect("connected");
            let Event::Incoming(packet) = event else { continue };
            if let Packet::Publish(message) = &packet {
                self.heard.push_back(message.clone());
            }
            return packet;
        }
    }

    async fn subscribe(&mut self, filter: &str) {
        self.client.try_subscribe(filter, QoS::AtLeastOnce).expect("room");
        while !matches!(self.turn().await, Packet::SubAck(_)) {}
    }

    async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> PubAckReason {
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload).expect("room");
        loop {
            if let Packet::PubAck(ack) = self.turn().await {
                return ack.reason;
            }
        }
    }

    /// The next report of `door-1` with this refusal.
    async fn report(&mut self, reason: RefusalReason) -> Reported {
        loop {
            while let Some(message) = self.heard.pop_front() {
                let report = Reported::decode(&message.payload, &id("door-1"), &device_key("door-1").public());
                let report = report.expect("signed by the box");
                if refusal(&report) == Some(reason) {
                    return report;
                }
            }
            self.turn().await;
        }
    }
}
