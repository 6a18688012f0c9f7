//! The drivers: threads and tasks that move inputs and outputs between the edges, the store and the session. They decide
//! nothing.
//!
//! ```text
//! listen ──► verify ──► record ──► deliver
//! observe ──►  │ ▲  └──► show
//!              ▼ │
//!            lookup
//! ```

pub mod deliver;
pub mod fetch;
pub mod gossip;
mod listen;
mod lookup;
pub mod lost;
mod mirror;
pub mod obey;
mod observe;
mod oversee;
mod record;
pub mod renew;
mod rosters;
mod show;
pub mod telemetry;
pub mod trust;
mod verify;

pub use listen::listen;
pub use lookup::{LookedUp, LookupError, LookupRequest, TapLookup};
pub use mirror::mirror;
pub use observe::{CaptureWindow, Observe, decode};
pub use oversee::Oversee;
pub use record::{By, Record, Submitted};
pub use rosters::{PassedOver, Rosters, Shelf};
pub use show::show;
pub use verify::{Acts, Verify};

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{
    domain::{CardProblem, Credential, EventId, Exam, Observation},
    session::Fault,
};

/// What reaches the verification from the other threads.
#[derive(Debug)]
pub enum Happened {
    /// Still listening.
    Nothing,
    /// A card was tapped.
    Tapped {
        /// What it proved, or why nothing.
        read: Result<Credential, CardProblem>,
        /// How long it took for its answers, where that was measured.
        took: Option<Duration>,
    },
    /// The card of that tap was looked up.
    LookedUp(EventId, Box<LookedUp>),
    /// It was taken away.
    CardRemoved,
    /// A frame was looked at.
    Seen(Observation),
    /// An event is on disk.
    Recorded(EventId),
    /// An event could not be put on disk.
    RecordFailed(EventId),
    /// Reader, camera or inference broke.
    Broke(Fault),
    /// It works again.
    Mended(Fault),
    /// The fleet tells the door something; who waits hears whether somebody is verified just now.
    Told(obey::ToDoor, oneshot::Sender<bool>),
    /// Somebody waits until nobody is verified and no answer is shown.
    RestAwaited(oneshot::Sender<()>),
    /// Another exam is served, or another edition of its roster, or none.
    Roster(Option<Exam>),
    /// The box shuts down.
    Stop,
}
