//! Where pixels go in a net's input, and how they are scaled on the way.

use super::{Colour, InputSpec, Layout};

/// Where the cells of a picture go in a tensor, and how their values are scaled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) width: usize,
    pub(crate) height: usize,
    layout: Layout,
    /// Whether the picture's first channel is the net's last.
    swapped: bool,
    subtract: f32,
    scale: f32,
}

impl Placement {
    /// For one picture of `width` x `height` cells whose channels come in the order `from`.
    pub(crate) fn new(input: &InputSpec, width: usize, height: usize, from: Colour) -> Self {
        let InputSpec { layout, colour, subtract, scale, .. } = *input;
        Self { width, height, layout, swapped: colour != from, subtract, scale }
    }

    /// Floats it fills.
    pub(crate) const fn len(&self) -> usize {
        self.width * self.height * 3
    }

    /// Shape of a batch of `n`.
    pub(crate) const fn shape(&self, n: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [n, 3, self.height, self.width],
            Layout::Nhwc => [n, self.height, self.width, 3],
        }
    }

    /// Writes row `y`: `pixel` gives the channels of its cells, in 0..=255, from left to right.
    #[inline]
    pub(crate) fn write_row(&self, out: &mut [f32], y: usize, mut pixel: impl FnMut() -> [f32; 3]) {
        // One loop for both layouts: with one place where `pixel` is called, the compiler puts its body there.
        let (step, plane) = match self.layout {
            Layout::Nchw => (1, self.width * self.height),
            Layout::Nhwc => (3, 1),
        };
        let (first, third) = if self.swapped { (2 * plane, 0) } else { (0, 2 * plane) };
        let row = &mut out[y * self.width * step..];
        for at in (0..self.width).map(|x| x * step) {
            let [a, b, c] = pixel();
            row[at + first] = (a - self.subtract) * self.scale;
            row[at + plane] = (b - self.subtract) * self.scale;
            row[at + third] = (c - self.subtract) * self.scale;
        }
    }

    /// Turns the picture in `tensor` into its mirror image, left for right.
    pub(crate) fn mirror(&self, tensor: &mut [f32]) {
        match self.layout {
            Layout::Nchw => tensor.chunks_exact_mut(self.width).for_each(<[f32]>::reverse),
            Layout::Nhwc => tensor.as_chunks_mut::<3>().0.chunks_exact_mut(self.width).for_each(<[[f32; 3]]>::reverse),
        }
    }

    /// The picture in `tensor` again, rows of red, green, blue, made of one whose channels came in that order.
    pub(crate) fn pixels(&self, tensor: &[f32]) -> Vec<u8> {
        let cells = self.width * self.height;
        let mut pixels = Vec::with_capacity(3 * cells);
        for at in 0..cells {
            for channel in if self.swapped { [2, 1, 0] } else { [0, 1, 2] } {
                let value = match self.layout {
                    Layout::Nchw => tensor[channel * cells + at],
                    Layout::Nhwc => tensor[3 * at + channel],
                };
                pixels.push((value / self.scale + self.subtract).round() as u8);
            }
        }
        pixels
    }

    /// Brightness (0..=255, ITU-R BT.601) of each cell of `tensor`, made of a picture whose channels came as red, green, blue.
    pub(crate) fn luma(&self, tensor: &[f32], luma: &mut Vec<f32>) {
        let (red, blue) = if self.swapped { (0.114, 0.299) } else { (0.299, 0.114) };
        let bright = |a: f32, b: f32, c: f32| (red * a + 0.587 * b + blue * c) / self.scale + self.subtract;
        luma.clear();
        match self.layout {
            Layout::Nchw => {
                let (first, rest) = tensor.split_at(self.width * self.height);
                let (second, third) = rest.split_at(self.width * self.height);
                luma.extend(first.iter().zip(second).zip(third).map(|((&a, &b), &c)| bright(a, b, c)));
            }
            Layout::Nhwc => luma.extend(tensor.chunks_exact(3).map(|cell| bright(cell[0], cell[1], cell[2]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_image_swaps_left_and_right_alone() {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let place = Placement { width: 4, height: 2, layout, swapped: true, subtract: 1.0, scale: 0.5 };
            let picture = |mirrored: bool| {
                let mut tensor = vec![0.0; place.len()];
                for y in 0..2 {
                    let cell = |x: usize| [x as f32, 10.0 + x as f32, 20.0 + y as f32];
                    let mut cells = (0..4).map(|x| cell(if mirrored { 3 - x } else { x }));
                    place.write_row(&mut tensor, y, || cells.next().expect("one cell a column"));
                }
                tensor
            };
            let mut tensor = picture(false);
            place.mirror(&mut tensor);
            assert_eq!(tensor, picture(true), "{layout:?}");
        }
    }
}
