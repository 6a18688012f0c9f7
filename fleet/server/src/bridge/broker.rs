//! The bridge's connection: telemetry and states of boxes in, acknowledgements out. A message is acknowledged once what it says is on the disk, so
//! the broker keeps for the bridge what it has not kept itself.

use std::time::Duration;

use examgate::{
    domain::WithSources,
    mqtt::{
        Connection, LinkFault, Patience, Session,
        packet::{Packet, PubAck, Publish, QoS},
    },
    wire::{
        state::DeviceState,
        telemetry::{Telemetry, TelemetryError},
        topic::DeviceTopic,
    },
};
use examgate_fleet_core::tally::Tally;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{boxes::Outcome, exposition::Panel, metrics::Metrics};
use crate::{
    health::Board,
    line::{Line, Pause, subscription},
};

/// Most messages that the broker may send without acknowledgement.
const UNACKNOWLEDGED: u16 = 256;

/// So many messages are kept together at most: half of what may come without acknowledgement, so that the broker need not wait.
const TOGETHER: usize = 128;

/// What came is kept after this time at the latest.
const KEEP_EVERY: Duration = Duration::from_millis(250);

/// How often it is looked whether the list of boxes has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the broker keeps messages for a bridge that is away: as long as it remembers a client.
const SESSION: Duration = Duration::from_secs(60 * 60);

/// Where to connect, and where to put what comes.
pub(super) struct Bridge {
    pub(super) line: Line,
    pub(super) panel: Panel,
    pub(super) tally: Tally,
    pub(super) board: Board,
    pub(super) metrics: Metrics,
}

/// One connection.
#[derive(Default)]
struct UnderWay {
    subscribed: bool,
    /// Messages whose content is not kept yet, by their packet ids.
    unacknowledged: Vec<u16>,
}

impl Bridge {
    /// Bridges for as long as it is polled.
    pub(super) async fn run(mut self) {
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
    async fn connection(&mut self, up_since: &mut Option<Instant>) -> LinkFault {
        let topics = vec![DeviceTopic::Telemetry.of_all(), DeviceTopic::State.of_all()];
        let opened = self.line.open(Session::Kept(SESSION), UNACKNOWLEDGED, topics).await;
        let (mut connection, _) = match opened {
            Ok(opened) => opened,
            Err(fault) => return fault,
        };
        let mut way = UnderWay::default();
        let late = sleep_until(Instant::now() + Patience::default().greeting);
        let mut late = std::pin::pin!(late);
        let (mut keeps, mut looks) = (interval(KEEP_EVERY), interval(LOOK_EVERY));
        keeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                packet = connection.next() => match packet {
                    Ok(packet) => self.incoming(&connection, packet, &mut way),
                    Err(fault) => Err(fault),
                },
                _ = keeps.tick() => self.keep(&mut connection, &mut way),
                _ = looks.tick() => {
                    self.look();
                    Ok(())
                }
                () = late.as_mut(), if !way.subscribed => Err(connection.silent("it does not answer the subscription")),
            };
            // Beyond that only the tick keeps: a disk that fails must not be asked at every message.
            let is_full = way.unacknowledged.len() == TOGETHER;
            let turn = turn.and_then(|()| if is_full { self.keep(&mut connection, &mut way) } else { Ok(()) });
            if let Err(fault) = turn {
                return fault;
            }
            if way.subscribed && up_since.is_none() {
                *up_since = Some(Instant::now());
                self.board.connected();
                tracing::info!(broker = self.line.name, "bridging");
            }
        }
    }

    fn incoming(&self, connection: &Connection, packet: Packet, way: &mut UnderWay) -> Result<(), LinkFault> {
        if let Packet::SubAck(ack) = packet {
            subscription(connection, &ack, way.subscribed)?;
            way.subscribed = true;
            return Ok(());
        }
        if let Packet::PubAck(_) = packet {
            return Err(connection.surprise("it acknowledged a message that was never sent"));
        }
        if let Packet::Publish(publish) = packet {
            self.hear(&publish);
            if publish.qos == QoS::AtLeastOnce {
                way.unacknowledged.push(publish.pkid);
            }
        }
        Ok(())
    }

    /// Takes in one message.
    fn hear(&self, publish: &Publish) {
        // `examgate doctor` asks with an empty message whether the box may write there.
        if publish.payload.is_empty() {
            return;
        }
        let Some((device, which)) = DeviceTopic::parse(&String::from_utf8_lossy(&publish.topic)) else { return };
        if !self.panel.shard.holds(&device) {
            return;
        }
        let now = (self.panel.now)();
        match which {
            DeviceTopic::Telemetry => {
                let Some(key) = self.panel.enrolled.key(&device) else {
                    self.metrics.count(Outcome::UnknownBox);
                    return;
                };
                let outcome = match Telemetry::decode(&publish.payload, &device, &key) {
                    Ok(taken) => {
                        let outcome = self.panel.boxes().take(taken.telemetry, publish.retain, now);
                        if outcome == Outcome::Accepted {
                            self.metrics.passed_over.inc_by(taken.passed_over.into());
                        }
                        outcome
                    }
                    Err(TelemetryError::NotSigned | TelemetryError::OtherDevice) => Outcome::Forged,
                    Err(TelemetryError::TooLong | TelemetryError::Malformed) => Outcome::Malformed,
                };
                if !matches!(outcome, Outcome::Accepted | Outcome::Duplicate) {
                    tracing::debug!(%device, outcome = outcome.name(), "telemetry does not count");
                }
                self.metrics.count(outcome);
            }
            DeviceTopic::State => {
                if self.panel.enrolled.key(&device).is_none() {
                    return;
                }
                let Some(state) = DeviceState::decode(&publish.payload) else {
                    tracing::warn!(%device, "a state that cannot be read: is the box's software newer?");
                    return;
                };
                self.panel.boxes().state(&device, state.status, publish.retain, now);
            }
            DeviceTopic::Event
            | DeviceTopic::Receipt
            | DeviceTopic::Desired
            | DeviceTopic::Reported
            | DeviceTopic::Command
            | DeviceTopic::Answer => {}
        }
    }

    /// Puts what came since on the disk, and acknowledges it. What the disk does not take is not acknowledged, and tried again.
    fn keep(&mut self, connection: &mut Connection, way: &mut UnderWay) -> Result<(), LinkFault> {
        let changes = self.panel.boxes().changes();
        if !changes.is_empty() {
            if let Err(error) = self.tally.keep(&changes) {
                let error = WithSources(&error).to_string();
                tracing::error!(error, "the tally cannot be kept");
                self.board.trouble("tally", error);
                return Ok(());
            }
            self.board.well("tally");
            self.panel.boxes().kept();
        }
        for packet in way.unacknowledged.drain(..) {
            connection.queue(&Packet::PubAck(PubAck::new(packet, None)))?;
        }
        Ok(())
    }

    /// Reads the list of boxes again where it has changed. One that cannot be read leaves the one before.
    fn look(&self) {
        match self.panel.enrolled.refresh() {
            Ok(false) => self.board.well("devices"),
            Ok(true) => tracing::info!("the list of enrolled boxes was read again"),
            Err(error) => self.board.trouble("devices", format!("{error:#}")),
        }
    }
}
