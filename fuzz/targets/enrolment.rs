//! Enrolment: codes as they are typed, and requests as the fleet reads them, plain and as the signed content of a message.
#![no_main]

use examgate::wire::{
    enrolment::{Code, Request},
    keys::SigningKey,
};
use examgate_fuzz::{SEED, signed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(code) = String::from_utf8_lossy(bytes).parse::<Code>() {
        let again: Code = code.to_text().parse().expect("its own text");
        assert_eq!(again.id(), code.id());
    }
    let key = SigningKey::from_seed(&SEED).public();
    for bytes in [bytes, &signed("examgate/enrolment-request/v1", bytes)] {
        let _ = Request::decode(bytes, &key, &[1; 32]);
    }
});
