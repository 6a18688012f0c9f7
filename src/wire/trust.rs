//! The trust document, version 1: which keys of the fleet count, for what and from when to when. Signed by the offline root.
//!
//! A box that knows the root's public key takes a document of a higher version than the one it holds, and nothing else, so an
//! old document cannot bring a revoked key back. Certificates are carried as text: nothing here looks into them.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    seal::Recipient,
    signed,
};
use crate::domain::{Right, Timestamp};

/// What the signature is for.
const PURPOSE: &str = "examgate/trust/v1";

/// Longest document, bytes: what the fleet's brokers let through is 36 KiB.
pub const MAX_TRUST: usize = 32 * 1024;

/// Most keys in a document.
pub const MAX_KEYS: usize = 64;

/// Most revoked keys in a document.
pub const MAX_REVOKED: usize = 256;

/// Longest certificate, bytes of PEM: P-256 takes under 1 KiB.
const LONGEST_CERTIFICATE: usize = 4 * 1024;

/// Longest name of a command key, characters.
pub const LONGEST_NAME: usize = 64;

/// What a key of the fleet is for. It counts for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Ed25519: signs rosters.
    Roster,
    /// Ed25519: signs commands to boxes.
    Command,
    /// Ed25519: signs the collector's receipts.
    Receipt,
    /// age (X25519): what boxes seal events to.
    Events,
    /// X.509 (PEM): issues the certificates of boxes and brokers.
    Issuer,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Roster, Self::Command, Self::Receipt, Self::Events, Self::Issuer];

    /// Its name, as commands and files write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roster => "roster",
            Self::Command => "command",
            Self::Receipt => "receipt",
            Self::Events => "events",
            Self::Issuer => "issuer",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key's id: SHA-256 over its purpose, a zero byte and its text. In text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(#[serde(with = "cbor::bytes")] [u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// One key of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// What it is for.
    pub purpose: Purpose,
    /// The public key: 64 hexadecimal digits, `age1…`, or one PEM certificate, as the purpose wants it.
    pub key: String,
    /// From when it counts, seconds since 1970.
    pub not_before: i64,
    /// Until when it counts, seconds since 1970; this second no more.
    pub not_after: i64,
    /// What events call the holder of a command key, such as `help-desk`: 1 to [`LONGEST_NAME`] characters on one line. `None`: the
    /// fleet's own command key, and every key for another purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a command key may do; `None`: everything. Other keys have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may: Option<Vec<Right>>,
}

impl TrustedKey {
    /// A key that counts from the first of these seconds since 1970 until the second, without a name, and with every right that its
    /// purpose gives.
    #[must_use]
    pub fn new(purpose: Purpose, key: impl Into<String>, (not_before, not_after): (i64, i64)) -> Self {
        Self { purpose, key: key.into(), not_before, not_after, name: None, may: None }
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new().chain_update(self.purpose.name()).chain_update([0]).chain_update(&self.key);
        KeyId(hash.finalize().into())
    }

    /// Only command keys have names and rights, and each right once.
    fn is_well_labelled(&self) -> bool {
        let may = self.may.as_deref().unwrap_or_default();
        let is_once = may.iter().enumerate().all(|(at, right)| !may[..at].contains(right));
        let is_name =
            |name: &str| (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let is_plain = self.name.is_none() && self.may.is_none();
        is_plain || (self.purpose == Purpose::Command && is_once && self.name.as_deref().is_none_or(is_name))
    }

    fn is_of_its_purpose(&self) -> bool {
        match self.purpose {
            Purpose::Roster | Purpose::Command | Purpose::Receipt => {
                self.key.parse::<PublicKey>().is_ok_and(|key| key.to_string() == self.key)
            }
            Purpose::Events => self.key.parse::<Recipient>().is_ok_and(|key| key.to_string() == self.key),
            Purpose::Issuer => {
                let text = self.key.trim_end();
                let inner = text
                    .strip_prefix("-----BEGIN CERTIFICATE-----\n")
                    .and_then(|rest| rest.strip_suffix("\n-----END CERTIFICATE-----"));
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/=\n".contains(&b);
                self.key.len() <= LONGEST_CERTIFICATE && inner.is_some_and(|inner| inner.bytes().all(plain))
            }
        }
    }
}

/// Why bytes are not a trust document, or not one to take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Too many bytes.
    #[error(
        "a trust document of {found} bytes is longer than {MAX_TRUST}: remove keys whose time is over and sign it again"
    )]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not signed by this root for this purpose.
    #[error(
        "not signed by the fleet's root: is it another fleet's document, or was it damaged? Fetch it again from the fleet"
    )]
    NotSigned,
    /// Signed, but not of this shape.
    #[error(
        "signed by the root, but not a trust document of version 1: install the newer software, or sign it with this one"
    )]
    Malformed,
    /// More keys than anybody needs.
    #[error("more than {MAX_KEYS} keys or {MAX_REVOKED} revoked ids: leave out those whose time is over")]
    TooMany,
    /// A key that is none.
    #[error(
        "the {purpose} key number {position} is not a {purpose} key: make it with `examgate-fleet trust rotate {purpose}`"
    )]
    NotAKey {
        /// What it should be.
        purpose: Purpose,
        /// Where it stands, from 1.
        position: usize,
    },
    /// A key whose time ends before it begins, or lies outside of all calendars.
    #[error("the {purpose} key {id} has no time in which it counts: not_after must be later than not_before")]
    Dates {
        /// What it is for.
        purpose: Purpose,
        /// Which it is.
        id: KeyId,
    },
    /// A name or rights at a key that has none, a right twice, or a name that is none.
    #[error(
        "the {purpose} key {id} has a name or rights that it cannot have: only a command key has them, each right once, and a name is 1 \
         to {LONGEST_NAME} characters on one line"
    )]
    Labelled {
        /// What it is for.
        purpose: Purpose,
        /// Which it is.
        id: KeyId,
    },
    /// The same key twice.
    #[error("the key {id} is listed twice: leave one out")]
    Twice {
        /// Which it is.
        id: KeyId,
    },
    /// Version 0, or a date that is none.
    #[error("version {version} or its date is none: versions begin at 1")]
    Undated {
        /// The version.
        version: u64,
    },
    /// Older than what is held.
    #[error("version {found} is older than version {held}, which is held: take the newest from the fleet")]
    Older {
        /// What came.
        found: u64,
        /// What is held.
        held: u64,
    },
    /// The same version with other content: the root signed two.
    #[error("another document of version {version} is held: the root signed two. Sign one of a higher version")]
    Forked {
        /// Their version.
        version: u64,
    },
    /// A higher version with an earlier date.
    #[error(
        "version {found} is dated before version {held}, which is held: set the clock where the root signs, and sign again"
    )]
    DatedBack {
        /// What came.
        found: u64,
        /// What is held.
        held: u64,
    },
}

/// The keys of a fleet that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDocument {
    /// Rises with every change, from 1.
    pub version: u64,
    /// When the root signed it, seconds since 1970.
    pub issued: i64,
    /// The keys, in no order that means anything.
    pub keys: Vec<TrustedKey>,
    /// Keys that count no more, whatever their dates say.
    pub revoked: BTreeSet<KeyId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    version: u64,
    issued: i64,
    keys: Vec<TrustedKey>,
    revoked: BTreeSet<KeyId>,
}

impl TrustDocument {
    /// Signs the document with the root's secret key.
    ///
    /// # Errors
    /// When no box would take it.
    pub fn encode(&self, root: &SigningKey) -> Result<Vec<u8>, TrustError> {
        self.check()?;
        let Self { version, issued, keys, revoked } = self.clone();
        let bytes = signed::sign(PURPOSE, root, cbor::to_vec(&Payload { v: 1, version, issued, keys, revoked }));
        if bytes.len() > MAX_TRUST { Err(TrustError::TooLong { found: bytes.len() }) } else { Ok(bytes) }
    }

    /// Reads a document that `root` signed.
    ///
    /// # Errors
    /// When anything about it is not as [`Self::encode`] makes it.
    pub fn decode(bytes: &[u8], root: &PublicKey) -> Result<Self, TrustError> {
        if bytes.len() > MAX_TRUST {
            return Err(TrustError::TooLong { found: bytes.len() });
        }
        let payload = signed::verify(PURPOSE, root, bytes).ok_or(TrustError::NotSigned)?;
        let read: Payload = cbor::from_slice(&payload).ok_or(TrustError::Malformed)?;
        // One document has one form: maps in another order, long numbers and doubled ids are refused.
        if read.v != 1 || cbor::to_vec(&read) != payload {
            return Err(TrustError::Malformed);
        }
        let Payload { v: _, version, issued, keys, revoked } = read;
        let document = Self { version, issued, keys, revoked };
        document.check()?;
        Ok(document)
    }

    /// Reads a document that `root` signed, to be held in place of `held`. The held one itself is taken, too.
    ///
    /// ```
    /// use examgate::wire::{keys::SigningKey, trust::{TrustDocument, TrustError}};
    ///
    /// let root = SigningKey::from_seed(&[1; 32]);
    /// let first = TrustDocument { version: 1, issued: 1_795_000_000, keys: Vec::new(), revoked: Default::default() };
    /// let second = TrustDocument { version: 2, issued: 1_795_000_060, ..first.clone() };
    /// let taken = TrustDocument::accept(&second.encode(&root)?, &root.public(), Some(&first))?;
    /// let back = TrustDocument::accept(&first.encode(&root)?, &root.public(), Some(&taken));
    /// assert_eq!(back, Err(TrustError::Older { found: 1, held: 2 }));
    /// # Ok::<(), TrustError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::decode`]; when it is older than what is held, or as old and another.
    pub fn accept(bytes: &[u8], root: &PublicKey, held: Option<&Self>) -> Result<Self, TrustError> {
        let new = Self::decode(bytes, root)?;
        let Some(held) = held else { return Ok(new) };
        if new.version < held.version {
            return Err(TrustError::Older { found: new.version, held: held.version });
        }
        if new.version == held.version && new != *held {
            return Err(TrustError::Forked { version: new.version });
        }
        if new.issued < held.issued {
            return Err(TrustError::DatedBack { found: new.version, held: held.version });
        }
        Ok(new)
    }

    /// The keys of `purpose` that count at `now`, the one that counts longest first.
    #[must_use]
    pub fn current(&self, purpose: Purpose, now: Timestamp) -> Vec<&TrustedKey> {
        let now = now.as_second();
        let counts = |key: &&TrustedKey| {
            key.purpose == purpose
                && (key.not_before..key.not_after).contains(&now)
                && !self.revoked.contains(&key.id())
        };
        let mut keys: Vec<_> = self.keys.iter().filter(counts).collect();
        keys.sort_by_key(|key| std::cmp::Reverse((key.not_after, key.not_before)));
        keys
    }

    fn check(&self) -> Result<(), TrustError> {
        if self.version == 0 || Timestamp::from_second(self.issued).is_err() {
            return Err(TrustError::Undated { version: self.version });
        }
        if self.keys.len() > MAX_KEYS || self.revoked.len() > MAX_REVOKED {
            return Err(TrustError::TooMany);
        }
        let mut seen = BTreeSet::new();
        for (position, key) in (1..).zip(&self.keys) {
            let (purpose, id) = (key.purpose, key.id());
            if !key.is_of_its_purpose() {
                return Err(TrustError::NotAKey { purpose, position });
            }
            let is_date = |second| Timestamp::from_second(second).is_ok();
            if key.not_after <= key.not_before || !is_date(key.not_before) || !is_date(key.not_after) {
                return Err(TrustError::Dates { purpose, id });
            }
            if !key.is_well_labelled() {
                return Err(TrustError::Labelled { purpose, id });
            }
            if !seen.insert(id) {
                return Err(TrustError::Twice { id });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
