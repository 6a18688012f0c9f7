//! The keeper's connection; `hearing` takes in what comes. Every new connection publishes all that is retained again, so a broker that lost its
//! state gets it back.

mod hearing;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use examgate::{
    domain::{DeviceId, Timestamp, WithSources},
    mqtt::{
        Connection, LinkFault, Patience, Session,
        packet::{Packet, PubAck, PubAckReason, Publish, PublishProperties, QoS},
    },
    wire::{
        desired::Desired,
        digest::Digest,
        lost::LostCards,
        reported::Reported,
        topic::{self, DeviceTopic, LOST_CARDS},
    },
};
use examgate_fleet_core::{devices::Devices, stock::Stock};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{
    metrics::Metrics,
    sending::{Item, Sending},
    trust::{Keys, Trust},
};
use crate::{
    health::Board,
    line::{Line, Pause, subscription},
};

/// Most messages under way. Each is a chunk of at most 32 KiB.
const UNDER_WAY: u16 = 32;

/// Most reports that the broker may send without acknowledgement.
const UNACKNOWLEDGED: u16 = 64;

/// How long a broker keeps a chunk for a box that is slow; a box asks again after ten seconds.
const CHUNK_EXPIRES: Duration = Duration::from_secs(60);

/// How often the stock is looked through.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is noted that the keeper listens.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// How long the keeper only listens to what the broker and boxes have to say about a stock that was restored: what is retained comes at once.
const LISTEN_FIRST: Duration = Duration::from_secs(10);

/// How long a manifest may take to reach a box before it is asserted again.
const ASSERT_AFTER: Duration = Duration::from_secs(15);

/// Where to connect, and what to keep.
pub(super) struct Keeper {
    line: Line,
    enrolled: Arc<Devices>,
    stock: Stock,
    keys: Keys,
    /// Boxes whose manifest is not published, said once.
    unsigned: Mutex<HashSet<DeviceId>>,
    board: Board,
    metrics: Metrics,
}

/// What was published of one box's manifest on this connection.
struct Published {
    content: Digest,
    serial: u64,
    at: Instant,
}

/// One connection.
struct UnderWay {
    sending: Sending,
    published: HashMap<DeviceId, Published>,
    /// The serial of the manifest that each box last reported.
    reported: HashMap<DeviceId, u64>,
    /// The manifest that a box last reported to hold all of, by its serial; `None`: it misses some of it, or never reported.
    holds: HashMap<DeviceId, Option<u64>>,
    lost_cards: Option<Digest>,
    trust: Option<Digest>,
    most: usize,
    subscribed: bool,
    /// Since when this connection listens.
    since: Instant,
    /// When it was last noted that the keeper listens.
    noted: Option<Instant>,
}

impl Keeper {
    /// Sends what `stock` holds to boxes that are `enrolled`, if one of `keys` signed it.
    pub(super) fn new(
        line: Line,
        enrolled: Arc<Devices>,
        stock: Stock,
        keys: Keys,
        (board, metrics): (Board, Metrics),
    ) -> Self {
        Self { line, enrolled, stock, keys, unsigned: Mutex::default(), board, metrics }
    }

    /// Keeps for as long as it is polled.
    pub(super) async fn run(self) {
        let mut pause = Pause::new();
        self.board.disconnected(format!("not connected to {} yet", self.line.name));
        loop {
            let mut up_since = None;
            let fault = self.connection(&mut up_since).await;
            tracing::warn!(broker = self.line.name, fault = %WithSources(&fault), "no connection to the broker");
            self.board.disconnected(format!("no connection to {}: {}", self.line.name, WithSources(&fault)));
            tokio::time::sleep(pause.after(up_since.map(|up: Instant| up.elapsed()))).await;
        }
    }

    /// One connection, until its end.
    async fn connection(&self, up_since: &mut Option<Instant>) -> LinkFault {
        let opened = self.line.open(Session::Fresh, UNACKNOWLEDGED, hearing::topics()).await;
        let (mut connection, welcome) = match opened {
            Ok(opened) => opened,
            Err(fault) => return fault,
        };
        let mut way = UnderWay {
            sending: Sending::default(),
            published: HashMap::new(),
            reported: HashMap::new(),
            holds: HashMap::new(),
            lost_cards: None,
            trust: None,
            most: welcome.receive_maximum.min(UNDER_WAY).into(),
            subscribed: false,
            since: Instant::now(),
            noted: None,
        };
        let late = sleep_until(Instant::now() + Patience::default().greeting);
        let mut late = std::pin::pin!(late);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                packet = connection.next() => match packet {
                    Ok(packet) => self.incoming(&mut connection, packet, &mut way),
                    Err(fault) => Err(fault),
                },
                _ = looks.tick(), if way.subscribed => {
                    match self.look(&mut way) {
                        Ok(()) => self.board.well("stock"),
                        Err(error) => {
                            let error = format!("{error:#}");
                            tracing::error!(error, "the stock cannot be looked through");
                            self.board.trouble("stock", error);
                        }
                    }
                    Ok(())
                }
                () = late.as_mut(), if !way.subscribed => Err(connection.silent("it does not answer the subscription")),
            };
            if let Err(fault) = turn.and_then(|()| self.send(&mut connection, &mut way)) {
                return fault;
            }
            if way.subscribed && up_since.is_none() {
                *up_since = Some(Instant::now());
                self.board.connected();
                tracing::info!(broker = self.line.name, "keeping");
            }
        }
    }

    fn incoming(&self, connection: &mut Connection, packet: Packet, way: &mut UnderWay) -> Result<(), LinkFault> {
        if let Packet::SubAck(ack) = packet {
            subscription(connection, &ack, way.subscribed)?;
            (way.subscribed, way.since) = (true, Instant::now());
            return Ok(());
        }
        if let Packet::PubAck(ack) = packet {
            let nobody = ack.reason == PubAckReason::NoMatchingSubscribers;
            let Some(item) = way.sending.answered(ack.pkid, nobody) else {
                return Err(connection.surprise("it acknowledged a message that was never sent"));
            };
            if !nobody && ack.reason != PubAckReason::Success {
                tracing::error!(reason = ?ack.reason, ?item, "the broker refused it: check its ACL");
            }
            return Ok(());
        }
        if let Packet::Publish(publish) = packet {
            self.hear(&publish, way);
            if publish.qos == QoS::AtLeastOnce {
                connection.queue(&Packet::PubAck(PubAck::new(publish.pkid, None)))?;
            }
        }
        Ok(())
    }

    /// Finds what is not published as it is: the trust document, lost cards, manifests.
    fn look(&self, way: &mut UnderWay) -> Result<()> {
        // A list that cannot be read leaves the one before, and rosters go on.
        match self.enrolled.refresh() {
            Ok(false) => self.board.well("devices"),
            Ok(true) => tracing::info!("the list of enrolled boxes was read again"),
            Err(error) => self.board.trouble("devices", format!("{error:#}")),
        }
        let newest = self.keys.look(&self.stock, &self.board);
        if newest.is_some() && way.trust != newest {
            way.trust = newest;
            way.sending.trust();
        }
        if way.noted.is_none_or(|noted| noted.elapsed() > NOTE_EVERY) {
            self.stock.set_heard(now())?;
            way.noted = Some(Instant::now());
        }
        let listens = way.since.elapsed() < LISTEN_FIRST;
        if self.stock.awaits_lost_cards() {
            if listens {
                return Ok(());
            }
            tracing::warn!("the broker has no list of lost cards: that of the restored stock counts");
            self.stock.lost_cards_are_settled()?;
        }
        let list = self.stock.lost_cards()?.map(|bytes| Digest::of(&bytes));
        if list.is_some() && way.lost_cards != list {
            way.lost_cards = list;
            way.sending.lost_cards();
        }
        let mut out_of_date = 0;
        for device in self.stock.devices()? {
            if listens && self.stock.awaits(&device) {
                continue;
            }
            let Some((bytes, serial)) = self.manifest(&device)? else { continue };
            // Empty: all in it has expired, and nothing is wanted of the box any more.
            if !bytes.is_empty() && self.holds(&device, way)?.is_none_or(|held| held < serial) {
                out_of_date += 1;
            }
            let content = Digest::of(&bytes);
            if way.published.get(&device).is_none_or(|published| published.content != content) {
                way.published.insert(device.clone(), Published { content, serial, at: Instant::now() });
                // It would refuse an older one, and the newer one at the broker would be gone.
                if let Some(held) = way.reported.get(&device).filter(|held| **held > serial) {
                    tracing::warn!(%device, held, serial, "the box holds a newer manifest than the stock: push its exams again");
                    continue;
                }
                way.sending.manifest(&device);
            }
        }
        self.metrics.out_of_date.set(out_of_date);
        Ok(())
    }

    /// The manifest that a box reported to hold all of.
    fn holds(&self, device: &DeviceId, way: &mut UnderWay) -> Result<Option<u64>> {
        if let Some(known) = way.holds.get(device) {
            return Ok(*known);
        }
        // Reported before this connection.
        let (report, key) = (self.stock.report(device)?, self.enrolled.key(device));
        let reported = report.zip(key).and_then(|(bytes, key)| Reported::decode(&bytes, device, &key).ok());
        let found = reported.as_ref().and_then(holds);
        way.holds.insert(device.clone(), found);
        Ok(found)
    }

    /// The list of lost cards, retained. `None`: it must not be published.
    fn lost_cards(&self) -> Result<Option<Publish>> {
        let Some(bytes) = self.stock.lost_cards()? else { return Ok(None) };
        if let Err(error) = LostCards::decode(&bytes, &self.keys.command(now())) {
            tracing::error!(%error, "the list of lost cards is not published: sign it with a command key that counts (`examgate-fleet card sign`), or start the keeper with the right --command-public-key");
            return Ok(None);
        }
        let mut publish = Publish::new(LOST_CARDS, QoS::AtLeastOnce, bytes, None);
        publish.retain = true;
        Ok(Some(publish))
    }

    /// What is to be retained for a box, and its serial: its manifest, or nothing once all in it has expired. `None`: it must not be
    /// published.
    fn manifest(&self, device: &DeviceId) -> Result<Option<(Vec<u8>, u64)>> {
        let Some(bytes) = self.stock.manifest(device)? else { return Ok(None) };
        let mut unsigned = self.unsigned.lock().unwrap_or_else(PoisonError::into_inner);
        let desired = match Desired::decode(&bytes, device, &self.keys.roster(now())) {
            Ok(desired) => desired,
            Err(error) => {
                if unsigned.insert(device.clone()) {
                    tracing::error!(%device, %error, "a manifest of the stock is not published (said once): push its exams again with a roster key that counts");
                }
                return Ok(None);
            }
        };
        unsigned.remove(device);
        drop(unsigned);
        let has_expired = !desired.exams.is_empty() && desired.exams.iter().all(|wanted| wanted.expires <= now());
        if has_expired {
            self.stock.retain_chunks(device, |_| false)?;
        }
        Ok(Some((if has_expired { Vec::new() } else { bytes }, desired.serial)))
    }

    /// Sends what may be sent now.
    fn send(&self, connection: &mut Connection, way: &mut UnderWay) -> Result<(), LinkFault> {
        while way.subscribed
            && let Some((packet, item)) = way.sending.next(way.most)
        {
            let publish = match &item {
                Item::Trust => Ok(self.keys.trust.as_ref().and_then(Trust::message)),
                Item::LostCards => self.lost_cards(),
                Item::Manifest(device) => self.manifest(device).map(|found| {
                    found.map(|(bytes, _)| {
                        let mut publish = Publish::new(DeviceTopic::Desired.of(device), QoS::AtLeastOnce, bytes, None);
                        publish.retain = true;
                        publish
                    })
                }),
                Item::Chunk(device, digest) => self.stock.chunk(device, digest).map(|found| {
                    found.map(|bytes| {
                        Publish::new(topic::chunk_of(device, digest), QoS::AtLeastOnce, bytes, Some(expiring()))
                    })
                }),
            };
            match publish {
                Ok(Some(mut publish)) => {
                    publish.pkid = packet;
                    connection.queue(&Packet::Publish(publish))?;
                    match item {
                        Item::Manifest(_) => _ = self.metrics.manifests.inc(),
                        Item::Chunk(..) => _ = self.metrics.chunks.inc(),
                        Item::LostCards | Item::Trust => {}
                    }
                }
                Ok(None) => {
                    if matches!(item, Item::Chunk(..)) {
                        tracing::warn!(?item, "a box wants what the stock does not hold: push the exam again");
                    }
                    way.sending.spared(packet);
                }
                Err(error) => {
                    tracing::error!(?item, error = format!("{error:#}"), "the stock cannot be read");
                    way.sending.spared(packet);
                }
            }
        }
        Ok(())
    }
}

/// The manifest that a box holds all of, by what it reports.
fn holds(reported: &Reported) -> Option<u64> {
    (reported.missing.is_empty() && reported.refused.is_none()).then_some(reported.serial)
}

fn expiring() -> PublishProperties {
    PublishProperties {
        message_expiry_interval: u32::try_from(CHUNK_EXPIRES.as_secs()).ok(),
        ..PublishProperties::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "here the keeper reads the clock: what has expired is cleared")]
fn now() -> Timestamp {
    Timestamp::now()
}
