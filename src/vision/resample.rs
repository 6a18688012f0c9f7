//! Part of a picture, scaled and normalised straight into a net's input: one pass over the pixels, no picture in between.
//!
//! Separable: an [`Axis`] says for each cell of the result which pixels it covers and how much. Rows are summed first (whole lines,
//! which the compiler turns into vector code), columns then. What lies outside the picture counts as black.

use super::{ImageView, placement::Placement};

/// The pixels one cell covers: all inner ones weigh the same, the two at the ends are covered in part.
#[derive(Clone, Copy, Debug, Default)]
struct Cover {
    first: usize,
    /// None for a cell outside the picture.
    pixels: usize,
    head: f32,
    inner: f32,
    tail: f32,
}

impl Cover {
    fn weight(&self, pixel: usize) -> f32 {
        if pixel == 0 {
            self.head
        } else if pixel + 1 == self.pixels {
            self.tail
        } else {
            self.inner
        }
    }

    /// Counted from `from` on in a picture of `limit` pixels, without those that do not exist.
    fn placed(self, from: i64, limit: usize) -> Self {
        let start = from + self.first as i64;
        let skipped = usize::try_from(-start).unwrap_or(0).min(self.pixels);
        let kept = usize::try_from(limit as i64 - start).unwrap_or(0).min(self.pixels);
        if skipped >= kept {
            return Self::default();
        }
        let (head, tail) = (self.weight(skipped), self.weight(kept - 1));
        Self { first: (start + skipped as i64) as usize, pixels: kept - skipped, head, tail, ..self }
    }
}

/// For each cell of the result along one axis: which pixels, with which weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis(Vec<Cover>);

impl Axis {
    /// `cells` cells over the `extent` pixels from `from` on, of which only `0..limit` exist.
    ///
    /// Shrinking, a cell is the mean of the pixels it covers, those at its ends in part. Growing, it lies between two pixels, with
    /// the weights by which shrinking again would give the pixels back. Both as OpenCV's `INTER_AREA` has them: the detector's
    /// thresholds were set on pictures scaled like that.
    pub(crate) fn area(&mut self, from: i64, extent: usize, cells: usize, limit: usize) {
        let ratio = extent as f64 / cells as f64;
        self.0.clear();
        self.0.extend((0..cells).map(|cell| {
            let (start, end) = (cell as f64 * ratio, (cell + 1) as f64 * ratio);
            let first = (start as usize).min(extent - 1);
            let cover = if ratio >= 1.0 {
                // A sliver that only rounding makes is no pixel.
                let last = ((end - 1e-6).ceil() as usize).clamp(first + 1, extent);
                let share = |pixel: usize| ((end.min((pixel + 1) as f64) - start.max(pixel as f64)) / ratio) as f32;
                Cover {
                    first,
                    pixels: last - first,
                    head: share(first),
                    inner: (1.0 / ratio) as f32,
                    tail: share(last - 1),
                }
            } else {
                let into = (cell + 1) as f64 - (first + 1) as f64 / ratio;
                between(first, if into > 0.0 { into.fract() as f32 } else { 0.0 }, extent)
            };
            cover.placed(from, limit)
        }));
    }

    /// As [`Axis::area`], but each cell is read between the two pixels nearest to its middle, however many it covers.
    pub(crate) fn linear(&mut self, from: i64, extent: usize, cells: usize, limit: usize) {
        let ratio = extent as f64 / cells as f64;
        self.0.clear();
        self.0.extend((0..cells).map(|cell| {
            let middle = ((cell as f64 + 0.5) * ratio - 0.5).clamp(0.0, (extent - 1) as f64);
            between(middle as usize, middle.fract() as f32, extent).placed(from, limit)
        }));
    }

    /// The pixels any cell uses.
    fn span(&self) -> std::ops::Range<usize> {
        let used = self.0.iter().filter(|cover| cover.pixels > 0);
        let start = used.clone().map(|cover| cover.first).min().unwrap_or(0);
        start..used.map(|cover| cover.first + cover.pixels).max().unwrap_or(0)
    }
}

/// `share` of the way from pixel `first` to the next one, if there is one.
fn between(first: usize, share: f32, extent: usize) -> Cover {
    if share > 0.0 && first + 1 < extent {
        Cover { first, pixels: 2, head: 1.0 - share, inner: 0.0, tail: share }
    } else {
        Cover { first, pixels: 1, head: 1.0, inner: 0.0, tail: 1.0 }
    }
}

/// Buffers kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// One line of the result before its columns are summed, and a float more: columns are read four floats at a time.
    line: Vec<f32>,
    /// Sums of bytes.
    sums: Vec<u16>,
}

/// Bytes that a `u16` can add up.
const ADDENDS: usize = 256;

/// Scales what `columns` and `rows` cover of `view` into `out`, which holds exactly the cells of `place`.
pub(crate) fn resample(
    view: &ImageView<'_>,
    columns: &Axis,
    rows: &Axis,
    place: &Placement,
    Scratch { line, sums }: &mut Scratch,
    out: &mut [f32],
) {
    let span = columns.span();
    let bytes = span.start * 3..span.end * 3;
    line.clear();
    line.resize(bytes.len() + 1, 0.0);
    sums.resize(bytes.len(), 0);
    for (y, cover) in rows.0.iter().enumerate() {
        let (line_end, row) = (bytes.len(), |pixel: usize| &view.row(cover.first + pixel)[bytes.clone()]);
        sum_rows(cover, row, &mut line[..line_end], sums);
        let mut covers = columns.0.iter();
        place.write_row(out, y, || covers.next().map_or([0.0; 3], |cover| sum_columns(cover, span.start, line)));
    }
}

/// One line: the weighted sum of the rows that `cover` names.
fn sum_rows<'a>(cover: &Cover, row: impl Fn(usize) -> &'a [u8], line: &mut [f32], sums: &mut [u16]) {
    let Cover { first: _, pixels, head, inner, tail } = *cover;
    match pixels {
        0 => line.fill(0.0),
        1 => {
            for (sum, &a) in line.iter_mut().zip(row(0)) {
                *sum = head * f32::from(a);
            }
        }
        2 => {
            for ((sum, &a), &b) in line.iter_mut().zip(row(0)).zip(row(1)) {
                *sum = head * f32::from(a) + tail * f32::from(b);
            }
        }
        3 => {
            for (((sum, &a), &b), &c) in line.iter_mut().zip(row(0)).zip(row(1)).zip(row(2)) {
                *sum = head * f32::from(a) + inner * f32::from(b) + tail * f32::from(c);
            }
        }
        _ => {
            for ((sum, &a), &b) in line.iter_mut().zip(row(0)).zip(row(pixels - 1)) {
                *sum = head * f32::from(a) + tail * f32::from(b);
            }
            // The rows between weigh the same: as integers they add up twice as fast.
            for start in (1..pixels - 1).step_by(ADDENDS) {
                let end = (start + ADDENDS).min(pixels - 1);
                for (total, &a) in sums.iter_mut().zip(row(start)) {
                    *total = u16::from(a);
                }
                let mut next = start + 1;
                while next + 1 < end {
                    for ((total, &a), &b) in sums.iter_mut().zip(row(next)).zip(row(next + 1)) {
                        *total += u16::from(a) + u16::from(b);
                    }
                    next += 2;
                }
                if next < end {
                    for (total, &a) in sums.iter_mut().zip(row(next)) {
                        *total += u16::from(a);
                    }
                }
                for (sum, &total) in line.iter_mut().zip(&*sums) {
                    *sum += inner * f32::from(total);
                }
            }
        }
    }
}

/// One cell: the weighted sum of the pixels that `cover` names of a line that begins with pixel `start`. Four floats at a time, of which
/// three are a pixel: that is one vector instruction.
#[inline]
fn sum_columns(cover: &Cover, start: usize, line: &[f32]) -> [f32; 3] {
    let Cover { first, pixels, head, inner, tail } = *cover;
    if pixels == 0 {
        return [0.0; 3];
    }
    let covered = &line[(first - start) * 3..][..pixels * 3 + 1];
    let at = |pixel: usize| -> [f32; 4] { covered[pixel * 3..pixel * 3 + 4].try_into().expect("four floats") };
    let mut sum = at(0);
    for value in &mut sum {
        *value *= head;
    }
    if pixels > 1 {
        let mut between = [0.0; 4];
        for pixel in 1..pixels - 1 {
            let values = at(pixel);
            for (total, value) in between.iter_mut().zip(values) {
                *total += value;
            }
        }
        let last = at(pixels - 1);
        for ((total, between), last) in sum.iter_mut().zip(between).zip(last) {
            *total += inner * between + tail * last;
        }
    }
    [sum[0], sum[1], sum[2]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::{Colour, InputSpec, Layout};

    /// A net that eats pixels as they are.
    fn raw(layout: Layout) -> InputSpec {
        let name = String::new();
        InputSpec { name, any_size: false, layout, colour: Colour::Rgb, width: 0, height: 0, subtract: 0.0, scale: 1.0 }
    }

    fn noise(width: usize, height: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(width * height * 3).collect()
    }

    /// Mean over the area of each cell, pixel by pixel; outside is black.
    fn naive(view: &ImageView<'_>, left: i64, top: i64, side: usize, cells: usize) -> Vec<f32> {
        let ratio = side as f64 / cells as f64;
        let share = |cell: usize, pixel: usize| {
            ((cell + 1) as f64 * ratio).min((pixel + 1) as f64) - (cell as f64 * ratio).max(pixel as f64)
        };
        let mut out = vec![0.0; 3 * cells * cells];
        for (y, x, py, px) in (0..cells * cells).flat_map(|cell| {
            (0..side * side).map(move |pixel| (cell / cells, cell % cells, pixel / side, pixel % side))
        }) {
            let (row, column) = (top + py as i64, left + px as i64);
            let inside = (0..view.height() as i64).contains(&row) && (0..view.width() as i64).contains(&column);
            let weight = share(y, py).max(0.0) * share(x, px).max(0.0) / (ratio * ratio);
            for channel in (0..3).filter(|_| inside) {
                let value = view.row(row as usize)[column as usize * 3 + channel];
                out[channel * cells * cells + y * cells + x] += (weight * f64::from(value)) as f32;
            }
        }
        out
    }

    #[test]
    fn shrinking_is_the_mean_over_each_cell() {
        let pixels = noise(40, 30);
        let view = ImageView::new(&pixels, 40, 30, 120, Colour::Rgb).unwrap();
        for (left, top, side, cells) in [
            (0, 0, 30, 30),
            (3, 2, 24, 12),
            (5, 0, 29, 12),
            (-4, -7, 20, 8),
            (30, 20, 25, 7),
            (0, 0, 30, 1),
            (-50, 0, 20, 4),
        ] {
            let place = Placement::new(&raw(Layout::Nchw), cells, cells, Colour::Rgb);
            let (mut columns, mut rows, mut out) = (Axis::default(), Axis::default(), vec![f32::NAN; place.len()]);
            columns.area(left, side, cells, 40);
            rows.area(top, side, cells, 30);
            resample(&view, &columns, &rows, &place, &mut Scratch::default(), &mut out);
            for (got, wanted) in out.iter().zip(naive(&view, left, top, side, cells)) {
                assert!((got - wanted).abs() < 0.01, "{left},{top} {side} -> {cells}: {got} is not {wanted}");
            }
        }
    }

    #[test]
    fn tall_cells_do_not_overflow() {
        let pixels = vec![255; 3 * 2000];
        let view = ImageView::new(&pixels, 1, 2000, 3, Colour::Rgb).unwrap();
        let place = Placement::new(&raw(Layout::Nchw), 1, 1, Colour::Rgb);
        let (mut columns, mut rows, mut out) = (Axis::default(), Axis::default(), vec![0.0; 3]);
        columns.area(0, 1, 1, 1);
        rows.area(0, 2000, 1, 2000);
        resample(&view, &columns, &rows, &place, &mut Scratch::default(), &mut out);
        assert!(out.iter().all(|value| (value - 255.0).abs() < 0.01), "{out:?}");
    }

    #[test]
    fn growing_lies_between_two_pixels() {
        // One row of three pixels: 0, 90, 180.
        let pixels = [0, 0, 0, 90, 90, 90, 180, 180, 180];
        let view = ImageView::new(&pixels, 3, 1, 9, Colour::Rgb).unwrap();
        for (linear, wanted) in
            [(true, [0.0, 22.5, 67.5, 112.5, 157.5, 180.0]), (false, [0.0, 0.0, 90.0, 90.0, 180.0, 180.0])]
        {
            let place = Placement::new(&raw(Layout::Nchw), 6, 1, Colour::Rgb);
            let (mut columns, mut rows, mut out) = (Axis::default(), Axis::default(), vec![0.0; place.len()]);
            if linear {
                columns.linear(0, 3, 6, 3)
            } else {
                columns.area(0, 3, 6, 3)
            }
            rows.area(0, 1, 1, 1);
            resample(&view, &columns, &rows, &place, &mut Scratch::default(), &mut out);
            assert_eq!(out[..6], wanted);
        }
    }

    #[test]
    fn layout_colour_and_scale_are_the_nets() {
        let view = ImageView::new(&[10, 20, 30, 40, 50, 60], 2, 1, 6, Colour::Rgb).unwrap();
        for (layout, colour, wanted) in [
            (Layout::Nchw, Colour::Rgb, [10, 40, 20, 50, 30, 60]),
            (Layout::Nchw, Colour::Bgr, [30, 60, 20, 50, 10, 40]),
            (Layout::Nhwc, Colour::Rgb, [10, 20, 30, 40, 50, 60]),
            (Layout::Nhwc, Colour::Bgr, [30, 20, 10, 60, 50, 40]),
        ] {
            let input = InputSpec { colour, subtract: 10.0, scale: 0.5, ..raw(layout) };
            let place = Placement::new(&input, 2, 1, view.colour());
            let (mut columns, mut rows, mut out) = (Axis::default(), Axis::default(), vec![0.0; 6]);
            columns.area(0, 2, 2, 2);
            rows.area(0, 1, 1, 1);
            resample(&view, &columns, &rows, &place, &mut Scratch::default(), &mut out);
            assert_eq!(out, wanted.map(|value| (value as f32 - 10.0) * 0.5), "{layout:?} {colour:?}");
        }
    }
}
