//! The card contract's bench over a real pcscd with the virtual reader: what tests and `hw-tests` run the contract on.
//!
//! The process finds that pcscd by [`super::pcscd::SOCKET`] in its environment.

use std::{io, sync::Arc, time::Duration};

use super::{
    pcscd::Pcscd,
    virtual_card::{Behaviour, VirtualCard},
};
use crate::{
    domain::{Pepper, Timestamp},
    edge::{
        card::{
            CardReader, CardReads, PcscCardReader, Surroundings,
            contract::{Bench, CardAnswer},
        },
        clock::{Clock, ScriptedClock},
    },
};

/// Randomness and time as a box has them; the wall clock is believed.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test rig has to read the time itself")]
pub fn surroundings() -> Surroundings {
    surroundings_at(Timestamp::now())
}

/// The same, with a wall clock that shows `wall` now.
#[must_use]
pub fn surroundings_at(wall: Timestamp) -> Surroundings {
    surroundings_by(Arc::new(ScriptedClock::starting_at(wall)))
}

/// The same by a clock that somebody else sets.
#[must_use]
pub fn surroundings_by(clock: Arc<ScriptedClock>) -> Surroundings {
    let timing = Arc::clone(&clock);
    Surroundings {
        draw: |bytes| getrandom::fill(bytes).map_err(io::Error::other),
        today: Arc::new(move || Some(clock.wall())),
        mono: Arc::new(move || timing.mono()),
    }
}

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

    fn open(&mut self, reads: CardReads, pepper: Pepper, surroundings: Surroundings) -> Box<dyn CardReader> {
        Box::new(PcscCardReader::open(reads, pepper, surroundings).expect("a thread starts"))
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
