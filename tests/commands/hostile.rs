//! Whoever may write to the broker, or is another box: what comes that is not for this box, not now or not again is refused.

use examgate::{
    domain::{CommandId, CommandRefusal, DeviceId, Timestamp},
    mqtt::{
        Authorities, Connection, Greeting, Patience, Session, connector,
        packet::{Filter, Packet, PubAck, PubAckReason, Publish, PublishProperties, QoS, Subscribe},
    },
    rig::{
        certificates::{Authority, Validity},
        mosquitto::{Memory, Mosquitto},
        stage::DEVICE,
    },
    store::read_secret,
    wire::{
        command::{CommandAnswer, Reply, Statement},
        keys::{PublicKey, SigningKey},
        topic::DeviceTopic,
    },
};
use uuid::Uuid;

use super::{PATIENCE, Scene, now};

/// A client that publishes whatever it likes.
struct Client {
    connection: Connection,
    last: u16,
}

impl Client {
    async fn connect(authority: &Authority, broker: &Mosquitto, name: &str, topics: &[String]) -> Self {
        let issued = authority.client(name, Validity::Good);
        let authorities = Authorities::read(authority.certificate().as_bytes()).expect("an authority");
        let connector = connector(&authorities, issued.certificate.as_bytes(), issued.key.as_bytes()).expect("usable");
        let greeting = Greeting {
            client_id: name.into(),
            session: Session::Fresh,
            receive_maximum: None,
            will: None,
            patience: Patience::default(),
        };
        let opened = Connection::open("localhost", broker.port(), &connector, greeting).await;
        let (connection, _) = opened.expect("connected");
        let mut client = Self { connection, last: 1 };
        let filters = topics.iter().map(|topic| Filter::new(topic.as_str(), QoS::AtLeastOnce)).collect();
        let subscribe = Subscribe { pkid: 1, filters, properties: None };
        client.connection.queue(&Packet::Subscribe(subscribe)).expect("queued");
        client.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
        client
    }

    /// The first packet wanted. Messages are acknowledged.
    async fn until<T>(&mut self, mut wanted: impl FnMut(&Packet) -> Option<T>) -> T {
        let hears = async {
            loop {
                let packet = self.connection.next().await.expect("the broker stays");
                if let Packet::Publish(message) = &packet {
                    let ack = PubAck::new(message.pkid, None);
                    self.connection.queue(&Packet::PubAck(ack)).expect("queued");
                }
                if let Some(found) = wanted(&packet) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hears).await.expect("it comes in time")
    }

    /// Publishes, and says what the broker says.
    async fn publish(&mut self, topic: String, payload: Vec<u8>, correlation: &[u8]) -> PubAckReason {
        self.last += 1;
        let properties =
            PublishProperties { correlation_data: Some(correlation.to_vec().into()), ..PublishProperties::default() };
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, Some(properties));
        publish.pkid = self.last;
        self.connection.queue(&Packet::Publish(publish)).expect("queued");
        let place = self.last;
        let acknowledged = |packet: &Packet| {
            if let Packet::PubAck(ack) = packet { (ack.pkid == place).then_some(ack.reason) } else { None }
        };
        self.until(acknowledged).await
    }

    /// The next message on a topic of the box: its payload and its correlation data.
    async fn message(&mut self, topic: &str) -> (Vec<u8>, Vec<u8>) {
        let mut first = self.any_message().await;
        while first.0 != topic {
            first = self.any_message().await;
        }
        (first.1, first.2)
    }

    /// The next message: its topic, its payload and its correlation data.
    async fn any_message(&mut self) -> (String, Vec<u8>, Vec<u8>) {
        self.until(|packet| {
            let Packet::Publish(message) = packet else { return None };
            let correlation = message.properties.as_ref().and_then(|said| said.correlation_data.clone());
            let topic = String::from_utf8_lossy(&message.topic).into_owned();
            Some((topic, message.payload.to_vec(), correlation.unwrap_or_default().to_vec()))
        })
        .await
    }
}

fn device() -> DeviceId {
    DeviceId::new(DEVICE).expect("valid")
}

fn key(scene: &Scene, name: &str) -> SigningKey {
    SigningKey::from_seed(&read_secret(&scene.stage.folder().join(name)).expect("a key"))
}

fn statement(word: &str, from: i64, to: i64) -> Statement {
    let at = |seconds: i64| Timestamp::from_second(now().as_second() + seconds).expect("in range");
    Statement { device: device(), id: CommandId(Uuid::now_v7()), issued: at(from), expires: at(to), word: word.into() }
}

/// What the box answers to a command.
async fn answer(manager: &mut Client, box_key: &PublicKey, payload: Vec<u8>, correlation: &[u8]) -> CommandAnswer {
    let (command, answers) = (DeviceTopic::Command.of(&device()), DeviceTopic::Answer.of(&device()));
    assert_eq!(manager.publish(command, payload, correlation).await, PubAckReason::Success);
    let (payload, echoed) = manager.message(&answers).await;
    assert_eq!(echoed, correlation, "it is sent back");
    CommandAnswer::decode(&payload, &device(), box_key).expect("an answer of the box")
}

#[test]
fn what_is_replayed_late_early_forged_or_for_another_box_is_refused_and_nothing_happens() {
    let scene = Scene::set();
    let door = scene.open();
    let (command_key, box_key) = (key(&scene, "command.key"), key(&scene, "keys/device.key").public());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    scene.stage.strings.set_clock(now()).expect("a clock");
    scene.stage.settle().expect("the box follows");
    runtime.block_on(async {
        let answers = DeviceTopic::Answer.of(&device());
        let broker = scene.stage.broker.as_ref().expect("a real one");
        let mut manager = Client::connect(&scene.stage.authority, broker, "manager", &[answers]).await;
        let signed = |statement: &Statement| statement.encode(&command_key).expect("a command");
        let elsewhere = Statement { device: DeviceId::new("door-2").expect("valid"), ..statement("drain", 0, 60) };
        for (n, (statement, why)) in [
            (elsewhere, CommandRefusal::OtherDevice),
            (statement("drain", -300, -240), CommandRefusal::Expired),
            (statement("drain", 120, 180), CommandRefusal::FromTheFuture),
            (statement("drain", 0, 3600), CommandRefusal::ValidTooLong),
            (statement("dance", 0, 60), CommandRefusal::UnknownCommand),
        ]
        .into_iter()
        .enumerate()
        {
            let said = answer(&mut manager, &box_key, signed(&statement), &[u8::try_from(n).expect("few")]).await;
            assert_eq!((said.id, said.reply), (statement.id, Reply::Refused(why)));
        }
        // Nobody answers what nobody signed, what another key signed, and what is far too long: the next answer is to the next command.
        let command = DeviceTopic::Command.of(&device());
        let forged = statement("drain", 0, 60).encode(&SigningKey::from_seed(&[9; 32])).expect("a command");
        for payload in [forged, b"drain".to_vec(), vec![0; 30_000]] {
            assert_eq!(manager.publish(command.clone(), payload, b"forged").await, PubAckReason::Success);
        }
        let good = signed(&statement("identify", 0, 60));
        assert!(matches!(answer(&mut manager, &box_key, good.clone(), b"good").await.reply, Reply::Done(_)));
        let again = answer(&mut manager, &box_key, good, b"again").await;
        assert_eq!(again.reply, Reply::Refused(CommandRefusal::Replayed));
    });
    scene.until_shown(DEVICE);
    let commanded = scene.until_commanded(7);
    let outcomes: Vec<_> = commanded.iter().map(|(word, outcome, _)| format!("{word} {outcome}")).collect();
    assert_eq!(
        outcomes,
        [
            "drain refused (other_device)",
            "drain refused (expired)",
            "drain refused (from_the_future)",
            "drain refused (valid_too_long)",
            "dance refused (unknown_command)",
            "identify accepted",
            "identify refused (replayed)",
        ],
        "what nobody signed is no event"
    );
    drop(door);
}

#[test]
fn a_box_reads_no_command_of_another_and_writes_no_answer_for_it() {
    let authority = Authority::new();
    let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)
        .unwrap_or_else(|error| panic!("{error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let other = DeviceId::new("door-2").expect("valid");
        let mine = DeviceTopic::Command.of(&other);
        let theirs = DeviceTopic::Command.of(&device());
        let all = [mine.clone(), theirs.clone(), DeviceTopic::Command.of_all(), DeviceTopic::Answer.of_all()];
        let mut intruder = Client::connect(&authority, &broker, other.as_str(), &all).await;
        let topics = [DeviceTopic::Answer.of_all()];
        let mut manager = Client::connect(&authority, &broker, "manager", &topics).await;
        // The intruder's own answer, and then one for the other box.
        let (own, forged) = (DeviceTopic::Answer.of(&other), DeviceTopic::Answer.of(&device()));
        assert_eq!(intruder.publish(forged, b"forged".to_vec(), b"").await, PubAckReason::NotAuthorized);
        assert_eq!(intruder.publish(theirs.clone(), b"forged".to_vec(), b"").await, PubAckReason::NotAuthorized);
        assert_eq!(intruder.publish(mine.clone(), b"forged".to_vec(), b"").await, PubAckReason::NotAuthorized);
        assert_eq!(intruder.publish(own.clone(), b"mine".to_vec(), b"").await, PubAckReason::Success);
        let (topic, payload, _) = manager.any_message().await;
        assert_eq!((topic, payload), (own, b"mine".to_vec()), "nothing forged came before it");
        // A command for each: the intruder hears only of its own.
        manager.publish(theirs, b"theirs".to_vec(), b"").await;
        manager.publish(mine.clone(), b"mine".to_vec(), b"").await;
        let (topic, payload, _) = intruder.any_message().await;
        assert_eq!((topic, payload), (mine, b"mine".to_vec()));
        // A manager writes nothing but commands.
        for topic in [DeviceTopic::Desired, DeviceTopic::Answer, DeviceTopic::Receipt, DeviceTopic::State] {
            let said = manager.publish(topic.of(&device()), b"forged".to_vec(), b"").await;
            assert_eq!(said, PubAckReason::NotAuthorized, "{topic:?}");
        }
    });
}
