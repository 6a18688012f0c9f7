//! The profile against virtual cards, which know nothing of it, and against answers of every kind.

use proptest::prelude::*;

use super::*;
use crate::{
    config::Desfire as Settings,
    rig::cards::{
        Applet, Fault, Faulty, Moment, Said,
        aes::diversified,
        desfire::{Access, Application as OnCard, Desfire, File, Generation, Mode},
    },
    wire::desfire::Protocol,
};

const UID: [u8; 7] = [0x04, 0x95, 0x8C, 0xAA, 0x5C, 0x5E, 0x80];
const SITE: [u8; 16] = *b"the site's key 1";
const MASTER: [u8; 16] = *b"the master's key";
const LEAF: [u8; 3] = [0xF5, 0x1C, 0xDB];

/// Version, site code, number of the credential, and what follows in a LEAF card.
const CONTENTS: [u8; 20] = [2, 1, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0x09, 0x87, 0x65, 0x43, 9, 0x1A, 0, 0, 0];
const IDENTITY: &str = "desfire:00000012340000000009876543";

/// Commands of one tap: SELECT, the identifier in the clear, AUTHENTICATE twice, READ DATA, GET CARD UID.
const SELECT: usize = 0;
const CLEAR: usize = 1;
const CHALLENGE: usize = 2;
const PROOF: usize = 3;
const READ: usize = 4;
const CARD_UID: usize = 5;

/// Commands of one tap at most, beside those for the identifier in the clear.
const MOST_COMMANDS: usize = 3 + 2 * MOST_PARTS;

/// The card does not answer any more.
#[derive(Debug, PartialEq, Eq)]
struct Gone;

fn reads(settings: &str) -> DesfireReads {
    let settings: Settings = toml::from_str(&format!("preset = \"leaf-cc\"\n{settings}")).unwrap();
    DesfireReads { plan: settings.plan().unwrap(), key: Some(CardKey::from_bytes(SITE)), sam: None }
}

fn files(mode: Mode) -> OnCard {
    OnCard::new(LEAF, &[MASTER, SITE]).with(2, File::new(mode, Access::Key(1), &CONTENTS))
}

fn card(generation: Generation, mode: Mode) -> Desfire {
    Desfire::new(generation, UID).with(files(mode))
}

/// Lays the card down, asks it, takes it away. Gives the instructions too.
fn tap(reads: &DesfireReads, card: &mut dyn Applet) -> (Result<Proof<DesfireNumber>, Gone>, Vec<u8>) {
    card.lose_power();
    let mut asked = Vec::new();
    let proof = with_around(|around| {
        reads.read(ReaderOrder::AsSent, around, &mut |command: &[u8]| {
            asked.push(command[1]);
            match card.answer(command) {
                Said::Answer(answer) | Said::Late(_, answer) => Ok(Zeroizing::new(answer)),
                Said::Mute | Said::Pulled => Err(Gone),
            }
        })
    });
    (proof, asked)
}

fn with_around<T>(read: impl FnOnce(&mut Around<'_>) -> T) -> T {
    let mut drawn = 0;
    let mut draw = |bytes: &mut [u8]| {
        drawn += 1;
        bytes.iter_mut().zip(drawn..).for_each(|(byte, next)| *byte = next);
    };
    read(&mut Around { draw: &mut draw, now: None, sam: &mut |_| None, answered: &|| {} })
}

fn failed(problem: CardProblem, why: DesfireError) -> Proof<DesfireNumber> {
    Proof::Failed(problem, why.into())
}

fn unproved(why: DesfireError) -> Proof<DesfireNumber> {
    failed(CardProblem::Unproved, why)
}

#[test]
fn every_generation_is_read_in_every_mode_in_six_commands() {
    let table = [
        ("", Generation::Ev2, Mode::Full),
        ("", Generation::Ev3, Mode::Full),
        ("communication = \"mac\"", Generation::Ev2, Mode::Mac),
        ("authentication = \"aes\"", Generation::Ev1, Mode::Full),
        ("authentication = \"aes\"", Generation::Ev3, Mode::Full),
        ("authentication = \"aes\"\ncommunication = \"mac\"", Generation::Ev1, Mode::Mac),
        ("authentication = \"aes\"\ncommunication = \"plain\"", Generation::Ev1, Mode::Plain),
    ];
    for (settings, generation, mode) in table {
        let reads = reads(settings);
        let (proof, asked) = tap(&reads, &mut card(generation, mode));
        let number = DesfireNumber::parse(IDENTITY).unwrap();
        assert_eq!(proof, Ok(Proof::Proved(number)), "{settings} {generation:?}");
        let (authenticate, read) = match reads.plan.protocol {
            Protocol::Aes => (0xAA, 0xBD),
            Protocol::Ev2 => (0x71, 0xAD),
        };
        assert_eq!(asked, [0x5A, 0xCA, authenticate, 0xAF, read, 0x51]);
    }
}

#[test]
fn the_longest_identity_and_a_single_byte_are_read() {
    let contents: Vec<u8> = (100..164).collect();
    for (settings, length) in [("offset = 3\nlength = 32", 32), ("offset = 3\nlength = 1", 1)] {
        for protocol in ["ev2", "aes"] {
            let application = OnCard::new(LEAF, &[MASTER, SITE]);
            let file = File::new(Mode::Full, Access::Key(1), &contents);
            let mut card = Desfire::new(Generation::Ev3, UID).with(application.with(2, file));
            let (proof, _) = tap(&reads(&format!("authentication = \"{protocol}\"\n{settings}")), &mut card);
            let Ok(Proof::Proved(number)) = proof else { panic!("{settings}: {proof:?}") };
            assert_eq!(number.identifier(), &contents[3..3 + length]);
        }
    }
}

#[test]
fn a_card_that_makes_up_its_identifier_says_its_own_in_the_session() {
    for protocol in ["ev2", "aes"] {
        let settings: Settings = toml::from_str(&format!(
            "application = \"F51CDB\"\nkey = 1\nidentity = \"uid\"\nauthentication = \"{protocol}\""
        ))
        .unwrap();
        let reads = DesfireReads { plan: settings.plan().unwrap(), key: Some(CardKey::from_bytes(SITE)), sam: None };
        for mut card in [card(Generation::Ev2, Mode::Full), card(Generation::Ev2, Mode::Full).with_random_identifier()]
        {
            let (proof, asked) = tap(&reads, &mut card);
            assert_eq!(proof, Ok(Proof::Proved(DesfireNumber::new(&UID).unwrap())));
            assert_eq!(asked.len(), 5, "no file is read");
        }
    }
}

#[test]
fn a_key_of_the_single_card_is_derived_and_another_cards_key_is_not_it() {
    let settings = "diversification = \"an10922\"\nsystem_identifier = \"4E5955\"";
    let input = |uid: [u8; 7]| [&uid[..], &[0xDB, 0x1C, 0xF5], &[0x4E, 0x59, 0x55]].concat();
    let with_key = |key| {
        let file = File::new(Mode::Full, Access::Key(1), &CONTENTS);
        Desfire::new(Generation::Ev2, UID).with(OnCard::new(LEAF, &[MASTER, key]).with(2, file))
    };
    let own = diversified(&SITE, &input(UID));
    let (proof, _) = tap(&reads(settings), &mut with_key(own));
    assert!(matches!(proof, Ok(Proof::Proved(_))), "{proof:?}");
    let refused = DesfireError::Refused { doing: Doing::Proof, status: 0x91AE };
    for key in [SITE, diversified(&SITE, &input([4; 7]))] {
        assert_eq!(tap(&reads(settings), &mut with_key(key)).0, Ok(unproved(refused)));
    }
    // What it is derived from is not in the clear.
    let (proof, asked) = tap(&reads(settings), &mut with_key(own).with_random_identifier());
    assert_eq!((proof, asked.len()), (Ok(unproved(DesfireError::IdentifierHidden)), 2));
    // Without the identifier among the parts it need not be.
    let settings = "diversification = \"an10922\"\ninput = [\"key\", \"application-as-printed\"]";
    let own = diversified(&SITE, &[1, 0xF5, 0x1C, 0xDB]);
    let (proof, _) = tap(&reads(settings), &mut with_key(own).with_random_identifier());
    assert!(matches!(proof, Ok(Proof::Proved(_))), "{proof:?}");
}

#[test]
fn what_is_no_such_card_is_not_there() {
    let mut other = Desfire::new(Generation::Ev2, UID).with(OnCard::new([0xF5, 0x1C, 0xD8], &[SITE]));
    let (proof, asked) = tap(&reads(""), &mut other);
    let not_there = |status| Ok(Proof::NotThere(DesfireError::NoApplication { status }.into()));
    assert_eq!((proof, asked), (not_there(0x91A0), vec![0x5A]));
    for status in [[0x6E, 0x00], [0x6D, 0x00], [0x90, 0x00], [0x91, 0xAF]] {
        let instead = Fault::Instead(status.to_vec());
        let mut card = Faulty::new(card(Generation::Ev2, Mode::Full), Moment::Command(SELECT), instead);
        assert_eq!(tap(&reads(""), &mut card).0, not_there(u16::from_be_bytes(status)));
    }
}

#[test]
fn a_missing_key_is_the_boxs_fault_and_only_for_a_card_that_has_the_application() {
    let reads = DesfireReads { key: None, ..reads("") };
    let (proof, _) = tap(&reads, &mut card(Generation::Ev2, Mode::Full));
    assert_eq!(proof, Ok(failed(CardProblem::KeysMissing, DesfireError::NoKey)));
    let (proof, _) = tap(&reads, &mut Desfire::new(Generation::Ev2, UID));
    assert!(matches!(proof, Ok(Proof::NotThere(_))), "{proof:?}");
}

#[test]
fn settings_that_are_not_those_of_the_card_are_refused_with_a_hint() {
    let application = || OnCard::new(LEAF, &[MASTER, SITE]);
    let with = |application: OnCard| Desfire::new(Generation::Ev2, UID).with(application);
    let blank = application().with(2, File::new(Mode::Full, Access::Key(1), &[0; 20]));
    assert_eq!(tap(&reads(""), &mut with(blank)).0, Ok(unproved(DesfireError::Blank)));
    let table = [
        ("key = 7", card(Generation::Ev2, Mode::Full), "no key of that number"),
        ("", card(Generation::Ev1, Mode::Full), "does not know the command"),
        ("", with(application()), "no such file"),
        ("length = 32", card(Generation::Ev2, Mode::Full), "the file is shorter"),
        ("", with(application().with(2, File::new(Mode::Full, Access::Key(0), &CONTENTS))), "not"),
        ("communication = \"mac\"", card(Generation::Ev2, Mode::Full), "21 are wanted"),
    ];
    for (settings, mut card, hint) in table {
        let (proof, _) = tap(&reads(settings), &mut card);
        let Ok(Proof::Failed(CardProblem::Unproved, why)) = proof else { panic!("{settings}: {proof:?}") };
        assert!(why.to_string().contains(hint), "{settings}: {why}");
    }
}

/// Whatever is done to an answer within the session, nothing is proved, and the next tap works.
#[test]
fn no_fault_of_an_answer_is_believed() {
    for settings in ["", "authentication = \"aes\"", "authentication = \"aes\"\ncommunication = \"plain\""] {
        let mode = if settings.contains("plain") { Mode::Plain } else { Mode::Full };
        let reads = reads(settings);
        let mut faults: Vec<_> = (0..192).map(|bit| Fault::Flip { bit }).collect();
        faults.extend([1, 2, 7, 8, 9, 16].map(|bytes| Fault::Truncate { bytes }));
        faults.extend([1, 8, 16].map(|bytes| Fault::Lengthen { bytes }));
        faults.extend([[0x91, 0xAE], [0x91, 0xAF], [0x90, 0x00], [0x6F, 0x00]].map(Fault::Status));
        faults.extend([vec![], vec![0x91], vec![0x91, 0x00], vec![0x91, 0xAF]].map(Fault::Instead));
        faults.extend([1, 2, 6].map(|back| Fault::Replay { back }));
        for moment in [CHALLENGE, PROOF, READ, CARD_UID] {
            for fault in &faults {
                // A bit beyond the shortest answer (an enciphered challenge, 16 bytes) is in none.
                let is_beyond = matches!(fault, Fault::Flip { bit } if *bit >= 128);
                // The challenge is the card's own matter, and a success without it is out of turn.
                let is_right = matches!((moment, fault), (CHALLENGE, Fault::Status([0x91, 0xAF])));
                if is_beyond || is_right {
                    continue;
                }
                // Not even a status: as a card that was pulled looks behind some readers.
                let is_silent = matches!(fault, Fault::Instead(bytes) if bytes.len() < 2);
                let expected = if is_silent { CardProblem::Unreadable } else { CardProblem::Unproved };
                let mut card = Faulty::new(card(Generation::Ev2, mode), Moment::Command(moment), fault.clone());
                for _ in 0..2 {
                    let (proof, asked) = tap(&reads, &mut card);
                    let failed = matches!(&proof, Ok(Proof::Failed(problem, _)) if *problem == expected);
                    assert!(failed, "{moment} {fault:?}: {proof:?}");
                    assert!(asked.len() <= MOST_COMMANDS + 1);
                }
                assert!(matches!(tap(&reads, &mut card.card).0, Ok(Proof::Proved(_))), "{moment} {fault:?}");
            }
        }
    }
}

#[test]
fn each_cause_has_its_own_words() {
    let refused = |doing, status| DesfireError::Refused { doing, status };
    let table = [
        (PROOF, Fault::Flip { bit: 0 }, DesfireError::WrongKey),
        (PROOF, Fault::Status([0x91, 0xAE]), refused(Doing::Proof, 0x91AE)),
        (CHALLENGE, Fault::Status([0x91, 0x00]), DesfireError::OutOfTurn { doing: Doing::Challenge, status: 0x9100 }),
        (PROOF, Fault::Status([0x91, 0xAF]), DesfireError::OutOfTurn { doing: Doing::Proof, status: 0x91AF }),
        (CHALLENGE, Fault::Truncate { bytes: 1 }, DesfireError::Length { found: 15, wanted: 16 }),
        (READ, Fault::Flip { bit: 0 }, DesfireError::Mac),
        (READ, Fault::Flip { bit: 64 }, DesfireError::Mac),
        (READ, Fault::Truncate { bytes: 1 }, DesfireError::Length { found: 23, wanted: 24 }),
        (READ, Fault::Status([0x91, 0x9D]), refused(Doing::Read, 0x919D)),
        (READ, Fault::Instead(vec![0x91]), DesfireError::TooShort { doing: Doing::Read, length: 1 }),
        (CARD_UID, Fault::Replay { back: 1 }, DesfireError::Mac),
        (CLEAR, Fault::Instead(vec![4, 1, 2, 3, 4, 5, 6, 0x90, 0]), DesfireError::OtherIdentifier),
        (CLEAR, Fault::Instead(vec![4, 1, 2, 3, 0x90, 0]), DesfireError::OtherIdentifier),
    ];
    let mut words: Vec<_> = Vec::new();
    for (moment, fault, why) in table {
        let mut card = Faulty::new(card(Generation::Ev2, Mode::Full), Moment::Command(moment), fault.clone());
        let problem = if why.is_no_answer() { CardProblem::Unreadable } else { CardProblem::Unproved };
        assert_eq!(tap(&reads(""), &mut card).0, Ok(failed(problem, why)), "{moment} {fault:?}");
        words.push(why.to_string());
    }
    words.dedup();
    assert!(words.len() >= 11, "{words:#?}");
}

#[test]
fn a_card_that_always_has_more_to_say_is_given_up() {
    let endless = Fault::Instead(vec![0x91, 0xAF]);
    let faults = vec![(Moment::Command(READ), endless.clone()), (Moment::Command(READ + 1), endless)];
    let mut card = Faulty::with(card(Generation::Ev2, Mode::Full), faults);
    let (proof, asked) = tap(&reads(""), &mut card);
    assert_eq!(proof, Ok(unproved(DesfireError::Endless { doing: Doing::Read })));
    assert_eq!(asked[READ..], [0xAD, 0xAF]);
}

#[test]
fn a_card_that_leaves_is_told_from_one_that_proves_nothing() {
    for moment in [SELECT, CHALLENGE, PROOF, READ, CARD_UID] {
        for fault in [Fault::Pulled, Fault::Mute] {
            let mut card = Faulty::new(card(Generation::Ev2, Mode::Full), Moment::Command(moment), fault);
            assert_eq!(tap(&reads(""), &mut card).0, Err(Gone));
        }
    }
}

proptest! {
    /// No sequence of answers panics, goes on without end or is believed.
    #[test]
    fn answers_of_every_kind_prove_nothing(
        ev1 in any::<bool>(),
        answers in proptest::collection::vec(
            (
                prop_oneof![Just(0), Just(16), Just(24), Just(32), 0_usize..600],
                any::<u8>(),
                prop_oneof![Just([0x91, 0x00]), Just([0x91, 0xAF]), Just([0x90, 0x00]), any::<[u8; 2]>()],
            ),
            20,
        ),
    ) {
        let reads = reads(if ev1 { "authentication = \"aes\"" } else { "" });
        let mut asked = 0;
        let proof = with_around(|around| {
            reads.read(ReaderOrder::AsSent, around, &mut |_: &[u8]| {
                let (length, byte, status) = answers[asked % answers.len()];
                asked += 1;
                // The application is there, so that what follows is reached.
                let answer = if asked == 1 { vec![0x91, 0x00] } else { [vec![byte; length], status.to_vec()].concat() };
                Ok::<_, Gone>(Zeroizing::new(answer))
            })
        });
        prop_assert!(matches!(proof, Ok(Proof::Failed(CardProblem::Unproved, _))), "{proof:?}");
        prop_assert!(asked <= MOST_COMMANDS + 4);
    }
}
