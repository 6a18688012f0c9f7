//! Requests for certificates: text as it comes, and bytes as what stands in the PEM. A key that is taken is of the one kind that is issued for.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// The part of the fleet's issuer that reads a request.
#[path = "../../fleet/core/src/issuer"]
mod issuer {
    mod request;

    pub(super) fn read(request: &str) -> bool {
        use rcgen::PublicKeyData as _;
        let Ok(Some(key)) = request::key(request) else { return false };
        // An uncompressed point of P-256 (SEC 1, 2.3.3).
        assert!(key.der_bytes().len() == 65 && key.der_bytes()[0] == 4, "{:?}", key.der_bytes());
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    let inside = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", bytes));
    for text in [&*String::from_utf8_lossy(bytes), &inside] {
        issuer::read(text);
    }
});
