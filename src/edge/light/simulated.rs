//! No light at all: for a box that has only a screen, and for tests. What would be lit goes to the debug log.

use std::sync::mpsc::{self, Receiver, Sender};

use super::{Lamps, LightError, Lit};

/// Lamps that are not there.
#[derive(Debug, Default)]
pub struct SimulatedLamps {
    watcher: Option<Sender<Lit>>,
}

impl SimulatedLamps {
    /// Lamps, and the order in which they are lit.
    #[must_use]
    pub fn watched() -> (Self, Receiver<Lit>) {
        let (watcher, seen) = mpsc::channel();
        (Self { watcher: Some(watcher) }, seen)
    }
}

impl Lamps for SimulatedLamps {
    fn set(&mut self, lit: Lit) -> Result<(), LightError> {
        tracing::debug!(lit.red, lit.green, lit.amber, lit.buzzer, "light");
        if let Some(watcher) = &self.watcher {
            // Whoever stopped watching does not mind.
            let _ = watcher.send(lit);
        }
        Ok(())
    }
}
