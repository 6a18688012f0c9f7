//! The data model of the fleet, shared by its service and its commands: enrolled boxes, collected events, rosters to send, sums of telemetry.
//!
//! It does not use a broker, a clock or the nets.

pub mod attendance;
pub mod backup;
pub mod broker;
pub mod clashes;
pub mod devices;
pub mod enrolments;
pub mod folder;
pub mod founding;
pub mod incidents;
pub mod issuer;
pub mod lease;
pub mod ledger;
pub mod registry;
pub mod root;
pub mod rosters;
pub mod rotation;
pub mod stock;
pub mod tally;
pub mod throughput;
