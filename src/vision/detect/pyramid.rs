//! The picture at falling sizes, so that a net looking for faces of one size finds them at all sizes.

use crate::vision::resample::Axis;

/// From level to level, area halves: the published detector's factor (Zhang et al. 2016).
const FACTOR: f64 = 0.709;

/// One level.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// Level pixels a picture pixel.
    pub(super) scale: f64,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) columns: Axis,
    pub(super) rows: Axis,
}

/// The levels for one size of picture and smallest face; kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Pyramid {
    made_for: (usize, usize, u32),
    pub(super) levels: Vec<Level>,
}

impl Pyramid {
    /// Levels on which a face of `min_face` pixels, and of any larger size, is about `cell` pixels.
    pub(super) fn fit(&mut self, width: usize, height: usize, min_face: u32, cell: usize) {
        if self.made_for == (width, height, min_face) {
            return;
        }
        self.made_for = (width, height, min_face);
        self.levels = scales(width.min(height), min_face, cell)
            .map(|scale| {
                let side = |pixels: usize| (pixels as f64 * scale).ceil() as usize;
                let mut level = Level { scale, width: side(width), height: side(height), ..Level::default() };
                level.columns.area(0, width, level.width, width);
                level.rows.area(0, height, level.height, height);
                level
            })
            .collect();
    }
}

fn scales(shorter_side: usize, min_face: u32, cell: usize) -> impl Iterator<Item = f64> {
    let first = cell as f64 / f64::from(min_face.max(cell as u32));
    std::iter::successors(Some(first), |scale| Some(scale * FACTOR))
        .take_while(move |scale| shorter_side as f64 * scale >= cell as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_reach_from_the_smallest_face_to_the_whole_picture() {
        for (side, min_face, count, first, last) in [
            (480, 80, 6, 0.15, 0.026_873),
            (250, 60, 5, 0.2, 0.050_537),
            (80, 80, 1, 0.15, 0.15),
            (79, 80, 0, 0.0, 0.0),
            // No face smaller than the net's cell: the picture is never enlarged.
            (24, 0, 3, 1.0, 0.502_681),
        ] {
            let scales: Vec<f64> = scales(side, min_face, 12).collect();
            assert_eq!(scales.len(), count, "{side} {min_face} {scales:?}");
            if let [a, .., b] | [a @ b] = scales[..] {
                assert!((a - first).abs() < 1e-6 && (b - last).abs() < 1e-6, "{scales:?}");
            }
        }
    }

    #[test]
    fn levels_are_kept_until_the_picture_changes() {
        let mut pyramid = Pyramid::default();
        pyramid.fit(640, 480, 80, 12);
        let sizes: Vec<_> = pyramid.levels.iter().map(|l| (l.width, l.height)).collect();
        assert_eq!(sizes, [(96, 72), (69, 52), (49, 37), (35, 26), (25, 19), (18, 13)]);
        pyramid.fit(320, 240, 80, 12);
        assert_eq!(pyramid.levels.len(), 4);
    }
}
