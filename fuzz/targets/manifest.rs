//! The manifest of nets: any text is read or refused with a reason.
#![no_main]

use examgate::vision::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Manifest::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
