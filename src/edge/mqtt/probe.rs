//! Connects to the broker once, as the box would, to test its settings.
//!
//! The broker identifies a client by its certificate, so a second connection of the same box ends the first one. The full
//! probe may only run while the box does not, and then everything is asked: greeting, limits, subscription. While the box
//! runs only TLS is tried, which brokers do not count as a connection of the box. Nothing is published in either case, so
//! whether the ACL lets the box write shows only when it does. mosquitto says yes to every subscription and holds back what the
//! ACL forbids, so of reading, too, only a refusal means something.

use tokio::time::timeout;

use super::{
    LinkFault, Settings, UplinkError,
    polling::{GOODBYE, tls},
};
use crate::{
    mqtt::{
        Connection, Greeting, Session,
        packet::{Filter, Packet, QoS, Subscribe, SubscribeReasonCode},
        try_tls,
    },
    wire::topic::DeviceTopic,
};

/// How far the broker was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All that can be asked without publishing.
    Everything,
    /// Network and trust only: the box is running.
    Trust,
}

/// Connects with the certificates of `settings`, asks, and says goodbye.
///
/// # Errors
/// What is wrong with the certificates (outer), or with the network and the broker (inner).
pub fn probe(settings: &Settings, asked: Asked) -> Result<Result<(), LinkFault>, UplinkError> {
    let connector = tls(settings)?;
    let (host, port) = (settings.host.as_str(), settings.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return Ok(Err(LinkFault::Unreachable { broker: format!("{host}:{port}"), source })),
    };
    let answer = runtime.block_on(async {
        match asked {
            Asked::Trust => try_tls(host, port, &connector).await,
            Asked::Everything => everything(settings, &connector).await,
        }
    });
    // A resolver that hangs holds nobody up.
    runtime.shutdown_background();
    Ok(answer)
}

async fn everything(settings: &Settings, connector: &native_tls::TlsConnector) -> Result<(), LinkFault> {
    let Settings { host, port, device, .. } = settings;
    // Without a last will: a broker that keeps none of those would refuse the greeting and say nothing else of itself.
    let greeting = Greeting {
        client_id: device.as_str().into(),
        session: Session::Fresh,
        receive_maximum: None,
        will: None,
        patience: settings.patience,
    };
    let (mut connection, welcome) = Connection::open(host, *port, connector, greeting).await?;
    let lacks = welcome.lacks(device.as_str());
    let filter = Filter::new(DeviceTopic::Receipt.of(device), QoS::AtLeastOnce);
    connection.queue(&Packet::Subscribe(Subscribe { pkid: 1, filters: vec![filter], properties: None }))?;
    let subscribed = timeout(settings.patience.greeting, async {
        loop {
            if let Packet::SubAck(ack) = connection.next().await? {
                return Ok::<_, LinkFault>(matches!(ack.return_codes.as_slice(), [SubscribeReasonCode::Success(_)]));
            }
        }
    });
    let subscribed = match subscribed.await {
        Ok(subscribed) => subscribed,
        Err(_) => Err(connection.silent("it does not answer the subscription")),
    };
    connection.close(GOODBYE).await;
    if !lacks.is_empty() {
        return Err(LinkFault::Unfit { broker: format!("{host}:{port}"), lacks: lacks.join("; ") });
    }
    if subscribed? { Ok(()) } else { Err(LinkFault::SubscriptionRefused) }
}
