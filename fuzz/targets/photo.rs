//! Photographs of a roster, JPEG or PNG: decoded upright, or refused.
#![no_main]

use examgate::vision::decode_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = decode_file(bytes) {
        picture.view().expect("what was decoded is a picture");
    }
});
