//! The polling loop: one connection after the other, each watched over and each begun afresh.
//!
//! It never queues: what is not answered when a connection ends is forgotten here and sent again from the outbox. Whatever
//! the broker does ends in a [`LinkFault`] and another attempt.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Acked, Arrived, BrokerAnswer, Handed, InUse, Line, Link, Renewing, Settings, Tls, UplinkError, WINDOW, answer,
    arrival::Subscription,
    followed::{Followed, Following},
    unanswered::{SUBSCRIPTION, Unanswered},
    ways::{Way, Ways},
};
use crate::{
    domain::{MonoTime, WithSources},
    edge::clock::Clock,
    mqtt::{
        Connection, Greeting, LinkFault, Session,
        packet::{Filter, LastWill, Packet, PubAck, Publish, QoS, SubAck, Subscribe, SubscribeReasonCode},
    },
    wire::{state::Status, topic::DeviceTopic},
};

/// Pauses between attempts: doubled from the first to the last. A connection that held for longer than the pause before it
/// begins at the first again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Longest wait for the goodbye to leave.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

/// Most messages that the broker may send without acknowledgement: at most 2 MiB wait here for the disk.
const UNACKNOWLEDGED: u16 = 64;

/// Polls the connection and reconnects. Its own task; see [`super::uplink`].
pub struct UplinkLoop {
    settings: Settings,
    ways: Ways,
    clock: Arc<dyn Clock>,
    link: watch::Sender<Link>,
    acks: mpsc::Sender<Acked>,
    subscriptions: Vec<Subscription>,
    followed: Option<Followed>,
}

/// How one connection ended.
enum Ended {
    Stopped,
    Fault(LinkFault),
    /// The box has another certificate.
    Renewed(Tls),
}

pub(super) fn tls(settings: &Settings) -> Result<native_tls::TlsConnector, UplinkError> {
    Ok(Way::new(&settings.tls)?.connector)
}

impl UplinkLoop {
    pub(super) fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        link: watch::Sender<Link>,
        acks: mpsc::Sender<Acked>,
    ) -> Result<Self, UplinkError> {
        let ways = Ways::new(&settings.tls)?;
        Ok(Self { settings, ways, clock, link, acks, subscriptions: Vec::new(), followed: None })
    }

    /// Takes an older certificate for when no connection comes up with the ones before it.
    ///
    /// # Errors
    /// When certificate or key cannot be used.
    pub fn fall_back(&mut self, older: &Tls) -> Result<(), UplinkError> {
        self.ways.fall_back(older)
    }

    /// Lets the box change its certificate. Asked again, the near end before is of no use any more.
    pub fn renewing(&mut self) -> Renewing {
        self.ways.renewing()
    }

    /// The certificate (PEM) of the connection that is up, or was last.
    #[must_use]
    pub fn certificate(&self) -> watch::Receiver<InUse> {
        self.ways.used()
    }

    /// Subscribes to more topics, on every connection. At most `most` messages wait; overflow is dropped, so the sender must
    /// repeat them.
    pub fn subscribe(&mut self, filters: Vec<String>, most: usize) -> mpsc::Receiver<Arrived> {
        let (to, from) = mpsc::channel(most);
        self.subscriptions.push(Subscription { filters, to });
        from
    }

    /// Subscribes to what `filters` names at the time, on every connection, and anew whenever it is set, also to the same: retained messages
    /// come again then. A broker that refuses it is told of and used for all else. At most `most` messages wait; overflow is dropped.
    pub fn follow(&mut self, filters: watch::Receiver<Vec<String>>, most: usize) -> mpsc::Receiver<Arrived> {
        let (to, from) = mpsc::channel(most);
        self.followed = Some(Followed { filters, to });
        from
    }

    /// Keeps the link up until `stop`, then says goodbye.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut pause = PAUSES.0;
        let mut after = None;
        let mut down_since = None;
        let mut ways = std::mem::take(&mut self.ways);
        for connection in 1.. {
            self.link.send_replace(Link::Connecting { after: after.take() });
            let mut up_since = None;
            let ended = self.connection(connection, &mut ways, &mut up_since, stop.as_mut()).await;
            let fault = match ended {
                Ended::Stopped => break,
                Ended::Fault(fault) => Arc::new(fault),
                Ended::Renewed(tls) => {
                    ways.prefer(&tls);
                    continue;
                }
            };
            if let Some(up_since) = up_since {
                down_since = None;
                // A broker that lets everybody in and throws everybody out is asked less and less often, too.
                if up_since.elapsed() > pause {
                    pause = PAUSES.0;
                }
            } else {
                ways.failed();
            }
            let since: MonoTime = *down_since.get_or_insert_with(|| self.clock.mono());
            self.link.send_replace(Link::Down { cause: Arc::clone(&fault), since });
            tracing::warn!(fault = %WithSources(&*fault), retry_in = ?pause, "uplink down");
            tokio::select! {
                () = stop.as_mut() => break,
                () = tokio::time::sleep(pause) => {}
                tls = ways.renewed() => ways.prefer(&tls),
            }
            pause = PAUSES.1.min(pause * 2);
            after = Some(fault);
        }
        self.link.send_replace(Link::Closed);
    }

    fn greeting(&self) -> Greeting {
        let lost = self.settings.state.with_status(Status::Lost).encode();
        let topic = DeviceTopic::State.of(&self.settings.device);
        Greeting {
            client_id: self.settings.device.as_str().into(),
            session: Session::Fresh,
            receive_maximum: Some(UNACKNOWLEDGED),
            will: Some(LastWill::new(topic, lost, QoS::AtLeastOnce, true, None)),
            patience: self.settings.patience,
        }
    }

    /// One connection, from the dial to its end.
    async fn connection(
        &self,
        number: u64,
        ways: &mut Ways,
        up_since: &mut Option<Instant>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        let Settings { host, port, device, patience, .. } = &self.settings;
        let Some(way) = ways.choice() else { return Ended::Stopped };
        let opened = tokio::select! {
            opened = Connection::open(host, *port, &way.connector, self.greeting()) => opened,
            () = stop.as_mut() => return Ended::Stopped,
        };
        let (mut connection, welcome) = match opened {
            Ok(opened) => opened,
            Err(fault) => return Ended::Fault(fault),
        };
        let lacks = welcome.lacks(device.as_str());
        if !lacks.is_empty() {
            return Ended::Fault(LinkFault::Unfit { broker: format!("{host}:{port}"), lacks: lacks.join("; ") });
        }
        // Receipts are listened to before anything is sent that could be receipted.
        let filters = self.subscriptions.iter().flat_map(|subscription| &subscription.filters);
        let filters = filters.map(|filter| Filter::new(filter.as_str(), QoS::AtLeastOnce)).collect();
        let subscribe = Subscribe { pkid: SUBSCRIPTION, filters, properties: None };
        if let Err(fault) = connection.queue(&Packet::Subscribe(subscribe)) {
            return Ended::Fault(fault);
        }
        let (line, mut handed) = self.line(number);
        let mut unanswered = Unanswered::new(&welcome);
        let (dealt_with, mut to_acknowledge) = mpsc::unbounded_channel();
        let mut following = Following::new(self.followed.as_ref());
        let (asked, mut told) = (Instant::now(), false);
        loop {
            let due =
                if up_since.is_some() { unanswered.due(patience.answer) } else { Some(asked + patience.greeting) };
            let late = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let turn = tokio::select! {
                packet = connection.next() => match packet {
                    Ok(Packet::Publish(message)) => {
                        self.arrived(message, &dealt_with);
                        Ok(())
                    }
                    Ok(packet) if following.is_answered_by(&packet) => Ok(()),
                    Ok(packet) => self.incoming(&mut connection, packet, &line, &mut unanswered, up_since),
                    Err(fault) => Err(fault),
                },
                // The line holds a sender itself, so there is always somebody who may hand something over.
                Some(message) = handed.recv(), if unanswered.has_room() => {
                    send(&mut connection, &mut unanswered, message)
                }
                packets = following.changed(), if up_since.is_some() => {
                    packets.iter().try_for_each(|packet| connection.queue(packet))
                }
                // This holds a sender itself, too.
                Some(packet) = to_acknowledge.recv() => connection.queue(&Packet::PubAck(PubAck::new(packet, None))),
                () = late => Err(connection.silent(match up_since {
                    None => "it does not answer the subscription",
                    Some(_) => "it has left a message without an answer for too long",
                })),
                () = stop.as_mut() => {
                    // What was handed over before goes out first, as far as the broker takes it without an answer.
                    while unanswered.has_room()
                        && let Ok(message) = handed.try_recv()
                        && send(&mut connection, &mut unanswered, message).is_ok()
                    {}
                    if up_since.is_some() {
                        self.goodbye(connection).await;
                    }
                    return Ended::Stopped;
                }
                tls = ways.renewed() => {
                    // In order, so no last will: the box is there again in a moment. What is not answered is sent again.
                    connection.close(GOODBYE).await;
                    return Ended::Renewed(tls);
                }
            };
            if let Err(fault) = turn {
                return Ended::Fault(fault);
            }
            if up_since.is_some() && !told {
                told = true;
                ways.up(&way);
            }
        }
    }

    /// The near end of a connection, and what is handed over there.
    fn line(&self, connection: u64) -> (Line, mpsc::Receiver<Handed>) {
        // Room for a full window and the few messages around it: handing over never waits.
        let (hand, handed) = mpsc::channel(WINDOW as usize + 8);
        (Line { connection, hand, topic: DeviceTopic::Event.of(&self.settings.device).into() }, handed)
    }

    /// Gives a message to its subscriber. It is acknowledged in any case, or the broker would keep a place for it.
    fn arrived(&self, message: Publish, dealt_with: &mpsc::UnboundedSender<u16>) {
        let answer = (message.qos == QoS::AtLeastOnce).then(|| (message.pkid, dealt_with.clone()));
        let topic = String::from_utf8_lossy(&message.topic).into_owned();
        let to = self.subscriptions.iter().find(|subscription| subscription.wants(&topic)).map(|known| &known.to);
        let to = to.or_else(|| self.followed.as_ref().filter(|followed| followed.wants(&topic)).map(|known| &known.to));
        let correlation = message.properties.and_then(|said| said.correlation_data).map(|data| data.to_vec());
        let arrived = Arrived::new(topic, message.payload.to_vec(), answer).with_correlation(correlation);
        match to {
            None => tracing::debug!("a message that was not asked for was dropped"),
            Some(to) => {
                if to.try_send(arrived).is_err() {
                    tracing::debug!("a message was dropped: they come faster than they are read");
                }
            }
        }
    }

    fn incoming(
        &self,
        connection: &mut Connection,
        packet: Packet,
        line: &Line,
        unanswered: &mut Unanswered,
        up_since: &mut Option<Instant>,
    ) -> Result<(), LinkFault> {
        if let Packet::SubAck(ack) = packet {
            return self.subscribed(connection, &ack, line, unanswered, up_since);
        }
        if let Packet::PubAck(ack) = packet {
            return self.acknowledged(connection, &ack, line, unanswered);
        }
        Ok(())
    }

    fn subscribed(
        &self,
        connection: &mut Connection,
        ack: &SubAck,
        line: &Line,
        unanswered: &mut Unanswered,
        up_since: &mut Option<Instant>,
    ) -> Result<(), LinkFault> {
        if ack.pkid != SUBSCRIPTION || up_since.is_some() {
            return Err(connection.surprise("it answered a subscription that was never sent"));
        }
        let wanted: usize = self.subscriptions.iter().map(|subscription| subscription.filters.len()).sum();
        let granted = ack.return_codes.iter().filter(|code| matches!(code, SubscribeReasonCode::Success(_))).count();
        if ack.return_codes.len() != wanted || granted != wanted {
            return Err(LinkFault::SubscriptionRefused);
        }
        let online = self.settings.state.with_status(Status::Online).encode();
        let topic = DeviceTopic::State.of(&self.settings.device);
        send(connection, unanswered, Handed::retained(topic, online))?;
        *up_since = Some(Instant::now());
        self.link.send_replace(Link::Up(line.clone()));
        tracing::info!("uplink up");
        Ok(())
    }

    fn acknowledged(
        &self,
        connection: &Connection,
        ack: &PubAck,
        line: &Line,
        unanswered: &mut Unanswered,
    ) -> Result<(), LinkFault> {
        let Some((seq, _)) = unanswered.sent.remove(&ack.pkid) else {
            return Err(connection.surprise("it acknowledged a message that was never sent"));
        };
        let answer = answer(ack.reason);
        match (seq, answer) {
            // Full only if nobody reads answers, and then nobody sends either.
            (Some(seq), answer) => drop(self.acks.try_send(Acked { connection: line.connection, seq, answer })),
            (None, BrokerAnswer::Refused(why)) => {
                tracing::error!(why, "the broker refused what this box says of itself")
            }
            (None, BrokerAnswer::Taken | BrokerAnswer::NobodyListens) => {}
        }
        Ok(())
    }

    /// Replaces the retained state (a client that disconnects in order has no last will), then disconnects. As QoS 0: nobody
    /// waits for an answer, and it needs no place among the unanswered.
    async fn goodbye(&self, mut connection: Connection) {
        let stopped = self.settings.state.with_status(Status::Stopped).encode();
        let mut publish = Publish::new(DeviceTopic::State.of(&self.settings.device), QoS::AtMostOnce, stopped, None);
        publish.retain = true;
        // What cannot be said is said by the last will.
        if connection.queue(&Packet::Publish(publish)).is_ok() {
            connection.close(GOODBYE).await;
        }
    }
}

fn send(connection: &mut Connection, unanswered: &mut Unanswered, message: Handed) -> Result<(), LinkFault> {
    let Handed { topic, seq, retain, properties, payload } = message;
    let mut publish = Publish::new(&*topic, QoS::AtLeastOnce, payload, properties);
    publish.retain = retain;
    publish.pkid = unanswered.place(seq);
    connection.queue(&Packet::Publish(publish))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::packet::PubAckReason;

    #[test]
    fn only_reasons_below_0x80_are_no_fault() {
        assert_eq!(answer(PubAckReason::Success), BrokerAnswer::Taken);
        assert_eq!(answer(PubAckReason::NoMatchingSubscribers), BrokerAnswer::NobodyListens);
        for reason in [PubAckReason::NotAuthorized, PubAckReason::QuotaExceeded, PubAckReason::UnspecifiedError] {
            assert!(matches!(answer(reason), BrokerAnswer::Refused(_)), "{reason:?}");
        }
    }
}
