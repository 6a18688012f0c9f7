//! Answers of DESFire cards to a handshake and within a session that stands, and identities as rosters write them: nothing is believed
//! without the keys, and what is read is written and read again as the same.
#![no_main]

use examgate::wire::desfire::{
    CardKey, Communication, DesfireNumber, Doing, Handshake, Protocol, Reply, Session, read_data,
};
use libfuzzer_sys::fuzz_target;

/// A handshake with an all-zero key: our challenge, the card's, its proof. AN12196, section 5.10, and the crate `desfire`.
const HANDSHAKES: [(Protocol, &str, &str, &str); 2] = [
    (
        Protocol::Ev2,
        "B98F4C50CF1C2E084FD150E33992B048",
        "B875CEB0E66A6C5CD00898DC371F92D1",
        "0CC9A8094A8EEA683ECAAC5C7BF20584206D0608D477110FC6B3D5D3F65C3A6A",
    ),
    (
        Protocol::Aes,
        "2176770E7A6EB4BEF00D5E4B201D1E57",
        "A33856932308775CF464610C2B17A558",
        "8FDC476F6BAC44FE9150E285ABD68D48",
    ),
];

fn session(choice: u8) -> (Protocol, Session) {
    let (protocol, ours, theirs, proof) = HANDSHAKES[usize::from(choice % 2)];
    let bytes = |text| hex::decode(text).expect("digits");
    let ours = <[u8; 16]>::try_from(bytes(ours)).expect("a block").into();
    let (handshake, _) =
        Handshake::answer(protocol, CardKey::from_bytes([0; 16]), ours, &bytes(theirs)).expect("a block");
    (protocol, handshake.accept(&bytes(proof)).expect("published"))
}

fuzz_target!(|input: (u8, [u8; 16], &[u8], &str)| {
    let (choice, challenge, answer, text) = input;
    let told = |error: &dyn std::error::Error| assert!(!error.to_string().is_empty());

    let (protocol, mut session) = session(choice);
    let key = CardKey::from_bytes(*b"nobody's card ke");
    match key.diversified(answer) {
        Ok(own) => {
            assert!((1..=31).contains(&answer.len()));
            let (handshake, sent) = Handshake::answer(protocol, own, [choice; 16].into(), &challenge).expect("a block");
            assert_eq!(sent.len(), 32);
            assert!(handshake.accept(answer).is_err());
        }
        Err(error) => told(&error),
    }

    let mode = [Communication::Plain, Communication::Mac, Communication::Full][usize::from(choice / 2 % 3)];
    let (command, header) = read_data(protocol, 2, u32::from(choice) << 16, 16);
    if let Err(error) = session.guard(command, &header, mode) {
        told(&error);
    }
    told(&session.open(challenge[0], answer, usize::from(choice) / 6, mode).expect_err("nobody has the keys"));

    for doing in [Doing::Select, Doing::Challenge, Doing::Proof, Doing::Read, Doing::CardUid] {
        match Reply::of(doing, answer) {
            Ok(reply) => {
                let held = [reply.challenge().ok(), reply.proof().ok(), reply.part(doing).ok().map(|(part, _)| part)];
                held.into_iter().flatten().for_each(|data| assert_eq!(data.len() + 2, answer.len()));
                if let Err(error) = reply.selected() {
                    told(&error);
                }
            }
            Err(error) => assert!(answer.len() < 2 && !error.to_string().is_empty()),
        }
    }

    let same = |number: DesfireNumber| assert_eq!(DesfireNumber::parse(&number.roster_value()), Ok(number));
    match DesfireNumber::new(answer) {
        Ok(number) => same(number),
        Err(error) => told(&error),
    }
    match DesfireNumber::parse(text) {
        Ok(number) => same(number),
        Err(error) => told(&error),
    }
});
