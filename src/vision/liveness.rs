//! Presentation attacks: does the surroundings of the face look like a person before the camera, or like a print or a screen?
//!
//! Blocks most prints and screens held at arm's length. Does not block a screen so close that its edges leave the frame, nor a mask;
//! one frame is weak evidence, the mean over the frames of a session is better.

use super::{
    Bounds, Face, ImageView, LivenessSpec, VisionError,
    placement::Placement,
    resample::{Axis, Scratch, resample},
    runtime::Net,
};

/// The net and its buffers.
pub struct LivenessNet {
    net: Net,
    spec: LivenessSpec,
    input: Vec<f32>,
    columns: Axis,
    rows: Axis,
    scratch: Scratch,
}

impl LivenessNet {
    pub(crate) fn new(net: Net, spec: LivenessSpec) -> Self {
        Self {
            net,
            spec,
            input: Vec::new(),
            columns: Axis::default(),
            rows: Axis::default(),
            scratch: Scratch::default(),
        }
    }

    /// Probability of a live face, 0..=1.
    ///
    /// # Errors
    /// When the face has no area, or the net fails or answers in another shape.
    pub fn assess(&mut self, view: &ImageView<'_>, face: &Face) -> Result<f32, VisionError> {
        let Self { net, spec, input, columns, rows, scratch } = self;
        let place = Placement::new(&spec.net.input, spec.net.input.width, spec.net.input.height, view.colour());
        let [(left, width), (top, height)] =
            surroundings(&face.bounds, spec.crop_scale, view.width(), view.height()).ok_or(VisionError::NoExtent)?;
        columns.linear(left as i64, width, place.width, view.width());
        rows.linear(top as i64, height, place.height, view.height());
        input.resize(place.len(), 0.0);
        resample(view, columns, rows, &place, scratch, input);
        let outputs = net.run(place.shape(1), input)?;
        let least = spec.live_index + 1;
        let (_, logits) = outputs.get(
            &spec.logits,
            &format!("1 x at least {least}"),
            |shape| matches!(shape, [1, classes] if *classes >= least as i64),
        )?;
        Ok(softmax(logits, spec.live_index))
    }

    /// What its probabilities mean, by the manifest.
    #[must_use]
    pub const fn spec(&self) -> &LivenessSpec {
        &self.spec
    }

    #[cfg(feature = "sim")]
    pub(crate) const fn net(&mut self) -> &mut Net {
        &mut self.net
    }
}

/// First pixel and pixels, across and down, of the crop: `scale` times the face around its middle; smaller where the picture is
/// smaller, moved inside where it would reach out. The net learned from crops made like that (Minivision's Silent-Face-Anti-Spoofing).
/// None for a face without area, or one that is not in the picture.
fn surroundings(face: &Bounds, scale: f32, width: usize, height: usize) -> Option<[(usize, usize); 2]> {
    let (wide, high) = (face.width(), face.height());
    let scale = scale.min((width - 1) as f32 / wide).min((height - 1) as f32 / high);
    let place = |middle: f32, side: f32, limit: usize| {
        let extent = ((side * scale) as usize).clamp(1, limit);
        let first = (middle - side * scale / 2.0).max(0.0) as usize;
        (first.min(limit - extent), extent)
    };
    let middle = face.centre();
    let finite = [wide, high, scale, middle.x, middle.y].into_iter().all(f32::is_finite);
    (finite && wide >= 1.0 && high >= 1.0).then(|| [place(middle.x, wide, width), place(middle.y, high, height)])
}

fn softmax(logits: &[f32], index: usize) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|l| (l - max).exp()).sum();
    let share = (logits[index] - max).exp() / sum;
    if share.is_finite() { share } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crop_stays_inside_the_picture() {
        let face = |left: f32, top: f32, side: f32| Bounds { left, top, right: left + side, bottom: top + side };
        for (face, crop) in [
            (face(300.0, 200.0, 100.0), Some([(215, 270), (115, 270)])),
            (face(0.0, 0.0, 100.0), Some([(0, 270), (0, 270)])),
            (face(560.0, 400.0, 100.0), Some([(370, 270), (210, 270)])),
            (face(200.0, 100.0, 300.0), Some([(110, 479), (1, 479)])),
            (face(-50.0, -50.0, 100.0), Some([(0, 270), (0, 270)])),
            (face(10.0, 10.0, 0.0), None),
            (face(f32::NAN, 10.0, 50.0), None),
        ] {
            assert_eq!(surroundings(&face, 2.7, 640, 480), crop, "{face:?}");
        }
    }

    #[test]
    fn softmax_of_logits() {
        for (logits, share) in [([0.0, 0.0, 0.0], 1.0 / 3.0), ([1000.0, 0.0, 0.0], 1.0), ([f32::NAN, 0.0, 0.0], 0.0)] {
            assert!((softmax(&logits, 0) - share).abs() < 1e-6, "{logits:?}");
        }
    }
}
