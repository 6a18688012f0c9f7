//! The number of a PIV card: its UUID, or the FASC-N of a card that has none.

use std::fmt;

use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Chuid, FASCN_BYTES, GUID_BYTES};

/// How a value for the roster begins, in any case of letters.
const MARK: &str = "piv:";

/// How the rest begins where it is a FASC-N.
const FASCN_MARK: &str = "fascn:";

/// How a FASC-N begins that tells no cards apart: agency 9999, system 9999 and a credential of nines, as cards of issuers outside the
/// government have it. Digits are five bits each, the lowest first, parity at the end (SP 800-73-4 part 1, section 3.1.2, and its
/// reference to the technical implementation guidance for smart card enabled physical access control systems).
const NINES: [u8; 10] = [0xD4, 0xE7, 0x39, 0xDA, 0x73, 0x9C, 0xED, 0x39, 0xCE, 0x73];

/// The number of a PIV card. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PivNumber(Kind);

#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
enum Kind {
    Uuid([u8; GUID_BYTES]),
    Fascn([u8; FASCN_BYTES]),
}

/// Why a text is no number. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PivTextError {
    /// Another kind of number.
    #[error("a PIV number begins with piv:, as in piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44")]
    NoMark,
    /// No UUID.
    #[error("after piv: comes the card's UUID, 32 hexadecimal digits with or without hyphens, or fascn: and 50 digits")]
    NotUuid,
    /// The UUID of all zeros, which says that a card has none.
    #[error("a UUID of zeros says that the card has none: use its FASC-N, as in piv:fascn: and 50 hexadecimal digits")]
    NoUuid,
    /// No FASC-N.
    #[error("after piv:fascn: come 50 hexadecimal digits")]
    NotFascn,
    /// A FASC-N that tells no cards apart.
    #[error("a FASC-N of nines is the same on many cards: use the card's UUID")]
    Nines,
}

impl PivNumber {
    /// The number of the card that this CHUID is of. `None`: it has no number that tells it from other cards.
    #[must_use]
    pub fn of(chuid: &Chuid) -> Option<Self> {
        match (chuid.guid(), chuid.fascn()) {
            (Some(guid), _) if *guid != [0; GUID_BYTES] => Some(Self(Kind::Uuid(*guid))),
            (_, Some(fascn)) if tells_apart(fascn) => Some(Self(Kind::Fascn(*fascn))),
            _ => None,
        }
    }

    /// Reads what a roster has: `piv:` and a UUID, or `piv:fascn:` and 25 bytes in hexadecimal.
    ///
    /// ```
    /// use examgate::wire::piv::PivNumber;
    ///
    /// let number = PivNumber::parse("PIV:6E2FD0A4-4B3C-4F6A-9C11-0D9A7B5E2C44")?;
    /// assert_eq!(*number.roster_value(), "piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44");
    /// # Ok::<(), examgate::wire::piv::PivTextError>(())
    /// ```
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<Self, PivTextError> {
        let rest = after(text.trim(), MARK).ok_or(PivTextError::NoMark)?;
        if let Some(digits) = after(rest, FASCN_MARK) {
            let mut fascn = [0; FASCN_BYTES];
            hex::decode_to_slice(digits, &mut fascn).map_err(|_| PivTextError::NotFascn)?;
            return if tells_apart(&fascn) { Ok(Self(Kind::Fascn(fascn))) } else { Err(PivTextError::Nines) };
        }
        let plain = matches!(rest.len(), 32 | 36);
        let uuid = Uuid::try_parse(rest).ok().filter(|_| plain).ok_or(PivTextError::NotUuid)?;
        if uuid.is_nil() { Err(PivTextError::NoUuid) } else { Ok(Self(Kind::Uuid(uuid.into_bytes()))) }
    }

    /// Whether `text` is meant to be such a number, good or not.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        after(text.trim(), MARK).is_some()
    }

    /// What a roster has for it.
    #[must_use]
    pub fn roster_value(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.0 {
            Kind::Uuid(uuid) => format!("{MARK}{}", Uuid::from_bytes(*uuid).hyphenated()),
            Kind::Fascn(fascn) => format!("{MARK}{FASCN_MARK}{}", hex::encode_upper(fascn)),
        })
    }

    /// The bytes that a pseudonym is made of: 16 or 25.
    #[must_use]
    pub fn identifier(&self) -> &[u8] {
        match &self.0 {
            Kind::Uuid(uuid) => uuid,
            Kind::Fascn(fascn) => fascn,
        }
    }
}

impl fmt::Debug for PivNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PivNumber(redacted)")
    }
}

fn tells_apart(fascn: &[u8; FASCN_BYTES]) -> bool {
    !fascn.starts_with(&NINES) && *fascn != [0; FASCN_BYTES]
}

/// What follows `mark`, in whatever case it is written.
fn after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(mark.len())?;
    start.eq_ignore_ascii_case(mark).then_some(rest)
}
