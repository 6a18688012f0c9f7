//! How a role reaches the broker: its address and certificates, one subscription, and the pauses between attempts.

use std::time::Duration;

use anyhow::{Context, Result};
use examgate::{
    mqtt::{
        Authorities, Connection, Greeting, LinkFault, Patience, Session, Welcome, common_name, connector,
        packet::{Filter, Packet, QoS, SubAck, Subscribe, SubscribeReasonCode},
    },
    wire::host::Host,
};
pub(crate) use examgate_fleet_core::broker::BrokerArguments;
use examgate_fleet_core::broker::NamedBroker;

/// The packet id of the subscription; messages have others.
pub(crate) const SUBSCRIPTION: u16 = u16::MAX;

/// Pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Where to connect, and as whom.
pub(crate) struct Line {
    /// The broker, for the log.
    pub(crate) name: String,
    host: Host,
    port: u16,
    connector: native_tls::TlsConnector,
    /// The certificate's common name, which is the client id at the fleet's brokers.
    client: String,
}

impl Line {
    /// Reads the certificates, for the role called `role`. Of several of one role each has a certificate with a name of its own.
    pub(crate) fn read(arguments: &BrokerArguments, role: &str) -> Result<Self> {
        let NamedBroker { host, port, authorities, certificate, key } = arguments.read()?;
        let authorities = Authorities::read(&authorities)
            .with_context(|| format!("--ca {} cannot be used", arguments.ca.display()))?;
        let connector = connector(&authorities, &certificate, &key)?;
        let client = common_name(&certificate).unwrap_or_else(|| role.into());
        Ok(Self { name: host.with_port(port), host, port, connector, client })
    }

    /// Connects and asks for `topics` in one subscription. At most `unacknowledged` messages may come without acknowledgement.
    pub(crate) async fn open(
        &self,
        session: Session,
        unacknowledged: u16,
        topics: Vec<String>,
    ) -> Result<(Connection, Welcome), LinkFault> {
        let greeting = Greeting {
            // The broker takes the client id from the certificate.
            client_id: self.client.clone(),
            session,
            receive_maximum: Some(unacknowledged),
            will: None,
            patience: Patience::default(),
        };
        let (mut connection, welcome) =
            Connection::open(self.host.as_str(), self.port, &self.connector, greeting).await?;
        for lacks in welcome.lacks(&self.client) {
            tracing::warn!(broker = self.name, lacks, "the broker must be set up otherwise");
        }
        let filters = topics.into_iter().map(|topic| Filter::new(topic, QoS::AtLeastOnce)).collect();
        connection.queue(&Packet::Subscribe(Subscribe { pkid: SUBSCRIPTION, filters, properties: None }))?;
        Ok((connection, welcome))
    }
}

/// Judges the answer to the subscription. `subscribed`: one was answered before.
pub(crate) fn subscription(connection: &Connection, ack: &SubAck, subscribed: bool) -> Result<(), LinkFault> {
    if ack.pkid != SUBSCRIPTION || subscribed {
        return Err(connection.surprise("it answered a subscription that was never sent"));
    }
    let is_granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
    let all = !ack.return_codes.is_empty() && ack.return_codes.iter().all(is_granted);
    if all { Ok(()) } else { Err(LinkFault::SubscriptionRefused) }
}

/// The pause after a connection that ended.
pub(crate) struct Pause(Duration);

impl Pause {
    /// None was tried yet.
    pub(crate) const fn new() -> Self {
        Self(PAUSES.0)
    }

    /// After a connection that was up for so long, if it ever was: one that outlasted the pause begins from the shortest again.
    pub(crate) fn after(&mut self, up: Option<Duration>) -> Duration {
        if up.is_some_and(|up| up > self.0) {
            self.0 = PAUSES.0;
        }
        let pause = self.0;
        self.0 = PAUSES.1.min(pause * 2);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_start_again_after_a_connection_that_held() {
        let mut pause = Pause::new();
        let seconds: Vec<_> = (0..8).map(|_| pause.after(None).as_secs_f64()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!(pause.after(Some(Duration::from_secs(29))), PAUSES.1, "it did not outlast the pause");
        assert_eq!(pause.after(Some(Duration::from_secs(31))), PAUSES.0);
    }
}
