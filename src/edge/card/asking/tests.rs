//! Tables of cards, and answers of every kind.

use std::{cell::Cell, convert::Infallible, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    domain::MonoTime,
    wire::pacs::{PacsColumn, PacsSource},
};

const CLASSIC: &str = "3b8f8001804f0ca000000306030001000000006a";
const PICOPASS: &str = "3b8f8001804f0ca0000003060a0018000000007a";
const PROCESSOR: &str = "3b80800101";
const CONTACT: &str = "3bfd1300008131fe158073c021c057597562694b657940";

const GET: &str = "ffca000000";
const SE: &str = "ff70076b07a005a10380010400";
const SE_OTHER: &str = "ff70076b07a005be0380010400";
const ASK_SEOS: &str = "00a404000aa000000440000101000100";
const ASK_WALLET: &str = "00a404000a4f53452e5641532e303100";
const APPLE: &str = "6f0a50084170706c655061799000";
/// h10301, facility 31, card 337.
const BITS: &str = "9d070305068f80a8c09000";

/// A card: what it is, how it is read, its ATR, what it answers, and what comes of it.
type Tapped<'t> = (&'t str, CardReads, &'t str, Script<'t>, Result<Credential, CardProblem>);

/// Commands with their answers; any other is refused.
type Script<'s> = &'s [(&'s str, &'s str)];

fn transmit(script: Script<'_>) -> impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, Infallible> {
    let known: Vec<_> = script.iter().map(|(command, answer)| (hex(command), hex(answer))).collect();
    move |command| {
        let answer = known.iter().find(|(of, _)| of == command).map_or(vec![0x6D, 0x00], |(_, answer)| answer.clone());
        Ok(Zeroizing::new(answer))
    }
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn pepper() -> Pepper {
    Pepper::from_bytes([7; 32])
}

fn both() -> CardReads {
    let pacs = PacsReads { forms: vec![PacsForm::H10301, PacsForm::H10304], ..PacsReads::default() };
    CardReads { profiles: vec![CredentialProfile::Pacs, CredentialProfile::Uid], pacs, ..CardReads::default() }
}

fn aligned() -> CardReads {
    let pacs = PacsReads { source: PacsSource::GetData, forms: vec![PacsForm::H10301], ..PacsReads::default() };
    CardReads { profiles: vec![CredentialProfile::Pacs], pacs, ..CardReads::default() }
}

fn ask(reads: &CardReads, atr: &str, script: Script<'_>) -> Result<Credential, CardProblem> {
    let asked = asked(reads, &hex(atr), transmit(script));
    assert_eq!(asked.took.is_some(), asked.read.is_ok(), "{asked:?}");
    asked.read
}

fn naming(reads: &CardReads) -> Naming {
    Naming { reads: reads.clone(), pepper: pepper(), surroundings: surroundings() }
}

fn surroundings() -> Surroundings {
    Surroundings {
        draw: |bytes| {
            bytes.fill(0xA5);
            Ok(())
        },
        today: Arc::new(|| None),
        mono: Arc::new(MonoTime::default),
    }
}

/// Asks with a clock that stands still, and no SAM.
fn asked(
    reads: &CardReads,
    atr: &[u8],
    transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, Infallible>,
) -> Asked {
    let Ok(asked) = naming(reads).ask(atr, &mut AtHand { spent: &|| Duration::ZERO, sam: &mut |_| None }, transmit);
    asked
}

fn held(
    reads: &CardReads,
    atr: &[u8],
    transmit: impl FnMut(&[u8]) -> Result<Zeroizing<Vec<u8>>, Infallible>,
) -> Interview {
    let mut at_hand = AtHand { spent: &|| Duration::ZERO, sam: &mut |_| None };
    let Ok(held) = Interview::hold(reads, &surroundings(), atr, &mut at_hand, transmit);
    held
}

fn uid(text: &str) -> Result<Credential, CardProblem> {
    let profile = CredentialProfile::Uid;
    Ok(Credential { pseudonym: pepper().pseudonym(profile, &hex(text)), profile })
}

fn number(text: &str, proved: CredentialProfile) -> Result<Credential, CardProblem> {
    let number = PacsNumber::parse(text, PacsColumn::default()).unwrap();
    Ok(Credential { pseudonym: pepper().pseudonym(CredentialProfile::Pacs, &number.identifier()), profile: proved })
}

#[test]
fn identifiers_in_either_order() {
    let table = [
        (ReaderOrder::AsSent, "deadbeef9000", uid("deadbeef")),
        (ReaderOrder::Reversed, "deadbeef9000", uid("efbeadde")),
        (ReaderOrder::AsSent, "32966202f8ff12e09000", uid("32966202f8ff12e0")),
        (ReaderOrder::Reversed, "32966202f8ff12e09000", uid("e012fff802629632")),
        (ReaderOrder::AsSent, "081122339000", Err(CardProblem::Unstable)),
        (ReaderOrder::Reversed, "332211089000", Err(CardProblem::Unstable)),
        (ReaderOrder::AsSent, "6a81", Err(CardProblem::Unreadable)),
        (ReaderOrder::AsSent, "", Err(CardProblem::Unreadable)),
    ];
    for (order, response, expected) in table {
        assert_eq!(ask(&order.into(), PICOPASS, &[(GET, response)]), expected, "{response} {order:?}");
    }
}

#[test]
fn the_strongest_profile_that_gives_a_number_is_taken() {
    use CredentialProfile::{Pacs, Uid};
    let unstable = Err(CardProblem::Unstable);
    let table: &[Tapped<'_>] = &[
        ("Seos", both(), PROCESSOR, &[(SE, BITS), (GET, "08a1b2c39000")], number("h10301:31-337", Pacs)),
        (
            "by the other command",
            both(),
            PROCESSOR,
            &[(SE, "9e0200039000"), (SE_OTHER, BITS)],
            number("h10301:31-337", Pacs),
        ),
        ("of 37 bits", both(), PROCESSOR, &[(SE, "9d0803060381258c47d09000")], number("h10304:587-50301", Pacs)),
        ("fetched in parts", both(), PROCESSOR, &[(SE, "6109"), ("ffc0000009", BITS)], number("h10301:31-337", Pacs)),
        (
            "iCLASS whose key the reader lacks",
            both(),
            PICOPASS,
            &[(SE, "9e0200039000"), (GET, "32966202f8ff12e09000")],
            uid("32966202f8ff12e0"),
        ),
        ("a reader without secure element", both(), CLASSIC, &[(GET, "deadbeef9000")], uid("deadbeef")),
        ("damaged bits", both(), CLASSIC, &[(SE, "9d070305068f80a8409000"), (GET, "deadbeef9000")], uid("deadbeef")),
        (
            "a form that is not in use",
            both(),
            CLASSIC,
            &[(SE, "9d08030606ffffffffc09000"), (GET, "deadbeef9000")],
            uid("deadbeef"),
        ),
        (
            "Seos and no number",
            both(),
            PROCESSOR,
            &[(GET, "08a1b2c39000"), (ASK_SEOS, "6f0c840aa00000044000010100019000")],
            unstable.clone(),
        ),
        ("a wallet", both(), PROCESSOR, &[(GET, "08a1b2c39000"), (ASK_WALLET, APPLE)], Err(CardProblem::Wallet)),
        (
            "a card that answers to any name",
            both(),
            PROCESSOR,
            &[(GET, "08a1b2c39000"), (ASK_WALLET, "9000"), (ASK_SEOS, "9000")],
            unstable.clone(),
        ),
        (
            "no processor card is asked for a wallet",
            both(),
            CLASSIC,
            &[(GET, "08a1b2c39000"), (ASK_WALLET, APPLE)],
            unstable.clone(),
        ),
        ("a contact card is not asked for a number", both(), CONTACT, &[(SE, BITS)], Err(CardProblem::Unreadable)),
        ("a number is not asked for", CardReads::default(), PROCESSOR, &[(SE, BITS), (GET, "08a1b2c39000")], unstable),
        (
            "a number in the identifier's place",
            aligned(),
            CLASSIC,
            &[(GET, "023e02a39000")],
            number("h10301:31-337", Uid),
        ),
        ("an identifier there", aligned(), CLASSIC, &[(GET, "deadbeef9000")], Err(CardProblem::Unreadable)),
    ];
    for (what, reads, atr, script, expected) in table {
        assert_eq!(ask(reads, atr, script), *expected, "{what}");
    }
}

#[test]
fn a_number_and_an_identifier_of_the_same_bytes_are_two_cards() {
    let number = PacsNumber::parse("h10301:31-337", PacsColumn::default()).unwrap().identifier();
    let named = |profile| pepper().pseudonym(profile, &number);
    assert_ne!(named(CredentialProfile::Pacs), named(CredentialProfile::Uid));
}

#[test]
fn an_interview_asks_everything() {
    let hold = |reads: &CardReads, atr: &str, script: Script<'_>| held(reads, &hex(atr), transmit(script));
    let values = |interview: &Interview| match &interview.pacs {
        PacsAnswer::Numbers(numbers) => numbers.iter().map(|number| number.roster_value().to_string()).collect(),
        PacsAnswer::Bits { .. } | PacsAnswer::None(_) => Vec::new(),
    };
    let seos = hold(
        &CardReads::default(),
        PROCESSOR,
        &[(SE, BITS), (GET, "08a1b2c39000"), (ASK_SEOS, "6f0c840aa00000044000010100019000")],
    );
    assert_eq!((seos.family, &seos.uid), (Family::Processor, &UidAnswer::MadeUp(MadeUp::Seos)));
    assert_eq!(values(&seos), ["h10301:31-337"]);
    let two = hold(&CardReads::default(), PROCESSOR, &[(SE, "9d0803060381258c47d09000"), (GET, "6a81")]);
    assert_eq!(values(&two), ["h10302:307807357", "h10304:587-50301"]);
    assert!(matches!(two.uid, UidAnswer::None(_)));
    let configured = hold(&both(), PROCESSOR, &[(SE, "9d0803060381258c47d09000")]);
    assert_eq!(values(&configured), ["h10304:587-50301"]);
    let odd = hold(&CardReads::default(), PICOPASS, &[(SE, "9d07030506ffffffc09000"), (GET, "32966202f8ff12e09000")]);
    assert!(matches!(odd.pacs, PacsAnswer::Bits { bits: 26, why: Some(PacsError::Parity { .. }) }), "{odd:?}");
    assert!(matches!(&odd.uid, UidAnswer::Fixed(uid) if uid.as_bytes().len() == 8), "{odd:?}");
    let contact = hold(&CardReads::default(), CONTACT, &[]);
    assert!(matches!(contact.pacs, PacsAnswer::None(NoNumber::Contact)), "{contact:?}");
    let shown = format!("{seos:?} {odd:?}");
    assert!(!shown.contains("337,") && !shown.contains("102") && shown.contains("redacted"), "{shown}");
}

/// Most commands that one tap may take: two to the secure element, one for the identifier, two for its kind, four each.
const MOST: usize = 20;

proptest! {
    /// Whatever a reader answers, in whatever order: the door ends after a bounded number of commands, takes a number only out of what
    /// was answered, and the desk survives the same.
    #[test]
    fn no_sequence_of_answers_is_too_much(
        atr in proptest::collection::vec(any::<u8>(), 0..40),
        known in proptest::sample::select(vec![CLASSIC, PICOPASS, PROCESSOR, CONTACT, ""]),
        answers in proptest::collection::vec(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..260),
            proptest::sample::select(vec![BITS, "9e0200039000", "6109", "6c0d", "deadbeef9000", "08a1b2c39000", "9000", "6d00", "016101"])
                .prop_map(hex),
        ], 0..30),
        reads in proptest::sample::select(vec![both(), aligned(), CardReads::default()]),
    ) {
        for atr in [atr, hex(known)] {
            let (sent, longest) = (Cell::new(0), Cell::new(0));
            let mut left = answers.iter();
            let mut count = |command: &[u8]| {
                sent.set(sent.get() + 1);
                longest.set(longest.get().max(command.len()));
                Ok::<_, Infallible>(Zeroizing::new(left.next().cloned().unwrap_or_default()))
            };
            let asked = asked(&reads, &atr, &mut count);
            prop_assert!(asked.read.is_err() || sent.get() > 0);
            let held = held(&reads, &atr, &mut count);
            prop_assert!(sent.get() <= 2 * MOST && longest.get() <= 20, "{sent:?} commands, of {longest:?} bytes");
            let shown = format!("{held:?}");
            prop_assert!(!shown.is_empty());
        }
    }
}
