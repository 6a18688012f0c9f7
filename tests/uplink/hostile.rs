//! Brokers that do what no broker may: whatever they send, the box says what is wrong, comes again and never panics.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use examgate::{
    edge::mqtt::{Link, LinkFault, Patience},
    rig::certificates::{Authority, Validity},
};
use tokio::sync::mpsc;

use crate::door::{Door, soon};

/// One TLS connection, after whatever it sent first.
type Stream = native_tls::TlsStream<std::net::TcpStream>;

/// CONNACK: yes, no session, no properties.
const WELCOME: [u8; 5] = [0x20, 3, 0, 0, 0];

/// SUBACK for the box's subscription, QoS 1.
const SUBSCRIBED: [u8; 6] = [0x90, 4, 0xFF, 0xFF, 0, 1];

/// A broker that plays `play` to everybody who connects.
struct Hostile {
    authority: Authority,
    port: u16,
    connections: Arc<AtomicUsize>,
    /// Told when a play is at its end; the connection is held open then.
    played: mpsc::UnboundedReceiver<()>,
}

impl Hostile {
    fn start(play: impl Fn(&mut Stream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let issued = authority.broker(Validity::Good);
        let identity = native_tls::Identity::from_pkcs8(issued.certificate.as_bytes(), issued.key.as_bytes());
        let acceptor = native_tls::TlsAcceptor::new(identity.expect("PEM")).expect("usable");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (tell, played) = mpsc::unbounded_channel();
        let counted = Arc::clone(&connections);
        // Ends with the test's process.
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let Ok(mut stream) = acceptor.accept(stream) else { continue };
                let mut connect = [0; 4096];
                if stream.read(&mut connect).is_ok() {
                    // The box may be gone before the end.
                    let _ = play(&mut stream);
                }
                open.push(stream);
                let _ = tell.send(());
            }
        });
        Self { authority, port, connections, played }
    }

    /// A box with something to send that knows nothing else.
    fn door(&self, patience: Patience, events: u64) -> Door {
        let certificate = self.authority.client("door-1", Validity::Good);
        Door::connecting(self.port, self.authority.certificate(), &certificate, events, patience)
    }
}

async fn fault(door: &mut Door) -> Arc<LinkFault> {
    let down = soon("the link is down", door.link.wait_for(|link| matches!(link, Link::Down { .. }))).await;
    match &*down.expect("the loop runs") {
        Link::Down { cause, .. } => Arc::clone(cause),
        Link::Connecting { .. } | Link::Up(_) | Link::Closed => unreachable!("waited for it"),
    }
}

/// Plays `bytes` after the greeting was answered with `welcome`; the box must say `says`, and come again.
async fn survives(welcome: Vec<u8>, subscribed: bool, bytes: Vec<u8>, says: &str) {
    let script = bytes.clone();
    let hostile = Hostile::start(move |stream| {
        stream.write_all(&welcome)?;
        if subscribed {
            let mut subscribe = [0; 4096];
            let _ = stream.read(&mut subscribe)?;
            stream.write_all(&SUBSCRIBED)?;
        }
        stream.write_all(&script)
    });
    let mut door = hostile.door(Patience::default(), 40);
    let fault = fault(&mut door).await;
    let said = format!("{fault}: {fault:?}");
    assert!(said.contains(says), "{says:?} expected, not {said} ({:x?}…)", &bytes[..bytes.len().min(16)]);
    let again = async {
        while hostile.connections.load(Ordering::Relaxed) < 2 {
            let changed = door.link.changed().await;
            changed.expect("the loop runs");
        }
    };
    soon("it comes again", again).await;
    door.close().await;
}

/// A packet of `kind` around `body`.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    let mut left = body.len();
    loop {
        let byte = u8::try_from(left % 128).expect("below 128");
        left /= 128;
        bytes.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn publish(qos: u8, id: u16, topic: &str, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.push(u8::try_from(properties.len()).expect("short"));
    body.extend(properties);
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}

/// CONNACK with properties.
fn welcome(properties: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, u8::try_from(properties.len()).expect("short")];
    body.extend(properties);
    packet(0x20, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_the_greeting_that_is_none_is_a_fault_and_not_the_end() {
    let mut faults = tokio::task::JoinSet::new();
    for (bytes, says) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(8), "does not keep to MQTT 5"),
        (vec![0; 64], "does not keep to MQTT 5"),
        (vec![0xFF; 64], "does not keep to MQTT 5"),
        (packet(0xD0, &[]), "before its CONNACK"),
        (SUBSCRIBED.to_vec(), "before its CONNACK"),
        (publish(0, 0, "examgate/v1/door-1/receipt", &[], b"x"), "before its CONNACK"),
        (packet(0x20, &[]), "does not keep to MQTT 5"),
        (packet(0x20, &[0, 0]), "does not keep to MQTT 5"),
        (packet(0x20, &[0, 0x42, 0]), "does not keep to MQTT 5"),
        (packet(0x20, &[1, 0, 0]), "kept a session"),
        (packet(0x20, &[0, 0x9A, 0]), "retain_available true"),
        (packet(0x20, &[0, 0x9B, 0]), "max_qos 1"),
        (packet(0x20, &[0, 0x87, 0]), "use_identity_as_username"),
        (welcome(&[33, 0, 0]), "receive maximum is 0"),
        (welcome(&[36, 0]), "max_qos 1"),
        (welcome(&[37, 0]), "retain_available true"),
        (welcome(&[39, 0, 0, 4, 0]), "max_packet_size 65536"),
        (welcome(&[39, 0, 0, 0, 0]), "maximum packet size is 0"),
        (welcome(&[0x7F, 1]), "does not keep to MQTT 5"),
        // Says that 200 MiB follow.
        (vec![0x20, 0x80, 0x80, 0x80, 0x64], "does not keep to MQTT 5"),
        (vec![0x20, 0xFF, 0xFF, 0xFF, 0xFF], "does not keep to MQTT 5"),
    ] {
        faults.spawn(survives(bytes, false, Vec::new(), says));
    }
    faults.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_broker_sends_to_a_connected_box_is_a_fault_and_not_the_end() {
    let mut faults = tokio::task::JoinSet::new();
    for (bytes, says) in [
        (WELCOME.repeat(300), "second CONNACK"),
        (welcome(&[33, 0, 0]).repeat(300), "second CONNACK"),
        (packet(0x40, &[0x12, 0x34]), "acknowledged a message that was never sent"),
        (packet(0x40, &[0, 0]), "acknowledged a message that was never sent"),
        (packet(0x40, &[0xFF, 0xFF, 0x10, 0]).repeat(100), "acknowledged a message that was never sent"),
        (packet(0x40, &[1]), "does not keep to MQTT 5"),
        (SUBSCRIBED.repeat(2), "subscription that was never sent"),
        (packet(0x50, &[0, 1]), "no reason to send"),
        (packet(0x62, &[0, 1]), "no reason to send"),
        (packet(0x70, &[0, 1]), "no reason to send"),
        (packet(0xB0, &[0, 1, 0, 0]), "no reason to send"),
        (packet(0xC0, &[]), "no reason to send"),
        (packet(0xF0, &[0, 0]), "does not keep to MQTT 5"),
        (publish(2, 7, "examgate/v1/door-1/receipt", &[], b"x"), "QoS 2"),
        (publish(3, 7, "examgate/v1/door-1/receipt", &[], b"x"), "does not keep to MQTT 5"),
        (publish(1, 0, "examgate/v1/door-1/receipt", &[], b"x"), "does not keep to MQTT 5"),
        (publish(1, 7, "examgate/v1/door-1/receipt", &[35, 0, 1], b"x"), "topic alias"),
        (publish(0, 0, "", &[], b"x"), "topic alias"),
        (publish(1, 7, "examgate/v1/door-1/receipt", &[], &vec![0; 1 << 20]), "does not keep to MQTT 5"),
        // Half a packet, and the end.
        (packet(0xE0, &[0x8E, 0]), "copied"),
        (packet(0xE0, &[0x8E]), "copied"),
        (packet(0xE0, &[0x42]), "a reason that is none"),
    ] {
        faults.spawn(survives(WELCOME.to_vec(), true, bytes, says));
    }
    for reason in (0x80..=0xA2).chain([0, 4]) {
        faults.spawn(survives(WELCOME.to_vec(), true, packet(0xE0, &[reason, 0]), "broker"));
    }
    faults.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_in_packets_of_every_kind_is_survived() {
    // Not random: the same on every run. A linear congruential generator (Numerical Recipes) gives the bytes.
    let mut state = 7_u32;
    let mut byte = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let mut faults = tokio::task::JoinSet::new();
    for kind in 0..48_u8 {
        let length = byte() % 40;
        let body: Vec<u8> = (0..length).map(|_| byte()).collect();
        let mut noise = packet(kind << 4 | byte() & 0x0F, &body);
        // Whatever that was, this ends it.
        noise.extend([0xF0, 0]);
        faults.spawn(survives(WELCOME.to_vec(), kind % 2 == 0, noise, "broker"));
    }
    faults.join_all().await;
}

/// Takes the whole packets off the front of `unread`; gives the packet ids of the PUBLISHes among them.
fn published(unread: &mut Vec<u8>) -> Vec<[u8; 2]> {
    let mut ids = Vec::new();
    loop {
        let (mut length, mut header) = (0_usize, 1);
        let whole = loop {
            let Some(&byte) = unread.get(header) else { break false };
            length |= usize::from(byte & 0x7F) << (7 * (header - 1));
            header += 1;
            if byte & 0x80 == 0 {
                break unread.len() >= header + length;
            }
        };
        if !whole {
            return ids;
        }
        let packet: Vec<_> = unread.drain(..header + length).collect();
        if packet[0] >> 4 == 3 {
            let topic = usize::from(u16::from_be_bytes([packet[header], packet[header + 1]]));
            let id = header + 2 + topic;
            ids.push([packet[id], packet[id + 1]]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_but_lawful_broker_is_served() {
    for properties in [
        // Receive maximum 1; keep-alive 0, 1 and 65535 s; no topic aliases; everything at once.
        vec![33, 0, 1],
        vec![19, 0, 0],
        vec![19, 0, 1],
        vec![19, 0xFF, 0xFF],
        vec![34, 0xFF, 0xFF],
        vec![33, 0, 1, 19, 0, 1, 36, 1, 37, 1, 39, 0, 1, 0, 0, 40, 0, 41, 0, 42, 0, 31, 0, 2, b'h', b'i'],
    ] {
        let receive_one = properties.starts_with(&[33, 0, 1]);
        let hostile = Hostile::start(move |stream| {
            stream.write_all(&welcome(&properties))?;
            let mut bytes = vec![0; 65536];
            let _ = stream.read(&mut bytes)?;
            stream.write_all(&SUBSCRIBED)?;
            // Foreign topics, then the PUBACKs of the state and of events.
            stream.write_all(&publish(1, 9, "somebody/else", &[], b"x"))?;
            stream.write_all(&publish(0, 0, "$SYS/broker", &[], b"x"))?;
            let (mut unread, mut answered) = (Vec::new(), 0);
            while answered < if receive_one { 3 } else { 1 } {
                let read = stream.read(&mut bytes)?;
                assert!(read > 0, "the box has closed the connection");
                unread.extend_from_slice(&bytes[..read]);
                // With a receive maximum of 1 the next message comes only after the answer.
                let ids = published(&mut unread);
                assert!(!receive_one || ids.len() <= 1, "{ids:?} are more than the broker takes at a time");
                for id in ids {
                    stream.write_all(&packet(0x40, &id))?;
                    answered += 1;
                }
            }
            Ok(())
        });
        let mut door = hostile.door(Patience::default(), 40);
        let mut played = hostile.played;
        soon("the link is up", door.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("runs");
        soon("the play is over", played.recv()).await;
        assert!(matches!(*door.link.borrow(), Link::Up(_)), "still up: {:?}", *door.link.borrow());
        assert_eq!(hostile.connections.load(Ordering::Relaxed), 1);
        door.close().await;
    }
}

/// Plays `play`, then nothing: the box must give up by itself and say `says`.
async fn waits_in_vain(
    events: u64,
    play: impl Fn(&mut Stream) -> std::io::Result<()> + Send + Sync + 'static,
    says: &str,
) {
    let hostile = Hostile::start(play);
    let short = Duration::from_millis(500);
    let mut door = hostile.door(Patience { greeting: short, silence: 4 * short, answer: 2 * short }, events);
    let said = format!("{:?}", fault(&mut door).await);
    assert!(said.contains(says), "{says:?} expected, not {said}");
    door.close().await;
}

#[tokio::test]
async fn silence_before_the_greeting_is_answered_ends() {
    waits_in_vain(40, |_| Ok(()), "does not answer the greeting").await;
}

#[tokio::test]
async fn half_a_greeting_ends() {
    waits_in_vain(40, |stream| stream.write_all(&WELCOME[..3]), "does not answer the greeting").await;
}

#[tokio::test]
async fn silence_after_the_greeting_ends() {
    waits_in_vain(40, |stream| stream.write_all(&WELCOME), "does not answer the subscription").await;
}

#[tokio::test]
async fn silence_of_a_connected_broker_ends() {
    let play = |stream: &mut Stream| {
        stream.write_all(&WELCOME)?;
        let mut bytes = vec![0; 65536];
        let _ = stream.read(&mut bytes)?;
        stream.write_all(&SUBSCRIBED)
    };
    waits_in_vain(40, play, "left a message without an answer").await;
}

#[tokio::test]
async fn a_broker_that_answers_messages_and_nothing_else_ends() {
    let play = |stream: &mut Stream| {
        stream.write_all(&WELCOME)?;
        let mut bytes = vec![0; 65536];
        let _ = stream.read(&mut bytes)?;
        stream.write_all(&SUBSCRIBED)?;
        // The state is all there is to send.
        let _ = stream.read(&mut bytes)?;
        stream.write_all(&packet(0x40, &[0, 1]))?;
        // And the beginning of a packet that never ends.
        stream.write_all(&publish(0, 0, "examgate/v1/door-1/receipt", &[], &[0; 1000])[..500])?;
        Ok(())
    };
    waits_in_vain(0, play, "Silent").await;
}
