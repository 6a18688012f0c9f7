//! The pepper: the fleet's secret key that turns a card's identifier into a pseudonym.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{CardPseudonym, CredentialProfile, StudentId};

/// Tells peppers apart and says nothing of them: 128 bits of HMAC-SHA256 of a fixed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PepperCheck([u8; 16]);

impl PepperCheck {
    /// Wraps a stored check.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 secret bytes shared by the fleet and its boxes. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// Wraps 32 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA256 over the profile's tag and `identifier` (a UID in the order the reader gives it, a PACS number with its form).
    ///
    /// The tag keeps a UID and, say, a PIV serial of the same bytes apart.
    #[must_use]
    pub fn pseudonym(&self, profile: CredentialProfile, identifier: &[u8]) -> CardPseudonym {
        let tag: &[u8] = match profile {
            CredentialProfile::Uid => b"examgate/card/uid\0",
            CredentialProfile::Pacs => b"examgate/card/pacs\0",
            CredentialProfile::DesfireAes => b"examgate/card/desfire-aes\0",
            CredentialProfile::Piv => b"examgate/card/piv\0",
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(tag);
        mac.update(identifier);
        CardPseudonym::from_bytes(mac.finalize().into_bytes().into())
    }

    /// What stands in the card's place for a student without one: no card that is read has this pseudonym.
    #[must_use]
    pub fn no_card(&self, student: &StudentId) -> CardPseudonym {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"examgate/card/none\0");
        mac.update(student.as_str().as_bytes());
        CardPseudonym::from_bytes(mac.finalize().into_bytes().into())
    }

    /// What a roster keeps of the pepper that its pseudonyms were made with.
    #[must_use]
    pub fn check(&self) -> PepperCheck {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"examgate/pepper-check\0");
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut check = [0; 16];
        check.copy_from_slice(&whole[..16]);
        PepperCheck(check)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_pepper_profile_and_identifier() {
        let pepper = Pepper::from_bytes([1; 32]);
        let name = pepper.pseudonym(CredentialProfile::Uid, &[1, 2, 3, 4]);
        assert_eq!(name, pepper.pseudonym(CredentialProfile::Uid, &[1, 2, 3, 4]));
        assert_ne!(name, pepper.pseudonym(CredentialProfile::Piv, &[1, 2, 3, 4]));
        assert_ne!(name, pepper.pseudonym(CredentialProfile::Uid, &[4, 3, 2, 1]));
        assert_ne!(name, Pepper::from_bytes([2; 32]).pseudonym(CredentialProfile::Uid, &[1, 2, 3, 4]));
        assert_ne!(pepper.check(), Pepper::from_bytes([2; 32]).check());
        assert_eq!(pepper.check(), PepperCheck::from_bytes(*Pepper::from_bytes([1; 32]).check().as_bytes()));
        assert_eq!(format!("{pepper:?} {name:?}"), "Pepper(redacted) CardPseudonym(redacted)");
    }
}
