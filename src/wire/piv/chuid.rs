//! The cardholder unique identifier (CHUID), SP 800-73-4 part 1, section 3.1.2 and table 9: the numbers of the card, and until when it
//! counts.
//!
//! The signature at its end is not read: a copy has it too. What binds the numbers to the card is the certificate, which repeats them
//! (docs/decisions/0158).

use std::fmt;

use jiff::civil::Date;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{OBJECT, PivError, tlv};

/// Bytes of a FASC-N: 40 digits and marks of five bits.
pub const FASCN_BYTES: usize = 25;

/// Bytes of a GUID.
pub const GUID_BYTES: usize = 16;

const FASCN: u8 = 0x30;
const GUID: u8 = 0x34;
const EXPIRATION: u8 = 0x35;

/// What is read of a CHUID. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Chuid {
    fascn: Option<[u8; FASCN_BYTES]>,
    guid: Option<[u8; GUID_BYTES]>,
    #[zeroize(skip)]
    expires: Date,
}

impl Chuid {
    /// Reads the content of the object.
    ///
    /// # Errors
    /// When a field has another length than the standard gives it, or the date is none.
    pub fn read(content: &[u8]) -> Result<Self, PivError> {
        let expires = tlv::find(content, EXPIRATION).and_then(date).ok_or(PivError::NoExpiration)?;
        Ok(Self { fascn: field(content, FASCN)?, guid: field(content, GUID)?, expires })
    }

    /// Reads the beginning of an answer that goes on. `None`: not all that is wanted is there yet. What is left then is the signature,
    /// which need not be fetched.
    #[must_use]
    pub fn begun(answer: &[u8]) -> Option<Self> {
        let (tag, length, content) = tlv::header(answer)?;
        let content = content.get(..length).unwrap_or(content);
        let is_there = |tag| tlv::find(content, tag).is_some();
        let whole = tag == OBJECT && is_there(FASCN) && is_there(GUID) && is_there(EXPIRATION);
        whole.then(|| Self::read(content).ok()).flatten()
    }

    /// The federal agency smart credential number, if the card has one.
    #[must_use]
    pub const fn fascn(&self) -> Option<&[u8; FASCN_BYTES]> {
        self.fascn.as_ref()
    }

    /// The card's UUID, if it has one. All zeros: it has none.
    #[must_use]
    pub const fn guid(&self) -> Option<&[u8; GUID_BYTES]> {
        self.guid.as_ref()
    }

    /// The last day on which the card counts.
    #[must_use]
    pub const fn expires(&self) -> Date {
        self.expires
    }
}

impl fmt::Debug for Chuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chuid(until {}, redacted)", self.expires)
    }
}

fn field<const N: usize>(content: &[u8], tag: u8) -> Result<Option<[u8; N]>, PivError> {
    tlv::find(content, tag).map(|value| value.try_into().map_err(|_| PivError::Field { tag })).transpose()
}

/// Eight digits: YYYYMMDD.
fn date(text: &[u8]) -> Option<Date> {
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = text.split_at(4);
    let (month, day) = rest.split_at(2);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}
