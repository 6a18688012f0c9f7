//! Listens to the card reader and passes taps on to the verification.
//!
//! Never knows what a tap leads to.

use std::{sync::mpsc::SyncSender, time::Duration};

use super::Happened;
use crate::edge::card::{CardError, CardEvent, CardReader};

/// How long one wait for the reader lasts: how soon an ended verification is noticed.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens until the verification is gone (`Ok`) or the reader is beyond help.
///
/// # Errors
/// The fatal error of the reader; retriable ones are logged, once each as the reader reports them.
pub fn listen(mut reader: Box<dyn CardReader>, happened: &SyncSender<Happened>) -> Result<(), CardError> {
    loop {
        let happening = match reader.next(PATIENCE) {
            Ok(None) => Happened::Nothing,
            Ok(Some(CardEvent::Ready { slots })) => {
                tracing::info!(slots, "card readers are ready");
                Happened::Nothing
            }
            Ok(Some(CardEvent::Tapped { read, .. })) => Happened::Tapped(read),
            Ok(Some(CardEvent::Removed { .. })) => Happened::CardRemoved,
            Err(error) if error.is_retriable() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no card can be read");
                Happened::Nothing
            }
            Err(error) => return Err(error),
        };
        if happened.send(happening).is_err() {
            return Ok(());
        }
    }
}
