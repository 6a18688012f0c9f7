//! What the reading of cards takes from outside: randomness and time. This room reads neither by itself.

use std::{fmt, io, sync::Arc};

use crate::domain::{MonoTime, Timestamp};

/// What the reading of cards takes from outside.
#[derive(Clone)]
pub struct Surroundings {
    /// Fills the bytes with randomness for challenges. What a card proves without it counts for nothing.
    pub draw: fn(&mut [u8]) -> io::Result<()>,
    /// The wall clock, for certificates; `None`: it is not believed.
    pub today: Arc<dyn Fn() -> Option<Timestamp> + Send + Sync>,
    /// The monotonic clock: how long cards take.
    pub mono: Arc<dyn Fn() -> MonoTime + Send + Sync>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}
