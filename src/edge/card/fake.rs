//! A reader without hardware: a hand in the same process lays cards on it. The seam is the APDU: what a card answers is
//! judged as a real card's answer is. It uses no PC/SC, no thread and no clock.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use zeroize::Zeroizing;

use super::{
    CardError, CardEvent, CardReader, CardReads, Slot,
    asking::Naming,
    queue::{Events, Feed, queue},
};
use crate::{
    domain::{CardProblem, Pepper},
    wire::apdu,
};

/// Status word for an instruction the card does not have, ISO/IEC 7816-4.
const UNKNOWN_INSTRUCTION: [u8; 2] = [0x6D, 0x00];

/// What a card answers to which command.
type Answers = Vec<(Vec<u8>, Vec<u8>)>;

/// A card: its ATR and what it answers. Without answers it never replies.
type Lying = (Vec<u8>, Option<Answers>);

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
    pub fn open(&mut self, reads: impl Into<CardReads>, pepper: Pepper) -> FakeCardReader {
        let (feed, events) = queue();
        self.reader = Some((feed, Naming { reads: reads.into(), pepper }));
        self.announce();
        FakeCardReader(events)
    }

    /// Lays a card on the reader that answers GET DATA with the R-APDU `answer`, or never. It replaces the one there.
    pub fn insert(&mut self, slot: Slot, answer: Option<&[u8]>) {
        let answers = answer.map(|answer| vec![(apdu::GET_UID.to_vec(), answer.to_vec())]);
        self.lay(slot, (Vec::new(), answers));
    }

    /// Lays a card on the reader that has this `atr` and answers each command with the response beside it. It replaces the one there.
    pub fn insert_dialogue(&mut self, slot: Slot, atr: &[u8], answers: &[(Vec<u8>, Vec<u8>)]) {
        self.lay(slot, (atr.to_vec(), Some(answers.to_vec())));
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
        let (Some((_, naming)), Some((atr, answers)), true) = (&self.reader, self.lying.get(&slot), seen) else {
            return;
        };
        let read = match answers {
            None => Err(CardProblem::Unreadable),
            Some(answers) => {
                let asked = naming.ask(atr, |command| {
                    let known = answers.iter().find(|(of, _)| of == command);
                    Ok(Zeroizing::new(known.map_or(UNKNOWN_INSTRUCTION.to_vec(), |(_, answer)| answer.clone())))
                });
                asked.unwrap_or_else(|never: Infallible| match never {})
            }
        };
        self.give(CardEvent::Tapped { slot, read, took: None });
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

        fn open(&mut self, reads: CardReads, pepper: Pepper) -> Box<dyn CardReader> {
            Box::new(self.0.open(reads, pepper))
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
