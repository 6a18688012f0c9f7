//! Reports: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    keys::{PublicKey, SigningKey},
    reported::Reported,
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/reported/v1", bytes)] {
        if let Ok(reported) = Reported::decode(bytes, &door(), &KEY) {
            assert_eq!(reported.device, door());
            let again = reported.encode(&SigningKey::from_seed(&SEED));
            assert_eq!(Reported::decode(&again, &door(), &KEY), Ok(reported));
        }
    }
});
