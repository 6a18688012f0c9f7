//! Trust documents: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    keys::{PublicKey, SigningKey},
    trust::TrustDocument,
};
use examgate_fuzz::{SEED, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/trust/v1", bytes)] {
        if let Ok(document) = TrustDocument::decode(bytes, &KEY) {
            let again = document.encode(&SigningKey::from_seed(&SEED)).expect("what was taken can be signed");
            assert_eq!(TrustDocument::accept(&again, &KEY, Some(&document)), Ok(document));
        }
    }
});
