//! The rules of a commit, the same over every database: what is new, how far each epoch is complete, what is an incident.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    wire::envelope::EventEnvelope,
};

use super::{
    Committed, LedgerFault,
    database::{Database, Done, End, Failure, Look, New, NewEnd, OpenGap, Tables},
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
    // Only one that is written by itself is known when it is refused.
    let mut together = true;
    loop {
        let mut committed = Committed::default();
        let mut at = None;
        let done = database.transaction(&mut |tables| {
            fence::check(tables, token)?;
            committed = Committed::default();
            at = None;
            let mut batch = Batch::of(tables, &usable, together)?;
            batch.add(tables, &mut committed)?;
            for (index, event) in batch.by_themselves {
                at = Some(index);
                committed.fresh += usize::from(insert(tables, event, &mut committed.raised)?);
            }
            at = None;
            advance(tables, &batch.epochs, &mut committed)
        });
        match (done, at) {
            (Ok(()), _) => {
                committed.unusable = unusable;
                return Ok(committed);
            }
            (Err(Failure::Value(why)), Some(index)) => unusable.push(aside(usable.remove(index), why)),
            (Err(Failure::Value(_)), None) if together => together = false,
            (Err(Failure::Value(why)), None) => return Err(LedgerFault::Refused { why }),
            (Err(Failure::Fault(fault)), _) => return Err(fault),
        }
    }
}

/// How far an epoch is complete.
struct Reached<'a> {
    device: &'a DeviceId,
    epoch: Epoch,
    /// Before this commit.
    before: Seq,
    /// Now, and the link there.
    end: (Seq, EventHash),
}

/// Events that come together.
struct Batch<'a> {
    /// Those that touch nothing that the ledger holds, and nothing of each other: what becomes of one does not depend on any other.
    apart: Vec<&'a EventEnvelope>,
    /// The others, in order, and their places among all.
    by_themselves: Vec<(usize, &'a EventEnvelope)>,
    /// Every epoch that is touched.
    epochs: Vec<Reached<'a>>,
}

impl<'a> Batch<'a> {
    /// Unless they are to be written `together`, each is by itself.
    fn of(tables: &mut dyn Tables, events: &[&'a EventEnvelope], together: bool) -> Done<Self> {
        let looks = tables.look_all(events)?;
        let place = |event: &EventEnvelope| (event.epoch, event.seq);
        let (mut ids, mut places) = (HashMap::new(), HashMap::new());
        for event in events {
            *ids.entry(event.event_id).or_insert(0) += 1;
            *places.entry(place(event)).or_insert(0) += 1;
        }
        let (mut apart, mut by_themselves) = (Vec::new(), Vec::new());
        for (index, (event, look)) in events.iter().zip(looks).enumerate() {
            let touches_nothing = look == Look::default() && ids[&event.event_id] == 1 && places[&place(event)] == 1;
            if together && touches_nothing {
                apart.push(*event);
            } else if !look.known {
                by_themselves.push((index, *event));
            }
        }
        let names: BTreeSet<_> = events.iter().map(|event| (&event.device, event.epoch)).collect();
        let names: Vec<_> = names.into_iter().collect();
        let ends = tables.end_all(&names)?;
        let reached = |((device, epoch), end): ((&'a DeviceId, Epoch), End)| {
            let end = end.unwrap_or((Seq(0), EventHash::START));
            Reached { device, epoch, before: end.0, end }
        };
        Ok(Self { apart, by_themselves, epochs: names.into_iter().zip(ends).map(reached).collect() })
    }

    /// Adds those that touch nothing, and follows the chain through them. Nothing else stands at their places, so the first link that
    /// fits is the only one.
    fn add(&mut self, tables: &mut dyn Tables, committed: &mut Committed) -> Done<()> {
        let at: HashMap<_, _> =
            self.apart.iter().map(|event| ((&event.device, event.epoch, event.seq), *event)).collect();
        for reached in &mut self.epochs {
            while let Some(next) = at.get(&(reached.device, reached.epoch, Seq(reached.end.0.0 + 1)))
                && next.prev == reached.end.1
            {
                reached.end = (next.seq, next.hash);
            }
        }
        let ends: HashMap<_, _> = self.epochs.iter().map(|it| ((it.device, it.epoch), it.end.0)).collect();
        let is_in_line = |event: &EventEnvelope| event.seq <= ends[&(&event.device, event.epoch)];
        let new: Vec<New<'_>> = self.apart.iter().map(|event| (*event, is_in_line(event))).collect();
        if !new.is_empty() {
            tables.add_all(&new)?;
        }
        committed.fresh += new.len();
        Ok(())
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
    tables.place(event, recorded, false)?;
    Ok(look.same.is_none())
}

/// Follows each chain as far as it goes without a gap, and notes where it ends and the link there.
fn advance(tables: &mut dyn Tables, epochs: &[Reached<'_>], committed: &mut Committed) -> Done<()> {
    let ends: Vec<_> = epochs.iter().map(|it| (it.device, it.epoch, it.end.0)).collect();
    let beyond = tables.beyond_all(&ends)?;
    let (mut ended, mut new_ends) = (Vec::new(), Vec::new());
    for (reached, (mut loose, mut later)) in epochs.iter().zip(beyond) {
        let &Reached { device, epoch, before, end: (mut contiguous, mut head) } = reached;
        if loose {
            while contiguous < Seq::MAX {
                let next = Seq(contiguous.0 + 1);
                let Some(hash) = tables.confirm(device, epoch, next, &head)? else { break };
                (contiguous, head) = (next, hash);
            }
            (loose, later) = tables.beyond(device, epoch, contiguous)?;
        }
        if loose {
            let at = Seq(contiguous.0 + 1);
            raise(tables, (device, epoch), (at, at), Incident::Forked, &mut committed.raised)?;
        }
        let gap = later && !loose;
        if !gap || contiguous > before {
            // A gap that comes after it is another one, and young.
            ended.push((device, epoch, Incident::Gap));
        }
        if contiguous > before {
            // Whatever is missing now shows as a gap.
            ended.push((device, epoch, Incident::Restored));
        }
        new_ends.push(NewEnd { device, epoch, seq: contiguous, head, gap });
        committed.contiguous.insert((device.clone(), epoch), (contiguous, head));
    }
    if !ended.is_empty() {
        tables.ended_all(&ended)?;
    }
    tables.set_end_all(&new_ends)
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
