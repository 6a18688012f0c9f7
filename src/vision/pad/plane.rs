//! Whether the face ever moves as nothing flat can: speaks, blinks, turns, so that its parts shift against each other.
//!
//! The face of the first frame is kept as 32x32 means around the landmarks; each later one is registered onto it by the
//! projective map that fits best (inverse compositional Gauss-Newton: Baker and Matthews, IJCV 56(3), 2004). A view of a flat
//! thing is a projective map of any other view of it, so nothing but noise is left over; of a head, expression and depth are.
//! Brightness and contrast are taken out first.
//!
//! Blocks: a print, or a still on a screen, held, waved, tilted or brought close. Does not block: a replayed clip (it moves
//! by itself), a print that is bent meanwhile, an animation. A person who sits like a statue looks flat for as long.

use super::super::{
    Face, ImageView,
    align::{Similar, TEMPLATE},
};

/// Cells a side.
const SIDE: usize = 32;
/// Cells left out around, so that a registered face still lies inside.
const MARGIN: usize = 4;
/// Pixels of the aligned face (112 a side) that a cell covers, and where the first begins.
const CELL: f64 = 3.0;
const ORIGIN: (f64, f64) = (8.0, 16.0);
/// Samples a cell and direction.
const SAMPLES: usize = 4;
/// Steps of the registration, at most.
const STEPS: usize = 15;

/// What may be left over of a flat thing (root mean square, in units of the face's own contrast).
const FLAT: f32 = 0.12;
/// Frames that must leave more than that.
const FRAMES: u32 = 3;

/// Follows one face over the frames of a session.
#[derive(Debug, Default)]
pub(super) struct Plane {
    first: Option<Box<Reference>>,
    beyond: u32,
}

type Patch = [f32; SIDE * SIDE];

impl Plane {
    /// Takes one frame with `face` in it.
    pub(super) fn observe(&mut self, view: &ImageView<'_>, face: &Face) {
        let Some(patch) = patch(view, face) else { return };
        match &self.first {
            None => self.first = Reference::new(&patch).map(Box::new),
            Some(first) => self.beyond += u32::from(first.left_over(&patch) > FLAT),
        }
    }

    /// Whether the face has left the plane it began in.
    pub(super) const fn left(&self) -> bool {
        self.beyond >= FRAMES
    }
}

/// The face around its landmarks, from one channel; none where it has no extent.
fn patch(view: &ImageView<'_>, face: &Face) -> Option<Patch> {
    let back = Similar::estimate(&face.landmarks.0, &TEMPLATE)?.inverse();
    let mut patch = [0.0; SIDE * SIDE];
    let (right, bottom) = ((view.width() - 1) as f64, (view.height() - 1) as f64);
    let step = CELL / SAMPLES as f64;
    for row in 0..SIDE * SAMPLES {
        for column in 0..SIDE * SAMPLES {
            let (x, y) = back.apply(ORIGIN.0 + column as f64 * step, ORIGIN.1 + row as f64 * step);
            // Green, the second channel in either order, carries most of the light. NaN becomes 0.
            let (x, y) = (x.clamp(0.0, right).round() as usize, y.clamp(0.0, bottom).round() as usize);
            patch[row / SAMPLES * SIDE + column / SAMPLES] += f32::from(view.row(y)[3 * x + 1]);
        }
    }
    Some(patch)
}

/// Rows and columns that are compared.
fn inner() -> impl Iterator<Item = (usize, usize)> {
    (MARGIN..SIDE - MARGIN).flat_map(|y| (MARGIN..SIDE - MARGIN).map(move |x| (x, y)))
}

const INNER: usize = (SIDE - 2 * MARGIN) * (SIDE - 2 * MARGIN);

/// The first face, and what does not change while others are registered onto it.
#[derive(Debug)]
struct Reference {
    values: [f32; INNER],
    /// How each value changes with the eight parameters of a projective map.
    steepest: [[f32; 8]; INNER],
    /// Inverse of the Gauss-Newton matrix.
    inverse: [[f64; 8]; 8],
}

impl Reference {
    /// None for a face without contrast.
    fn new(patch: &Patch) -> Option<Self> {
        let mut values = [0.0; INNER];
        for (value, (x, y)) in values.iter_mut().zip(inner()) {
            *value = patch[y * SIDE + x];
        }
        let contrast = normalise(&mut values)?;
        let mut steepest = [[0.0; 8]; INNER];
        let mut matrix = [[0.0; 8]; 8];
        for (row, (x, y)) in steepest.iter_mut().zip(inner()) {
            let at = y * SIDE + x;
            let (gx, gy) = (
                (patch[at + 1] - patch[at - 1]) / (2.0 * contrast),
                (patch[at + SIDE] - patch[at - SIDE]) / (2.0 * contrast),
            );
            let (u, v) = centred(x, y);
            *row = [gx * u, gx * v, gx, gy * u, gy * v, gy, -u * (gx * u + gy * v), -v * (gx * u + gy * v)];
            for (sums, &a) in matrix.iter_mut().zip(&*row) {
                for (sum, &b) in sums.iter_mut().zip(&*row) {
                    *sum += f64::from(a) * f64::from(b);
                }
            }
        }
        Some(Self { values, steepest, inverse: invert(matrix)? })
    }

    /// What the best projective map of `patch` leaves over, 0 to 2.
    fn left_over(&self, patch: &Patch) -> f32 {
        let mut warp = IDENTITY;
        let mut least = 2.0_f32;
        for _ in 0..STEPS {
            let mut warped = [0.0; INNER];
            for (value, (x, y)) in warped.iter_mut().zip(inner()) {
                *value = sample(patch, &warp, centred(x, y));
            }
            if normalise(&mut warped).is_none() {
                break;
            }
            let mut gradient = [0.0_f64; 8];
            let mut squares = 0.0;
            for ((row, &now), &then) in self.steepest.iter().zip(&warped).zip(&self.values) {
                let error = now - then;
                squares += error * error;
                for (sum, &slope) in gradient.iter_mut().zip(row) {
                    *sum += f64::from(slope * error);
                }
            }
            least = least.min((squares / INNER as f32).sqrt());
            let step = self.inverse.map(|row| row.iter().zip(&gradient).map(|(a, b)| a * b).sum::<f64>());
            let Some(next) = compose(&warp, &step) else { break };
            warp = next;
            if step.iter().all(|p| p.abs() < 1e-4) {
                break;
            }
        }
        least
    }
}

/// Row by row; acts on [`centred`] coordinates.
type Warp = [f64; 9];
const IDENTITY: Warp = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// Cells from the middle in units of half the patch, so that all eight parameters have one size; gradients are per cell.
fn centred(x: usize, y: usize) -> (f32, f32) {
    let half = SIDE as f32 / 2.0;
    ((x as f32 + 0.5 - half) / half, (y as f32 + 0.5 - half) / half)
}

fn sample(patch: &Patch, warp: &Warp, (u, v): (f32, f32)) -> f32 {
    let (u, v) = (f64::from(u), f64::from(v));
    let w = warp[6] * u + warp[7] * v + warp[8];
    let half = SIDE as f64 / 2.0;
    let place = |p: f64| (((p / w) * half + half - 0.5) as f32).clamp(0.0, (SIDE - 1) as f32);
    let (x, y) = (place(warp[0] * u + warp[1] * v + warp[2]), place(warp[3] * u + warp[4] * v + warp[5]));
    let (left, top) = ((x as usize).min(SIDE - 2), (y as usize).min(SIDE - 2));
    let (fx, fy) = (x - left as f32, y - top as f32);
    let at = top * SIDE + left;
    let upper = patch[at] * (1.0 - fx) + patch[at + 1] * fx;
    let lower = patch[at + SIDE] * (1.0 - fx) + patch[at + SIDE + 1] * fx;
    upper * (1.0 - fy) + lower * fy
}

/// `warp` after the inverse of the small map that `step` says. None if that cannot be.
fn compose(warp: &Warp, step: &[f64; 8]) -> Option<Warp> {
    // Steps were computed with gradients per cell.
    let half = SIDE as f64 / 2.0;
    let s = step.map(|p| p / half);
    let [a, b, c, d, e, f, g, h, i] = [1.0 + s[0], s[1], s[2], s[3], 1.0 + s[4], s[5], s[6], s[7], 1.0];
    let determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    // A map that turns the face inside out or shrinks it away is no view of it.
    if !(0.2..5.0).contains(&determinant) {
        return None;
    }
    let inverse = [
        e * i - f * h,
        c * h - b * i,
        b * f - c * e,
        f * g - d * i,
        a * i - c * g,
        c * d - a * f,
        d * h - e * g,
        b * g - a * h,
        a * e - b * d,
    ];
    let mut product = [0.0; 9];
    for row in 0..3 {
        for column in 0..3 {
            product[3 * row + column] = (0..3).map(|k| warp[3 * row + k] * inverse[3 * k + column]).sum();
        }
    }
    let scale = product[8];
    (scale.abs() > 1e-6).then(|| product.map(|p| p / scale))
}

/// Takes out mean and contrast; gives the contrast. None where there is none.
fn normalise(values: &mut [f32; INNER]) -> Option<f32> {
    let mean = values.iter().sum::<f32>() / INNER as f32;
    let contrast = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / INNER as f32).sqrt();
    values.iter_mut().for_each(|v| *v = (*v - mean) / contrast);
    (contrast > SAMPLES.pow(2) as f32).then_some(contrast)
}

/// By Gauss and Jordan. None for a matrix that has no inverse: a face whose texture does not fix a map.
fn invert(mut matrix: [[f64; 8]; 8]) -> Option<[[f64; 8]; 8]> {
    let mut inverse = [[0.0; 8]; 8];
    for (i, row) in inverse.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    for column in 0..8 {
        let pivot = (column..8).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))?;
        matrix.swap(column, pivot);
        inverse.swap(column, pivot);
        let scale = matrix[column][column];
        if !scale.is_finite() || scale.abs() < 1e-9 {
            return None;
        }
        for k in 0..8 {
            matrix[column][k] /= scale;
            inverse[column][k] /= scale;
        }
        for row in (0..8).filter(|&row| row != column) {
            let factor = matrix[row][column];
            for k in 0..8 {
                matrix[row][k] -= factor * matrix[column][k];
                inverse[row][k] -= factor * inverse[column][k];
            }
        }
    }
    Some(inverse)
}
