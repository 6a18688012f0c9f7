//! The ledger: every event once, in a database.
//!
//! An event is known by its id and its body, wherever it stands. A box that was set back sends an event again at another
//! place: the place is kept and the event counts once. An event that contradicts the chain is kept, too, and an incident is
//! raised; receipts go on along the chain that was there first. An event that the database cannot take is put aside and harms no other; only a
//! fault of the database itself is an error. What comes here has been verified.
//!
//! It is written by the one collector that holds its lease: a commit under an older token is refused as a whole.
//!
//! The rules are in `commit` and `fence`. A database (SQLCipher, PostgreSQL) is behind the trait `Database` and only looks up and
//! writes; `contract` runs one suite of tests against each.

mod arguments;
mod commit;
mod copy;
mod database;
mod fault;
mod fence;
mod location;
mod postgres;
mod seal;
mod sqlcipher;

use std::{collections::BTreeMap, io, time::Duration};

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    store::Key,
    wire::envelope::EventEnvelope,
};
use zeroize::Zeroizing;

pub use self::{
    arguments::{LedgerArguments, LedgerChoice},
    fault::LedgerFault,
    location::{Location, NotALocation, URL_VARIABLE},
};
use self::{database::Database, postgres::Postgres, sqlcipher::SqlCipher};
use super::{
    incidents::{Held, Raised},
    lease::{Claim, Holder, Token},
};

/// What one commit came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events that were new.
    pub fresh: usize,
    /// Up to where each epoch that was touched is complete, and the link there: 0 and [`EventHash::START`] if even its first
    /// event is missing.
    pub contiguous: BTreeMap<(DeviceId, Epoch), (Seq, EventHash)>,
    /// Incidents not raised before.
    pub raised: Vec<Raised>,
    /// Events that the database does not take, and what it says. They are not in the ledger and never receipted.
    pub unusable: Vec<(DeviceId, Epoch, Seq, String)>,
}

/// One committed event.
pub struct Entry {
    /// The box.
    pub device: String,
    /// Which epoch of it.
    pub epoch: Epoch,
    /// Its number there.
    pub seq: Seq,
    /// Whether the chain reaches it without a gap.
    pub confirmed: bool,
    /// When it was committed, RFC 3339.
    pub committed_at: String,
    /// The body as recorded. Personal data.
    pub body: Zeroizing<Vec<u8>>,
}

/// The collector's ledger.
#[derive(Debug)]
pub struct Ledger(Box<dyn Database>);

impl Ledger {
    /// Opens the ledger to write, made if there is none.
    ///
    /// # Errors
    /// When the database cannot be reached or used, or is another's.
    pub fn open(location: &Location, key: &Key) -> Result<Self, LedgerFault> {
        Ok(Self(match location {
            Location::File(path) => Box::new(SqlCipher::open(path, key)?),
            Location::Postgres(server) => Box::new(Postgres::open(server, key)?),
        }))
    }

    /// Opens a ledger that must be there, to read.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is none.
    pub fn open_existing(location: &Location, key: &Key) -> Result<Self, LedgerFault> {
        Ok(Self(match location {
            Location::File(path) => Box::new(SqlCipher::open_existing(path, key)?),
            Location::Postgres(server) => Box::new(Postgres::open_existing(server, key)?),
        }))
    }

    /// Claims the lease for `who`, or renews it, for `lasts` from now on by the database's clock. Nothing is written when it is another's.
    ///
    /// # Errors
    /// When the database fails.
    pub fn claim(&mut self, who: &Holder, lasts: Duration) -> Result<Claim, LedgerFault> {
        fence::claim(&mut *self.0, who, lasts)
    }

    /// Gives the lease back, if it is still in force under `token`: the next claim is granted at once.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release(&mut self, token: Token) -> Result<(), LedgerFault> {
        fence::release(&mut *self.0, token)
    }

    /// Commits `events` together: all is on the disk when this returns, or nothing.
    ///
    /// # Errors
    /// [`LedgerFault::Fenced`] when another has had the lease since `token` was given: nothing was committed. Otherwise when the
    /// database fails; whether the events are in it is then unknown. In both cases none may be receipted.
    pub fn commit(&mut self, token: Token, events: &[EventEnvelope]) -> Result<Committed, LedgerFault> {
        commit::commit(&mut *self.0, token, events)
    }

    /// Raises an incident for each gap that has stayed for `patience`, and gives those that are new.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn gaps(&mut self, token: Token, patience: Duration) -> Result<Vec<Raised>, LedgerFault> {
        commit::gaps(&mut *self.0, token, patience)
    }

    /// Calls `see` with every event, each once, by its first confirmed place if it has one: box by box, epoch by epoch, in
    /// order. The inner result is that of `see`.
    ///
    /// # Errors
    /// When the database fails, or an event in it was altered.
    pub fn each(&mut self, mut see: impl FnMut(Entry) -> io::Result<()>) -> Result<io::Result<()>, LedgerFault> {
        self.0.entries(&mut see)
    }

    /// All incidents, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn incidents(&mut self) -> Result<Vec<Held>, LedgerFault> {
        self.0.incidents()
    }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod restored;
