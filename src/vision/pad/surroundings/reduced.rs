//! A frame averaged into cells, and how much gradient a block of cells has to measure a shift by.

use super::super::super::ImageView;

/// Cells per side of a block.
pub(super) const BLOCK: usize = 6;

/// The green channel as means of square cells, slightly blurred. Green carries most of the luminance and is the middle channel in RGB and BGR.
pub(super) struct Reduced {
    /// Side of a cell, pixels.
    pub(super) cell: usize,
    /// Cells.
    pub(super) width: usize,
    /// Cells.
    pub(super) height: usize,
    values: Vec<f32>,
}

impl Reduced {
    /// Reduces those rows and columns of `view` that make whole cells.
    pub(super) fn new(view: &ImageView<'_>, cell: usize) -> Self {
        let (width, height) = (view.width() / cell, view.height() / cell);
        let mut values = vec![0.0; width * height];
        for y in 0..height * cell {
            let cells = &mut values[y / cell * width..][..width];
            for (value, pixels) in cells.iter_mut().zip(view.row(y).chunks_exact(3 * cell)) {
                *value += pixels.iter().skip(1).step_by(3).map(|&green| u32::from(green)).sum::<u32>() as f32;
            }
        }
        let area = (cell * cell) as f32;
        values.iter_mut().for_each(|value| *value /= area);
        let mut reduced = Self { cell, width, height, values };
        // Two passes of a binomial kernel in each direction: a standard deviation of one cell.
        for _ in 0..2 {
            reduced.blur(1, width, height, width);
            reduced.blur(width, 1, width, height);
        }
        reduced
    }

    /// 1-2-1 along lines of `length` values, `step` apart; `lines` of them, `apart` from each other.
    fn blur(&mut self, step: usize, apart: usize, lines: usize, length: usize) {
        for line in 0..lines {
            let first = line * apart;
            let Some(&value) = self.values.get(first) else { continue };
            let (mut before, mut here) = (value, value);
            for n in 0..length {
                let at = first + n * step;
                let after = if n + 1 < length { self.values[at + step] } else { here };
                self.values[at] = (before + 2.0 * here + after) / 4.0;
                (before, here) = (here, after);
            }
        }
    }

    /// The cells of the block at (`x`, `y`), row by row.
    pub(super) fn block(&self, x: usize, y: usize) -> impl Iterator<Item = f32> + '_ {
        (y..y + BLOCK).flat_map(move |row| self.values[row * self.width + x..][..BLOCK].iter().copied())
    }

    /// The structure tensor of the block at (`x`, `y`), which must not touch the border: the covariance of its gradient (xx, xy, yy),
    /// minus the part of the gradient that a change of brightness or contrast also explains.
    ///
    /// Without the subtraction an edge just outside the block looks static: moving it only changes the contrast, which the comparison
    /// normalises away.
    pub(super) fn tensor(&self, x: usize, y: usize) -> [f32; 3] {
        let mut means = [0.0; 3];
        let mut products = [0.0; 6];
        for at in (y..y + BLOCK).flat_map(|row| (x..x + BLOCK).map(move |column| row * self.width + column)) {
            let slope = |step: usize| (self.values[at + step] - self.values[at - step]) / 2.0;
            let (across, down, value) = (slope(1), slope(self.width), self.values[at]);
            add(&mut means, [across, down, value]);
            add(
                &mut products,
                [across * across, across * down, down * down, across * value, down * value, value * value],
            );
        }
        let count = (BLOCK * BLOCK) as f32;
        let [across, down, value] = means.map(|sum| sum / count);
        let [aa, ad, dd, av, dv, vv] = products.map(|sum| sum / count);
        let (aa, ad, dd) = (aa - across * across, ad - across * down, dd - down * down);
        let (av, dv, vv) = (av - across * value, dv - down * value, vv - value * value);
        if vv <= f32::EPSILON * value * value {
            return [0.0; 3];
        }
        [(aa - av * av / vv).max(0.0), ad - av * dv / vv, (dd - dv * dv / vv).max(0.0)]
    }
}

fn add<const N: usize>(sums: &mut [f32; N], values: [f32; N]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::super::{Colour, Image},
        *,
    };

    #[test]
    fn the_tail_of_an_edge_beside_a_block_shows_no_shift() {
        // An upright edge, blurred over a few pixels.
        let edge = |x: f32| 128.0 + 100.0 * (x / 3.0).tanh();
        let bytes = (0..32 * 32).flat_map(|at| [edge((at % 32) as f32 - 12.0) as u8; 3]).collect();
        let picture = Image::new(bytes, 32, 32, Colour::Rgb).expect("whole");
        let frame = Reduced::new(&picture.view().expect("whole"), 1);
        let [across, _, down] = frame.tensor(9, 9);
        assert!(across > 10.0 && down < 0.1, "on the edge: {across} {down}");
        // The variance of its gradient is 25.
        let [tail, ..] = frame.tensor(15, 9);
        assert!(tail < 1.0, "beside it: {tail}");
    }
}
