//! The manager's connection to the broker: one question, one answer, goodbye.
//!
//! It believes an answer by its signature only; what the broker says of a box is a hint for the words.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use examgate::{
    domain::{CommandId, DeviceId},
    exit::Refusal,
    mqtt::{
        Authorities, Connection, Greeting, LinkFault, Patience, Session, common_name, connector,
        packet::{
            Filter, Packet, PubAck, PubAckReason, Publish, PublishProperties, QoS, Subscribe, SubscribeReasonCode,
        },
    },
    wire::{
        command::{AnswerError, CommandAnswer},
        host::Host,
        keys::PublicKey,
        state::{DeviceState, Status},
        topic::DeviceTopic,
    },
};
use examgate_fleet_core::broker::{BrokerArguments, NamedBroker};
use tokio::time::{Instant, sleep_until};

/// The packet ids.
const SUBSCRIPTION: u16 = 1;
/// See [`SUBSCRIPTION`].
const COMMAND: u16 = 2;

/// Longest wait for the goodbye to leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// Reads the certificates.
pub(super) fn line(arguments: &BrokerArguments) -> Result<Line> {
    let NamedBroker { host, port, authorities, certificate, key } = arguments.read()?;
    let authorities = Authorities::read(&authorities)
        .with_context(|| Refusal::Usage(format!("--ca {} cannot be used", arguments.ca.display())))?;
    let Some(name) = common_name(&certificate) else {
        let cert = arguments.cert.display();
        bail!(Refusal::Usage(format!("--cert {cert} names nobody: issue it with a common name")));
    };
    Ok(Line { host, port, connector: connector(&authorities, &certificate, &key)?, name })
}

/// Where to connect, and as whom.
pub(super) struct Line {
    host: Host,
    port: u16,
    connector: native_tls::TlsConnector,
    name: String,
}

/// What is asked.
pub(super) struct Asking<'a> {
    pub(super) device: &'a DeviceId,
    pub(super) id: CommandId,
    /// Signs the box's answers.
    pub(super) key: &'a PublicKey,
    /// The signed command.
    pub(super) payload: Vec<u8>,
    /// How long it counts.
    pub(super) valid: Duration,
    /// How long the answer is waited for.
    pub(super) wait: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Heard {
    /// The box's own answer.
    Answer(CommandAnswer),
    /// None.
    Nothing(Silence),
}

/// What is known of a box that did not answer.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// What it said of itself last, by the broker.
    state: Option<DeviceState>,
    /// The broker has nobody to give its commands to.
    nobody_listens: bool,
    /// Why an answer was not believed.
    disbelieved: Option<AnswerError>,
}

impl Silence {
    /// Why there is no answer after `wait` to a command signed by the secret half of `signer`, as far as it can be told, and what to do.
    pub(super) fn why(&self, wait: Duration, signer: &PublicKey) -> String {
        if let Some(error) = self.disbelieved {
            return format!("an answer came that is not believed: {error}");
        }
        match self.state.as_ref().map(|state| (state.status, &state.versions.software)) {
            None => "the broker knows no box of that name; is the name right, and was it ever connected?".into(),
            Some((Status::Lost, _)) => "it is offline: the broker lost it".into(),
            Some((Status::Stopped, _)) => "it is offline: it was shut down in order".into(),
            Some((Status::Online, software)) if self.nobody_listens => format!(
                "it is connected and takes no commands: its software ({software}) is older than commands, or its configuration names neither \
                 a `root` nor `command_keys`"
            ),
            Some((Status::Online, software)) => format!(
                "it is connected (software {software}) and said nothing for {} s: it does not know this command key ({signer}: is it in the box's \
                 trust document or `command_keys`?), is busy, or has just lost its line; its log says which",
                wait.as_secs()
            ),
        }
    }
}

impl Line {
    /// Sends the command and waits for the answer.
    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<Heard> {
        let greeting = Greeting {
            // The broker takes the client id from the certificate.
            client_id: self.name.clone(),
            session: Session::Fresh,
            receive_maximum: Some(16),
            will: None,
            patience: Patience::default(),
        };
        let (mut connection, _) = Connection::open(self.host.as_str(), self.port, &self.connector, greeting).await?;
        let heard = hear(&mut connection, asking).await;
        connection.close(GOODBYE).await;
        heard
    }
}

async fn hear(connection: &mut Connection, asking: &Asking<'_>) -> Result<Heard> {
    let topics = [DeviceTopic::Answer, DeviceTopic::State].map(|topic| topic.of(asking.device));
    let filters = topics.iter().map(|topic| Filter::new(topic.as_str(), QoS::AtLeastOnce)).collect();
    connection.queue(&Packet::Subscribe(Subscribe { pkid: SUBSCRIPTION, filters, properties: None }))?;
    let [answers, states] = topics;
    let mut silence = Silence::default();
    let mut until = Instant::now() + Patience::default().greeting;
    let mut given = false;
    loop {
        let packet = tokio::select! {
            packet = connection.next() => packet?,
            () = sleep_until(until), if given => return Ok(Heard::Nothing(silence)),
            () = sleep_until(until), if !given => {
                return Err(connection.silent("it does not answer the subscription").into());
            }
        };
        if let Packet::SubAck(ack) = packet {
            if !ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))) {
                return Err(LinkFault::SubscriptionRefused.into());
            }
            // Only who listens already hears the answer.
            connection.queue(&Packet::Publish(command(asking, &answers)))?;
            (given, until) = (true, Instant::now() + asking.wait);
        } else if let Packet::PubAck(ack) = packet {
            match ack.reason {
                PubAckReason::Success => {}
                PubAckReason::NoMatchingSubscribers => {
                    silence.nobody_listens = true;
                    return Ok(Heard::Nothing(silence));
                }
                PubAckReason::NotAuthorized => bail!(
                    "the broker does not let this certificate write commands: its ACL needs a block for its common name, as `user manager` has"
                ),
                reason @ (PubAckReason::UnspecifiedError
                | PubAckReason::ImplementationSpecificError
                | PubAckReason::TopicNameInvalid
                | PubAckReason::PacketIdentifierInUse
                | PubAckReason::QuotaExceeded
                | PubAckReason::PayloadFormatInvalid) => bail!("the broker does not take the command: {reason:?}"),
            }
        } else if let Packet::Publish(message) = packet {
            if message.qos == QoS::AtLeastOnce {
                connection.queue(&Packet::PubAck(PubAck::new(message.pkid, None)))?;
            }
            if message.topic == states.as_bytes() {
                silence.state = DeviceState::decode(&message.payload);
            } else if message.topic == answers.as_bytes() {
                match believed(&message, asking) {
                    Some(Ok(answer)) => return Ok(Heard::Answer(answer)),
                    Some(Err(error)) => silence.disbelieved = Some(error),
                    None => {}
                }
            }
        }
    }
}

fn command(asking: &Asking<'_>, answers: &str) -> Publish {
    let properties = PublishProperties {
        message_expiry_interval: u32::try_from(asking.valid.as_secs()).ok(),
        response_topic: Some(answers.to_owned()),
        correlation_data: Some(asking.id.0.as_bytes().to_vec().into()),
        ..PublishProperties::default()
    };
    let topic = DeviceTopic::Command.of(asking.device);
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, asking.payload.clone(), Some(properties));
    publish.pkid = COMMAND;
    publish
}

/// The answer in a message, if it is one to this question; somebody else may have asked the box, too.
fn believed(message: &Publish, asking: &Asking<'_>) -> Option<Result<CommandAnswer, AnswerError>> {
    let correlation = message.properties.as_ref().and_then(|said| said.correlation_data.as_deref());
    if correlation != Some(asking.id.0.as_bytes().as_slice()) {
        return None;
    }
    match CommandAnswer::decode(&message.payload, asking.device, asking.key) {
        Ok(answer) => (answer.id == asking.id).then_some(Ok(answer)),
        Err(error) => Some(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use examgate::wire::{keys::SigningKey, state::Versions};

    #[test]
    fn silence_is_told_by_what_the_broker_knows() {
        let state = |status| Some(DeviceState::new(status, uuid::Uuid::nil(), Versions::default()));
        let silent = |state, nobody_listens| Silence { state, nobody_listens, disbelieved: None };
        let forged = Silence { disbelieved: Some(AnswerError::NotSigned), ..Silence::default() };
        for (silence, says) in [
            (silent(None, true), "no box of that name"),
            (silent(state(Status::Lost), true), "offline: the broker lost it"),
            (silent(state(Status::Stopped), true), "shut down in order"),
            (silent(state(Status::Online), true), "takes no commands"),
            (silent(state(Status::Online), false), "said nothing for 10 s"),
            (forged, "not believed"),
        ] {
            let why = silence.why(Duration::from_secs(10), &SigningKey::from_seed(&[7; 32]).public());
            assert!(why.contains(says), "{why}");
        }
    }
}
