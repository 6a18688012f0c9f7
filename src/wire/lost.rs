//! The list of lost cards, version 1: retained on the fleet's `lost-cards` topic, signed by the fleet's command key.
//!
//! COSE_Sign1 over a CBOR map `{v, serial, pepper, cards}`. Cards are pseudonyms under the fleet's pepper: the list names no student
//! and no card number. The serial rises with every list, so an older one cannot bring a lost card back into use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{CardPseudonym, PepperCheck};

/// What the signature is for.
const PURPOSE: &str = "examgate/lost-cards/v1";

/// Most cards in a list.
pub const MAX_LOST: usize = 700;

/// Longest list, bytes: all cards, and the signature. What the fleet's brokers let through is 36 KiB.
pub const MAX_LOST_CARDS: usize = 32 * 1024;

/// Why bytes are not a list of lost cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LostCardsError {
    /// Longer than any list.
    #[error("longer than the {MAX_LOST_CARDS} bytes of a list of lost cards")]
    TooLong,
    /// More cards than a list holds.
    #[error("more than {MAX_LOST} lost cards: take out those that no roster holds any more")]
    TooMany,
    /// Not signed by a command key for this purpose; nothing in it is believed.
    #[error("not signed by a command key that counts here; is it in the trust document or `command_keys`?")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the fleet, but not a list of lost cards of version 1; is the fleet's software newer?")]
    Malformed,
}

/// The cards that open no door, with the second since 1970 in which each was reported lost.
#[derive(Clone, PartialEq, Eq)]
pub struct LostCards {
    /// Higher than that of every list before; from 1.
    pub serial: u64,
    /// Of the pepper that the pseudonyms were made with.
    pub pepper: PepperCheck,
    /// The cards.
    pub cards: BTreeMap<CardPseudonym, i64>,
}

#[derive(Serialize, Deserialize)]
struct Card(#[serde(with = "cbor::bytes")] [u8; 32], i64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    serial: u64,
    #[serde(with = "cbor::bytes")]
    pepper: [u8; 16],
    /// In ascending order.
    cards: Vec<Card>,
}

impl LostCards {
    /// Signs the list.
    ///
    /// # Errors
    /// [`LostCardsError::TooMany`], or [`LostCardsError::Malformed`] where the serial is 0.
    pub fn encode(&self, key: &SigningKey) -> Result<Vec<u8>, LostCardsError> {
        if self.cards.len() > MAX_LOST {
            return Err(LostCardsError::TooMany);
        }
        if self.serial == 0 {
            return Err(LostCardsError::Malformed);
        }
        let cards = self.cards.iter().map(|(card, &since)| Card(*card.as_bytes(), since)).collect();
        let payload = Payload { v: 1, serial: self.serial, pepper: *self.pepper.as_bytes(), cards };
        Ok(signed::sign(PURPOSE, key, cbor::to_vec(&payload)))
    }

    /// Reads a list signed by any of `keys`. Whether it is newer is for the reader to judge.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], keys: &[PublicKey]) -> Result<Self, LostCardsError> {
        if bytes.len() > MAX_LOST_CARDS {
            return Err(LostCardsError::TooLong);
        }
        let content =
            keys.iter().find_map(|key| signed::verify(PURPOSE, key, bytes)).ok_or(LostCardsError::NotSigned)?;
        let payload: Payload = cbor::from_slice(&content).ok_or(LostCardsError::Malformed)?;
        let ascend = payload.cards.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if payload.v != 1
            || payload.serial == 0
            || payload.cards.len() > MAX_LOST
            || !ascend
            || cbor::to_vec(&payload) != content
        {
            return Err(LostCardsError::Malformed);
        }
        let cards = payload.cards.iter().map(|Card(card, since)| (CardPseudonym::from_bytes(*card), *since)).collect();
        Ok(Self { serial: payload.serial, pepper: PepperCheck::from_bytes(payload.pepper), cards })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../tests/golden/lost-cards-v1.cose");

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn lost(cards: usize) -> LostCards {
        let card = |n: usize| {
            let mut bytes = [0xff; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            (CardPseudonym::from_bytes(bytes), 1_796_000_000)
        };
        LostCards { serial: 4, pepper: PepperCheck::from_bytes([5; 16]), cards: (0..cards).map(card).collect() }
    }

    #[test]
    fn golden_list() {
        let bytes = lost(2).encode(&key()).expect("it fits");
        assert_eq!(hex::encode(&bytes), hex::encode(GOLDEN));
        let other = SigningKey::from_seed(&[8; 32]).public();
        assert!(LostCards::decode(GOLDEN, &[other, key().public()]) == Ok(lost(2)));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_refused() {
        let signed = |payload: &Payload| signed::sign(PURPOSE, &key(), cbor::to_vec(payload));
        let payload = |v, serial, cards| signed(&Payload { v, serial, pepper: [5; 16], cards });
        let card = |n: u8| Card([n; 32], 0);
        for (name, bytes, error) in [
            ("another key", lost(1).encode(&SigningKey::from_seed(&[8; 32])).expect("fits"), LostCardsError::NotSigned),
            ("another purpose", signed::sign("examgate/desired/v1", &key(), vec![]), LostCardsError::NotSigned),
            ("version 2", payload(2, 1, vec![]), LostCardsError::Malformed),
            ("serial 0", payload(1, 0, vec![]), LostCardsError::Malformed),
            ("twice", payload(1, 1, vec![card(1), card(1)]), LostCardsError::Malformed),
            ("out of order", payload(1, 1, vec![card(2), card(1)]), LostCardsError::Malformed),
            ("too long", vec![0; MAX_LOST_CARDS + 1], LostCardsError::TooLong),
            ("cut short", GOLDEN[..60].to_vec(), LostCardsError::NotSigned),
        ] {
            assert!(LostCards::decode(&bytes, &[key().public()]) == Err(error), "{name}");
        }
        assert_eq!(LostCards { serial: 0, ..lost(1) }.encode(&key()), Err(LostCardsError::Malformed));
    }

    #[test]
    fn the_longest_list_fits_and_a_longer_one_is_refused() {
        let bytes = lost(MAX_LOST).encode(&key()).expect("it fits");
        assert!(LostCards::decode(&bytes, &[key().public()]) == Ok(lost(MAX_LOST)), "{} bytes", bytes.len());
        assert_eq!(lost(MAX_LOST + 1).encode(&key()), Err(LostCardsError::TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), signed in any::<bool>()) {
            let bytes = if signed { signed::sign(PURPOSE, &key(), bytes) } else { bytes };
            prop_assert!(LostCards::decode(&bytes, &[key().public()]).is_err());
        }

        #[test]
        fn any_changed_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut bytes = GOLDEN.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(LostCards::decode(&bytes, &[key().public()]) == Err(LostCardsError::NotSigned));
        }
    }
}
