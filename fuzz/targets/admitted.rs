//! Pages of whom a box let in: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::{
    domain::ExamId,
    wire::{
        admitted::AdmittedPage,
        keys::{PublicKey, SigningKey},
    },
};
use examgate_fuzz::{SEED, door, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());
static EXAM: LazyLock<ExamId> = LazyLock::new(|| ExamId::new("MATH-1").expect("valid"));

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/admitted/v1", bytes)] {
        if let Ok(page) = AdmittedPage::decode(bytes, (&EXAM, &door(), 2), &KEY) {
            let again = page.encode(&SigningKey::from_seed(&SEED));
            assert_eq!(AdmittedPage::decode(&again, (&EXAM, &door(), 2), &KEY), Ok(page));
        }
    }
});
