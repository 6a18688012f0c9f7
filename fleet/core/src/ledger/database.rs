//! What a ledger asks of a database: transactions of small look-ups and writes, and two lists.
//!
//! It holds no rules. What is an incident and what is receipted is decided in `commit`, who may write in `fence`.

use std::{fmt, io, time::Duration};

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    wire::envelope::EventEnvelope,
};

use super::{Entry, LedgerFault};
use crate::{
    incidents::{Held, Incident},
    lease::{Holder, Row, Token},
};

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is about the value that was to be written, not about the database or the disk under it.
    Value(String),
    /// The database failed.
    Fault(LedgerFault),
}

impl From<LedgerFault> for Failure {
    fn from(fault: LedgerFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Failure> for LedgerFault {
    /// Where no event is to blame.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Value(why) => Self::Refused { why },
            Failure::Fault(fault) => fault,
        }
    }
}

/// What a statement gives.
pub(super) type Done<T> = Result<T, Failure>;

/// What is done inside one transaction.
pub(super) type Work<'a> = dyn FnMut(&mut dyn Tables) -> Done<()> + 'a;

/// What looks at each entry.
pub(super) type See<'a> = dyn FnMut(Entry) -> io::Result<()> + 'a;

/// A database that holds a ledger.
pub(super) trait Database: fmt::Debug + Send {
    /// Runs `work` in one transaction that no other writer's overlaps. It is committed, and on the disk, if `work` succeeds, and
    /// undone if not.
    fn transaction(&mut self, work: &mut Work<'_>) -> Done<()>;

    /// The lease; `None`: nobody ever held it. It waits for no writer.
    fn lease(&mut self) -> Result<Option<Row>, LedgerFault>;

    /// Calls `see` with every event, in the order of [`super::Ledger::each`].
    fn entries(&mut self, see: &mut See<'_>) -> Result<io::Result<()>, LedgerFault>;

    /// All incidents, the oldest first.
    fn incidents(&mut self) -> Result<Vec<Held>, LedgerFault>;
}

/// What the ledger holds about an event before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The event is there, at its place and with its hash.
    pub(super) known: bool,
    /// The row of the same id and body, wherever it stands.
    pub(super) same: Option<i64>,
    /// There is an event of this id.
    pub(super) id_used: bool,
    /// There is an event at this place.
    pub(super) taken: bool,
    /// The epoch is known of another box.
    pub(super) of_another: bool,
}

/// A gap that is old enough.
#[derive(Debug)]
pub(super) struct OpenGap {
    pub(super) device: String,
    pub(super) epoch: Epoch,
    /// The first and the last event that are missing.
    pub(super) events: (Seq, Seq),
}

/// An event that is new in everything, and whether the chain reaches it without a gap.
pub(super) type New<'a> = (&'a EventEnvelope, bool);

/// Up to where an epoch is without a gap, and the link there; `None`: it is not known yet.
pub(super) type End = Option<(Seq, EventHash)>;

/// Where an epoch ends now, and whether there is a gap behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewEnd<'a> {
    pub(super) device: &'a DeviceId,
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    pub(super) head: EventHash,
    pub(super) gap: bool,
}

/// The tables inside a transaction. Numbers of events are at most [`Seq::MAX`].
///
/// What ends in `_all` does for many what the one without does for one, in their order: a database that has to be asked over a network
/// answers all of them at once.
pub(super) trait Tables {
    /// The lease; `None`: nobody ever held it.
    fn lease(&mut self) -> Done<Option<Row>>;

    /// The lease is in force from now on for `lasts`, by the database's clock.
    fn set_lease(&mut self, token: Token, holder: &Holder, lasts: Duration) -> Done<()>;

    fn look(&mut self, event: &EventEnvelope) -> Done<Look>;

    fn look_all(&mut self, events: &[&EventEnvelope]) -> Done<Vec<Look>> {
        events.iter().map(|event| self.look(event)).collect()
    }

    /// Keeps id and body. Gives the number of the row.
    fn keep(&mut self, event: &EventEnvelope) -> Done<i64>;

    /// Keeps the place of an event whose id and body are row `recorded`. `in_line`: the chain reaches it without a gap.
    fn place(&mut self, event: &EventEnvelope, recorded: i64, in_line: bool) -> Done<()>;

    /// Keeps events with their places. No two of them have an id or a place in common.
    fn add_all(&mut self, events: &[New<'_>]) -> Done<()> {
        events.iter().try_for_each(|(event, in_line)| {
            let recorded = self.keep(event)?;
            self.place(event, recorded, *in_line)
        })
    }

    /// Up to where the epoch is without a gap, and the link there.
    fn end(&mut self, device: &DeviceId, epoch: Epoch) -> Done<End>;

    fn end_all(&mut self, epochs: &[(&DeviceId, Epoch)]) -> Done<Vec<End>> {
        epochs.iter().map(|(device, epoch)| self.end(device, *epoch)).collect()
    }

    /// Confirms the event at `seq` that follows `prev`, the one that came first if there are two. Gives its hash.
    fn confirm(&mut self, device: &DeviceId, epoch: Epoch, seq: Seq, prev: &EventHash) -> Done<Option<EventHash>>;

    /// Whether there is an event right behind `seq`, and whether there is any.
    fn beyond(&mut self, device: &DeviceId, epoch: Epoch, seq: Seq) -> Done<(bool, bool)>;

    fn beyond_all(&mut self, ends: &[(&DeviceId, Epoch, Seq)]) -> Done<Vec<(bool, bool)>> {
        ends.iter().map(|(device, epoch, seq)| self.beyond(device, *epoch, *seq)).collect()
    }

    /// Notes where the epoch ends. A gap behind it keeps its age if the end has not moved.
    fn set_end(&mut self, end: &NewEnd<'_>) -> Done<()>;

    fn set_end_all(&mut self, ends: &[NewEnd<'_>]) -> Done<()> {
        ends.iter().try_for_each(|end| self.set_end(end))
    }

    /// Keeps an incident, or widens the one that is there. Gives whether it is new.
    fn raise(&mut self, device: &DeviceId, epoch: Epoch, events: (Seq, Seq), what: Incident) -> Done<bool>;

    /// This incident of the epoch, if it was one, has ended.
    fn ended(&mut self, device: &DeviceId, epoch: Epoch, what: Incident) -> Done<()>;

    fn ended_all(&mut self, incidents: &[(&DeviceId, Epoch, Incident)]) -> Done<()> {
        incidents.iter().try_for_each(|(device, epoch, what)| self.ended(device, *epoch, *what))
    }

    /// Every epoch, and up to where it is without a gap.
    fn ends(&mut self) -> Done<Vec<(String, Epoch, Seq)>>;

    /// The gaps that have stayed for `patience`.
    fn open_gaps(&mut self, patience: Duration) -> Done<Vec<OpenGap>>;

    /// The incident of a gap began when the gap did.
    fn date_gap(&mut self, device: &DeviceId, epoch: Epoch) -> Done<()>;
}
