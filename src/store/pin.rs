//! PINs of proctors: what may be one, and how it is kept.
//!
//! Kept as an Argon2id hash inside the encrypted roster. A PIN has few digits: an attacker who has the roster and its key can try them all
//! in hours. What keeps it safe is that it opens nothing without the card, and that wrong ones are counted at the console.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordVerifier, Version,
    password_hash::{PasswordHasher, Salt, SaltString},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::KeyError;

/// 7 MiB, five passes, one lane: of the equally strong settings of the OWASP Password Storage Cheat Sheet the one that takes the
/// least memory, for a small box.
const COST: (u32, u32, u32) = (7 * 1024, 5, 1);

/// Six to twelve digits, not all alike and no run. Redacted in `Debug`, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pin(String);

/// Why a text is not a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PIN has 6 to 12 digits, not all alike and no run such as 123456")]
pub struct NotAPin;

impl Pin {
    /// Checks a new PIN.
    ///
    /// # Errors
    /// When it has another shape, or is among the first that anybody tries.
    pub fn new(digits: &str) -> Result<Self, NotAPin> {
        let is_run = |by: i16| digits.as_bytes().windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by);
        let fits = (6..=12).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if fits && ![0, 1, -1].into_iter().any(is_run) { Ok(Self(digits.into())) } else { Err(NotAPin) }
    }

    /// The hash to keep, salted anew each time.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn hash(&self) -> Result<PinHash, KeyError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(KeyError::Randomness)?;
        let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt");
        let hash = argon2().hash_password(self.0.as_bytes(), Salt::from(&salt)).expect("constant settings are valid");
        Ok(PinHash(hash.to_string()))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

/// A PIN as it is kept: a PHC string. Redacted in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PinHash(pub(super) String);

impl PinHash {
    /// Takes a hash that was made elsewhere; `None` when the text is no PHC string.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        PasswordHash::new(text).is_ok().then(|| Self(text.into()))
    }

    /// The text that [`Self::from_text`] takes.
    #[must_use]
    pub fn to_text(&self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(self.0.clone())
    }

    /// Whether `typed` is the PIN. Takes some 30 ms of one core. A hash that makes no sense matches nothing.
    #[must_use]
    pub fn matches(&self, typed: &str) -> bool {
        PasswordHash::new(&self.0).is_ok_and(|hash| argon2().verify_password(typed.as_bytes(), &hash).is_ok())
    }
}

impl fmt::Debug for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinHash(redacted)")
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("constant settings are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_tries_first_is_no_pin() {
        for bad in ["", "12345", "1234567890123", "123456", "987654", "111111", "12345a", "４８１５１６", " 481516"]
        {
            assert!(Pin::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Pin::new("481516").unwrap()), "Pin(redacted)");
    }

    #[test]
    fn only_the_pin_matches_its_hash() {
        let hash = Pin::new("481516").unwrap().hash().unwrap();
        assert!(hash.matches("481516"));
        assert!(!hash.matches("481517") && !hash.matches(""));
        assert!(!PinHash("nonsense".into()).matches("481516"));
        assert!(hash.0.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{}", hash.0);
        assert_ne!(hash, Pin::new("481516").unwrap().hash().unwrap());
        assert_eq!(PinHash::from_text(&hash.to_text()), Some(hash));
        assert_eq!(PinHash::from_text("nonsense"), None);
    }
}
