//! Where the head points, from five landmarks.

use crate::{domain::Pose, vision::Landmarks};

/// A guess from five points, good to some ten degrees. The nose's tip stands about 40 mm before the plane of the eyes, which are about
/// 63 mm apart and 68 mm above the mouth (means of ISO/TR 7250-2); seen frontally it lies halfway between eyes and mouth.
pub(super) fn pose(Landmarks([left, right, nose, mouth_left, mouth_right]): &Landmarks) -> Pose {
    let roll = (right.y - left.y).atan2(right.x - left.x);
    let (sin, cos) = roll.sin_cos();
    // In the head's own axes: across from the middle of the eyes, down from it, in halves of the eyes' distance.
    let half = (right.x - left.x).hypot(right.y - left.y).max(1.0) / 2.0;
    let turned = |x: f32, y: f32| {
        let (x, y) = (x - (left.x + right.x) / 2.0, y - (left.y + right.y) / 2.0);
        ((x * cos + y * sin) / half, (y * cos - x * sin) / half)
    };
    let (across, down) = turned(nose.x, nose.y);
    let (_, mouth) = turned((mouth_left.x + mouth_right.x) / 2.0, (mouth_left.y + mouth_right.y) / 2.0);
    let yaw = (across * 31.5 / 40.0).atan();
    let pitch = ((down / mouth.max(0.1) - 0.5) * 68.0 / 40.0).atan();
    Pose { yaw: yaw.to_degrees(), pitch: pitch.to_degrees(), roll: roll.to_degrees() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::Point;

    fn landmarks(points: [(f32, f32); 5]) -> Landmarks {
        Landmarks(points.map(|(x, y)| Point { x, y }))
    }

    const FRONTAL: [(f32, f32); 5] = [(90.0, 100.0), (130.0, 100.0), (110.0, 122.0), (94.0, 144.0), (126.0, 144.0)];

    #[test]
    fn pose_of_five_points() {
        let frontal = pose(&landmarks(FRONTAL));
        for angle in [frontal.yaw, frontal.pitch, frontal.roll] {
            assert!(angle.abs() < 1.0, "{frontal:?}");
        }
        let nose = |x, y| pose(&landmarks([FRONTAL[0], FRONTAL[1], (x, y), FRONTAL[3], FRONTAL[4]]));
        assert!(nose(125.0, 122.0).yaw > 20.0, "to the picture's right");
        assert!(nose(95.0, 122.0).yaw < -20.0, "to the picture's left");
        assert!(nose(110.0, 137.0).pitch > 20.0, "down");
        let tilted = FRONTAL.map(|(x, y)| (110.0 - (y - 100.0), 100.0 + (x - 110.0)));
        let tilted = pose(&landmarks(tilted));
        assert!((tilted.roll - 90.0).abs() < 1.0 && tilted.yaw.abs() < 1.0, "{tilted:?}");
    }
}
