//! How a role reaches the broker: its address and certificates, one subscription, and the pauses between attempts.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use examgate::{
    mqtt::{
        Authorities, Connection, Greeting, LinkFault, Patience, Session, Welcome, connector,
        packet::{Filter, Packet, QoS, SubAck, Subscribe, SubscribeReasonCode},
    },
    wire::host::Host,
};

/// The packet id of the subscription; messages have others.
pub(crate) const SUBSCRIPTION: u16 = u16::MAX;

/// Pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Which broker, and by which certificates.
#[derive(Debug, Args)]
pub(crate) struct BrokerArguments {
    /// Address of the broker's TLS listener. HOST must be in the broker's certificate; put an IPv6 address in brackets.
    #[arg(long, value_name = "HOST:PORT")]
    broker: String,
    /// CA certificates that the broker's certificate is checked against (PEM). The file may hold several.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Client certificate of this role (PEM). Its common name is `collector` or `keeper`.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Private key of the client certificate (PEM, PKCS#8).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl BrokerArguments {
    /// Reads the certificates, for the role called `role`.
    pub(crate) fn line(&self, role: &'static str) -> Result<Line> {
        let (host, port) = Host::parse_with_port(&self.broker)
            .with_context(|| format!("--broker {:?} is not HOST:PORT", self.broker))?;
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let authorities = Authorities::read(&read(&self.ca)?)
            .with_context(|| format!("--ca {} cannot be used", self.ca.display()))?;
        let connector = connector(&authorities, &read(&self.cert)?, &read(&self.key)?)?;
        Ok(Line { name: host.with_port(port), host, port, connector, role })
    }
}

/// Where to connect, and as whom.
pub(crate) struct Line {
    /// The broker, for the log.
    pub(crate) name: String,
    host: Host,
    port: u16,
    connector: native_tls::TlsConnector,
    role: &'static str,
}

impl Line {
    /// Connects and asks for `topics` in one subscription. At most `unacknowledged` messages may come without acknowledgement.
    pub(crate) async fn open(
        &self,
        session: Session,
        unacknowledged: u16,
        topics: Vec<String>,
    ) -> Result<(Connection, Welcome), LinkFault> {
        let greeting = Greeting {
            // The broker takes the client id from the certificate.
            client_id: self.role.into(),
            session,
            receive_maximum: Some(unacknowledged),
            will: None,
            patience: Patience::default(),
        };
        let (mut connection, welcome) =
            Connection::open(self.host.as_str(), self.port, &self.connector, greeting).await?;
        for lacks in welcome.lacks(self.role) {
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
