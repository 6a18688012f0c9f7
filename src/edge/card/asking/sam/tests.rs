//! The profile with a virtual SAM that holds the key of virtual cards: neither knows this side.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::{
    config::Desfire as Settings,
    domain::CardProblem,
    edge::card::asking::{Around, DesfireReads, Proof},
    rig::cards::{
        Applet, Fault, Faulty, Moment, Said,
        aes::diversified,
        desfire::{Access, Application, Desfire, File, Generation, Mode},
        sam::{Sam, Wants},
    },
    wire::{
        desfire::DesfireNumber,
        sam::{Asked, SamMode},
        uid::ReaderOrder,
    },
};

const UID: [u8; 7] = [0x04, 0x95, 0x8C, 0xAA, 0x5C, 0x5E, 0x80];
const SITE: [u8; 16] = *b"the site's key 1";
const HOST: [u8; 16] = *b"the box's key 12";
const LEAF: [u8; 3] = [0xF5, 0x1C, 0xDB];
const CONTENTS: [u8; 20] = [2, 1, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0x09, 0x87, 0x65, 0x43, 9, 0x1A, 0, 0, 0];
const IDENTITY: &str = "desfire:00000012340000000009876543";

/// SAM_AuthenticatePICC and SAM_Remove_SM; the second half of AUTHENTICATE and READ DATA of a card.
const AUTHENTICATE: u8 = 0x0A;
const REMOVE: u8 = 0xAD;
const PROOF: u8 = 0xAF;
const READ: u8 = 0xAD;

fn host(opening: Opening, key: [u8; 16]) -> SamHost {
    SamHost { opening, entry: KeyEntry { number: 1, version: 2 }, key: Some(HostKey::from_bytes(key)) }
}

fn sam_reads(host: Option<SamHost>) -> SamReads {
    SamReads { reader: "SAM".into(), key: KeyEntry { number: 33, version: 4 }, host }
}

/// The profile with the SAM's key; the key of this process is another one, which nobody is to use.
fn reads(settings: &str) -> DesfireReads {
    let settings: Settings = toml::from_str(&format!("preset = \"leaf-cc\"\n{settings}")).unwrap();
    DesfireReads { plan: settings.plan().unwrap(), key: None, sam: Some(sam_reads(None)) }
}

fn sam(wants: Wants) -> Sam {
    Sam::new(wants).with_key(33, 4, SITE).with_key(1, 2, HOST)
}

fn card(generation: Generation, mode: Mode, key: [u8; 16]) -> Desfire {
    let file = File::new(mode, Access::Key(1), &CONTENTS);
    Desfire::new(generation, UID).with(Application::new(LEAF, &[[0; 16], key]).with(2, file))
}

fn drawn(bytes: &mut [u8]) -> io::Result<()> {
    bytes.fill(0x3C);
    Ok(())
}

/// What a chip says; `None`: nothing.
fn said(chip: &mut dyn Applet, command: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match chip.answer(command) {
        Said::Answer(answer) | Said::Late(_, answer) => Some(Zeroizing::new(answer)),
        Said::Mute | Said::Pulled => None,
    }
}

fn open(reads: &SamReads, sam: &mut dyn Applet) -> Result<SamVersion, SamError> {
    match reads.open(drawn, |command| Ok::<_, Infallible>(said(sam, command).unwrap_or_default())) {
        Ok(version) => Ok(version),
        Err(NotOpened::Sam(error)) => Err(error),
        Err(NotOpened::Line(never)) => match never {},
    }
}

/// Lays the card down, asks it with this SAM, takes it away. `Err`: the card went. With it how often the beginning of its time was told.
fn tap(reads: &DesfireReads, sam: &mut dyn Applet, card: &mut dyn Applet) -> (Result<Proof<DesfireNumber>, ()>, usize) {
    card.lose_power();
    let (mut begun, mut ask) = (0, |command: &[u8]| said(sam, command));
    let mut draw = |bytes: &mut [u8]| begun += usize::from(bytes.is_empty());
    let mut around = Around { draw: &mut draw, now: None, sam: &mut ask, answered: &|| {} };
    let proof = reads.read(ReaderOrder::AsSent, &mut around, &mut |command: &[u8]| said(card, command).ok_or(()));
    (proof, begun)
}

fn proved() -> Result<Proof<DesfireNumber>, ()> {
    Ok(Proof::Proved(DesfireNumber::parse(IDENTITY).unwrap()))
}

fn failed(problem: CardProblem, why: SamError) -> Result<Proof<DesfireNumber>, ()> {
    Ok(Proof::Failed(problem, DesfireError::from(why).into()))
}

#[test]
fn a_sam_speaks_for_cards_of_every_generation_that_has_ev2() {
    let mut sam = sam(Wants::Nothing);
    for (settings, generation, mode) in [
        ("", Generation::Ev2, Mode::Full),
        ("", Generation::Ev3, Mode::Full),
        ("communication = \"mac\"", Generation::Ev2, Mode::Mac),
        ("communication = \"mac\"", Generation::Ev3, Mode::Mac),
    ] {
        let (proof, begun) = tap(&reads(settings), &mut sam, &mut card(generation, mode, SITE));
        assert_eq!((proof, begun), (proved(), 1), "{settings} {generation:?}");
    }
    assert_eq!(sam.authenticated(), 4);
}

#[test]
fn a_single_cards_key_is_derived_within_the_sam() {
    let settings = "diversification = \"an10922\"\nsystem_identifier = \"4E5955\"";
    let input = [&UID[..], &[0xDB, 0x1C, 0xF5], &[0x4E, 0x59, 0x55]].concat();
    let mut card = card(Generation::Ev2, Mode::Full, diversified(&SITE, &input));
    assert_eq!(tap(&reads(settings), &mut sam(Wants::Nothing), &mut card).0, proved());
}

#[test]
fn the_longest_identity_and_a_single_byte_come_out_of_the_sam_whole() {
    let contents: Vec<u8> = (100..164).collect();
    for length in [1, 15, 16, 17, 31, 32] {
        let file = File::new(Mode::Full, Access::Key(1), &contents);
        let application = Application::new(LEAF, &[[0; 16], SITE]).with(2, file);
        let mut card = Desfire::new(Generation::Ev3, UID).with(application);
        let reads = reads(&format!("offset = 3\nlength = {length}"));
        let (Ok(Proof::Proved(number)), _) = tap(&reads, &mut sam(Wants::Nothing), &mut card) else {
            panic!("{length} bytes")
        };
        assert_eq!(number.identifier(), &contents[3..3 + length]);
    }
}

#[test]
fn a_card_that_is_wrong_is_the_cards_fault_and_the_next_one_is_read() {
    let (mut sam, reads) = (sam(Wants::Nothing), reads(""));
    let good = || card(Generation::Ev2, Mode::Full, SITE);
    // A card whose key is another one notices it first; a false card that notices nothing does not get past the SAM.
    let (proof, _) = tap(&reads, &mut sam, &mut card(Generation::Ev2, Mode::Full, [9; 16]));
    assert!(matches!(proof, Ok(Proof::Failed(CardProblem::Unproved, _))), "{proof:?}");
    assert_eq!(tap(&reads, &mut sam, &mut good()).0, proved(), "what the card left behind in the SAM is over");
    for (moment, fault) in [
        (Moment::Instruction(PROOF, 0), Fault::Flip { bit: 7 }),
        (Moment::Instruction(READ, 0), Fault::Flip { bit: 0 }),
        (Moment::Instruction(READ, 0), Fault::Flip { bit: 100 }),
        (Moment::Instruction(0x51, 0), Fault::Flip { bit: 63 }),
        (Moment::Instruction(0x51, 0), Fault::Replay { back: 1 }),
    ] {
        let mut false_card = Faulty::new(good(), moment, fault.clone());
        let (proof, _) = tap(&reads, &mut sam, &mut false_card);
        assert!(matches!(proof, Ok(Proof::Failed(CardProblem::Unproved, _))), "{fault:?}: {proof:?}");
        assert_eq!(tap(&reads, &mut sam, &mut good()).0, proved(), "after {fault:?}");
    }
}

#[test]
fn a_card_that_is_pulled_leaves_nothing_behind() {
    let (mut sam, reads) = (sam(Wants::Nothing), reads(""));
    for command in 0..6 {
        let good = || card(Generation::Ev2, Mode::Full, SITE);
        let mut pulled = Faulty::new(good(), Moment::Command(command), Fault::Pulled);
        assert_eq!(tap(&reads, &mut sam, &mut pulled).0, Err(()), "at command {command}");
        assert_eq!(tap(&reads, &mut sam, &mut good()).0, proved(), "after command {command}");
    }
}

#[test]
fn a_sam_that_does_not_do_its_part_is_the_boxs_fault() {
    let reads = reads("");
    let refused = |status| SamError::Refused { asked: Asked::Authenticate, status };
    let faulty = |moment, fault| Faulty::new(sam(Wants::Nothing), moment, fault);
    let begin = Moment::Instruction(AUTHENTICATE, 0);
    let mut sams: Vec<(Box<dyn Applet>, SamError)> = vec![
        (Box::new(faulty(Moment::Each, Fault::Pulled)), SamError::Silent),
        (Box::new(faulty(Moment::Instruction(REMOVE, 0), Fault::Mute)), SamError::Silent),
        (Box::new(sam(Wants::Host(1, 2))), refused(0x6982)),
        (Box::new(sam(Wants::Unlock(1, 2))), refused(0x6982)),
        (Box::new(Sam::new(Wants::Nothing)), refused(0x6502)),
        (Box::new(Sam::new(Wants::Nothing).with_key(33, 5, SITE)), refused(0x6A82)),
        (
            Box::new(faulty(begin, Fault::Truncate { bytes: 1 })),
            SamError::Length { asked: Asked::Authenticate, length: 31 },
        ),
        (
            Box::new(faulty(begin, Fault::Instead(vec![0x90]))),
            SamError::TooShort { asked: Asked::Authenticate, length: 1 },
        ),
        (Box::new(faulty(begin, Fault::Status([0x90, 0x00]))), refused(0x9000)),
        (
            Box::new(faulty(Moment::Instruction(0xAE, 0), Fault::Lengthen { bytes: 1 })),
            SamError::Length { asked: Asked::Guard, length: 9 },
        ),
        (
            Box::new(faulty(Moment::Instruction(REMOVE, 0), Fault::Status([0x69, 0x85]))),
            SamError::Refused { asked: Asked::Open, status: 0x6985 },
        ),
    ];
    for (sam, why) in &mut sams {
        let (proof, _) = tap(&reads, &mut **sam, &mut card(Generation::Ev2, Mode::Full, SITE));
        assert_eq!(proof, failed(CardProblem::KeysMissing, *why));
    }
}

#[test]
fn a_sam_is_opened_with_the_host_key_alone() {
    for (wants, opening) in [(Wants::Host(1, 2), Opening::AuthenticateHost), (Wants::Unlock(1, 2), Opening::Unlock)] {
        let mut sam = sam(wants);
        assert_eq!(open(&sam_reads(Some(host(opening, HOST))), &mut sam).unwrap().mode, SamMode::Av3);
        let good = || card(Generation::Ev2, Mode::Full, SITE);
        assert_eq!(tap(&reads(""), &mut sam, &mut good()).0, proved(), "{opening:?}");
        assert_eq!(tap(&reads(""), &mut sam, &mut good()).0, proved(), "it stays open");
        sam.lose_power();
        let (proof, _) = tap(&reads(""), &mut sam, &mut good());
        assert!(matches!(proof, Ok(Proof::Failed(CardProblem::KeysMissing, _))), "{proof:?}");

        let other = open(&sam_reads(Some(host(opening, [7; 16]))), &mut sam);
        assert_eq!(other, Err(SamError::OtherHostKey));
        let missing = SamHost { key: None, ..host(opening, HOST) };
        assert_eq!(open(&sam_reads(Some(missing)), &mut sam), Err(SamError::NoHostKey));
    }
    // The wrong command, and a key that is not there.
    let refused = |status| Err(SamError::Refused { asked: Asked::Host, status });
    let reads = sam_reads(Some(host(Opening::Unlock, HOST)));
    assert_eq!(open(&reads, &mut sam(Wants::Host(1, 2))), refused(0x6985));
    assert_eq!(open(&reads, &mut Sam::new(Wants::Unlock(1, 2))), refused(0x6502));
}

#[test]
fn what_is_no_sam_av3_is_not_asked_for_more() {
    let reads = sam_reads(Some(host(Opening::AuthenticateHost, HOST)));
    for (generation, mode) in [(0xA2, SamMode::Av2), (0x03, SamMode::NotActivated)] {
        let mut other = Faulty::with(sam(Wants::Host(1, 2)).with_generation(generation), Vec::new());
        assert_eq!(open(&reads, &mut other), Err(SamError::Mode { mode }));
        assert_eq!(other.asked(), 1);
    }
    let mut student = card(Generation::Ev2, Mode::Full, SITE);
    assert!(open(&reads, &mut student).unwrap_err().is_of_keys(), "a student's card in the SAM's reader");
}

#[test]
fn whether_the_sam_has_the_key_is_found_out_without_a_card() {
    let try_key = |sam: &mut Sam| {
        let tried = sam_reads(None).try_key(|command| Ok::<_, Infallible>(said(sam, command).unwrap_or_default()));
        tried.map_err(|error| match error {
            NotOpened::Sam(error) => error,
            NotOpened::Line(never) => match never {},
        })
    };
    let mut good = sam(Wants::Nothing);
    assert_eq!(try_key(&mut good), Ok(()));
    assert_eq!(tap(&reads(""), &mut good, &mut card(Generation::Ev2, Mode::Full, SITE)).0, proved());
    let refused = SamError::Refused { asked: Asked::Authenticate, status: 0x6502 };
    assert_eq!(try_key(&mut Sam::new(Wants::Nothing)), Err(refused));
    assert_eq!(
        try_key(&mut sam(Wants::Host(1, 2))),
        Err(SamError::Refused { asked: Asked::Authenticate, status: 0x6982 })
    );
}

#[test]
fn a_sam_is_asked_for_ev2_alone() {
    let reads = reads("authentication = \"aes\"");
    let (proof, _) = tap(&reads, &mut sam(Wants::Nothing), &mut card(Generation::Ev1, Mode::Full, SITE));
    assert_eq!(proof, failed(CardProblem::KeysMissing, SamError::OnlyEv2));
}

proptest! {
    /// A SAM that says anything at all ends nothing, is asked a bounded number of commands, and shows nothing of what it said.
    #[test]
    fn survives_any_sam(
        answers in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..60), prop_oneof![Just([0x90, 0x00]), Just([0x90, 0xAF]), any::<[u8; 2]>()]),
            12,
        )
    ) {
        let mut answers = answers.into_iter();
        let mut asked = 0;
        let mut ask = |_: &[u8]| {
            asked += 1;
            answers.next().map(|(data, status)| Zeroizing::new([&data[..], &status].concat()))
        };
        let mut draw = |_: &mut [u8]| {};
        let mut around = Around { draw: &mut draw, now: None, sam: &mut ask, answered: &|| {} };
        let mut card = card(Generation::Ev2, Mode::Full, SITE);
        let proof = reads("").read(ReaderOrder::AsSent, &mut around, &mut |command: &[u8]| said(&mut card, command).ok_or(()));
        prop_assert!(matches!(proof, Ok(Proof::Failed(CardProblem::KeysMissing | CardProblem::Unproved, _))), "{proof:?}");
        let again = sam_reads(Some(host(Opening::Unlock, HOST)));
        let opened = again.open(drawn, |_| ask(&[]).ok_or(()));
        prop_assert!(opened.is_err());
        prop_assert!(asked <= 7 + 4, "{asked} commands");
    }
}
