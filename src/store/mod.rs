//! SQLCipher: rosters, templates, events, outbox. One database and key per exam, one for events; erasing an exam's key
//! erases the exam.
//!
//! It reads no clock: times and identifiers arrive inside what is stored.

mod admitted;
mod drained;
mod events;
mod incoming;
mod key;
mod layout;
mod owner;
mod pin;
mod reserve;
mod roster;
mod runs;
pub mod sealed;

pub use admitted::AdmittedPages;
pub use drained::{DrainError, DrainMark};
pub use events::{
    Acknowledged, Began, Cause, Contradiction, Ends, EpochInfo, EventError, EventStore, Headroom, Limits, Outgoing,
    Recorded, Row,
};
pub use incoming::{Incoming, IncomingError};
pub use key::{
    Credentials, HandOverNote, Key, KeyError, KeyFolder, KeyName, Prekey, Renewed, Secret, Source, read_secret,
    write_secret,
};
pub use layout::{Layout, LayoutError};
pub use pin::{NotAPin, Pin, PinHash};
pub use roster::{Editions, Found, Pushed, Replaced, RosterError, RosterStore, RosterView, Seats, proctor_mark};
pub use runs::{RunError, next_run};
