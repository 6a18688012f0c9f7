//! What a card proves, and how it is named without its raw identifier.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reason;

/// HMAC-SHA256 of a card's identifier under the fleet's pepper: the only name a card has outside `edge::card`.
///
/// It is a pseudonym, not anonymity: a holder of the pepper can try all 2^32 four-byte identifiers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardPseudonym(#[serde(with = "hex::serde")] [u8; 32]);

impl CardPseudonym {
    /// Wraps 32 bytes of HMAC output.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CardPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardPseudonym(redacted)")
    }
}

/// How a card was read, from the weakest up. Recorded with every decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialProfile {
    /// The card's unprotected identifier: an identifier only, clonable.
    Uid,
    /// A number that the reader's secure element read out of the card with its keys: authenticated to the reader, whose word is taken
    /// for it.
    Pacs,
    /// DESFire mutual authentication with AES.
    DesfireAes,
    /// PIV card authentication.
    Piv,
}

impl CredentialProfile {
    /// Every profile, from the weakest up.
    pub const ALL: [Self; 4] = [Self::Uid, Self::Pacs, Self::DesfireAes, Self::Piv];

    /// The stable name in events, configurations and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Pacs => "pacs",
            Self::DesfireAes => "desfire_aes",
            Self::Piv => "piv",
        }
    }

    /// How far a card of this profile is known to be the one it claims to be.
    #[must_use]
    pub const fn assurance(self) -> &'static str {
        match self {
            Self::Uid => "identifier-only",
            Self::Pacs => "reader-authenticated",
            Self::DesfireAes | Self::Piv => "card-authenticated",
        }
    }
}

impl fmt::Display for CredentialProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a tap proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The card's pseudonym.
    pub pseudonym: CardPseudonym,
    /// How it was read.
    pub profile: CredentialProfile,
}

/// Why a tap gave no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardProblem {
    /// No usable answer: pulled early, mute, or an answer that makes no sense.
    Unreadable,
    /// The identifier is made up at every tap (ISO/IEC 14443-3 random UID: four bytes starting 08), and no other number could be read. It
    /// may be a plastic card, such as Seos, or a phone.
    Unstable,
    /// A phone's or watch's wallet answered: it says so itself.
    Wallet,
    /// The card has an application that proves it, and the proof is not good: another key, a changed answer, a signature or a certificate that
    /// does not hold, numbers that do not belong together.
    Unproved,
    /// The card's certificate has expired, or is not valid yet.
    Expired,
    /// The proof took longer than the site allows: the card may be elsewhere, and its answers be relayed.
    Slow,
    /// The box has no key for the card, or the SAM that holds it does not answer: the box is the cause.
    KeysMissing,
}

impl CardProblem {
    /// Every problem.
    pub const ALL: [Self; 7] =
        [Self::Unreadable, Self::Unstable, Self::Wallet, Self::Unproved, Self::Expired, Self::Slow, Self::KeysMissing];

    /// What a tap without a credential is answered with.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Unreadable => Reason::CardUnreadable,
            Self::Unstable => Reason::CardUnstable,
            Self::Wallet => Reason::WalletPass,
            Self::Unproved => Reason::CardUnproved,
            Self::Expired => Reason::CardExpired,
            Self::Slow => Reason::CardSlow,
            Self::KeysMissing => Reason::CardKeysMissing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_ordered_and_named_as_they_are_recorded() {
        assert!(CredentialProfile::ALL.is_sorted());
        for profile in CredentialProfile::ALL {
            assert_eq!(serde_json::to_string(&profile).unwrap(), format!("\"{profile}\""));
        }
        assert_eq!(CredentialProfile::Pacs.assurance(), "reader-authenticated");
    }
}
