//! Real servers and stand-ins for the demonstration and the tests (feature `sim`).

pub mod alone;
pub mod cable;
pub mod cards;
#[cfg(feature = "device")]
pub mod certificates;
#[cfg(feature = "device")]
pub mod demo;
#[cfg(feature = "device")]
pub mod examples;
pub mod mosquitto;
pub mod pcscd;
#[cfg(feature = "device")]
pub mod postgres;
#[cfg(feature = "device")]
pub mod stage;
#[cfg(feature = "device")]
pub mod strings;
pub mod summary;
pub mod virtual_card;
#[cfg(feature = "device")]
pub mod virtual_reader;
