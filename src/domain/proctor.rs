//! Proctors, and the one-time code that connects a tap at the box with a sign-in at the console.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CardPseudonym, ProctorId};

/// A proctor of one exam.
#[derive(Clone, PartialEq, Eq)]
pub struct Proctor {
    /// The campus's name for them.
    pub id: ProctorId,
    /// What colleagues call them. Personal data: redacted in `Debug`.
    pub name: String,
    /// Which card is theirs.
    pub card: CardPseudonym,
}

impl fmt::Debug for Proctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proctor(redacted)")
    }
}

/// Six digits that the box shows after a proctor's tap. Redacted in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignInCode(String);

impl SignInCode {
    /// How many digits.
    pub const DIGITS: usize = 6;

    /// The code made of 64 random bits. What the division leaves over favours no code by more than one in 10^13.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{:06}", bits % 1_000_000))
    }

    /// The digits, to be shown at the box.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether `typed` is this code. Takes as long for a near miss as for a far one.
    #[must_use]
    pub fn matches(&self, typed: &str) -> bool {
        let differs = self.0.bytes().zip(typed.bytes()).fold(0, |differs, (own, other)| differs | (own ^ other));
        typed.len() == self.0.len() && differs == 0
    }
}

impl fmt::Debug for SignInCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInCode(redacted)")
    }
}

/// A proctor's card was tapped: they may sign in with this code and their PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The proctor's id.
    pub proctor: ProctorId,
    /// With which code.
    pub code: SignInCode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_and_never_printed() {
        for (bits, digits) in [(0, "000000"), (42, "000042"), (1_999_999, "999999"), (u64::MAX, "551615")] {
            let code = SignInCode::from_random(bits);
            assert_eq!(code.digits(), digits);
            assert!(code.matches(digits));
            assert_eq!(format!("{code:?}"), "SignInCode(redacted)");
        }
        for other in ["", "00004", "0000420", "000043", "900042", " 00042"] {
            assert!(!SignInCode::from_random(42).matches(other), "{other:?}");
        }
    }
}
