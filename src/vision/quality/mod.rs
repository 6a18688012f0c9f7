//! How fit a face is for a comparison, in the spirit of ISO/IEC 29794-5: measured properties with unit and range, the defects that
//! follow from them, and one number to weigh frames with. Only what is clearly bad is a defect: a person must not be kept waiting for
//! a perfect picture.
//!
//! Which properties foretell a failed comparison, and which do not, is measured (`docs/biometrics.md`); those that do not are reported,
//! and nothing rests on them.

mod pixels;
mod pose;

use pixels::{Light, light, sharpness};
use pose::pose;

use super::{Face, ImageView};
use crate::domain::{Pose, QualityDefect};

/// What was measured on one face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Pixels of the picture between the eyes.
    pub eye_distance: f32,
    /// The same as a share of the picture's width.
    pub eye_share: f32,
    /// Head pose.
    pub pose: Pose,
    /// Most of the face's side that lies outside the picture, 0..=1.
    pub outside: f32,
    /// Mean luma of the aligned face, 0..=255.
    pub brightness: f32,
    /// Luma between the darkest and the brightest twentieth of the face, 0..=255.
    pub contrast: f32,
    /// Share of the face's pixels that are as good as black or white, 0..=1.
    pub clipped: f32,
    /// Mean luma of the darker side of the face over that of the brighter, 0..=1.
    pub evenness: f32,
    /// Variance of the Laplacian of the aligned face's luma, 0 and up: high for a sharp face.
    pub sharpness: f32,
    /// The detector's probability of a face, 0..=1.
    pub detection: f32,
    /// Probability that the eyes are open, 0..=1; none where that was not asked. Never a defect: narrow eyes would be one.
    pub eyes_open: Option<f32>,
    /// The worst defect, if any.
    pub defect: Option<QualityDefect>,
}

/// Which values of a property are good ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Best {
    /// The more the better.
    High,
    /// The nearer to this value the better.
    Near(f32),
}

/// One measured property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Its stable name.
    pub name: &'static str,
    /// Its unit; empty where it has none.
    pub unit: &'static str,
    /// Least and most it can be.
    pub range: [f32; 2],
    /// Which values are good.
    pub best: Best,
    /// What it is here.
    pub value: f32,
}

impl Component {
    /// Higher for the better of two values, whatever the unit.
    #[must_use]
    pub fn goodness(&self) -> f32 {
        match self.best {
            Best::High => self.value,
            Best::Near(best) => -(self.value - best).abs(),
        }
    }
}

/// Most that a variance of the Laplacian of 8-bit luma can be: half of its values at either end, 4 x 255.
const MOST_SHARPNESS: f32 = 1020.0 * 1020.0;

/// Pixels between the eyes of an aligned face: a smaller face holds less than its alignment shows.
const ALIGNED_EYES: f32 = 35.0;
/// Sharpness at which half of the weight is left: about where the small features of a face are gone.
const HALF_SHARP: f32 = 20.0;

impl Quality {
    /// One number to weigh frames with, 0..=1: the product of what size, pose, light and sharpness leave of an ideal face. Each factor is
    /// 1 where the property is good and falls with the information that is lost; none is fitted to a data set.
    #[must_use]
    pub fn score(&self) -> f32 {
        let size = (self.eye_distance / ALIGNED_EYES).min(1.0);
        let frontal = self.pose.yaw.to_radians().cos().max(0.0) * self.pose.pitch.to_radians().cos().max(0.0);
        let light = self.evenness * (1.0 - self.clipped);
        let sharp = self.sharpness / (self.sharpness + HALF_SHARP);
        (size * frontal * light * sharp * (1.0 - self.outside)).clamp(0.0, 1.0)
    }

    /// Every property that was measured.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let component = |name, unit, range, best, value| Component { name, unit, range, best, value };
        let angle = [-90.0, 90.0];
        let mut components = vec![
            component("eye_distance", "pixels", [0.0, 16384.0], Best::High, self.eye_distance),
            component("eye_share", "", [0.0, 1.0], Best::High, self.eye_share),
            component("yaw", "degrees", angle, Best::Near(0.0), self.pose.yaw),
            component("pitch", "degrees", angle, Best::Near(0.0), self.pose.pitch),
            component("roll", "degrees", [-180.0, 180.0], Best::Near(0.0), self.pose.roll),
            component("outside", "", [0.0, 1.0], Best::Near(0.0), self.outside),
            component("brightness", "luma", [0.0, 255.0], Best::Near(128.0), self.brightness),
            component("contrast", "luma", [0.0, 255.0], Best::High, self.contrast),
            component("clipped", "", [0.0, 1.0], Best::Near(0.0), self.clipped),
            component("evenness", "", [0.0, 1.0], Best::High, self.evenness),
            component("sharpness", "luma^2", [0.0, MOST_SHARPNESS], Best::High, self.sharpness),
            component("detection", "", [0.0, 1.0], Best::High, self.detection),
        ];
        components.extend(self.eyes_open.map(|open| component("eyes_open", "", [0.0, 1.0], Best::High, open)));
        components
    }
}

/// Beyond which a face is defective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityLimits {
    /// Least pixels between the eyes.
    pub eye_distance: f32,
    /// Most of the picture's width between the eyes.
    pub eye_share: f32,
    /// Most of the face's side outside the picture.
    pub outside: f32,
    /// Most yaw and pitch, degrees.
    pub turn: f32,
    /// Least and most mean luma.
    pub brightness: [f32; 2],
    /// Least sharpness.
    pub sharpness: f32,
}

impl QualityLimits {
    /// For frames at the door: beyond these a comparison is not fair.
    pub const FRAME: Self = Self {
        // The aligned face has 35; from half of that on, most of it is interpolation.
        eye_distance: 18.0,
        // Beyond, the liveness net sees no surroundings.
        eye_share: 0.4,
        outside: 0.1,
        // Beyond, one eye is nearly hidden.
        turn: 40.0,
        brightness: [30.0, 235.0],
        sharpness: 10.0,
    };

    /// The defects of a face, in the order in which a person can mend them.
    pub fn defects(&self, quality: &Quality) -> impl Iterator<Item = QualityDefect> + use<> {
        let Quality { eye_distance, eye_share, pose, outside, brightness, sharpness, .. } = *quality;
        [
            (eye_distance < self.eye_distance, QualityDefect::TooFar),
            (eye_share > self.eye_share, QualityDefect::TooClose),
            (outside > self.outside, QualityDefect::AtBorder),
            (pose.yaw.abs() > self.turn || pose.pitch.abs() > self.turn, QualityDefect::TurnedAway),
            (brightness < self.brightness[0], QualityDefect::TooDark),
            (brightness > self.brightness[1], QualityDefect::TooBright),
            (sharpness < self.sharpness, QualityDefect::Blurred),
        ]
        .into_iter()
        .filter_map(|(bad, defect)| bad.then_some(defect))
    }

    /// Judges `face` of `view`; `luma` is the aligned face, 112 rows of 112 values in 0..=255.
    pub(crate) fn judge(&self, view: &ImageView<'_>, face: &Face, luma: &[f32]) -> Quality {
        let Light { brightness, contrast, clipped, evenness } = light(luma);
        let (width, height) = (view.width() as f32, view.height() as f32);
        let b = &face.bounds;
        let outside =
            [-b.left / b.width(), (b.right - width) / b.width(), -b.top / b.height(), (b.bottom - height) / b.height()]
                .into_iter()
                .fold(0.0, f32::max)
                .min(1.0);
        let eye_distance = face.landmarks.eye_distance();
        let mut quality = Quality {
            eye_distance,
            eye_share: eye_distance / width,
            pose: pose(&face.landmarks),
            outside,
            brightness,
            contrast,
            clipped,
            evenness,
            sharpness: sharpness(luma),
            detection: face.score,
            eyes_open: None,
            defect: None,
        };
        quality.defect = self.defects(&quality).next();
        quality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::{Bounds, Colour, Landmarks, Point, align::SIDE};

    fn face(points: [(f32, f32); 5]) -> Face {
        Face {
            bounds: Bounds { left: 60.0, top: 60.0, right: 160.0, bottom: 180.0 },
            score: 1.0,
            landmarks: Landmarks(points.map(|(x, y)| Point { x, y })),
        }
    }

    const FRONTAL: [(f32, f32); 5] = [(90.0, 100.0), (130.0, 100.0), (110.0, 122.0), (94.0, 144.0), (126.0, 144.0)];

    fn sharp() -> Vec<f32> {
        (0..SIDE * SIDE).map(|i| if (i + i / SIDE).is_multiple_of(2) { 100.0 } else { 160.0 }).collect()
    }

    #[test]
    fn each_defect_is_named() {
        let pixels = vec![0; 640 * 480 * 3];
        let view = ImageView::new(&pixels, 640, 480, 1920, Colour::Rgb).unwrap();
        let moved = |f: fn((f32, f32)) -> (f32, f32)| face(FRONTAL.map(f));
        let mut cut = face(FRONTAL);
        cut.bounds.left = -20.0;
        let turned = face([FRONTAL[0], FRONTAL[1], (140.0, 122.0), FRONTAL[3], FRONTAL[4]]);
        for (face, luma, defect) in [
            (face(FRONTAL), sharp(), None),
            (moved(|(x, y)| (x / 4.0, y / 4.0)), sharp(), Some(QualityDefect::TooFar)),
            (moved(|(x, y)| (x * 8.0, y * 8.0)), sharp(), Some(QualityDefect::TooClose)),
            (cut, sharp(), Some(QualityDefect::AtBorder)),
            (turned, sharp(), Some(QualityDefect::TurnedAway)),
            (face(FRONTAL), vec![10.0; SIDE * SIDE], Some(QualityDefect::TooDark)),
            (face(FRONTAL), vec![250.0; SIDE * SIDE], Some(QualityDefect::TooBright)),
            (face(FRONTAL), vec![128.0; SIDE * SIDE], Some(QualityDefect::Blurred)),
        ] {
            assert_eq!(QualityLimits::FRAME.judge(&view, &face, &luma).defect, defect, "{face:?}");
        }
    }

    #[test]
    fn components_stay_in_their_ranges_and_know_the_better() {
        let pixels = vec![0; 640 * 480 * 3];
        let view = ImageView::new(&pixels, 640, 480, 1920, Colour::Rgb).unwrap();
        let mut outside = face(FRONTAL);
        outside.bounds.right = 2000.0;
        for (face, luma) in [(face(FRONTAL), sharp()), (outside, vec![0.0; SIDE * SIDE])] {
            for component in QualityLimits::FRAME.judge(&view, &face, &luma).components() {
                let [least, most] = component.range;
                assert!((least..=most).contains(&component.value), "{component:?}");
            }
        }
        let yaw = |value| Component { name: "yaw", unit: "", range: [-90.0, 90.0], best: Best::Near(0.0), value };
        assert!(yaw(-5.0).goodness() > yaw(8.0).goodness());
    }
}
