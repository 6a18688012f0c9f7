//! A virtual MIFARE DESFire EV1, EV2 or EV3 with keys of AES.
//!
//! It knows AUTHENTICATE AES, EV2 FIRST and EV2 NON FIRST, both kinds of secure messaging, standard data files and what it takes to make
//! them, and identifiers that are made up at each tap. It takes native commands and those wrapped in APDUs of class 90, and answers for
//! its reader when that is asked for the identifier. DES keys, other kinds of files, data in several commands and ISO/IEC 7816-4 beyond
//! SELECT are not there: such commands are answered as a card does that has none of them.
//!
//! The data sheets are public in a short form only. What is not in them is taken from AN12196, AN12343, AN10922 and from what
//! libfreefare, the Proxmark3 client and python-desfire expect of real cards; docs/decisions/0156 says what was assumed.

mod channel;
mod commands;
mod making;
mod memory;
mod proof;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::{channel::Channel, proof::Proof};
use super::{Applet, Said, aes::Block};
pub use memory::{Access, Application, File, Key, Mode};

/// ATR that PC/SC readers make up for a DESFire: PC/SC part 3, with the one historical byte of its ATS.
const ATR: [u8; 6] = [0x3B, 0x81, 0x80, 0x01, 0x80, 0x80];

/// The name of every DESFire card by ISO/IEC 7816-4 (AN12196 section 5 has that of NTAG beside it).
const NAME: [u8; 7] = [0xD2, 0x76, 0x00, 0x00, 0x85, 0x01, 0x00];

/// The identifier that stands for the card itself.
const CARD: [u8; 3] = [0; 3];

/// ADDITIONAL FRAME: goes on with a command.
const MORE: u8 = 0xAF;

/// Class of native commands in APDUs, and the first byte of their status words.
const WRAPPED: u8 = 0x90;
const WRAPPED_STATUS: u8 = 0x91;

/// Which card it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Knows AUTHENTICATE AES alone.
    Ev1,
    /// Knows AUTHENTICATE EV2 too.
    Ev2,
    /// As EV2, for all that is done here.
    Ev3,
}

/// The last byte of a status word, or the first of a native answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u8);

impl Status {
    const DONE: Self = Self(0x00);
    const UNKNOWN_COMMAND: Self = Self(0x1C);
    const INTEGRITY: Self = Self(0x1E);
    const NO_SUCH_KEY: Self = Self(0x40);
    const LENGTH: Self = Self(0x7E);
    const DENIED: Self = Self(0x9D);
    const PARAMETER: Self = Self(0x9E);
    const NO_APPLICATION: Self = Self(0xA0);
    const UNAUTHENTICATED: Self = Self(0xAE);
    const MORE: Self = Self(MORE);
    const BOUNDARY: Self = Self(0xBE);
    const ABORTED: Self = Self(0xCA);
    const DUPLICATE: Self = Self(0xDE);
    const NO_FILE: Self = Self(0xF0);
}

/// What an answered command says: the data in frames.
type Frames = VecDeque<Vec<u8>>;

/// What the card keeps while it has power.
struct Power {
    /// The identifier that it gives in this tap.
    shown: Vec<u8>,
    selected: [u8; 3],
    channel: Channel,
    /// The number of the key that was proved.
    proved: Option<u8>,
    waiting: Option<Waiting>,
}

/// What ADDITIONAL FRAME goes on with.
enum Waiting {
    /// The reader's half of an authentication.
    Proof(Proof),
    /// The rest of an answer.
    Rest(Frames),
}

/// The card.
///
/// ```
/// use examgate::rig::cards::{Applet, Said, desfire::{Access, Application, Desfire, File, Generation, Mode}};
///
/// let files = Application::new([0xF5, 0x1C, 0xDB], &[[0; 16]]).with(2, File::new(Mode::Full, Access::Key(0), b"4711"));
/// let mut card = Desfire::new(Generation::Ev2, [4, 1, 2, 3, 4, 5, 6]).with(files);
/// assert_eq!(card.answer(&[0x90, 0x5A, 0, 0, 3, 0xDB, 0x1C, 0xF5, 0]), Said::Answer(vec![0x91, 0x00]));
/// ```
pub struct Desfire {
    generation: Generation,
    uid: [u8; 7],
    random: bool,
    /// The first is the card itself.
    applications: Vec<Application>,
    /// What it draws next, in place of random bytes.
    drawn: VecDeque<Vec<u8>>,
    power: Power,
}

impl Desfire {
    /// A card without applications whose master key is zeros.
    #[must_use]
    pub fn new(generation: Generation, uid: [u8; 7]) -> Self {
        let power = Power { shown: uid.to_vec(), selected: CARD, channel: Channel::Open, proved: None, waiting: None };
        let applications = vec![Application::new(CARD, &[[0; 16]])];
        Self { generation, uid, random: false, applications, drawn: VecDeque::new(), power }
    }

    /// The same with an application.
    #[must_use]
    pub fn with(mut self, application: Application) -> Self {
        self.applications.push(application);
        self
    }

    /// The same, which makes up an identifier at each tap and tells its own only to who authenticated.
    #[must_use]
    pub fn with_random_identifier(mut self) -> Self {
        self.random = true;
        self.lose_power();
        self
    }

    /// The same, which draws these bytes one after another where it would draw random ones.
    #[must_use]
    pub fn drawing(mut self, drawn: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.drawn.extend(drawn);
        self
    }

    /// An application, to look into or to change.
    pub fn application(&mut self, id: [u8; 3]) -> Option<&mut Application> {
        self.applications.iter_mut().find(|application| application.id == id)
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        match self.drawn.pop_front() {
            Some(drawn) => bytes.copy_from_slice(&drawn),
            None => getrandom::fill(&mut bytes).expect("the system gives random bytes"),
        }
        bytes
    }

    fn selected(&self) -> &Application {
        let selected = self.applications.iter().find(|application| application.id == self.power.selected);
        selected.expect("what is selected is there")
    }

    fn selected_mut(&mut self) -> &mut Application {
        let id = self.power.selected;
        self.application(id).expect("what is selected is there")
    }

    fn key(&self, number: u8) -> Result<Block, Status> {
        self.selected().keys.get(usize::from(number)).map(|key| key.bytes).ok_or(Status::NO_SUCH_KEY)
    }

    /// Nobody is authenticated any more.
    fn forget(&mut self) {
        self.power.channel = Channel::Open;
        self.power.proved = None;
    }

    /// Answers a native command.
    fn native(&mut self, command: u8, sent: &[u8]) -> (Vec<u8>, Status) {
        let answered = match (command, self.power.waiting.take()) {
            (MORE, Some(Waiting::Proof(proof))) => self.proved(&proof, sent),
            (MORE, Some(Waiting::Rest(rest))) if sent.is_empty() => Ok(rest),
            (MORE, Some(Waiting::Rest(_))) => Err(Status::LENGTH),
            (MORE, None) => Err(Status::UNKNOWN_COMMAND),
            (_, Some(_)) => Err(Status::ABORTED),
            (_, None) => self.execute(command, sent),
        };
        match answered {
            Ok(mut frames) => {
                let first = frames.pop_front().unwrap_or_default();
                if !frames.is_empty() {
                    self.power.waiting = Some(Waiting::Rest(frames));
                }
                let status = if self.power.waiting.is_some() { Status::MORE } else { Status::DONE };
                (first, status)
            }
            Err(status) => {
                // Whatever goes wrong, the authentication is lost.
                self.forget();
                (Vec::new(), status)
            }
        }
    }

    /// SELECT by name.
    fn select_name(&mut self, command: &[u8]) -> [u8; 2] {
        let [_, _, 0x04, _, length, name @ ..] = command else { return [0x6A, 0x86] };
        let Some(name) = name.get(..usize::from(*length)) else { return [0x67, 0x00] };
        let found = if name == NAME {
            Some(CARD)
        } else {
            self.applications.iter().find(|application| application.name.as_deref() == Some(name)).map(|found| found.id)
        };
        match found {
            Some(id) => {
                self.forget();
                self.power.selected = id;
                [0x90, 0x00]
            }
            None => [0x6A, 0x82],
        }
    }
}

impl Applet for Desfire {
    fn atr(&self) -> Vec<u8> {
        ATR.to_vec()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        Said::Answer(match command {
            // The reader, not the card, is asked.
            [0xFF, 0xCA, 0x00, 0x00, ..] => [&self.power.shown[..], &[0x90, 0x00]].concat(),
            [0xFF, ..] => vec![0x6D, 0x00],
            [0x00, 0xA4, ..] => self.select_name(command).to_vec(),
            [0x00, ..] => vec![0x6D, 0x00],
            [WRAPPED, instruction, 0x00, 0x00, rest @ ..] => {
                let sent = match rest {
                    [] | [_] => Some(&[][..]),
                    [length, data @ ..] => match data.split_at_checked(usize::from(*length)) {
                        Some((sent, [] | [0x00])) => Some(sent),
                        _ => None,
                    },
                };
                let (data, status) = match sent {
                    Some(sent) => self.native(*instruction, sent),
                    None => (Vec::new(), Status::LENGTH),
                };
                [&data[..], &[WRAPPED_STATUS, status.0]].concat()
            }
            [WRAPPED, ..] => vec![0x6A, 0x86],
            [native, sent @ ..] => {
                let (data, status) = self.native(*native, sent);
                [&[status.0], &data[..]].concat()
            }
            [] => vec![0x67, 0x00],
        })
    }

    fn lose_power(&mut self) {
        let shown = if self.random { [&[0x08], &self.draw::<3>()[..]].concat() } else { self.uid.to_vec() };
        self.power = Power { shown, selected: CARD, channel: Channel::Open, proved: None, waiting: None };
    }
}
