//! The collector's connection: subscribed to every box's events, each acknowledged when the ledger has dealt with it.
//!
//! The session is kept at the broker for a minute, so a connection that ends, on whichever side, is resumed: what was not
//! acknowledged comes again, and no slot of the receive window stays taken. What a broker forgets the boxes send again. It never looks into
//! a message.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use examgate::{
    domain::WithSources,
    mqtt::{
        Connection, LinkFault, Patience, Session,
        packet::{Packet, PubAck, PubAckReason, Publish, QoS},
    },
    wire::topic::DeviceTopic,
};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};

use super::{
    metrics::Metrics,
    trusted::TrustedView,
    waiting::{Message, Offered, Place, Waiting},
};
use crate::{
    health::Board,
    line::{Line, Pause, SUBSCRIPTION, subscription},
};

/// Most messages the broker may send without acknowledgement.
const UNACKNOWLEDGED: u16 = 256;

/// Most receipts under way; fewer if the broker takes fewer.
const RECEIPTS: u16 = 64;

/// Most receipts that wait for the broker. Those beyond are dropped, the oldest first: a box sends again and gets another.
const RECEIPTS_WAITING: usize = 4096;

/// How long the broker keeps the session of a collector that is gone. Short: what a box hears of a collector that is not
/// connected ("nobody listens") must stay true.
const SESSION: Duration = Duration::from_secs(60);

/// What the ledger has to say to the broker.
#[derive(Debug)]
pub(super) enum Answer {
    /// The message at this place has been dealt with.
    Acknowledge(Place),
    /// A receipt to publish.
    Receipt {
        /// The box's topic.
        topic: String,
        /// The receipt, signed.
        receipt: Vec<u8>,
    },
}

/// Where to connect, and for whom.
pub(super) struct Broker {
    line: Line,
    trusted: TrustedView,
    waiting: Arc<Waiting>,
    /// The number of the last connection.
    number: u64,
    board: Board,
    metrics: Metrics,
}

/// What is under way on one connection.
struct UnderWay {
    number: u64,
    /// Messages that came and are not acknowledged.
    held: HashSet<u16>,
    /// Receipts that were sent and are not acknowledged.
    sent: HashSet<u16>,
    last: u16,
    /// Receipts to send.
    receipts: VecDeque<(String, Vec<u8>)>,
    /// Most of `sent`.
    most: usize,
    subscribed: bool,
}

impl Broker {
    /// Of messages on `line`, those of enrolled boxes go to `waiting`.
    pub(super) fn new(
        line: Line,
        trusted: TrustedView,
        waiting: Arc<Waiting>,
        (board, metrics): (Board, Metrics),
    ) -> Self {
        Self { line, trusted, waiting, number: 0, board, metrics }
    }

    /// Passes messages on for as long as it is polled.
    pub(super) async fn run(&mut self, answers: &mut UnboundedReceiver<Answer>) {
        let mut pause = Pause::new();
        self.board.disconnected(format!("not connected to {} yet", self.line.name));
        loop {
            // What was answered to a connection that is gone is of no use: the broker sends again what it was not told of, and boxes
            // get another receipt when they send again.
            while answers.try_recv().is_ok() {}
            self.number += 1;
            let mut up_since = None;
            let fault = self.connection(answers, &mut up_since).await;
            tracing::warn!(broker = self.line.name, fault = %WithSources(&fault), "no connection to the broker");
            self.board.disconnected(format!("no connection to {}: {}", self.line.name, WithSources(&fault)));
            tokio::join!(
                self.waiting.has_room(),
                tokio::time::sleep(pause.after(up_since.map(|up: Instant| up.elapsed())))
            );
        }
    }

    /// One connection, until its end.
    async fn connection(&self, answers: &mut UnboundedReceiver<Answer>, up_since: &mut Option<Instant>) -> LinkFault {
        let opened = self.line.open(Session::Kept(SESSION), UNACKNOWLEDGED, vec![DeviceTopic::Event.of_all()]).await;
        let (mut connection, welcome) = match opened {
            Ok(opened) => opened,
            Err(fault) => return fault,
        };
        let mut way = UnderWay {
            number: self.number,
            held: HashSet::new(),
            sent: HashSet::new(),
            last: 0,
            receipts: VecDeque::new(),
            most: welcome.receive_maximum.min(RECEIPTS).into(),
            subscribed: false,
        };
        let late = sleep_until(Instant::now() + Patience::default().greeting);
        let mut late = std::pin::pin!(late);
        loop {
            let turn = tokio::select! {
                packet = connection.next() => match packet {
                    Ok(packet) => self.incoming(&mut connection, packet, &mut way),
                    Err(fault) => Err(fault),
                },
                Some(answer) = answers.recv() => way.answer(&mut connection, answer),
                () = late.as_mut(), if !way.subscribed => Err(connection.silent("it does not answer the subscription")),
            };
            if let Err(fault) = turn.and_then(|()| way.send(&mut connection, &self.metrics)) {
                return fault;
            }
            if way.subscribed && up_since.is_none() {
                *up_since = Some(Instant::now());
                self.board.connected();
                tracing::info!(broker = self.line.name, "collecting");
            }
        }
    }

    fn incoming(&self, connection: &mut Connection, packet: Packet, way: &mut UnderWay) -> Result<(), LinkFault> {
        if let Packet::SubAck(ack) = packet {
            subscription(connection, &ack, way.subscribed)?;
            way.subscribed = true;
            return Ok(());
        }
        if let Packet::PubAck(ack) = packet {
            if !way.sent.remove(&ack.pkid) {
                return Err(connection.surprise("it acknowledged a message that was never sent"));
            }
            if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                tracing::error!(reason = ?ack.reason, "the broker refused a receipt: check its ACL");
            }
            return Ok(());
        }
        if let Packet::Publish(publish) = packet {
            return self.message(connection, publish, way);
        }
        Ok(())
    }

    fn message(&self, connection: &mut Connection, publish: Publish, way: &mut UnderWay) -> Result<(), LinkFault> {
        // No box sends QoS 0, so such a message is dropped: a flood of them costs only this check.
        if publish.qos != QoS::AtLeastOnce {
            tracing::debug!("a message of QoS 0 was dropped: boxes send QoS 1");
            return Ok(());
        }
        // `examgate doctor` asks so whether the box may write here.
        if publish.payload.is_empty() {
            return connection.queue(&Packet::PubAck(PubAck::new(publish.pkid, None)));
        }
        if !way.held.insert(publish.pkid) {
            return Err(connection.surprise("it sent two messages with one packet id"));
        }
        if way.held.len() > usize::from(UNACKNOWLEDGED) {
            return Err(connection.surprise("it sent more messages than were allowed unacknowledged"));
        }
        let topic = String::from_utf8(publish.topic.to_vec()).unwrap_or_default();
        let whose = DeviceTopic::parse(&topic).map(|(device, _)| device);
        let whose = whose.filter(|device| self.trusted.borrow().devices.key(device).is_some());
        let place = Place { connection: way.number, packet: publish.pkid };
        let message = Message { topic, payload: publish.payload.to_vec(), place: Some(place) };
        match self.waiting.offer(whose.clone(), message) {
            Offered::Held => Ok(()),
            Offered::Kept => way.acknowledge(connection, publish.pkid),
            Offered::Dropped => {
                self.metrics.dropped.inc();
                self.waiting.count_dropped(whose);
                way.acknowledge(connection, publish.pkid)
            }
            Offered::Full => Err(LinkFault::Ended {
                why: "the ledger does not keep up with all boxes together; the broker keeps what comes until it does",
            }),
        }
    }
}

impl UnderWay {
    fn acknowledge(&mut self, connection: &mut Connection, packet: u16) -> Result<(), LinkFault> {
        self.held.remove(&packet);
        connection.queue(&Packet::PubAck(PubAck::new(packet, None)))
    }

    fn answer(&mut self, connection: &mut Connection, answer: Answer) -> Result<(), LinkFault> {
        match answer {
            // On a connection that is gone it comes again, which is harmless.
            Answer::Acknowledge(place) if place.connection != self.number => Ok(()),
            Answer::Acknowledge(place) => self.acknowledge(connection, place.packet),
            Answer::Receipt { topic, receipt } => {
                if self.receipts.len() >= RECEIPTS_WAITING {
                    self.receipts.pop_front();
                }
                self.receipts.push_back((topic, receipt));
                Ok(())
            }
        }
    }

    /// Sends the receipts that may be sent now.
    fn send(&mut self, connection: &mut Connection, metrics: &Metrics) -> Result<(), LinkFault> {
        while self.subscribed
            && self.sent.len() < self.most
            && let Some((topic, receipt)) = self.receipts.pop_front()
        {
            // There are far more ids than receipts under way.
            while self.last == 0 || self.last == SUBSCRIPTION || self.sent.contains(&self.last) {
                self.last = self.last.wrapping_add(1);
            }
            self.sent.insert(self.last);
            let mut publish = Publish::new(topic, QoS::AtLeastOnce, receipt, None);
            publish.pkid = self.last;
            connection.queue(&Packet::Publish(publish))?;
            metrics.receipts.inc();
        }
        Ok(())
    }
}
