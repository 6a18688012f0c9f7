//! The boxes of one exam to each other: who they are, and which pseudonyms stand for students in what they tell.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{CardPseudonym, DeviceId, RoomId, StudentId, Timestamp};

/// Most other boxes of one exam.
pub const MAX_PEERS: usize = 255;

/// A student, or one of their cards, in what the boxes of one exam tell each other. Personal data to anybody who has the exam's key:
/// redacted in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdmissionPseudonym([u8; 16]);

impl AdmissionPseudonym {
    /// Wraps a pseudonym that was told.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to tell.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for AdmissionPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdmissionPseudonym(redacted)")
    }
}

/// 32 secret bytes that the boxes of one exam share. Redacted in `Debug`, wiped when dropped.
///
/// Student numbers can be tried out one after the other by anybody who has the key: a pseudonym hides a student from others only.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// Wraps 32 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself, to be sealed or stored.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What stands for a student: 128 bits of HMAC-SHA256.
    #[must_use]
    pub fn student(&self, student: &StudentId) -> AdmissionPseudonym {
        self.pseudonym(b"examgate/admitted/student\0", student.as_str().as_bytes())
    }

    /// What stands for a card, so that a box which does not have the student on its roster knows it too.
    #[must_use]
    pub fn card(&self, card: &CardPseudonym) -> AdmissionPseudonym {
        self.pseudonym(b"examgate/admitted/card\0", card.as_bytes())
    }

    fn pseudonym(&self, tag: &[u8], of: &[u8]) -> AdmissionPseudonym {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(tag);
        mac.update(of);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut pseudonym = [0; 16];
        pseudonym.copy_from_slice(&whole[..16]);
        AdmissionPseudonym(pseudonym)
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(redacted)")
    }
}

/// Another box of the exam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub device: DeviceId,
    /// The room whose door it guards.
    pub room: RoomId,
    /// How many students are on its roster; at least one.
    pub students: u32,
    /// The Ed25519 public key of what it signs.
    pub signs_with: [u8; 32],
}

/// The other boxes of one exam, and what they call students.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// The exam's key.
    pub key: PeerKey,
    /// The boxes, in ascending order of their ids.
    pub boxes: Vec<Peer>,
}

/// Where another box says that it let a student in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRoom {
    /// The room of that box.
    pub room: RoomId,
    /// When, by its clock, to the second.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_depend_on_the_exam_and_say_nothing() {
        let (one, other) = (PeerKey::from_bytes([1; 32]), PeerKey::from_bytes([2; 32]));
        let student = StudentId::new("N1").expect("valid");
        assert_eq!(one.student(&student), one.student(&student));
        assert_ne!(one.student(&student), other.student(&student), "another exam, another pseudonym");
        assert_ne!(one.student(&student), one.student(&StudentId::new("N2").expect("valid")));
        // A card whose pseudonym reads like the student's number is not the student.
        let card = CardPseudonym::from_bytes(*b"N1234567890123456789012345678901");
        let named = StudentId::new("N1234567890123456789012345678901").expect("valid");
        assert_ne!(one.card(&card), one.student(&named));
        assert_eq!(format!("{one:?} {:?}", one.card(&card)), "PeerKey(redacted) AdmissionPseudonym(redacted)");
    }
}
