//! `models/manifest.toml`: which nets play which part, what they must hash to, what they eat, what their scores mean.
//!
//! Another net for a part is another entry there, no code. Never knows how a net is run.

mod shape;
mod verify;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use verify::{VerifiedModels, VerifyError};

use crate::domain::{ArtifactId, EmbeddingSpaceId, Similarity};

/// The schema this loader reads.
const SCHEMA: u32 = 1;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read the model manifest {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
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

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| format!("`{text}` is not a SHA-256: allowed are 64 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// What runs a net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenVINO on the CPU.
    Openvino,
    /// ONNX Runtime's own kernels.
    Cpu,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Openvino => "openvino",
            Self::Cpu => "cpu",
        })
    }
}

/// Order of the three colour channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Colour {
    /// Red first.
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue first.
    #[serde(rename = "BGR")]
    Bgr,
}

/// Order of a tensor's axes: N pictures, C channels, H rows, W columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Layout {
    /// One plane a channel.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Channels interleaved.
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// What a net eats: float32, `(pixel - subtract) * scale` of each 8-bit channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The input's name in the net.
    pub name: String,
    /// Order of the axes.
    pub layout: Layout,
    /// Order of the channels.
    pub colour: Colour,
    /// Whether larger pictures than `width` x `height` may be fed.
    #[serde(default)]
    pub any_size: bool,
    /// Columns. For the proposal net: the side of the face it looks for.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Taken from each channel (0..=255) first.
    pub subtract: f32,
    /// Multiplied with it then.
    pub scale: f32,
}

/// Where a published net comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `pypi` or `npm`.
    pub registry: String,
    /// The package's name there.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The archive's file name.
    pub archive: String,
    /// Hash of the archive.
    pub archive_sha256: Digest,
    /// The net's path inside.
    pub member: String,
    /// Hash of the net as published.
    pub sha256: Digest,
}

/// The inference runtime's libraries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSpec {
    /// `pypi`.
    pub registry: String,
    /// The package's name there.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The archive's file name.
    pub archive: String,
    /// Hash of the archive.
    pub archive_sha256: Digest,
    /// Terms.
    pub licence: String,
    /// Which of the files is loaded; it finds the others beside itself.
    pub library: String,
    /// The files in `runtime/`.
    pub file: Vec<RuntimeFile>,
}

/// One library.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeFile {
    /// Path inside the archive.
    pub member: String,
    /// Name in `runtime/`.
    pub name: String,
    /// What it must hash to.
    pub sha256: Digest,
}

/// One net that plays a part.
#[derive(Clone, Debug)]
pub struct NetSpec {
    /// Its name in the manifest.
    pub name: String,
    /// What should run it.
    pub provider: Provider,
    /// What may stand in when that fails.
    pub fallback: Option<Provider>,
    /// File name in `models/ready/`.
    pub file: String,
    /// What it must hash to.
    pub sha256: Digest,
    /// What it eats.
    pub input: InputSpec,
    /// Terms.
    pub licence: String,
    /// Where its training data came from, as far as stated.
    pub provenance: String,
    /// Steps applied to the published net.
    pub preparation: Vec<String>,
    /// Where it was published; none for a net that the operator brings.
    pub source: Option<Source>,
}

/// One stage of the face detector.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// The net.
    pub net: NetSpec,
    /// Output with the probability of a face: N x 1, for the proposal net N x 1 x h x w.
    pub probability: String,
    /// Output with the four corrections of a window, as shares of its sides: N x 4, for the proposal net N x 4 x h x w.
    pub regression: String,
    /// Output with five points as shares of the window's sides, N x 10: x1..x5, y1..y5. Only the last stage has it.
    pub landmarks: Option<String>,
    /// Least probability that passes this stage.
    pub threshold: f32,
}

/// Cosines that the session judges by.
#[derive(Clone, Debug)]
pub struct MatchThresholds {
    /// From here the fused probe admits.
    pub admit: Similarity,
    /// From here to `admit` the proctor decides; below, the box denies.
    pub refer: Similarity,
    /// From here a frame shows the same face as the frames before it.
    pub same_face: Similarity,
    /// Where the numbers come from.
    pub source: String,
}

/// The embedder.
#[derive(Clone, Debug)]
pub struct EmbedderSpec {
    /// The net.
    pub net: NetSpec,
    /// Output with the embedding, 1 x `dimension`, not normalised.
    pub output: String,
    /// Which templates its embeddings may be compared with.
    pub space: EmbeddingSpaceId,
    /// Components of an embedding.
    pub dimension: usize,
    /// What its cosines mean.
    pub thresholds: MatchThresholds,
}

impl EmbedderSpec {
    /// What computes the embeddings: SHA-256 over the prepared net's hash and everything about the input and the precision that
    /// changes a number of the output. Not the provider: a declared fallback computes the same in float32, up to rounding
    /// (cosine above 0.9999), and must not orphan a roster.
    #[must_use]
    pub fn artifact(&self) -> ArtifactId {
        let InputSpec { name: _, any_size: _, layout, colour, width, height, subtract, scale } = &self.net.input;
        let text = format!(
            "examgate artifact 1\nnet {}\nalignment arcface-112\ninput {layout:?} {colour:?} {width}x{height} {:08x} {:08x}\n\
             precision float32\n",
            self.net.sha256,
            subtract.to_bits(),
            scale.to_bits(),
        );
        ArtifactId::from_bytes(Sha256::digest(text).into())
    }
}

/// The presentation-attack net.
#[derive(Clone, Debug)]
pub struct LivenessSpec {
    /// The net.
    pub net: NetSpec,
    /// Output with the logits, 1 x classes.
    pub logits: String,
    /// Side of the crop in sides of the face.
    pub crop_scale: f32,
    /// Which class is a live face.
    pub live_index: usize,
    /// Least mean probability over the frames used.
    pub threshold: f32,
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
        Ok(Self {
            runtime,
            proposal,
            refine,
            output,
            embedder: embedder(&models, &pipeline.embed)?,
            liveness: liveness(&models, &pipeline.liveness)?,
        })
    }

    /// The nets in use, in the order of the pipeline.
    #[must_use]
    pub const fn nets(&self) -> [&NetSpec; 5] {
        [&self.proposal.net, &self.refine.net, &self.output.net, &self.embedder.net, &self.liveness.net]
    }
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
    Ok(EmbedderSpec {
        net: net(&key, name, model)?,
        output: needed(&key, "output.embedding", model.output.embedding.clone())?,
        space: EmbeddingSpaceId::new(space.as_str()),
        dimension: *dimension,
        thresholds: MatchThresholds {
            admit,
            refer,
            same_face: cosine("same_face", thresholds.same_face)?,
            source: thresholds.source.clone(),
        },
    })
}

fn liveness(models: &BTreeMap<String, shape::Model>, name: &str) -> Result<LivenessSpec, ManifestError> {
    let (key, model) = part(models, "liveness", name)?;
    let crop = needed(&key, "crop", model.crop.as_ref())?;
    if !(1.0..=10.0).contains(&crop.scale) {
        return Err(refused(&format!("{key}.crop.scale"), crop.scale, "1 to 10"));
    }
    Ok(LivenessSpec {
        net: net(&key, name, model)?,
        logits: needed(&key, "output.logits", model.output.logits.clone())?,
        crop_scale: crop.scale,
        live_index: crop.live_index,
        threshold: probability(&key, "live", model.thresholds.as_ref().and_then(|t| t.live))?,
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
