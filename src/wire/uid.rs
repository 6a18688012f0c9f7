//! A card's identifier (UID): its lengths, its byte orders and the ways campus systems print it.
//!
//! One order is canonical: the order in which a reader that keeps to PC/SC part 3 gives it. For ISO/IEC 14443-3 that is the
//! order of anticollision (UID0 first). Cards of eight bytes are other families: FeliCa's IDm (JIS X 6319-4), ISO/IEC 15693 and
//! iCLASS, whose readers differ in the order; `[card] uid_order` and the reversed forms are for those. Other orders exist only at
//! the borders. No error repeats a UID: positions and lengths only.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Longest identifier in bytes: triple size, ISO/IEC 14443-3.
const LONGEST: usize = 10;

/// An identifier in canonical order: 4, 7, 8 or 10 bytes. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Uid {
    bytes: [u8; LONGEST],
    length: u8,
}

/// The three sizes of ISO/IEC 14443-3, and the one of FeliCa, ISO/IEC 15693 and iCLASS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum UidLength {
    /// Single size: 4 bytes.
    Four,
    /// Double size: 7 bytes.
    Seven,
    /// FeliCa, ISO/IEC 15693 and iCLASS: 8 bytes.
    Eight,
    /// Triple size: 10 bytes.
    Ten,
}

/// A number of bytes that no identifier has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are no card identifier; allowed are 4, 7, 8 and 10")]
pub struct NotAUidLength {
    /// The number of bytes.
    pub length: usize,
}

/// In which order a reader gives the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderOrder {
    /// As the card sends them: what PC/SC part 3 asks for, and nearly every reader does.
    #[default]
    AsSent,
    /// The other way round.
    Reversed,
}

/// How a campus system prints an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UidForm {
    /// Hexadecimal, canonical order; `:`, `-` and spaces between bytes are tolerated.
    Hex,
    /// The same with the last byte first.
    HexReversed,
    /// The canonical bytes as one big-endian number, in decimal.
    Decimal,
    /// The canonical bytes as one little-endian number, in decimal: what many door systems print.
    DecimalReversed,
}

/// Why a text is not an identifier of the stated form. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UidTextError {
    /// Nothing there.
    #[error("the identifier is empty")]
    Empty,
    /// A character that the form does not have.
    #[error("character {position} is not allowed; {form} has {}", form.alphabet())]
    Character {
        /// Counted from 1.
        position: usize,
        /// The form read.
        form: UidForm,
    },
    /// Half a byte.
    #[error("there are {digits} hexadecimal digits; allowed are 8, 14, 16 and 20 (4, 7, 8 and 10 bytes)")]
    Digits {
        /// Hexadecimal digits found.
        digits: usize,
    },
    /// Another length than stated.
    #[error("the identifier has {found} bytes, {stated} were stated")]
    OtherLength {
        /// What the text holds.
        found: UidLength,
        /// What was asked for.
        stated: UidLength,
    },
    /// The number needs more bytes than stated, or than any identifier has.
    #[error("the number is too large for {length} bytes")]
    TooLarge {
        /// The length tried.
        length: UidLength,
    },
    /// The number fits no length without leading zeros.
    #[error("the number may have lost leading zeros, so its length is unclear; state it: 4, 7, 8 or 10 bytes")]
    Ambiguous,
}

/// A form nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a form of identifier; allowed are hex, hex-reversed, decimal, decimal-reversed")]
pub struct UnknownUidForm {
    /// What was given.
    pub name: String,
}

impl Uid {
    /// Takes what a reader gave.
    ///
    /// ```
    /// use examgate::wire::uid::{ReaderOrder, Uid};
    ///
    /// let uid = Uid::from_reader(&[0x04, 0xA2, 0x2B, 0x91, 0x5C, 0x66, 0x80], ReaderOrder::AsSent)?;
    /// assert_eq!(uid.as_bytes()[0], 0x04);
    /// let backwards = Uid::from_reader(&[0x80, 0x66, 0x5C, 0x91, 0x2B, 0xA2, 0x04], ReaderOrder::Reversed)?;
    /// assert_eq!(uid, backwards);
    /// # Ok::<(), examgate::wire::uid::NotAUidLength>(())
    /// ```
    ///
    /// # Errors
    /// When `bytes` are not 4, 7, 8 or 10.
    pub fn from_reader(bytes: &[u8], order: ReaderOrder) -> Result<Self, NotAUidLength> {
        let length = UidLength::try_from(bytes.len())?.bytes();
        let mut uid = Self { bytes: [0; LONGEST], length: length as u8 };
        let own = &mut uid.bytes[..length];
        own.copy_from_slice(bytes);
        match order {
            ReaderOrder::AsSent => {}
            ReaderOrder::Reversed => own.reverse(),
        }
        Ok(uid)
    }

    /// The bytes in canonical order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether the card makes up a new identifier at every tap: four bytes starting 08 (ISO/IEC 14443-3, RID).
    /// Phones do. It does not find cards that use a fixed number starting otherwise but share it between cards.
    #[must_use]
    pub fn is_random(&self) -> bool {
        matches!(self.as_bytes(), [0x08, _, _, _])
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({} bytes, redacted)", self.length)
    }
}

impl UidLength {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Seven => 7,
            Self::Eight => 8,
            Self::Ten => 10,
        }
    }

    /// The length whose identifiers, none starting with a zero byte, are the numbers around `value`.
    ///
    /// Seven, eight and ten bytes start with a manufacturer code (ISO/IEC 7816-6), and 00 is none, so such numbers have a
    /// lower bound too. What lies between is ambiguous: for instance a reversed seven-byte number ending in a zero byte. A
    /// reversed eight-byte number ending in a zero byte looks like one of seven bytes: state the length of such exports.
    const fn of_number(value: u128) -> Option<Self> {
        match value.checked_ilog2() {
            None | Some(0..32) => Some(Self::Four),
            Some(48..56) => Some(Self::Seven),
            Some(56..64) => Some(Self::Eight),
            Some(72..80) => Some(Self::Ten),
            Some(_) => None,
        }
    }
}

impl TryFrom<usize> for UidLength {
    type Error = NotAUidLength;

    fn try_from(length: usize) -> Result<Self, NotAUidLength> {
        match length {
            4 => Ok(Self::Four),
            7 => Ok(Self::Seven),
            8 => Ok(Self::Eight),
            10 => Ok(Self::Ten),
            _ => Err(NotAUidLength { length }),
        }
    }
}

impl TryFrom<u8> for UidLength {
    type Error = NotAUidLength;

    fn try_from(length: u8) -> Result<Self, NotAUidLength> {
        usize::from(length).try_into()
    }
}

impl From<UidLength> for u8 {
    fn from(length: UidLength) -> Self {
        length.bytes() as Self
    }
}

impl fmt::Display for UidLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

impl UidForm {
    /// Every form, in the order in which help texts list them.
    pub const ALL: [Self; 4] = [Self::Hex, Self::HexReversed, Self::Decimal, Self::DecimalReversed];

    /// The name in configs, column headers and arguments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::HexReversed => "hex-reversed",
            Self::Decimal => "decimal",
            Self::DecimalReversed => "decimal-reversed",
        }
    }

    const fn alphabet(self) -> &'static str {
        match self {
            Self::Hex | Self::HexReversed => "digits, A to F, and `:`, `-` or a space between bytes",
            Self::Decimal | Self::DecimalReversed => "digits only",
        }
    }

    const fn order(self) -> ReaderOrder {
        match self {
            Self::Hex | Self::Decimal => ReaderOrder::AsSent,
            Self::HexReversed | Self::DecimalReversed => ReaderOrder::Reversed,
        }
    }

    /// Reads an exported identifier. White space around it is ignored.
    ///
    /// Hexadecimal text carries its length. Decimal text does not, as leading zeros get lost: without a stated `length`
    /// it is told from the number's size (below 2^32: 4 bytes; 2^48 to 2^56: 7; 2^56 to 2^64: 8; 2^72 to 2^80: 10) and refused
    /// elsewhere. State the length where an export holds reversed numbers of seven or eight bytes: one card in 256 ends in a zero byte.
    ///
    /// ```
    /// use examgate::wire::uid::{ReaderOrder, Uid, UidForm, UidLength};
    ///
    /// let tapped = Uid::from_reader(&[0xC0, 0xFF, 0xEE, 0x01], ReaderOrder::AsSent)?;
    /// assert_eq!(UidForm::Hex.parse(" C0:FF:EE:01 ", None)?, tapped);
    /// assert_eq!(UidForm::Decimal.parse("3237998081", None)?, tapped);
    /// assert!(UidForm::Hex.parse("C0:FF:EE:01", Some(UidLength::Seven)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the text is not of this form, has another length than stated, or is ambiguous.
    pub fn parse(self, text: &str, length: Option<UidLength>) -> Result<Uid, UidTextError> {
        let before = text.chars().take_while(|c| c.is_whitespace()).count();
        let text = text.trim();
        if text.is_empty() {
            return Err(UidTextError::Empty);
        }
        let bytes = match self {
            Self::Hex | Self::HexReversed => self.hex_bytes(text, before, length)?,
            Self::Decimal | Self::DecimalReversed => self.decimal_bytes(text, before, length)?,
        };
        Ok(Uid::from_reader(&bytes, self.order()).expect("both readers of text give 4, 7, 8 or 10 bytes"))
    }

    fn hex_bytes(
        self,
        text: &str,
        before: usize,
        stated: Option<UidLength>,
    ) -> Result<Zeroizing<Vec<u8>>, UidTextError> {
        // Room for the longest: no reallocation leaves an unwiped copy behind.
        let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut after_separator = true;
        for (at, c) in text.chars().enumerate() {
            match c.to_digit(16) {
                Some(digit) => {
                    digits.push(digit as u8);
                    after_separator = false;
                }
                None if matches!(c, ':' | '-' | ' ') && digits.len() % 2 == 0 && !after_separator => {
                    after_separator = true;
                }
                None => return Err(UidTextError::Character { position: before + at + 1, form: self }),
            }
        }
        if after_separator {
            return Err(UidTextError::Character { position: before + text.chars().count(), form: self });
        }
        let odd = digits.len() % 2 == 1;
        let found = UidLength::try_from(digits.len() / 2).ok().filter(|_| !odd);
        let found = found.ok_or(UidTextError::Digits { digits: digits.len() })?;
        match stated {
            Some(stated) if stated != found => Err(UidTextError::OtherLength { found, stated }),
            Some(_) | None => {
                Ok(Zeroizing::new(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()))
            }
        }
    }

    fn decimal_bytes(
        self,
        text: &str,
        before: usize,
        stated: Option<UidLength>,
    ) -> Result<Zeroizing<Vec<u8>>, UidTextError> {
        let mut value = 0_u128;
        for (at, c) in text.chars().enumerate() {
            let digit = c.to_digit(10).ok_or(UidTextError::Character { position: before + at + 1, form: self })?;
            // Saturating is enough: 2^128 - 1 is too large for every length.
            value = value.saturating_mul(10).saturating_add(u128::from(digit));
        }
        if value.checked_ilog2() >= Some(80) {
            return Err(UidTextError::TooLarge { length: UidLength::Ten });
        }
        let length = stated.or(UidLength::of_number(value)).ok_or(UidTextError::Ambiguous)?;
        let bytes = Zeroizing::new(value.to_be_bytes());
        let (rest, own) = bytes.split_at(bytes.len() - length.bytes());
        if rest.iter().any(|&b| b != 0) {
            return Err(UidTextError::TooLarge { length });
        }
        Ok(Zeroizing::new(own.to_vec()))
    }
}

impl fmt::Display for UidForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for UidForm {
    type Err = UnknownUidForm;

    fn from_str(name: &str) -> Result<Self, UnknownUidForm> {
        Self::ALL.into_iter().find(|form| form.name() == name).ok_or_else(|| UnknownUidForm { name: name.into() })
    }
}

#[cfg(test)]
mod tests;
