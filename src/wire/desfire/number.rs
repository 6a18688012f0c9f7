//! What a card that proved itself is called, and how that stands in a roster.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::DesfireError;

/// What stands before the bytes in a roster.
const PREFIX: &str = "desfire:";

/// Most bytes of an identity.
const MOST: usize = 32;

/// The identity of a DESFire card: 1 to 32 bytes out of its file, or its real identifier. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct DesfireNumber(Vec<u8>);

/// Why a text is no identity. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesfireTextError {
    /// Nothing, or an odd number of digits, or something else.
    #[error("an identity in hexadecimal is wanted, two digits for each byte, as in desfire:0123ABCD")]
    Digits,
    /// Too many bytes.
    #[error("the identity is {length} bytes long, at most {} are allowed", MOST)]
    TooLong {
        /// How many there are.
        length: usize,
    },
    /// The content of a file that was never written.
    #[error("the identity is one byte over and over, as on a card that was never written")]
    Blank,
}

impl DesfireNumber {
    /// Takes what stands in a card.
    ///
    /// # Errors
    /// There is nothing, or too much, or the same byte over and over: zeros are what a file holds that was never written, and such
    /// cards would all be called the same.
    pub fn new(bytes: &[u8]) -> Result<Self, DesfireError> {
        if !(1..=MOST).contains(&bytes.len()) {
            return Err(DesfireError::Length { found: bytes.len(), wanted: MOST });
        }
        if is_blank(bytes) {
            return Err(DesfireError::Blank);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// Reads what stands in a roster, with or without `desfire:` before it, in large or small letters.
    ///
    /// ```
    /// use examgate::wire::desfire::DesfireNumber;
    ///
    /// let number = DesfireNumber::parse("desfire:0123abcd")?;
    /// assert_eq!(*number.roster_value(), "desfire:0123ABCD");
    /// assert_eq!(DesfireNumber::parse("0123ABCD")?, number);
    /// # Ok::<(), examgate::wire::desfire::DesfireTextError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, DesfireTextError> {
        let digits = without_prefix(text.trim()).unwrap_or(text.trim());
        // A table's cell may be of any length.
        if digits.len() > 2 * MOST {
            return Err(DesfireTextError::TooLong { length: digits.len() / 2 });
        }
        let bytes = Zeroizing::new(hex::decode(digits).map_err(|_| DesfireTextError::Digits)?);
        match Self::new(&bytes) {
            Ok(number) => Ok(number),
            Err(DesfireError::Blank) => Err(DesfireTextError::Blank),
            Err(_) => Err(DesfireTextError::Digits),
        }
    }

    /// Whether a text begins with `desfire:`, so that it is meant as such an identity.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        without_prefix(text.trim()).is_some()
    }

    /// What a roster's `desfire` column takes.
    #[must_use]
    pub fn roster_value(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode_upper(&self.0));
        Zeroizing::new(format!("{PREFIX}{}", *digits))
    }

    /// The bytes that a pseudonym is made of.
    #[must_use]
    pub fn identifier(&self) -> &[u8] {
        &self.0
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    // One byte cannot repeat.
    bytes.len() > 1 && bytes.windows(2).all(|pair| pair[0] == pair[1])
}

fn without_prefix(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(rest.trim_start())
}

impl fmt::Debug for DesfireNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DesfireNumber(redacted)")
    }
}
