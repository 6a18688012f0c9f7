//! Examgate: two factors at the exam-room door, the card a student holds and the face they wear.
//!
//! The rooms, in the order of the line out:
//!
//! ```text
//! tap -> edge::card -> session -> edge::camera -> vision -> session -> store -> edge::{light, screen}
//!     -> flow::deliver -> wire -> edge::mqtt -> broker -> collector
//! ```
//!
//! `domain`, `session`, `wire` and `config` are pure: no I/O, no clock, no randomness of their own.
//! Features decide which of the other rooms are built; they are gated here and nowhere else.

pub mod config;
pub mod domain;
pub mod exit;
pub mod session;
pub mod wire;

#[cfg(feature = "mqtt")]
pub mod mqtt;

#[cfg(feature = "vision")]
pub mod vision;

#[cfg(feature = "store")]
pub mod store;

#[cfg(feature = "serve")]
pub mod serve;

#[cfg(feature = "device")]
pub mod app;
#[cfg(feature = "device")]
pub mod edge;
#[cfg(feature = "device")]
pub mod flow;

#[cfg(feature = "sim")]
pub mod rig;
