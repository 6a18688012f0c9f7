//! How a new box and its fleet know each other: a one-time code that both hold, and two messages signed with keys made of it.
//!
//! The box signs what it asks for, and the fleet what it answers, each with a key of its own that only who knows the code
//! can make; both name the TLS certificate that the box saw. So a man in the middle can neither relay their messages
//! nor make any, and an eavesdropper learns nothing: 100 random bits cannot be guessed. The fleet keeps the public half of
//! the box's key alone, so what it keeps enrols no box.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    seal::Recipient,
    signed,
    trust::MAX_TRUST,
};
use crate::domain::{DeviceId, RoomId};

/// What the signatures are for.
const REQUEST: &str = "examgate/enrolment-request/v1";
const ANSWER: &str = "examgate/enrolment-answer/v1";
const POSSESSION: &str = "examgate/enrolment-possession/v1";

/// Longest request, bytes.
pub const MAX_REQUEST: usize = 16 * 1024;

/// Longest answer, bytes: a trust document and two certificates.
pub const MAX_ANSWER: usize = MAX_TRUST + 16 * 1024;

/// Most prekeys of a box.
pub const MAX_PREKEYS: usize = 16;

/// Longest PEM text, bytes.
pub const LONGEST_PEM: usize = 8 * 1024;

/// Crockford's base 32: no letter is taken for a digit.
const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Symbols that are secret: 100 bits.
const SECRET: usize = 20;

/// Symbols that tell a slip of the finger from a code: 20 bits.
const CHECK: usize = 4;

/// Symbols between dashes.
const GROUP: usize = 4;

/// Why a text is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACode {
    /// Not as many symbols.
    #[error(
        "a code has 24 letters and digits in six groups, and this has {found}: type it again as `device add` printed it"
    )]
    Length {
        /// How many it has.
        found: usize,
    },
    /// A letter that no code has, or signs.
    #[error("a code has no {found:?}: type it again as `device add` printed it")]
    Symbol {
        /// The letter.
        found: char,
    },
    /// The check does not fit.
    #[error("the code is mistyped somewhere: compare it group by group with what `device add` printed")]
    Mistyped,
}

/// A one-time code: who holds it may enrol one box. Redacted in `Debug`, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Code([u8; SECRET]);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(redacted)")
    }
}

/// What a code is found by. It gives away nothing of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeId(pub [u8; 8]);

impl fmt::Display for CodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for CodeId {
    type Err = hex::FromHexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes))
    }
}

/// What the fleet keeps of a code. It answers a box with it, and cannot enrol one.
#[derive(Clone)]
pub struct Kept {
    /// What it is found by.
    pub id: CodeId,
    /// Verifies requests.
    pub requests: PublicKey,
    /// The seed of the key that signs answers.
    pub answers: Zeroizing<[u8; 32]>,
}

impl Code {
    /// The code of 20 random bytes, of which five bits each count.
    #[must_use]
    pub fn from_random(random: &[u8; SECRET]) -> Self {
        Self(random.map(|byte| byte & 31))
    }

    /// The text that a person types: six groups of four.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * (SECRET + CHECK)));
        for (at, symbol) in self.0.iter().chain(&self.check()).enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(SYMBOLS[usize::from(*symbol)]));
        }
        text
    }

    fn check(&self) -> [u8; CHECK] {
        let hash = Sha256::new().chain_update("examgate/code-check/v1").chain_update(self.0).finalize();
        [hash[0] & 31, hash[1] & 31, hash[2] & 31, hash[3] & 31]
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(label.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// What it is found by.
    #[must_use]
    pub fn id(&self) -> CodeId {
        let hash = self.derive("examgate/code-id/v1");
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        CodeId(id)
    }

    fn requests(&self) -> SigningKey {
        SigningKey::from_seed(&self.derive("examgate/code-requests/v1"))
    }

    fn answers(&self) -> Zeroizing<[u8; 32]> {
        self.derive("examgate/code-answers/v1")
    }

    /// What the fleet keeps of it.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept { id: self.id(), requests: self.requests().public(), answers: self.answers() }
    }
}

impl FromStr for Code {
    type Err = NotACode;

    /// Reads a code as a person types it: either case, with or without dashes and spaces, O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
        for letter in text.chars().filter(|letter| *letter != '-' && !letter.is_whitespace()) {
            let plain = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let at = SYMBOLS.iter().position(|symbol| char::from(*symbol) == plain);
            symbols.push(at.ok_or(NotACode::Symbol { found: letter })? as u8);
        }
        let found = symbols.len();
        let (secret, check) = symbols.split_at_checked(SECRET).ok_or(NotACode::Length { found })?;
        let code = Self(secret.try_into().expect("split there"));
        if check.len() != CHECK {
            return Err(NotACode::Length { found });
        }
        if check == code.check() { Ok(code) } else { Err(NotACode::Mistyped) }
    }
}

/// Why a message of the enrolment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentError {
    /// Not made with this code.
    #[error("the other side does not know the code: is it the fleet's own enrolment endpoint, and the newest code?")]
    NotSigned,
    /// Made for another connection.
    #[error("something stands between the box and the fleet (another TLS certificate was seen): connect them directly")]
    Between,
    /// An answer to another request.
    #[error("an answer to another request: try again")]
    AnotherRequest,
    /// Of another shape.
    #[error("made with the code, but of another version: install the same version of Examgate on both sides")]
    Malformed,
    /// The box does not have the secret half of its signing key.
    #[error("the box did not show that the signing key is its own: make its keys anew")]
    NotItsKey,
}

/// SHA-256 of the certificate (DER) that a TLS endpoint presents (tls-server-end-point, RFC 5929).
pub type ServerHash = [u8; 32];

/// What a box asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Random, so that an answer belongs to one request.
    pub nonce: [u8; 16],
    /// The request for a certificate (PKCS#10, PEM).
    pub csr: String,
    /// The key that the box signs events with.
    pub signing_key: PublicKey,
    /// What rosters can be sealed to (`age1…`).
    pub prekeys: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestPayload {
    v: u8,
    #[serde(with = "cbor::bytes")]
    server: ServerHash,
    #[serde(with = "cbor::bytes")]
    nonce: [u8; 16],
    csr: String,
    signing_key: PublicKey,
    #[serde(with = "cbor::bytes")]
    possession: Vec<u8>,
    prekeys: Vec<String>,
}

fn bound(server: &ServerHash, nonce: &[u8; 16]) -> Vec<u8> {
    [&server[..], nonce].concat()
}

impl Request {
    /// Signs the request with the `code`, for the connection to `server`. `own` is the secret half of its signing key.
    #[must_use]
    pub fn encode(&self, code: &Code, own: &SigningKey, server: &ServerHash) -> Vec<u8> {
        let Self { nonce, csr, signing_key, prekeys } = self.clone();
        let possession = signed::sign(POSSESSION, own, bound(server, &nonce));
        let payload = RequestPayload { v: 1, server: *server, nonce, csr, signing_key, possession, prekeys };
        signed::sign(REQUEST, &code.requests(), cbor::to_vec(&payload))
    }

    /// Reads a request that was made with the code that is `kept`, over a connection to `server`.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], kept: &PublicKey, server: &ServerHash) -> Result<Self, EnrolmentError> {
        if bytes.len() > MAX_REQUEST {
            return Err(EnrolmentError::NotSigned);
        }
        let payload = signed::verify(REQUEST, kept, bytes).ok_or(EnrolmentError::NotSigned)?;
        let payload: RequestPayload = cbor::from_slice(&payload).ok_or(EnrolmentError::Malformed)?;
        let RequestPayload { v, server: seen, nonce, csr, signing_key, possession, prekeys } = payload;
        let is_prekey = |text: &String| text.parse::<Recipient>().is_ok_and(|key| key.to_string() == *text);
        if v != 1 || csr.len() > LONGEST_PEM || prekeys.len() > MAX_PREKEYS || !prekeys.iter().all(is_prekey) {
            return Err(EnrolmentError::Malformed);
        }
        if seen != *server {
            return Err(EnrolmentError::Between);
        }
        if signed::verify(POSSESSION, &signing_key, &possession) != Some(bound(server, &nonce)) {
            return Err(EnrolmentError::NotItsKey);
        }
        Ok(Self { nonce, csr, signing_key, prekeys })
    }
}

/// What the fleet answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Who the box is from now on.
    pub device: DeviceId,
    /// The room whose door it guards.
    pub room: RoomId,
    /// Its certificate (PEM), then what lies between it and the issuer.
    pub certificate: String,
    /// The public key of the fleet's root.
    pub root: PublicKey,
    /// The fleet's trust document, signed by that root.
    #[serde(with = "cbor::bytes")]
    pub trust: Vec<u8>,
    /// The broker's host name or address, as its certificate names it.
    pub broker: String,
    /// The broker's TCP port.
    pub port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerPayload {
    v: u8,
    #[serde(with = "cbor::bytes")]
    server: ServerHash,
    #[serde(with = "cbor::bytes")]
    nonce: [u8; 16],
    answer: Answer,
}

impl Answer {
    /// Signs the answer to the request with this `nonce`, with the `answers` seed of a code that was [`Kept`].
    #[must_use]
    pub fn encode(&self, answers: &[u8; 32], nonce: [u8; 16], server: &ServerHash) -> Vec<u8> {
        let payload = AnswerPayload { v: 1, server: *server, nonce, answer: self.clone() };
        signed::sign(ANSWER, &SigningKey::from_seed(answers), cbor::to_vec(&payload))
    }

    /// Reads the answer to the request with this `nonce`, made with the `code`, over the connection to `server`.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], code: &Code, nonce: [u8; 16], server: &ServerHash) -> Result<Self, EnrolmentError> {
        if bytes.len() > MAX_ANSWER {
            return Err(EnrolmentError::NotSigned);
        }
        let key = SigningKey::from_seed(&code.answers()).public();
        let payload = signed::verify(ANSWER, &key, bytes).ok_or(EnrolmentError::NotSigned)?;
        let payload: AnswerPayload = cbor::from_slice(&payload).ok_or(EnrolmentError::Malformed)?;
        if payload.v != 1 || payload.answer.certificate.len() > LONGEST_PEM {
            return Err(EnrolmentError::Malformed);
        }
        if payload.server != *server {
            return Err(EnrolmentError::Between);
        }
        if payload.nonce != nonce {
            return Err(EnrolmentError::AnotherRequest);
        }
        Ok(payload.answer)
    }
}

#[cfg(test)]
mod tests;
