//! What thresholds were calibrated for, and on what: with another net or another rule they mean nothing.

use serde::{Deserialize, Serialize};

use super::{Digest, EmbedderSpec};

/// As `examgate-lab calibrate --write` puts it beside the thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The embedding space.
    pub space: String,
    /// What embeds frames at the door.
    pub probe_artifact: Digest,
    /// What embeds enrolment photos.
    pub enrolment_artifact: Digest,
    /// The decision rule in words, as the session's policy gives it.
    pub rule: String,
    /// SHA-256 over the pictures.
    pub data: Digest,
    /// How many people they show.
    pub people: usize,
    /// How many there are.
    pub pictures: usize,
    /// The day it was measured.
    pub date: String,
    /// With which command.
    pub command: String,
}

impl Calibration {
    /// Whether it is of `probe` at the door, and of photos embedded by `enrolling`.
    pub(super) fn is_of(&self, probe: &EmbedderSpec, enrolling: &EmbedderSpec) -> bool {
        self.space == probe.space.as_str()
            && self.probe_artifact == probe.artifact().into()
            && self.enrolment_artifact == enrolling.photo_artifact().into()
    }
}
