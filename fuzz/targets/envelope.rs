//! Event envelopes: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    envelope::EventEnvelope,
    keys::{PublicKey, SigningKey},
    seal::Identity,
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());
static COLLECTOR: LazyLock<Identity> =
    LazyLock::new(|| include_str!("../../tests/golden/collector.age").parse().expect("an age identity"));

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/event/v1", bytes)] {
        if let Ok(envelope) = EventEnvelope::decode(bytes, &door(), &KEY, &COLLECTOR) {
            assert_eq!(envelope.device, door());
            let again = envelope.encode(&SigningKey::from_seed(&SEED), &COLLECTOR.recipient()).expect("it was one");
            assert_eq!(EventEnvelope::decode(&again, &door(), &KEY, &COLLECTOR), Ok(envelope));
        }
    }
});
