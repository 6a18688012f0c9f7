//! A card that does something wrong at one moment: what an attacker, a worn card or a hand that moves too early does.

use std::time::Duration;

use super::{Applet, Said};

/// Which answer of a card is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// That to this command, counted from 0 over all commands since the card was powered.
    Command(usize),
    /// That to this one of the commands with this instruction byte, counted from 0 since the card was powered.
    Instruction(u8, usize),
    /// That to every command.
    Each,
}

/// What goes wrong. The status word is the last two bytes of an answer, the data what comes before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This bit of the data is flipped, counted from its last byte's lowest: those below 64 are the MAC, where there is one.
    Flip {
        /// The bit.
        bit: usize,
    },
    /// So many bytes at the end of the data are left out.
    Truncate {
        /// How many.
        bytes: usize,
    },
    /// Zeros follow the data.
    Lengthen {
        /// How many.
        bytes: usize,
    },
    /// The card is asked, and another status word stands behind its data.
    Status([u8; 2]),
    /// The card is not asked; these bytes are answered.
    Instead(Vec<u8>),
    /// The card is asked; what it answered to an earlier command is said again.
    Replay {
        /// How many commands earlier. One that never was is answered with nothing but success.
        back: usize,
    },
    /// The card is asked, and its answer arrives later: somebody relays it from elsewhere.
    Late(Duration),
    /// The card does not answer.
    Mute,
    /// The card leaves the reader.
    Pulled,
}

/// A card with faults.
pub struct Faulty<A> {
    /// The card itself.
    pub card: A,
    faults: Vec<(Moment, Fault)>,
    /// Instructions since it was powered.
    asked: Vec<u8>,
    /// Answers since ever, so that those of an earlier tap can be replayed.
    answered: Vec<Vec<u8>>,
}

impl<A: Applet> Faulty<A> {
    /// The `card`, to which this `fault` happens at that `moment` of each tap.
    pub fn new(card: A, moment: Moment, fault: Fault) -> Self {
        Self::with(card, vec![(moment, fault)])
    }

    /// The `card` with several faults; the first that fits a command happens.
    pub const fn with(card: A, faults: Vec<(Moment, Fault)>) -> Self {
        Self { card, faults, asked: Vec::new(), answered: Vec::new() }
    }

    /// How many commands it was sent since it was powered.
    #[must_use]
    pub const fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Lets it be a card without faults from now on.
    pub fn mend(&mut self) {
        self.faults.clear();
    }

    fn fault(&self, instruction: u8) -> Option<Fault> {
        let commands = self.asked.len();
        let same = self.asked.iter().filter(|asked| **asked == instruction).count();
        let fits = |moment: &Moment| match *moment {
            Moment::Command(nth) => nth == commands,
            Moment::Instruction(which, nth) => which == instruction && nth == same,
            Moment::Each => true,
        };
        self.faults.iter().find(|(moment, _)| fits(moment)).map(|(_, fault)| fault.clone())
    }

    fn spoil(&self, fault: &Fault, answer: Vec<u8>) -> Said {
        let (mut data, mut status) = (answer, Vec::new());
        if data.len() >= 2 {
            status = data.split_off(data.len() - 2);
        }
        match fault {
            Fault::Flip { bit } => {
                if let Some(byte) = data.iter_mut().rev().nth(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Fault::Truncate { bytes } => data.truncate(data.len().saturating_sub(*bytes)),
            Fault::Lengthen { bytes } => data.resize(data.len() + bytes, 0),
            Fault::Status(other) => status = other.to_vec(),
            Fault::Replay { back } => {
                let earlier = self.answered.len().checked_sub(*back).and_then(|n| self.answered.get(n));
                return Said::Answer(earlier.cloned().unwrap_or_else(|| vec![0x90, 0x00]));
            }
            Fault::Late(time) => return Said::Late(*time, [data, status].concat()),
            Fault::Instead(bytes) => return Said::Answer(bytes.clone()),
            Fault::Mute => return Said::Mute,
            Fault::Pulled => return Said::Pulled,
        }
        Said::Answer([data, status].concat())
    }
}

impl<A: Applet> Applet for Faulty<A> {
    fn atr(&self) -> Vec<u8> {
        self.card.atr()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        let instruction = command.get(1).copied().unwrap_or(0);
        let fault = self.fault(instruction);
        self.asked.push(instruction);
        let unasked = matches!(fault, Some(Fault::Instead(_) | Fault::Mute | Fault::Pulled));
        let said = if unasked { Said::Answer(Vec::new()) } else { self.card.answer(command) };
        let Said::Answer(answer) = said else { return said };
        let said = match &fault {
            Some(fault) => self.spoil(fault, answer.clone()),
            None => Said::Answer(answer.clone()),
        };
        self.answered.push(answer);
        said
    }

    fn lose_power(&mut self) {
        self.asked.clear();
        self.card.lose_power();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says the instruction and how many commands there were.
    struct Counting(u8);

    impl Applet for Counting {
        fn atr(&self) -> Vec<u8> {
            vec![0x3B, 0x00]
        }

        fn answer(&mut self, command: &[u8]) -> Said {
            self.0 += 1;
            Said::Answer(vec![command[1], self.0, 0x91, 0x00])
        }

        fn lose_power(&mut self) {
            self.0 = 0;
        }
    }

    fn said(moment: Moment, fault: Fault) -> Vec<Said> {
        let mut card = Faulty::new(Counting(0), moment, fault);
        [0x5A, 0xAF, 0xAF].map(|instruction| card.answer(&[0x90, instruction, 0, 0, 0])).into()
    }

    #[test]
    fn each_fault_happens_at_its_moment() {
        let good = [vec![0x5A, 1, 0x91, 0], vec![0xAF, 2, 0x91, 0], vec![0xAF, 3, 0x91, 0]].map(Said::Answer);
        let last = |said: Said| [good[0].clone(), good[1].clone(), said];
        let moment = Moment::Instruction(0xAF, 1);
        let cases = [
            (Fault::Flip { bit: 1 }, Said::Answer(vec![0xAF, 1, 0x91, 0])),
            (Fault::Flip { bit: 15 }, Said::Answer(vec![0x2F, 3, 0x91, 0])),
            (Fault::Flip { bit: 16 }, good[2].clone()),
            (Fault::Truncate { bytes: 1 }, Said::Answer(vec![0xAF, 0x91, 0])),
            (Fault::Truncate { bytes: 9 }, Said::Answer(vec![0x91, 0])),
            (Fault::Lengthen { bytes: 1 }, Said::Answer(vec![0xAF, 3, 0, 0x91, 0])),
            (Fault::Status([0x91, 0xAE]), Said::Answer(vec![0xAF, 3, 0x91, 0xAE])),
            (Fault::Instead(vec![7]), Said::Answer(vec![7])),
            (Fault::Replay { back: 2 }, good[0].clone()),
            (Fault::Replay { back: 3 }, Said::Answer(vec![0x90, 0x00])),
            (Fault::Late(Duration::from_secs(1)), Said::Late(Duration::from_secs(1), vec![0xAF, 3, 0x91, 0])),
            (Fault::Mute, Said::Mute),
            (Fault::Pulled, Said::Pulled),
        ];
        for (fault, expected) in cases {
            assert_eq!(said(moment, fault.clone()), last(expected), "{fault:?}");
        }
        assert_eq!(said(Moment::Command(0), Fault::Mute)[0], Said::Mute);
        assert_eq!(said(Moment::Each, Fault::Mute), [Said::Mute, Said::Mute, Said::Mute]);
    }

    #[test]
    fn power_begins_the_count_anew() {
        let mut card = Faulty::new(Counting(0), Moment::Command(1), Fault::Mute);
        for _ in 0..2 {
            assert_eq!(card.answer(&[0, 1]), Said::Answer(vec![1, 1, 0x91, 0]));
            assert_eq!(card.answer(&[0, 1]), Said::Mute);
            assert_eq!(card.asked(), 2);
            card.lose_power();
        }
        card.mend();
        assert_eq!([1, 2].map(|n| card.answer(&[0, 1]) == Said::Answer(vec![1, n, 0x91, 0])), [true, true]);
    }
}
