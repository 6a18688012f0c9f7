//! What an enrolled box asks of its fleet: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use examgate::wire::{
    keys::SigningKey,
    renewal::{HandOver, Renewal},
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let key = SigningKey::from_seed(&SEED);
    for bytes in [bytes, &signed("examgate/renewal-request/v1", bytes)] {
        if let Ok(renewal) = Renewal::decode(bytes, &door(), &key.public(), &[1; 32]) {
            assert_eq!(Renewal::decode(&renewal.encode(&key, &[1; 32]), &door(), &key.public(), &[1; 32]), Ok(renewal));
        }
    }
    for bytes in [bytes, &signed("examgate/hand-over/v1", bytes)] {
        let _ = HandOver::decode(bytes, &door(), &key.public(), &[1; 32]);
    }
});
