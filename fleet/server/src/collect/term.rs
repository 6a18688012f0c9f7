//! The ledger's thread: opens the ledger, takes messages in for as long as it works, and opens it again when it is back.
//!
//! While the ledger does not work there is no connection to the broker: boxes hear that nobody listens, and keep their events.

use std::{sync::Arc, time::Duration};

use examgate::{domain::WithSources, store::Key};
use examgate_fleet_core::ledger::{Ledger, LedgerFault, Location};
use tokio::sync::watch;

use super::{intake::Intake, waiting::Waiting};

/// The pause before a ledger that failed is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// What the ledger's thread works with.
pub(super) struct Terms {
    pub(super) location: Location,
    pub(super) key: Key,
    pub(super) intake: Intake,
    pub(super) waiting: Arc<Waiting>,
    /// Whether messages may be taken.
    pub(super) active: watch::Sender<bool>,
}

impl Terms {
    /// Runs until `waiting` is closed and empty.
    ///
    /// # Errors
    /// When the ledger cannot be used and that does not pass by itself.
    pub(super) fn run(mut self) -> Result<(), LedgerFault> {
        let mut said = String::new();
        loop {
            match self.term(&mut said) {
                Err(fault) if fault.may_pass() => {
                    let what = WithSources(&fault).to_string();
                    if what != said {
                        tracing::error!(
                            fault = what,
                            "the ledger does not work: nothing is receipted until it does (said once)"
                        );
                        said = what;
                    }
                }
                ended => return ended,
            }
            if self.waiting.is_closed_within(RETRY) {
                return Ok(());
            }
        }
    }

    /// From opening the ledger to its next fault.
    fn term(&mut self, said: &mut String) -> Result<(), LedgerFault> {
        let mut ledger = Ledger::open(&self.location, &self.key)?;
        if !said.is_empty() {
            tracing::warn!("the ledger works again");
            said.clear();
        }
        self.active.send_replace(true);
        let served = self.intake.serve(&mut ledger, &self.waiting);
        self.active.send_replace(false);
        self.waiting.forget();
        served
    }
}
