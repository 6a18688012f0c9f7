//! Who issues virtual PIV cards: an authority of one's own, the certificates and CHUIDs of its cards, and its revocation lists.
//!
//! Dates are fixed, so it reads no clock. It never issues anything that a real site would accept.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use openssl::{
    asn1::{Asn1Object, Asn1Time},
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{HasPublic, Id, PKey, PKeyRef, Private},
    rsa::Rsa,
    x509::{
        X509, X509Builder, X509CrlBuilder, X509Name, X509NameBuilder, X509NameRef, X509Ref, X509RevokedBuilder,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, CrlNumber, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
            SubjectKeyIdentifier,
        },
    },
};
use uuid::Uuid;

use super::PivCard;
use crate::rig::certificates::Validity;

/// What a card's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PivKey {
    /// RSA of 2048 bits.
    Rsa2048,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

impl PivKey {
    /// Makes one.
    ///
    /// # Panics
    /// Never: OpenSSL makes keys of these kinds.
    #[must_use]
    pub fn make(self) -> PKey<Private> {
        let on = |curve| {
            let group = EcGroup::from_curve_name(curve).expect("OpenSSL has this curve");
            PKey::from_ec_key(EcKey::generate(&group).expect("a key can be made"))
        };
        match self {
            Self::Rsa2048 => PKey::from_rsa(Rsa::generate(2048).expect("a key can be made")),
            Self::P256 => on(Nid::X9_62_PRIME256V1),
            Self::P384 => on(Nid::SECP384R1),
        }
        .expect("a key is a key")
    }

    pub(super) fn of(key: &PKey<Private>) -> Self {
        match (key.id(), key.bits()) {
            (Id::RSA, _) => Self::Rsa2048,
            (_, 256) => Self::P256,
            _ => Self::P384,
        }
    }

    /// Its number in commands, SP 800-78-4, table 6-2.
    pub(super) const fn reference(self) -> u8 {
        match self {
            Self::Rsa2048 => 0x07,
            Self::P256 => 0x11,
            Self::P384 => 0x14,
        }
    }

    /// Bytes that it signs.
    pub(super) const fn block(self) -> usize {
        match self {
            Self::Rsa2048 => 256,
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// What a card is to be.
#[derive(Clone, Debug)]
pub struct PivPlan {
    /// Its key.
    pub key: PivKey,
    /// Its UUID: the GUID of the CHUID, and in the certificate.
    pub uuid: [u8; 16],
    /// Its FASC-N: in the CHUID and in the certificate.
    pub fascn: [u8; 25],
    /// From when to when its certificate counts.
    pub certificate: Validity,
    /// The last day of the card in its CHUID, YYYYMMDD.
    pub until: &'static str,
    /// Whether the certificate lies on the card in gzip.
    pub compressed: bool,
    /// Whether the certificate is for card authentication, rather than for any signature.
    pub card_authentication: bool,
}

impl Default for PivPlan {
    /// A good card with a key on P-256.
    fn default() -> Self {
        let mut fascn = [0; 25];
        hex::decode_to_slice("d65010da01a2c1084d84a16885210c18e0842108426108c3f3", &mut fascn).expect("25 bytes");
        Self {
            key: PivKey::P256,
            uuid: Uuid::from_u128(0x6e2f_d0a4_4b3c_4f6a_9c11_0d9a_7b5e_2c44).into_bytes(),
            fascn,
            certificate: Validity::Good,
            until: "20481231",
            compressed: false,
            card_authentication: true,
        }
    }
}

/// An authority.
pub struct PivAuthority {
    key: PKey<Private>,
    certificate: X509,
}

impl PivAuthority {
    /// A new authority of this name with a key of its own.
    ///
    /// # Panics
    /// Never: these certificates can be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = PivKey::P256.make();
        let mut builder = begin(&subject(name), &subject(name), &key, Validity::Good);
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build();
        let constraints = BasicConstraints::new().critical().ca().pathlen(0).build();
        let own = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None));
        for extension in [usage, constraints, own] {
            builder.append_extension(extension.expect("an extension")).expect("it fits");
        }
        builder.sign(&key, MessageDigest::sha256()).expect("the key signs");
        Self { key, certificate: builder.build() }
    }

    /// Its own certificate, PEM: an anchor.
    ///
    /// # Panics
    /// Never: it can be written.
    #[must_use]
    pub fn certificate(&self) -> String {
        String::from_utf8(self.certificate.to_pem().expect("a certificate")).expect("PEM is text")
    }

    /// A card by this plan.
    ///
    /// # Panics
    /// When a field of the plan makes no certificate.
    #[must_use]
    pub fn card(&self, plan: &PivPlan) -> PivCard {
        let key = plan.key.make();
        let certificate = self.certify(&key, plan);
        PivCard {
            uid: [&[0x04][..], &plan.uuid[..6]].concat(),
            key,
            certificate: Some(object(&certificate, plan.compressed)),
            chuid: chuid(plan),
            roster_value: format!("piv:{}", Uuid::from_bytes(plan.uuid).hyphenated()),
            issued: certificate,
            selected: false,
            pending: Vec::new(),
            chain: None,
        }
    }

    /// A certificate object by this plan for a key that somebody else holds, in SPKI (DER), and the CHUID: what an issuer writes onto a card that
    /// made its key itself.
    ///
    /// # Panics
    /// When `key` is none.
    #[must_use]
    pub fn objects(&self, key: &[u8], plan: &PivPlan) -> (Vec<u8>, Vec<u8>) {
        let key = PKey::public_key_from_der(key).expect("a public key");
        (object(&self.certify(&key, plan), plan.compressed), chuid(plan))
    }

    fn certify<T: HasPublic>(&self, key: &PKeyRef<T>, plan: &PivPlan) -> X509 {
        let mut builder = begin(&subject("Card"), self.certificate.subject_name(), key, plan.certificate);
        let mut purpose = ExtendedKeyUsage::new();
        let purpose = if plan.card_authentication {
            purpose.critical().other("2.16.840.1.101.3.6.8")
        } else {
            purpose.client_auth()
        };
        let fascn = Asn1Object::from_str("2.16.840.1.101.3.6.6").expect("a name");
        let mut names = SubjectAlternativeName::new();
        let names = names
            .uri(&format!("urn:uuid:{}", Uuid::from_bytes(plan.uuid).hyphenated()))
            .other_name2(fascn, &tlv(0x04, &plan.fascn));
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let extensions = [
            KeyUsage::new().critical().digital_signature().build(),
            purpose.build(),
            names.build(&context),
            AuthorityKeyIdentifier::new().keyid(true).build(&context),
        ];
        for extension in extensions {
            builder.append_extension(extension.expect("an extension")).expect("it fits");
        }
        builder.sign(&self.key, MessageDigest::sha256()).expect("the key signs");
        builder.build()
    }

    /// A revocation list, PEM, with these `cards` on it: made on the first day of 2026, the next one due on the first day of the year `until`.
    ///
    /// # Panics
    /// When the year has not four digits.
    #[must_use]
    pub fn revoke(&self, cards: &[&PivCard], until: u16) -> String {
        let made = Asn1Time::from_str("20260101000000Z").expect("a time");
        let next = Asn1Time::from_str(&format!("{until:04}0101000000Z")).expect("a time");
        let mut list = X509CrlBuilder::new().expect("a list");
        list.set_issuer_name(self.certificate.subject_name()).expect("a name");
        list.set_last_update(&made).expect("a time");
        list.set_next_update(&next).expect("a time");
        for card in cards {
            let mut entry = X509RevokedBuilder::new().expect("an entry");
            entry.set_serial_number(card.issued.serial_number()).expect("a number");
            entry.set_revocation_date(&made).expect("a time");
            list.add_revoked(entry.build()).expect("it fits");
        }
        // OpenSSL words a list's extensions in the context of a certificate.
        let context = X509Builder::new().expect("a certificate");
        let context = context.x509v3_context(Some(&self.certificate), None);
        let number = BigNum::from_u32(1).and_then(CrlNumber::new).and_then(CrlNumber::build);
        for extension in [AuthorityKeyIdentifier::new().keyid(true).build(&context), number] {
            list.append_extension(extension.expect("an extension")).expect("it fits");
        }
        list.sign(&self.key, MessageDigest::sha256()).expect("the key signs");
        let list = list.build().expect("nothing is missing");
        String::from_utf8(list.to_pem().expect("a list")).expect("PEM is text")
    }
}

fn subject(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().expect("a name");
    builder.append_entry_by_nid(Nid::COMMONNAME, name).expect("a name");
    builder.build()
}

/// A certificate that lacks extensions and a signature.
fn begin<T: HasPublic>(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKeyRef<T>,
    validity: Validity,
) -> X509Builder {
    let (from, to) = match validity {
        Validity::Good => (2020, 2049),
        Validity::Expired => (2020, 2021),
        Validity::NotYet => (2048, 2049),
    };
    let first_day = |year| Asn1Time::from_str(&format!("{year}0101000000Z")).expect("a time");
    let begun = || {
        let mut builder = X509Builder::new()?;
        builder.set_version(2)?;
        let mut serial = BigNum::new()?;
        serial.rand(64, MsbOption::ONE, false)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        builder.set_subject_name(subject)?;
        builder.set_issuer_name(issuer)?;
        builder.set_pubkey(key)?;
        builder.set_not_before(&first_day(from))?;
        builder.set_not_after(&first_day(to))?;
        Ok::<_, ErrorStack>(builder)
    };
    begun().expect("these fields make a certificate")
}

/// The content of a certificate object: certificate, how it lies there, and an empty checksum (part 1, table 10).
fn object(certificate: &X509Ref, compressed: bool) -> Vec<u8> {
    let der = certificate.to_der().expect("a certificate");
    let (bytes, info) = if compressed {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&der).expect("memory takes all");
        (gzip.finish().expect("memory takes all"), 0x01)
    } else {
        (der, 0x00)
    };
    [tlv(0x70, &bytes), tlv(0x71, &[info]), tlv(0xFE, &[])].concat()
}

/// The content of a CHUID with a signature that nobody made, as long as a real one (part 1, table 9).
fn chuid(plan: &PivPlan) -> Vec<u8> {
    [
        tlv(0x30, &plan.fascn),
        tlv(0x34, &plan.uuid),
        tlv(0x35, plan.until.as_bytes()),
        tlv(0x3E, &[0xAA; 1800]),
        tlv(0xFE, &[]),
    ]
    .concat()
}

/// An element with this tag and value.
pub(super) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut element = vec![tag];
    match u8::try_from(length) {
        Ok(length @ ..0x80) => element.push(length),
        Ok(length) => element.extend([0x81, length]),
        Err(_) => {
            element.push(0x82);
            element.extend(u16::try_from(length).expect("no object is so long").to_be_bytes());
        }
    }
    element.extend_from_slice(value);
    element
}
