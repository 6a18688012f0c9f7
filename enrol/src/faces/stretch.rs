//! Whether a photo was made wider or higher than it was taken, as layouts and web forms do: the face's proportions say so.
//!
//! It says nothing of faces that are turned away, whose proportions cannot be seen.

use examgate::vision::{Face, Quality};

/// Degrees of yaw and pitch beyond which a face's proportions say nothing.
const FRONTAL: f32 = 25.0;
/// The detector's box is 0.74 as wide as high (0.66 to 0.83 of 98 in 100 people), and the eyes are 0.92 as far apart as they are from the mouth
/// (0.68 to 1.10). The product of the first with this power of the second tells stretched photos from others best: of an unstretched
/// one it is at most this, and at least. Chosen on LFW, decision 0061.
const WIDE: (f32, f32) = (0.25, 0.85);
const HIGH: (f32, f32) = (0.75, 0.59);
/// By how much, per degree of yaw, a face that is turned looks narrower, as a power of e.
const NARROWER: f32 = 0.0035;

/// Whether the face has proportions that hardly any unstretched photo has.
pub(super) fn is_stretched(face: &Face, quality: &Quality) -> bool {
    let yaw = quality.pose.yaw.abs();
    let (aspect, proportion) = (face.bounds.width() / face.bounds.height(), face.landmarks.proportion());
    let wide = aspect * proportion.powf(WIDE.0) > WIDE.1;
    let high = aspect * proportion.powf(HIGH.0) * (NARROWER * yaw).exp() < HIGH.1;
    yaw <= FRONTAL && quality.pose.pitch.abs() <= FRONTAL && (wide || high)
}

#[cfg(test)]
mod tests {
    use examgate::{
        domain::Pose,
        vision::{Bounds, Landmarks, Point},
    };

    use super::*;

    /// A face of usual proportions, `across` as wide and `along` as high.
    fn face(across: f32, along: f32) -> Face {
        let points = [(27.0, 40.0), (73.0, 40.0), (50.0, 65.0), (30.0, 90.0), (70.0, 90.0)];
        let bounds = Bounds { left: 13.0 * across, top: 0.0, right: 87.0 * across, bottom: 100.0 * along };
        Face { bounds, score: 1.0, landmarks: Landmarks(points.map(|(x, y)| Point { x: x * across, y: y * along })) }
    }

    fn turned(yaw: f32) -> Quality {
        Quality {
            eye_distance: 46.0,
            eye_share: 0.2,
            pose: Pose { yaw, pitch: 0.0, roll: 0.0 },
            outside: 0.0,
            brightness: 128.0,
            contrast: 100.0,
            clipped: 0.0,
            evenness: 1.0,
            sharpness: 100.0,
            detection: 1.0,
            eyes_open: None,
            defect: None,
        }
    }

    #[test]
    fn only_frontal_faces_far_from_the_usual_are_stretched() {
        for (across, along, yaw, wanted) in [
            (1.0, 1.0, 0.0, false),
            (1.1, 1.0, 0.0, false),
            (1.0, 1.05, 0.0, false),
            (1.5, 1.0, 0.0, true),
            (1.0, 1.5, 0.0, true),
            (3.0, 2.0, -20.0, true),
            (1.5, 1.0, 40.0, false),
            (1.0, 1.5, -40.0, false),
        ] {
            assert_eq!(is_stretched(&face(across, along), &turned(yaw)), wanted, "{across} {along} {yaw}");
        }
        let point = Face { bounds: Bounds::default(), ..face(0.0, 0.0) };
        assert!(!is_stretched(&point, &turned(0.0)), "what has no extent has no proportions");
    }
}
