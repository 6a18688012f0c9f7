//! Who may write a ledger: the lease is claimed and given back in a transaction, and each commit looks whether it is still in force.

use std::time::Duration;

use uuid::Uuid;

use super::{
    LedgerFault,
    database::{Database, Done, Failure, Tables},
};
use crate::lease::{Claim, FIRST, Holder, Token, admits, judge};

/// Claims the lease for `who`, or renews it.
pub(super) fn claim(database: &mut dyn Database, who: &Holder, lasts: Duration) -> Result<Claim, LedgerFault> {
    // A spare looks often. It must not stand in the way of the active collector, so it takes no lock before the lease is free.
    let seen = judge(database.lease()?.as_ref(), who);
    if matches!(seen, Claim::Another { .. }) {
        return Ok(seen);
    }
    let mut claim = seen;
    database.transaction(&mut |tables| {
        // Another may have been quicker.
        claim = judge(tables.lease()?.as_ref(), who);
        match claim {
            Claim::Held(token) => tables.set_lease(token, who, lasts),
            Claim::Another { .. } => Ok(()),
        }
    })?;
    Ok(claim)
}

/// Ends the lease if it is still in force under `token`.
pub(super) fn release(database: &mut dyn Database, token: Token) -> Result<(), LedgerFault> {
    database.transaction(&mut |tables| match tables.lease()? {
        Some(row) if row.token() == token => tables.set_lease(token, &row.holder, Duration::ZERO),
        Some(_) | None => Ok(()),
    })?;
    Ok(())
}

/// Ends every tenure that there was: from now on no token of before is taken, and the lease is free.
pub(super) fn supersede(tables: &mut dyn Tables) -> Done<()> {
    let number = tables.lease()?.map_or(FIRST, |row| row.next());
    let nobody = Holder { id: Uuid::nil(), name: "nobody since the ledger was restored".into() };
    tables.set_lease(Token::new(number, &nobody), &nobody, Duration::ZERO)
}

/// Refuses the transaction unless `token` is the newest.
pub(super) fn check(tables: &mut dyn Tables, token: Token) -> Done<()> {
    admits(tables.lease()?.as_ref(), token).map_err(|by| Failure::Fault(LedgerFault::Fenced { by }))
}
