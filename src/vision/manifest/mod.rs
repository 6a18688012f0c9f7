//! `models/manifest.toml`: which nets play which part, what they must hash to, what they eat, what their scores mean.
//!
//! Another net for a part is another entry there, no code.

mod calibration;
mod shape;
mod spec;
#[cfg(test)]
mod tests;
mod tuning;
mod verify;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub use calibration::Calibration;
pub use spec::{
    Colour, Digest, EmbedderSpec, EyesSpec, InputSpec, Layout, LivenessSpec, MatchThresholds, NetSpec, Provider,
    RuntimeFile, RuntimeSpec, Source, StageSpec,
};
pub use tuning::{Loss, StandIn, Tuned, Tuning, TuningError};
pub use verify::{VerifiedModels, VerifyError};

use crate::domain::{EmbeddingSpaceId, Similarity};

/// The schema this loader reads.
const SCHEMA: u32 = 1;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read the model manifest {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The underlying error.
        source: std::io::Error,
    },
    /// Not TOML, an unknown or missing key, or a value of the wrong kind; the source shows the line.
    #[error("the model manifest is not as it should be")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A value that cannot be.
    #[error("model manifest: {key} = {value}: allowed is {allowed}")]
    Value {
        /// Dotted path of the key.
        key: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: String,
    },
}

/// A manifest that was checked: each part has a net and knows what it needs.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The inference runtime.
    pub runtime: RuntimeSpec,
    /// First stage of the detector: slides over the picture.
    pub proposal: StageSpec,
    /// Second stage: looks at each proposal.
    pub refine: StageSpec,
    /// Third stage: looks closer, and finds the five points.
    pub output: StageSpec,
    /// The embedder.
    pub embedder: EmbedderSpec,
    /// The presentation-attack net.
    pub liveness: LivenessSpec,
    /// The net for the eyes of enrolment photos, if there is one.
    pub eyes: Option<EyesSpec>,
    /// Faster versions of the embedder, which a tuned machine may use instead.
    pub stand_ins: Vec<StandIn>,
}

impl Manifest {
    /// Reads `path`.
    ///
    /// # Errors
    /// When it cannot be read, or as [`Manifest::parse`].
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// Names the key, what stands there and what is allowed.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let file: shape::File = toml::from_str(text).map_err(|error| ManifestError::Syntax(Box::new(error)))?;
        if file.schema != SCHEMA {
            return Err(refused("schema", file.schema, format!("{SCHEMA}")));
        }
        let shape::File { schema: _, runtime, pipeline, model: models } = file;
        for RuntimeFile { name, .. } in &runtime.file {
            plain_name("runtime.file.name", name)?;
        }
        if !runtime.file.iter().any(|file| file.name == runtime.library) {
            return Err(refused("runtime.library", &runtime.library, "the name of one [[runtime.file]]"));
        }
        let stage = |role: &str, name: &str| -> Result<_, ManifestError> {
            let (key, model) = part(&models, role, name)?;
            Ok(StageSpec {
                net: net(&key, name, model)?,
                probability: needed(&key, "output.probability", model.output.probability.clone())?,
                regression: needed(&key, "output.box", model.output.regression.clone())?,
                landmarks: model.output.landmarks.clone(),
                threshold: probability(&key, "face", model.thresholds.as_ref().and_then(|t| t.face))?,
            })
        };
        let (proposal, refine) = (stage("proposal", &pipeline.proposal)?, stage("refine", &pipeline.refine)?);
        let output = stage("output", &pipeline.output)?;
        if output.landmarks.is_none() {
            return Err(refused(&format!("model.{}.output.landmarks", pipeline.output), "missing", "an output's name"));
        }
        let embedder = embedder(&models, &pipeline.embed)?;
        let stand_ins = stand_ins(&models, &pipeline.embed)?;
        for probe in [&embedder].into_iter().chain(stand_ins.iter().map(|one| &one.embedder)) {
            if let Some(calibration) = &probe.calibration
                && !calibration.is_of(probe, &embedder)
            {
                let (key, value) = (format!("model.{}.calibration", probe.net.name), &calibration.probe_artifact);
                let allowed = "that of this very net: calibrate again, or take the table away until then";
                return Err(refused(&key, value, allowed));
            }
        }
        Ok(Self {
            runtime,
            proposal,
            refine,
            output,
            embedder,
            stand_ins,
            liveness: liveness(&models, &pipeline.liveness)?,
            eyes: pipeline.eyes.map(|name| eyes(&models, &name)).transpose()?,
        })
    }

    /// The same with the stand-in `name` as embedder, whatever it loses: to measure it.
    #[must_use]
    pub fn with_stand_in(mut self, name: &str) -> Option<Self> {
        self.embedder = self.stand_ins.iter().find(|one| one.embedder.net.name == name)?.embedder.clone();
        Some(self)
    }

    /// The nets in use, in the order of the pipeline.
    pub fn nets(&self) -> impl Iterator<Item = &NetSpec> {
        [&self.proposal.net, &self.refine.net, &self.output.net, &self.embedder.net, &self.liveness.net]
            .into_iter()
            .chain(self.eyes.as_ref().map(|eyes| &eyes.net))
    }
}

/// The models that stand for the embedder `name`.
fn stand_ins(models: &BTreeMap<String, shape::Model>, name: &str) -> Result<Vec<StandIn>, ManifestError> {
    let space = |name: &str| Some(models.get(name)?.embedding.as_ref()?.space.as_str());
    let named = models.iter().filter(|(_, model)| model.stands_for.as_deref() == Some(name));
    let stand_in = |(own, model): (&String, &shape::Model)| {
        let key = format!("model.{own}");
        if space(own) != space(name) {
            let value = space(own).unwrap_or("missing");
            return Err(refused(&format!("{key}.embedding.space"), value, format!("the space of {name}")));
        }
        Ok(StandIn { embedder: embedder(models, own)?, loss: needed(&key, "loss", model.loss)? })
    };
    named.map(stand_in).collect()
}

fn embedder(models: &BTreeMap<String, shape::Model>, name: &str) -> Result<EmbedderSpec, ManifestError> {
    let (key, model) = part(models, "embed", name)?;
    let shape::Embedding { space, dimension, alignment: shape::Alignment::Arcface112 } =
        needed(&key, "embedding", model.embedding.as_ref())?;
    if !(1..=4096).contains(dimension) {
        return Err(refused(&format!("{key}.embedding.dimension"), dimension, "1 to 4096"));
    }
    let thresholds = needed(&key, "thresholds", model.thresholds.as_ref())?;
    let cosine = |name: &str, value: Option<f32>| {
        let value = needed(&key, &format!("thresholds.{name}"), value)?;
        if (-1.0..=1.0).contains(&value) {
            Ok(Similarity::new(value))
        } else {
            Err(refused(&format!("{key}.thresholds.{name}"), value, "-1 to 1"))
        }
    };
    let (admit, refer) = (cosine("admit", thresholds.admit)?, cosine("refer", thresholds.refer)?);
    if refer > admit {
        return Err(refused(&format!("{key}.thresholds.refer"), refer.get(), "at most thresholds.admit"));
    }
    let net = net(&key, name, model)?;
    let side = crate::vision::align::SIDE;
    if (net.input.width, net.input.height) != (side, side) {
        let value = format!("{}x{}", net.input.width, net.input.height);
        return Err(refused(&format!("{key}.input"), value, format!("{side}x{side} with alignment arcface-{side}")));
    }
    Ok(EmbedderSpec {
        net,
        output: needed(&key, "output.embedding", model.output.embedding.clone())?,
        space: EmbeddingSpaceId::new(space.as_str()),
        dimension: *dimension,
        thresholds: MatchThresholds {
            admit,
            refer,
            same_face: cosine("same_face", thresholds.same_face)?,
            unsure: thresholds.unsure,
            source: thresholds.source.clone(),
        },
        calibration: model.calibration.clone(),
    })
}

fn liveness(models: &BTreeMap<String, shape::Model>, name: &str) -> Result<LivenessSpec, ManifestError> {
    let (key, model) = part(models, "liveness", name)?;
    let crop = needed(&key, "crop", model.crop.as_ref())?;
    if !(1.0..=10.0).contains(&crop.scale) {
        return Err(refused(&format!("{key}.crop.scale"), crop.scale, "1 to 10"));
    }
    let threshold = probability(&key, "live", model.thresholds.as_ref().and_then(|t| t.live))?;
    let sure = probability(&key, "sure", model.thresholds.as_ref().and_then(|t| t.sure))?;
    if sure < threshold {
        return Err(refused(&format!("{key}.thresholds.sure"), sure, "at least `live`"));
    }
    Ok(LivenessSpec {
        net: net(&key, name, model)?,
        logits: needed(&key, "output.logits", model.output.logits.clone())?,
        crop_scale: crop.scale,
        live_index: crop.live_index,
        threshold,
        sure,
        dip: probability(&key, "dip", model.thresholds.as_ref().and_then(|t| t.dip))?,
    })
}

fn eyes(models: &BTreeMap<String, shape::Model>, name: &str) -> Result<EyesSpec, ManifestError> {
    let (key, model) = part(models, "eyes", name)?;
    let shape::Eye { side, closed_index } = *needed(&key, "eye", model.eye.as_ref())?;
    if !(0.1..=2.0).contains(&side) {
        return Err(refused(&format!("{key}.eye.side"), side, "0.1 to 2"));
    }
    if closed_index > 1 {
        return Err(refused(&format!("{key}.eye.closed_index"), closed_index, "0 or 1"));
    }
    let net = net(&key, name, model)?;
    if net.input.width != net.input.height {
        let value = format!("{}x{}", net.input.width, net.input.height);
        return Err(refused(&format!("{key}.input"), value, "a square"));
    }
    Ok(EyesSpec {
        net,
        logits: needed(&key, "output.logits", model.output.logits.clone())?,
        side,
        closed_index,
        closed: probability(&key, "closed", model.thresholds.as_ref().and_then(|t| t.closed))?,
    })
}

fn part<'a>(
    models: &'a BTreeMap<String, shape::Model>,
    role: &str,
    name: &str,
) -> Result<(String, &'a shape::Model), ManifestError> {
    let model = models.get(name).ok_or_else(|| {
        let names: Vec<&str> = models.keys().map(String::as_str).collect();
        refused(&format!("pipeline.{role}"), name, format!("one of {}", names.join(", ")))
    })?;
    Ok((format!("model.{name}"), model))
}

fn net(key: &str, name: &str, model: &shape::Model) -> Result<NetSpec, ManifestError> {
    plain_name(&format!("{key}.file"), &model.file)?;
    let input = model.input.clone();
    for (axis, size) in [("width", input.width), ("height", input.height)] {
        if !(8..=1024).contains(&size) {
            return Err(refused(&format!("{key}.input.{axis}"), size, "8 to 1024"));
        }
    }
    if !input.subtract.is_finite() || !input.scale.is_normal() {
        let value = format!("{} and scale = {}", input.subtract, input.scale);
        return Err(refused(&format!("{key}.input.subtract"), value, "a finite number, and one that is not zero"));
    }
    Ok(NetSpec {
        name: name.to_owned(),
        provider: model.provider,
        fallback: model.fallback,
        threads: None,
        file: model.file.clone(),
        sha256: needed(key, "sha256", model.sha256)?,
        input,
        licence: model.licence.clone(),
        provenance: model.provenance.clone(),
        preparation: model.preparation.clone(),
        source: model.source.clone(),
    })
}

/// A file's name may not lead out of its folder.
fn plain_name(key: &str, name: &str) -> Result<(), ManifestError> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(refused(key, name, "a file name without a folder"));
    }
    Ok(())
}

fn probability(key: &str, name: &str, value: Option<f32>) -> Result<f32, ManifestError> {
    let value = needed(key, &format!("thresholds.{name}"), value)?;
    if !(0.0..=1.0).contains(&value) {
        return Err(refused(&format!("{key}.thresholds.{name}"), value, "0 to 1"));
    }
    Ok(value)
}

fn needed<T>(key: &str, name: &str, value: Option<T>) -> Result<T, ManifestError> {
    value.ok_or_else(|| refused(&format!("{key}.{name}"), "missing", "a value: the part it plays needs it"))
}

fn refused(key: &str, value: impl fmt::Display, allowed: impl Into<String>) -> ManifestError {
    ManifestError::Value { key: key.to_owned(), value: value.to_string(), allowed: allowed.into() }
}
