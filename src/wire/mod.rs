//! Bytes that others read: APDUs, MQTT topics, event envelopes, receipts, commands, trust documents, enrolment, rosters on their way, whom
//! boxes let in, a broker's host, where a JPEG ends and how its camera was held. Parsers that survive anything.
//!
//! It never sends or stores, and reads no clock. Sealing draws its one-time keys from the system's random generator:
//! the only randomness in this room.

mod aes;
mod cbor;
mod signed;

pub mod admitted;
pub mod apdu;
pub mod atr;
pub mod backup;
pub mod bundle;
pub mod chunk;
pub mod command;
pub mod desfire;
pub mod desired;
pub mod digest;
pub mod enrolment;
pub mod envelope;
pub mod exif;
pub mod host;
pub mod jpeg;
pub mod keys;
pub mod list;
pub mod lost;
pub mod pacs;
pub mod piv;
pub mod receipt;
pub mod refusal;
pub mod renewal;
pub mod reported;
pub mod sam;
pub mod seal;
pub mod state;
pub mod telemetry;
pub mod topic;
pub mod trust;
pub mod uid;
