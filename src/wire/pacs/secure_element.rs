//! The command by which a HID OMNIKEY reader gives a card's Wiegand bits, and the judgement of its answer.
//!
//! FF 70 is the command that PC/SC part 3 leaves to vendors, 07 6B is HID's USB vendor number, and the data is BER-TLV: A0 for the
//! secure element (SE processor), within it the request for a content element, tag 80, number 4: the physical access bits. Two
//! requests are known (docs/decisions/0150). Other readers refuse the command.

use super::PacsBits;

/// The requests in the order in which they are tried: A1 is answered without a secure session by readers that allow it, BE is the
/// one of the vendor's published sample.
pub const COMMANDS: [[u8; 13]; 2] = [request(0xA1), request(0xBE)];

const fn request(tag: u8) -> [u8; 13] {
    [0xFF, 0x70, 0x07, 0x6B, 0x07, 0xA0, 0x05, tag, 0x03, 0x80, 0x01, 0x04, 0x00]
}

/// Tag of a refusal inside an answer that has the status word of success.
const REFUSAL: u8 = 0x9E;

/// Universal tag of a bit string, X.690.
const BIT_STRING: u8 = 0x03;

/// Tags, in the class of the context, under which a bit string was seen: the answer itself, and the content element in it.
const HOLDERS: [u8; 3] = [0x9D, 0x80, 0x8A];

/// How deep constructed tags are followed: the answer, and what it consists of.
const DEEPEST: usize = 3;

/// Fewest bits that a number has. Fewer are taken for a tag and a length that happen to fit.
const FEWEST_BITS: u32 = 26;

/// Why an answer holds no bits. Holds no byte of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecureElementError {
    /// The reader knows the command and does not carry it out.
    #[error(
        "the reader's secure element refuses (9E, code {code:04X}): it has no key for this card, or gives numbers in a secure session only"
    )]
    Refused {
        /// The last two bytes of the refusal, or what there is of them.
        code: u16,
    },
    /// An answer of a shape that is not known.
    #[error("the reader's secure element answered {length} bytes, and no bit string among them")]
    NoBits {
        /// Bytes of the answer.
        length: usize,
    },
}

impl PacsBits {
    /// Takes the bits out of the data that answered one of [`COMMANDS`].
    ///
    /// ```
    /// use examgate::wire::pacs::{PacsBits, PacsForm};
    ///
    /// let bits = PacsBits::of_secure_element(&[0x9D, 7, 3, 5, 6, 0x8F, 0x80, 0xA8, 0xC0])?;
    /// let number = PacsForm::H10301.read(&bits)?;
    /// assert_eq!(*number.roster_value(), "h10301:31-337");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the reader refused, or there is no bit string.
    pub fn of_secure_element(data: &[u8]) -> Result<Self, SecureElementError> {
        if let Some((REFUSAL, code, _)) = element(data) {
            let code = code.iter().rev().take(2).rev().fold(0, |code, &byte| code << 8 | u16::from(byte));
            return Err(SecureElementError::Refused { code });
        }
        find(data, DEEPEST).ok_or(SecureElementError::NoBits { length: data.len() })
    }
}

/// The first bit string among the elements of `data`.
fn find(mut data: &[u8], depth: usize) -> Option<PacsBits> {
    while let Some((tag, value, rest)) = element(data) {
        let found = match tag {
            BIT_STRING => of_content(value),
            _ if HOLDERS.contains(&tag) => held(value),
            // Bit 6 of a tag: constructed.
            _ if tag & 0x20 != 0 && depth > 1 => find(value, depth - 1),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        data = rest;
    }
    None
}

/// What a holder has: a bit string with its own tag, or the bits at once.
fn held(value: &[u8]) -> Option<PacsBits> {
    let tagged = match element(value) {
        Some((BIT_STRING, content, [])) => of_content(content),
        _ => None,
    };
    tagged.or_else(|| of_content(value))
}

/// Unused bits at the end, and then the bits.
fn of_content(content: &[u8]) -> Option<PacsBits> {
    let (&unused, bytes) = content.split_first()?;
    PacsBits::of_bit_string(unused, bytes).filter(|bits| bits.length() >= FEWEST_BITS)
}

/// The first element of `data`: tag, value, and what follows. Tags of one byte, lengths of up to two (X.690, 8.1).
fn element(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, data) = data.split_first()?;
    let (length, data) = match *data {
        [0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        [length @ 0..=0x7F, ref rest @ ..] => (usize::from(length), rest),
        _ => return None,
    };
    let (value, rest) = data.split_at_checked(length)?;
    Some((tag, value, rest))
}
