//! The card edge over a real pcscd with the virtual reader `vpcd` and virtual cards of ours: the contract, case by case.
//!
//! Needs root, and the Debian packages `pcscd` and `vsmartcard-vpcd`. Tests wait for each other, as a machine has one
//! pcscd. Knows nothing of sessions.

use std::time::Duration;

use examgate::{
    domain::Pepper,
    edge::card::{
        CardReader, PcscCardReader,
        contract::{self, Answer, Bench},
    },
    rig::{
        pcscd::Pcscd,
        virtual_card::{Behaviour, VirtualCard},
    },
    wire::uid::ReaderOrder,
};

struct PcscBench {
    /// Before the daemon, so that cards go first.
    cards: [Option<VirtualCard>; 2],
    pcscd: Pcscd,
}

impl Bench for PcscBench {
    fn quiet(&self) -> Duration {
        // Twice as long as pcscd takes between two looks at the reader.
        Duration::from_millis(800)
    }

    fn open(&mut self, order: ReaderOrder, pepper: Pepper) -> Box<dyn CardReader> {
        Box::new(PcscCardReader::open(order, pepper).unwrap())
    }

    fn insert(&mut self, slot: u16, answer: Answer) {
        let behaviour = match answer {
            Answer::Uid(uid) => Behaviour::Uid(uid),
            Answer::Bytes(bytes) => Behaviour::Answer(bytes),
            Answer::Mute => Behaviour::Mute,
            Answer::Pulled => Behaviour::Pulled,
        };
        self.cards[usize::from(slot)] = Some(VirtualCard::insert(self.pcscd.port(slot), behaviour).unwrap());
    }

    fn remove(&mut self, slot: u16) {
        self.cards[usize::from(slot)] = None;
    }

    fn take_away(&mut self) {
        self.pcscd.kill();
    }

    fn bring_back(&mut self) {
        self.pcscd.restart().unwrap();
    }
}

fn check(case: contract::Case) {
    let pcscd = Pcscd::start().unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    case(&mut PcscBench { cards: [None, None], pcscd });
}

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                check(contract::$case);
            }
        )*

        #[test]
        fn no_case_is_forgotten() {
            assert_eq!([$(stringify!($case)),*].len(), contract::CASES.len());
        }
    };
}

cases![
    tap_and_removal,
    every_length_and_order,
    random_identifiers_are_refused,
    answers_without_sense,
    a_mute_card,
    a_card_pulled_midway,
    a_card_present_at_the_start,
    two_slots,
    an_outage,
    many_quick_taps,
];
