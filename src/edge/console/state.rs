//! What all pages of the console share: the office behind it, who is signed in, and the board, written once for all of them.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, watch};

use super::{
    Limits, Office, OfficeError, WrongPins,
    sign_in::{Doorkeeper, Secret, Session},
};
use crate::{
    domain::{Access, AccessStep, ClockTrust, Invitation, MonoTime, ProctorId, Seq},
    edge::clock::Clock,
};

/// How often the board is written anew without an event, for a roster that changed. It is sent only if it is another one.
const TICK: Duration = Duration::from_secs(3);

/// All that the pages read and ask.
pub(super) struct ConsoleState {
    pub(super) limits: Limits,
    office: Arc<dyn Office>,
    pub(super) invitations: watch::Receiver<Option<(Invitation, MonoTime)>>,
    changes: watch::Receiver<Seq>,
    pub(super) clock: Arc<dyn Clock>,
    door: Mutex<Doorkeeper>,
    /// The board as JSON, written once for all pages.
    pub(super) boards: watch::Sender<Arc<str>>,
    pub(super) wanted: Notify,
    pub(super) followers: Arc<Semaphore>,
    /// One PIN at a time: checking one is made to be slow.
    pub(super) pins: Semaphore,
}

impl ConsoleState {
    pub(super) fn new(
        limits: Limits,
        office: Arc<dyn Office>,
        invitations: watch::Receiver<Option<(Invitation, MonoTime)>>,
        changes: watch::Receiver<Seq>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            limits,
            office,
            invitations,
            changes,
            clock,
            door: Mutex::new(Doorkeeper::new()),
            boards: watch::Sender::new("".into()),
            wanted: Notify::new(),
            followers: Arc::new(Semaphore::new(limits.followers)),
            pins: Semaphore::new(1),
        }
    }

    /// Counts the spoilt codes of before: a restart is no way out of a pause.
    pub(super) async fn remember(&self) -> Result<(), OfficeError> {
        let before = self.ask(|office| office.wrong_pins()).await?;
        let (now, wall) = (self.clock.mono(), self.clock.wall());
        let is_known = self.clock.trust() != ClockTrust::Untrusted;
        for WrongPins { proctor, times, last } in before {
            // Without the time, or before it, none of the pause is over.
            let passed = wall.duration_since(last);
            let passed = if is_known && !passed.is_negative() { passed.unsigned_abs() } else { Duration::ZERO };
            self.door().remember(now, proctor, times, passed);
        }
        Ok(())
    }

    pub(super) fn door(&self) -> MutexGuard<'_, Doorkeeper> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the person who signed in with `session` is still that proctor; if not, the session ends at once.
    pub(super) async fn vouch(&self, secret: &Secret, session: &Session, from: IpAddr) -> Result<bool, OfficeError> {
        let proctor = session.proctor.clone();
        let mark = self.ask(move |office| office.mark(&proctor)).await?;
        if mark == Some(session.mark) {
            return Ok(true);
        }
        tracing::warn!("a proctor was removed or changed: their session at the console has ended");
        self.sign_out(secret, session.proctor.clone(), from).await;
        Ok(false)
    }

    /// Ends a session, and records that.
    pub(super) async fn sign_out(&self, secret: &Secret, proctor: ProctorId, from: IpAddr) {
        if !self.door().close(secret) {
            return;
        }
        let access = Access { proctor: Some(proctor), from, step: AccessStep::SignedOut };
        if let Err(error) = self.ask(move |office| office.note(access)).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a sign-out was not recorded");
        }
    }

    /// Writes the board at every change, while anybody follows.
    pub(super) async fn write_boards(&self) {
        let mut changes = self.changes.clone();
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            if self.boards.receiver_count() == 0 {
                continue;
            }
            changes.mark_unchanged();
            match self.ask(|office| office.board()).await {
                Ok(board) => {
                    let board: Arc<str> = serde_json::to_string(&board).expect("a board is JSON").into();
                    self.boards.send_if_modified(|current| {
                        let is_new = *current != board;
                        *current = board;
                        is_new
                    });
                }
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the console has no list"),
            }
        }
    }

    /// Asks the office, off the threads that serve.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Office) -> Result<T, OfficeError> + Send + 'static,
    ) -> Result<T, OfficeError> {
        let office = Arc::clone(&self.office);
        tokio::task::spawn_blocking(move || question(&*office))
            .await
            .unwrap_or_else(|ended| Err(OfficeError::Store(ended.into())))
    }
}
