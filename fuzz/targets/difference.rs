//! Differences between two editions: one that is read is written as it was, and never makes an edition out of another than its own.
#![no_main]

use examgate::wire::bundle::Difference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(difference) = Difference::decode(bytes) {
        let again = difference.encode().expect("what was read can be written");
        assert_eq!(again.len(), bytes.len());
        // The students are too few, or others than it starts from, but for a digest made up by the fuzzer.
        let _ = difference.apply(difference.changed.entries.clone());
    }
});
