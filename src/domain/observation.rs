//! What one camera frame said about the person at the door, in numbers: no pixels, no embeddings.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{MonoTime, QualityDefect, Similarity};

/// Head pose guessed from five landmarks, degrees. Zero looks straight into the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Turn to a side; positive to the picture's right.
    pub yaw: f32,
    /// Nod; positive downwards.
    pub pitch: f32,
    /// Tilt in the picture plane; positive clockwise.
    pub roll: f32,
}

/// Whether this frame's face is the one seen before in this session, judged by its embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuity {
    /// The first face of the session.
    First,
    /// The same face as before.
    Same,
    /// Another face than before: all evidence so far is void and starts again with this frame.
    Changed,
}

/// The cue that a liveness verdict hangs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cue {
    /// The presentation-attack net's mean over the frames.
    #[default]
    Net,
    /// Single frames that the net takes for an attack, though the mean is high.
    Dips,
    /// Nothing has moved.
    Stillness,
    /// The head did not move, or not before surroundings that stand. Events of before name the cue that stood here then.
    #[serde(alias = "plane")]
    Surroundings,
    /// The turns that were asked for.
    Challenge,
}

/// The one face in a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceSeen {
    /// Distance between the eyes in pixels of the frame.
    pub eye_distance: f32,
    /// Head pose.
    pub pose: Pose,
    /// What makes the frame unfit for a fair comparison, if anything. Such a frame is not evidence.
    pub defect: Option<QualityDefect>,
    /// Probability of a live face, 0..=1, fused over this face's frames so far, this one included.
    pub liveness: f32,
    /// What that probability hangs on.
    pub cue: Cue,
    /// Similarity of the session's fused probe, this frame included, to the student's templates.
    pub similarity: Similarity,
    /// Whether it is still one and the same face.
    pub continuity: Continuity,
}

/// Everything the session learns from one frame. Every observation rests on a full detection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When the frame was captured.
    pub captured_at: MonoTime,
    /// Faces found.
    pub faces: u32,
    /// The face, where there is exactly one.
    pub face: Option<FaceSeen>,
}

impl fmt::Display for Continuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Same => "same",
            Self::Changed => "changed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_before_are_still_read() {
        for (written, cue) in [("\"plane\"", Cue::Surroundings), ("\"surroundings\"", Cue::Surroundings)] {
            assert_eq!(serde_json::from_str::<Cue>(written).unwrap(), cue);
        }
        assert_eq!(serde_json::to_string(&Cue::Surroundings).unwrap(), "\"surroundings\"");
    }
}
