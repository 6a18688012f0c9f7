//! Presentation-attack detection (PAD): evidence from one continuous face, fused over its frames.
//!
//! | cue | blocks | does not block |
//! |---|---|---|
//! | [`LivenessNet`](super::LivenessNet), mean and lowest tenth of the frames | prints and screens whose edges, texture or surroundings show | a screen close to the lens, a still fed as the picture |
//! | `stillness` | a picture without any motion: a photo on a stand, a still fed into the camera's line | anything that moves |
//! | `surroundings` | what a hand holds before the lens, a replayed clip too: nothing in it is static | a screen on a stand that replays a fixed camera's clip; a picture whose edges are in view |
//! | continuity (in the probe) | another face taking over the evidence | |
//! | a challenge (asked by the session) | a replayed clip that does not obey | a live person's mask, a puppet made by software |
//!
//! A passive cue can only lower the score. All cues must agree that the face is live; the first one that does not is recorded. A face in
//! doubt gets a score between the two thresholds, where the session asks for a head turn.

mod stillness;
mod surroundings;

pub use self::surroundings::has_backdrop;
use self::{stillness::Stillness, surroundings::Surroundings};
use super::{Face, ImageView, LivenessSpec};
use crate::domain::{Cue, MonoTime};

/// Liveness evidence of one continuous face.
#[derive(Debug, Default)]
pub(super) struct LivenessEvidence {
    /// The net's probabilities, in ascending order.
    net: Vec<f32>,
    stillness: Stillness,
    surroundings: Surroundings,
}

impl LivenessEvidence {
    /// Adds one usable frame with `face` in it, for which the net gave `probability`.
    pub(super) fn observe(&mut self, probability: f32, view: &ImageView<'_>, face: &Face, captured_at: MonoTime) {
        self.net.insert(self.net.partition_point(|&other| other < probability), probability);
        self.stillness.observe(view, face);
        self.surroundings.observe(view, face, captured_at);
    }

    /// The fused probability of a live face, and the cue that limits it: 0 before anything has moved, between `threshold` and `sure`
    /// while any cue is in doubt.
    pub(super) fn verdict(&self, spec: &LivenessSpec) -> (f32, Cue) {
        let mean = self.net.iter().sum::<f32>() / self.net.len().max(1) as f32;
        let lowest_tenth = self.net.get(self.net.len() / 10).copied().unwrap_or(0.0);
        let in_doubt = mean.min(f32::midpoint(spec.threshold, spec.sure));
        if mean < spec.threshold {
            (mean, Cue::Net)
        } else if !self.stillness.moved() {
            (0.0, Cue::Stillness)
        } else if lowest_tenth < spec.dip {
            (in_doubt, Cue::Dips)
        } else if !self.surroundings.are_static() {
            (in_doubt, Cue::Surroundings)
        } else {
            (mean, Cue::Net)
        }
    }
}
