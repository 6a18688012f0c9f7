//! Bytes that others read: APDUs, MQTT topics, event envelopes, receipts.
