//! Brings a face into the middle of its window, and looks for points in doubt in several windows.

use super::{
    Candidate, Detector, Shape,
    boxes::{Against, outside, overlap, squared},
};
use crate::vision::{Bounds, Face, ImageView, InferenceError, Landmarks, Point};

/// How hard a face's points are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// A frame at the door, of which the next one follows at once: in several windows only where they are in doubt.
    Frame,
    /// A photo that is enrolled once and compared ever after: always.
    Photo,
}

/// How a face that lies askew in its window is brought into the middle of one. There the third net is sure of the face and wrong about its
/// points: it looks again, in a window around the face's box. The published detector gets round this by handing it about eight windows of
/// each face and keeping the surest.
struct Settling {
    /// Least overlap (intersection over union) of the squared box with the window in which the face was found.
    overlap: f32,
    /// Looks more, at most.
    looks: usize,
}

/// Nearly all faces settle after one more look.
const USUALLY: Settling = Settling { overlap: 0.8, looks: 2 };
/// Before the points are looked for in several windows, which lie around the box.
const CAREFULLY: Settling = Settling { overlap: 0.9, looks: 3 };
/// Least overlap with what was found at first, if it is the same face: a window that is moved and moved again may drift to the face beside.
const SAME: f32 = 0.5;
/// [`Shape::strangeness`] from which on a face's points are in doubt.
const STRANGE: f32 = 5.0;
/// Least overlap of what two windows show, if it is the same face seen in the same way.
const ALIKE: f32 = 0.8;
/// How often windows are laid around a face, at most: again where it turned out to be elsewhere.
const ROUNDS: usize = 2;
/// The windows in which points in doubt are looked for: how far they are moved, and by how much the last two are larger and smaller, in
/// shares of their side. The points are the medians.
const AROUND: [(f32, f32, f32); 7] = [
    (0.0, 0.0, 1.0),
    (0.08, 0.0, 1.0),
    (-0.08, 0.0, 1.0),
    (0.0, 0.08, 1.0),
    (0.0, -0.08, 1.0),
    (0.0, 0.0, 1.08),
    (0.0, 0.0, 0.92),
];
/// Share of a face's side outside the picture beyond which nobody looks again. Black beside a face that is cut off pulls the box inwards,
/// and that it is cut off must be seen (`QualityLimits::outside`).
const CUT_OFF: f32 = 0.1;

impl Detector {
    /// A face that was found in a window, with the points that count.
    pub(super) fn points(
        &mut self,
        view: &ImageView<'_>,
        found: (Bounds, Face),
        threshold: f32,
        care: Care,
    ) -> Result<Face, InferenceError> {
        let first = found.1.bounds;
        let settled = self.settle(view, found, &first, threshold, &USUALLY)?;
        let in_doubt = care == Care::Photo || Shape::of(&settled.1).strangeness() > STRANGE;
        let edges = (view.width() as f32, view.height() as f32);
        if !in_doubt || outside(&settled.1.bounds, edges) > CUT_OFF {
            return Ok(settled.1);
        }
        let anchor = settled.1.bounds;
        let (_, face) = self.settle(view, settled, &anchor, threshold, &CAREFULLY)?;
        self.agreed(view, face, &anchor, threshold)
    }

    /// A face, which was found in a window, as it is seen in one that it lies in as it should. It stays where it is the same as `anchor`.
    fn settle(
        &mut self,
        view: &ImageView<'_>,
        (mut window, mut face): (Bounds, Face),
        anchor: &Bounds,
        threshold: f32,
        how: &Settling,
    ) -> Result<(Bounds, Face), InferenceError> {
        let edges = (view.width() as f32, view.height() as f32);
        for _ in 0..how.looks {
            if outside(&face.bounds, edges) > CUT_OFF {
                break;
            }
            let around = Candidate { bounds: squared(&face.bounds), score: face.score };
            if overlap(&around.bounds, &window, Against::Union) >= how.overlap {
                break;
            }
            // Seen better it may be no face: then the look before stands, as it did. So it does where another face came into the window.
            match self.look(view, &[around], threshold)?.first() {
                Some(&seen) if overlap(&seen.1.bounds, anchor, Against::Union) >= SAME => (window, face) = seen,
                Some(_) | None => break,
            }
        }
        Ok((window, face))
    }

    /// `face` as several windows around it agree that it is. Where they see several faces, as where two overlap, it is the likeliest one that is
    /// the same as `anchor`.
    fn agreed(
        &mut self,
        view: &ImageView<'_>,
        mut face: Face,
        anchor: &Bounds,
        threshold: f32,
    ) -> Result<Face, InferenceError> {
        for _ in 0..ROUNDS {
            let windows = around(&face);
            let seen = self.look(view, &windows, threshold)?.into_iter().map(|(_, face)| face);
            let seen: Vec<Face> = seen.filter(|seen| overlap(&seen.bounds, anchor, Against::Union) >= SAME).collect();
            let strangeness = |face: &Face| Shape::of(face).strangeness();
            let Some(likeliest) = seen.iter().min_by(|a, b| strangeness(a).total_cmp(&strangeness(b))) else { break };
            let alike: Vec<Face> = seen
                .iter()
                .filter(|seen| overlap(&seen.bounds, &likeliest.bounds, Against::Union) >= ALIKE)
                .copied()
                .collect();
            let before = face.bounds;
            face = Face { score: face.score, ..middle_of(&alike) };
            if overlap(&before, &face.bounds, Against::Union) >= ALIKE {
                break;
            }
        }
        Ok(face)
    }
}

/// The windows [`AROUND`] a face.
fn around(face: &Face) -> [Candidate; 7] {
    let (side, middle) = (squared(&face.bounds).width(), face.bounds.centre());
    AROUND.map(|(right, down, scale)| {
        let half = (scale * side / 2.0).round();
        let (x, y) = ((middle.x + right * side).round(), (middle.y + down * side).round());
        let bounds = Bounds { left: x - half, top: y - half, right: x + half, bottom: y + half };
        Candidate { bounds, score: face.score }
    })
}

/// The medians of box and points over `faces`, of which there is one at least; with the first one's score.
fn middle_of(faces: &[Face]) -> Face {
    let of = |part: &dyn Fn(&Face) -> f32| median(faces.iter().map(part).collect());
    let point = |p: usize| Point { x: of(&|f| f.landmarks.0[p].x), y: of(&|f| f.landmarks.0[p].y) };
    Face {
        bounds: Bounds {
            left: of(&|f| f.bounds.left),
            top: of(&|f| f.bounds.top),
            right: of(&|f| f.bounds.right),
            bottom: of(&|f| f.bounds.bottom),
        },
        score: faces[0].score,
        landmarks: Landmarks(std::array::from_fn(point)),
    }
}

/// The middle one of `values`, or the mean of the two in the middle; there is one at least.
fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f32::midpoint(values[half - 1], values[half]) }
}
