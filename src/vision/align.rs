//! Turns, scales and moves a face so that eyes, nose and mouth lie where the embedder learned them, straight into its input.

use super::{ImageView, Landmarks, Point, placement::Placement};

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
        (spread > 0.0 && (a * a + b * b).is_normal()).then_some(Self {
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

    pub(crate) fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        (self.a * x - self.b * y + self.tx, self.b * x + self.a * y + self.ty)
    }
}

/// Writes the aligned face into `out` (the cells of `place`), bilinear, black outside the picture. False if the landmarks are all one
/// point, so that there is nothing to align; `out` is then untouched.
pub(crate) fn align(view: &ImageView<'_>, landmarks: &Landmarks, place: &Placement, out: &mut [f32]) -> bool {
    let Some(back) = Similar::estimate(&landmarks.0, &TEMPLATE).map(|forth| forth.inverse()) else { return false };
    lay(view, &back, place, out);
    true
}

/// Fills the cells of `place` with the picture where `back` brings them, bilinear, black outside it.
pub(crate) fn lay(view: &ImageView<'_>, back: &Similar, place: &Placement, out: &mut [f32]) {
    let (width, height) = (view.width(), view.height());
    let (right, bottom) = (place.width.saturating_sub(1) as f64, place.height.saturating_sub(1) as f64);
    // A similarity keeps straight lines: if the four corners lie inside, by a hair that covers rounding, everything does.
    let inside = [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)].into_iter().all(|(x, y)| {
        let (x, y) = back.apply(x, y);
        (0.01..width as f64 - 1.01).contains(&x) && (0.01..height as f64 - 1.01).contains(&y)
    });
    for row in 0..place.height {
        if inside {
            let (x, y) = back.apply(0.0, row as f64);
            let ((mut x, mut y), (dx, dy)) = ((fixed(x), fixed(y)), (fixed(back.a), fixed(back.b)));
            place.write_row(out, row, || {
                let pixel = between_four(view, x, y);
                (x, y) = (x + dx, y + dy);
                pixel
            });
        } else {
            let mut columns = (0..place.width).map(|column| back.apply(column as f64, row as f64));
            place.write_row(out, row, || columns.next().map_or([0.0; 3], |(x, y)| between_four_or_black(view, x, y)));
        }
    }
}

/// 32 bits before and 32 after the point: a step from pixel to pixel is then an addition, and its whole part a shift.
fn fixed(x: f64) -> i64 {
    (x * 4_294_967_296.0) as i64
}

/// The picture at (x, y) in [`fixed`] point, which must lie inside.
#[inline]
fn between_four(view: &ImageView<'_>, x: i64, y: i64) -> [f32; 3] {
    let (column, row) = ((x >> 32) as usize, (y >> 32) as usize);
    let part = |x: i64| (x as u32 >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
    let (right, down) = (part(x), part(y));
    let (upper, lower) = (&view.row(row)[column * 3..][..6], &view.row(row + 1)[column * 3..][..6]);
    let channel = |c: usize| {
        let across = |row: &[u8]| {
            let (a, b) = (f32::from(row[c]), f32::from(row[c + 3]));
            a + (b - a) * right
        };
        let (above, below) = (across(upper), across(lower));
        above + (below - above) * down
    };
    [channel(0), channel(1), channel(2)]
}

/// The picture at (x, y), wherever that is.
fn between_four_or_black(view: &ImageView<'_>, x: f64, y: f64) -> [f32; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (right, down) = ((x - left) as f32, (y - top) as f32);
    let mut pixel = [0.0; 3];
    for (dx, dy, weight) in [
        (0.0, 0.0, (1.0 - right) * (1.0 - down)),
        (1.0, 0.0, right * (1.0 - down)),
        (0.0, 1.0, (1.0 - right) * down),
        (1.0, 1.0, right * down),
    ] {
        let (x, y) = (left + dx, top + dy);
        if (0.0..view.width() as f64).contains(&x) && (0.0..view.height() as f64).contains(&y) {
            for (sum, &byte) in pixel.iter_mut().zip(&view.row(y as usize)[x as usize * 3..]) {
                *sum += weight * f32::from(byte);
            }
        }
    }
    pixel
}

/// How far apart two sets of landmarks of one face align it: root mean square over the five places, pixels of the aligned face.
#[cfg(test)]
pub(crate) fn apart(one: &Landmarks, other: &Landmarks) -> f64 {
    let forth = |landmarks: &Landmarks| Similar::estimate(&landmarks.0, &TEMPLATE).expect("landmarks with an extent");
    let (back, forth) = (forth(one).inverse(), forth(other));
    let square = |place: &Point| {
        let (x, y) = (f64::from(place.x), f64::from(place.y));
        let (u, v) = back.apply(x, y);
        let (u, v) = forth.apply(u, v);
        (u - x).powi(2) + (v - y).powi(2)
    };
    (TEMPLATE.iter().map(square).sum::<f64>() / 5.0).sqrt()
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
