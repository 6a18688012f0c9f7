//! Bytes that others read: APDUs, MQTT topics, event envelopes, receipts.

pub mod apdu;
pub mod uid;
