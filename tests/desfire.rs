//! DESFire cards over a real pcscd: each generation and mode before our reader, every fault, and python-desfire, which nobody here wrote,
//! before the same cards.
//!
//! Needs the Debian packages `pcscd`, `vsmartcard-vpcd` and `python3-venv`, and what tests/python_desfire/setup makes.

use std::{path::Path, process::Command, time::Duration};

use examgate::{
    config,
    domain::{CardProblem, Credential, CredentialProfile, Pepper},
    edge::card::{CardEvent, CardReader, CardReads, DesfireReads, PcscCardReader},
    rig::{
        alone::alone,
        cards::{
            Applet, Chip, Fault, Faulty, Moment, aes,
            desfire::{Access, Application, Desfire, File, Generation, Mode},
        },
        pcscd::{self, Pcscd},
        virtual_card::{Behaviour, VirtualCard},
        virtual_reader::surroundings,
    },
    wire::desfire::CardKey,
};
use serde_json::{Value, json};

/// Far more than an event takes.
const PATIENCE: Duration = Duration::from_secs(20);

const KEY: [u8; 16] = [0x5C; 16];
const UID: [u8; 7] = [0x04, 0x9A, 0x8B, 0x7C, 0x6D, 0x5E, 0x4F];
const IDENTITY: [u8; 16] = *b"campus 4711-0815";
const APPLICATION: [u8; 3] = [0xF5, 0x1C, 0xDB];

/// What a site whose cards are enciphered says of them.
const SITE: &str = "application = \"F51CDB\"\nfile = 2\nlength = 16\nkey = 1\n";

fn files(mode: Mode, key: [u8; 16]) -> Application {
    Application::new(APPLICATION, &[[0; 16], key]).with(2, File::new(mode, Access::Key(1), &IDENTITY))
}

fn card(generation: Generation) -> Desfire {
    Desfire::new(generation, UID).with(files(Mode::Full, KEY))
}

fn pepper() -> Pepper {
    Pepper::from_bytes([1; 32])
}

fn named(profile: CredentialProfile, number: &[u8]) -> Result<Credential, CardProblem> {
    Ok(Credential { pseudonym: pepper().pseudonym(profile, number), profile })
}

fn proved(number: &[u8]) -> Result<Credential, CardProblem> {
    named(CredentialProfile::DesfireAes, number)
}

/// A door whose site says this of its cards.
struct Door<'a> {
    reader: PcscCardReader,
    pcscd: &'a Pcscd,
}

impl<'a> Door<'a> {
    fn new(pcscd: &'a Pcscd, site: &str) -> Self {
        let desfire: config::Desfire = toml::from_str(site).expect("a table");
        let desfire =
            DesfireReads { plan: desfire.plan().expect("a plan"), key: Some(CardKey::from_bytes(KEY)), sam: None };
        let profiles = vec![CredentialProfile::DesfireAes, CredentialProfile::Uid];
        let reads = CardReads { profiles, desfire: Some(desfire), ..CardReads::default() };
        let mut reader = PcscCardReader::open(reads, pepper(), surroundings()).expect("a thread starts");
        assert_eq!(reader.next(PATIENCE).expect("no outage"), Some(CardEvent::Ready { slots: 2 }));
        Self { reader, pcscd }
    }

    /// Lays a card down, takes it away, and says what was read.
    fn tap(&mut self, card: impl Applet + 'static) -> Result<Credential, CardProblem> {
        self.tap_again(&Chip::new(card))
    }

    fn tap_again<A: Applet + 'static>(&mut self, chip: &Chip<A>) -> Result<Credential, CardProblem> {
        self.tap_in(0, chip)
    }

    fn tap_in<A: Applet + 'static>(&mut self, slot: u16, chip: &Chip<A>) -> Result<Credential, CardProblem> {
        let card = VirtualCard::insert(self.pcscd.port(slot), Behaviour::Applet(chip.any())).expect("the slot listens");
        let event = self.reader.next(PATIENCE).expect("no outage");
        let Some(CardEvent::Tapped { read, .. }) = event else { panic!("a tap, and not {event:?}") };
        drop(card);
        assert!(matches!(self.reader.next(PATIENCE), Ok(Some(CardEvent::Removed { .. }))));
        read
    }
}

#[test]
fn every_generation_proves_itself_in_every_mode() {
    alone("every_generation_proves_itself_in_every_mode", |pcscd| {
        for (authentication, generations) in
            [("aes", &[Generation::Ev1, Generation::Ev3][..]), ("ev2", &[Generation::Ev2, Generation::Ev3])]
        {
            for (communication, mode) in [("plain", Mode::Plain), ("mac", Mode::Mac), ("full", Mode::Full)] {
                if authentication == "ev2" && mode == Mode::Plain {
                    // Nothing would guard the identity: a configuration may not say so.
                    continue;
                }
                let site =
                    format!("{SITE}authentication = \"{authentication}\"\ncommunication = \"{communication}\"\n");
                let mut door = Door::new(&pcscd, &site);
                for generation in generations {
                    let card = Desfire::new(*generation, UID).with(files(mode, KEY));
                    assert_eq!(
                        door.tap(card),
                        proved(&IDENTITY),
                        "{generation:?} by {authentication}, {communication}"
                    );
                }
            }
        }
    });
}

#[test]
fn made_up_identifiers_and_diversified_keys() {
    alone("made_up_identifiers_and_diversified_keys", |pcscd| {
        let mut door = Door::new(&pcscd, SITE);
        assert_eq!(door.tap(card(Generation::Ev2).with_random_identifier()), proved(&IDENTITY));
        let bare = Desfire::new(Generation::Ev2, UID);
        assert_eq!(
            door.tap(bare),
            named(CredentialProfile::Uid, &UID),
            "a card without the application is asked for less"
        );

        let site = "application = \"F51CDB\"\nkey = 1\nidentity = \"uid\"\n";
        for authentication in ["aes", "ev2"] {
            let mut door = Door::new(&pcscd, &format!("{site}authentication = \"{authentication}\"\n"));
            assert_eq!(door.tap(card(Generation::Ev3).with_random_identifier()), proved(&UID));
            assert_eq!(door.tap(card(Generation::Ev3)), proved(&UID));
        }

        let mut door =
            Door::new(&pcscd, &format!("{SITE}diversification = \"an10922\"\nsystem_identifier = \"4E5855\"\n"));
        let own = aes::diversified(&KEY, &[&UID[..], &[0xDB, 0x1C, 0xF5], b"NXU"].concat());
        assert_eq!(door.tap(Desfire::new(Generation::Ev2, UID).with(files(Mode::Full, own))), proved(&IDENTITY));
        assert_eq!(door.tap(card(Generation::Ev2)), Err(CardProblem::Unproved), "the site's key is no card's");
        let other = Desfire::new(Generation::Ev2, [4, 1, 2, 3, 4, 5, 6]).with(files(Mode::Full, own));
        assert_eq!(door.tap(other), Err(CardProblem::Unproved), "another card's key");
    });
}

/// What happens to the answer of a card in the exchange, which `challenge` and `read` begin: challenge, proof, identity, own identifier.
fn faults(challenge: u8, read: u8) -> Vec<(Moment, Fault)> {
    let answers = [challenge, 0xAF, read, 0x51].map(|instruction| Moment::Instruction(instruction, 0));
    let mut faults = Vec::new();
    for moment in answers {
        faults.extend([
            (moment, Fault::Flip { bit: 0 }),
            (moment, Fault::Truncate { bytes: 1 }),
            (moment, Fault::Truncate { bytes: 16 }),
            (moment, Fault::Lengthen { bytes: 1 }),
            (moment, Fault::Status([0x91, 0xAE])),
        ]);
    }
    let [challenge, proof, identity, own] = answers;
    faults.extend([
        (challenge, Fault::Status([0x91, 0x00])),
        (proof, Fault::Status([0x91, 0xAF])),
        (proof, Fault::Instead(vec![0x91, 0x00])),
        (identity, Fault::Flip { bit: 63 }),
        (identity, Fault::Flip { bit: 64 }),
        (identity, Fault::Status([0x90, 0x00])),
        (identity, Fault::Replay { back: 1 }),
        (own, Fault::Flip { bit: 64 }),
        (own, Fault::Replay { back: 1 }),
    ]);
    faults
}

#[test]
fn a_card_of_ev2_that_errs_is_nobody() {
    alone("a_card_of_ev2_that_errs_is_nobody", |pcscd| nobody(&pcscd, Generation::Ev2, SITE, [0x71, 0xAD]));
}

#[test]
fn a_card_of_ev1_that_errs_is_nobody() {
    let site = format!("{SITE}authentication = \"aes\"\n");
    alone("a_card_of_ev1_that_errs_is_nobody", |pcscd| nobody(&pcscd, Generation::Ev1, &site, [0xAA, 0xBD]));
}

/// No weaker profile is asked of such a card, though its identifier could be read.
fn nobody(pcscd: &Pcscd, generation: Generation, site: &str, [challenge, read]: [u8; 2]) {
    let mut door = Door::new(pcscd, site);
    let other = Desfire::new(generation, UID).with(files(Mode::Full, [0x5D; 16]));
    assert_eq!(door.tap(other), Err(CardProblem::Unproved), "another key");
    assert_eq!(door.tap(card(generation)), proved(&IDENTITY));
    for (moment, fault) in faults(challenge, read) {
        let read = door.tap(Faulty::new(card(generation), moment, fault.clone()));
        assert_eq!(read, Err(CardProblem::Unproved), "{fault:?} at {moment:02X?}");
    }
    // The second tap hears the proof that the first one should have had.
    let replayed = Chip::new(Faulty::new(card(generation), Moment::Instruction(0xAF, 0), Fault::Replay { back: 4 }));
    for _ in 0..2 {
        assert_eq!(door.tap_again(&replayed), Err(CardProblem::Unproved), "an earlier proof");
    }
    assert_eq!(door.tap(card(generation)), proved(&IDENTITY), "the reader is usable at once");
}

#[test]
fn a_card_that_leaves_between_two_commands_could_not_be_read() {
    alone("a_card_that_leaves_between_two_commands_could_not_be_read", |pcscd| {
        let mut door = Door::new(&pcscd, SITE);
        let good = Chip::new(Faulty::with(card(Generation::Ev2), Vec::new()));
        let laid = VirtualCard::insert(pcscd.port(0), Behaviour::Applet(good.any())).expect("the slot listens");
        assert!(matches!(door.reader.next(PATIENCE), Ok(Some(CardEvent::Tapped { read: Ok(_), .. }))));
        let commands = good.hold().asked();
        drop(laid);
        assert!(matches!(door.reader.next(PATIENCE), Ok(Some(CardEvent::Removed { .. }))));
        assert!(commands >= 6, "select, identifier, two halves, identity, own identifier: {commands}");
        let pulled = (0..commands).map(|nth| (Moment::Command(nth), Fault::Pulled));
        let mute = [0xAF, 0xAD].map(|instruction| (Moment::Instruction(instruction, 0), Fault::Mute));
        for (moment, fault) in pulled.chain(mute) {
            let read = door.tap(Faulty::new(card(Generation::Ev2), moment, fault.clone()));
            assert_eq!(read, Err(CardProblem::Unreadable), "{fault:?} at {moment:02X?}");
            // In the other slot: pcscd looks every 400 ms, and takes a card that comes sooner for the one that left.
            let next = door.tap_in(1, &Chip::new(card(Generation::Ev2)));
            assert_eq!(next, proved(&IDENTITY), "the reader is usable at once after {fault:?} at {moment:02X?}");
        }
    });
}

/// What python-desfire says of the card that is laid down.
fn python_desfire(pcscd: &Pcscd, card: Behaviour, arguments: &[&str]) -> Value {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("target/python-desfire/bin/python");
    assert!(python.exists(), "{} is missing: tests/python_desfire/setup", python.display());
    let _card = VirtualCard::insert(pcscd.port(0), card).expect("the slot listens");
    present(PATIENCE);
    let ended = Command::new(python)
        .arg(here.join("tests/python_desfire/reader.py"))
        .args(arguments)
        .env(pcscd::SOCKET, pcscd.socket())
        .output()
        .expect("it starts");
    let failed = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{failed}");
    serde_json::from_slice(&ended.stdout).expect("what it printed")
}

/// Waits until the service sees the card in its first slot.
fn present(patience: Duration) {
    use pcsc::{Context, ReaderState, Scope, State};

    let context = Context::establish(Scope::User).expect("the service runs");
    let name = context.list_readers_owned().expect("it has a reader").remove(0);
    let mut states = [ReaderState::new(name, State::UNAWARE)];
    while !states[0].event_state().contains(State::PRESENT) {
        context.get_status_change(patience, &mut states).expect("a card arrives");
        states[0].sync_current_state();
    }
}

#[test]
fn python_desfire_reads_our_card() {
    alone("python_desfire_reads_our_card", |pcscd| {
        let contents: Vec<u8> = (1..=100).collect();
        let application = files(Mode::Full, KEY)
            .of_version(0x42)
            .with(1, File::new(Mode::Mac, Access::Key(1), &contents))
            .with(4, File::new(Mode::Plain, Access::Free, &contents));
        let chip = Chip::new(Desfire::new(Generation::Ev1, UID).with(application).with_random_identifier());
        let found = python_desfire(&pcscd, Behaviour::Applet(chip.any()), &["read", &hex::encode(KEY)]);
        let version = "04010101001805 04010101041805 00000000000000 ba54923040 2422".replace(' ', "");
        let expected = json!({
            "version": version, "applications": ["db1cf5"], "keys": 2, "key_version": 0x42, "files": [1, 2, 4],
            "free": hex::encode(&contents), "maced": hex::encode(&contents), "enciphered": hex::encode(IDENTITY),
            "uid": hex::encode(UID), "version_again": version,
        });
        assert_eq!(found, expected);
    });
}

#[test]
fn our_reader_reads_a_card_that_python_desfire_made() {
    alone("our_reader_reads_a_card_that_python_desfire_made", |pcscd| {
        let chip = Chip::new(Desfire::new(Generation::Ev2, UID));
        let arguments = ["make", &hex::encode(KEY), &hex::encode(IDENTITY)];
        let made = python_desfire(&pcscd, Behaviour::Applet(chip.any()), &arguments);
        assert_eq!(made, json!({ "read": hex::encode(IDENTITY) }));
        for authentication in ["aes", "ev2"] {
            let mut door = Door::new(&pcscd, &format!("{SITE}authentication = \"{authentication}\"\n"));
            assert_eq!(door.tap_again(&chip), proved(&IDENTITY), "{authentication}");
        }
    });
}
