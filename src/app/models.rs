//! The manifest, as it suits this machine, with every file it names checked.
//!
//! Never opens a net.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::tune;
use crate::{
    config::Config,
    vision::{Manifest, Tuning, VerifiedModels},
};

/// Loads the manifest in `folder`.
///
/// # Errors
/// Names what is wrong in it.
pub(super) fn manifest(folder: &Path) -> Result<Manifest> {
    Manifest::load(&folder.join("models/manifest.toml")).context("the model manifest cannot be used")
}

/// Loads the manifest as it suits this machine and checks every file it names. The first thing a box does. What keeps a tuning from
/// being used comes with the models: the manifest holds then.
///
/// # Errors
/// Names the file that is missing or differs.
pub fn verified_models(config: &Config) -> Result<(VerifiedModels, Option<String>)> {
    let mut manifest = manifest(&config.models)?;
    let mut untuned = None;
    if let Some(path) = config.tuning.as_ref().filter(|path| path.exists()) {
        let tuning = fs::read_to_string(path).map_err(anyhow::Error::from);
        let tuned = tuning.and_then(|text| Ok(manifest.clone().tuned(&Tuning::parse(&text)?, &tune::machine())?));
        match tuned {
            Ok(tuned) => manifest = tuned,
            Err(why) => {
                untuned = Some(format!("{} is not used: {why:#}; run `examgate doctor --tune`", path.display()))
            }
        }
    }
    Ok((manifest.verify(&config.models).context("the models cannot be used")?, untuned))
}
