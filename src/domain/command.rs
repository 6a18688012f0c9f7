//! What a fleet may command a box, who may do so, and what is recorded of it.
//!
//! How a command travels is told in `wire/command.rs`, how it is judged and carried out in `flow/obey`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;

/// Longest word that names a command, bytes.
pub const LONGEST_WORD: usize = 32;

/// Names one command: a UUIDv7, made by the sender. A box carries out an id once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A command to one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Light and screen show which box this is, for some seconds.
    Identify,
    /// Look at the parts of the box, as far as that disturbs nothing.
    Doctor,
    /// Start again with the configuration and the certificates as they are on disk now.
    Reload,
    /// Finish the verification at hand and take no new one.
    Drain,
    /// Take taps again.
    Resume,
    /// Make a new key that rosters are sealed to.
    Rotate,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Identify, Self::Doctor, Self::Reload, Self::Drain, Self::Resume, Self::Rotate];

    /// Its word on the wire, in the ledger and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Doctor => "doctor",
            Self::Reload => "reload",
            Self::Drain => "drain",
            Self::Resume => "resume",
            Self::Rotate => "rotate",
        }
    }

    /// What a key needs to give it.
    #[must_use]
    pub const fn right(self) -> Right {
        match self {
            Self::Identify => Right::Identify,
            Self::Doctor => Right::Doctor,
            Self::Reload => Right::Reload,
            // Whoever may close a door may open it again.
            Self::Drain | Self::Resume => Right::Drain,
            Self::Rotate => Right::Rotate,
        }
    }
}

/// Not the word of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the commands are identify, doctor, reload, drain, resume and rotate")]
pub struct NotACommand;

impl FromStr for Command {
    type Err = NotACommand;

    fn from_str(word: &str) -> Result<Self, NotACommand> {
        Self::ALL.into_iter().find(|command| command.word() == word).ok_or(NotACommand)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a command key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Sign the list of lost cards.
    LostCards,
    /// [`Command::Identify`].
    Identify,
    /// [`Command::Doctor`].
    Doctor,
    /// [`Command::Reload`].
    Reload,
    /// [`Command::Drain`] and [`Command::Resume`].
    Drain,
    /// [`Command::Rotate`].
    Rotate,
}

/// Why a box did not carry a command out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandRefusal {
    /// It is for another box.
    OtherDevice,
    /// The box's clock is not believed, so nothing can be said about the command's time.
    ClockUntrusted,
    /// It was to be valid for longer than commands may be.
    ValidTooLong,
    /// It was given later than it is now.
    FromTheFuture,
    /// Its time is over.
    Expired,
    /// The box knows no such command.
    UnknownCommand,
    /// The key that signed it has no right to this command.
    NotAllowed,
    /// A command of this id came before.
    Replayed,
    /// It could not be recorded, and nothing is done that is not recorded.
    Storage,
}

impl CommandRefusal {
    /// Its word on the wire and in the ledger.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::OtherDevice => "other_device",
            Self::ClockUntrusted => "clock_untrusted",
            Self::ValidTooLong => "valid_too_long",
            Self::FromTheFuture => "from_the_future",
            Self::Expired => "expired",
            Self::UnknownCommand => "unknown_command",
            Self::NotAllowed => "not_allowed",
            Self::Replayed => "replayed",
            Self::Storage => "storage",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::OtherDevice => "it was made for another box: somebody moved it; see who may write to the broker",
            Self::ClockUntrusted => {
                "the box's clock is not believed, so it cannot tell whether the command has expired: let the box reach its time server"
            }
            Self::ValidTooLong => "it was to be valid for more than ten minutes: give it a shorter time",
            Self::FromTheFuture => {
                "it was given later than the box's clock shows: compare the clocks of this machine and of the box"
            }
            Self::Expired => {
                "its time was over when it came: compare the clocks of this machine and of the box, or see who holds up messages at the broker"
            }
            Self::UnknownCommand => "the box knows no such command: its software is older than this program",
            Self::NotAllowed => {
                "this key may not give this command: see its rights in `examgate-fleet trust show`, or `may` of its entry in the box's `command_keys`"
            }
            Self::Replayed => {
                "the box has had this command before: somebody sent it again; see who may write to the broker"
            }
            Self::Storage => {
                "the box could not record it, and does nothing that it cannot record: look at its log and disk"
            }
        }
    }
}

impl fmt::Display for CommandRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum CommandOutcome {
    /// It is recorded, and carried out after that.
    Accepted,
    /// It was not carried out.
    Refused(CommandRefusal),
    /// It was accepted before, and could not be carried out: why, in words.
    Failed(String),
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Refused(why) => write!(f, "refused ({why})"),
            Self::Failed(why) => write!(f, "failed ({why})"),
        }
    }
}

/// A command that a command key signed, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// Which one.
    pub command: CommandId,
    /// What it asked for; a word that the box does not know, too.
    pub word: String,
    /// The public half of the key that signed it, 64 hexadecimal digits.
    pub key: String,
    /// The key's name in the box's configuration, where it has one.
    pub by: Option<String>,
    /// When it was given, by the sender's clock.
    pub issued: Timestamp,
    /// What came of it.
    pub answer: CommandOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written_and_as_serde_writes_them() {
        for command in Command::ALL {
            assert_eq!(command.word().parse(), Ok(command));
            assert!(command.word().len() <= LONGEST_WORD);
            assert_eq!(serde_json::to_value(command).expect("a word"), command.word());
        }
        assert_eq!("Drain".parse::<Command>(), Err(NotACommand));
        for refusal in [CommandRefusal::OtherDevice, CommandRefusal::FromTheFuture, CommandRefusal::ValidTooLong] {
            assert_eq!(serde_json::to_value(refusal).expect("a word"), refusal.code());
        }
    }
}
