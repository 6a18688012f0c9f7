//! The shape of `models/manifest.toml` as written: one struct a table, unknown keys refused.
//!
//! What a part needs is checked by the module above.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Calibration, Digest, InputSpec, Loss, Provider, RuntimeSpec, Source};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) schema: u32,
    pub(super) runtime: RuntimeSpec,
    pub(super) pipeline: Parts,
    pub(super) model: BTreeMap<String, Model>,
}

/// Which model plays which part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    pub(super) proposal: String,
    pub(super) refine: String,
    pub(super) output: String,
    pub(super) embed: String,
    pub(super) liveness: String,
    pub(super) eyes: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub(super) provider: Provider,
    pub(super) fallback: Option<Provider>,
    pub(super) file: String,
    pub(super) sha256: Option<Digest>,
    pub(super) licence: String,
    pub(super) provenance: String,
    pub(super) preparation: Vec<String>,
    pub(super) source: Option<Source>,
    pub(super) input: InputSpec,
    pub(super) output: Outputs,
    pub(super) embedding: Option<Embedding>,
    pub(super) thresholds: Option<Thresholds>,
    pub(super) calibration: Option<Calibration>,
    pub(super) crop: Option<Crop>,
    pub(super) eye: Option<Eye>,
    /// Of which net it is a faster version.
    pub(super) stands_for: Option<String>,
    pub(super) loss: Option<Loss>,
}

/// Names of the net's outputs by what they hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outputs {
    pub(super) probability: Option<String>,
    #[serde(rename = "box")]
    pub(super) regression: Option<String>,
    pub(super) landmarks: Option<String>,
    pub(super) embedding: Option<String>,
    pub(super) logits: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Embedding {
    pub(super) space: String,
    pub(super) dimension: usize,
    pub(super) alignment: Alignment,
}

/// How a face is laid out before it is embedded.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Alignment {
    #[serde(rename = "arcface-112")]
    Arcface112,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thresholds {
    pub(super) face: Option<f32>,
    pub(super) admit: Option<f32>,
    pub(super) refer: Option<f32>,
    pub(super) same_face: Option<f32>,
    pub(super) unsure: Option<f32>,
    pub(super) live: Option<f32>,
    pub(super) sure: Option<f32>,
    pub(super) dip: Option<f32>,
    pub(super) closed: Option<f32>,
    pub(super) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Crop {
    pub(super) scale: f32,
    pub(super) live_index: usize,
}

/// What of a picture the net for one eye sees, and how it answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Eye {
    pub(super) side: f32,
    pub(super) closed_index: usize,
}
