//! Part of a picture, scaled and normalised straight into a net's input: one pass over the pixels, no picture in between.
//!
//! Separable: an [`Axis`] says for each cell of the result which pixels it covers and how much. Rows are summed first (whole lines,
//! which the compiler turns into vector code), columns then. What lies outside the picture counts as black.
//!
//! Never knows what is in the picture or which net eats it.

use super::{Colour, ImageView, InputSpec, Layout};

/// Where the cells of a picture go in a tensor, and how their values are scaled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) width: usize,
    pub(crate) height: usize,
    row: usize,
    column: usize,
    /// Offset of the picture's first, second and third channel.
    channel: [usize; 3],
    subtract: f32,
    scale: f32,
}

impl Placement {
    /// For one picture of `width` x `height` cells whose pixels come in the order `from`.
    pub(crate) fn new(input: &InputSpec, width: usize, height: usize, from: Colour) -> Self {
        let (row, column, plane) = match input.layout {
            Layout::Nchw => (width, 1, width * height),
            Layout::Nhwc => (width * 3, 3, 1),
        };
        let channel = if input.colour == from { [0, plane, 2 * plane] } else { [2 * plane, plane, 0] };
        Self { width, height, row, column, channel, subtract: input.subtract, scale: input.scale }
    }

    /// Floats it fills.
    pub(crate) const fn len(&self) -> usize {
        self.width * self.height * 3
    }

    /// Shape of a batch of `n`.
    pub(crate) const fn shape(&self, n: usize) -> [usize; 4] {
        if self.column == 1 { [n, 3, self.height, self.width] } else { [n, self.height, self.width, 3] }
    }

    /// Where the three channels of a cell lie.
    #[inline]
    pub(crate) fn channels_at(&self, x: usize, y: usize) -> [usize; 3] {
        self.channel.map(|channel| y * self.row + x * self.column + channel)
    }

    /// Writes one cell; `pixel` in 0..=255.
    #[inline]
    pub(crate) fn put(&self, out: &mut [f32], x: usize, y: usize, pixel: [f32; 3]) {
        for (value, at) in pixel.into_iter().zip(self.channels_at(x, y)) {
            out[at] = (value - self.subtract) * self.scale;
        }
    }
}

/// For each cell of the result along one axis: which pixels, with which weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    /// First pixel and number of pixels of each cell; the weights follow each other in `weights`.
    taps: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

impl Axis {
    /// `cells` cells over the `extent` pixels from `from` on, of which only `0..limit` exist.
    ///
    /// Shrinking, a cell is the mean of the pixels it covers, those at its ends in part. Growing, it lies between two pixels, with
    /// the weights by which repeated shrinking would give the pixels back. Both as OpenCV's `INTER_AREA` has them: the detector's
    /// thresholds were set on pictures scaled like that.
    pub(crate) fn area(&mut self, from: i64, extent: usize, cells: usize, limit: usize) {
        self.clear();
        let ratio = extent as f64 / cells as f64;
        for cell in 0..cells {
            let (start, end) = (cell as f64 * ratio, (cell + 1) as f64 * ratio);
            if ratio >= 1.0 {
                let (first, last) = (start.floor() as usize, (end.ceil() as usize).min(extent));
                self.push(from, limit, first, last, |pixel| {
                    ((end.min((pixel + 1) as f64) - start.max(pixel as f64)) / ratio) as f32
                });
            } else {
                let first = (start.floor() as usize).min(extent - 1);
                let into = (cell + 1) as f64 - (first + 1) as f64 / ratio;
                let share = if into <= 0.0 || first + 1 >= extent { 0.0 } else { (into - into.floor()) as f32 };
                let last = if share > 0.0 { first + 2 } else { first + 1 };
                self.push(from, limit, first, last, |pixel| if pixel == first { 1.0 - share } else { share });
            }
        }
    }

    /// As [`Axis::area`], but each cell is read between the two pixels nearest to its middle, however many it covers.
    pub(crate) fn linear(&mut self, from: i64, extent: usize, cells: usize, limit: usize) {
        self.clear();
        let ratio = extent as f64 / cells as f64;
        for cell in 0..cells {
            let middle = ((cell as f64 + 0.5) * ratio - 0.5).clamp(0.0, (extent - 1) as f64);
            let first = middle.floor() as usize;
            let share = (middle - middle.floor()) as f32;
            let last = if share > 0.0 { first + 2 } else { first + 1 };
            self.push(from, limit, first, last, |pixel| if pixel == first { 1.0 - share } else { share });
        }
    }

    fn clear(&mut self) {
        self.taps.clear();
        self.weights.clear();
    }

    /// One cell over the pixels `first..last` of the extent, as far as they exist.
    fn push(&mut self, from: i64, limit: usize, first: usize, last: usize, weight: impl Fn(usize) -> f32) {
        let exists = |pixel: &usize| (0..limit as i64).contains(&(from + *pixel as i64));
        let mut pixels = (first..last).filter(exists).peekable();
        let start = pixels.peek().map_or(0, |&pixel| (from + pixel as i64) as usize);
        let before = self.weights.len();
        self.weights.extend(pixels.map(weight));
        self.taps.push((start, self.weights.len() - before));
    }

    /// The pixels any cell uses.
    fn span(&self) -> std::ops::Range<usize> {
        let used = self.taps.iter().filter(|(_, len)| *len > 0);
        let start = used.clone().map(|(first, _)| *first).min().unwrap_or(0);
        start..used.map(|(first, len)| first + len).max().unwrap_or(0)
    }

    fn cells(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let mut weights = self.weights.as_slice();
        self.taps.iter().map(move |&(first, len)| {
            let (own, rest) = weights.split_at(len);
            weights = rest;
            (first, own)
        })
    }
}

/// Scales what `columns` and `rows` cover of `view` into `out`, which holds exactly the cells of `place`. `line` is scratch.
pub(crate) fn resample(
    view: &ImageView<'_>,
    columns: &Axis,
    rows: &Axis,
    place: &Placement,
    line: &mut Vec<f32>,
    out: &mut [f32],
) {
    let span = columns.span();
    let bytes = span.start * 3..span.end * 3;
    line.clear();
    line.resize(bytes.len(), 0.0);
    for (y, (first, weights)) in rows.cells().enumerate() {
        if weights.is_empty() {
            line.fill(0.0);
        }
        for (i, &weight) in weights.iter().enumerate() {
            let pixels = &view.row(first + i)[bytes.clone()];
            if i == 0 {
                for (sum, &byte) in line.iter_mut().zip(pixels) {
                    *sum = weight * f32::from(byte);
                }
            } else {
                for (sum, &byte) in line.iter_mut().zip(pixels) {
                    *sum += weight * f32::from(byte);
                }
            }
        }
        for (x, (first, weights)) in columns.cells().enumerate() {
            let mut pixel = [0.0; 3];
            let covered = line.get((first.max(span.start) - span.start) * 3..).unwrap_or_default();
            for (value, &weight) in covered.chunks_exact(3).zip(weights) {
                for (sum, value) in pixel.iter_mut().zip(value) {
                    *sum += weight * value;
                }
            }
            place.put(out, x, y, pixel);
        }
    }
}
