//! A certificate authority of one's own and what it issues: the broker, boxes and collectors of a rig.
//!
//! Dates are fixed, so it reads no clock. It never issues anything a real fleet would accept.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Good for the lifetime of this software: 2020 to 2049.
    Good,
    /// Ended in 2021.
    Expired,
    /// Begins in 2048.
    NotYet,
}

/// A certificate and its key, both PEM (the key as PKCS#8).
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, to) = match validity {
        Validity::Good => (2020, 2049),
        Validity::Expired => (2020, 2021),
        Validity::NotYet => (2048, 2049),
    };
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

impl Authority {
    /// A new authority with a key of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut params = params("Examgate rig authority", Validity::Good);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = params.self_signed(&key).expect("these parameters can be signed").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A broker's certificate for `localhost` and 127.0.0.1.
    #[must_use]
    pub fn broker(&self, validity: Validity) -> Issued {
        let loopback = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.broker_named(vec![SanType::DnsName("localhost".try_into().expect("ASCII")), loopback], validity)
    }

    /// A broker's certificate for the DNS name `host` only.
    ///
    /// # Panics
    /// When `host` is not ASCII.
    #[must_use]
    pub fn broker_for(&self, host: &str, validity: Validity) -> Issued {
        self.broker_named(vec![SanType::DnsName(host.try_into().expect("a DNS name is ASCII"))], validity)
    }

    fn broker_named(&self, names: Vec<SanType>, validity: Validity) -> Issued {
        let mut params = params("broker", validity);
        params.subject_alt_names = names;
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate; `name` becomes its user name and client id at the broker.
    #[must_use]
    pub fn client(&self, name: &str, validity: Validity) -> Issued {
        self.issue(params(name, validity), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Issued {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("these parameters can be signed").pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
