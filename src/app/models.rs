//! Loads the model manifest with this machine's tuning applied, and checks the hash of every file it names.
//!
//! Never opens a net.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::machine::machine;
use crate::{
    config::Config,
    vision::{Manifest, Pipeline, Tuned, Tuning, VerifiedModels},
};

/// Loads the manifest in `folder`.
///
/// # Errors
/// Names what is wrong in it.
pub(super) fn manifest(folder: &Path) -> Result<Manifest> {
    Manifest::load(&folder.join("models/manifest.toml")).context("the model manifest cannot be used")
}

/// What became of the tuning that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TuningUse {
    /// There is none: the manifest's own choice holds.
    None,
    /// It holds; which nets it chose, and how they are run.
    Used(String),
    /// Why it does not fit, and how to mend it: the manifest's own choice holds.
    Refused(String),
}

/// Loads the manifest as it suits this machine and checks every file it names. The first thing a box does.
///
/// # Errors
/// Names the file that is missing or differs.
pub fn verified_models(config: &Config) -> Result<(VerifiedModels, TuningUse)> {
    let mut manifest = manifest(&config.models)?;
    let mut tuning_use = TuningUse::None;
    if let Some(path) = config.tuning.as_ref().filter(|path| path.exists()) {
        let tuning = fs::read_to_string(path).map_err(anyhow::Error::from);
        let tuned = tuning.and_then(|text| {
            let tuning = Tuning::parse(&text)?;
            Ok((manifest.clone().tuned(&tuning, &machine())?, tuning))
        });
        tuning_use = match tuned {
            Ok((tuned, tuning)) => {
                manifest = tuned;
                let words = |one: &Tuned| {
                    let threads = if one.threads == 1 { "thread" } else { "threads" };
                    format!("{} on {}, {} {threads}", one.model, one.provider, one.threads)
                };
                TuningUse::Used(format!("{}; {}", words(&tuning.embed), words(&tuning.liveness)))
            }
            Err(why) => {
                TuningUse::Refused(format!("{} is not used: {why:#}; run `examgate doctor --tune`", path.display()))
            }
        }
    }
    Ok((manifest.verify(&config.models).context("the models cannot be used")?, tuning_use))
}

/// Says what runs each net.
pub(super) fn log_providers(pipeline: &Pipeline) {
    for report in pipeline.providers() {
        match &report.why {
            None => tracing::info!(net = report.net, provider = ?report.used, "net is ready"),
            Some(why) => {
                tracing::warn!(net = report.net, asked = ?report.asked, provider = ?report.used, why, "fallback provider");
            }
        }
    }
}
