//! The key of a box's certificate and the request for one (PKCS#10). The key stays with the caller.

use openssl::{
    ec::{Asn1Flag, EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    x509::{X509, X509NameBuilder, X509ReqBuilder},
};
use zeroize::Zeroizing;

/// A new P-256 key, PEM (PKCS#8).
///
/// # Errors
/// When OpenSSL cannot make one.
pub fn new_key() -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
    PKey::from_ec_key(EcKey::generate(&group)?)?.private_key_to_pem_pkcs8().map(Zeroizing::new)
}

/// A request for a certificate of this `key` (PEM), PEM. It names nobody in particular: the fleet says who the box is.
///
/// # Errors
/// When the key is none.
pub fn request_for(key: &[u8]) -> Result<String, ErrorStack> {
    let key = PKey::private_key_from_pem(key)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "a new box")?;
    let mut request = X509ReqBuilder::new()?;
    request.set_version(0)?;
    request.set_subject_name(&name.build())?;
    request.set_pubkey(&key)?;
    request.sign(&key, MessageDigest::sha256())?;
    Ok(String::from_utf8_lossy(&request.build().to_pem()?).into_owned())
}

/// Whether `certificate` (PEM) was issued for `key` (PEM).
///
/// # Errors
/// When one of them is none.
pub fn is_pair(certificate: &[u8], key: &[u8]) -> Result<bool, ErrorStack> {
    let key = PKey::private_key_from_pem(key)?;
    Ok(X509::from_pem(certificate)?.public_key()?.public_eq(&key))
}

#[cfg(test)]
mod tests {
    use openssl::x509::X509Req;

    use super::*;

    #[test]
    fn a_request_is_signed_by_its_own_key() {
        let key = new_key().unwrap();
        let request = X509Req::from_pem(request_for(&key).unwrap().as_bytes()).unwrap();
        assert!(request.verify(&request.public_key().unwrap()).unwrap());
        assert!(!request.verify(&PKey::private_key_from_pem(&new_key().unwrap()).unwrap()).unwrap());
        assert!(request_for(b"no key").is_err());
    }
}
