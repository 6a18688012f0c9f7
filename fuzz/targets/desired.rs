//! Manifests: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    desired::Desired,
    keys::{PublicKey, SigningKey},
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/desired/v1", bytes)] {
        if let Ok(desired) = Desired::decode(bytes, &door(), &[*KEY]) {
            assert_eq!(desired.device, door());
            let again = desired.encode(&SigningKey::from_seed(&SEED)).expect("what was read can be written");
            assert_eq!(Desired::decode(&again, &door(), &[*KEY]), Ok(desired));
        }
    }
});
