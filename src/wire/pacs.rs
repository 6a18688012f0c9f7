//! The number of a card in an access control system (PACS): a facility code and a card number in Wiegand bits, as a reader's secure
//! element reads them out of iCLASS, Seos and other cards, and the ways in which campus systems write them.
//!
//! The reader proves the card to itself with keys that it holds; this program believes the reader. No error repeats a number.

mod forms;
mod secure_element;

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use forms::{PacsForm, UnknownPacsForm};
pub use secure_element::{COMMANDS, SecureElementError};

/// Most bits that are taken: no form has more.
pub const MOST_BITS: u32 = 64;

/// Where a reader gives the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacsSource {
    /// By a command to its secure element (HID OMNIKEY).
    #[default]
    SecureElement,
    /// In the place of the identifier, in answer to GET DATA: right-aligned, with zeros before it. Such a reader gives the identifier
    /// of a card that has no number in the same way, so the number proves no more than an identifier does.
    GetData,
}

/// Wiegand bits as they came, at most [`MOST_BITS`]. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PacsBits {
    /// The first bit is the highest of `length`.
    value: u64,
    length: u32,
}

impl PacsBits {
    /// Takes a bit string: `unused` counts the bits at the end of `bytes` that belong to nothing (X.690, 8.6). `None`: there are no
    /// bits, or too many.
    #[must_use]
    pub fn of_bit_string(unused: u8, bytes: &[u8]) -> Option<Self> {
        let length = u32::try_from(bytes.len()).ok()?.checked_mul(8)?.checked_sub(u32::from(unused))?;
        if unused > 7 || length == 0 || bytes.len() > 8 {
            return None;
        }
        let value = bytes.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte)) >> unused;
        Some(Self { value, length })
    }

    /// Takes the `form`'s bits from the end of `bytes`. `None`: something other than zeros stands before them, or there are too few.
    #[must_use]
    pub fn right_aligned(bytes: &[u8], form: PacsForm) -> Option<Self> {
        let length = form.bits();
        if bytes.len() > 8 || bytes.len() * 8 < length as usize {
            return None;
        }
        let value = bytes.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        (value >> length == 0).then_some(Self { value, length })
    }

    /// How many bits there are.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// The bit at place `at`, counted from 0 at the front.
    const fn bit(&self, at: u32) -> bool {
        self.value >> (self.length - 1 - at) & 1 == 1
    }

    /// `count` bits from `first` as a number.
    const fn field(&self, (first, count): (u32, u32)) -> u64 {
        if count == 0 {
            return 0;
        }
        self.value >> (self.length - first - count) & (u64::MAX >> (64 - count))
    }
}

impl fmt::Debug for PacsBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacsBits({} bits, redacted)", self.length)
    }
}

/// A facility code and a card number in one form. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PacsNumber {
    #[zeroize(skip)]
    form: PacsForm,
    facility: u32,
    number: u64,
}

/// Why bits are no number of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacsError {
    /// Another form's length.
    #[error("there are {found} bits, {form} has {}", form.bits())]
    Length {
        /// Bits there are.
        found: u32,
        /// The form read.
        form: PacsForm,
    },
    /// A parity bit does not fit.
    #[error("the parity of {form} does not fit: the bits were damaged, or are of another form of that length")]
    Parity {
        /// The form read.
        form: PacsForm,
    },
}

/// Why a text is no number. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacsTextError {
    /// Nothing says how the number is coded.
    #[error(
        "the form is not stated: write it before the number, as in h10301:31-337, or name the column's form; known are {}",
        PacsForm::NAMES
    )]
    NoForm,
    /// Nothing says which site it is of.
    #[error("{form} has a facility code: write it before the number, as in 31-337, or name the column's facility code")]
    NoFacility {
        /// The form read.
        form: PacsForm,
    },
    /// There is one too many.
    #[error("{form} has no facility code: write the card number alone")]
    Facility {
        /// The form read.
        form: PacsForm,
    },
    /// Not two numbers.
    #[error("a facility code and a card number in decimal are wanted, as in 31-337")]
    Digits,
    /// More than the form's field holds.
    #[error("the facility code is too large for {form}, which has {} bits for it", form.facility_bits())]
    FacilityTooLarge {
        /// The form read.
        form: PacsForm,
    },
    /// More than the form's field holds.
    #[error("the card number is too large for {form}, which has {} bits for it", form.number_bits())]
    NumberTooLarge {
        /// The form read.
        form: PacsForm,
    },
}

/// What a table's column says of its numbers, where the cells do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacsColumn {
    /// The form of numbers without one.
    pub form: Option<PacsForm>,
    /// The facility code of numbers without one.
    pub facility: Option<u32>,
}

impl PacsNumber {
    /// A number of `form` if its fields hold it.
    ///
    /// # Errors
    /// When a field is too small, or the form has no facility code and one is given.
    pub fn new(form: PacsForm, facility: Option<u32>, number: u64) -> Result<Self, PacsTextError> {
        let facility = match (form.facility_bits(), facility) {
            (0, None) => 0,
            (0, Some(_)) => return Err(PacsTextError::Facility { form }),
            (_, None) => return Err(PacsTextError::NoFacility { form }),
            (bits, Some(facility)) if u64::from(facility) >> bits != 0 => {
                return Err(PacsTextError::FacilityTooLarge { form });
            }
            (_, Some(facility)) => facility,
        };
        if number >> form.number_bits() != 0 {
            return Err(PacsTextError::NumberTooLarge { form });
        }
        Ok(Self { form, facility, number })
    }

    /// Reads what stands in a roster: `h10301:31-337`, or without the form or the facility code where `column` says them.
    ///
    /// ```
    /// use examgate::wire::pacs::{PacsColumn, PacsForm, PacsNumber};
    ///
    /// let whole = PacsNumber::parse("h10301:31-337", PacsColumn::default())?;
    /// let column = PacsColumn { form: Some(PacsForm::H10301), facility: Some(31) };
    /// assert_eq!(PacsNumber::parse("00337", column)?, whole);
    /// assert_eq!(*whole.roster_value(), "h10301:31-337");
    /// # Ok::<(), examgate::wire::pacs::PacsTextError>(())
    /// ```
    ///
    /// # Errors
    /// What is missing or does not fit.
    pub fn parse(text: &str, column: PacsColumn) -> Result<Self, PacsTextError> {
        let text = text.trim();
        let (form, rest) = match PacsForm::prefix(text) {
            Some((form, rest)) => (form, rest),
            None => (column.form.ok_or(PacsTextError::NoForm)?, text),
        };
        let digits = |text: &str| -> Result<u64, PacsTextError> {
            let text = text.trim();
            // `parse` alone would take a sign.
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| plain).ok_or(PacsTextError::Digits)
        };
        let (facility, number) = match rest.split_once(['-', ':']) {
            Some((facility, number)) => {
                let too_large = |_| PacsTextError::FacilityTooLarge { form };
                (Some(u32::try_from(digits(facility)?).map_err(too_large)?), digits(number)?)
            }
            None => (column.facility.filter(|_| form.facility_bits() > 0), digits(rest)?),
        };
        Self::new(form, facility, number)
    }

    /// Whether a text begins with a form's name, so that it is meant as such a number and not as an identifier.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        PacsForm::prefix(text.trim()).is_some()
    }

    /// How the number is coded.
    #[must_use]
    pub const fn form(&self) -> PacsForm {
        self.form
    }

    /// What a roster's `pacs` column takes: form, facility code where the form has one, card number.
    #[must_use]
    pub fn roster_value(&self) -> Zeroizing<String> {
        let Self { form, facility, number } = self;
        Zeroizing::new(match form.facility_bits() {
            0 => format!("{form}:{number}"),
            _ => format!("{form}:{facility}-{number}"),
        })
    }

    /// The bytes that a pseudonym is made of. Two numbers have the same only if all three parts are the same.
    #[must_use]
    pub fn identifier(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(40));
        bytes.extend_from_slice(self.form.name().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&self.facility.to_be_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

impl fmt::Debug for PacsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacsNumber({}, redacted)", self.form)
    }
}

#[cfg(test)]
mod tests;
