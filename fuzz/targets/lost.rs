//! Lists of lost cards: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    keys::{PublicKey, SigningKey},
    lost::LostCards,
};
use examgate_fuzz::{SEED, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/lost-cards/v1", bytes)] {
        if let Ok(list) = LostCards::decode(bytes, &[*KEY]) {
            let again = list.encode(&SigningKey::from_seed(&SEED)).expect("what was read can be written");
            assert!(LostCards::decode(&again, &[*KEY]) == Ok(list));
        }
    }
});
