//! Commands and answers: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    command::{CommandAnswer, Statement},
    keys::{PublicKey, SigningKey},
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    let key = SigningKey::from_seed(&SEED);
    for bytes in [bytes, &signed("examgate/command/v1", bytes)] {
        if let Ok((statement, place)) = Statement::decode(bytes, &[*KEY]) {
            let again = statement.encode(&key).expect("what was read can be written");
            assert_eq!(Statement::decode(&again, &[*KEY]), Ok((statement, place)));
        }
    }
    for bytes in [bytes, &signed("examgate/answer/v1", bytes)] {
        if let Ok(answer) = CommandAnswer::decode(bytes, &door(), &KEY) {
            assert_eq!(answer.device, door());
            assert_eq!(CommandAnswer::decode(&answer.encode(&key), &door(), &KEY), Ok(answer));
        }
    }
});
