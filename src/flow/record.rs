//! Puts events on disk, one after the other, on a thread of its own: a disk that hangs must not hang the verification.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

use tokio::sync::{Notify, oneshot, watch};

use super::{
    Happened,
    telemetry::{Noted, Noting},
};
use crate::{
    domain::{Event, Seq},
    store::{EventError, EventStore, Recorded},
};

/// An event to be put on disk, and who is told.
#[derive(Debug)]
pub struct Submitted {
    /// The event.
    pub event: Event,
    /// Who waits for the answer.
    pub by: By,
}

/// Who submitted an event.
#[derive(Debug)]
pub enum By {
    /// The session.
    Session,
    /// A proctor at the console. Submits one at a time, so that the session never finds the queue full of them.
    Proctor(oneshot::Sender<Result<Recorded, EventError>>),
    /// The fleet, by a command. One at a time, too.
    Fleet(oneshot::Sender<Result<Recorded, EventError>>),
}

/// The one writer of events.
pub struct Record {
    /// Where they go.
    pub store: EventStore,
    /// What to put there.
    pub events: Receiver<Submitted>,
    /// Where the session hears of its events.
    pub happened: SyncSender<Happened>,
    /// Told after each event, so that it is sent.
    pub recorded: Arc<Notify>,
    /// The newest event, so that it is shown.
    pub newest: watch::Sender<Seq>,
    /// Counts.
    pub noting: Noting,
    /// Told at every turn that the writer is alive.
    pub alive: Box<dyn Fn() + Send>,
}

/// How long the writer waits when nothing is to be written: how often it tells that it is alive.
const IDLE: Duration = Duration::from_secs(1);

impl Record {
    /// Records until nobody sends events any more.
    pub fn run(mut self) {
        loop {
            (self.alive)();
            let Submitted { event, by } = match self.events.recv_timeout(IDLE) {
                Ok(submitted) => submitted,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let answer = self.store.record(&event);
            match &answer {
                Ok(recorded) => {
                    tracing::debug!(event = %event.id, seq = %recorded.seq, "recorded");
                    self.newest.send_replace(recorded.seq);
                    self.noting.recorded(&event);
                }
                Err(EventError::NotUndoable { .. }) => {}
                // A command that came again.
                Err(EventError::Duplicate { .. }) if matches!(by, By::Fleet(_)) => {}
                Err(error) => {
                    self.noting.note(Noted::Unrecorded);
                    tracing::error!(event = %event.id, error = error as &dyn std::error::Error, "not recorded");
                }
            }
            self.recorded.notify_one();
            let told = match (by, answer) {
                (By::Session, Ok(_)) => self.happened.send(Happened::Recorded(event.id)).is_ok(),
                (By::Session, Err(_)) => self.happened.send(Happened::RecordFailed(event.id)).is_ok(),
                (By::Proctor(waiting) | By::Fleet(waiting), answer) => {
                    // Whoever has gone meanwhile reads it in the list.
                    let _ = waiting.send(answer);
                    true
                }
            };
            if !told {
                return;
            }
        }
    }
}
