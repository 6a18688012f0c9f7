//! The ledger's thread: opens the ledger, stands by until the lease is this collector's, takes messages in for as long as it is, and
//! opens the ledger again when it is back after a fault.
//!
//! While the ledger does not work or the lease is another's there is no connection to the broker: it hands what waits to the active
//! collector, and where there is none boxes hear that nobody listens, and keep their events.

use std::{sync::Arc, time::Duration};

use examgate::{domain::WithSources, store::Key};
use examgate_fleet_core::ledger::{Ledger, LedgerFault, Location};

use super::{
    hold::Hold,
    intake::{Intake, Served},
    waiting::Waiting,
};
use crate::health::Board;

/// The pause before a ledger that failed is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// What the ledger's thread works with.
pub(super) struct Terms {
    pub(super) location: Location,
    pub(super) key: Key,
    pub(super) intake: Intake,
    pub(super) waiting: Arc<Waiting>,
    pub(super) hold: Hold,
    pub(super) board: Board,
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
                    self.board.trouble("ledger", what.as_str());
                    if what != said {
                        tracing::error!(
                            fault = what,
                            "the ledger does not work: nothing is receipted until it does (said once)"
                        );
                        said = what;
                    }
                    self.hold.failed(&fault);
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
        self.board.well("ledger");
        if !said.is_empty() {
            tracing::warn!("the ledger works again");
            said.clear();
        }
        while self.stand_by(&mut ledger)? {
            let served = self.intake.serve(&mut ledger, &self.waiting, &mut self.hold);
            if let Err(fault) = &served {
                self.hold.failed(fault);
            }
            match served {
                Ok(Served::All) => break,
                // What waits was neither acknowledged nor receipted: it comes again, to the active collector.
                Ok(Served::Over) | Err(LedgerFault::Fenced { .. }) => self.waiting.forget(),
                Err(fault) => {
                    self.waiting.forget();
                    return Err(fault);
                }
            }
        }
        self.hold.release(&mut ledger);
        Ok(())
    }

    /// Waits until the lease is this collector's. `false`: it was told to stop.
    fn stand_by(&mut self, ledger: &mut Ledger) -> Result<bool, LedgerFault> {
        loop {
            if self.hold.keep(ledger)?.is_some() {
                return Ok(true);
            }
            if self.waiting.is_closed_within(self.hold.rest()) {
                return Ok(false);
            }
        }
    }
}
