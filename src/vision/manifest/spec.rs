//! What the manifest says of each file, net and part, as types.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::Calibration;
use crate::{
    domain::{ArtifactId, EmbeddingSpaceId, Similarity},
    vision::embed::PHOTO_VIEWS,
};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(pub(super) [u8; 32]);

impl Digest {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<ArtifactId> for Digest {
    fn from(id: ArtifactId) -> Self {
        Self(*id.as_bytes())
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

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// On how many threads, where this machine was tuned.
    pub threads: Option<usize>,
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
    /// Below this length of the raw embedding the net is unsure of an enrolment photo's face; none: lengths say nothing of this net.
    pub unsure: Option<f32>,
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
    /// What the thresholds belong to, if they were calibrated.
    pub calibration: Option<Calibration>,
}

impl EmbedderSpec {
    /// What computes the embeddings: SHA-256 over the prepared net's hash and everything about the input and the precision that
    /// changes a number of the output. Not the provider: a declared fallback computes the same in float32, up to rounding
    /// (cosine above 0.9999), and must not orphan a roster.
    #[must_use]
    pub fn artifact(&self) -> ArtifactId {
        ArtifactId::from_bytes(Sha256::digest(self.artifact_text()).into())
    }

    /// What computes the templates of enrolment photos: the same, over several views of the face.
    #[must_use]
    pub fn photo_artifact(&self) -> ArtifactId {
        let text = format!("{}views {PHOTO_VIEWS:?} mirrored\n", self.artifact_text());
        ArtifactId::from_bytes(Sha256::digest(text).into())
    }

    fn artifact_text(&self) -> String {
        let InputSpec { name: _, any_size: _, layout, colour, width, height, subtract, scale } = &self.net.input;
        format!(
            "examgate artifact 1\nnet {}\nalignment arcface-112\ninput {layout:?} {colour:?} {width}x{height} {:08x} {:08x}\n\
             precision float32\n",
            self.net.sha256,
            subtract.to_bits(),
            scale.to_bits(),
        )
    }
}

/// The net that tells open eyes from closed ones.
#[derive(Clone, Debug)]
pub struct EyesSpec {
    /// The net.
    pub net: NetSpec,
    /// Output with the logits, 1 x 2.
    pub logits: String,
    /// Side of the crop around each eye, in distances of the eyes.
    pub side: f32,
    /// Which class is a closed eye, 0 or 1.
    pub closed_index: usize,
    /// Below this probability that both are open, somebody should look at the photo.
    pub closed: f32,
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
    /// Below it the fused liveness is that of an attack.
    pub threshold: f32,
    /// From here on, at least `threshold`, it is believed without a challenge.
    pub sure: f32,
    /// What the lowest tenth of the frames must reach for that.
    pub dip: f32,
}
