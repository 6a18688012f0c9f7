//! The fleet's pepper for an import: found, or made and kept at the end.
//!
//! It never shows one.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use examgate::{
    domain::Pepper,
    store::{Key, Secret},
};

use crate::keys::{self, KeyArgs};

/// The fleet's pepper, perhaps not yet on disk.
pub(super) struct PepperFile {
    key: Key,
    new: Option<PathBuf>,
}

impl PepperFile {
    /// Reads the pepper. One that was not asked for by name and is not there is made, but not written yet.
    pub(super) fn find(at: &KeyArgs, named: Option<&Path>) -> anyhow::Result<Self> {
        let Some(key) = at.pepper(named)? else {
            keys::none_is_sealed(Secret::Pepper)?;
            let path = at.keys.join(Secret::Pepper.name());
            return Ok(Self { key: Key::generate()?, new: Some(path) });
        };
        if named.is_some() && at.pepper(None)?.is_some_and(|boxs| boxs.expose() != key.expose()) {
            writeln!(
                io::stderr(),
                "examgate-fleet: --pepper is not the pepper of --keys: a box with these keys will know no card of this roster"
            )?;
        }
        Ok(Self { key, new: None })
    }

    pub(super) fn pepper(&self) -> Pepper {
        keys::pepper(&self.key)
    }

    /// Writes a pepper that is new, and says so.
    pub(super) fn keep(&self) -> anyhow::Result<()> {
        let Some(path) = &self.new else { return Ok(()) };
        self.key.write_new(path)?;
        writeln!(
            io::stderr(),
            "examgate-fleet: made the fleet's pepper {}: every box of the fleet needs this very file, and later imports too",
            path.display()
        )?;
        Ok(())
    }
}
