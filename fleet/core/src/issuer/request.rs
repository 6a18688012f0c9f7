//! A box's request for a certificate (PKCS#10, PEM): only its public key is taken.
//!
//! It may use nothing but the parser of requests: the fuzz target `csr` builds this file alone.

use rcgen::{CertificateSigningRequestParams, Error, PKCS_ECDSA_P256_SHA256, PublicKey};

/// The public key of a request; `None`: it is of another kind than P-256.
///
/// # Errors
/// When it is no request, or is not signed with its own key.
pub(super) fn key(request: &str) -> Result<Option<PublicKey>, Error> {
    let key = CertificateSigningRequestParams::from_pem(request)?.public_key;
    Ok((key.algorithm() == &PKCS_ECDSA_P256_SHA256).then_some(key))
}
