//! What is agreed with a card before a word is exchanged, and what may go wrong.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Diversification;
use crate::wire::sam::SamError;

/// How a session is opened, and how it guards what is said in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// AUTHENTICATE AES (0xAA) and the secure messaging of EV1: one session key, an initialisation vector that runs through all commands.
    Aes,
    /// AUTHENTICATE EV2 FIRST (0x71) and the secure messaging of EV2: two session keys, a transaction identifier and a counter.
    Ev2,
}

/// How a file's content travels. A card has this setting for each file, and the reader has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Communication {
    /// As it is. Under [`Protocol::Aes`] a MAC follows nevertheless, under [`Protocol::Ev2`] nothing does, so it is refused there.
    Plain,
    /// With a MAC.
    Mac,
    /// Enciphered; with a CRC under [`Protocol::Aes`], with a MAC under [`Protocol::Ev2`].
    Full,
}

/// An application's identifier, three bytes as they are printed: the most significant first. On the wire they are the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application(pub [u8; 3]);

impl Application {
    /// As it travels: the least significant byte first (MF2DL(H)x0, section 9.1: all numbers do).
    #[must_use]
    pub const fn on_the_wire(self) -> [u8; 3] {
        let [first, second, third] = self.0;
        [third, second, first]
    }
}

/// What a card is called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The content of a file.
    File {
        /// Its number, 0 to 31.
        number: u8,
        /// Where the identity begins in it, under 2^24.
        offset: u32,
        /// How many bytes it has, 1 to 32.
        length: u8,
        /// How the file's content travels.
        communication: Communication,
    },
    /// The identifier that the card proves in the session: the real one of a card that makes one up in the clear.
    Uid,
}

/// How the cards of a site are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the key and the identity are.
    pub application: Application,
    /// How a card proves itself.
    pub protocol: Protocol,
    /// By which key of the application, 0 to 13.
    pub key: u8,
    /// How a card's own key is made; `None`: all cards have the same.
    pub diversification: Option<Diversification>,
    /// What it is called by.
    pub identity: Identity,
}

/// By which key a card is to prove itself.
#[derive(Clone, Debug)]
pub struct Authentication {
    /// How.
    pub protocol: Protocol,
    /// The key's number within the application, 0 to 13.
    pub key: u8,
    /// What the card's own key is derived from by AN10922, 1 to 31 bytes; `None`: all cards have the same key.
    pub diversification: Option<Zeroizing<Vec<u8>>>,
}

/// What was being done when something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// SELECT APPLICATION.
    Select,
    /// The first half of AUTHENTICATE.
    Challenge,
    /// The second half.
    Proof,
    /// READ DATA.
    Read,
    /// GET CARD UID.
    CardUid,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Select => "selecting the application",
            Self::Challenge => "asking the card for its challenge",
            Self::Proof => "asking the card for its proof",
            Self::Read => "reading the identity file",
            Self::CardUid => "asking for the card's own identifier",
        })
    }
}

/// Why a card, or what holds its key, proves nothing. Holds no byte of an answer beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesfireError {
    /// The application is not on the card, or it is no DESFire card.
    #[error("the card does not have the application: it answered {status:04X} to its name")]
    NoApplication {
        /// SW1 SW2.
        status: u16,
    },
    /// The box lacks the key.
    #[error("there is no card key at hand: put card-desfire.key among the credentials or into the key folder")]
    NoKey,
    /// No status word.
    #[error("{doing}: the answer is {length} bytes long, a status word alone takes 2")]
    TooShort {
        /// What was being done.
        doing: Doing,
        /// Bytes received.
        length: usize,
    },
    /// The card refused.
    #[error("{doing}: the card answered {status:04X}{}", meaning(*status))]
    Refused {
        /// What was being done.
        doing: Doing,
        /// SW1 SW2.
        status: u16,
    },
    /// A status that may come, but not now.
    #[error("{doing}: the card answered {status:04X} where it is not the turn of that")]
    OutOfTurn {
        /// What was being done.
        doing: Doing,
        /// SW1 SW2.
        status: u16,
    },
    /// It never says that this was all.
    #[error("{doing}: the card has more and more to say")]
    Endless {
        /// What was being done.
        doing: Doing,
    },
    /// An answer that is cut off, or has something added.
    #[error(
        "the card's answer is {found} bytes long, {wanted} are wanted: it was cut off, or the settings are not those of the card"
    )]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        wanted: usize,
    },
    /// RndA did not come back.
    #[error("the card did not prove that it holds the key")]
    WrongKey,
    /// The MAC of an answer.
    #[error("the MAC of the card's answer does not fit: it was changed, said before, or comes from somebody else")]
    Mac,
    /// The CRC of an enciphered answer.
    #[error("the checksum in the card's enciphered answer does not fit")]
    Checksum,
    /// What stands behind the content.
    #[error("the padding in the card's enciphered answer does not fit")]
    Padding,
    /// Plain communication under EV2.
    #[error(
        "nothing guards what is read: with authentication = \"ev2\" the file must be read with communication = \"mac\" or \"full\""
    )]
    Unguarded,
    /// Said when no session stands: an error of this program.
    #[error("there is no session with the card")]
    NoSession,
    /// The key is derived from an identifier that the card keeps to itself.
    #[error(
        "the card's key is derived from its identifier, and the card or its reader does not give that in the clear"
    )]
    IdentifierHidden,
    /// What AN10922 derives from is too short or too long.
    #[error("what the card's key is derived from is {length} bytes long, 1 to 31 are allowed")]
    Diversification {
        /// How many there are.
        length: usize,
    },
    /// The proved identifier is not the one that the reader saw.
    #[error("the identifier that the card proves is not the one that the reader gave")]
    OtherIdentifier,
    /// What the SAM that holds the key says.
    #[error(transparent)]
    Sam(#[from] SamError),
    /// A file that was never written has the same content on every card.
    #[error("the identity on the card is one byte over and over: it was never written")]
    Blank,
}

impl DesfireError {
    /// Whether the box is the cause (its key or its SAM), and not the card.
    #[must_use]
    pub const fn is_of_keys(&self) -> bool {
        matches!(self, Self::NoKey | Self::NoSession) || matches!(self, Self::Sam(error) if error.is_of_keys())
    }

    /// Whether there was no answer to judge: some readers give nothing for a card that was pulled.
    #[must_use]
    pub const fn is_no_answer(&self) -> bool {
        matches!(self, Self::TooShort { .. })
    }
}

/// What a status says, with its space (MF2DL(H)x0, section 11.1, tables of each command).
const fn meaning(status: u16) -> &'static str {
    match status {
        0x911C => " (it does not know the command)",
        0x9140 => " (it has no key of that number)",
        0x917E => " (it wants another length: the settings are not those of the card)",
        0x919D => " (not allowed in this application)",
        0x91AE => " (not with this key)",
        0x91BE => " (the file is shorter)",
        0x91CA => " (another command was not finished)",
        0x91F0 => " (there is no such file)",
        _ => "",
    }
}
