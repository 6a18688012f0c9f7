//! A reader without hardware: a hand in the same process lays cards on it. The seam is the APDU: what a card answers is
//! judged as a real card's answer is. It uses no PC/SC and no thread.

use std::{cell::Cell, collections::BTreeMap, fmt, time::Duration};

use zeroize::Zeroizing;

use super::{
    CardError, CardEvent, CardReader, CardReads, Slot, Surroundings,
    asking::{Asked, AtHand, Naming},
    queue::{Events, Feed, queue},
};
use crate::{
    domain::{CardProblem, Pepper},
    wire::apdu,
};

/// Status word for an instruction the card does not have, ISO/IEC 7816-4.
const UNKNOWN_INSTRUCTION: [u8; 2] = [0x6D, 0x00];

/// Answers a card's commands, each with its status word; `None`: no more.
type Program = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// A card. Without a program it never replies.
struct Lying {
    atr: Vec<u8>,
    program: Option<Program>,
}

impl fmt::Debug for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lying")
    }
}

/// The card's program has ended.
struct Gone;

impl Lying {
    fn asked(&mut self, naming: &Naming) -> Result<Asked, Gone> {
        let program = self.program.as_mut().ok_or(Gone)?;
        let mono = &naming.surroundings.mono;
        let spent = Cell::new(Duration::ZERO);
        let mut at_hand = AtHand { spent: &|| spent.get(), sam: &mut |_| None };
        naming.ask(&self.atr, &mut at_hand, |command| {
            let sent = mono();
            let answer = program(command);
            spent.set(spent.get() + mono().since(sent));
            answer.map(Zeroizing::new).ok_or(Gone)
        })
    }
}

/// The reader's side.
#[derive(Debug)]
pub struct FakeCardReader(Events);

impl CardReader for FakeCardReader {
    fn next(&mut self, patience: Duration) -> Result<Option<CardEvent>, CardError> {
        self.0.next(patience)
    }
}

/// The hand that lays cards on the reader and takes them away. Cards stay where they lie when readers come and go.
///
/// It waits when an outage cannot be told because the reader's queue is full: use it from another thread than the
/// reader.
#[derive(Debug)]
pub struct FakeHand {
    slots: u16,
    reader: Option<(Feed, Naming)>,
    attached: bool,
    hangs: bool,
    lying: BTreeMap<Slot, Lying>,
}

impl FakeHand {
    /// A hand over an attached reader of `slots` slots.
    #[must_use]
    pub const fn new(slots: u16) -> Self {
        Self { slots, reader: None, attached: true, hangs: false, lying: BTreeMap::new() }
    }

    /// Opens the reader. The one opened before is closed.
    pub fn open(&mut self, reads: impl Into<CardReads>, pepper: Pepper, surroundings: Surroundings) -> FakeCardReader {
        let (feed, events) = queue();
        self.reader = Some((feed, Naming { reads: reads.into(), pepper, surroundings }));
        self.announce();
        FakeCardReader(events)
    }

    /// Lays a card on the reader that answers GET DATA with the R-APDU `answer`, or never. It replaces the one there.
    pub fn insert(&mut self, slot: Slot, answer: Option<&[u8]>) {
        match answer {
            Some(answer) => self.insert_dialogue(slot, &[], &[(apdu::GET_UID.to_vec(), answer.to_vec())]),
            None => self.lay(slot, Lying { atr: Vec::new(), program: None }),
        }
    }

    /// Lays a card on the reader that has this `atr` and answers each command with the response beside it. It replaces the one there.
    pub fn insert_dialogue(&mut self, slot: Slot, atr: &[u8], answers: &[(Vec<u8>, Vec<u8>)]) {
        let answers = answers.to_vec();
        self.insert_program(slot, atr, move |command| {
            let known = answers.iter().find(|(of, _)| of == command);
            Some(known.map_or(UNKNOWN_INSTRUCTION.to_vec(), |(_, answer)| answer.clone()))
        });
    }

    /// Lays a card on the reader that has this `atr` and answers each command by `program`; where that gives `None`, it has left the
    /// field. It replaces the one there.
    pub fn insert_program(
        &mut self,
        slot: Slot,
        atr: &[u8],
        program: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) {
        self.lay(slot, Lying { atr: atr.to_vec(), program: Some(Box::new(program)) });
    }

    fn lay(&mut self, slot: Slot, card: Lying) {
        self.remove(slot);
        self.lying.insert(slot, card);
        self.tap(slot);
    }

    /// Takes the card away, if there is one.
    pub fn remove(&mut self, slot: Slot) {
        if self.lying.remove(&slot).is_some() && self.attached && !self.hangs {
            self.give(CardEvent::Removed { slot });
        }
    }

    /// Lets the service hang: nothing is seen until [`Self::resume`].
    pub fn hang(&mut self) {
        self.clear();
        self.hangs = true;
        self.tell(Err(CardError::Hung { waited: Duration::from_secs(3) }));
    }

    /// Lets it answer again.
    pub fn resume(&mut self) {
        self.hangs = false;
        self.announce();
    }

    /// Unplugs the reader.
    pub fn detach(&mut self) {
        self.clear();
        self.attached = false;
        self.announce();
    }

    /// Takes every card for gone.
    fn clear(&mut self) {
        let lying: Vec<Slot> = self.lying.keys().copied().collect();
        for slot in lying {
            self.give(CardEvent::Removed { slot });
        }
    }

    /// Plugs the reader in again.
    pub fn attach(&mut self) {
        self.attached = true;
        self.announce();
    }

    /// Tells an open reader how things are, and what lies there.
    fn announce(&mut self) {
        let ready = CardEvent::Ready { slots: usize::from(self.slots) };
        let item = if self.attached { Ok(ready) } else { Err(CardError::NoReader) };
        self.tell(item);
        if self.attached {
            let lying: Vec<Slot> = self.lying.keys().copied().collect();
            for slot in lying {
                self.tap(slot);
            }
        }
    }

    fn tap(&mut self, slot: Slot) {
        let seen = self.attached && !self.hangs;
        let (Some((_, naming)), Some(card), true) = (&self.reader, self.lying.get_mut(&slot), seen) else {
            return;
        };
        let Asked { read, took } = card.asked(naming).unwrap_or_else(|Gone| CardProblem::Unreadable.into());
        self.give(CardEvent::Tapped { slot, read, took });
    }

    fn tell(&mut self, item: Result<CardEvent, CardError>) {
        if let Some((feed, _)) = &mut self.reader
            && feed.tell(item).is_err()
        {
            self.reader = None;
        }
    }

    fn give(&mut self, event: CardEvent) {
        if let Some((feed, _)) = &mut self.reader
            && feed.give(event).is_err()
        {
            self.reader = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::card::contract::{Bench, CASES, CardAnswer};

    struct FakeBench(FakeHand);

    impl Bench for FakeBench {
        fn quiet(&self) -> Duration {
            Duration::ZERO
        }

        fn open(&mut self, reads: CardReads, pepper: Pepper, surroundings: Surroundings) -> Box<dyn CardReader> {
            Box::new(self.0.open(reads, pepper, surroundings))
        }

        fn insert(&mut self, slot: u16, answer: CardAnswer) {
            let slot = Slot(slot);
            match answer {
                CardAnswer::Uid(uid) => self.0.insert(slot, Some(&[&uid[..], &[0x90, 0x00]].concat())),
                CardAnswer::Bytes(bytes) => self.0.insert(slot, Some(&bytes)),
                CardAnswer::Dialogue(answers) => self.0.insert_dialogue(slot, &[], &answers),
                CardAnswer::Card { atr, answers } => self.0.insert_dialogue(slot, &atr, &answers),
                CardAnswer::Mute => self.0.insert(slot, None),
                CardAnswer::Pulled => {
                    self.0.insert(slot, None);
                    self.0.remove(slot);
                }
            }
        }

        fn remove(&mut self, slot: u16) {
            self.0.remove(Slot(slot));
        }

        fn take_away(&mut self) {
            self.0.detach();
        }

        fn bring_back(&mut self) {
            self.0.attach();
        }

        fn hang(&mut self) {
            self.0.hang();
        }

        fn resume(&mut self) {
            self.0.resume();
        }
    }

    #[test]
    fn keeps_the_contract() {
        for (_, case) in CASES {
            case(&mut FakeBench(FakeHand::new(2)));
        }
    }
}
