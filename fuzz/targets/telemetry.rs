//! Telemetry: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    keys::{PublicKey, SigningKey},
    telemetry::{MAX_SERIES, MAX_TELEMETRY, Telemetry},
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/telemetry/v1", bytes)] {
        if let Ok(taken) = Telemetry::decode(bytes, &door(), &KEY) {
            assert_eq!(taken.telemetry.device, door());
            assert!(taken.telemetry.series.len() <= MAX_SERIES);
            let again = taken.telemetry.encode(&SigningKey::from_seed(&SEED));
            // A float may have been written in fewer bytes than it needs to be.
            if again.len() <= MAX_TELEMETRY {
                let read = Telemetry::decode(&again, &door(), &KEY).expect("what was understood is written");
                assert_eq!((read.telemetry, read.passed_over), (taken.telemetry, 0));
            }
        }
    }
});
