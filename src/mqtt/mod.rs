//! One connection to a broker, MQTT 5 over mutual TLS, for both sides of the fleet: the box and the collector.
//!
//! rumqttc's codec turns bytes into packets and back; everything around it is here, because its event loop believes a
//! broker (decision 0056). Whatever a broker sends or leaves out ends in a [`LinkFault`], never in a panic or a wait without
//! end. Payloads pass through unread. When a connection ends, nothing of it is kept, and the caller decides when to connect again.

mod connection;
mod dial;
mod fault;
mod trust;
mod welcome;

pub use connection::{Connection, Greeting, MAX_PACKET, NEEDED_PACKET, Patience, Session};
pub use dial::try_tls;
pub use fault::LinkFault;
pub use trust::{Authorities, AuthoritiesError, TrustError, common_name, connector};
pub use welcome::Welcome;

/// The packets of MQTT 5, as rumqttc's codec gives them.
pub mod packet {
    pub use rumqttc::v5::mqttbytes::{
        QoS,
        v5::{
            Filter, LastWill, Packet, PubAck, PubAckReason, Publish, PublishProperties, SubAck, Subscribe,
            SubscribeReasonCode, Unsubscribe,
        },
    };
}
