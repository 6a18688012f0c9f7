//! One connection, from the dial to its end: packets in and out, kept alive, held to the standard and to time.
//!
//! Reading, writing and waiting may be dropped at any point and taken up again, so an owner can `select!` over
//! [`Connection::next`] and whatever else it waits for.

use std::{io, time::Duration};

use bytes::BytesMut;
use rumqttc::{
    tokio_native_tls::TlsStream,
    v5::mqttbytes::{
        Error as CodecError, QoS,
        v5::{
            Connect, ConnectProperties, ConnectReturnCode, Disconnect, DisconnectReasonCode, LastWill, Packet, PingReq,
        },
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use super::{
    LinkFault, Welcome,
    dial::dial,
    fault::{connect_reason, disconnect_reason, too_small},
};
use crate::wire::envelope::MAX_ENVELOPE;

/// Largest packet accepted, bytes: the largest payload and room for its topic and properties.
pub const MAX_PACKET: u32 = MAX_ENVELOPE as u32 + 4 * 1024;

/// Largest packet that a broker must take, bytes: the largest payload, its topic and what is around them.
pub const NEEDED_PACKET: u32 = MAX_ENVELOPE as u32 + 1024;

/// The keep-alive that is asked for.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a broker is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to the greeting, and to the subscription.
    pub greeting: Duration,
    /// For anything at all. It is asked for a sign of life at least three times until then.
    pub silence: Duration,
    /// For the answer to a message. Brokers answer within milliseconds.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { greeting: Duration::from_secs(10), silence: Duration::from_secs(30), answer: Duration::from_secs(30) }
    }
}

/// How long is waited for what the other end said before it closed: it is there, or it never comes.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Most bytes that wait because the broker does not read, beyond which it never will.
const UNREAD: usize = 8 << 20;

/// Packets of fewer bytes together wait for those that follow from what can be read at once: about thirty acknowledgements. Each write
/// costs a system call and a TLS record on both sides.
const TOGETHER: usize = 128;

/// Most reads that they wait for, since a flood can always be read.
const READS_BEFORE: u32 = 32;

/// What the broker is to do with the session of an earlier connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Forget it; keep none.
    Fresh,
    /// Go on with it, and keep it for so long after the connection has ended.
    Kept(Duration),
}

/// As whom a client comes.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// Its client id.
    pub client_id: String,
    /// What becomes of its session.
    pub session: Session,
    /// Most messages of QoS 1 that it takes unanswered; `None`: any number.
    pub receive_maximum: Option<u16>,
    /// What the broker is to say when it is gone.
    pub will: Option<LastWill>,
    /// How long the broker is waited for.
    pub patience: Patience,
}

/// A connection that stands. Dropped, it is gone without a word, and the last will speaks.
pub struct Connection {
    broker: String,
    reading: ReadHalf<TlsStream<TcpStream>>,
    writing: WriteHalf<TlsStream<TcpStream>>,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// How often something was read since there is something to send.
    reads: u32,
    /// The largest packet that the broker takes.
    largest: Option<u32>,
    ping_after: Duration,
    patience: Patience,
    /// When the last whole packet came.
    heard: Instant,
    /// When the last packet was handed over.
    spoke: Instant,
}

impl Connection {
    /// Connects to `host` (a name, or an address without brackets) and greets.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn open(
        host: &str,
        port: u16,
        connector: &native_tls::TlsConnector,
        greeting: Greeting,
    ) -> Result<(Self, Welcome), LinkFault> {
        let broker = format!("{host}:{port}");
        let stream = dial(&broker, host, port, connector).await?;
        let (reading, writing) = tokio::io::split(stream);
        let now = Instant::now();
        let mut connection = Self {
            broker,
            reading,
            writing,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            reads: 0,
            largest: None,
            ping_after: KEEP_ALIVE * 2 / 3,
            patience: greeting.patience,
            heard: now,
            spoke: now,
        };
        let clean_start = greeting.session == Session::Fresh;
        let kept = match greeting.session {
            Session::Fresh => None,
            Session::Kept(time) => Some(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
        };
        let properties = ConnectProperties {
            session_expiry_interval: kept,
            receive_maximum: greeting.receive_maximum,
            max_packet_size: Some(MAX_PACKET),
            topic_alias_max: None,
            request_response_info: None,
            request_problem_info: None,
            user_properties: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        };
        let connect = Connect {
            keep_alive: u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX),
            client_id: greeting.client_id,
            clean_start,
            properties: Some(properties),
        };
        connection.queue(&Packet::Connect(connect, greeting.will, None))?;
        let answered = timeout(greeting.patience.greeting, connection.first(clean_start)).await;
        let welcome = answered.map_err(|_| connection.silent("it does not answer the greeting"))??;
        Ok((connection, welcome))
    }

    /// The CONNACK.
    async fn first(&mut self, clean_start: bool) -> Result<Welcome, LinkFault> {
        let packet = self.any().await?;
        let Packet::ConnAck(connack) = packet else {
            return match self.lawful(packet) {
                Ok(_) => Err(self.surprise("it sent something else before its CONNACK")),
                Err(fault) => Err(fault),
            };
        };
        if connack.code != ConnectReturnCode::Success {
            return Err(LinkFault::Refused { broker: self.broker.clone(), reason: connect_reason(connack.code) });
        }
        let welcome = Welcome::read(connack, clean_start).map_err(|what| self.surprise(what))?;
        self.largest = welcome.maximum_packet_size;
        // A broker that wants to hear more often is told more often; ours is the longest in any case.
        let asked = welcome.server_keep_alive.filter(|&seconds| seconds > 0);
        let asked = asked.map_or(KEEP_ALIVE, |seconds| Duration::from_secs(seconds.into()));
        self.ping_after = asked.min(KEEP_ALIVE) * 2 / 3;
        Ok(welcome)
    }

    /// The next packet that says something: PUBACK, SUBACK or PUBLISH (of QoS 0 or 1, with a topic). Keeps the connection
    /// alive and sends what was queued while it waits, so it must be called all the time. May be dropped and called again.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn next(&mut self) -> Result<Packet, LinkFault> {
        loop {
            let packet = self.any().await?;
            if !matches!(packet, Packet::PingResp(_)) {
                return self.lawful(packet);
            }
        }
    }

    /// Hands a packet over; it is sent by [`Self::next`].
    ///
    /// # Errors
    /// When it is too large for the broker, or the broker has read nothing for long.
    pub fn queue(&mut self, packet: &Packet) -> Result<(), LinkFault> {
        let refused = match packet.write(&mut self.outgoing, self.largest) {
            Ok(_) if self.outgoing.len() > UNREAD => self.silent("it reads nothing of what is sent"),
            Ok(_) => {
                self.spoke = Instant::now();
                return Ok(());
            }
            Err(CodecError::OutgoingPacketTooLarge { .. }) => too_small(&self.broker),
            Err(error) => LinkFault::Broken { broker: self.broker.clone(), source: io::Error::other(error) },
        };
        Err(refused)
    }

    /// Sends what is queued, then says goodbye. After `patience` the connection is dropped, and the last will speaks.
    pub async fn close(mut self, patience: Duration) {
        if self.queue(&Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).is_err() {
            return;
        }
        let leave = async {
            while !self.outgoing.is_empty() && matches!(self.writing.write_buf(&mut self.outgoing).await, Ok(1..)) {}
            // Whether the other end hears the end of TLS changes nothing any more.
            let _ = self.writing.shutdown().await;
        };
        let _ = timeout(patience, leave).await;
    }

    /// Any packet at all.
    async fn any(&mut self) -> Result<Packet, LinkFault> {
        loop {
            if let Some(packet) = self.decode()? {
                self.heard = Instant::now();
                return Ok(packet);
            }
            let (gone, mut ping) = (self.heard + self.patience.silence, self.spoke + self.ping_after);
            let now = Instant::now();
            if gone <= now {
                return Err(self.silent("it has sent nothing whole for too long"));
            }
            if ping <= now {
                self.queue(&Packet::PingReq(PingReq))?;
                ping = self.spoke + self.ping_after;
            }
            self.incoming.reserve(4096);
            if (1..TOGETHER).contains(&self.outgoing.len()) && self.reads < READS_BEFORE {
                let at_once = tokio::select! {
                    biased;
                    read = self.reading.read_buf(&mut self.incoming) => Some(read),
                    () = std::future::ready(()) => None,
                };
                if let Some(read) = at_once {
                    self.reads += 1;
                    self.moved(read)?;
                    continue;
                }
            }
            self.reads = 0;
            let moved = tokio::select! {
                read = self.reading.read_buf(&mut self.incoming) => read,
                sent = self.writing.write_buf(&mut self.outgoing), if !self.outgoing.is_empty() => match sent {
                    Err(error) => self.last_word(error).await,
                    Ok(_) => sent,
                },
                () = sleep_until(gone.min(ping)) => continue,
            };
            self.moved(moved)?;
        }
    }

    /// The other end takes nothing any more: what it said before it closed tells more than that. With TLS 1.3 a certificate may be refused while
    /// the greeting is on its way.
    async fn last_word(&mut self, error: io::Error) -> io::Result<usize> {
        match timeout(LAST_WORD, self.reading.read_buf(&mut self.incoming)).await {
            Ok(Ok(bytes @ 1..)) => Ok(bytes),
            Ok(Err(said)) => Err(said),
            Ok(Ok(0)) | Err(_) => Err(error),
        }
    }

    fn moved(&self, bytes: io::Result<usize>) -> Result<(), LinkFault> {
        match bytes {
            Ok(0) => Err(LinkFault::broken(&self.broker, io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(LinkFault::broken(&self.broker, error)),
        }
    }

    /// A packet, if a whole one has come.
    fn decode(&mut self) -> Result<Option<Packet>, LinkFault> {
        // A DISCONNECT may end after its reason (MQTT 5, section 3.14.2.2.1); the codec takes it for cut short.
        if let [0xE0, 1, reason, ..] = self.incoming[..] {
            let dismissed = |reason| LinkFault::Dismissed { reason: disconnect_reason(reason) };
            let unknown = || self.surprise("it ended the connection for a reason that is none");
            return Err(DisconnectReasonCode::try_from(reason).map_or_else(|_| unknown(), dismissed));
        }
        let before = self.incoming.len();
        match Packet::read(&mut self.incoming, Some(MAX_PACKET)) {
            Ok(packet) => Ok(Some(packet)),
            // The codec says the same of a packet that has come and is too short for what it should hold.
            Err(CodecError::InsufficientBytes(_)) if self.incoming.len() == before => Ok(None),
            Err(error) => Err(self.surprise(format!("it sent a packet that is none ({error})"))),
        }
    }

    /// What a broker may send to a client that is connected; the end, if it is that.
    fn lawful(&self, packet: Packet) -> Result<Packet, LinkFault> {
        match packet {
            Packet::PubAck(_) | Packet::SubAck(_) => Ok(packet),
            Packet::Publish(ref publish) => {
                let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
                if publish.qos == QoS::ExactlyOnce {
                    Err(self.surprise("it sent a message of QoS 2, which was never asked for"))
                } else if alias.is_some() || publish.topic.is_empty() {
                    Err(self.surprise("it sent a topic alias, which was never allowed"))
                } else {
                    Ok(packet)
                }
            }
            Packet::Disconnect(disconnect) => {
                Err(LinkFault::Dismissed { reason: disconnect_reason(disconnect.reason_code) })
            }
            Packet::ConnAck(_) => Err(self.surprise("it sent a second CONNACK")),
            Packet::PingResp(_) => Ok(packet),
            Packet::Auth(_)
            | Packet::Connect(..)
            | Packet::PingReq(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_) => Err(self.surprise("it sent a packet that it had no reason to send")),
        }
    }

    /// A fault of this connection: the broker did `what`.
    #[must_use]
    pub fn surprise(&self, what: impl Into<String>) -> LinkFault {
        LinkFault::surprise(&self.broker, what)
    }

    /// A fault of this connection: the broker let time pass.
    #[must_use]
    pub fn silent(&self, what: &'static str) -> LinkFault {
        LinkFault::Silent { broker: self.broker.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads all packets there are, as a connection does.
    fn read_all(bytes: &[u8]) {
        let mut stream = BytesMut::from(bytes);
        loop {
            let before = stream.len();
            match Packet::read(&mut stream, Some(MAX_PACKET)) {
                Ok(_) => {}
                Err(CodecError::InsufficientBytes(_)) if stream.len() == before => return,
                Err(_) => return,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The codec is somebody else's: no bytes of a broker may make it panic.
        #[test]
        fn any_packet_is_survived(
            head in any::<u8>(),
            body in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..44, Just(0u8), Just(0xFFu8)], 0..64),
        ) {
            let mut bytes = vec![head, u8::try_from(body.len()).expect("short")];
            bytes.extend(&body);
            read_all(&bytes);
            read_all(&body);
        }
    }
}
