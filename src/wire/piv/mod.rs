//! PIV cards (NIST SP 800-73-4, part 2): commands to the card's application, and the judgement of its answers. What the profile `piv`
//! reads is the card authentication certificate and the CHUID, and a challenge that the card signs with the key of that certificate
//! (slot 9E), which asks for no PIN.
//!
//! What a certificate is worth is judged where it is verified. No error repeats a byte of an answer.

mod chuid;
mod number;
mod tlv;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use chuid::{Chuid, FASCN_BYTES, GUID_BYTES};
pub use number::{PivNumber, PivTextError};

/// SELECT of the card's application by its whole name, SP 800-73-4 part 2, section 3.1.1; the name is in part 1, section 2.2.
pub const SELECT: [u8; 17] =
    [0x00, 0xA4, 0x04, 0x00, 0x0B, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00, 0x00];

/// NIST's part of that name, which the answer to SELECT holds (part 2, table 3).
const PROVIDER: [u8; 5] = [0xA0, 0x00, 0x00, 0x03, 0x08];

/// Commands that one object may take: no standard object is larger than 3 kB (part 1, table 7), and contactless cards give it in parts
/// of up to 256 bytes.
pub const MOST_PARTS: u8 = 23;

/// Most bytes of a certificate, also of one that was compressed: more than four times what the standard allows for (part 1, table 7).
pub const MOST_CERTIFICATE_BYTES: usize = 8192;

/// Tag of an object in the answer to GET DATA.
const OBJECT: u8 = 0x53;

/// Tags of a certificate object: the certificate, and what is said of it (part 1, table 10).
const CERTIFICATE: u8 = 0x70;
const CERTIFICATE_INFO: u8 = 0x71;

/// Compressed with gzip: the lowest bit since SP 800-73-3. The first edition left open which, and older cards set the highest (OpenSC,
/// `card-piv.c`).
const COMPRESSED: u8 = 0x81;

/// Tags of GENERAL AUTHENTICATE: the template, in it the challenge, and the response: empty where it is asked for (part 2, table 7).
const AUTHENTICATION: u8 = 0x7C;
const CHALLENGE: u8 = 0x81;
const RESPONSE: u8 = 0x82;

/// The slot of the card authentication key, part 1, table 4b.
const CARD_AUTHENTICATION: u8 = 0x9E;

/// Bytes of data in a short command: longer ones are chained, class 10 until the last (part 2, section 2.4).
const MOST_DATA: usize = 255;

/// Why a PIV card gives no number. Holds no byte of what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PivError {
    /// The application is not on the card.
    #[error("the card has no PIV application")]
    NoApplication,
    /// Nobody put a card authentication certificate on it, so there is nothing to prove itself by.
    #[error("the card has the PIV application, but no card authentication certificate")]
    NoCertificate,
    /// There is no answer: the card was pulled.
    #[error("the card's answer is {length} bytes long, a status word takes 2: it was taken away")]
    NoAnswer {
        /// Bytes of the answer.
        length: usize,
    },
    /// The answer to GET DATA is no object.
    #[error("the card's answer of {length} bytes is no PIV object")]
    NoObject {
        /// Bytes of the answer.
        length: usize,
    },
    /// A field of the CHUID has another length than the standard gives it.
    #[error("the CHUID's field {tag:02X} has a wrong length")]
    Field {
        /// Its tag.
        tag: u8,
    },
    /// The CHUID has no date.
    #[error("the CHUID does not say until when the card counts")]
    NoExpiration,
    /// Nothing that tells the card from others.
    #[error("the CHUID has neither a UUID nor a FASC-N that tells the card from others")]
    NoNumber,
    /// No certificates count without one.
    #[error("the clock is not believed, and certificates count from one day to another")]
    NoClock,
    /// OpenSSL does not read it.
    #[error("the card authentication certificate cannot be read, or is too long")]
    Certificate,
    /// Nobody whom the site trusts issued it.
    #[error("no anchor of [card.piv] leads to the card authentication certificate: {why}")]
    NoPath {
        /// In OpenSSL's words.
        why: &'static str,
    },
    /// Its time is over, or has not come.
    #[error("the card authentication certificate is expired or not valid yet")]
    CertificateExpired,
    /// Its issuer revoked it.
    #[error("the card authentication certificate is revoked")]
    Revoked,
    /// Nothing says whether it is revoked.
    #[error("[card.piv] revocation has no list of the certificate's issuer")]
    NoRevocationList,
    /// What says so is too old.
    #[error("the revocation list of the certificate's issuer is overdue; fetch a newer one, or set revocation_overdue")]
    RevocationOverdue,
    /// It is not for this.
    #[error("the card authentication certificate is not for signatures by which a card proves itself")]
    Usage,
    /// Its key is of a kind that PIV does not have.
    #[error("the certificate's key is not RSA-2048, P-256 or P-384")]
    Algorithm,
    /// The card does not sign.
    #[error("the card does not sign the challenge (status word {status:04X}; 0000: its answer holds no signature)")]
    NoSignature {
        /// SW1 SW2; zero: the answer held no signature.
        status: u16,
    },
    /// It has another key, or none.
    #[error("the challenge was not signed by the certificate's key")]
    Signature,
    /// Certificate and CHUID are of two cards.
    #[error("the CHUID's number is not in the card authentication certificate")]
    OtherCard,
    /// The card's time is over.
    #[error("the card expired on the day that its CHUID says")]
    CardExpired,
}

/// What becomes of a card while the newest list of its issuer's revocations is overdue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationOverdue {
    /// It is referred: it may have been revoked since.
    #[default]
    Refer,
    /// It counts, unless the overdue list has it.
    Accept,
}

/// What a certificate must be issued for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificatePurpose {
    /// Card authentication, as FIPS 201 asks for: extended key usage id-PIV-cardAuth, 2.16.840.1.101.3.6.8.
    #[default]
    CardAuthentication,
    /// Digital signatures of any kind: for an authority of the site's own that does not set that usage.
    AnySignature,
}

/// What is read of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Cardholder unique identifier.
    Chuid,
    /// X.509 certificate for card authentication.
    CardCertificate,
}

impl Object {
    /// GET DATA for it, part 2, section 3.1.2; the object's name is in part 1, table 3.
    #[must_use]
    pub const fn get(self) -> [u8; 11] {
        let last = match self {
            Self::Chuid => 0x02,
            Self::CardCertificate => 0x01,
        };
        [0x00, 0xCB, 0x3F, 0xFF, 0x05, 0x5C, 0x03, 0x5F, 0xC1, last, 0x00]
    }

    /// What is in the object that answered [`Self::get`].
    ///
    /// # Errors
    /// When it is no object, or not whole.
    pub fn content(answer: &[u8]) -> Result<&[u8], PivError> {
        match tlv::element(answer) {
            Some((OBJECT, content, _)) => Ok(content),
            _ => Err(PivError::NoObject { length: answer.len() }),
        }
    }
}

/// Whether the data that answered [`SELECT`] is a PIV application's. Some cards say success to any name: what they say counts.
#[must_use]
pub fn is_selected(answer: &[u8]) -> bool {
    answer.windows(PROVIDER.len()).any(|part| part == PROVIDER)
}

/// A certificate as it lies on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredCertificate<'a> {
    /// DER, or gzip of it.
    pub bytes: &'a [u8],
    /// Whether it is gzip.
    pub compressed: bool,
}

impl<'a> StoredCertificate<'a> {
    /// Reads the content of the object. `None`: nobody put a certificate there.
    #[must_use]
    pub fn read(content: &'a [u8]) -> Option<Self> {
        let bytes = tlv::find(content, CERTIFICATE).filter(|bytes| !bytes.is_empty())?;
        let info = tlv::find(content, CERTIFICATE_INFO);
        Some(Self {
            bytes,
            compressed: info.is_some_and(|info| info.first().is_some_and(|byte| byte & COMPRESSED != 0)),
        })
    }
}

/// Keys that a card authentication certificate may have, SP 800-78-4, table 3-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA of 2048 bits.
    Rsa2048,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::P256, Self::P384];

    /// Its number in commands, SP 800-78-4, table 6-2.
    const fn reference(self) -> u8 {
        match self {
            Self::Rsa2048 => 0x07,
            Self::P256 => 0x11,
            Self::P384 => 0x14,
        }
    }

    /// Bytes that are signed as they are: a hash with an elliptic curve, a padded block with RSA.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Rsa2048 => 256,
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// GENERAL AUTHENTICATE by which the card signs `block` (part 2, section 3.2.4): commands to send one after the other. All but the
    /// last are answered with nothing but success.
    #[must_use]
    pub fn authenticate(self, block: &[u8]) -> Vec<Vec<u8>> {
        let template = [tlv::write(RESPONSE, &[]), tlv::write(CHALLENGE, block)].concat();
        let data = tlv::write(AUTHENTICATION, &template);
        let mut parts = data.chunks(MOST_DATA).peekable();
        let mut commands = Vec::new();
        while let Some(part) = parts.next() {
            let length = u8::try_from(part.len()).unwrap_or(u8::MAX);
            let (class, expected) = if parts.peek().is_some() { (0x10, None) } else { (0x00, Some(0)) };
            let header = [class, 0x87, self.reference(), CARD_AUTHENTICATION, length];
            commands.push(header.into_iter().chain(part.iter().copied()).chain(expected).collect());
        }
        commands
    }
}

/// The signature in the answer to [`Algorithm::authenticate`].
///
/// # Errors
/// When there is none.
pub fn signature(answer: &[u8]) -> Result<&[u8], PivError> {
    let template = match tlv::element(answer) {
        Some((AUTHENTICATION, template, _)) => Some(template),
        _ => None,
    };
    let signature = template.and_then(|template| tlv::find(template, RESPONSE)).filter(|value| !value.is_empty());
    signature.ok_or(PivError::NoSignature { status: 0 })
}

/// What an RSA key of 2048 bits signs for this SHA-256 `digest`: EMSA-PKCS1-v1_5, RFC 8017, section 9.2. A card pads nothing itself.
#[must_use]
pub fn rsa_block(digest: &[u8; 32]) -> Zeroizing<[u8; 256]> {
    /// The DER before a SHA-256 digest, RFC 8017, section 9.2, note 1.
    const DIGEST_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
        0x20,
    ];
    let mut block = Zeroizing::new([0xFF; 256]);
    (block[0], block[1]) = (0x00, 0x01);
    let (padding, end) = block.split_at_mut(256 - 32 - 19);
    padding[padding.len() - 1] = 0x00;
    end[..19].copy_from_slice(&DIGEST_INFO);
    end[19..].copy_from_slice(digest);
    block
}

#[cfg(test)]
mod tests;
