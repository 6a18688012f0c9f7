//! The collector's connection: MQTT 5 over mutual TLS, subscribed to every box's events, acknowledging by hand.
//!
//! A message is acknowledged only after its commit, so the broker holds what a dying collector has not kept. Each
//! connection starts afresh; what a broker forgets the boxes send again. It never looks into a message.

use std::{error::Error, fs, path::Path, sync::mpsc, time::Duration};

use anyhow::{Context, Result};
use examgate::wire::{envelope::MAX_ENVELOPE, refusal::TlsRefusal, topic::DeviceTopic};
use rumqttc::{
    Transport,
    v5::{
        AsyncClient, ConnectionError, Event, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Packet, PubAckReason, Publish, SubscribeReasonCode},
        },
    },
};

/// Most messages the broker may send without acknowledgement; less than the queue holds.
const UNACKNOWLEDGED: u16 = 64;

/// A silent broker is noticed after at most twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// One message, and the connection to answer on.
pub(super) struct Message {
    publish: Publish,
    client: AsyncClient,
}

impl Message {
    /// Its topic; empty if that is not UTF-8.
    pub(super) fn topic(&self) -> &str {
        std::str::from_utf8(&self.publish.topic).unwrap_or_default()
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.publish.payload
    }

    /// Lets the broker forget it. If the connection is gone it comes again, which is harmless.
    pub(super) fn acknowledge(&self) {
        let _ = self.client.try_ack(&self.publish);
    }

    /// Sends a receipt. If it is lost the box sends again, and gets another.
    pub(super) fn reply(&self, topic: String, receipt: Vec<u8>) {
        if self.client.try_publish(topic, QoS::AtLeastOnce, false, receipt).is_err() {
            tracing::debug!("a receipt found no connection");
        }
    }
}

/// Where to connect.
pub(super) struct Broker {
    options: MqttOptions,
    name: String,
}

impl Broker {
    /// Reads the certificates.
    pub(super) fn new(broker: &str, ca: &Path, cert: &Path, key: &Path) -> Result<Self> {
        let (host, port) = broker
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)))
            .with_context(|| format!("{broker:?} is not HOST:PORT"))?;
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let ca = native_tls::Certificate::from_pem(&read(ca)?).context("the CA is not a certificate in PEM")?;
        let identity = native_tls::Identity::from_pkcs8(&read(cert)?, &read(key)?)
            .context("certificate and key are not PEM (the key as PKCS#8, `BEGIN PRIVATE KEY`)")?;
        let connector = native_tls::TlsConnector::builder()
            .disable_built_in_roots(true)
            .add_root_certificate(ca)
            .identity(identity)
            .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
            .build()
            .context("TLS cannot be set up; do certificate and key belong together?")?;
        // The broker takes the client id from the certificate.
        let mut options = MqttOptions::new("collector", host, port);
        options
            .set_transport(Transport::tls_with_config(connector.into()))
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(true)
            .set_manual_acks(true)
            .set_receive_maximum(Some(UNACKNOWLEDGED))
            .set_max_packet_size(Some(MAX_ENVELOPE as u32 + 4 * 1024));
        Ok(Self { options, name: broker.into() })
    }

    /// Passes messages on until the other end of `messages` is gone.
    pub(super) async fn run(self, messages: mpsc::SyncSender<Message>) {
        let mut pause = PAUSES.0;
        loop {
            let mut was_up = false;
            match self.connection(&messages, &mut was_up).await {
                Ok(()) => return,
                Err(fault) => tracing::warn!(broker = self.name, fault, "no connection to the broker"),
            }
            if was_up {
                pause = PAUSES.0;
            }
            tokio::time::sleep(pause).await;
            pause = PAUSES.1.min(pause * 2);
        }
    }

    /// One connection; `Ok` when nobody takes messages any more.
    async fn connection(&self, messages: &mpsc::SyncSender<Message>, was_up: &mut bool) -> Result<(), String> {
        let (client, mut polled) = AsyncClient::new(self.options.clone(), 4 * usize::from(UNACKNOWLEDGED));
        loop {
            let Event::Incoming(packet) = polled.poll().await.map_err(|error| say(&error))? else { continue };
            if let Packet::ConnAck(_) = packet {
                client
                    .try_subscribe(DeviceTopic::Event.of_all(), QoS::AtLeastOnce)
                    .expect("a new client's channel has room");
            } else if let Packet::SubAck(ack) = packet {
                if !matches!(ack.return_codes.as_slice(), [SubscribeReasonCode::Success(_)]) {
                    return Err("the broker does not let this client read events: check its ACL".into());
                }
                *was_up = true;
                tracing::info!(broker = self.name, "collecting");
            } else if let Packet::PubAck(ack) = packet {
                if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                    tracing::error!(reason = ?ack.reason, "the broker refused a receipt: check its ACL");
                }
            } else if let Packet::Publish(publish) = packet {
                match messages.try_send(Message { publish, client: client.clone() }) {
                    Ok(()) => {}
                    // Only QoS 0 can outrun the queue, and no box sends that.
                    Err(mpsc::TrySendError::Full(_)) => tracing::warn!("a message was dropped: the ledger is slow"),
                    Err(mpsc::TrySendError::Disconnected(_)) => return Ok(()),
                }
            }
        }
    }
}

/// The error in words; OpenSSL's reason may sit anywhere in its chain.
fn say(error: &ConnectionError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    TlsRefusal::read(&text).map_or(text, |refusal| refusal.to_string())
}
