//! A MIFARE SAM AV3 on the contacts of a reader of its own: lets a host in, authenticates DESFire cards by AuthenticateEV2First and does
//! their secure messaging, with keys that it gives to nobody.
//!
//! Written from public descriptions (docs/decisions/0157 names them) and without the reader's side. What is not published is as strict as
//! it can be: a command out of its turn is refused and ends what was begun.

mod session;

use std::collections::BTreeMap;

use self::session::{Session, truncated};
use super::{
    Applet, Said,
    aes::{self, Block},
};

/// Made up, as no ATR of a SAM AV3 is published: protocol T=1, and a name in the historical bytes.
const ATR: [u8; 12] = [0x3B, 0x88, 0x01, 0x53, 0x41, 0x4D, 0x20, 0x41, 0x56, 0x33, 0x20, 0xF2];

/// A version: hardware and software 4.1, a serial number, the settings, and the generation of commands at its end.
const VERSION: [u8; 30] = [
    0x04, 0x01, 0x01, 0x04, 0x01, 0x28, 0x01, 0x04, 0x01, 0x01, 0x04, 0x01, 0x28, 0x01, 0x04, 0x53, 0x41, 0x4D, 0x00,
    0x00, 0x01, 0x10, 0x25, 0x00, 0x00, 0x14, 0x0B, 0x0D, 0x00, 0x00,
];

/// Status words.
const DONE: u16 = 0x9000;
const MORE: u16 = 0x90AF;
const AUTHENTICATION_FAILED: u16 = 0x901E;
const NO_SUCH_KEY: u16 = 0x6502;
const NO_SUCH_VERSION: u16 = 0x6A82;
const WRONG_LENGTH: u16 = 0x6700;
const ABORTED: u16 = 0x6883;
const NOT_ALLOWED: u16 = 0x6982;
const NOT_NOW: u16 = 0x6985;
const WRONG_DATA: u16 = 0x6A80;
const WRONG_PARAMETERS: u16 = 0x6B00;
const UNKNOWN_INSTRUCTION: u16 = 0x6D00;
const UNKNOWN_CLASS: u16 = 0x6E00;

/// Instructions of the two ways in.
const AUTHENTICATE_HOST: u8 = 0xA4;
const LOCK_UNLOCK: u8 = 0x10;

/// How the SAM wants to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Not at all.
    Nothing,
    /// SAM_AuthenticateHost with the key of this entry and version, before it uses a card key.
    Host(u8, u8),
    /// SAM_LockUnlock with the key of this entry and version, before it does anything but say its version.
    Unlock(u8, u8),
}

/// What is due next.
enum Due {
    Anything,
    /// The host's proof, after the SAM's random number was sent.
    HostProof {
        instruction: u8,
        key: Block,
        sent: [u8; 12],
    },
    /// The host's answer to the challenge.
    HostAnswer {
        instruction: u8,
        session: Block,
        challenge: Block,
    },
    /// The card's answer.
    CardAnswer {
        key: Block,
        ours: Block,
        theirs: Block,
    },
}

/// A SAM.
pub struct Sam {
    wants: Wants,
    keys: BTreeMap<u8, BTreeMap<u8, Block>>,
    generation: u8,
    random: Vec<u8>,
    drawn: u128,
    is_open: bool,
    due: Due,
    session: Option<Session>,
    authenticated: usize,
    refused: usize,
}

impl Sam {
    /// A SAM AV3 without keys.
    #[must_use]
    pub const fn new(wants: Wants) -> Self {
        Self {
            wants,
            keys: BTreeMap::new(),
            generation: 0xA3,
            random: Vec::new(),
            drawn: 0,
            is_open: false,
            due: Due::Anything,
            session: None,
            authenticated: 0,
            refused: 0,
        }
    }

    /// The same with a key.
    #[must_use]
    pub fn with_key(mut self, entry: u8, version: u8, key: Block) -> Self {
        self.keys.entry(entry).or_default().insert(version, key);
        self
    }

    /// The same with another last byte of its version: A2 speaks as an AV2, 03 is not activated.
    #[must_use]
    pub const fn with_generation(mut self, generation: u8) -> Self {
        self.generation = generation;
        self
    }

    /// The same, which draws these random bytes first.
    #[must_use]
    pub fn drawing(mut self, bytes: &[u8]) -> Self {
        self.random = bytes.to_vec();
        self
    }

    /// How many cards have proved themselves to it.
    #[must_use]
    pub const fn authenticated(&self) -> usize {
        self.authenticated
    }

    /// How many hosts it has refused for their key.
    #[must_use]
    pub const fn refused(&self) -> usize {
        self.refused
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        if self.random.len() >= N {
            let rest = self.random.split_off(N);
            let drawn = std::mem::replace(&mut self.random, rest);
            return drawn.try_into().expect("that many were split off");
        }
        self.drawn += 1;
        let block = aes::encipher(&[0x5A; 16], &[0; 16], &self.drawn.to_be_bytes());
        *block.first_chunk().expect("no draw is longer than a block")
    }

    fn key(&self, entry: u8, version: u8) -> Result<Block, u16> {
        let versions = self.keys.get(&entry).ok_or(NO_SUCH_KEY)?;
        versions.get(&version).copied().ok_or(NO_SUCH_VERSION)
    }

    /// Does what it is told, and says with which status word and data.
    fn run(&mut self, command: &[u8]) -> Result<(u16, Vec<u8>), u16> {
        let (&[class, instruction, p1, p2], rest) = command.split_first_chunk().ok_or(WRONG_LENGTH)?;
        if class != 0x80 {
            return Err(UNKNOWN_CLASS);
        }
        let (data, wants_answer) = match rest {
            [] => (&[][..], false),
            [_] => (&[][..], true),
            [length, data @ ..] if usize::from(*length) == data.len() => (data, false),
            [length, data @ .., 0] if usize::from(*length) == data.len() => (data, true),
            _ => return Err(WRONG_LENGTH),
        };
        let due = std::mem::replace(&mut self.due, Due::Anything);
        if !matches!(due, Due::Anything) {
            return self.next_part(due, [instruction, p1, p2], data, wants_answer);
        }
        let is_locked = matches!(self.wants, Wants::Unlock(..)) && !self.is_open;
        if is_locked && ![0x60, LOCK_UNLOCK].contains(&instruction) {
            return Err(NOT_ALLOWED);
        }
        match (instruction, p1, p2, wants_answer) {
            (0x60, 0, 0, true) if data.is_empty() => Ok((DONE, [&VERSION[..], &[self.generation]].concat())),
            (AUTHENTICATE_HOST | LOCK_UNLOCK, 0, 0, true) => self.host_begins(instruction, data),
            (0x0A, _, 0, true) => self.card_begins(p1, data),
            (0xAE, 0, _, _) => self.guard(p2, data, wants_answer),
            (0xAD, 0, _, true) => self.open(p2, data),
            (0xCA, 0 | 1, 0, false) if data.is_empty() => {
                self.session = None;
                self.is_open &= p1 == 1 || matches!(self.wants, Wants::Unlock(..));
                Ok((DONE, Vec::new()))
            }
            (0x60 | 0x0A | AUTHENTICATE_HOST | LOCK_UNLOCK | 0xAE | 0xAD | 0xCA, ..) => Err(WRONG_PARAMETERS),
            _ => Err(UNKNOWN_INSTRUCTION),
        }
    }

    fn next_part(&mut self, due: Due, header: [u8; 3], data: &[u8], wants_answer: bool) -> Result<(u16, Vec<u8>), u16> {
        match due {
            Due::HostProof { instruction, key, sent } if header == [instruction, 0, 0] && wants_answer => {
                self.host_proves(instruction, &key, &sent, data)
            }
            Due::HostAnswer { instruction, session, challenge } if header == [instruction, 0, 0] && wants_answer => {
                self.host_answers(&session, &challenge, data)
            }
            Due::CardAnswer { key, ours, theirs } if header == [0x0A, 0, 0] => {
                self.card_answers(&key, &ours, &theirs, data, wants_answer)
            }
            Due::Anything | Due::HostProof { .. } | Due::HostAnswer { .. } | Due::CardAnswer { .. } => Err(ABORTED),
        }
    }

    /// The entry and version of the host key, and for SAM_AuthenticateHost the host mode: only 0, in plain, is here.
    fn host_begins(&mut self, instruction: u8, data: &[u8]) -> Result<(u16, Vec<u8>), u16> {
        let named = match (instruction, data) {
            (LOCK_UNLOCK, [entry, version]) | (AUTHENTICATE_HOST, [entry, version, 0]) => (*entry, *version),
            (AUTHENTICATE_HOST, [_, _, _]) => return Err(WRONG_DATA),
            _ => return Err(WRONG_LENGTH),
        };
        let key = self.key(named.0, named.1)?;
        let is_the_way = match self.wants {
            Wants::Nothing => instruction == AUTHENTICATE_HOST,
            Wants::Host(entry, version) => instruction == AUTHENTICATE_HOST && named == (entry, version),
            Wants::Unlock(entry, version) => instruction == LOCK_UNLOCK && named == (entry, version) && !self.is_open,
        };
        if !is_the_way {
            return Err(NOT_NOW);
        }
        let sent = self.draw();
        self.due = Due::HostProof { instruction, key, sent };
        Ok((MORE, sent.to_vec()))
    }

    fn host_proves(
        &mut self,
        instruction: u8,
        key: &Block,
        sent: &[u8; 12],
        data: &[u8],
    ) -> Result<(u16, Vec<u8>), u16> {
        let (proof, theirs) = data.split_first_chunk::<8>().ok_or(WRONG_LENGTH)?;
        let theirs: [u8; 12] = theirs.try_into().map_err(|_| WRONG_LENGTH)?;
        let mac = |random: &[u8; 12]| truncated(&aes::cmac(key, &[0; 16], &[&random[..], &[0; 4]].concat()));
        if mac(sent) != *proof {
            self.refused += 1;
            return Err(AUTHENTICATION_FAILED);
        }
        let mixed: Vec<u8> = theirs[..5].iter().zip(sent).map(|(one, other)| one ^ other).collect();
        let input = [&theirs[7..], &sent[7..], &mixed, &[0x91]].concat();
        let session = aes::last_block(&aes::encipher(key, &[0; 16], &input));
        let challenge: Block = self.draw();
        let answer = [&mac(&theirs)[..], &aes::encipher(&session, &[0; 16], &challenge)].concat();
        self.due = Due::HostAnswer { instruction, session, challenge };
        Ok((MORE, answer))
    }

    fn host_answers(&mut self, session: &Block, challenge: &Block, data: &[u8]) -> Result<(u16, Vec<u8>), u16> {
        let answer = aes::decipher(session, &[0; 16], data).filter(|answer| answer.len() == 32).ok_or(WRONG_LENGTH)?;
        let (theirs, ours) = answer.split_at(16);
        if ours != turned(challenge, 2) {
            return Err(AUTHENTICATION_FAILED);
        }
        self.is_open = true;
        Ok((DONE, aes::encipher(session, &[0; 16], &turned(theirs, 2))))
    }

    /// Key entry and version, kind of key, the card's enciphered RndB, and what the card's key is made of.
    fn card_begins(&mut self, p1: u8, data: &[u8]) -> Result<(u16, Vec<u8>), u16> {
        self.session = None;
        let is_diversified = match p1 {
            0x80 => false,
            0x91 => true,
            _ => return Err(WRONG_PARAMETERS),
        };
        let (&[entry, version, kind], data) = data.split_first_chunk().ok_or(WRONG_LENGTH)?;
        let (challenge, input) = data.split_first_chunk::<16>().ok_or(WRONG_LENGTH)?;
        if kind != 0 || is_diversified == input.is_empty() || input.len() > 31 {
            return Err(WRONG_DATA);
        }
        if matches!(self.wants, Wants::Host(..)) && !self.is_open {
            return Err(NOT_ALLOWED);
        }
        let master = self.key(entry, version)?;
        let key = if is_diversified { aes::diversified(&master, input) } else { master };
        let theirs = aes::last_block(&aes::decipher(&key, &[0; 16], challenge).expect("one block"));
        let ours: Block = self.draw();
        let answer = aes::encipher(&key, &[0; 16], &[&ours[..], &turned(&theirs, 1)].concat());
        self.due = Due::CardAnswer { key, ours, theirs };
        Ok((MORE, answer))
    }

    /// Transaction identifier, RndA turned, capabilities of card and reader. A single byte is the card's own status.
    fn card_answers(
        &mut self,
        key: &Block,
        ours: &Block,
        theirs: &Block,
        data: &[u8],
        wants_answer: bool,
    ) -> Result<(u16, Vec<u8>), u16> {
        if let [_status] = data {
            return Err(0x90DF);
        }
        let answer = aes::decipher(key, &[0; 16], data).filter(|answer| answer.len() == 32 && wants_answer);
        let answer = answer.ok_or(WRONG_LENGTH)?;
        if answer[4..20] != turned(ours, 1) {
            return Err(AUTHENTICATION_FAILED);
        }
        self.session = Some(Session::begin(key, ours, theirs, *answer.first_chunk().expect("32 bytes")));
        self.authenticated += 1;
        Ok((DONE, answer[20..].to_vec()))
    }

    fn guard(&mut self, mode: u8, data: &[u8], wants_answer: bool) -> Result<(u16, Vec<u8>), u16> {
        let session = self.session.as_mut().ok_or(NOT_NOW)?;
        let answer = match (mode, data, wants_answer) {
            (0x00, [by], false) => {
                session.count(*by);
                return Ok((DONE, Vec::new()));
            }
            (0x10, [code, content @ ..], true) => session.mac(*code, content).to_vec(),
            (0x30, [offset, code, content @ ..], true) => {
                let begin = usize::from(*offset).checked_sub(1).ok_or(WRONG_DATA)?;
                let (header, content) = content.split_at_checked(begin).ok_or(WRONG_DATA)?;
                let enciphered = if content.is_empty() { Vec::new() } else { session.encipher(content) };
                let mac = session.mac(*code, &[header, &enciphered].concat());
                [&enciphered[..], &mac].concat()
            }
            _ => return Err(WRONG_DATA),
        };
        session.count(1);
        Ok((DONE, answer))
    }

    fn open(&mut self, mode: u8, data: &[u8]) -> Result<(u16, Vec<u8>), u16> {
        let session = self.session.as_ref().ok_or(NOT_NOW)?;
        let (status, rest) = data.split_first().ok_or(WRONG_LENGTH)?;
        let (content, mac) = rest.split_last_chunk::<8>().ok_or(WRONG_LENGTH)?;
        if session.mac(*status, content) != *mac {
            self.session = None;
            return Err(AUTHENTICATION_FAILED);
        }
        match mode {
            0x10 => Ok((DONE, content.to_vec())),
            0x30 => Ok((DONE, session.decipher(content).ok_or(WRONG_DATA)?)),
            _ => Err(WRONG_PARAMETERS),
        }
    }
}

impl Applet for Sam {
    fn atr(&self) -> Vec<u8> {
        ATR.to_vec()
    }

    fn answer(&mut self, command: &[u8]) -> Said {
        let (status, data) = self.run(command).unwrap_or_else(|status| (status, Vec::new()));
        Said::Answer([&data[..], &status.to_be_bytes()].concat())
    }

    fn lose_power(&mut self) {
        self.is_open = false;
        self.due = Due::Anything;
        self.session = None;
    }
}

/// Turned to the left by so many bytes.
fn turned(bytes: &[u8], by: usize) -> Vec<u8> {
    [&bytes[by..], &bytes[..by]].concat()
}

#[cfg(test)]
mod tests;
