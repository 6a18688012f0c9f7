//! The uplink to the broker: MQTT 5 over mutual TLS.
//!
//! One task polls the connection and does nothing else. A [`Line`] exists only while the link is up, so nothing can be
//! sent into the void; each connection starts afresh (clean start, no session at the broker), because whatever matters
//! is sent again from the outbox. A broker's acknowledgement is never a delivery.
//!
//! There is no fake: tests run the real mosquitto.

mod arrival;
mod followed;
mod polling;
mod probe;
mod unanswered;
mod ways;

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

pub use self::{
    arrival::Arrived,
    polling::UplinkLoop,
    probe::{Asked, Listeners, probe},
};
pub use crate::mqtt::{LinkFault, Patience, TrustError as UplinkError};
use crate::{
    domain::{DeviceId, MonoTime, Seq},
    edge::clock::Clock,
    mqtt::packet::{PubAckReason, PublishProperties},
    wire::{state::DeviceState, topic::DeviceTopic},
};

/// Most events sent and not yet acknowledged by the broker. Brokers commonly allow 20 or more; fewer are honoured.
pub const WINDOW: u32 = 32;

/// The two ends' certificates, PEM.
#[derive(Clone)]
pub struct Tls {
    /// The authorities that may have issued the broker's certificate. No other is trusted.
    pub authority: Vec<u8>,
    /// This box's certificate; its common name is the device id.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS#8.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(redacted)")
    }
}

/// Where and as whom to connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker's host name or address (IPv6 without brackets), as its certificate names it.
    pub host: String,
    /// Its TLS port.
    pub port: u16,
    /// This box.
    pub device: DeviceId,
    /// Certificates.
    pub tls: Tls,
    /// What is retained as this box's state while connected; with another status it is also the last will and goodbye.
    pub state: DeviceState,
    /// How long the broker is waited for.
    pub patience: Patience,
}

/// How the link stands.
#[derive(Clone, Debug)]
pub enum Link {
    /// A connection is being made; after a fault, if there was one.
    Connecting {
        /// What ended the attempt or connection before.
        after: Option<Arc<LinkFault>>,
    },
    /// Connected, subscribed, ready to send.
    Up(Line),
    /// Not connected; tried again after a pause.
    Down {
        /// The fault that ended the link.
        cause: Arc<LinkFault>,
        /// Since when there has been no link.
        since: MonoTime,
    },
    /// Shut down in order.
    Closed,
}

/// What the broker said to one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerAnswer {
    /// It has it. Not a delivery.
    Taken,
    /// It has nobody to give it to, and threw it away (reason 0x10).
    NobodyListens,
    /// It refused it (reason 0x80 and above); in words.
    Refused(&'static str),
}

/// What a PUBACK says.
fn answer(reason: PubAckReason) -> BrokerAnswer {
    match reason {
        PubAckReason::Success => BrokerAnswer::Taken,
        PubAckReason::NoMatchingSubscribers => BrokerAnswer::NobodyListens,
        PubAckReason::NotAuthorized => BrokerAnswer::Refused(
            "not authorised: check the broker's ACL, and that the certificate's common name is the device id",
        ),
        PubAckReason::QuotaExceeded => BrokerAnswer::Refused("the broker's quota is used up"),
        PubAckReason::TopicNameInvalid => BrokerAnswer::Refused("the broker does not accept the topic"),
        PubAckReason::PayloadFormatInvalid => BrokerAnswer::Refused("the broker does not accept the payload"),
        PubAckReason::PacketIdentifierInUse => BrokerAnswer::Refused("the broker lost count of the packets"),
        PubAckReason::UnspecifiedError | PubAckReason::ImplementationSpecificError => {
            BrokerAnswer::Refused("the broker gave no reason; see its log")
        }
    }
}

/// The broker's answer to one event sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// On which connection it was sent.
    pub connection: u64,
    /// The event sent.
    pub seq: Seq,
    /// What the broker said.
    pub answer: BrokerAnswer,
}

/// The connection has ended: wait for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this connection to the broker has ended")]
pub struct LineGone;

/// A standing connection. Outlived, it sends nothing.
#[derive(Clone)]
pub struct Line {
    connection: u64,
    hand: mpsc::Sender<Handed>,
    topic: Arc<str>,
}

/// A message on its way to the connection.
struct Handed {
    topic: Arc<str>,
    /// The event in it; `None`: something else.
    seq: Option<Seq>,
    retain: bool,
    properties: Option<PublishProperties>,
    payload: Vec<u8>,
}

impl Handed {
    fn retained(topic: String, payload: Vec<u8>) -> Self {
        Self { topic: topic.into(), seq: None, retain: true, properties: None, payload }
    }
}

impl Line {
    /// Which connection this is; another number after every reconnect.
    #[must_use]
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// Messages that were handed over and are not on their way yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.hand.max_capacity() - self.hand.capacity()
    }

    /// Hands one event's envelope to the connection, without waiting. Its [`Acked`] follows unless the connection ends.
    /// At most [`WINDOW`] may be unanswered at a time.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn try_send(&self, seq: Seq, envelope: Vec<u8>) -> Result<(), LineGone> {
        let topic = Arc::clone(&self.topic);
        let event = Handed { topic, seq: Some(seq), retain: false, properties: None, payload: envelope };
        self.hand.try_send(event).map_err(|_| LineGone)
    }

    /// Hands over what is to be retained on a `topic` of this box, without waiting. Nobody tells whether the broker took it.
    ///
    /// # Errors
    /// When the connection has ended, or takes nothing for now.
    pub fn try_retain(&self, topic: String, payload: Vec<u8>) -> Result<(), LineGone> {
        self.hand.try_send(Handed::retained(topic, payload)).map_err(|_| LineGone)
    }

    /// Hands over what is to be retained for so long on a topic that this box may write to, without waiting, and only while the places of
    /// events stay free. Nobody tells whether the broker took it.
    ///
    /// # Errors
    /// When the connection has ended, or takes nothing for now.
    pub fn try_retain_for(&self, topic: String, payload: Vec<u8>, lasts: Duration) -> Result<(), LineGone> {
        if self.hand.capacity() <= WINDOW as usize {
            return Err(LineGone);
        }
        let properties = PublishProperties {
            message_expiry_interval: u32::try_from(lasts.as_secs()).ok(),
            ..PublishProperties::default()
        };
        let said = Handed { properties: Some(properties), ..Handed::retained(topic, payload) };
        self.hand.try_send(said).map_err(|_| LineGone)
    }

    /// Hands over an answer for a `topic` of this box, without waiting: not retained, and kept for a reader for so long only.
    /// `correlation` is what the question named. Nobody tells whether the broker took it.
    ///
    /// # Errors
    /// When the connection has ended, or takes nothing for now.
    pub fn try_answer(
        &self,
        topic: String,
        payload: Vec<u8>,
        correlation: Option<Vec<u8>>,
        lasts: Duration,
    ) -> Result<(), LineGone> {
        let properties = PublishProperties {
            message_expiry_interval: u32::try_from(lasts.as_secs()).ok(),
            correlation_data: correlation.map(Into::into),
            ..PublishProperties::default()
        };
        let said = Handed { topic: topic.into(), seq: None, retain: false, properties: Some(properties), payload };
        self.hand.try_send(said).map_err(|_| LineGone)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.connection)
    }
}

/// The near end of the uplink.
pub struct Uplink {
    /// How the link stands; holds the [`Line`] to send on.
    pub link: watch::Receiver<Link>,
    /// The broker's answers.
    pub acks: mpsc::Receiver<Acked>,
    /// What came on the receipt topic, unverified. Overflow is dropped: receipts are repeated.
    pub receipts: mpsc::Receiver<Arrived>,
}

/// The certificate (PEM) of the connection that is up, or was last; `None`: there was none.
pub type InUse = Option<Arc<[u8]>>;

/// The near end for another certificate of this box.
pub struct Renewing {
    /// Certificates and keys to connect with from now on: at once, and as the first choice.
    pub to: mpsc::Sender<Tls>,
    /// The certificate (PEM) of the connection that is up, or was last.
    pub used: watch::Receiver<InUse>,
}

/// Prepares the uplink; nothing is connected until the loop runs.
///
/// # Errors
/// When a certificate or key cannot be used.
pub fn uplink(settings: Settings, clock: Arc<dyn Clock>) -> Result<(Uplink, UplinkLoop), UplinkError> {
    let (link_tx, link) = watch::channel(Link::Connecting { after: None });
    // Never more answers under way than events in the window, twice because two connections may follow closely.
    let (acks_tx, acks) = mpsc::channel(2 * WINDOW as usize);
    let filter = DeviceTopic::Receipt.of(&settings.device);
    let mut polling = UplinkLoop::new(settings, clock, link_tx, acks_tx)?;
    let receipts = polling.subscribe(vec![filter], 64);
    Ok((Uplink { link, acks, receipts }, polling))
}
