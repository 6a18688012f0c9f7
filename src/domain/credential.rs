//! What a card proves, and how it is named without its raw identifier.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// DESFire mutual authentication with AES.
    DesfireAes,
    /// PIV card authentication.
    Piv,
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
    /// The identifier changes at every tap (ISO/IEC 14443-3 random UID: four bytes starting 08), as phones give.
    Unstable,
}
