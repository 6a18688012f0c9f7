//! Signatures of attendance lists: bytes as they come, and the same bytes as the signed content of a message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    keys::{PublicKey, SigningKey},
    list::SignedList,
};
use examgate_fuzz::{SEED, signed};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SigningKey::from_seed(&SEED).public());

/// The list that signatures are about; the seeds vouch for it.
const LIST: &[u8] = b"student_id,whereabouts\nN1,present\n";

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes, &signed("examgate/attendance/v1", bytes)] {
        if let Ok(list) = SignedList::check(LIST, bytes, &KEY) {
            let again = list.sign(LIST, &SigningKey::from_seed(&SEED));
            assert_eq!(SignedList::check(LIST, &again, &KEY), Ok(list));
        }
    }
});
