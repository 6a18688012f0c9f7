//! The fleet's certificate issuer: certificates for boxes out of their requests, for brokers and services, and the list of
//! those that were revoked.
//!
//! From a request it takes only the public key, after it has checked the request's signature; all names are set here.
//! It reads no clock and keeps nothing.

mod request;

use std::{net::IpAddr, time::Duration};

use examgate::{
    domain::{DeviceId, Timestamp},
    store::{Key, KeyError},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an issuer lasts, about ten years.
pub const ISSUER_LASTS: Duration = DAY.saturating_mul(3653);

/// How long what it issues lasts: a certificate that somebody forgot must not stop an exam within a term.
pub const CERTIFICATE_LASTS: Duration = DAY.saturating_mul(398);

/// How long a list of revoked certificates lasts. A broker refuses everybody once its list is over, so it is made anew
/// when half of this is gone.
pub const LIST_LASTS: Duration = DAY.saturating_mul(90);

/// Clocks may differ by this much.
const EARLIER: Duration = Duration::from_secs(60 * 60);

/// Why nothing is issued.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Certificate and key are no issuer's.
    #[error("ca.pem and issuer.key are no certificate authority: take those that `examgate-fleet init` made")]
    NotAnIssuer(#[source] rcgen::Error),
    /// A request that is none, or that was not signed with its own key.
    #[error("the request for a certificate is none, or is not signed with its own key: let the box make it anew")]
    Request(#[source] rcgen::Error),
    /// A key of another kind.
    #[error("the request is for a key of another kind than P-256: let the box make it anew")]
    KeyKind,
    /// A host name that is none.
    #[error("{host:?} is no host name or address")]
    Host {
        /// What was named.
        host: String,
    },
    /// Signing failed.
    #[error("the issuer could not sign")]
    Sign(#[source] rcgen::Error),
    /// No random numbers.
    #[error("no serial number can be drawn")]
    Serial(#[source] KeyError),
}

/// What was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its serial number, 16 bytes.
    pub serial: Vec<u8>,
    /// SHA-256 of it (DER).
    pub fingerprint: [u8; 32],
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER).
    pub public_key: [u8; 32],
    /// When it ends.
    pub not_after: Timestamp,
}

/// Signs certificates.
pub struct Issuer(rcgen::Issuer<'static, KeyPair>);

/// The time since 1970, which is added to rcgen's own kind of date.
fn since_1970(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn params(name: &str, from: Timestamp, lasts: Duration) -> Result<CertificateParams, IssuerError> {
    let mut serial = Key::generate().map_err(IssuerError::Serial)?.expose()[..16].to_vec();
    // Positive, and never shorter (RFC 5280, 4.1.2.2).
    serial[0] = serial[0] & 0x7F | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(from.checked_sub(EARLIER).unwrap_or(from));
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(after(from, lasts));
    params.serial_number = Some(SerialNumber::from(serial));
    Ok(params)
}

/// A new authority: its certificate, which the public sees, and its key, both PEM.
///
/// # Errors
/// When no key can be made.
pub fn create(name: &str, now: Timestamp) -> Result<(String, Zeroizing<String>), IssuerError> {
    let mut params = params(name, now, ISSUER_LASTS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(IssuerError::Sign)?;
    let certificate = params.self_signed(&key).map_err(IssuerError::Sign)?.pem();
    Ok((certificate, Zeroizing::new(key.serialize_pem())))
}

/// A certificate that nobody has to trust, and its key, both PEM: for the enrolment endpoint, which codes vouch for.
///
/// # Errors
/// When no key can be made.
pub fn unvouched(name: &str, now: Timestamp) -> Result<(String, Zeroizing<String>), IssuerError> {
    let mut params = params(name, now, CERTIFICATE_LASTS)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(IssuerError::Sign)?;
    let certificate = params.self_signed(&key).map_err(IssuerError::Sign)?.pem();
    Ok((certificate, Zeroizing::new(key.serialize_pem())))
}

impl Issuer {
    /// The issuer of this certificate and key, both PEM.
    ///
    /// # Errors
    /// When they are none.
    pub fn read(certificate: &str, key: &str) -> Result<Self, IssuerError> {
        let key = KeyPair::from_pem(key).map_err(IssuerError::NotAnIssuer)?;
        rcgen::Issuer::from_ca_cert_pem(certificate, key).map(Self).map_err(IssuerError::NotAnIssuer)
    }

    /// A box's certificate for the public key of its request (PKCS#10, PEM). Its name is `device`, whatever the request says.
    ///
    /// # Errors
    /// When the request is none, its signature is not good, or its key is of another kind.
    pub fn issue(&self, device: &DeviceId, request: &str, now: Timestamp) -> Result<Issued, IssuerError> {
        let key = request::key(request).map_err(IssuerError::Request)?.ok_or(IssuerError::KeyKind)?;
        self.client(device.as_str(), &key, now)
    }

    fn client(&self, name: &str, key: &impl PublicKeyData, now: Timestamp) -> Result<Issued, IssuerError> {
        let mut params = params(name, now, CERTIFICATE_LASTS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, key, now)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        now: Timestamp,
    ) -> Result<Issued, IssuerError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
        let certificate = params.signed_by(key, &self.0).map_err(IssuerError::Sign)?;
        Ok(Issued {
            serial,
            fingerprint: Sha256::digest(certificate.der()).into(),
            public_key: Sha256::digest(key.subject_public_key_info()).into(),
            certificate: certificate.pem(),
            not_after: after(now, CERTIFICATE_LASTS),
        })
    }

    /// A certificate with a new key (PEM): for a server that is reached by the names of `hosts`, or without any for a client
    /// whose name at the broker is `name`.
    ///
    /// # Errors
    /// When a host is no name, or no key can be made.
    pub fn issue_with_key(
        &self,
        name: &str,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<(Issued, Zeroizing<String>), IssuerError> {
        let key = KeyPair::generate().map_err(IssuerError::Sign)?;
        let issued = if hosts.is_empty() {
            self.client(name, &key, now)?
        } else {
            let mut params = params(name, now, CERTIFICATE_LASTS)?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for host in hosts {
                params.subject_alt_names.push(match host.parse::<IpAddr>() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => SanType::DnsName(
                        host.as_str().try_into().map_err(|_| IssuerError::Host { host: host.clone() })?,
                    ),
                });
            }
            self.sign(params, &key, now)?
        };
        Ok((issued, Zeroizing::new(key.serialize_pem())))
    }

    /// The list of revoked certificates (PEM), by serial number and when. `number` rises with every list.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn list(&self, number: u64, revoked: &[(Vec<u8>, Timestamp)], now: Timestamp) -> Result<String, IssuerError> {
        let entry = |(serial, at): &(Vec<u8>, Timestamp)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(1970, 1, 1) + since_1970(*at),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since_1970(now.checked_sub(EARLIER).unwrap_or(now)),
            next_update: date_time_ymd(1970, 1, 1) + since_1970(after(now, LIST_LASTS)),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).and_then(|list| list.pem()).map_err(IssuerError::Sign)
    }
}

#[cfg(test)]
mod tests {
    use openssl::{base64::encode_block, hash::MessageDigest, x509::X509};

    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn issuer() -> Issuer {
        let (certificate, key) = create("Fleet", Timestamp::from_second(NOW).unwrap()).unwrap();
        Issuer::read(&certificate, &key).unwrap()
    }

    #[test]
    fn a_request_names_nothing_but_its_key() {
        let (now, door) = (Timestamp::from_second(NOW).unwrap(), DeviceId::new("door-1").unwrap());
        let mut asks = CertificateParams::new(vec!["broker.example.edu".to_owned()]).unwrap();
        asks.distinguished_name.push(DnType::CommonName, "collector");
        asks.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        asks.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let request = asks.serialize_request(&key).unwrap().pem().unwrap();
        let issued = issuer().issue(&door, &request, now).unwrap();
        assert_eq!(issued.public_key, <[u8; 32]>::from(Sha256::digest(key.subject_public_key_info())));
        assert_eq!(issued.serial.len(), 16);
        let read = X509::from_pem(issued.certificate.as_bytes()).unwrap();
        let names: Vec<_> = read.subject_name().entries().map(|entry| entry.data().to_string().unwrap()).collect();
        assert_eq!(names, ["door-1"]);
        assert!(read.subject_alt_names().is_none(), "the request's names were taken");
        let text = String::from_utf8(read.to_text().unwrap()).unwrap();
        assert!(
            !text.contains("CA:TRUE") && !text.contains("Certificate Sign"),
            "the request's extensions were taken:\n{text}"
        );
        assert!(read.digest(MessageDigest::sha256()).unwrap()[..] == issued.fingerprint);
    }

    #[test]
    fn a_request_that_its_key_did_not_sign_is_refused() {
        let (now, door) = (Timestamp::from_second(NOW).unwrap(), DeviceId::new("door-1").unwrap());
        let asks = CertificateParams::new(vec![]).unwrap();
        let good = asks.serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let mut der = good.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let pem = |der: &[u8]| {
            let lines = encode_block(der);
            format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n")
        };
        assert!(issuer().issue(&door, &pem(good.der()), now).is_ok());
        let forged = issuer().issue(&door, &pem(&der), now);
        assert!(matches!(forged, Err(IssuerError::Request(_))), "{forged:?}");
        assert!(matches!(issuer().issue(&door, "nothing", now), Err(IssuerError::Request(_))));
        let other = asks.serialize_request(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()).unwrap();
        assert!(matches!(issuer().issue(&door, &other.pem().unwrap(), now), Err(IssuerError::KeyKind)));
    }

    #[test]
    fn an_issuer_is_a_pair() {
        let now = Timestamp::from_second(NOW).unwrap();
        let (certificate, _) = create("Fleet", now).unwrap();
        assert!(matches!(Issuer::read(&certificate, "no key"), Err(IssuerError::NotAnIssuer(_))));
        let hosts = vec!["broker.example.edu".to_owned(), "10.0.0.7".to_owned()];
        assert!(issuer().issue_with_key("broker", &hosts, now).is_ok());
        let bad = issuer().issue_with_key("broker", &["b\u{f6}ker".to_owned()], now);
        assert!(matches!(bad, Err(IssuerError::Host { .. })));
    }
}
