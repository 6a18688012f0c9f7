//! A plain client in the collector's place, which shows every event and state and signs any receipt.

use std::collections::VecDeque;

use examgate::{
    rig::certificates::{Issued, Validity},
    wire::{envelope::EventEnvelope, keys::SigningKey, receipt::Receipt, topic::DeviceTopic},
};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};

use crate::door::{RECEIPT_SEED, World, collector, device, device_key, soon};

/// The collector's receipt key.
pub(crate) fn receipt_key() -> SigningKey {
    SigningKey::from_seed(&RECEIPT_SEED)
}

/// A plain client with the collector's certificate.
pub(crate) struct Watcher {
    client: AsyncClient,
    polled: EventLoop,
    events: VecDeque<EventEnvelope>,
    states: VecDeque<Vec<u8>>,
}

impl Watcher {
    pub(crate) async fn connect(world: &World) -> Self {
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
                    DeviceTopic::Receipt
                    | DeviceTopic::Desired
                    | DeviceTopic::Reported
                    | DeviceTopic::Command
                    | DeviceTopic::Answer
                    | DeviceTopic::Telemetry => unreachable!("not subscribed"),
                }
            }
            return packet;
        }
    }

    pub(crate) async fn event(&mut self) -> EventEnvelope {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.turn().await;
        }
    }

    pub(crate) async fn state(&mut self) -> Vec<u8> {
        loop {
            if let Some(state) = self.states.pop_front() {
                return state;
            }
            self.turn().await;
        }
    }

    pub(crate) async fn receipt(&mut self, receipt: &Receipt) {
        self.publish(DeviceTopic::Receipt, receipt.encode(&receipt_key())).await;
    }

    /// Publishes and waits until the broker has it.
    pub(crate) async fn publish(&mut self, topic: DeviceTopic, payload: Vec<u8>) {
        self.client.try_publish(topic.of(&device()), QoS::AtLeastOnce, false, payload).expect("there is room");
        loop {
            if let Packet::PubAck(_) = self.turn().await {
                break;
            }
        }
    }
}
