//! Where a JPEG ends: never beyond its bytes, and there it ends also without what follows.
#![no_main]

use examgate::wire::jpeg;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(length) = jpeg::length(bytes) {
        assert!(bytes[..length].ends_with(&[0xFF, 0xD9]));
        assert_eq!(jpeg::length(&bytes[..length]), Some(length));
    }
});
