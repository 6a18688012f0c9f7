//! Frame to faces to numbers: decode, detect, align, judge quality and liveness, embed; and the [`Probe`] of one session.
//!
//! ```text
//! bytes -> Image -> Pipeline::detect -> Face -> align -> embed -> Template -> Probe -> domain::Observation
//!                                            \-> liveness, quality; of an enrolment photo also eyes
//! ```
//!
//! Which nets play which part, what they eat and what their scores mean stands in `models/manifest.toml`; nothing is loaded
//! that does not hash as written there.
//!
//! Inputs are pixels and templates, outputs are numbers: students, decisions, cameras and clocks belong to other rooms.

mod align;
mod decode;
mod detect;
mod embed;
mod eyes;
mod face;
mod fusion;
mod liveness;
mod manifest;
mod pad;
mod picture;
mod pipeline;
mod placement;
mod probe;
mod quality;
mod resample;
mod runtime;
#[cfg(test)]
mod tests;
mod trial;

pub use decode::{DecodeError, decode_file, decode_mjpeg, decode_yuyv};
pub use detect::{Candidate, Detector, Shape};
pub use embed::Embedder;
pub use face::{Bounds, Face, Landmarks, Point};
pub use fusion::Fusion;
pub use liveness::LivenessNet;
pub use manifest::{
    Calibration, Colour, Digest, EmbedderSpec, EyesSpec, InputSpec, Layout, LivenessSpec, Loss, Manifest,
    ManifestError, MatchThresholds, NetSpec, Provider, RuntimeFile, RuntimeSpec, Source, StageSpec, StandIn, Tuned,
    Tuning, TuningError, VerifiedModels, VerifyError,
};
pub use pad::has_backdrop;
pub use picture::{Image, ImageView, PictureError, Turn};
pub use pipeline::{Options, Pipeline, VisionError};
pub use probe::Probe;
pub use quality::{Best, Component, Quality, QualityLimits};
#[cfg(feature = "sim")]
pub use runtime::Tape;
pub use runtime::{InferenceError, ProviderReport, Runtime, RuntimeError};
pub use trial::Trial;
