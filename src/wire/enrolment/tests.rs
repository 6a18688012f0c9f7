//! Codes as people type them, and messages that only who knows the code can make.

use proptest::prelude::*;

use super::*;

fn code() -> Code {
    Code::from_random(&[0xA7; SECRET])
}

fn own() -> SigningKey {
    SigningKey::from_seed(&[4; 32])
}

fn request() -> Request {
    Request { nonce: [2; 16], csr: "a request".into(), signing_key: own().public(), prekeys: Vec::new() }
}

fn answer() -> Answer {
    Answer {
        device: DeviceId::new("door-1").expect("valid"),
        room: RoomId::new("SILVER-207").expect("valid"),
        certificate: "a certificate".into(),
        root: SigningKey::from_seed(&[5; 32]).public(),
        trust: vec![1, 2, 3],
        broker: "broker.example.edu".into(),
        port: 8883,
    }
}

#[test]
fn codes_are_read_as_people_type_them() {
    let text = code().to_text();
    assert_eq!(text.len(), 29, "{}", *text);
    for typed in [text.to_string(), text.to_lowercase(), text.replace('-', ""), text.replace('-', " ")] {
        assert_eq!(typed.parse::<Code>().expect("the code").0, code().0, "{typed}");
    }
    let zero = Code::from_random(&[0; SECRET]);
    assert_eq!(zero.to_text().replacen("0000", "oOoO", 1).parse::<Code>().expect("O is 0").0, zero.0);
    assert!(matches!("7777-7777".parse::<Code>(), Err(NotACode::Length { found: 8 })));
    assert!(matches!(text.replace('7', "?").parse::<Code>(), Err(NotACode::Symbol { found: '?' })));
    assert!(matches!((text.to_string() + "7").parse::<Code>(), Err(NotACode::Length { found: 25 })));
    assert_eq!(format!("{:?}", code()), "Code(redacted)");
}

#[test]
fn what_is_kept_signs_no_request_and_knows_no_code() {
    let kept = code().kept();
    assert_ne!(SigningKey::from_seed(&kept.answers).public(), kept.requests);
    assert_eq!(kept.id.to_string().parse::<CodeId>().expect("its own text"), code().id());
    assert_ne!(Code::from_random(&[1; SECRET]).id(), kept.id);
}

#[test]
fn a_request_is_taken_from_who_knows_the_code_over_the_same_connection() {
    let (kept, server) = (code().kept(), [1; 32]);
    let bytes = request().encode(&code(), &own(), &server);
    assert_eq!(Request::decode(&bytes, &kept.requests, &server), Ok(request()));
    assert_eq!(Request::decode(&bytes, &kept.requests, &[9; 32]), Err(EnrolmentError::Between));
    let other = Code::from_random(&[1; SECRET]);
    let wrong = request().encode(&other, &own(), &server);
    assert_eq!(Request::decode(&wrong, &kept.requests, &server), Err(EnrolmentError::NotSigned));
    let stolen = Request { signing_key: SigningKey::from_seed(&[6; 32]).public(), ..request() };
    let stolen = stolen.encode(&code(), &own(), &server);
    assert_eq!(Request::decode(&stolen, &kept.requests, &server), Err(EnrolmentError::NotItsKey));
    for bad in [
        Request { prekeys: vec!["age1".into()], ..request() },
        Request { csr: "x".repeat(LONGEST_PEM + 1), ..request() },
    ] {
        let bytes = bad.encode(&code(), &own(), &server);
        assert_eq!(Request::decode(&bytes, &kept.requests, &server), Err(EnrolmentError::Malformed));
    }
}

#[test]
fn an_answer_is_taken_from_who_knows_the_code_and_was_asked() {
    let (kept, server, nonce) = (code().kept(), [1; 32], [2; 16]);
    let bytes = answer().encode(&kept.answers, nonce, &server);
    assert_eq!(Answer::decode(&bytes, &code(), nonce, &server), Ok(answer()));
    assert_eq!(Answer::decode(&bytes, &code(), nonce, &[9; 32]), Err(EnrolmentError::Between));
    assert_eq!(Answer::decode(&bytes, &code(), [3; 16], &server), Err(EnrolmentError::AnotherRequest));
    let fake = answer().encode(&[7; 32], nonce, &server);
    assert_eq!(Answer::decode(&fake, &code(), nonce, &server), Err(EnrolmentError::NotSigned));
    // A request is no answer, although both are made with the code.
    let request = request().encode(&code(), &own(), &server);
    assert_eq!(Answer::decode(&request, &code(), nonce, &server), Err(EnrolmentError::NotSigned));
}

proptest! {
    #[test]
    fn a_code_is_itself_again_and_a_slip_is_seen(random in any::<[u8; SECRET]>(), at in 0_usize..29, symbol in 0_usize..32) {
        let code = Code::from_random(&random);
        let text = code.to_text();
        prop_assert_eq!(text.parse::<Code>().expect("its own text").0, code.0);
        let mut typed: Vec<u8> = text.bytes().collect();
        prop_assume!(typed[at] != b'-' && typed[at] != SYMBOLS[symbol]);
        typed[at] = SYMBOLS[symbol];
        // 20 bits of check let one slip in a million through.
        let slip = String::from_utf8(typed).expect("ASCII").parse::<Code>();
        prop_assert!(slip.is_err() || slip.is_ok_and(|other| other.id() != code.id()));
    }

    #[test]
    fn any_text_is_survived(text in ".*") {
        let _ = text.parse::<Code>();
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), is_signed in any::<bool>()) {
        let (kept, server) = (code().kept(), [1; 32]);
        let sent = if is_signed { signed::sign(REQUEST, &code().requests(), bytes.clone()) } else { bytes.clone() };
        prop_assert!(Request::decode(&sent, &kept.requests, &server).is_err());
        let key = SigningKey::from_seed(&kept.answers);
        let sent = if is_signed { signed::sign(ANSWER, &key, bytes) } else { bytes };
        prop_assert!(Answer::decode(&sent, &code(), [2; 16], &server).is_err());
    }
}
