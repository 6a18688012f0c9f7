//! The rules of a commit, the same over every database: what is new, how far each epoch is complete, what is an incident.

use std::time::Duration;

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    wire::envelope::EventEnvelope,
};

use super::{
    Committed, LedgerFault,
    database::{Database, Done, Failure, OpenGap, Tables},
    fence,
};
use crate::{
    incidents::{Incident, Raised},
    lease::Token,
};

/// Commits `events` in one transaction. If the database does not take one of them, it is put aside and the transaction is run
/// again without it.
pub(super) fn commit(
    database: &mut dyn Database,
    token: Token,
    events: &[EventEnvelope],
) -> Result<Committed, LedgerFault> {
    let aside = |event: &EventEnvelope, why| (event.device.clone(), event.epoch, event.seq, why);
    let (mut usable, outside): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.seq <= Seq::MAX);
    let too_great = || format!("no database holds a number above {}", Seq::MAX);
    let mut unusable: Vec<_> = outside.into_iter().map(|event| aside(event, too_great())).collect();
    loop {
        let mut committed = Committed::default();
        let mut at = None;
        let done = database.transaction(&mut |tables| {
            fence::check(tables, token)?;
            committed = Committed::default();
            for (index, event) in usable.iter().enumerate() {
                at = Some(index);
                committed.fresh += usize::from(insert(tables, event, &mut committed.raised)?);
                committed.contiguous.insert((event.device.clone(), event.epoch), (Seq(0), EventHash::START));
            }
            at = None;
            for ((device, epoch), end) in &mut committed.contiguous {
                *end = advance(tables, device, *epoch, &mut committed.raised)?;
            }
            Ok(())
        });
        match (done, at) {
            (Ok(()), _) => {
                committed.unusable = unusable;
                return Ok(committed);
            }
            (Err(Failure::Value(why)), Some(index)) => unusable.push(aside(usable.remove(index), why)),
            (Err(Failure::Value(why)), None) => return Err(LedgerFault::Refused { why }),
            (Err(Failure::Fault(fault)), _) => return Err(fault),
        }
    }
}

/// Keeps an incident; passes it on if it is new.
fn raise(
    tables: &mut dyn Tables,
    (device, epoch): (&DeviceId, Epoch),
    events: (Seq, Seq),
    what: Incident,
    raised: &mut Vec<Raised>,
) -> Done<()> {
    if tables.raise(device, epoch, events, what)? {
        raised.push(Raised { device: device.clone(), epoch, events, what });
    }
    Ok(())
}

/// `true` if the event was new.
fn insert(tables: &mut dyn Tables, event: &EventEnvelope, raised: &mut Vec<Raised>) -> Done<bool> {
    let look = tables.look(event)?;
    if look.known {
        return Ok(false);
    }
    for (seen, what) in [
        (look.same.is_none() && look.id_used, Incident::NameReused),
        (look.taken, Incident::Forked),
        (look.of_another, Incident::OtherDevice),
    ] {
        if seen {
            raise(tables, (&event.device, event.epoch), (event.seq, event.seq), what, raised)?;
        }
    }
    let recorded = match look.same {
        Some(recorded) => recorded,
        None => tables.keep(event)?,
    };
    tables.place(event, recorded)?;
    Ok(look.same.is_none())
}

/// Follows the chain as far as it goes without a gap. Says where it ends and the link there.
fn advance(
    tables: &mut dyn Tables,
    device: &DeviceId,
    epoch: Epoch,
    raised: &mut Vec<Raised>,
) -> Done<(Seq, EventHash)> {
    let (before, mut head) = tables.end(device, epoch)?.unwrap_or((Seq(0), EventHash::START));
    let mut contiguous = before;
    while contiguous < Seq::MAX {
        let next = Seq(contiguous.0 + 1);
        let Some(hash) = tables.confirm(device, epoch, next, &head)? else { break };
        (contiguous, head) = (next, hash);
    }
    let (loose, later) = tables.beyond(device, epoch, contiguous)?;
    if loose {
        let at = Seq(contiguous.0 + 1);
        raise(tables, (device, epoch), (at, at), Incident::Forked, raised)?;
    }
    let gap = later && !loose;
    if !gap || contiguous > before {
        // A gap that comes after it is another one, and young.
        tables.ended(device, epoch, Incident::Gap)?;
    }
    if contiguous > before {
        // Whatever is missing now shows as a gap.
        tables.ended(device, epoch, Incident::Restored)?;
    }
    tables.set_end(device, epoch, (contiguous, &head), gap)?;
    Ok((contiguous, head))
}

/// Raises an incident for each gap that has stayed for `patience`.
pub(super) fn gaps(database: &mut dyn Database, token: Token, patience: Duration) -> Result<Vec<Raised>, LedgerFault> {
    let mut raised = Vec::new();
    let done = database.transaction(&mut |tables| {
        fence::check(tables, token)?;
        raised.clear();
        for OpenGap { device, epoch, events } in tables.open_gaps(patience)? {
            // Only ids come in here.
            let Ok(device) = DeviceId::new(device) else { continue };
            raise(tables, (&device, epoch), events, Incident::Gap, &mut raised)?;
            tables.date_gap(&device, epoch)?;
        }
        Ok(())
    });
    done.map(|()| raised).map_err(LedgerFault::from)
}
