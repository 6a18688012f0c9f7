//! Cases of cards that prove themselves.
//!
//! The exchange was computed with another implementation of AES, CMAC and CRC-32 (Python's `cryptography` and `zlib`) by AN12343 and what
//! libfreefare expects of cards: the reader draws A5 sixteen times, the card draws 00 to 0F.

use std::sync::Arc;

use super::{Bench, CARD, CardAnswer, Expecting, named, pepper};
use crate::{
    domain::{CardProblem, Credential, CredentialProfile, MonoTime},
    edge::card::{CardReads, DesfireReads, Surroundings},
    wire::desfire::{Application, CardKey, Identity, Plan, Protocol},
};

/// ATR of a DESFire card, PC/SC part 3.
const ATR: [u8; 6] = [0x3B, 0x81, 0x80, 0x01, 0x80, 0x80];

const SELECT: &str = "905a000003db1cf500";
const GET: &str = "ffca000000";
const AUTHENTICATE: &str = "90aa0000010100";
const ANSWER: &str = "90af00002004bb40634ee3e04d2671de840c3825a4831441e4b4bb3d79df9a966db7598b3300";
const CARD_UID: &str = "9051000000";

/// Commands with their answers: of a card that proves itself by AUTHENTICATE AES, and says its identifier under the session.
const GOOD: [(&str, &str); 5] = [
    (SELECT, "9100"),
    (GET, "04a2245b6f61809000"),
    (AUTHENTICATE, "f75d19c9363dcef1d3d98d3396046d6c91af"),
    (ANSWER, "01a42494fb5861ab83235b44a843cb289100"),
    (CARD_UID, "9d23e53797ec5452ff067aac3d13d9519100"),
];

/// Challenges that a test foresees, no day, and a clock that stands still.
pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        draw: |bytes| {
            bytes.fill(0xA5);
            Ok(())
        },
        today: Arc::new(|| None),
        mono: Arc::new(MonoTime::default),
    }
}

fn reads(key: Option<CardKey>) -> CardReads {
    let application = Application([0xF5, 0x1C, 0xDB]);
    let plan = Plan { application, protocol: Protocol::Aes, key: 1, diversification: None, identity: Identity::Uid };
    let profiles = vec![CredentialProfile::DesfireAes, CredentialProfile::Uid];
    CardReads { profiles, desfire: Some(DesfireReads { plan, key, sam: None }), ..CardReads::default() }
}

/// The good card, with another answer to one command.
fn card(other: Option<(&str, &str)>) -> CardAnswer {
    let answers = GOOD.map(|(command, answer)| {
        let answer = other.filter(|(of, _)| *of == command).map_or(answer, |(_, answer)| answer);
        let [command, answer] = [command, answer].map(|digits| hex::decode(digits).expect("hexadecimal"));
        (command, answer)
    });
    CardAnswer::Card { atr: ATR.to_vec(), answers: answers.into() }
}

/// By what it proved.
fn proved() -> Result<Credential, CardProblem> {
    let profile = CredentialProfile::DesfireAes;
    Ok(Credential { pseudonym: pepper().pseudonym(profile, &CARD), profile })
}

/// A card that proves itself has the profile and the number of its proof; one without the application is asked for less.
pub fn a_card_that_proves_itself(bench: &mut dyn Bench) {
    let mut reader = Expecting::open_with(bench, reads(Some(CardKey::from_bytes([0x3C; 16]))));
    for (other, expected) in [
        (None, proved()),
        (Some((SELECT, "91a0")), named(&CARD)),
        (Some((SELECT, "6e00")), named(&CARD)),
        (None, proved()),
    ] {
        bench.insert(0, card(other));
        reader.tapped(0, expected);
        bench.remove(0);
        reader.removed(0);
    }
}

/// A card that has the application and does not prove itself is nobody, though its identifier could be read. A good card counts at once
/// afterwards.
pub fn a_card_that_does_not_prove_itself(bench: &mut dyn Bench) {
    let mut reader = Expecting::open_with(bench, reads(Some(CardKey::from_bytes([0x3C; 16]))));
    let others = [
        // Not in the order of an authentication, cut off, refused.
        (AUTHENTICATE, "f75d19c9363dcef1d3d98d3396046d6c9100"),
        (AUTHENTICATE, "f75d19c9363dcef1d3d98d3396046d91af"),
        (AUTHENTICATE, "9140"),
        (ANSWER, "91ae"),
        (ANSWER, "9100"),
        // A bit of each proof flipped, and an earlier answer once more.
        (ANSWER, "01a42494fb5861ab83235b44a843cb299100"),
        (ANSWER, "f75d19c9363dcef1d3d98d3396046d6c9100"),
        (CARD_UID, "9d23e53797ec5452ff067aac3d13d9509100"),
        (CARD_UID, "01a42494fb5861ab83235b44a843cb289100"),
        // Another card's identifier in the clear.
        (GET, "04a2245b6f61819000"),
    ];
    for other in others {
        bench.insert(0, card(Some(other)));
        reader.tapped(0, Err(CardProblem::Unproved));
        bench.remove(0);
        reader.removed(0);
    }
    bench.insert(0, card(None));
    reader.tapped(0, proved());
    bench.remove(0);
    reader.removed(0);
}

/// Without its key the box is at fault, and asks the card for nothing weaker.
pub fn a_key_that_is_missing(bench: &mut dyn Bench) {
    let mut reader = Expecting::open_with(bench, reads(None));
    bench.insert(0, card(None));
    reader.tapped(0, Err(CardProblem::KeysMissing));
    bench.remove(0);
    reader.removed(0);
    bench.insert(0, card(Some((SELECT, "91a0"))));
    reader.tapped(0, named(&CARD));
    bench.remove(0);
    reader.removed(0);
}
