//! Receipts: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    keys::{PublicKey, SigningKey},
    receipt::Receipt,
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/receipt/v2", bytes)] {
        if let Ok(receipt) = Receipt::decode(bytes, &door(), &KEY) {
            assert_eq!(receipt.device, door());
            let again = receipt.encode(&SigningKey::from_seed(&SEED));
            assert_eq!(Receipt::decode(&again, &door(), &KEY), Ok(receipt));
        }
    }
});
