//! A fleet with a real enrolment endpoint, mosquitto with the fleet's certificates and list of revoked ones, and a collector; and boxes that
//! were enrolled there, wired as the composition root wires them.
//!
//! Over 400 lines, and still read at one sitting: the fleet, then a box's disk, then the box.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc as sync},
    thread,
    time::Duration,
};

use examgate::{
    app::{
        provision::{Places, provision},
        renewal::{go_over, held, tls},
    },
    config::Config,
    domain::{Decision, DeviceId, Epoch, Reason, RoomId, Timestamp, WithSources, sample::verified},
    edge::{
        clock::{Clock, ScriptedClock},
        enrolment::Endpoint,
        mqtt::{Link, Patience, Settings, uplink},
    },
    flow::{
        deliver::{Deliver, Pace, Parties},
        renew::{Newest, Order, Party, Pauses, Renew, RenewalFault, Renewed},
        trust::FleetKeys,
    },
    rig::{
        certificates::Issued,
        mosquitto::{Memory, Mosquitto},
    },
    store::{Cause, EventStore, Key, KeyFolder, Limits},
    wire::{
        enrolment::Code,
        keys::{PublicKey, SigningKey},
        state::{DeviceState, Status, Versions},
        trust::{Purpose, TrustDocument},
    },
};
use examgate_fleet_core::{folder::Folder, founding::found, registry::Registry};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};
use uuid::Uuid;

#[path = "../collect/scrape.rs"]
pub(crate) mod scrape;

/// How long a process may take to say that it works.
const START: Duration = Duration::from_secs(20);

/// The keys of the fleet that count by the trust document of the box's enrolment.
pub(crate) fn believed(config: &Config) -> FleetKeys {
    let fleet = config.fleet.as_ref().expect("provision wrote it");
    let root: PublicKey = fleet.root.as_ref().expect("the root").parse().expect("a key");
    let document = fs::read(fleet.trust.as_ref().expect("a document")).expect("readable");
    FleetKeys::of(&TrustDocument::accept(&document, &root, None).expect("the root's"), now())
}

#[expect(clippy::disallowed_methods, reason = "certificates are dated by the real clock, which brokers go by")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn id(name: &str) -> DeviceId {
    DeviceId::new(name).expect("valid")
}

/// Waits for `what`, and fails after a time limit.
pub(crate) async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited 60 s in vain: {what}"),
    }
}

/// Waits until something that is looked at again and again is so.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let seen = async {
        while !is() {
            looks.tick().await;
        }
    };
    soon(what, seen).await;
}

/// A process of the fleet; killed when dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

/// The fleet's side.
pub(crate) struct World {
    home: TempDir,
    pub(crate) folder: Folder,
    root: PublicKey,
    pub(crate) url: String,
    endpoint: Option<Running>,
    pub(crate) health: scrape::Endpoint,
    pub(crate) broker: Mosquitto,
}

fn fleetd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_examgate-fleetd"))
}

/// Starts the enrolment endpoint of `folder` at `listen`. Gives it, and its URL.
fn endpoint(folder: &Folder, listen: &str, health: &scrape::Endpoint) -> (Running, String) {
    let mut endpoint = Command::new(fleetd())
        .args(["enrol", "--listen", listen, "--broker", "localhost:8883", "--folder"])
        .arg(folder.path())
        .args(["--health", &health.argument()])
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let log = BufReader::new(endpoint.stderr.take().expect("a pipe"));
    let (says, lines) = sync::channel();
    // Reads on to the end, or the endpoint would block on a full pipe.
    thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(says.send(line))));
    let url = loop {
        let line = lines.recv_timeout(START).expect("it listens");
        if let Some((_, address)) = line.split_once("address=") {
            break format!("https://{}", address.trim());
        }
    };
    (Running(endpoint), url)
}

impl World {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::new(home.path().join("fleet"));
        let root = found(&folder, "Fleet", "six random words, or so", now()).expect("a new folder");
        let health = scrape::Endpoint::new();
        let (running, url) = endpoint(&folder, "127.0.0.1:0", &health);
        let issuer = folder.read_issuer().expect("an issuer");
        let (certificate, key) = issuer.issue_with_key("broker", &["localhost".into()], now()).expect("issued");
        let served = Issued { certificate: certificate.certificate, key: key.to_string() };
        let authorities = fs::read_to_string(folder.authorities()).expect("PEM");
        let crl = format!("crlfile {}\n", folder.revoked().display());
        let broker = Mosquitto::start_with(&authorities, &served, Memory::Lost, &crl).expect("mosquitto");
        let (certificate, key) = issuer.issue_with_key("collector", &[], now()).expect("issued");
        fs::write(home.path().join("collector.pem"), certificate.certificate).expect("writable");
        examgate::store::write_secret(&home.path().join("collector.key"), key.as_bytes()).expect("writable");
        Key::generate().expect("random").write_new(&home.path().join("ledger.key")).expect("writable");
        Self { home, folder, root, url, endpoint: Some(running), health, broker }
    }

    pub(crate) fn registry(&self) -> Registry {
        self.folder.open_registry().expect("a registry")
    }

    /// Stops the enrolment endpoint.
    pub(crate) fn stop_endpoint(&mut self) {
        self.endpoint = None;
    }

    /// Starts it again where it was.
    pub(crate) fn start_endpoint(&mut self) {
        let at = self.url.strip_prefix("https://").expect("an URL");
        self.endpoint = Some(endpoint(&self.folder, at, &self.health).0);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn collect(&self) -> Running {
        let log = OpenOptions::new().create(true).append(true).open(self.at("log")).expect("writable");
        let mut program = Command::new(fleetd());
        program.arg("collect").arg("--broker").arg(format!("localhost:{}", self.broker.port()));
        for (flag, file) in [
            ("--ca", self.folder.authorities()),
            ("--cert", self.at("collector.pem")),
            ("--key", self.at("collector.key")),
            ("--ledger", self.at("ledger.db")),
            ("--ledger-key", self.at("ledger.key")),
            ("--receipt-key", self.folder.secret(Purpose::Receipt)),
            ("--age-identity", self.folder.secret(Purpose::Events)),
            ("--devices", self.folder.devices()),
        ] {
            program.arg(flag).arg(file);
        }
        // Who is started after one that was killed waits for the end of its lease.
        program.args(["--lease", "3"]).env("RUST_LOG", "examgate_fleetd=info").env("NO_COLOR", "1").stderr(log);
        Running(program.spawn().expect("it starts"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }

    /// The committed events of a box: their numbers by which the tests record them, sorted, as often as they are there, and their epochs.
    pub(crate) fn committed(&self, name: &str) -> Vec<(u128, String)> {
        let output = Command::new(fleetd().with_file_name("examgate-fleet"))
            .args(["events", "--json", "--ledger"])
            .arg(self.at("ledger.db"))
            .arg("--ledger-key")
            .arg(self.at("ledger.key"))
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let read = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("JSON") };
        let ours = text.lines().map(read).filter(|event| event["device"] == name);
        let mut all: Vec<_> = ours
            .map(|event| {
                let id: Uuid = event["event"]["id"].as_str().expect("an id").parse().expect("a UUID");
                (id.as_u128(), event["epoch"].as_str().expect("an epoch").to_owned())
            })
            .collect();
        all.sort();
        all
    }

    /// Enrols a box.
    pub(crate) fn enrol(&self, name: &str, seed: u8) -> Disk {
        let code = Code::from_random(&[seed; 20]);
        let room = RoomId::new("SILVER-207").expect("valid");
        let expires = now() + Duration::from_secs(600);
        self.registry().add(&id(name), &room, &code.kept(), expires, now()).expect("not enrolled");
        let at = self.at(name);
        let places = Places { keys: at.join("keys"), folder: at.clone() };
        // It has a runtime of its own, as the command has.
        let provisioned = thread::scope(|scope| {
            let provisioning = scope.spawn(|| provision(&self.url, &code.to_text(), Some(self.root), &places, now()));
            provisioning.join().expect("it does not panic")
        });
        let lines = provisioned.unwrap_or_else(|error| panic!("{error:#}"));
        let more = "exam = \"MATH-1\"\nstate = \"s\"\nmodels = \"m\"\n[camera]\ndevice = { index = 0 }\n[uplink]";
        let config = Config::parse(&lines.replacen("\n[uplink]", more, 1)).unwrap_or_else(|e| panic!("{e}\n{lines}"));
        let keys = KeyFolder::new(&places.keys, None);
        keys.provision().expect("a root key");
        Disk { at, keys, config, port: self.broker.port() }
    }
}

/// What a box has on its disk.
pub(crate) struct Disk {
    at: PathBuf,
    pub(crate) keys: KeyFolder,
    pub(crate) config: Config,
    port: u16,
}

impl Disk {
    /// The certificate that the box was enrolled with.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.at.join("door.pem")
    }

    /// Gives the box a certificate for the same key that was issued so long ago, as if it had been enrolled then.
    pub(crate) fn age(&self, world: &World, by: Duration) {
        let key = self.keys.text(examgate::store::Secret::Tls).expect("its key");
        let request = examgate::edge::enrolment::request_for(&key).expect("a request");
        let issuer = world.folder.read_issuer().expect("an issuer");
        let issued = issuer.issue(&self.config.device, &request, now() - by).expect("issued");
        fs::write(self.certificate(), issued.certificate).expect("writable");
    }

    /// How the box connects.
    pub(crate) fn settings(&self) -> Settings {
        let line = self.config.uplink.as_ref().expect("a line");
        let authority = fs::read(&line.ca).expect("PEM");
        let all = held(&self.keys, line).unwrap_or_else(|error| panic!("{error:#}"));
        Settings {
            host: "localhost".into(),
            port: self.port,
            device: self.config.device.clone(),
            tls: tls(&authority, &all[0].pair),
            state: DeviceState::new(Status::Online, Uuid::nil(), Versions::default()),
            patience: Patience::default(),
        }
    }

    fn events(&self) -> EventStore {
        let key = Key::from_bytes([7; 32]);
        let limits = Limits { reserve: 0, ..Limits::default() };
        EventStore::open(&self.at.join("events.db"), &key, &self.config.device, Epoch(Uuid::now_v7()), limits)
            .expect("the store opens")
    }

    /// Records an event, while the box does not run.
    pub(crate) fn record(&self, number: u64) {
        let event = verified(number, "MATH", None, Decision::Refer(Reason::CardUnreadable));
        self.events().record(&event).expect("there is room");
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.events().outbox_len().expect("readable")
    }

    /// Begins an epoch as a box does that is killed just after.
    pub(crate) fn begin(&self, epoch: Epoch) {
        self.events().begin_epoch(epoch, &self.config.device, Cause::NewIdentity, now()).expect("begun");
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.events().epoch().expect("readable")
    }
}

/// A running box.
pub(crate) struct Door {
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) used: watch::Receiver<Option<Arc<[u8]>>>,
    /// Told when the box wants to start again.
    pub(crate) restart: Arc<Notify>,
    orders: mpsc::Sender<Order>,
    store: Arc<Mutex<EventStore>>,
    recorded: Arc<Notify>,
    tasks: JoinSet<()>,
    pub(crate) disk: Disk,
}

impl Door {
    /// Starts as a box starts: goes over to another key if it has to, then connects.
    pub(crate) fn start(disk: Disk) -> Self {
        let uplink_config = disk.config.uplink.clone().expect("a line");
        let clock: Arc<dyn Clock> = Arc::new(ScriptedClock::starting_at(now()));
        let mut events = disk.events();
        go_over(&disk.config.device, &disk.keys, &mut events, clock.wall()).unwrap_or_else(|error| panic!("{error:#}"));
        let store = Arc::new(Mutex::new(events));
        let own = SigningKey::from_seed(&disk.keys.signing_seed().expect("its key"));
        let authority = fs::read(&uplink_config.ca).expect("PEM");
        let all = held(&disk.keys, &uplink_config).unwrap_or_else(|error| panic!("{error:#}"));
        let (near, mut polling) = uplink(disk.settings(), Arc::clone(&clock)).expect("usable certificates");
        for older in &all[1..] {
            polling.fall_back(&tls(&authority, &older.pair)).expect("usable");
        }
        let (link, recorded, restart) = (near.link.clone(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let line = polling.renewing();
        let used = line.used.clone();
        let party = Party { device: disk.config.device.clone(), own: own.clone(), authorities: authority };
        let endpoint = Endpoint::parse(&uplink_config.enrolment.expect("provision wrote it")).expect("an URL");
        let newest = Newest { number: all[0].number, certificate: all[0].pair.certificate.clone() };
        let pauses = Pauses { first: Duration::from_millis(100), longest: Duration::from_millis(500) };
        let renew = Renew::new(party, (endpoint, disk.keys.clone()), newest, line, Arc::clone(&clock), pauses);
        let fleet = believed(&disk.config).unchanging();
        let parties = Parties { device: disk.config.device.clone(), key: own, fleet };
        let patience = Duration::from_millis(300);
        let pace = Pace { patience, longest: 2 * patience, ..Pace::default() };
        let deliver = Deliver::new(Arc::clone(&store), parties, near, Arc::clone(&recorded), clock, pace);
        let (deliver, _) = deliver.expect("the outbox can be read");
        let (orders, ordered) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(polling.run(std::future::pending()));
        tasks.spawn(deliver.run());
        let (events, leave) = (Arc::clone(&store), Arc::clone(&restart));
        tasks.spawn(renew.run(ordered, events, move || leave.notify_one()));
        Self { link, used, restart, orders, store, recorded, tasks, disk }
    }

    pub(crate) async fn is_up(&mut self) {
        soon("the link is up", self.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("the loop runs");
    }

    /// Waits until the link is down, and gives why.
    pub(crate) async fn is_down(&mut self) -> String {
        let down = soon("the link is down", self.link.wait_for(|link| matches!(link, Link::Down { .. }))).await;
        let Link::Down { cause, .. } = down.expect("the loop runs").clone() else { unreachable!("waited for") };
        WithSources(&*cause).to_string()
    }

    /// Waits until the broker took another certificate than `before`, and what came before the newest is erased.
    pub(crate) async fn has_renewed(&mut self, before: &[u8]) {
        let other = self.used.wait_for(|used| used.as_deref().is_some_and(|used| used != before));
        drop(soon("another certificate is used", other).await.expect("the loop runs"));
        let keys = &self.disk.keys;
        until("what came before is erased", || {
            !keys.folder().join("tls.key").exists() && keys.renewed().is_ok_and(|all| all.len() == 1)
        })
        .await;
    }

    /// Orders new keys, as the command `rotate` does.
    pub(crate) async fn rotate(&self) -> Result<Renewed, RenewalFault> {
        let (told, made) = oneshot::channel();
        self.orders.send(told).await.expect("the driver runs");
        soon("new keys", made).await.expect("the driver answers")
    }

    pub(crate) fn record(&self, number: u64) {
        let event = verified(number, "MATH", None, Decision::Refer(Reason::CardUnreadable));
        self.store.lock().unwrap_or_else(PoisonError::into_inner).record(&event).expect("there is room");
        self.recorded.notify_one();
    }

    /// Waits until a receipt confirmed everything.
    pub(crate) async fn has_delivered(&self) {
        until("nothing waits for a receipt", || {
            self.store.lock().unwrap_or_else(PoisonError::into_inner).outbox_len().expect("readable") == 0
        })
        .await;
    }

    /// Ends as a power cut ends it.
    pub(crate) async fn kill(mut self) -> Disk {
        self.tasks.shutdown().await;
        self.disk
    }
}
