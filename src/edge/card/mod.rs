//! The card edge: taps in, pseudonyms out.
//!
//! A raw identifier lives between the reader's answer and the HMAC, inside this room, and is wiped; what leaves is a
//! [`Credential`]. Identifiers and APDUs are never logged. Who a card belongs to is looked up
//! elsewhere. The one exception is `pcsc/desk.rs`, which somebody starts by hand to see what a card says.

mod asking;
mod models;
mod pcsc;
mod queue;

#[cfg(feature = "sim")]
pub mod contract;
#[cfg(feature = "sim")]
mod fake;

use std::{fmt, io, sync::Arc, time::Duration};

pub use asking::{
    Applications, CardLimits, CardReads, DesfireCard, DesfireReads, Interview, MadeUp, NoNumber, PacsAnswer, PacsReads,
    PivFileError, PivFiles, PivReads, PivStanding, Proof, SamHost, SamReads, Surroundings, Times, UidAnswer,
};
#[cfg(feature = "sim")]
pub use fake::{FakeCardReader, FakeHand};
pub use models::ReaderModel;
pub use pcsc::{Laid, PcscCardReader, SamFault, SamSeen, Timed, look_at_sam, readers, time_proofs, wait_for_cards};

use crate::domain::{CardProblem, Credential};

/// One place for a card, of one reader or one slot of it. Stays the same for a reader that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened at the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardEvent {
    /// Readers answer: at the start, and when they are back after an outage.
    Ready {
        /// Slots there are, at least one.
        slots: usize,
    },
    /// A card arrived and was read, or could not be. A card that lies there when the reader starts counts as a tap.
    Tapped {
        /// The reader's slot.
        slot: Slot,
        /// What it proved, or why nothing.
        read: Result<Credential, CardProblem>,
        /// For how long the card had the commands of the profile that named it, or was too slow: those since its challenge was made,
        /// where there is one. `None`: no profile did.
        took: Option<Duration>,
    },
    /// The card is gone, or its reader is.
    Removed {
        /// The reader's slot.
        slot: Slot,
    },
}

/// Why no tap can be seen.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The thread that watches the readers could not be started.
    #[error("cannot start the thread that watches the card readers")]
    StartThread {
        /// The cause.
        source: io::Error,
    },
    /// The PC/SC service does not answer.
    #[error("the PC/SC service does not answer; it is tried again. See `systemctl status pcscd.socket pcscd`")]
    Service {
        /// The cause.
        source: ::pcsc::Error,
    },
    /// A call into the PC/SC service does not return.
    #[error(
        "the PC/SC service (pcscd) hangs: it has not answered for {:.0} s; unplug the reader and plug it in, then \
         `systemctl restart pcscd`",
        waited.as_secs_f32()
    )]
    Hung {
        /// How long was waited.
        waited: Duration,
    },
    /// The service runs, but knows no reader.
    #[error("no card reader is attached; plug it in, or see `journalctl -u pcscd` for why its driver refuses it")]
    NoReader,
    /// Nobody took the events, so some are gone: any slot may have changed.
    #[error("{lost} card events came faster than they were taken and are lost")]
    Overrun {
        /// Events lost.
        lost: usize,
    },
    /// The reader swallows commands and does not come back.
    #[error(
        "{stuck} commands to the card reader never returned; unplug the reader and plug it in, \
         then `systemctl restart pcscd` and restart Examgate"
    )]
    Stuck {
        /// Commands still out.
        stuck: usize,
    },
    /// A fatal error was reported before, and nobody watches the readers any more.
    #[error("the card readers are no longer watched")]
    Closed,
}

impl CardError {
    /// Whether the edge mends itself: ask again, and [`CardEvent::Ready`] follows. Otherwise it must be opened anew.
    #[must_use]
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Service { .. } | Self::Hung { .. } | Self::NoReader | Self::Overrun { .. } => true,
            Self::StartThread { .. } | Self::Stuck { .. } | Self::Closed => false,
        }
    }

    /// Whether no tap can be seen until [`CardEvent::Ready`]. Lost events are over when they are told.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        !matches!(self, Self::Overrun { .. })
    }
}

/// How the readers are as a whole.
#[derive(Clone, Debug)]
pub enum ReaderView {
    /// Nothing is known yet.
    Starting,
    /// Taps are seen.
    Ready {
        /// At how many slots, at least one.
        slots: usize,
    },
    /// No tap can be seen.
    Faulted(Arc<CardError>),
}

/// Sees cards come and go.
///
/// Every implementation keeps these rules (`contract.rs` checks it):
///
/// * For a slot, `Tapped` and `Removed` alternate, starting with `Tapped`. A card pulled before it could be read is
///   still `Tapped` (unreadable) and then `Removed`; a card taken away and put back is tapped again.
/// * Every tap ends within three seconds, also when the card or the reader never answers.
/// * A retriable error is reported once per outage. When it is over, `Ready` is reported before the next tap. An outage
///   ends with `Removed` for every slot that held a card, so a card that lay there through it is tapped again.
/// * Events wait in a queue of [`QUEUE`]. When it is full, new events are dropped, and [`CardError::Overrun`] tells how
///   many before anything later: take every slot for empty then. A tap is thus never lost in silence, and never
///   delivered long after it.
pub trait CardReader: Send {
    /// Waits at most `patience` for the next event. `None`: nothing happened.
    ///
    /// # Errors
    /// [`CardError`]; see [`CardError::is_retriable`].
    fn next(&mut self, patience: Duration) -> Result<Option<CardEvent>, CardError>;
}

/// Events that wait before new ones are dropped: a few taps, as nobody at the door would wait for more.
pub const QUEUE: usize = 16;
