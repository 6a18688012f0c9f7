//! Which applications a card has, as far as it says so to anybody: for the desk, where a site finds out what its cards are. It takes no key
//! and proves nothing.

use zeroize::Zeroizing;

use super::transfer;
use crate::wire::atr::Family;

/// SELECT for PIV by its application identifier (NIST SP 800-73-4 part 1, section 2.2).
const SELECT_PIV: [u8; 17] =
    [0x00, 0xA4, 0x04, 0x00, 0x0B, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00, 0x00];

/// What the answer of a PIV card holds: the end of its application identifier (SP 800-73-4 part 2, table 3). Some cards say 9000 to any
/// name.
const PIV: [u8; 4] = [0x00, 0x00, 0x10, 0x00];

/// DESFire commands in APDUs of class 90: SELECT APPLICATION 000000 (the card itself), GET VERSION, GET APPLICATION IDS, and ADDITIONAL
/// FRAME (data sheet MF3DX2_MF3DHX2_SDS, sections 8.4 and 9.1; codes as in libfreefare's mifare_desfire.c).
const SELECT_CARD: [u8; 9] = [0x90, 0x5A, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00];
const GET_VERSION: [u8; 5] = [0x90, 0x60, 0x00, 0x00, 0x00];
const GET_APPLICATIONS: [u8; 5] = [0x90, 0x6A, 0x00, 0x00, 0x00];
const MORE: [u8; 5] = [0x90, 0xAF, 0x00, 0x00, 0x00];

/// Frames of one answer at most: GET VERSION has three, and 19 identifiers fit into one.
const MOST_FRAMES: usize = 8;

/// Maker NXP, type DESFire: how the answer to GET VERSION begins (AN10833).
const DESFIRE: [u8; 2] = [0x04, 0x01];

/// Where the software's major version is in that answer: it is the generation, 1 for EV1 (PCSCCardProbe.cpp of liblogicalaccess).
const GENERATION_AT: usize = 10;

/// A card of the DESFire family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesfireCard {
    /// 0 for the first DESFire, which has no AES; 1 to 3 for EV1 to EV3.
    pub generation: u8,
    /// Its applications as they are printed, the most significant byte first; `None`: it lists them to nobody without a key.
    pub applications: Option<Vec<[u8; 3]>>,
}

/// Applications that a card tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applications {
    /// Whether there is PIV.
    pub piv: bool,
    /// DESFire, if it is such a card.
    pub desfire: Option<DesfireCard>,
}

impl Applications {
    /// Asks a card of this `family`, by at most some thirty commands.
    ///
    /// # Errors
    /// What `transmit` gave.
    pub(super) fn of<E>(
        family: Family,
        transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        if !family.may_hold_applications() {
            return Ok(Self::default());
        }
        let selected = transfer(&SELECT_PIV, transmit)?;
        let piv = selected.is_ok_and(|answer| answer.windows(PIV.len()).any(|part| part == PIV));
        Ok(Self { piv, desfire: desfire(transmit)? })
    }
}

fn desfire<E>(transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>) -> Result<Option<DesfireCard>, E> {
    if frames(&SELECT_CARD, transmit)?.is_none() {
        return Ok(None);
    }
    let Some(version) = frames(&GET_VERSION, transmit)?.filter(|version| version.starts_with(&DESFIRE)) else {
        return Ok(None);
    };
    let Some(&generation) = version.get(GENERATION_AT) else { return Ok(None) };
    let listed = frames(&GET_APPLICATIONS, transmit)?;
    let applications = listed.map(|listed| {
        // The least significant byte comes first.
        let (identifiers, _) = listed.as_chunks::<3>();
        identifiers.iter().map(|&[low, middle, high]| [high, middle, low]).collect()
    });
    Ok(Some(DesfireCard { generation, applications }))
}

/// The whole answer to a DESFire command; `None`: the card refuses it, is no such card, or does not come to an end.
fn frames<E>(
    command: &[u8],
    transmit: &mut impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Option<Zeroizing<Vec<u8>>>, E> {
    let mut whole = Zeroizing::new(Vec::new());
    let mut command = command;
    for _ in 0..MOST_FRAMES {
        let response = transmit(command)?;
        let Some((data, status)) = response.split_last_chunk::<2>() else { return Ok(None) };
        whole.extend_from_slice(data);
        match status {
            [0x91, 0x00] => return Ok(Some(whole)),
            [0x91, 0xAF] => command = &MORE,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A card that answers so, each command's answers one after the other, and counts what it was sent.
    fn ask(family: Family, script: &[(&str, &str)]) -> (Applications, usize) {
        let mut left: Vec<_> = script.iter().map(|(of, answer)| (hex::decode(of).unwrap(), *answer)).collect();
        let mut sent = 0;
        let asked = Applications::of(family, &mut |command: &[u8]| {
            sent += 1;
            let at = left.iter().position(|(of, _)| of == command);
            let answer = at.map_or("6d00", |at| left.remove(at).1);
            Ok::<_, Infallible>(Zeroizing::new(hex::decode(answer).unwrap()))
        });
        let Ok(asked) = asked;
        (asked, sent)
    }

    const SELECT_PIV: &str = "00a404000ba00000030800001000010000";
    const SELECT_CARD: &str = "905a00000300000000";

    #[test]
    fn a_card_says_which_applications_it_has() {
        let (nothing, sent) = ask(Family::Processor, &[]);
        assert_eq!((nothing, sent), (Applications::default(), 2));
        assert_eq!(ask(Family::MifareClassic, &[(SELECT_PIV, "9000")]), (Applications::default(), 0));

        let piv = "61114f0600001000010079074f05a0000003089000";
        assert!(ask(Family::Contact, &[(SELECT_PIV, piv)]).0.piv);
        assert!(!ask(Family::Contact, &[(SELECT_PIV, "9000")]).0.piv, "some cards say yes to any name");

        let (hardware, software) = ("040101120018 05".replace(' ', ""), "04010102 011805".replace(' ', ""));
        let production = "04112233445566778899aabb4821";
        let version = [
            (SELECT_CARD, "9100".to_owned()),
            ("9060000000", format!("{hardware}91af")),
            ("90af000000", format!("{software}91af")),
            ("90af000000", format!("{production}9100")),
        ];
        let script = |applications: &'static str| {
            let mut script: Vec<_> = version.iter().map(|(of, answer)| (*of, answer.as_str())).collect();
            script.push(("906a000000", applications));
            ask(Family::Processor, &script).0.desfire
        };
        let card = |applications| Some(DesfireCard { generation: 2, applications });
        assert_eq!(script("db1cf50100009100"), card(Some(vec![[0xF5, 0x1C, 0xDB], [0, 0, 1]])));
        assert_eq!(script("9100"), card(Some(Vec::new())));
        assert_eq!(script("91ae"), card(None), "it wants a key");
        let other = [(SELECT_CARD, "9100"), ("9060000000", "040401300011059100")];
        assert_eq!(ask(Family::Processor, &other).0.desfire, None, "an NTAG 424");
    }

    proptest! {
        #[test]
        fn whatever_is_answered_it_comes_to_an_end(
            answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4),
            ends in prop::collection::vec(prop::sample::select(vec![[0x91, 0xAF], [0x91, 0x00], [0x90, 0x00], [0x61, 0x10], [0x6C, 0x01]]), 1..4),
        ) {
            let mut sent = 0;
            let asked = Applications::of(Family::Processor, &mut |_: &[u8]| {
                let (data, end) = (&answers[sent % answers.len()], &ends[sent % ends.len()]);
                sent += 1;
                Ok::<_, Infallible>(Zeroizing::new([&data[..], end].concat()))
            });
            prop_assert!(asked.is_ok() && sent <= 4 + 3 * MOST_FRAMES);
        }
    }
}
