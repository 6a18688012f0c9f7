//! The card contract's bench over a real pcscd with the virtual reader: what tests and `hw-tests` run the contract on.
//!
//! The process finds that pcscd by [`super::pcscd::SOCKET`] in its environment.

use std::time::Duration;

use super::{
    pcscd::Pcscd,
    virtual_card::{Behaviour, VirtualCard},
};
use crate::{
    domain::Pepper,
    edge::card::{
        CardReader, CardReads, PcscCardReader,
        contract::{Bench, CardAnswer},
    },
};

/// The reader.
pub struct VirtualReader {
    /// Before the daemon, so that cards go first.
    cards: [Option<VirtualCard>; 2],
    pcscd: Pcscd,
}

impl VirtualReader {
    /// The two slots of `pcscd`, both empty.
    #[must_use]
    pub const fn new(pcscd: Pcscd) -> Self {
        Self { cards: [None, None], pcscd }
    }
}

impl Bench for VirtualReader {
    fn quiet(&self) -> Duration {
        // Twice as long as pcscd takes between two looks at the reader.
        Duration::from_millis(800)
    }

    fn open(&mut self, reads: CardReads, pepper: Pepper) -> Box<dyn CardReader> {
        Box::new(PcscCardReader::open(reads, pepper).expect("a thread starts"))
    }

    fn insert(&mut self, slot: u16, answer: CardAnswer) {
        let behaviour = match answer {
            CardAnswer::Uid(uid) => Behaviour::Uid(uid),
            CardAnswer::Bytes(bytes) => Behaviour::Answer(bytes),
            CardAnswer::Dialogue(answers) => Behaviour::Dialogue(answers),
            CardAnswer::Card { atr, answers } => Behaviour::Card { atr, answers },
            CardAnswer::Mute => Behaviour::Mute,
            CardAnswer::Pulled => Behaviour::Pulled,
        };
        self.cards[usize::from(slot)] =
            Some(VirtualCard::insert(self.pcscd.port(slot), behaviour).expect("the slot listens"));
    }

    fn remove(&mut self, slot: u16) {
        self.cards[usize::from(slot)] = None;
    }

    fn take_away(&mut self) {
        self.pcscd.kill();
    }

    fn bring_back(&mut self) {
        self.pcscd.restart().expect("it started before");
    }

    fn hang(&mut self) {
        self.pcscd.pause().expect("it runs");
    }

    fn resume(&mut self) {
        self.pcscd.resume().expect("it is paused");
    }
}
