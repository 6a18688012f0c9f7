//! What is a command or an answer, and what is not.

use proptest::prelude::*;

use super::*;

const GOLDEN_COMMAND: &[u8] = include_bytes!("../../../tests/golden/command-v1.cose");
const GOLDEN_ANSWER: &[u8] = include_bytes!("../../../tests/golden/answer-v1.cose");

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_797_000_000 + second).expect("in range")
}

const ID: CommandId = CommandId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

fn statement() -> Statement {
    Statement { device: door(), id: ID, issued: at(0), expires: at(60), word: "identify".into() }
}

fn answer(reply: Reply) -> CommandAnswer {
    CommandAnswer { device: door(), id: ID, at: at(1), reply }
}

#[test]
fn golden_command_and_answer() {
    assert_eq!(hex::encode(statement().encode(&key()).expect("it is one")), hex::encode(GOLDEN_COMMAND));
    let other = SigningKey::from_seed(&[8; 32]).public();
    assert_eq!(Statement::decode(GOLDEN_COMMAND, &[other, key().public()]), Ok((statement(), 1)), "the second signed");
    let done = answer(Reply::Done("{\"seconds\":15}".into()));
    assert_eq!(hex::encode(done.encode(&key())), hex::encode(GOLDEN_ANSWER));
    assert_eq!(CommandAnswer::decode(GOLDEN_ANSWER, &door(), &key().public()), Ok(done));
}

#[test]
fn what_is_no_command_is_refused() {
    let signed = |payload: &StatementPayload| signed::sign(COMMAND, &key(), cbor::to_vec(payload));
    let payload = |v, id, command: &str| {
        let (issued, expires) = (at(0), at(60));
        signed(&StatementPayload { v, device: door(), id, issued, expires, command: command.into() })
    };
    let good = *ID.0.as_bytes();
    assert!(Statement::decode(&payload(1, good, "dance"), &[key().public()]).is_ok(), "the box may not know it");
    for (name, bytes, error) in [
        ("another key", statement().encode(&SigningKey::from_seed(&[8; 32])).expect("fine"), CommandError::NotSigned),
        ("another purpose", signed::sign(ANSWER, &key(), vec![]), CommandError::NotSigned),
        ("version 2", payload(2, good, "drain"), CommandError::Malformed),
        ("no UUIDv7", payload(1, [1; 16], "drain"), CommandError::Malformed),
        ("no word", payload(1, good, ""), CommandError::Malformed),
        ("a long word", payload(1, good, &"x".repeat(LONGEST_WORD + 1)), CommandError::Malformed),
        ("what breaks lines", payload(1, good, "drain\n"), CommandError::Malformed),
        ("too long", vec![0; MAX_COMMAND + 1], CommandError::TooLong),
        ("cut short", GOLDEN_COMMAND[..60].to_vec(), CommandError::NotSigned),
    ] {
        assert_eq!(Statement::decode(&bytes, &[key().public()]), Err(error), "{name}");
    }
    assert_eq!(Statement { word: "Drain".into(), ..statement() }.encode(&key()), Err(CommandError::Malformed));
}

#[test]
fn what_is_no_answer_of_this_box_is_refused() {
    let read = |bytes: &[u8]| CommandAnswer::decode(bytes, &door(), &key().public());
    for reply in [Reply::Refused(CommandRefusal::Expired), Reply::Failed("no disk".into())] {
        let answer = answer(reply);
        assert_eq!(read(&answer.encode(&key())), Ok(answer));
    }
    let other = CommandAnswer { device: DeviceId::new("door-2").expect("valid"), ..answer(Reply::Done("{}".into())) };
    assert_eq!(read(&other.encode(&key())), Err(AnswerError::OtherDevice));
    assert_eq!(read(&other.encode(&SigningKey::from_seed(&[8; 32]))), Err(AnswerError::NotSigned));
    assert_eq!(read(GOLDEN_COMMAND), Err(AnswerError::NotSigned), "a command is no answer");
    assert_eq!(read(&vec![0; MAX_ANSWER + 1]), Err(AnswerError::TooLong));
    let payload = |outcome, refusal, detail: &str| {
        let (device, id, at) = (door(), *ID.0.as_bytes(), at(1));
        let payload = AnswerPayload { v: 1, device, id, at, outcome, refusal, detail: detail.into() };
        signed::sign(ANSWER, &key(), cbor::to_vec(&payload))
    };
    for bytes in [
        payload(Outcome::Refused, None, ""),
        payload(Outcome::Refused, Some(CommandRefusal::Expired), "more"),
        payload(Outcome::Done, Some(CommandRefusal::Expired), "{}"),
        payload(Outcome::Done, None, &"x".repeat(MAX_DETAIL + 1)),
    ] {
        assert_eq!(read(&bytes), Err(AnswerError::Malformed));
    }
}

#[test]
fn the_longest_of_each_fit() {
    let longest = DeviceId::new("d".repeat(64)).expect("the longest name");
    let command = Statement { device: longest.clone(), word: "x".repeat(LONGEST_WORD), ..statement() };
    let bytes = command.encode(&key()).expect("it is one");
    assert!(bytes.len() <= MAX_COMMAND, "{} bytes", bytes.len());
    let long = CommandAnswer { device: longest.clone(), ..answer(Reply::Done("ü".repeat(MAX_DETAIL))) };
    let bytes = long.encode(&key());
    let read = CommandAnswer::decode(&bytes, &longest, &key().public()).expect("it fits");
    assert!(matches!(read.reply, Reply::Done(detail) if detail.len() == MAX_DETAIL), "{} bytes", bytes.len());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), purpose in 0usize..3) {
        let bytes = match purpose {
            0 => bytes,
            1 => signed::sign(COMMAND, &key(), bytes),
            _ => signed::sign(ANSWER, &key(), bytes),
        };
        prop_assert!(Statement::decode(&bytes, &[key().public()]).is_err());
        prop_assert!(CommandAnswer::decode(&bytes, &door(), &key().public()).is_err());
    }

    #[test]
    fn any_changed_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = GOLDEN_COMMAND.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(Statement::decode(&bytes, &[key().public()]), Err(CommandError::NotSigned));
    }
}
