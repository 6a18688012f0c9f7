//! A box's request for a certificate (PKCS#10, PEM): only its public key is taken.
//!
//! It may use nothing but the parser of requests: the fuzz target `csr` builds this file alone.

use rcgen::{CertificateSigningRequestParams, Error, PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData as _};

/// Bytes of an uncompressed point of P-256, and the first of them (SEC 1, section 2.3.3).
const POINT: (usize, u8) = (65, 0x04);

/// The public key of a request; `None`: it is of another kind than P-256.
///
/// # Errors
/// When it is no request, or is not signed with its own key.
pub(super) fn key(request: &str) -> Result<Option<PublicKey>, Error> {
    let key = CertificateSigningRequestParams::from_pem(request)?.public_key;
    // The algorithm is that of the request's signature: a key of P-384 may sign with SHA-256, too.
    let point = key.der_bytes();
    let is_p256 = (point.len(), point.first().copied()) == (POINT.0, Some(POINT.1));
    Ok((key.algorithm() == &PKCS_ECDSA_P256_SHA256 && is_p256).then_some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_p_384_that_signs_as_keys_of_p_256_do_is_of_another_kind() {
        let request = include_str!("../../../../fuzz/seeds/csr/p384");
        assert!(key(request).is_ok_and(|key| key.is_none()));
        assert!(key(include_str!("../../../../fuzz/seeds/csr/p256")).is_ok_and(|key| key.is_some()));
    }
}
