//! Puts events on disk, one after the other, on a thread of its own: a disk that hangs must not hang the verification.
//!
//! Never knows what an event means.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender},
};

use tokio::sync::Notify;

use super::Happened;
use crate::{domain::Event, store::EventStore};

/// The one writer of events.
pub struct Record {
    /// Where they go.
    pub store: EventStore,
    /// What to put there.
    pub events: Receiver<Event>,
    /// Who waits for the answer.
    pub happened: SyncSender<Happened>,
    /// Told after each event, so that it is sent.
    pub recorded: Arc<Notify>,
}

impl Record {
    /// Records until nobody sends events any more.
    pub fn run(mut self) {
        while let Ok(event) = self.events.recv() {
            let answer = match self.store.record(&event) {
                Ok(recorded) => {
                    tracing::debug!(event = %event.id, seq = %recorded.seq, "recorded");
                    Happened::Recorded(event.id)
                }
                Err(error) => {
                    tracing::error!(event = %event.id, error = &error as &dyn std::error::Error, "not recorded");
                    Happened::RecordFailed(event.id)
                }
            };
            self.recorded.notify_one();
            if self.happened.send(answer).is_err() {
                return;
            }
        }
    }
}
