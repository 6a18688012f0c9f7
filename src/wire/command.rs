//! A command to one box, and the box's answer, version 1: on its `command` and `answer` topics, never retained.
//!
//! COSE_Sign1 over CBOR maps. The command is signed by a command key of the fleet, the answer by the box's signing key. A command
//! names one box, an id of its own, and from when to when it counts, so nobody can move it to another box or keep it for later.
//! Whether its time has come, its id is new and its key has the right is for the reader to judge.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{CommandId, CommandRefusal, DeviceId, LONGEST_WORD, Timestamp};

/// What the signature of a command is for.
const COMMAND: &str = "examgate/command/v1";

/// What the signature of an answer is for.
const ANSWER: &str = "examgate/answer/v1";

/// Longest command, bytes: the longest names, and the signature.
pub const MAX_COMMAND: usize = 1024;

/// Longest text in an answer, bytes.
pub const MAX_DETAIL: usize = 24 * 1024;

/// Longest answer, bytes: the longest text, what is around it, and the signature.
pub const MAX_ANSWER: usize = MAX_DETAIL + 1024;

/// The longest time between a command's issue and its expiry.
pub const VALID_AT_MOST: Duration = Duration::from_secs(600);

/// Why bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Longer than any command.
    #[error("longer than the {MAX_COMMAND} bytes of a command")]
    TooLong,
    /// Not signed by a command key for this purpose; nothing in it is believed.
    #[error(
        "not signed by a command key that this box knows; is the right key in its trust document or `command_keys`?"
    )]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the fleet, but not a command of version 1; is the fleet's software newer?")]
    Malformed,
}

/// Why bytes are not an answer of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Longer than any answer.
    #[error("longer than the {MAX_ANSWER} bytes of an answer")]
    TooLong,
    /// Not signed by this box's enrolled key for this purpose; nothing in it is believed.
    #[error("not signed as an answer by this box's enrolled key; if the box was set up anew, enrol its new key")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the box, but not an answer of version 1; is the box's software newer than this program?")]
    Malformed,
    /// The box signed another name than the topic's.
    #[error("the answer names another box than its topic")]
    OtherDevice,
}

/// What the fleet says to one box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The box.
    pub device: DeviceId,
    /// Names this command; version 7.
    pub id: CommandId,
    /// When it was given.
    pub issued: Timestamp,
    /// From when on it counts no more.
    pub expires: Timestamp,
    /// What is to be done: lower-case letters and hyphens, at most [`LONGEST_WORD`] bytes. The box may not know it.
    pub word: String,
}

/// What a box says came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandAnswer {
    /// The box.
    pub device: DeviceId,
    /// To which command.
    pub id: CommandId,
    /// By the box's own clock.
    pub at: Timestamp,
    /// What came of it.
    pub reply: Reply,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done; a JSON object or array says more.
    Done(String),
    /// It was not begun.
    Refused(CommandRefusal),
    /// It was begun and did not succeed: why, in words.
    Failed(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementPayload {
    v: u8,
    device: DeviceId,
    #[serde(with = "cbor::bytes")]
    id: [u8; 16],
    issued: Timestamp,
    expires: Timestamp,
    command: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Done,
    Refused,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerPayload {
    v: u8,
    device: DeviceId,
    #[serde(with = "cbor::bytes")]
    id: [u8; 16],
    at: Timestamp,
    outcome: Outcome,
    /// Of what is refused: why.
    refusal: Option<CommandRefusal>,
    detail: String,
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.len() <= LONGEST_WORD && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn id(bytes: [u8; 16]) -> Option<CommandId> {
    let id = Uuid::from_bytes(bytes);
    (id.get_version_num() == 7).then_some(CommandId(id))
}

impl Statement {
    /// Signs the command.
    ///
    /// # Errors
    /// [`CommandError::Malformed`] where the word or the id is none.
    pub fn encode(&self, key: &SigningKey) -> Result<Vec<u8>, CommandError> {
        if !is_word(&self.word) || id(*self.id.0.as_bytes()).is_none() {
            return Err(CommandError::Malformed);
        }
        let payload = StatementPayload {
            v: 1,
            device: self.device.clone(),
            id: *self.id.0.as_bytes(),
            issued: self.issued,
            expires: self.expires,
            command: self.word.clone(),
        };
        Ok(signed::sign(COMMAND, key, cbor::to_vec(&payload)))
    }

    /// Reads a command, and says which of `keys` signed it, by its place among them.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], keys: &[PublicKey]) -> Result<(Self, usize), CommandError> {
        if bytes.len() > MAX_COMMAND {
            return Err(CommandError::TooLong);
        }
        let verified = |(place, key)| signed::verify(COMMAND, key, bytes).map(|content| (place, content));
        let (place, content) = keys.iter().enumerate().find_map(verified).ok_or(CommandError::NotSigned)?;
        let payload: StatementPayload = cbor::from_slice(&content).ok_or(CommandError::Malformed)?;
        let id = id(payload.id).filter(|_| payload.v == 1 && is_word(&payload.command));
        let id = id.filter(|_| cbor::to_vec(&payload) == content).ok_or(CommandError::Malformed)?;
        let StatementPayload { device, issued, expires, command: word, .. } = payload;
        Ok((Self { device, id, issued, expires, word }, place))
    }
}

impl CommandAnswer {
    /// Signs the answer. A text beyond [`MAX_DETAIL`] is cut off.
    #[must_use]
    pub fn encode(&self, key: &SigningKey) -> Vec<u8> {
        let (outcome, refusal, detail) = match &self.reply {
            Reply::Done(detail) => (Outcome::Done, None, detail.as_str()),
            Reply::Refused(why) => (Outcome::Refused, Some(*why), ""),
            Reply::Failed(why) => (Outcome::Failed, None, why.as_str()),
        };
        let payload = AnswerPayload {
            v: 1,
            device: self.device.clone(),
            id: *self.id.0.as_bytes(),
            at: self.at,
            outcome,
            refusal,
            detail: detail[..detail.floor_char_boundary(MAX_DETAIL)].to_owned(),
        };
        signed::sign(ANSWER, key, cbor::to_vec(&payload))
    }

    /// Reads an answer of `device`, signed by its enrolled `key`.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it, or it is of another box.
    pub fn decode(bytes: &[u8], device: &DeviceId, key: &PublicKey) -> Result<Self, AnswerError> {
        if bytes.len() > MAX_ANSWER {
            return Err(AnswerError::TooLong);
        }
        let content = signed::verify(ANSWER, key, bytes).ok_or(AnswerError::NotSigned)?;
        let payload: AnswerPayload = cbor::from_slice(&content).ok_or(AnswerError::Malformed)?;
        let id = id(payload.id).filter(|_| payload.v == 1 && payload.detail.len() <= MAX_DETAIL);
        let id = id.filter(|_| cbor::to_vec(&payload) == content).ok_or(AnswerError::Malformed)?;
        let AnswerPayload { device: named, at, outcome, refusal, detail, .. } = payload;
        let reply = match (outcome, refusal) {
            (Outcome::Done, None) => Reply::Done(detail),
            (Outcome::Refused, Some(why)) if detail.is_empty() => Reply::Refused(why),
            (Outcome::Failed, None) => Reply::Failed(detail),
            (Outcome::Done | Outcome::Failed, Some(_)) | (Outcome::Refused, _) => return Err(AnswerError::Malformed),
        };
        if named != *device {
            return Err(AnswerError::OtherDevice);
        }
        Ok(Self { device: named, id, at, reply })
    }
}

#[cfg(test)]
mod tests;
