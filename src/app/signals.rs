//! What ends a running box: a signal, the first part that ends or hangs, or a command to start again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::pulse::Parts;
use crate::edge::system::Service;

/// How often the clock's record is kept up.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// How often systemd is told that all parts are alive; its `WatchdogSec=` is ten times that.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// SIGTERM and SIGINT.
pub(super) struct Signals([Signal; 2]);

impl Signals {
    /// Waits for them from now on.
    ///
    /// # Errors
    /// When that cannot be.
    pub(super) fn new() -> Result<Self> {
        let wait_for = |kind| signal(kind).context("signals cannot be waited for");
        Ok(Self([wait_for(SignalKind::terminate())?, wait_for(SignalKind::interrupt())?]))
    }

    /// Waits for a signal, for `restart`, for the first part that ends, or for one that shows no sign of life. Meanwhile the clock's
    /// record is kept, and systemd hears that the box is alive for as long as all of it is.
    pub(super) async fn serve(
        mut self,
        ended: &mut UnboundedReceiver<anyhow::Error>,
        parts: &Parts,
        note: &Arc<dyn Fn() + Send + Sync>,
        restart: &Notify,
    ) -> Result<()> {
        let [terminate, interrupt] = &mut self.0;
        let (mut beats, mut notes) = (interval(BEAT_EVERY), interval(NOTE_EVERY));
        for turns in [&mut beats, &mut notes] {
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut noting = JoinSet::new();
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                // systemd starts whatever ends again (`Restart=always`).
                () = restart.notified() => {
                    tracing::warn!("the box ends as the fleet commanded, to be started again");
                    return Ok(());
                }
                Some(cause) = ended.recv() => return Err(cause),
                _ = beats.tick() => match parts.silent() {
                    None => Service.beat(),
                    Some(silent) => return Err(silent.into()),
                },
                // The disk may take its time; one note at a time waits for it, and nobody waits for the note.
                _ = notes.tick(), if noting.is_empty() => {
                    let note = Arc::clone(note);
                    noting.spawn_blocking(move || note());
                }
                Some(noted) = noting.join_next() => noted.context("the clock's record cannot be kept")?,
            }
        }
    }
}
