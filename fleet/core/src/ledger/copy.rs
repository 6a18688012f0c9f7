//! A ledger in a file as a copy of one moment, and what a ledger that was restored, from such a copy or by its database's own means, says of
//! itself.

use std::{collections::BTreeMap, path::Path};

use examgate::{
    domain::{DeviceId, Epoch, Seq},
    store::{Key, sealed::Sealed},
};

use super::{Ledger, LedgerFault, database::Failure, fence, sqlcipher::LEDGER};
use crate::incidents::{Incident, Raised};

impl Ledger {
    /// Copies the ledger in the file `from`, as it is at one moment, into the new file `to` under the same key. A collector may go on
    /// writing meanwhile.
    ///
    /// # Errors
    /// When there is no ledger, `to` is there already, or either cannot be used.
    pub fn copy_file(from: &Path, key: &Key, to: &Path) -> Result<(), LedgerFault> {
        Ok(Sealed::open(from, key, &LEDGER)?.copy_to(to, key)?)
    }

    /// Notes that this ledger was restored from a backup: an incident for the newest epoch of each box, from the first event that is
    /// missing on. It ends when the box sends that one. Anybody who had the lease before commits nothing more, in whichever history of the ledger that
    /// was; the lease is free. Gives what was noted.
    ///
    /// # Errors
    /// When the database fails.
    pub fn restored(&mut self) -> Result<Vec<Raised>, LedgerFault> {
        let mut raised = Vec::new();
        let done = self.0.transaction(&mut |tables| {
            raised.clear();
            fence::supersede(tables)?;
            let mut newest: BTreeMap<String, (Epoch, Seq)> = BTreeMap::new();
            for (device, epoch, seq) in tables.ends()? {
                // Epochs are UUIDs of version 7: they rise with time.
                let is_newer = newest.get(&device).is_none_or(|(before, _)| before.0 < epoch.0);
                if is_newer {
                    newest.insert(device, (epoch, seq));
                }
            }
            for (device, (epoch, Seq(seq))) in newest {
                // Only ids come in here.
                let Ok(device) = DeviceId::new(device) else { continue };
                let (next, what) = (Seq(seq.saturating_add(1)), Incident::Restored);
                tables.raise(&device, epoch, (next, next), what)?;
                raised.push(Raised { device, epoch, events: (next, next), what });
            }
            Ok(())
        });
        match done {
            Ok(()) => Ok(raised),
            Err(Failure::Value(why)) => Err(LedgerFault::Refused { why }),
            Err(Failure::Fault(fault)) => Err(fault),
        }
    }
}
