//! Bundles: one that is read is written as it was, but for the length of its embeddings.
#![no_main]

use examgate::wire::bundle::Bundle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = Bundle::decode(bytes) {
        let again = bundle.encode().expect("what was read can be written");
        assert_eq!(again.len(), bytes.len());
    }
});
