//! Programs of virtual cards, which [`super::virtual_card`] lays on the virtual reader. Each keeps a state of its own, as a chip does.
//!
//! They are the card's side of what `wire` and `edge/card` read, written from public descriptions alone and without the reader's side:
//! so the two check each other. No I/O here: a card is handed a command and says how it answers.

#[cfg(feature = "device")]
pub mod aes;
#[cfg(feature = "device")]
pub mod desfire;
mod faults;
#[cfg(feature = "device")]
pub mod piv;
#[cfg(feature = "device")]
pub mod sam;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use faults::{Fault, Faulty, Moment};

/// What is on a card: it answers commands.
pub trait Applet: Send {
    /// The ATR that a reader makes up for this card, or the card's own on contacts.
    fn atr(&self) -> Vec<u8>;

    /// Answers a command, with its status word at the end.
    fn answer(&mut self, command: &[u8]) -> Said;

    /// The reader took the power away: what the card keeps only while it has power is gone.
    fn lose_power(&mut self) {}
}

/// How a card answers a command.
#[derive(Clone, PartialEq, Eq)]
pub enum Said {
    /// With these bytes.
    Answer(Vec<u8>),
    /// With these bytes, after this time.
    Late(Duration, Vec<u8>),
    /// Not at all.
    Mute,
    /// It leaves the reader.
    Pulled,
}

impl fmt::Debug for Said {
    /// Without the bytes: they may be a card number.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(bytes) => write!(formatter, "Answer({} bytes)", bytes.len()),
            Self::Late(time, bytes) => write!(formatter, "Late({time:?}, {} bytes)", bytes.len()),
            Self::Mute => formatter.write_str("Mute"),
            Self::Pulled => formatter.write_str("Pulled"),
        }
    }
}

/// A card that can be laid down, taken away and laid down again, and looked at meanwhile. Clones are the same card.
pub struct Chip<A: ?Sized>(Arc<Mutex<A>>);

impl<A> Chip<A> {
    /// A card with this program.
    pub fn new(applet: A) -> Self {
        Self(Arc::new(Mutex::new(applet)))
    }
}

impl<A: ?Sized> Chip<A> {
    /// The program, which answers nobody while it is held.
    pub fn hold(&self) -> MutexGuard<'_, A> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Applet + 'static> Chip<A> {
    /// The same card, whatever its program is.
    #[must_use]
    pub fn any(&self) -> Chip<dyn Applet> {
        Chip(self.0.clone())
    }
}

impl<A: ?Sized> Clone for Chip<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: ?Sized> fmt::Debug for Chip<A> {
    /// Nothing of what it holds: keys and numbers.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Chip")
    }
}

impl<A: ?Sized> PartialEq for Chip<A> {
    /// Whether they are the same card.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<A: ?Sized> Eq for Chip<A> {}
