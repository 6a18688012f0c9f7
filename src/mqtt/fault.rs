//! Faults of a connection to the broker, with texts that say how to fix them.

use std::io;

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};

use super::NEEDED_PACKET;
use crate::{domain::WithSources, wire::refusal::TlsRefusal};

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkFault {
    /// Nobody answers.
    #[error("the broker at {broker} cannot be reached: does it run, and does the network let the port through?")]
    Unreachable {
        /// Host and port.
        broker: String,
        /// What the network said.
        source: io::Error,
    },
    /// The two ends do not trust each other.
    #[error("no trust between this machine and the broker at {broker}")]
    Tls {
        /// Host and port.
        broker: String,
        /// Why.
        #[source]
        refusal: TlsRefusal,
    },
    /// The peer does not speak TLS.
    #[error("the server at {broker} does not speak TLS: is that the broker's TLS port?")]
    NotTls {
        /// Host and port.
        broker: String,
    },
    /// It connected and said no.
    #[error("the broker at {broker} refused the connection: {reason}")]
    Refused {
        /// Host and port.
        broker: String,
        /// Why, and how to mend it.
        reason: &'static str,
    },
    /// It said yes, and cannot do what is needed.
    #[error("the broker at {broker} must be set up otherwise: {lacks}")]
    Unfit {
        /// Host and port.
        broker: String,
        /// What it lacks, and how to mend it.
        lacks: String,
    },
    /// The subscription was refused.
    #[error(
        "the broker does not let this client read what is for it: check its ACL, and that the certificate's common name is the device id"
    )]
    SubscriptionRefused,
    /// A message was refused.
    #[error("the broker at {broker} refuses what this box writes to {topic}: {why}")]
    WriteRefused {
        /// Host and port.
        broker: String,
        /// The topic.
        topic: String,
        /// Why, and how to mend it.
        why: &'static str,
    },
    /// It threw us out.
    #[error("the broker ended the connection: {reason}")]
    Dismissed {
        /// Why, and how to mend it.
        reason: &'static str,
    },
    /// The connection ended.
    #[error("the connection to the broker at {broker} broke")]
    Broken {
        /// Host and port.
        broker: String,
        /// How.
        source: io::Error,
    },
    /// It takes too long.
    #[error("the broker at {broker} is silent: {what}")]
    Silent {
        /// Host and port.
        broker: String,
        /// What was waited for.
        what: &'static str,
    },
    /// It sent what no broker may send.
    #[error("the broker at {broker} does not keep to MQTT 5: {what}. Is it a broker at all, and which?")]
    Surprise {
        /// Host and port.
        broker: String,
        /// What it did.
        what: String,
    },
    /// This end takes no more for now.
    #[error("the connection was ended by this machine: {why}")]
    Ended {
        /// Why.
        why: &'static str,
    },
}

impl LinkFault {
    /// What an error of a connection that stood before means. With TLS 1.3 a broker refuses a certificate only then.
    pub(super) fn broken(broker: &str, source: io::Error) -> Self {
        let broker = broker.to_owned();
        match TlsRefusal::read(&WithSources(&source).to_string()) {
            Some(refusal) => Self::Tls { broker, refusal },
            None => Self::Broken { broker, source },
        }
    }

    /// What a failed handshake means.
    pub(super) fn handshake(broker: &str, error: native_tls::Error) -> Self {
        let (broker, text) = (broker.to_owned(), WithSources(&error).to_string());
        if let Some(refusal) = TlsRefusal::read(&text) {
            return Self::Tls { broker, refusal };
        }
        // OpenSSL's words for bytes that are no TLS record, and for those of plain HTTP.
        if ["wrong version number", "http request", "packet length too long", "unsupported protocol"]
            .iter()
            .any(|sign| text.contains(sign))
        {
            return Self::NotTls { broker };
        }
        Self::Broken { broker, source: io::Error::other(error) }
    }

    pub(super) fn surprise(broker: &str, what: impl Into<String>) -> Self {
        Self::Surprise { broker: broker.into(), what: what.into() }
    }

    /// How much it says: of several addresses of one name the fault that says most is told.
    pub(super) const fn says(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => 0,
            Self::Broken { .. } | Self::NotTls { .. } => 1,
            Self::Tls { .. }
            | Self::Refused { .. }
            | Self::Unfit { .. }
            | Self::SubscriptionRefused
            | Self::WriteRefused { .. }
            | Self::Dismissed { .. }
            | Self::Surprise { .. }
            | Self::Ended { .. } => 2,
        }
    }
}

/// The reason codes of CONNACK (MQTT 5, section 3.2.2.2).
pub(super) fn connect_reason(code: ConnectReturnCode) -> &'static str {
    use ConnectReturnCode as Code;
    match code {
        Code::NotAuthorized | Code::BadUserNamePassword | Code::BadAuthenticationMethod => {
            "not authorised; does it take the user name from the certificate (`use_identity_as_username true`), and does \
             it know this certificate's common name?"
        }
        Code::BadClientId | Code::ClientIdentifierNotValid => "it does not accept the device id as client id",
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => "it does not speak MQTT 5",
        Code::Banned => "this client is banned there; lift the ban, or enrol the box again",
        Code::ServerUnavailable | Code::ServiceUnavailable | Code::ServerBusy | Code::ConnectionRateExceeded => {
            "it is too busy now"
        }
        Code::QuotaExceeded => "its quota is used up; raise `max_connections`, or see who else connects",
        Code::RetainNotSupported => {
            "it keeps no retained messages, and the state of a box is one: set `retain_available true`"
        }
        Code::QoSNotSupported => "it takes no messages of QoS 1, and the state of a box is one: set `max_qos 1` or 2",
        Code::PacketTooLarge => "even the greeting is too large for it; set `max_packet_size 65536`, or leave it out",
        Code::TopicNameInvalid => "it does not accept the topic of the box's state (examgate/v1/…/state)",
        Code::PayloadFormatInvalid => "it does not accept the box's state as the last will",
        Code::UseAnotherServer | Code::ServerMoved => {
            "it says that another broker is in use now; set the host to that one"
        }
        Code::MalformedPacket | Code::ProtocolError => "it does not understand this client; is it a broker for MQTT 5?",
        Code::Success | Code::UnspecifiedError | Code::ImplementationSpecificError => {
            "it gave no reason that can be mended here; see its log"
        }
    }
}

/// The reason codes of DISCONNECT (MQTT 5, section 3.14.2.1).
pub(super) fn disconnect_reason(code: DisconnectReasonCode) -> &'static str {
    use DisconnectReasonCode as Code;
    match code {
        Code::SessionTakenOver => {
            "somebody else connected with this client's identity; has its certificate been copied?"
        }
        Code::PacketTooLarge => "a message was too large for it; raise its limit to at least 64 KiB",
        Code::NotAuthorized => "not authorised; check its ACL, and that the certificate's common name is the device id",
        Code::ServerShuttingDown => "it is shutting down",
        Code::KeepAliveTimeout => "it heard nothing from this client in time",
        Code::ServerBusy | Code::ConnectionRateExceeded => "it is too busy now",
        Code::MessageRateTooHigh | Code::QuotaExceeded | Code::ReceiveMaximumExceeded => {
            "this client sends more than it allows; raise its limits"
        }
        Code::AdministrativeAction => "its operator ended it",
        Code::RetainNotSupported => "it keeps no retained messages: set `retain_available true`",
        Code::QoSNotSupported => "it takes no messages of QoS 1: set `max_qos 1` or 2",
        Code::UseAnotherServer | Code::ServerMoved => {
            "it says that another broker is in use now; set the host to that one"
        }
        Code::MaximumConnectTime => "it allows no longer connection",
        Code::NormalDisconnection
        | Code::DisconnectWithWillMessage
        | Code::UnspecifiedError
        | Code::MalformedPacket
        | Code::ProtocolError
        | Code::ImplementationSpecificError
        | Code::TopicFilterInvalid
        | Code::TopicNameInvalid
        | Code::TopicAliasInvalid
        | Code::PayloadFormatInvalid
        | Code::SharedSubscriptionNotSupported
        | Code::SubscriptionIdentifiersNotSupported
        | Code::WildcardSubscriptionsNotSupported => "see its log",
    }
}

/// A packet that no packet of ours exceeds is needed, and this broker takes only smaller ones.
pub(super) fn too_small(broker: &str) -> LinkFault {
    let lacks = format!("it takes no packets of {NEEDED_PACKET} bytes; set `max_packet_size 65536`, or leave it out");
    LinkFault::Unfit { broker: broker.into(), lacks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_tell_how_to_mend_them() {
        for (code, says) in [
            (ConnectReturnCode::NotAuthorized, "use_identity_as_username"),
            (ConnectReturnCode::RetainNotSupported, "retain_available true"),
            (ConnectReturnCode::QoSNotSupported, "max_qos 1"),
            (ConnectReturnCode::PacketTooLarge, "max_packet_size"),
            (ConnectReturnCode::QuotaExceeded, "max_connections"),
        ] {
            assert!(connect_reason(code).contains(says), "{code:?}");
        }
        assert!(disconnect_reason(DisconnectReasonCode::SessionTakenOver).contains("copied"));
    }

    #[test]
    fn the_refusal_of_a_certificate_is_read_out_of_a_broken_connection() {
        let alert = io::Error::other("SSL alert number 45: ssl/tls alert certificate expired");
        let fault = LinkFault::broken("broker:8883", alert);
        assert!(matches!(fault, LinkFault::Tls { refusal: TlsRefusal::OwnExpired, .. }), "{fault:?}");
        let reset = LinkFault::broken("broker:8883", io::ErrorKind::ConnectionReset.into());
        assert!(matches!(reset, LinkFault::Broken { .. }), "{reset:?}");
    }
}
