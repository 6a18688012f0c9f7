//! What goes wrong with the link, in words that tell how to mend it.

use std::{error::Error, sync::Arc};

use ::rumqttc::{
    TlsError,
    v5::{
        ConnectionError, StateError,
        mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode, PubAckReason},
    },
};

use super::BrokerAnswer;
use crate::wire::refusal::TlsRefusal;

/// Why no uplink can be prepared.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The authority's certificate is not PEM.
    #[error("the broker's authority (CA) is not a certificate in PEM")]
    Authority(#[source] native_tls::Error),
    /// The box's certificate and key are not a PEM pair.
    #[error("the box's certificate and key are not PEM (the key as PKCS#8, `BEGIN PRIVATE KEY`)")]
    Identity(#[source] native_tls::Error),
    /// OpenSSL would not take them.
    #[error("TLS cannot be set up with these certificates; do certificate and key belong together?")]
    Connector(#[source] native_tls::Error),
}

/// Why the link is down.
#[derive(Debug, thiserror::Error)]
pub enum LinkFault {
    /// Nobody answers.
    #[error("the broker at {broker} cannot be reached: does it run, and does the network let the port through?")]
    Unreachable {
        /// Host and port.
        broker: String,
        /// What the network said.
        #[source]
        source: Arc<ConnectionError>,
    },
    /// The two ends do not trust each other.
    #[error("no trust between this box and the broker at {broker}")]
    Tls {
        /// Host and port.
        broker: String,
        /// Why the handshake failed.
        #[source]
        refusal: TlsRefusal,
    },
    /// It connected and said no.
    #[error("the broker at {broker} refused the connection: {reason}")]
    Refused {
        /// Host and port.
        broker: String,
        /// Why, and how to mend it.
        reason: &'static str,
    },
    /// The receipt topic was refused.
    #[error(
        "the broker does not let this box read its receipts: check its ACL, and that the certificate's common name is the device id"
    )]
    SubscriptionRefused,
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
        /// The underlying error.
        #[source]
        source: Arc<ConnectionError>,
    },
}

/// The error and all its sources in one text, for the log; OpenSSL's reason may sit anywhere in it.
pub(super) fn whole_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

impl LinkFault {
    /// Says what `error` means. `up`: the connection stood before.
    pub(super) fn new(broker: &str, up: bool, error: ConnectionError) -> Self {
        let broker = broker.to_owned();
        if let Some(refusal) = TlsRefusal::read(&whole_text(&error)) {
            return Self::Tls { broker, refusal };
        }
        if let ConnectionError::ConnectionRefused(code) = error {
            return Self::Refused { broker, reason: connect_reason(code) };
        }
        if let ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) = &error {
            return Self::Dismissed { reason: disconnect_reason(*reason_code) };
        }
        let network = matches!(
            error,
            ConnectionError::Io(_) | ConnectionError::Timeout(_) | ConnectionError::Tls(TlsError::Io(_))
        );
        let source = Arc::new(error);
        if network && !up { Self::Unreachable { broker, source } } else { Self::Broken { broker, source } }
    }
}

fn connect_reason(code: ConnectReturnCode) -> &'static str {
    if matches!(code, ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword) {
        "not authorised; does it take the user name from the certificate (use_identity_as_username)?"
    } else if matches!(code, ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid) {
        "it does not accept the device id as client id"
    } else if matches!(code, ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::UnsupportedProtocolVersion)
    {
        "it does not speak MQTT 5"
    } else if matches!(code, ConnectReturnCode::Banned) {
        "this box is banned there"
    } else if matches!(
        code,
        ConnectReturnCode::ServerUnavailable
            | ConnectReturnCode::ServiceUnavailable
            | ConnectReturnCode::ServerBusy
            | ConnectReturnCode::QuotaExceeded
            | ConnectReturnCode::ConnectionRateExceeded
    ) {
        "it is too busy now"
    } else {
        "it gave no reason that can be mended here; see its log"
    }
}

fn disconnect_reason(code: DisconnectReasonCode) -> &'static str {
    if matches!(code, DisconnectReasonCode::SessionTakenOver) {
        "somebody else connected with this box's identity; has its certificate been copied?"
    } else if matches!(code, DisconnectReasonCode::PacketTooLarge) {
        "a message was too large for it; raise its limit to at least 64 KiB"
    } else if matches!(code, DisconnectReasonCode::NotAuthorized) {
        "not authorised; check its ACL, and that the certificate's common name is the device id"
    } else if matches!(code, DisconnectReasonCode::ServerShuttingDown) {
        "it is shutting down"
    } else if matches!(code, DisconnectReasonCode::KeepAliveTimeout) {
        "it heard nothing from this box in time"
    } else {
        "see its log"
    }
}

/// What a PUBACK says.
pub(super) fn answer(reason: PubAckReason) -> BrokerAnswer {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reasons_below_0x80_are_no_fault() {
        assert_eq!(answer(PubAckReason::Success), BrokerAnswer::Taken);
        assert_eq!(answer(PubAckReason::NoMatchingSubscribers), BrokerAnswer::NobodyListens);
        for reason in [PubAckReason::NotAuthorized, PubAckReason::QuotaExceeded, PubAckReason::UnspecifiedError] {
            assert!(matches!(answer(reason), BrokerAnswer::Refused(_)), "{reason:?}");
        }
    }

    #[test]
    fn faults_tell_how_to_mend_them() {
        let io = || ConnectionError::Io(std::io::ErrorKind::ConnectionRefused.into());
        let taken_over = ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            reason_string: None,
        });
        for (up, error, says) in [
            (false, io(), "does it run"),
            (true, io(), "broke"),
            (false, ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized), "use_identity_as_username"),
            (true, taken_over, "copied"),
        ] {
            let said = LinkFault::new("broker:8883", up, error).to_string();
            assert!(said.contains(says), "{said}");
        }
    }
}
