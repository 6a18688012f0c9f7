//! A broker and a door: a real event store, uplink and delivery, wired as the composition root wires them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use examgate::{
    domain::{Decision, DeviceId, Epoch, Event, EventHash, Reason, Seq, Timestamp, sample::verified},
    edge::{
        clock::{Clock, ScriptedClock},
        mqtt::{Link, Patience, Settings, Tls, uplink},
    },
    flow::{
        deliver::{Deliver, Delivery, Pace, Parties, Standing},
        trust::FleetKeys,
    },
    rig::{
        certificates::{Authority, Issued, Validity},
        mosquitto::{Memory, Mosquitto},
    },
    store::{EpochInfo, EventStore, Key, Limits},
    wire::{
        keys::SigningKey,
        receipt::Receipt,
        seal::Identity,
        state::{DeviceState, Status, Versions},
    },
};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinSet,
};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The epoch every door's store begins with.
pub(crate) const EPOCH: Epoch = Epoch(Uuid::from_u128(1));

/// The seed of the collector's receipt key.
pub(crate) const RECEIPT_SEED: [u8; 32] = [9; 32];

/// The collector's age identity.
pub(crate) const COLLECTOR: &str = include_str!("../golden/collector.age");

const PATIENCE: Duration = Duration::from_millis(300);

/// Waits for `what`, and fails after a time limit.
pub(crate) async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited 30 s in vain: {what}"),
    }
}

/// The key of `door-1`.
pub(crate) fn device_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// The one door.
pub(crate) fn device() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

/// Who reads events.
pub(crate) fn collector() -> Identity {
    COLLECTOR.parse().expect("an age identity")
}

/// Events are sealed to the collector, and receipts of the keys with these seeds count.
pub(crate) fn believing(receipts: &[[u8; 32]]) -> Arc<FleetKeys> {
    let receipts = receipts.iter().map(|seed| SigningKey::from_seed(seed).public()).collect();
    Arc::new(FleetKeys { receipts, collector: Some(collector().recipient()), ..FleetKeys::default() })
}

/// A broker and the certificates around it.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) broker: Mosquitto,
    pub(crate) certificate: Issued,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)
            .unwrap_or_else(|error| panic!("{error}"));
        let certificate = authority.client("door-1", Validity::Good);
        Self { authority, broker, certificate }
    }
}

/// A referral without a student: the smallest thing a door records.
fn event(number: u64) -> Event {
    verified(number, "MATH", None, Decision::Refer(Reason::CardUnreadable))
}

/// The disk of a box and the key of its events.
pub(crate) struct Disk {
    folder: TempDir,
    key: Key,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), key: Key::generate().expect("random bytes") }
    }

    /// As a backup keeps it. The box must not be running.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { key: self.key.clone(), ..Self::new() };
        for file in std::fs::read_dir(self.folder.path()).expect("readable") {
            let file = file.expect("readable");
            std::fs::copy(file.path(), copy.folder.path().join(file.file_name())).expect("copied");
        }
        copy
    }

    fn store(&self) -> EventStore {
        let limits = Limits { reserve: 0, ..Limits::default() };
        let path = self.folder.path().join("events.db");
        EventStore::open(&path, &self.key, &device(), EPOCH, limits).expect("the store opens")
    }
}

/// A box.
pub(crate) struct Door {
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) delivery: watch::Receiver<Delivery>,
    /// Which keys of the fleet count.
    pub(crate) fleet: watch::Sender<Arc<FleetKeys>>,
    store: Arc<Mutex<EventStore>>,
    recorded: Arc<Notify>,
    stop: oneshot::Sender<()>,
    polling: JoinSet<()>,
    delivering: JoinSet<()>,
    disk: Disk,
}

impl Door {
    /// Starts with `events` in the outbox.
    pub(crate) fn start(world: &World, events: u64) -> Self {
        let (authority, own) = (world.authority.certificate(), &world.certificate);
        Self::connecting(world.broker.port(), authority, own, events, Patience::default())
    }

    /// Starts with what is on the disk.
    pub(crate) fn on(world: &World, disk: Disk) -> Self {
        let (authority, own) = (world.authority.certificate(), &world.certificate);
        Self::connect(world.broker.port(), authority, own, disk, Patience::default())
    }

    /// Starts with `events` in the outbox, as a client of whatever listens at `port` of loopback.
    pub(crate) fn connecting(port: u16, authority: &str, own: &Issued, events: u64, patience: Patience) -> Self {
        let disk = Disk::new();
        let mut store = disk.store();
        for number in 1..=events {
            store.record(&event(number)).expect("there is room");
        }
        Self::connect(port, authority, own, disk, patience)
    }

    fn connect(port: u16, authority: &str, own: &Issued, disk: Disk, patience: Patience) -> Self {
        let settings = Settings {
            host: "127.0.0.1".into(),
            port,
            device: device(),
            tls: Tls {
                authority: authority.into(),
                certificate: own.certificate.clone().into(),
                key: Zeroizing::new(own.key.clone().into()),
            },
            state: DeviceState::new(Status::Online, Uuid::from_u128(5), Versions::default()),
            patience,
        };
        let clock: Arc<dyn Clock> = Arc::new(ScriptedClock::starting_at(Timestamp::UNIX_EPOCH));
        let (near, polled) = uplink(settings, Arc::clone(&clock)).expect("usable certificates");
        let link = near.link.clone();
        let store = Arc::new(Mutex::new(disk.store()));
        let (fleet, counting) = watch::channel(believing(&[RECEIPT_SEED]));
        let parties = Parties { device: device(), key: device_key(), fleet: counting };
        let recorded = Arc::new(Notify::new());
        let pace = Pace { patience: PATIENCE, longest: 2 * PATIENCE, ..Pace::default() };
        let deliver = Deliver::new(Arc::clone(&store), parties, near, Arc::clone(&recorded), clock, pace);
        let (deliver, delivery) = deliver.expect("the outbox can be read");
        let (stop, stopped) = oneshot::channel::<()>();
        let (mut polling, mut delivering) = (JoinSet::new(), JoinSet::new());
        polling.spawn(polled.run(async {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        }));
        delivering.spawn(deliver.run());
        Self { link, delivery, fleet, store, recorded, stop, polling, delivering, disk }
    }

    /// Starts and waits for the link.
    pub(crate) async fn open(world: &World, events: u64) -> Self {
        let mut door = Self::start(world, events);
        soon("the link is up", door.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("the loop runs");
        door
    }

    pub(crate) async fn stands(&mut self, standing: Standing) {
        let stood = self.delivery.wait_for(|delivery| delivery.standing == standing);
        soon(&format!("{standing:?}"), stood).await.expect("delivery runs");
    }

    /// Records one more event.
    pub(crate) fn record(&self) {
        let number = self.store.lock().expect("no panic").ends().expect("readable").last.0 + 1;
        self.record_as(number);
    }

    /// Records one more event, which is this one.
    pub(crate) fn record_as(&self, number: u64) {
        self.store.lock().expect("no panic").record(&event(number)).expect("there is room");
        self.recorded.notify_one();
    }

    /// What an honest collector says when it has everything up to event `seq` of the current epoch.
    pub(crate) fn receipt(&self, seq: u64) -> Receipt {
        let store = self.store.lock().expect("no panic");
        let epoch = store.epoch().expect("readable");
        let hash = match seq.checked_sub(1) {
            None => EventHash::START,
            Some(before) => store.outgoing(Seq(before), 1).expect("readable").first().expect("recorded").hash,
        };
        Receipt { device: device(), epoch, seq: Seq(seq), hash }
    }

    /// All epochs of the store.
    pub(crate) fn epochs(&self) -> Vec<EpochInfo> {
        self.store.lock().expect("no panic").epochs().expect("readable")
    }

    /// Events in the outbox.
    pub(crate) fn waiting(&self) -> u64 {
        self.store.lock().expect("no panic").outbox_len().expect("readable")
    }

    /// The last event whose receipt has worked.
    pub(crate) fn receipted(&self) -> Seq {
        self.delivery.borrow().receipted
    }

    /// Waits until a new epoch has begun, and then until nothing waits.
    pub(crate) async fn until_delivered_in_epoch(&mut self, epochs: usize) {
        let done = async {
            while self.epochs().len() < epochs || self.waiting() > 0 {
                self.delivery.changed().await.expect("delivery runs");
            }
        };
        soon(&format!("everything is delivered in epoch {epochs}"), done).await;
    }

    pub(crate) async fn until_receipted(&mut self, seq: u64) {
        let receipted = self.delivery.wait_for(|delivery| delivery.receipted >= Seq(seq));
        soon(&format!("event {seq} is receipted"), receipted).await.expect("delivery runs");
    }

    /// Ends the connection without a word, as a power cut does.
    pub(crate) fn vanish(mut self) {
        self.polling.abort_all();
    }

    /// Shuts down in order. Gives what stays.
    pub(crate) async fn close(mut self) -> Disk {
        self.stop.send(()).expect("the loop runs");
        soon("the loop ends", self.polling.join_next()).await.expect("one").expect("it does not panic");
        soon("delivery ends", self.delivering.join_next()).await.expect("one").expect("it does not panic");
        self.disk
    }
}
