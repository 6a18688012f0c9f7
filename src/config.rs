//! TOML text -> validated config.
