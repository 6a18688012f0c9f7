//! A broker, a door with an outbox in memory, and a watcher in the collector's place.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use examgate::{
    domain::{ClockTrust, DeviceId, Epoch, EventHash, EventId, MonoTime, Seq, Timestamp, chain_hash},
    edge::{
        clock::Clock,
        mqtt::{Link, Settings, Tls, uplink},
    },
    flow::deliver::{Deliver, Outbox, OutboxRow, Pace, Parties, Standing},
    rig::{
        certificates::{Authority, Issued, Validity},
        mosquitto::{Memory, Mosquitto},
    },
    wire::{
        envelope::EventEnvelope,
        keys::SigningKey,
        receipt::Receipt,
        seal::Identity,
        state::{DeviceState, Status, Versions},
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
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinHandle,
};
use uuid::Uuid;
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_millis(300);

/// Waits for what should happen, but not for ever.
pub async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited 30 s in vain: {what}"),
    }
}

pub fn receipt_key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn device_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn device() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

fn collector() -> Identity {
    include_str!("../golden/collector.age").parse().expect("an age identity")
}

pub struct World {
    pub authority: Authority,
    pub broker: Mosquitto,
    pub certificate: Issued,
}

impl World {
    pub fn new() -> Self {
        let authority = Authority::new();
        let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)
            .unwrap_or_else(|error| panic!("{error}"));
        let certificate = authority.client("door-1", Validity::Good);
        Self { authority, broker, certificate }
    }
}

struct Machine(Instant);

impl Clock for Machine {
    fn mono(&self) -> MonoTime {
        MonoTime::from_start(self.0.elapsed())
    }
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn trust(&self) -> ClockTrust {
        ClockTrust::Untrusted
    }
}

struct Rows {
    rows: BTreeMap<Seq, OutboxRow>,
    last: Seq,
    head: EventHash,
    deleted: Seq,
}

/// An outbox in memory that can be looked into.
#[derive(Clone)]
pub struct Shelf(watch::Sender<Rows>);

impl Shelf {
    const EPOCH: Epoch = Epoch(Uuid::from_u128(1));

    fn new() -> Self {
        Self(watch::Sender::new(Rows { rows: BTreeMap::new(), last: Seq(0), head: EventHash::START, deleted: Seq(0) }))
    }

    fn record(&self) {
        self.0.send_modify(|rows| {
            let seq = Seq(rows.last.0 + 1);
            let body = Zeroizing::new(format!("event {seq}").into_bytes());
            let hash = chain_hash(Self::EPOCH, seq, &rows.head, &body);
            let event_id = EventId(Uuid::from_u128(u128::from(seq.0)));
            rows.rows.insert(seq, OutboxRow { seq, event_id, prev: rows.head, hash, body });
            (rows.last, rows.head) = (seq, hash);
        });
    }

    pub fn waiting(&self) -> usize {
        self.0.borrow().rows.len()
    }

    pub fn deleted(&self) -> u64 {
        self.0.borrow().deleted.0
    }

    pub async fn until_deleted(&self, seq: u64) {
        self.0.subscribe().wait_for(|rows| rows.deleted >= Seq(seq)).await.expect("the sender is here");
    }

    pub async fn until_empty(&self) {
        self.0.subscribe().wait_for(|rows| rows.rows.is_empty()).await.expect("the sender is here");
    }
}

impl Outbox for Shelf {
    type Error = Infallible;

    fn epoch(&self) -> Epoch {
        Self::EPOCH
    }

    fn pending(&self, after: Seq, limit: u32) -> Result<Vec<OutboxRow>, Infallible> {
        let from = Seq(after.0 + 1);
        Ok(self.0.borrow().rows.range(from..).take(limit as usize).map(|(_, row)| row.clone()).collect())
    }

    fn acknowledge(&mut self, epoch: Epoch, seq: Seq) -> Result<(), Infallible> {
        assert_eq!(epoch, Self::EPOCH);
        self.0.send_modify(|rows| {
            rows.rows = rows.rows.split_off(&Seq(seq.0 + 1));
            rows.deleted = seq;
        });
        Ok(())
    }
}

/// A box: uplink and delivery, as the composition root would wire them.
pub struct Door {
    pub link: watch::Receiver<Link>,
    pub standing: watch::Receiver<Standing>,
    pub outbox: Shelf,
    recorded: Arc<Notify>,
    stop: oneshot::Sender<()>,
    polling: JoinHandle<()>,
    delivering: JoinHandle<()>,
}

impl Door {
    /// Starts with `events` in the outbox.
    pub fn start(world: &World, events: u64) -> Self {
        let settings = Settings {
            host: "127.0.0.1".into(),
            port: world.broker.port(),
            device: device(),
            tls: Tls {
                authority: world.authority.certificate().into(),
                certificate: world.certificate.certificate.clone().into(),
                key: Zeroizing::new(world.certificate.key.clone().into()),
            },
            state: DeviceState::new(Status::Online, Uuid::from_u128(5), Versions::default()),
        };
        let clock: Arc<dyn Clock> = Arc::new(Machine(Instant::now()));
        let (near, polled) = uplink(settings, Arc::clone(&clock)).expect("usable certificates");
        let link = near.link.clone();
        let outbox = Shelf::new();
        for _ in 0..events {
            outbox.record();
        }
        let parties = Parties {
            device: device(),
            key: device_key(),
            collector: collector().recipient(),
            receipts: receipt_key().public(),
        };
        let recorded = Arc::new(Notify::new());
        let pace = Pace { patience: PATIENCE, longest: 2 * PATIENCE, ..Pace::default() };
        let (deliver, standing) = Deliver::new(outbox.clone(), parties, near, Arc::clone(&recorded), clock, pace);
        let (stop, stopped) = oneshot::channel::<()>();
        let polling = tokio::spawn(polled.run(async {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        }));
        Self { link, standing, outbox, recorded, stop, polling, delivering: tokio::spawn(deliver.run()) }
    }

    /// Starts and waits for the link.
    pub async fn open(world: &World, events: u64) -> Self {
        let mut door = Self::start(world, events);
        soon("the link is up", door.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("the loop runs");
        door
    }

    pub async fn stands(&mut self, standing: Standing) {
        soon(&format!("{standing:?}"), self.standing.wait_for(|now| *now == standing)).await.expect("delivery runs");
    }

    pub fn record(&self) {
        self.outbox.record();
        self.recorded.notify_one();
    }

    /// What an honest collector signs.
    pub fn receipt(&self, seq: u64) -> Receipt {
        Receipt { device: device(), epoch: Shelf::EPOCH, seq: Seq(seq) }
    }

    /// Ends the connection without a word, as a power cut does.
    pub fn vanish(self) {
        self.polling.abort();
    }

    /// Shuts down in order.
    pub async fn close(self) {
        self.stop.send(()).expect("the loop runs");
        soon("the loop ends", self.polling).await.expect("it does not panic");
        soon("delivery ends", self.delivering).await.expect("it does not panic");
    }
}

/// A plain client with the collector's certificate.
pub struct Watcher {
    client: AsyncClient,
    polled: EventLoop,
    events: VecDeque<EventEnvelope>,
    states: VecDeque<Vec<u8>>,
}

impl Watcher {
    pub async fn connect(world: &World) -> Self {
        let Issued { certificate, key } = world.authority.client("collector", Validity::Good);
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(
                native_tls::Certificate::from_pem(world.authority.certificate().as_bytes()).expect("PEM"),
            )
            .identity(native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).expect("PEM"))
            .build()
            .expect("usable certificates");
        let mut options = MqttOptions::new("collector", "127.0.0.1", world.broker.port());
        options.set_transport(Transport::tls_with_config(connector.into())).set_max_packet_size(Some(64 * 1024));
        let (client, polled) = AsyncClient::new(options, 64);
        let mut watcher = Self { client, polled, events: VecDeque::new(), states: VecDeque::new() };
        for topic in [DeviceTopic::Event, DeviceTopic::State] {
            watcher.client.try_subscribe(topic.of_all(), QoS::AtLeastOnce).expect("there is room");
        }
        let mut subscribed = 0;
        while subscribed < 2 {
            if let Packet::SubAck(_) = watcher.turn().await {
                subscribed += 1;
            }
        }
        watcher
    }

    async fn turn(&mut self) -> Packet {
        loop {
            let event = soon("something from the broker", self.polled.poll()).await.expect("the broker stays");
            let Event::Incoming(packet) = event else { continue };
            if let Packet::Publish(message) = &packet {
                let topic = std::str::from_utf8(&message.topic).expect("UTF-8");
                match DeviceTopic::parse(topic).expect("a topic of ours").1 {
                    DeviceTopic::State => self.states.push_back(message.payload.to_vec()),
                    DeviceTopic::Event => self.events.push_back(
                        EventEnvelope::decode(&message.payload, &device(), &device_key().public(), &collector())
                            .expect("an envelope of the door"),
                    ),
                    DeviceTopic::Receipt => unreachable!("not subscribed"),
                }
            }
            return packet;
        }
    }

    pub async fn event(&mut self) -> EventEnvelope {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.turn().await;
        }
    }

    pub async fn state(&mut self) -> Vec<u8> {
        loop {
            if let Some(state) = self.states.pop_front() {
                return state;
            }
            self.turn().await;
        }
    }

    pub async fn receipt(&mut self, receipt: &Receipt) {
        self.publish(DeviceTopic::Receipt, receipt.encode(&receipt_key())).await;
    }

    /// Publishes and waits until the broker has it.
    pub async fn publish(&mut self, topic: DeviceTopic, payload: Vec<u8>) {
        self.client.try_publish(topic.of(&device()), QoS::AtLeastOnce, false, payload).expect("there is room");
        loop {
            if let Packet::PubAck(_) = self.turn().await {
                break;
            }
        }
    }
}
