//! Connects to the broker once, as the box would, to test its settings.
//!
//! The broker identifies a client by its certificate, so a second connection of the same box ends the first one. The full
//! probe may only run while the box does not, and then everything is asked: greeting, limits, subscription, the right to write. While
//! the box runs only TLS is tried, which brokers do not count as a connection of the box. The right to write is asked with
//! an empty message on each topic: no event, report, answer or page is empty, and collector, keeper, managers and boxes pass over it. mosquitto says yes to every
//! subscription and holds back what the ACL forbids, so of reading only a refusal means something.

use tokio::time::timeout;

use super::{
    BrokerAnswer, LinkFault, Settings, UplinkError, answer,
    polling::{GOODBYE, tls},
};
use crate::{
    mqtt::{
        Connection, Greeting, Session,
        packet::{Filter, Packet, Publish, QoS, Subscribe, SubscribeReasonCode},
        try_tls,
    },
    wire::topic::{self, DeviceTopic},
};

/// The packet id of the subscription; questions have those behind it.
const SUBSCRIPTION: u16 = 1;

/// How far the broker was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All that the box will do there.
    Everything {
        /// Whether rosters come over this line.
        rosters: bool,
        /// Whether commands do.
        commands: bool,
    },
    /// Network and trust only: the box is running.
    Trust,
}

/// Who listens to what this box sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// The collector, to events. `None`: not asked.
    pub collector: Option<bool>,
    /// The keeper of rosters, to reports. `None`: not asked.
    pub keeper: Option<bool>,
}

/// Connects with the certificates of `settings`, asks, and says goodbye.
///
/// # Errors
/// What is wrong with the certificates (outer), or with the network and the broker (inner).
pub fn probe(settings: &Settings, asked: Asked) -> Result<Result<Listeners, LinkFault>, UplinkError> {
    let connector = tls(settings)?;
    let (host, port) = (settings.host.as_str(), settings.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return Ok(Err(LinkFault::Unreachable { broker: format!("{host}:{port}"), source })),
    };
    let answer = runtime.block_on(async {
        match asked {
            Asked::Trust => try_tls(host, port, &connector).await.map(|()| Listeners::default()),
            Asked::Everything { rosters, commands } => everything(settings, &connector, (rosters, commands)).await,
        }
    });
    // A resolver that hangs holds nobody up.
    runtime.shutdown_background();
    Ok(answer)
}

async fn everything(
    settings: &Settings,
    connector: &native_tls::TlsConnector,
    (rosters, commands): (bool, bool),
) -> Result<Listeners, LinkFault> {
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
    let broker = format!("{host}:{port}");
    if !lacks.is_empty() {
        connection.close(GOODBYE).await;
        return Err(LinkFault::Unfit { broker, lacks: lacks.join("; ") });
    }
    let mut read = vec![DeviceTopic::Receipt.of(device)];
    let (collector, keeper) = (DeviceTopic::Event.of(device), DeviceTopic::Reported.of(device));
    let mut write = vec![collector.clone()];
    if rosters {
        read.extend([DeviceTopic::Desired.of(device), topic::chunks_of(device)]);
        write.extend([keeper.clone(), topic::admitted_anywhere(device)]);
    }
    if commands {
        read.push(DeviceTopic::Command.of(device));
        write.push(DeviceTopic::Answer.of(device));
    }
    let filters = read.into_iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce)).collect();
    connection.queue(&Packet::Subscribe(Subscribe { pkid: SUBSCRIPTION, filters, properties: None }))?;
    let places: Vec<_> = (SUBSCRIPTION + 1..).zip(write).collect();
    for (place, topic) in &places {
        let mut question = Publish::new(topic.clone(), QoS::AtLeastOnce, Vec::new(), None);
        question.pkid = *place;
        connection.queue(&Packet::Publish(question))?;
    }
    let answers = timeout(settings.patience.greeting, heard(&mut connection, places.len())).await;
    let answers = answers.unwrap_or_else(|_| Err(connection.silent("it does not answer what the box asks and sends")));
    connection.close(GOODBYE).await;
    let mut listeners = Listeners::default();
    for (place, answer) in answers? {
        let Some((_, topic)) = places.iter().find(|(asked, _)| *asked == place) else { continue };
        let listens = match answer {
            BrokerAnswer::Taken => true,
            BrokerAnswer::NobodyListens => false,
            BrokerAnswer::Refused(why) => {
                return Err(LinkFault::WriteRefused { broker, topic: topic.clone(), why });
            }
        };
        if *topic == collector {
            listeners.collector = Some(listens);
        } else if *topic == keeper {
            listeners.keeper = Some(listens);
        }
    }
    Ok(listeners)
}

/// What the broker answers to as many messages, by packet id, and to the subscription.
async fn heard(connection: &mut Connection, messages: usize) -> Result<Vec<(u16, BrokerAnswer)>, LinkFault> {
    let (mut subscribed, mut answers) = (false, Vec::new());
    while !subscribed || answers.len() < messages {
        let packet = connection.next().await?;
        if let Packet::SubAck(ack) = packet {
            if !ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))) {
                return Err(LinkFault::SubscriptionRefused);
            }
            subscribed = true;
        } else if let Packet::PubAck(ack) = packet {
            answers.push((ack.pkid, answer(ack.reason)));
        }
    }
    Ok(answers)
}
