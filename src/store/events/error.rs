//! What can go wrong with events, told apart.

use std::path::PathBuf;

use crate::{
    domain::{DeviceId, EventId, NotUndoable, Seq},
    store::sealed::Fault,
};

/// Why an event cannot be recorded, read or let go.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The database.
    #[error(transparent)]
    Database(#[from] Fault),
    /// The space for decisions cannot be set aside.
    #[error("cannot set disk space aside for decisions in {}", path.display())]
    Reserve {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: std::io::Error,
    },
    /// The disk is full and so is what was set aside for decisions. Nothing recorded is lost.
    #[error("the disk is full and the reserve for decisions is used up: free disk space")]
    DiskFull,
    /// Too much waits for the collector. Nothing recorded is lost.
    #[error("{rows} events wait for the collector, no more are allowed: bring the uplink back")]
    OutboxFull {
        /// Events waiting.
        rows: u64,
    },
    /// This event was recorded before.
    #[error("event {id} is recorded already")]
    Duplicate {
        /// Its name.
        id: EventId,
    },
    /// What it would undo cannot be undone. Nothing is recorded.
    #[error("{ruling} cannot be undone")]
    NotUndoable {
        /// What was to be undone.
        ruling: EventId,
        /// The underlying error.
        source: NotUndoable,
    },
    /// The event cannot be written as JSON.
    #[error("cannot write the event as JSON")]
    Write(#[source] serde_json::Error),
    /// The stored event is not one this Examgate knows.
    #[error("cannot read event {seq}")]
    Read {
        /// Its place.
        seq: Seq,
        /// The underlying error.
        source: serde_json::Error,
    },
    /// The events are those of a box with another id. Nothing was changed.
    #[error(
        "the events here are those of {held}, but `device` in the configuration is {configured}: set it back to {held}; or, \
         if this box is to be {configured} from now on, run `examgate change-id --from {held}`, which keeps all events and \
         delivers those that wait under the new id"
    )]
    OtherDevice {
        /// Whose events they are.
        held: String,
        /// What the configuration says.
        configured: DeviceId,
    },
    /// The chain is broken: somebody altered the store, or it is damaged.
    #[error("the chain of events breaks at event {seq}: {what}")]
    Broken {
        /// The event's place in its epoch.
        seq: Seq,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A stored value makes no sense.
    #[error("the event store holds a value that makes no sense ({what})")]
    Nonsense {
        /// What is wrong with it.
        what: &'static str,
    },
}
