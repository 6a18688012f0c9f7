//! A SAM that holds the card key, in the second slot of a real pcscd with the virtual reader `vpcd`, beside a virtual DESFire card in the first.
//!
//! Needs the Debian packages `pcscd` and `vsmartcard-vpcd`. Knows nothing of sessions.

use std::time::Duration;

use examgate::{
    config,
    domain::{CardProblem, Credential, CredentialProfile, Pepper},
    edge::card::{
        CardEvent, CardReader, CardReads, DesfireReads, PcscCardReader, SamFault, SamHost, SamReads, Slot, look_at_sam,
    },
    rig::{
        alone::alone,
        cards::{
            Chip, Fault, Faulty, Moment,
            desfire::{Access, Application, Desfire, File, Generation, Mode},
            sam::{Sam, Wants},
        },
        pcscd::Pcscd,
        virtual_card::{Behaviour, VirtualCard},
        virtual_reader::surroundings,
    },
    wire::sam::{HostKey, KeyEntry, Opening, SamError},
};
use pcsc::{Context, ReaderState, Scope, State};

/// Far more than an event takes.
const PATIENCE: Duration = Duration::from_secs(20);

const SITE: [u8; 16] = *b"the site's key 1";
const HOST: [u8; 16] = *b"the box's key 12";

fn sam_reads(host: [u8; 16]) -> SamReads {
    let host = SamHost {
        opening: Opening::AuthenticateHost,
        entry: KeyEntry { number: 1, version: 2 },
        key: Some(HostKey::from_bytes(host)),
    };
    SamReads { reader: "00 01".into(), key: KeyEntry { number: 33, version: 4 }, host: Some(host) }
}

fn sam() -> Sam {
    Sam::new(Wants::Host(1, 2)).with_key(33, 4, SITE).with_key(1, 2, HOST)
}

fn student() -> Behaviour {
    let contents = [2, 1, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0x09, 0x87, 0x65, 0x43, 9, 0x1A, 0, 0, 0];
    let file = File::new(Mode::Full, Access::Key(1), &contents);
    let leaf = Application::new([0xF5, 0x1C, 0xDB], &[[0; 16], SITE]).with(2, file);
    Behaviour::Applet(Chip::new(Desfire::new(Generation::Ev2, [4, 1, 2, 3, 4, 5, 6]).with(leaf)).any())
}

/// The reader of the door, which has one slot left.
fn open(sam: SamReads) -> PcscCardReader {
    let desfire: config::Desfire = toml::from_str("preset = \"leaf-cc\"").expect("a preset says all");
    let desfire = DesfireReads { plan: desfire.plan().expect("it is whole"), key: None, sam: Some(sam) };
    let profiles = vec![CredentialProfile::DesfireAes, CredentialProfile::Uid];
    let reads = CardReads { profiles, desfire: Some(desfire), ..CardReads::default() };
    let mut reader = PcscCardReader::open(reads, Pepper::from_bytes([1; 32]), surroundings()).expect("a thread starts");
    assert_eq!(reader.next(PATIENCE).expect("no outage"), Some(CardEvent::Ready { slots: 1 }));
    reader
}

fn lay_in(pcscd: &Pcscd, slot: u16, behaviour: Behaviour) -> VirtualCard {
    VirtualCard::insert(pcscd.port(slot), behaviour).expect("the slot listens")
}

/// Puts the SAM into its slot, and waits until the service sees it.
fn insert(pcscd: &Pcscd, sam: Behaviour) -> VirtualCard {
    let card = lay_in(pcscd, 1, sam);
    wait_until_the_slot_of_the_sam_is(State::PRESENT);
    card
}

/// Takes the SAM out, and waits until the service sees that.
fn take_out(sam: VirtualCard) {
    drop(sam);
    wait_until_the_slot_of_the_sam_is(State::EMPTY);
}

fn wait_until_the_slot_of_the_sam_is(wanted: State) {
    let context = Context::establish(Scope::User).expect("the service runs");
    let readers = context.list_readers_owned().expect("it has a reader");
    let slot = readers.into_iter().find(|name| name.to_string_lossy().ends_with("00 01")).expect("two slots");
    let mut states = [ReaderState::new(slot, State::UNAWARE)];
    while !states[0].event_state().contains(wanted) {
        states[0].sync_current_state();
        context.get_status_change(PATIENCE, &mut states).expect("it is seen in time");
    }
}

/// A tap of the student's card, from its arrival to its removal.
fn tap(pcscd: &Pcscd, reader: &mut PcscCardReader) -> Result<Credential, CardProblem> {
    let card = lay_in(pcscd, 0, student());
    let tapped = reader.next(PATIENCE).expect("no outage");
    let Some(CardEvent::Tapped { slot: Slot(0), read, .. }) = tapped else { panic!("a tap: {tapped:?}") };
    drop(card);
    assert_eq!(reader.next(PATIENCE).expect("no outage"), Some(CardEvent::Removed { slot: Slot(0) }));
    read
}

fn chip(sam: &Chip<Sam>) -> Behaviour {
    Behaviour::Applet(sam.any())
}

#[test]
fn a_card_is_proved_by_the_sam_as_long_as_it_is_there() {
    alone("a_card_is_proved_by_the_sam_as_long_as_it_is_there", |pcscd| {
        let chip_of_sam = Chip::new(sam());
        let inserted = insert(&pcscd, chip(&chip_of_sam));
        let mut reader = open(sam_reads(HOST));
        let proved = tap(&pcscd, &mut reader).expect("the card proves itself");
        assert_eq!(proved.profile, CredentialProfile::DesfireAes);
        assert_eq!(tap(&pcscd, &mut reader), Ok(proved.clone()), "and again");
        assert_eq!(chip_of_sam.hold().authenticated(), 2);

        take_out(inserted);
        assert_eq!(tap(&pcscd, &mut reader), Err(CardProblem::KeysMissing), "the SAM was pulled");
        assert_eq!(tap(&pcscd, &mut reader), Err(CardProblem::KeysMissing));

        let inserted = insert(&pcscd, chip(&chip_of_sam));
        assert_eq!(tap(&pcscd, &mut reader), Ok(proved.clone()), "it is back");
        // Nobody taps while it is out: the next proof finds it locked, and opens it.
        take_out(inserted);
        let _inserted = insert(&pcscd, chip(&chip_of_sam));
        assert_eq!(tap(&pcscd, &mut reader), Ok(proved));
        assert_eq!(chip_of_sam.hold().authenticated(), 4);
    });
}

#[test]
fn a_mute_sam_refers_and_holds_up_nobody() {
    alone("a_mute_sam_refers_and_holds_up_nobody", |pcscd| {
        let mute = Faulty::new(sam(), Moment::Instruction(0x0A, 0), Fault::Mute);
        let inserted = insert(&pcscd, Behaviour::Applet(Chip::new(mute).any()));
        let mut reader = open(sam_reads(HOST));
        assert_eq!(tap(&pcscd, &mut reader), Err(CardProblem::KeysMissing));
        assert_eq!(
            tap(&pcscd, &mut reader),
            Err(CardProblem::KeysMissing),
            "it is not asked again, and not waited for"
        );
        take_out(inserted);
        let _inserted = insert(&pcscd, Behaviour::Applet(Chip::new(sam()).any()));
        // The call that was stuck comes back with the SAM's removal, at a time of its own.
        let proved = (0..50).map(|_| tap(&pcscd, &mut reader)).find(Result::is_ok);
        assert!(proved.is_some(), "the next SAM is used");
    });
}

#[test]
fn a_sam_of_another_box_is_told_apart_and_not_asked_twice() {
    alone("a_sam_of_another_box_is_told_apart_and_not_asked_twice", |pcscd| {
        let chip_of_sam = Chip::new(sam());
        let _inserted = insert(&pcscd, chip(&chip_of_sam));
        let fault = look_at_sam(&sam_reads([7; 16]), PATIENCE).unwrap_err();
        assert!(matches!(fault, SamFault::Sam { source: SamError::OtherHostKey, .. }), "{fault:?}");
        let before = chip_of_sam.hold().refused();
        let mut reader = open(sam_reads([7; 16]));
        for _ in 0..3 {
            assert_eq!(tap(&pcscd, &mut reader), Err(CardProblem::KeysMissing));
        }
        assert_eq!(chip_of_sam.hold().refused(), before + 1, "it may count attempts");
    });
}

#[test]
fn doctor_sees_which_sam_it_is_and_what_it_lacks() {
    alone("doctor_sees_which_sam_it_is_and_what_it_lacks", |pcscd| {
        let reads = sam_reads(HOST);
        let empty = look_at_sam(&reads, PATIENCE).unwrap_err();
        assert!(matches!(empty, SamFault::Reader { .. }), "{empty:?}");
        let named = |reader: &str| SamReads { reader: reader.into(), ..sam_reads(HOST) };
        let none = look_at_sam(&named("Vault"), PATIENCE).unwrap_err();
        assert!(matches!(none, SamFault::NoReader { .. }), "{none:?}");
        let several = look_at_sam(&named("Virtual"), PATIENCE).unwrap_err();
        assert!(matches!(&several, SamFault::SeveralReaders { found, .. } if found.len() == 2), "{several:?}");

        let inserted = insert(&pcscd, chip(&Chip::new(sam())));
        let seen = look_at_sam(&reads, PATIENCE).unwrap();
        assert!(seen.reader.ends_with("00 01") && seen.version.to_string().contains("SAM AV3"), "{seen:?}");
        let other = SamReads { key: KeyEntry { number: 34, version: 0 }, ..sam_reads(HOST) };
        let fault = look_at_sam(&other, PATIENCE).unwrap_err();
        assert!(matches!(fault, SamFault::Sam { source: SamError::Refused { status: 0x6502, .. }, .. }), "{fault:?}");
        take_out(inserted);

        let _inserted = insert(&pcscd, chip(&Chip::new(sam().with_generation(0xA2))));
        let fault = look_at_sam(&reads, PATIENCE).unwrap_err();
        assert!(matches!(fault, SamFault::Sam { source: SamError::Mode { .. }, .. }), "{fault:?}");
    });
}
