//! Enrolment: codes as they are typed, and requests as the fleet reads them and answers as the box does, plain and as the signed content of a
//! message.
#![no_main]

use std::sync::LazyLock;

use examgate::wire::{
    enrolment::{Answer, Code, Kept, Request},
    keys::SigningKey,
};
use examgate_fuzz::{SEED, signed, signed_with};
use libfuzzer_sys::fuzz_target;

static CODE: LazyLock<(Code, Kept)> = LazyLock::new(|| {
    let code = Code::from_random(&[7; 20]);
    let kept = code.kept();
    (code, kept)
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(code) = String::from_utf8_lossy(bytes).parse::<Code>() {
        let again: Code = code.to_text().parse().expect("its own text");
        assert_eq!(again.id(), code.id());
    }
    let key = SigningKey::from_seed(&SEED).public();
    for bytes in [bytes, &signed("examgate/enrolment-request/v1", bytes)] {
        let _ = Request::decode(bytes, &key, &[1; 32]);
    }
    let (code, kept) = &*CODE;
    for bytes in [bytes, &signed_with(&kept.answers, "examgate/enrolment-answer/v1", bytes)] {
        if let Ok(answer) = Answer::decode(bytes, code, [2; 16], &[1; 32]) {
            let again = answer.encode(&kept.answers, [2; 16], &[1; 32]);
            assert_eq!(Answer::decode(&again, code, [2; 16], &[1; 32]), Ok(answer));
        }
    }
});
