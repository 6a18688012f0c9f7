//! Is a frame fit for a fair comparison? Only what is clearly bad is called bad: a person must not be kept waiting for a perfect picture.
//!
//! Never knows whose face it is, nor whether it is alive.

use super::{Face, ImageView, Landmarks, align::SIDE};
use crate::domain::{Pose, QualityDefect};

/// What was measured on one face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Pixels of the frame between the eyes.
    pub eye_distance: f32,
    /// Head pose.
    pub pose: Pose,
    /// Mean luma of the aligned face, 0..=255.
    pub brightness: f32,
    /// Variance of the Laplacian of the aligned face's luma: high for a sharp face.
    pub sharpness: f32,
    /// The worst defect, if any.
    pub defect: Option<QualityDefect>,
}

/// Beyond which a frame is defective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityLimits {
    /// Least pixels between the eyes. The aligned face has 35; from half of that on, most of it is interpolation.
    pub eye_distance: f32,
    /// Most of the picture's width between the eyes: beyond, the liveness net sees no surroundings.
    pub eye_share: f32,
    /// Most of the face's side outside the picture.
    pub outside: f32,
    /// Most yaw and pitch, degrees: beyond, one eye is nearly hidden.
    pub turn: f32,
    /// Least and most mean luma.
    pub brightness: [f32; 2],
    /// Least sharpness.
    pub sharpness: f32,
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            eye_distance: 18.0,
            eye_share: 0.4,
            outside: 0.1,
            turn: 40.0,
            brightness: [30.0, 235.0],
            sharpness: 10.0,
        }
    }
}

impl QualityLimits {
    /// Judges `face` of `view`; `luma` is the aligned face, 112 rows of 112 values in 0..=255.
    pub(crate) fn judge(&self, view: &ImageView<'_>, face: &Face, luma: &[f32]) -> Quality {
        let (eye_distance, pose) = (face.landmarks.eye_distance(), pose(&face.landmarks));
        let brightness = luma.iter().sum::<f32>() / luma.len().max(1) as f32;
        let sharpness = sharpness(luma);
        let (width, height) = (view.width() as f32, view.height() as f32);
        let b = &face.bounds;
        let outside =
            [-b.left / b.width(), (b.right - width) / b.width(), -b.top / b.height(), (b.bottom - height) / b.height()]
                .into_iter()
                .fold(0.0, f32::max);
        // In the order in which a person can mend them.
        let defect = [
            (eye_distance < self.eye_distance, QualityDefect::TooFar),
            (eye_distance > self.eye_share * width, QualityDefect::TooClose),
            (outside > self.outside, QualityDefect::AtBorder),
            (pose.yaw.abs() > self.turn || pose.pitch.abs() > self.turn, QualityDefect::TurnedAway),
            (brightness < self.brightness[0], QualityDefect::TooDark),
            (brightness > self.brightness[1], QualityDefect::TooBright),
            (sharpness < self.sharpness, QualityDefect::Blurred),
        ]
        .into_iter()
        .find_map(|(bad, defect)| bad.then_some(defect));
        Quality { eye_distance, pose, brightness, sharpness, defect }
    }
}

/// A guess from five points, good to some ten degrees. The nose's tip stands about 40 mm before the plane of the eyes, which are about
/// 63 mm apart and 68 mm above the mouth (means of ISO/TR 7250-2); seen frontally it lies halfway between eyes and mouth.
fn pose(Landmarks([left, right, nose, mouth_left, mouth_right]): &Landmarks) -> Pose {
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

/// Summed by columns, which the compiler turns into vector code.
fn sharpness(luma: &[f32]) -> f32 {
    let rows: Vec<&[f32]> = luma.chunks_exact(SIDE).collect();
    let (mut sums, mut squares) = ([0.0_f32; SIDE - 2], [0.0_f32; SIDE - 2]);
    for three in rows.windows(3) {
        let around = three[0][1..].iter().zip(&three[2][1..]).zip(three[1].windows(3));
        for (((above, below), row), (sum, square)) in around.zip(sums.iter_mut().zip(&mut squares)) {
            let laplacian = above + below + row[0] + row[2] - 4.0 * row[1];
            *sum += laplacian;
            *square += laplacian * laplacian;
        }
    }
    let n = ((SIDE - 2) * (SIDE - 2)) as f32;
    let mean = sums.iter().sum::<f32>() / n;
    squares.iter().sum::<f32>() / n - mean * mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::{Bounds, Colour, Point};

    fn face(points: [(f32, f32); 5]) -> Face {
        Face {
            bounds: Bounds { left: 60.0, top: 60.0, right: 160.0, bottom: 180.0 },
            score: 1.0,
            landmarks: Landmarks(points.map(|(x, y)| Point { x, y })),
        }
    }

    const FRONTAL: [(f32, f32); 5] = [(90.0, 100.0), (130.0, 100.0), (110.0, 122.0), (94.0, 144.0), (126.0, 144.0)];

    #[test]
    fn pose_of_five_points() {
        let frontal = pose(&face(FRONTAL).landmarks);
        for angle in [frontal.yaw, frontal.pitch, frontal.roll] {
            assert!(angle.abs() < 1.0, "{frontal:?}");
        }
        let nose = |x, y| pose(&face([FRONTAL[0], FRONTAL[1], (x, y), FRONTAL[3], FRONTAL[4]]).landmarks);
        assert!(nose(125.0, 122.0).yaw > 20.0, "to the picture's right");
        assert!(nose(95.0, 122.0).yaw < -20.0, "to the picture's left");
        assert!(nose(110.0, 137.0).pitch > 20.0, "down");
        let tilted = FRONTAL.map(|(x, y)| (110.0 - (y - 100.0), 100.0 + (x - 110.0)));
        let tilted = pose(&face(tilted).landmarks);
        assert!((tilted.roll - 90.0).abs() < 1.0 && tilted.yaw.abs() < 1.0, "{tilted:?}");
    }

    #[test]
    fn each_defect_is_named() {
        let sharp: Vec<f32> =
            (0..SIDE * SIDE).map(|i| if (i + i / SIDE).is_multiple_of(2) { 100.0 } else { 160.0 }).collect();
        let pixels = vec![0; 640 * 480 * 3];
        let view = ImageView::new(&pixels, 640, 480, 1920, Colour::Rgb).unwrap();
        let limits = QualityLimits::default();
        let moved = |f: fn((f32, f32)) -> (f32, f32)| face(FRONTAL.map(f));
        let mut cut = face(FRONTAL);
        cut.bounds.left = -20.0;
        let turned = face([FRONTAL[0], FRONTAL[1], (140.0, 122.0), FRONTAL[3], FRONTAL[4]]);
        for (face, luma, defect) in [
            (face(FRONTAL), sharp.clone(), None),
            (moved(|(x, y)| (x / 4.0, y / 4.0)), sharp.clone(), Some(QualityDefect::TooFar)),
            (moved(|(x, y)| (x * 8.0, y * 8.0)), sharp.clone(), Some(QualityDefect::TooClose)),
            (cut, sharp.clone(), Some(QualityDefect::AtBorder)),
            (turned, sharp.clone(), Some(QualityDefect::TurnedAway)),
            (face(FRONTAL), vec![10.0; SIDE * SIDE], Some(QualityDefect::TooDark)),
            (face(FRONTAL), vec![250.0; SIDE * SIDE], Some(QualityDefect::TooBright)),
            (face(FRONTAL), vec![128.0; SIDE * SIDE], Some(QualityDefect::Blurred)),
        ] {
            assert_eq!(limits.judge(&view, &face, &luma).defect, defect, "{face:?}");
        }
    }
}
