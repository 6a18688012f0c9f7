//! Real servers and stand-ins for the demonstration and the tests (feature `sim`).

pub mod pcscd;
pub mod virtual_card;
