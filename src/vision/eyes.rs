//! Are the eyes of a face open? Asked of enrolment photos alone, as a remark for the person who looks through them.
//!
//! Tells most closed and deeply lowered eyes. Says the same of dark glasses, of eyes in shadow and of narrow eyes that are open (of one
//! man in a third of a clip's frames), and the net's training data are unknown: so it never runs at a door, nobody is told to open their
//! eyes by it, and no photo is refused for it.
//!
//! A blink is no proof of life, a replayed clip blinks too.

use super::{
    EyesSpec, Face, ImageView, Landmarks, Point, VisionError,
    align::{Similar, lay},
    placement::Placement,
    runtime::Net,
};

/// The net and its buffer.
pub(crate) struct EyesNet {
    net: Net,
    spec: EyesSpec,
    input: Vec<f32>,
}

impl EyesNet {
    pub(crate) fn new(net: Net, spec: EyesSpec) -> Self {
        Self { net, spec, input: Vec::new() }
    }

    /// What its probabilities mean, by the manifest.
    pub(crate) const fn spec(&self) -> &EyesSpec {
        &self.spec
    }

    /// Probability that the eyes are open, 0..=1, from the mean log-odds of both eyes, each as it is and mirrored. One eye alone is too
    /// often hidden, turned away or in the shade; and a person who winks has not closed their eyes.
    ///
    /// # Errors
    /// When both eyes are one point, or the net fails or answers in another shape.
    pub(crate) fn open(&mut self, view: &ImageView<'_>, face: &Face) -> Result<f32, VisionError> {
        let Self { net, spec, input } = self;
        let place = Placement::new(&spec.net.input, spec.net.input.width, spec.net.input.height, view.colour());
        input.resize(place.len(), 0.0);
        let mut odds = 0.0;
        for crop in crops(&face.landmarks, spec.side, &place).ok_or(VisionError::NoExtent)? {
            lay(view, &crop, &place, input);
            for _ in 0..2 {
                let outputs = net.run(place.shape(1), input)?;
                let (_, logits) = outputs.get(&spec.logits, "1 x 2", |shape| shape == [1, 2])?;
                odds += (logits[1 - spec.closed_index] - logits[spec.closed_index]) / 4.0;
                place.mirror(input);
            }
        }
        let open = 1.0 / (1.0 + (-odds).exp());
        Ok(if open.is_finite() { open } else { 0.0 })
    }
}

/// From the cells of `place` to the picture, for each eye: a square of `side` distances of the eyes around it, turned so that the line
/// through both is level. None if they are one point.
fn crops(landmarks: &Landmarks, side: f32, place: &Placement) -> Option<[Similar; 2]> {
    let [left, right, ..] = landmarks.0;
    let (across, down) = (f64::from(right.x - left.x), f64::from(right.y - left.y));
    let scale = f64::from(side) / place.width as f64;
    let (a, b) = (across * scale, down * scale);
    let (x, y) = ((place.width - 1) as f64 / 2.0, (place.height - 1) as f64 / 2.0);
    let around =
        |eye: Point| Similar { a, b, tx: f64::from(eye.x) - a * x + b * y, ty: f64::from(eye.y) - b * x - a * y };
    (a * a + b * b).is_normal().then(|| [left, right].map(around))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::{Colour, InputSpec, Layout};

    fn place() -> Placement {
        let name = "image".into();
        let (layout, colour) = (Layout::Nchw, Colour::Rgb);
        let input =
            InputSpec { name, any_size: false, layout, colour, width: 24, height: 24, subtract: 0.0, scale: 1.0 };
        Placement::new(&input, 24, 24, Colour::Rgb)
    }

    #[test]
    fn each_eye_is_in_the_middle_of_its_crop_and_level() {
        for (left, right) in [((100.0, 50.0), (160.0, 50.0)), ((10.0, 90.0), (50.0, 60.0)), ((9.0, 9.0), (9.0, 49.0))] {
            let eyes = [left, right].map(|(x, y)| Point { x, y });
            let landmarks = Landmarks([eyes[0], eyes[1], Point::default(), Point::default(), Point::default()]);
            let distance = f64::from(landmarks.eye_distance());
            let near = |found: (f64, f64), x: f64, y: f64| (found.0 - x).hypot(found.1 - y) < 1e-3;
            for (crop, eye) in crops(&landmarks, 0.7, &place()).unwrap().iter().zip(eyes) {
                assert!(near(crop.apply(11.5, 11.5), eye.x.into(), eye.y.into()), "{landmarks:?}");
                // A crop and a bit to the right of the left eye's middle, by 1 / 0.7, lies the right eye.
                let (u, v) = (f64::from(right.0 - left.0) / distance, f64::from(right.1 - left.1) / distance);
                let edge = 0.35 * distance;
                let (x, y) = (f64::from(eye.x) + u * edge, f64::from(eye.y) + v * edge);
                assert!(near(crop.apply(23.5, 11.5), x, y), "{landmarks:?}");
            }
        }
    }

    #[test]
    fn eyes_in_one_point_or_nowhere_are_refused() {
        for x in [0.0, f32::NAN, f32::INFINITY] {
            let mut points = [Point::default(); 5];
            points[1].x = x;
            assert!(crops(&Landmarks(points), 0.7, &place()).is_none(), "{x}");
        }
    }
}
