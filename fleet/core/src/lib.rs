//! The fleet as data and plans, below its service and its commands: what is enrolled, what was reported.
//!
//! It names no broker, reads no clock and never looks at a face.

pub mod attendance;
pub mod devices;
pub mod folder;
pub mod founding;
pub mod incidents;
pub mod issuer;
pub mod ledger;
pub mod registry;
pub mod root;
pub mod rosters;
pub mod rotation;
pub mod stock;
