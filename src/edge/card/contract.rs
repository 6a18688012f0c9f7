//! What any [`CardReader`] owes its users, as cases that a test runs on a [`Bench`]: in process, over a real pcscd, or
//! with real cards and a patient hand. Panics are its way to say that a reader does not comply.

mod proofs;

use std::time::Duration;

pub use self::proofs::{a_card_that_does_not_prove_itself, a_card_that_proves_itself, a_key_that_is_missing};

use super::{CardError, CardEvent, CardReader, CardReads, PacsReads, Slot, Surroundings};
use crate::{
    domain::{CardProblem, Credential, CredentialProfile, Pepper},
    wire::{
        pacs::{PacsColumn, PacsForm, PacsNumber},
        uid::ReaderOrder,
    },
};

/// How long an event may take: far more than it does, for loaded machines and slow hands.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a card answers to GET DATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardAnswer {
    /// An identifier and success.
    Uid(Vec<u8>),
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// Each command with the response beside it, any other with a refusal.
    Dialogue(Vec<(Vec<u8>, Vec<u8>)>),
    /// The same, of a card with this ATR.
    Card {
        /// As the reader makes it up.
        atr: Vec<u8>,
        /// Commands, each with its response.
        answers: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// Nothing, for ever.
    Mute,
    /// It leaves while it is being read.
    Pulled,
}

/// A reader with two slots, and the hand that plays with it.
pub trait Bench {
    /// How long nothing must happen before it is believed that nothing will.
    fn quiet(&self) -> Duration;

    /// Opens the reader anew.
    fn open(&mut self, reads: CardReads, pepper: Pepper, surroundings: Surroundings) -> Box<dyn CardReader>;

    /// Inserts a card into slot 0 or 1, which is empty.
    fn insert(&mut self, slot: u16, answer: CardAnswer);

    /// Removes the card from slot 0 or 1, if one is there.
    fn remove(&mut self, slot: u16);

    /// Takes all readers, or the service, away.
    fn take_away(&mut self);

    /// Brings them back, with empty slots.
    fn bring_back(&mut self);

    /// Lets the service hang: it is there and answers nothing.
    fn hang(&mut self);

    /// Lets it go on, with the cards that lie there.
    fn resume(&mut self);
}

/// One case of the contract.
pub type Case = fn(&mut dyn Bench);

/// Every case by its name, for benches that can run them in a row.
pub const CASES: [(&str, Case); 16] = [
    ("tap_and_removal", tap_and_removal),
    ("every_length_and_order", every_length_and_order),
    ("random_identifiers_are_refused", random_identifiers_are_refused),
    ("numbers_from_the_reader", numbers_from_the_reader),
    ("a_card_that_proves_itself", a_card_that_proves_itself),
    ("a_card_that_does_not_prove_itself", a_card_that_does_not_prove_itself),
    ("a_key_that_is_missing", a_key_that_is_missing),
    ("answers_without_sense", answers_without_sense),
    ("answers_in_steps_and_with_warnings", answers_in_steps_and_with_warnings),
    ("a_mute_card", a_mute_card),
    ("a_card_pulled_midway", a_card_pulled_midway),
    ("a_card_present_at_the_start", a_card_present_at_the_start),
    ("two_slots", two_slots),
    ("an_outage", an_outage),
    ("a_hang", a_hang),
    ("many_quick_taps", many_quick_taps),
];

const CARD: [u8; 7] = [0x04, 0xA2, 0x24, 0x5B, 0x6F, 0x61, 0x80];

fn pepper() -> Pepper {
    Pepper::from_bytes([0x5A; 32])
}

fn named(uid: &[u8]) -> Result<Credential, CardProblem> {
    let profile = CredentialProfile::Uid;
    Ok(Credential { pseudonym: pepper().pseudonym(profile, uid), profile })
}

fn uid(uid: &[u8]) -> CardAnswer {
    CardAnswer::Uid(uid.to_vec())
}

/// A tap at a clock that stands still: how long it took is told if and only if a profile named the card.
fn tapped(slot: u16, read: Result<Credential, CardProblem>) -> CardEvent {
    let took = read.is_ok().then_some(Duration::ZERO);
    CardEvent::Tapped { slot: Slot(slot), read, took }
}

/// An open reader whose next events are stated.
struct Expecting {
    reader: Box<dyn CardReader>,
    quiet: Duration,
}

impl Expecting {
    fn open(bench: &mut dyn Bench) -> Self {
        Self::open_with(bench, CardReads::default())
    }

    fn open_with(bench: &mut dyn Bench, reads: CardReads) -> Self {
        let mut reader = Self { reader: bench.open(reads, pepper(), proofs::surroundings()), quiet: bench.quiet() };
        reader.ready();
        reader
    }

    #[track_caller]
    fn event(&mut self) -> CardEvent {
        self.reader.next(PATIENCE).expect("no outage here").expect("an event in time")
    }

    #[track_caller]
    fn ready(&mut self) {
        assert_eq!(self.event(), CardEvent::Ready { slots: 2 });
    }

    #[track_caller]
    fn tapped(&mut self, slot: u16, expected: Result<Credential, CardProblem>) {
        assert_eq!(self.event(), tapped(slot, expected));
    }

    #[track_caller]
    fn removed(&mut self, slot: u16) {
        assert_eq!(self.event(), CardEvent::Removed { slot: Slot(slot) });
    }

    #[track_caller]
    fn in_any_order(&mut self, [first, second]: [CardEvent; 2]) {
        let seen = [self.event(), self.event()];
        assert!(seen == [first.clone(), second.clone()] || seen == [second, first], "{seen:?}");
    }

    #[track_caller]
    fn quiet(&mut self) {
        assert_eq!(self.reader.next(self.quiet).expect("no outage here"), None);
    }
}

/// A card comes, is named once, lies there in peace, goes, and comes again.
pub fn tap_and_removal(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    reader.quiet();
    for _ in 0..2 {
        bench.insert(0, uid(&CARD));
        reader.tapped(0, named(&CARD));
        reader.quiet();
        bench.remove(0);
        reader.removed(0);
        reader.quiet();
    }
}

/// Identifiers of 4, 7, 8 and 10 bytes, from readers of either order.
pub fn every_length_and_order(bench: &mut dyn Bench) {
    for order in [ReaderOrder::AsSent, ReaderOrder::Reversed] {
        let mut reader = Expecting::open_with(bench, order.into());
        let felica = [0x01, 0xFE, 0x45, 0x12, 0x34, 0x56, 0x78, 0x9A];
        for canonical in [&[0xDE, 0xAD, 0xBE, 0xEF][..], &CARD, &felica, &[0x04, 1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            let mut given = canonical.to_vec();
            if order == ReaderOrder::Reversed {
                given.reverse();
            }
            bench.insert(0, CardAnswer::Uid(given));
            reader.tapped(0, named(canonical));
            bench.remove(0);
            reader.removed(0);
        }
    }
}

/// What Seos cards and phones give, and nothing that tells which of them it is.
pub fn random_identifiers_are_refused(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    bench.insert(0, uid(&[0x08, 0x11, 0x22, 0x33]));
    reader.tapped(0, Err(CardProblem::Unstable));
    bench.remove(0);
    reader.removed(0);
}

/// What the reader's secure element knows of a card is taken before its identifier; where it knows nothing, the identifier is.
pub fn numbers_from_the_reader(bench: &mut dyn Bench) {
    let pacs = PacsReads { forms: vec![PacsForm::H10301], ..PacsReads::default() };
    let profiles = vec![CredentialProfile::Pacs, CredentialProfile::Uid];
    let mut reader = Expecting::open_with(bench, CardReads { profiles, pacs, ..CardReads::default() });
    let processor = [0x3B, 0x80, 0x80, 0x01, 0x01];
    let ask = [0xFF, 0x70, 0x07, 0x6B, 0x07, 0xA0, 0x05, 0xA1, 0x03, 0x80, 0x01, 0x04, 0x00];
    let wallet = [&[0x00, 0xA4, 0x04, 0x00, 0x0A], &b"OSE.VAS.01"[..], &[0x00]].concat();
    let uid = |uid: &[u8]| (vec![0xFF, 0xCA, 0, 0, 0], [uid, &[0x90, 0x00]].concat());
    let made_up = || uid(&[0x08, 0x11, 0x22, 0x33]);
    // Facility 31, card 337, of 26 bits.
    let bits = [0x9D, 0x07, 0x03, 0x05, 0x06, 0x8F, 0x80, 0xA8, 0xC0, 0x90, 0x00];
    let number = PacsNumber::parse("h10301:31-337", PacsColumn::default()).expect("a number");
    let profile = CredentialProfile::Pacs;
    let by_number = Ok(Credential { pseudonym: pepper().pseudonym(profile, &number.identifier()), profile });
    let refused = (ask.to_vec(), vec![0x9E, 0x02, 0x00, 0x03, 0x90, 0x00]);
    for (answers, expected) in [
        (vec![(ask.to_vec(), bits.to_vec()), made_up()], by_number),
        (vec![refused, uid(&CARD)], named(&CARD)),
        (vec![made_up()], Err(CardProblem::Unstable)),
        (
            vec![made_up(), (wallet, [&b"\x6F\x0C\x50\x0AAndroidPay"[..], &[0x90, 0x00]].concat())],
            Err(CardProblem::Wallet),
        ),
    ] {
        bench.insert(0, CardAnswer::Card { atr: processor.to_vec(), answers });
        reader.tapped(0, expected);
        bench.remove(0);
        reader.removed(0);
    }
}

/// Refusals, identifiers of impossible length, and nothing but a status word. Then a good card.
pub fn answers_without_sense(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    let answers: [&[u8]; 5] =
        [&[0x6A, 0x81], &[0x90, 0x00], &[1, 2, 3, 0x90, 0x00], &[0xAA; 200], &[0xDE, 0xAD, 0xBE, 0xEF, 0x63, 0x00]];
    for answer in answers {
        bench.insert(0, CardAnswer::Bytes(answer.to_vec()));
        reader.tapped(0, Err(CardProblem::Unreadable));
        bench.remove(0);
        reader.removed(0);
    }
    bench.insert(0, uid(&CARD));
    reader.tapped(0, named(&CARD));
    bench.remove(0);
    reader.removed(0);
}

/// Answers that ISO/IEC 7816-4 lets a reader give in two steps or with a warning are read; promises without end are not.
pub fn answers_in_steps_and_with_warnings(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    let get = |length| vec![0xFF, 0xCA, 0, 0, length];
    let with = |status: [u8; 2]| [&CARD[..], &status].concat();
    let response = |class| vec![class, 0xC0, 0, 0, 7];
    let (read, unreadable) = (named(&CARD), Err(CardProblem::Unreadable));
    let dialogues = [
        (vec![(get(0), vec![0x6C, 7]), (get(7), with([0x90, 0x00]))], read.clone()),
        (vec![(get(0), vec![0x61, 7]), (response(0xFF), with([0x90, 0x00]))], read.clone()),
        (vec![(get(0), vec![0x61, 7]), (response(0x00), with([0x90, 0x00]))], read.clone()),
        (vec![(get(0), with([0x62, 0x82]))], read),
        (vec![(get(0), with([0x62, 0x81]))], unreadable.clone()),
        (vec![(get(0), vec![0x6C, 7]), (get(7), vec![0x6C, 7])], unreadable.clone()),
        (vec![(get(0), vec![0x61, 7]), (response(0xFF), vec![0x61, 7])], unreadable),
    ];
    for (dialogue, expected) in dialogues {
        bench.insert(0, CardAnswer::Dialogue(dialogue));
        reader.tapped(0, expected);
        bench.remove(0);
        reader.removed(0);
    }
}

/// A mute card is unreadable, the other slot works meanwhile, and the slot recovers when it is gone.
pub fn a_mute_card(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    for _ in 0..5 {
        bench.insert(0, CardAnswer::Mute);
        reader.tapped(0, Err(CardProblem::Unreadable));
        bench.insert(1, uid(&CARD));
        reader.tapped(1, named(&CARD));
        bench.remove(1);
        reader.removed(1);
        bench.remove(0);
        reader.removed(0);
    }
    bench.insert(0, uid(&CARD));
    reader.tapped(0, named(&CARD));
    bench.remove(0);
    reader.removed(0);
}

/// A card pulled while it is read is a tap that could not be read, and then a removal.
pub fn a_card_pulled_midway(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    for _ in 0..3 {
        bench.insert(0, CardAnswer::Pulled);
        reader.tapped(0, Err(CardProblem::Unreadable));
        reader.removed(0);
        bench.remove(0);
        bench.insert(0, uid(&CARD));
        reader.tapped(0, named(&CARD));
        bench.remove(0);
        reader.removed(0);
    }
}

/// A card that lies there when the reader is opened is a tap, for every opening.
pub fn a_card_present_at_the_start(bench: &mut dyn Bench) {
    bench.insert(0, uid(&CARD));
    for _ in 0..2 {
        let mut reader = Expecting::open(bench);
        reader.tapped(0, named(&CARD));
        reader.quiet();
    }
    bench.remove(0);
}

/// Two cards in two slots are told apart.
pub fn two_slots(bench: &mut dyn Bench) {
    let other = [0xDE, 0xAD, 0xBE, 0xEF];
    let mut reader = Expecting::open(bench);
    bench.insert(0, uid(&CARD));
    reader.tapped(0, named(&CARD));
    bench.insert(1, uid(&other));
    reader.tapped(1, named(&other));
    bench.remove(0);
    reader.removed(0);
    bench.remove(1);
    reader.removed(1);
}

/// An outage removes the card, is told once, and ends by itself; it repeats.
pub fn an_outage(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    for _ in 0..2 {
        bench.insert(0, uid(&CARD));
        reader.tapped(0, named(&CARD));
        bench.take_away();
        reader.removed(0);
        let error = reader.reader.next(PATIENCE).expect_err("an outage is an error");
        assert!(error.is_retriable(), "{error}");
        reader.quiet();
        bench.remove(0);
        bench.bring_back();
        reader.ready();
    }
    bench.insert(0, uid(&CARD));
    reader.tapped(0, named(&CARD));
    bench.remove(0);
    reader.removed(0);
}

/// A service that hangs is an outage, told within seconds; when it goes on, a card that lies there is tapped again.
pub fn a_hang(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    bench.insert(0, uid(&CARD));
    reader.tapped(0, named(&CARD));
    for _ in 0..2 {
        bench.hang();
        reader.removed(0);
        let error = reader.reader.next(PATIENCE).expect_err("a hang is an error");
        assert!(matches!(error, CardError::Hung { .. }) && error.is_retriable(), "{error}");
        reader.quiet();
        bench.resume();
        reader.ready();
        reader.tapped(0, named(&CARD));
    }
    bench.remove(0);
    reader.removed(0);
}

/// Fifty taps, two at a time, each pair as soon as the last is seen to be gone: none lost, none doubled.
pub fn many_quick_taps(bench: &mut dyn Bench) {
    let mut reader = Expecting::open(bench);
    for n in 0..25 {
        let cards = [[0x04, n, 2, 3, 4, 5, 6], [0x04, n, 7, 8, 9, 10, 11]];
        bench.insert(0, uid(&cards[0]));
        bench.insert(1, uid(&cards[1]));
        reader.in_any_order([0, 1].map(|slot| tapped(slot, named(&cards[usize::from(slot)]))));
        bench.remove(0);
        bench.remove(1);
        reader.in_any_order([0, 1].map(|slot| CardEvent::Removed { slot: Slot(slot) }));
    }
    reader.quiet();
}
