//! A card authentication certificate: out of the card's object, and what it says of the card. What it says is believed only of one whose
//! path was checked.

use std::io::Read as _;

use flate2::read::GzDecoder;
use openssl::x509::{X509, X509Ref};
use uuid::Uuid;
use x509_parser::{
    asn1_rs::{Any, FromDer as _},
    der_parser::{Oid, oid},
    extensions::GeneralName,
    prelude::X509Certificate,
};
use zeroize::Zeroizing;

use crate::wire::piv::{
    CertificatePurpose, Chuid, FASCN_BYTES, GUID_BYTES, MOST_CERTIFICATE_BYTES, PivError, PivNumber, StoredCertificate,
};

/// id-PIV-cardAuth: what a card authentication certificate is issued for. FIPS 201-2, appendix B.1.
const CARD_AUTHENTICATION: Oid<'static> = oid!(2.16.840.1.101.3.6.8);

/// pivFASC-N: the kind of name under which a certificate repeats the FASC-N. FIPS 201-2, appendix B.1.
const FASCN: Oid<'static> = oid!(2.16.840.1.101.3.6.6);

/// How a certificate repeats the card's UUID, RFC 4122.
const UUID: &str = "urn:uuid:";

/// Reads what lies on the card.
///
/// # Errors
/// When it is no certificate, or a longer one than any card has.
pub(super) fn read(stored: StoredCertificate<'_>) -> Result<X509, PivError> {
    let der = if stored.compressed {
        let mut der = Vec::new();
        // One byte more than is allowed tells that there is more.
        let mut inflated = GzDecoder::new(stored.bytes).take(MOST_CERTIFICATE_BYTES as u64 + 1);
        inflated.read_to_end(&mut der).map_err(|_| PivError::Certificate)?;
        der
    } else {
        stored.bytes.to_vec()
    };
    if der.len() > MOST_CERTIFICATE_BYTES {
        return Err(PivError::Certificate);
    }
    X509::from_der(&der).map_err(|_| PivError::Certificate)
}

/// The numbers of the card that a certificate repeats among its subject's alternative names.
pub(super) struct Names {
    uuids: Vec<[u8; GUID_BYTES]>,
    fascns: Vec<Zeroizing<[u8; FASCN_BYTES]>>,
}

/// Reads them.
///
/// # Errors
/// When the certificate is not for signatures of this `purpose`.
pub(super) fn names(leaf: &X509Ref, purpose: CertificatePurpose) -> Result<Names, PivError> {
    let der = leaf.to_der().map_err(|_| PivError::Certificate)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| PivError::Certificate)?;
    let usage = certificate.key_usage().map_err(|_| PivError::Certificate)?;
    let signs = usage.is_some_and(|usage| usage.value.digital_signature());
    let purposes = certificate.extended_key_usage().map_err(|_| PivError::Certificate)?;
    let is_for_cards = purposes.is_some_and(|purposes| purposes.value.other.contains(&CARD_AUTHENTICATION));
    let fits = match purpose {
        CertificatePurpose::CardAuthentication => is_for_cards,
        CertificatePurpose::AnySignature => true,
    };
    if !signs || !fits {
        return Err(PivError::Usage);
    }
    let named = certificate.subject_alternative_name().map_err(|_| PivError::Certificate)?;
    let mut names = Names { uuids: Vec::new(), fascns: Vec::new() };
    for name in named.iter().flat_map(|named| &named.value.general_names) {
        if let GeneralName::URI(uri) = name {
            names.uuids.extend(uuid(uri));
        } else if let GeneralName::OtherName(kind, value) = name
            && *kind == FASCN
        {
            names.fascns.extend(fascn(value));
        }
    }
    Ok(names)
}

impl Names {
    /// The number of the card whose CHUID this is, if the CHUID is of the certificate's card.
    ///
    /// # Errors
    /// When it is of another card, or has no number.
    pub(super) fn number_of(&self, chuid: &Chuid) -> Result<PivNumber, PivError> {
        let number = PivNumber::of(chuid).ok_or(PivError::NoNumber)?;
        let is_named = self.uuids.iter().any(|uuid| uuid == number.identifier())
            || self.fascns.iter().any(|fascn| fascn[..] == *number.identifier());
        // A FASC-N that the certificate has must fit too, also where the UUID is the number.
        let fits =
            self.fascns.is_empty() || chuid.fascn().is_none_or(|held| self.fascns.iter().any(|fascn| **fascn == *held));
        if is_named && fits { Ok(number) } else { Err(PivError::OtherCard) }
    }
}

fn uuid(uri: &str) -> Option<[u8; GUID_BYTES]> {
    let (mark, text) = uri.split_at_checked(UUID.len())?;
    let uuid = mark.eq_ignore_ascii_case(UUID).then(|| Uuid::try_parse(text).ok()).flatten()?;
    Some(uuid.into_bytes())
}

/// Out of `[0] EXPLICIT OCTET STRING`, as RFC 5280, section 4.2.1.6 writes the value of such a name.
fn fascn(value: &[u8]) -> Option<Zeroizing<[u8; FASCN_BYTES]>> {
    let (_, explicit) = Any::from_der(value).ok()?;
    let (_, octets) = Any::from_der(explicit.data).ok()?;
    Some(Zeroizing::new(octets.data.try_into().ok()?))
}
