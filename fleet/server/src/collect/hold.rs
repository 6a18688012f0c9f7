//! Holds the lease for the ledger's thread: claims and renews it when that is due, and tells the connection to the broker until when it
//! may stand.

use std::{fs, process, time::Duration};

use examgate::domain::{MonoTime, WithSources};
use examgate_fleet_core::{
    lease::{Claim, Holder, Input, Lease, Output, Timing, Token},
    ledger::{Ledger, LedgerFault},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::health::Board;

/// Where Linux tells the machine's name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// Until when this collector is the active one, if it does not renew the lease; `None`: it stands by.
pub(super) type Until = Option<Instant>;

/// The lease, claimed for this process.
pub(super) struct Hold {
    lease: Lease,
    holder: Holder,
    lasts: Duration,
    began: Instant,
    until: watch::Sender<Until>,
    /// Who held it when it was last claimed in vain.
    another: Option<String>,
    board: Board,
    held: Gauge,
}

/// This run of this program.
fn this_run() -> Holder {
    let machine = fs::read_to_string(HOSTNAME).unwrap_or_default();
    let machine = Some(machine.trim()).filter(|name| !name.is_empty()).unwrap_or("unknown machine");
    Holder { id: Uuid::now_v7(), name: format!("{machine}, process {}", process::id()) }
}

impl Hold {
    /// A lease of `lasts`. `until` is told whenever this collector becomes the active one, remains it or stands by; `held` counts 1 while it
    /// is active.
    pub(super) fn new(lasts: Duration, until: watch::Sender<Until>, board: Board, held: Gauge) -> Self {
        let (lease, began) = (Lease::new(Timing::lasting(lasts)), Instant::now());
        Self { lease, holder: this_run(), lasts, began, until, another: None, board, held }
    }

    fn now(&self) -> MonoTime {
        MonoTime::from_start(self.began.elapsed())
    }

    /// How long until [`Self::keep`] must be called again.
    pub(super) fn rest(&self) -> Duration {
        self.lease.next().since(self.now())
    }

    /// Claims or renews the lease if that is due. Gives the token to commit under, `None` while it is another's.
    ///
    /// # Errors
    /// When the database fails; tell it with [`Self::failed`].
    pub(super) fn keep(&mut self, ledger: &mut Ledger) -> Result<Option<Token>, LedgerFault> {
        let mut input = Input::Woken;
        while let Some(output) = self.lease.step(self.now(), input) {
            input = match output {
                Output::Claim => {
                    let claim = ledger.claim(&self.holder, self.lasts)?;
                    self.notice(&claim);
                    Input::Claimed(claim)
                }
                Output::Begin(token) => {
                    tracing::info!(token = token.number(), "this collector is the active one");
                    Input::Woken
                }
                Output::End => {
                    tracing::warn!("the lease is over: this collector commits nothing more and stands by");
                    break;
                }
                // Only an end in order gives it back.
                Output::Release(_) => break,
            };
        }
        self.tell();
        Ok(self.lease.token())
    }

    /// Says, once each, whose the lease is and that it was taken over.
    fn notice(&mut self, claim: &Claim) {
        match claim {
            Claim::Another { name, .. } => {
                if self.another.as_ref() != Some(name) {
                    tracing::info!(holder = name, "another collector holds the lease: this one stands by");
                    self.another = Some(name.clone());
                }
            }
            Claim::Held(_) => {
                if let Some(name) = self.another.take() {
                    tracing::warn!(from = name, "took over: the lease of the active collector ended");
                }
            }
        }
    }

    /// The ledger does not work, or refused to commit under the token.
    pub(super) fn failed(&mut self, fault: &LedgerFault) {
        let input = if matches!(fault, LedgerFault::Fenced { .. }) {
            tracing::warn!(fault = %WithSources(fault), "nothing of this batch was committed: it comes again, to the active collector");
            Input::Fenced
        } else {
            Input::Failed
        };
        // It ends a tenure and asks for nothing.
        let _ended = self.lease.step(self.now(), input);
        self.tell();
    }

    /// Gives the lease back, so that a spare need not wait for its end.
    pub(super) fn release(&mut self, ledger: &mut Ledger) {
        if let Some(Output::Release(token)) = self.lease.step(self.now(), Input::Stopped)
            && let Err(fault) = ledger.release(token)
        {
            tracing::warn!(fault = %WithSources(&fault), "the lease was not given back: a spare waits for its end");
        }
        self.tell();
    }

    fn tell(&self) {
        let active = self.lease.until().is_some();
        self.held.set(active.into());
        self.board.well("lease");
        self.board.does(match (active, &self.another) {
            (true, _) => "collecting".into(),
            (false, Some(name)) => format!("standing by: the lease is held by {name}"),
            (false, None) => "about to claim the lease".into(),
        });
        self.until.send_replace(self.lease.until().map(|until| self.began + until.since_start()));
    }
}

/// Waits until this collector is the active one. `false`: it never will be, the ledger's thread has ended.
pub(super) async fn begun(until: &mut watch::Receiver<Until>) -> bool {
    until.wait_for(|until| until.is_some_and(|until| Instant::now() < until)).await.is_ok()
}

/// Waits until this collector is not the active one any more: the ledger's thread says so, or says nothing for as long as the lease lasts.
pub(super) async fn over(until: &mut watch::Receiver<Until>) {
    loop {
        let Some(end) = *until.borrow_and_update() else { return };
        tokio::select! {
            changed = until.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep_until(end) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_that_is_not_renewed_is_over_without_a_word_of_the_ledgers_thread() {
        let (tell, mut until) = watch::channel(None);
        tell.send_replace(Some(Instant::now() + Duration::from_secs(3_600)));
        assert!(begun(&mut until).await);
        let soon = Instant::now() + Duration::from_millis(20);
        // Renewed once; from then on the ledger's thread is stuck.
        tokio::join!(over(&mut until), async { tell.send_replace(Some(soon)) });
        assert!(Instant::now() >= soon);
        let waited = tokio::time::timeout(Duration::ZERO, begun(&mut until)).await;
        assert!(waited.is_err(), "a lease that is over begins nothing");
        tell.send_replace(None);
        over(&mut until).await;
        drop(tell);
        assert!(!begun(&mut until).await);
    }
}
