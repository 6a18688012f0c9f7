//! MIFARE SAM AV3: commands by which a SAM in a slot of its own opens itself to this box and speaks for a DESFire card's key, which never
//! leaves it. Commands out, answers in: no I/O, no randomness.
//!
//! The SAM's data sheet is not public. docs/decisions/0157 says where each byte is from and what nobody could try. Whatever a SAM answers
//! is outside input: it is judged, and no error repeats a byte of it beside its status word.

mod card;
mod host;
mod version;

pub use card::{Protection, answered, authenticate, confirm, confirmed, guard, guarded, open, opened};
pub use host::{FirstPass, HostKey, Opening, SecondPass, ThirdPass};
pub use version::{GET_VERSION, SamMode, SamVersion};

/// Class of all commands, in logical channel 0.
const CLASS: u8 = 0x80;

/// SAM_KillAuthentication, P1 01: ends what was begun with a card, and leaves this box authenticated.
pub const KILL_AUTHENTICATION: [u8; 4] = [CLASS, 0xCA, 0x01, 0x00];

/// Status words: done; done, and the next part is due.
const DONE: u16 = 0x9000;
const NEXT_PART: u16 = 0x90AF;

/// Status words by which a SAM says that the card's proof is wrong (authentication failed), and that the card reported an error.
const CARD_NOT_PROVED: u16 = 0x901E;
const CARD_REFUSED: u16 = 0x90DF;

/// Most bytes in the data field of a short command, ISO/IEC 7816-4.
const MOST_DATA: usize = 255;

/// What a SAM was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its version.
    Version,
    /// To let this box in.
    Host,
    /// To authenticate a card.
    Authenticate,
    /// To guard a command to a card.
    Guard,
    /// To open a card's answer.
    Open,
}

impl Asked {
    const fn what(self) -> &'static str {
        match self {
            Self::Version => "its version",
            Self::Host => "to let this box in",
            Self::Authenticate => "to authenticate a card",
            Self::Guard => "to guard a command",
            Self::Open => "to open a card's answer",
        }
    }
}

/// Why a SAM does not speak for its key, or why a card did not prove itself to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamError {
    /// There is none, or it does not answer.
    #[error("the SAM is not there or does not answer: see `examgate doctor`, part sam")]
    Silent,
    /// There is not even a status word.
    #[error("the SAM, asked {}, answers {length} bytes: a status word takes 2", asked.what())]
    TooShort {
        /// What it was asked.
        asked: Asked,
        /// Bytes received.
        length: usize,
    },
    /// It refuses: 6502 and 6A82 are what it says when it has no such key, 6985 when the key may not be used so.
    #[error("the SAM, asked {}, refuses with status word {status:04X}", asked.what())]
    Refused {
        /// What it was asked.
        asked: Asked,
        /// SW1 SW2.
        status: u16,
    },
    /// It accepts, and answers with a length that makes no sense.
    #[error("the SAM, asked {}, answers {length} bytes of data, which is not what belongs there", asked.what())]
    Length {
        /// What it was asked.
        asked: Asked,
        /// Bytes of data.
        length: usize,
    },
    /// Its MAC or its answer to the challenge is wrong.
    #[error("the SAM does not hold the host key of this box: another SAM, or another card-sam.key")]
    OtherHostKey,
    /// It cannot do what is needed.
    #[error("the SAM is {mode}: only a SAM AV3 that is activated speaks for keys of DESFire EV2 and EV3")]
    Mode {
        /// What it says that it is.
        mode: SamMode,
    },
    /// More than fits into one command.
    #[error("{length} bytes do not fit into one command to the SAM")]
    TooLong {
        /// How many.
        length: usize,
    },
    /// There is no host key at hand.
    #[error("the host key of the SAM is missing: put card-sam.key among the credentials or into the key folder")]
    NoHostKey,
    /// The system gave no random numbers.
    #[error("the system gives no random numbers, so the SAM cannot be opened")]
    NoRandomness,
    /// It was asked for what only EV2 has.
    #[error("a SAM speaks for EV2 only: set card.desfire.authentication = \"ev2\"")]
    OnlyEv2,
    /// The card's answer is wrong: it holds another key, or its answer was changed on the way.
    #[error("the SAM finds the card's proof wrong")]
    CardNotProved,
}

impl SamError {
    /// Whether the SAM or this box is the cause, and not the card.
    #[must_use]
    pub const fn is_of_keys(&self) -> bool {
        !matches!(self, Self::CardNotProved)
    }
}

/// A key in the store of a SAM: an entry, and one of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// The number of the entry, 0 to 127.
    pub number: u8,
    /// Which of the entry's versions.
    pub version: u8,
}

/// Whether a SAM did what it was asked, be it that it found the card wrong. Otherwise it may have forgotten that it was opened.
#[must_use]
pub fn is_judgement(response: &[u8]) -> bool {
    response
        .last_chunk()
        .is_some_and(|word| [DONE, NEXT_PART, CARD_NOT_PROVED, CARD_REFUSED].contains(&u16::from_be_bytes(*word)))
}

/// The data of an answer that ended in status word `status`.
fn data(asked: Asked, response: &[u8], status: u16) -> Result<&[u8], SamError> {
    let (data, word) = response.split_last_chunk::<2>().ok_or(SamError::TooShort { asked, length: response.len() })?;
    match u16::from_be_bytes(*word) {
        word if word == status => Ok(data),
        CARD_NOT_PROVED | CARD_REFUSED if matches!(asked, Asked::Authenticate | Asked::Open) => {
            Err(SamError::CardNotProved)
        }
        word => Err(SamError::Refused { asked, status: word }),
    }
}

/// A command with data and, where `answers` says so, Le.
fn command([ins, p1, p2]: [u8; 3], data: &[&[u8]], answers: bool) -> Result<zeroize::Zeroizing<Vec<u8>>, SamError> {
    let length = data.iter().map(|part| part.len()).sum();
    let lc = u8::try_from(length).map_err(|_| SamError::TooLong { length })?;
    let mut command = zeroize::Zeroizing::new(Vec::with_capacity(MOST_DATA + 6));
    command.extend_from_slice(&[CLASS, ins, p1, p2, lc]);
    data.iter().for_each(|part| command.extend_from_slice(part));
    if answers {
        command.push(0);
    }
    Ok(command)
}

#[cfg(test)]
mod tests;
