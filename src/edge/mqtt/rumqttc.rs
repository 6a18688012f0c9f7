//! The polling loop on rumqttc's MQTT 5 client.
//!
//! Every connection gets a new client: rumqttc keeps packet ids, unanswered packets and a collision over a reconnect,
//! and all of them are wrong then. It never queues: what is not answered when a connection ends is forgotten here.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::rumqttc::{
    NetworkOptions, Outgoing, TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{LastWill, Packet, SubscribeReasonCode},
        },
    },
};
use tokio::sync::{mpsc, watch};

use super::{
    Acked, Line, Link, Settings, Tls, UplinkError, WINDOW,
    fault::{LinkFault, answer, whole_text},
};
use crate::{
    domain::{MonoTime, Seq},
    edge::clock::Clock,
    wire::{envelope::MAX_ENVELOPE, state::Status, topic::DeviceTopic},
};

/// A silent broker is noticed after at most twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Longest wait for a connection to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Largest packet accepted, bytes: the largest payload and room for its topic and properties.
const MAX_PACKET: u32 = MAX_ENVELOPE as u32 + 4 * 1024;

/// Longest wait for the goodbye to leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// Polls the connection and reconnects. Its own task; see [`super::uplink`].
pub struct UplinkLoop {
    settings: Settings,
    options: MqttOptions,
    clock: Arc<dyn Clock>,
    link: watch::Sender<Link>,
    acks: mpsc::Sender<Acked>,
    receipts: mpsc::Sender<Vec<u8>>,
}

/// How one connection ended.
enum Ended {
    Stopped,
    Fault(LinkFault),
}

pub(super) fn connector(tls: &Tls) -> Result<native_tls::TlsConnector, UplinkError> {
    native_tls::TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(native_tls::Certificate::from_pem(&tls.authority).map_err(UplinkError::Authority)?)
        .identity(native_tls::Identity::from_pkcs8(&tls.certificate, &tls.key).map_err(UplinkError::Identity)?)
        .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
        .build()
        .map_err(UplinkError::Connector)
}

impl UplinkLoop {
    pub(super) fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        link: watch::Sender<Link>,
        acks: mpsc::Sender<Acked>,
        receipts: mpsc::Sender<Vec<u8>>,
    ) -> Result<Self, UplinkError> {
        let mut options = MqttOptions::new(settings.device.as_str(), settings.host.clone(), settings.port);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let lost = settings.state.with_status(Status::Lost).encode();
        options
            .set_transport(Transport::Tls(TlsConfiguration::NativeConnector(connector(&settings.tls)?)))
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT.as_secs())
            .set_clean_start(true)
            .set_max_packet_size(Some(MAX_PACKET))
            .set_outgoing_inflight_upper_limit(u16::try_from(WINDOW).expect("a window is small") + 2)
            .set_last_will(LastWill::new(DeviceTopic::State.of(&settings.device), lost, QoS::AtLeastOnce, true, None));
        options.set_network_options(network);
        Ok(Self { settings, options, clock, link, acks, receipts })
    }

    /// Keeps the link up until `stop`, then says goodbye.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut pause = PAUSES.0;
        let mut after = None;
        let mut down_since = None;
        for connection in 1.. {
            self.link.send_replace(Link::Connecting { after: after.take() });
            let mut was_up = false;
            let fault = match self.connection(connection, &mut was_up, stop.as_mut()).await {
                Ended::Stopped => break,
                Ended::Fault(fault) => Arc::new(fault),
            };
            if was_up {
                (pause, down_since) = (PAUSES.0, None);
            }
            let since: MonoTime = *down_since.get_or_insert_with(|| self.clock.mono());
            self.link.send_replace(Link::Down { cause: Arc::clone(&fault), since });
            tracing::warn!(fault = whole_text(&*fault), retry_in = ?pause, "uplink down");
            tokio::select! {
                () = stop.as_mut() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = PAUSES.1.min(pause * 2);
            after = Some(fault);
        }
        self.link.send_replace(Link::Closed);
    }

    /// One connection, from the first packet to its end.
    async fn connection(
        &self,
        connection: u64,
        was_up: &mut bool,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        // Room for a full window and the few messages around it: handing over never waits.
        let (client, mut polled) = AsyncClient::new(self.options.clone(), WINDOW as usize + 8);
        let line = Line {
            connection,
            client,
            topic: DeviceTopic::Event.of(&self.settings.device).into(),
            handed: Arc::new(Mutex::new(VecDeque::new())),
        };
        let broker = format!("{}:{}", self.settings.host, self.settings.port);
        let mut unanswered: HashMap<u16, Option<Seq>> = HashMap::new();
        loop {
            let event = tokio::select! {
                event = polled.poll() => event,
                () = stop.as_mut() => {
                    if *was_up {
                        self.goodbye(&line, &mut polled).await;
                    }
                    return Ended::Stopped;
                }
            };
            match event {
                Err(error) => return Ended::Fault(LinkFault::new(&broker, *was_up, error)),
                Ok(Event::Outgoing(Outgoing::Publish(id))) => {
                    let sent = line.handed.lock().expect("nobody panics while holding it").pop_front();
                    unanswered.insert(id, sent.flatten());
                }
                Ok(Event::Outgoing(_)) => {}
                Ok(Event::Incoming(packet)) => {
                    if let Some(fault) = self.incoming(packet, &line, &mut unanswered, was_up) {
                        return Ended::Fault(fault);
                    }
                }
            }
        }
    }

    fn incoming(
        &self,
        packet: Packet,
        line: &Line,
        unanswered: &mut HashMap<u16, Option<Seq>>,
        was_up: &mut bool,
    ) -> Option<LinkFault> {
        if let Packet::ConnAck(_) = packet {
            // Receipts are listened to before anything is sent that could be receipted.
            let receipts = DeviceTopic::Receipt.of(&self.settings.device);
            line.client.try_subscribe(receipts, QoS::AtLeastOnce).expect("a new client's channel has room");
        } else if let Packet::SubAck(ack) = packet {
            if !matches!(ack.return_codes.as_slice(), [SubscribeReasonCode::Success(_)]) {
                return Some(LinkFault::SubscriptionRefused);
            }
            let online = self.settings.state.with_status(Status::Online).encode();
            let topic = DeviceTopic::State.of(&self.settings.device);
            line.publish(&topic, None, true, online).expect("a new client's channel has room");
            *was_up = true;
            self.link.send_replace(Link::Up(line.clone()));
            tracing::info!("uplink up");
        } else if let Packet::PubAck(ack) = packet {
            match unanswered.remove(&ack.pkid).flatten() {
                Some(seq) => {
                    let acked = Acked { connection: line.connection, seq, answer: answer(ack.reason) };
                    // Full only if nobody reads answers, and then nobody sends either.
                    let _ = self.acks.try_send(acked);
                }
                None => {
                    if let super::BrokerAnswer::Refused(why) = answer(ack.reason) {
                        tracing::error!(why, "the broker refused this box's state");
                    }
                }
            }
        } else if let Packet::Publish(message) = packet {
            let receipt = DeviceTopic::Receipt.of(&self.settings.device);
            if message.topic.as_ref() == receipt.as_bytes() && self.receipts.try_send(message.payload.to_vec()).is_err()
            {
                tracing::debug!("a receipt was dropped: they come faster than they are read");
            }
        }
        None
    }

    /// Replaces the retained state (a client that disconnects in order has no last will), then disconnects.
    async fn goodbye(&self, line: &Line, polled: &mut EventLoop) {
        let stopped = self.settings.state.with_status(Status::Stopped).encode();
        let topic = DeviceTopic::State.of(&self.settings.device);
        if line.publish(&topic, None, true, stopped).is_err() || line.client.try_disconnect().is_err() {
            return;
        }
        let gone = async {
            while let Ok(event) = polled.poll().await {
                if event == Event::Outgoing(Outgoing::Disconnect) {
                    break;
                }
            }
        };
        // Without an answer in time the last will speaks instead.
        let _ = tokio::time::timeout(GOODBYE, gone).await;
    }
}
