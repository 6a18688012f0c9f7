//! SQLCipher: rosters, templates, events, outbox.
