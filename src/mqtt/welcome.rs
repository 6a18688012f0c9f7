//! Checks the broker's limits and features in its CONNACK against what a box needs.

use rumqttc::v5::mqttbytes::v5::ConnAck;

use super::NEEDED_PACKET;

/// A broker's CONNACK (MQTT 5, section 3.2.2.3). What it leaves out has the standard's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// It kept the session of an earlier connection.
    pub session_present: bool,
    /// Most messages of QoS 1 that it takes unanswered; at least 1.
    pub receive_maximum: u16,
    /// The highest QoS that it takes.
    pub maximum_qos: u8,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// The largest packet that it takes, bytes; `None`: any.
    pub maximum_packet_size: Option<u32>,
    /// The keep-alive that it wants instead of ours, seconds; 0 means none.
    pub server_keep_alive: Option<u16>,
    /// The client id that it gave instead of ours.
    pub assigned_client_id: Option<String>,
}

impl Welcome {
    /// Reads a CONNACK that says yes.
    ///
    /// # Errors
    /// What in it is against the standard.
    pub(super) fn read(connack: ConnAck, clean_start: bool) -> Result<Self, &'static str> {
        let said = connack.properties;
        let said = said.as_ref();
        let welcome = Self {
            session_present: connack.session_present,
            receive_maximum: said.and_then(|said| said.receive_max).unwrap_or(u16::MAX),
            maximum_qos: said.and_then(|said| said.max_qos).unwrap_or(2),
            retain_available: said.and_then(|said| said.retain_available) != Some(0),
            maximum_packet_size: said.and_then(|said| said.max_packet_size),
            server_keep_alive: said.and_then(|said| said.server_keep_alive),
            assigned_client_id: said.and_then(|said| said.assigned_client_identifier.clone()),
        };
        if welcome.session_present && clean_start {
            return Err("it says that it kept a session which was to begin afresh");
        }
        if welcome.receive_maximum == 0 {
            return Err("its receive maximum is 0, which allows no message at all");
        }
        if welcome.maximum_packet_size == Some(0) {
            return Err("its maximum packet size is 0, which allows no packet at all");
        }
        Ok(welcome)
    }

    /// What this broker lacks for a box with the client id `device`, each with how to mend it in the broker.
    #[must_use]
    pub fn lacks(&self, device: &str) -> Vec<String> {
        let mut lacks = Vec::new();
        if !self.retain_available {
            lacks.push(
                "it keeps no retained messages, so nobody sees the state of a box (`retain_available true`)".into(),
            );
        }
        if self.maximum_qos == 0 {
            lacks.push("it takes no messages of QoS 1, so it never says that it has one (`max_qos 1` or 2)".into());
        }
        if let Some(most) = self.maximum_packet_size.filter(|&most| most < NEEDED_PACKET) {
            lacks.push(format!(
                "it takes packets of {most} bytes and an event may need {NEEDED_PACKET} (`max_packet_size 65536`, or leave it out)"
            ));
        }
        if let Some(given) = self.assigned_client_id.as_deref().filter(|&given| given != device) {
            lacks.push(format!(
                "it calls this client {given:?} instead of {device:?} (`use_username_as_clientid true`, and the \
                 certificate's common name is to be the device id)"
            ));
        }
        lacks
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::{ConnAckProperties, ConnectReturnCode};

    use super::*;

    fn said(change: impl FnOnce(&mut ConnAckProperties)) -> Result<Welcome, &'static str> {
        let mut properties = ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        change(&mut properties);
        let code = ConnectReturnCode::Success;
        Welcome::read(ConnAck { session_present: false, code, properties: Some(properties) }, true)
    }

    #[test]
    fn what_a_broker_lacks_is_said_with_how_to_mend_it() {
        let none =
            Welcome::read(ConnAck { session_present: false, code: ConnectReturnCode::Success, properties: None }, true);
        assert_eq!(none.map(|welcome| welcome.lacks("door-1")), Ok(Vec::new()));
        for (welcome, says) in [
            (said(|it| it.retain_available = Some(0)), "retain_available true"),
            (said(|it| it.max_qos = Some(0)), "max_qos 1"),
            (said(|it| it.max_packet_size = Some(1024)), "max_packet_size 65536"),
            (said(|it| it.max_packet_size = Some(NEEDED_PACKET - 1)), "max_packet_size 65536"),
            (said(|it| it.assigned_client_identifier = Some("door-2".into())), "use_username_as_clientid"),
        ] {
            let lacks = welcome.expect("lawful").lacks("door-1").join("; ");
            assert!(lacks.contains(says), "{lacks}");
        }
        let enough = said(|it| {
            (it.retain_available, it.max_qos, it.max_packet_size) = (Some(1), Some(1), Some(NEEDED_PACKET));
            (it.receive_max, it.assigned_client_identifier) = (Some(1), Some("door-1".into()));
        });
        assert_eq!(enough.map(|welcome| welcome.lacks("door-1")), Ok(Vec::new()));
    }

    #[test]
    fn what_no_broker_may_say_is_a_fault() {
        assert!(said(|it| it.receive_max = Some(0)).is_err());
        assert!(said(|it| it.max_packet_size = Some(0)).is_err());
        let kept = ConnAck { session_present: true, code: ConnectReturnCode::Success, properties: None };
        assert!(Welcome::read(kept.clone(), true).is_err());
        assert!(Welcome::read(kept, false).is_ok());
    }
}
