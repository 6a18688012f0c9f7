//! Turns, scales and moves a face so that eyes, nose and mouth lie where the embedder learned them, straight into its input.
//!
//! Never knows what the embedder makes of it.

use super::{ImageView, Landmarks, Point, resample::Placement};

/// Side of an aligned face, pixels.
pub(crate) const SIDE: usize = 112;

/// Where ArcFace embedders have the five points in 112 x 112 pixels (Deng et al., "ArcFace", 2019; `insightface`).
const TEMPLATE: [Point; 5] = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];

/// A turn with scale, then a move: `(x, y) -> (a x - b y + tx, b x + a y + ty)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Similar {
    pub(crate) a: f64,
    pub(crate) b: f64,
    pub(crate) tx: f64,
    pub(crate) ty: f64,
}

impl Similar {
    /// The transform that brings `from` closest to `to` in the sum of squares: Umeyama's estimate (IEEE PAMI 13(4), 1991) without
    /// reflection, in the closed form it has in the plane. None if all of `from` is one point.
    pub(crate) fn estimate(from: &[Point; 5], to: &[Point; 5]) -> Option<Self> {
        let mean = |points: &[Point; 5]| {
            let sum = points.iter().fold((0.0, 0.0), |(x, y), p| (x + f64::from(p.x), y + f64::from(p.y)));
            (sum.0 / 5.0, sum.1 / 5.0)
        };
        let ((fx, fy), (gx, gy)) = (mean(from), mean(to));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for (p, q) in from.iter().zip(to) {
            let (px, py) = (f64::from(p.x) - fx, f64::from(p.y) - fy);
            let (qx, qy) = (f64::from(q.x) - gx, f64::from(q.y) - gy);
            along += px * qx + py * qy;
            across += px * qy - py * qx;
            spread += px * px + py * py;
        }
        let (a, b) = (along / spread, across / spread);
        (spread > 0.0 && (a * a + b * b).is_normal()).then(|| Self {
            a,
            b,
            tx: gx - a * fx + b * fy,
            ty: gy - b * fx - a * fy,
        })
    }

    /// The transform back.
    pub(crate) fn inverse(&self) -> Self {
        let Self { a, b, tx, ty } = *self;
        let d = a * a + b * b;
        let (a, b) = (a / d, -b / d);
        Self { a, b, tx: -(a * tx - b * ty), ty: -(b * tx + a * ty) }
    }

    fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        (self.a * x - self.b * y + self.tx, self.b * x + self.a * y + self.ty)
    }
}

/// Writes the aligned face into `out` (the cells of `place`), bilinear, black outside the picture. False if the landmarks are all one
/// point, so that there is nothing to align; `out` is then untouched.
pub(crate) fn align(view: &ImageView<'_>, landmarks: &Landmarks, place: &Placement, out: &mut [f32]) -> bool {
    let Some(back) = Similar::estimate(&landmarks.0, &TEMPLATE).map(|forth| forth.inverse()) else { return false };
    let (width, height) = (view.width(), view.height());
    let (right, bottom) = (place.width.saturating_sub(1) as f64, place.height.saturating_sub(1) as f64);
    // A similarity keeps straight lines: if the four corners lie inside, everything does.
    let inside = [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)].into_iter().all(|(x, y)| {
        let (x, y) = back.apply(x, y);
        (0.0..(width - 1) as f64).contains(&x) && (0.0..(height - 1) as f64).contains(&y)
    });
    for row in 0..place.height {
        for column in 0..place.width {
            let (x, y) = back.apply(column as f64, row as f64);
            let (x0, y0) = (x.floor(), y.floor());
            let (fx, fy) = ((x - x0) as f32, (y - y0) as f32);
            let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
            let mut pixel = [0.0; 3];
            if inside {
                let at = x0 as usize * 3;
                let (upper, lower) = (&view.row(y0 as usize)[at..at + 6], &view.row(y0 as usize + 1)[at..at + 6]);
                for (c, sum) in pixel.iter_mut().enumerate() {
                    *sum = weights[0] * f32::from(upper[c])
                        + weights[1] * f32::from(upper[c + 3])
                        + weights[2] * f32::from(lower[c])
                        + weights[3] * f32::from(lower[c + 3]);
                }
            } else {
                for (weight, (dx, dy)) in weights.into_iter().zip([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]) {
                    let (x, y) = (x0 + dx, y0 + dy);
                    if (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y) {
                        let at = x as usize * 3;
                        let there = &view.row(y as usize)[at..at + 3];
                        for (sum, &byte) in pixel.iter_mut().zip(there) {
                            *sum += weight * f32::from(byte);
                        }
                    }
                }
            }
            place.put(out, column, row, pixel);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_finds_a_known_similarity() {
        for (a, b, tx, ty) in
            [(1.0, 0.0, 0.0, 0.0), (0.5, 0.0, 10.0, -4.0), (0.3, 1.7, -200.0, 31.0), (-1.0, 0.01, 5.0, 5.0)]
        {
            let truth = Similar { a, b, tx, ty };
            let from = TEMPLATE.map(|p| {
                let (x, y) = truth.inverse().apply(f64::from(p.x), f64::from(p.y));
                Point { x: x as f32, y: y as f32 }
            });
            let found = Similar::estimate(&from, &TEMPLATE).unwrap();
            for (got, wanted) in [(found.a, a), (found.b, b), (found.tx, tx), (found.ty, ty)] {
                assert!((got - wanted).abs() < 1e-3 * wanted.abs().max(1.0), "{found:?} for {truth:?}");
            }
        }
    }

    #[test]
    fn points_without_spread_or_number_are_refused() {
        assert_eq!(Similar::estimate(&[Point { x: 3.0, y: 4.0 }; 5], &TEMPLATE), None);
        assert_eq!(Similar::estimate(&[Point { x: f32::NAN, y: 4.0 }; 5], &TEMPLATE), None);
    }
}
