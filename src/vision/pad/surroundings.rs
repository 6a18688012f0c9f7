//! Whether the head moves while what is around it stands: the door's camera is fixed, and so is the room behind a person.
//!
//! The region around an early frame's face is kept, divided into blocks, and looked at again in each later frame. Of two views of a
//! block, freed of brightness and contrast, the correlation and the block's own gradient give how far it has moved (the optical flow
//! constraint, as a mean: the difference of the views is the gradient times the shift; of the gradient only what varies within the
//! block, since a slope's shift is a change of brightness). Blocks outside the face that have texture and never moved are witnesses
//! that the camera and the room stand. An edge does not show a shift along itself, so the witnesses' structure tensors together must
//! hold gradients in every direction (Shi and Tomasi, "Good Features to Track", CVPR 1994).
//!
//! Blocks: whatever is held by a hand and fills the region, a print, bent or not, a still or a *replayed clip* on a screen: it moves
//! as a whole, if only by the hand's tremor. Does not block: a screen on a stand before the lens, which shows a fixed camera's clip; a
//! picture whose edges lie inside the region (the net sees those). A person in front of a blank wall, or seen by a shaking camera, has
//! no witnesses.

use super::super::{Face, ImageView};

/// The region's sides in sides of the face.
const REGION: f32 = 2.2;
/// Cells across the face, about: a cell is a whole number of pixels, at most [`LARGEST`], so that a tremor shows on a large face too.
const CELLS: f32 = 64.0;
const LARGEST: usize = 4;
/// Cells a side of a block.
const BLOCK: usize = 6;
/// Frames before the one that is kept: the first of an encoded clip, or after a change of exposure, differ from all others.
const SKIPPED: u32 = 2;
/// Least variance of a block's gradient, grey levels a cell, times the pixels of a cell: a sensor's noise of 2.5 grey levels has a
/// twentieth of it, and looks like a third of a cell's motion.
const TEXTURE: f32 = 11.0;

/// Cells that a witness may seem to have moved.
const STOOD: f32 = 0.12;
/// Cells that the face must move, at the median of its blocks: three times what a witness may.
const MOVED: f32 = 0.35;
/// Frames that must show it moved.
const FRAMES: u32 = 3;
/// Witnesses that are needed, and what they must come to when each counts by how even their gradients are together (the weakest over
/// the strongest): as many as show a shift in every direction. After 0.7 s, clips of a standing camera come to 1.4 to 60
/// where a room is seen and less where the face fills the view; 25 replays that a hand held before the lens, one of them real, to 0.1.
const WITNESSES: usize = 4;
const EVEN: f32 = 1.0;
/// Their gradient in the direction in which it is weakest: so many times [`TEXTURE`] in all.
const WEAKEST: f32 = 5.0;

/// Follows one face and what is around it over the frames of a session.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    seen: u32,
    /// What later frames are compared with.
    first: Option<Reference>,
    moved: u32,
}

impl Surroundings {
    /// Takes one frame with `face` in it.
    pub(super) fn observe(&mut self, view: &ImageView<'_>, face: &Face) {
        self.seen += 1;
        match &mut self.first {
            None if self.seen > SKIPPED => self.first = Reference::new(view, face),
            None => {}
            Some(first) => self.moved += u32::from(first.compare(view)),
        }
    }

    /// Whether the face has moved, and the room has not until now.
    pub(super) fn stand(&self) -> bool {
        self.moved >= FRAMES && self.first.as_ref().is_some_and(Reference::has_witnesses)
    }
}

/// A frame's green, which carries most of the light in either order of the channels, as means of square cells, a little blurred.
struct Reduced {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Reduced {
    /// Of the rows and columns of `view` that make whole cells.
    fn new(view: &ImageView<'_>, cell: usize) -> Self {
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
        let mut reduced = Self { width, height, values };
        // Two passes of a binomial kernel each way: a standard deviation of one cell.
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
    fn block(&self, x: usize, y: usize) -> impl Iterator<Item = f32> + '_ {
        (y..y + BLOCK).flat_map(move |row| self.values[row * self.width + x..][..BLOCK].iter().copied())
    }

    /// Covariance of the gradient in the block at (`x`, `y`), which must not touch the border.
    fn tensor(&self, x: usize, y: usize) -> [f32; 3] {
        let (mut sums, mut products) = ([0.0; 2], [0.0; 3]);
        for at in (y..y + BLOCK).flat_map(|row| (x..x + BLOCK).map(move |column| row * self.width + column)) {
            let slope = |step: usize| (self.values[at + step] - self.values[at - step]) / 2.0;
            let (across, down) = (slope(1), slope(self.width));
            sums = [sums[0] + across, sums[1] + down];
            products = [products[0] + across * across, products[1] + across * down, products[2] + down * down];
        }
        let count = (BLOCK * BLOCK) as f32;
        let [across, down] = sums.map(|sum| sum / count);
        let [aa, ad, dd] = products.map(|product| product / count);
        [aa - across * across, ad - across * down, dd - down * down]
    }
}

/// A textured block of the first frame.
#[derive(Debug)]
struct Block {
    /// Its first cell.
    at: (usize, usize),
    is_face: bool,
    values: [f32; BLOCK * BLOCK],
    /// Covariance of its gradient: across, mixed, down.
    tensor: [f32; 3],
    /// Furthest that it was seen to have moved, cells.
    furthest: f32,
}

impl Block {
    /// How far it has moved in `frame`, cells; without end where it is another thing.
    fn shift(&self, frame: &Reduced) -> f32 {
        let count = self.values.len() as f32;
        let mean = |sum: f32| sum / count;
        let (then, now) = (mean(self.values.iter().sum()), mean(frame.block(self.at.0, self.at.1).sum()));
        let (mut own, mut other, mut both) = (0.0, 0.0, 0.0);
        for (a, b) in self.values.iter().zip(frame.block(self.at.0, self.at.1)) {
            let (a, b) = (a - then, b - now);
            own += a * a;
            other += b * b;
            both += a * b;
        }
        let correlation = both / (own * other).sqrt();
        if correlation.is_nan() {
            return f32::INFINITY;
        }
        let [across, _, down] = self.tensor;
        (2.0 * mean(own) * (1.0 - correlation).max(0.0) / (across + down)).sqrt()
    }
}

/// What is kept of the first frame.
#[derive(Debug)]
struct Reference {
    /// Pixels a side.
    cell: usize,
    /// Of the frame, pixels.
    size: (usize, usize),
    blocks: Vec<Block>,
}

impl Reference {
    /// None for a face that is not in the picture.
    fn new(view: &ImageView<'_>, face: &Face) -> Option<Self> {
        let bounds = &face.bounds;
        let side = bounds.width().max(bounds.height());
        if !side.is_finite() || side < CELLS / 2.0 {
            return None;
        }
        let cell = ((side / CELLS).round() as usize).clamp(1, LARGEST);
        let frame = Reduced::new(view, cell);
        let (middle, pixels) = (bounds.centre(), cell as f32);
        // How far a block's middle lies from the face's, in halves of the face's sides.
        let apart = |at: usize, middle: f32, side: f32| {
            let here = (at as f32 + BLOCK as f32 / 2.0) * pixels;
            (here - middle).abs() / side * 2.0
        };
        let texture = TEXTURE / (cell * cell) as f32;
        let mut blocks = Vec::new();
        // One cell from the border, for the gradient.
        for y in (1..frame.height.saturating_sub(BLOCK)).step_by(BLOCK) {
            for x in (1..frame.width.saturating_sub(BLOCK)).step_by(BLOCK) {
                let away = apart(x, middle.x, bounds.width()).max(apart(y, middle.y, bounds.height()));
                if away > REGION {
                    continue;
                }
                let tensor = frame.tensor(x, y);
                if tensor[0] + tensor[2] < texture {
                    continue;
                }
                let mut values = [0.0; BLOCK * BLOCK];
                values.iter_mut().zip(frame.block(x, y)).for_each(|(value, seen)| *value = seen);
                blocks.push(Block { at: (x, y), is_face: away <= 1.0, values, tensor, furthest: 0.0 });
            }
        }
        Some(Self { cell, size: (view.width(), view.height()), blocks })
    }

    /// Says whether the face has moved; forgets witnesses that have.
    fn compare(&mut self, view: &ImageView<'_>) -> bool {
        if (view.width(), view.height()) != self.size {
            // Another picture altogether: nothing in it stands for anything.
            self.blocks.clear();
            return false;
        }
        let frame = Reduced::new(view, self.cell);
        let mut shifts = Vec::new();
        for block in &mut self.blocks {
            let shift = block.shift(&frame);
            block.furthest = block.furthest.max(shift);
            if block.is_face {
                shifts.push(shift);
            }
        }
        shifts.sort_by(f32::total_cmp);
        shifts.get(shifts.len() / 2).is_some_and(|&median| median > MOVED)
    }

    fn has_witnesses(&self) -> bool {
        let mut tensor = [0.0; 3];
        let mut witnesses = 0;
        for block in self.blocks.iter().filter(|block| !block.is_face && block.furthest < STOOD) {
            witnesses += 1;
            tensor.iter_mut().zip(block.tensor).for_each(|(sum, part)| *sum += part);
        }
        let [across, mixed, down] = tensor;
        let (mean, apart) = ((across + down) / 2.0, ((across - down) / 2.0).hypot(mixed));
        let (weakest, strongest) = (mean - apart, mean + apart);
        witnesses >= WITNESSES
            && weakest >= WEAKEST * TEXTURE / (self.cell * self.cell) as f32
            && weakest / strongest * witnesses as f32 >= EVEN
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{Bounds, Colour, Image, Landmarks},
        *,
    };

    const SIDE: usize = 240;

    /// Something textured, whose every point (x, y) shows what lies at `map(x, y)`, with a little noise.
    fn picture(noise: u32, map: impl Fn(f32, f32) -> (f32, f32)) -> Image {
        let mut seed = 12345 + noise;
        let mut bytes = Vec::with_capacity(SIDE * SIDE * 3);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let (u, v) = map(x as f32, y as f32);
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let jitter = (seed >> 16) as f32 / 65_536.0 * 3.0 - 1.5;
                let value = 120.0 + 50.0 * (u / 3.0).sin() * (v / 3.5).cos() + jitter;
                bytes.extend([value.clamp(0.0, 255.0) as u8; 3]);
            }
        }
        Image::new(bytes, SIDE, SIDE, Colour::Rgb).expect("whole")
    }

    fn stand(frames: impl IntoIterator<Item = Image>) -> bool {
        let bounds = Bounds { left: 80.0, top: 70.0, right: 150.0, bottom: 160.0 };
        let face = Face { bounds, score: 1.0, landmarks: Landmarks::default() };
        let mut surroundings = Surroundings::default();
        for frame in frames {
            surroundings.observe(&frame.view().expect("whole"), &face);
        }
        surroundings.stand()
    }

    fn in_face(x: f32, y: f32) -> bool {
        (75.0..155.0).contains(&x) && (65.0..165.0).contains(&y)
    }

    #[test]
    fn only_what_moves_before_what_stands_is_seen_as_such() {
        let nod = |x: f32, y: f32, n: u32| (x + if in_face(x, y) { n as f32 / 4.0 } else { 0.0 }, y);
        for (case, wanted, frames) in [
            ("nods before a room", true, (0..12).map(|n| picture(n, move |x, y| nod(x, y, n))).collect()),
            ("nothing moves", false, (0..12).map(|n| picture(n, |x, y| (x, y))).collect()),
            (
                "all moves",
                false,
                (0..12).map(|n| picture(n, move |x, y| (x + n as f32 / 4.0, y - n as f32 / 6.0))).collect(),
            ),
            (
                "a clip of a nod, in a hand",
                false,
                (0..12)
                    .map(|n| {
                        picture(n, move |x, y| {
                            let (x, y) = nod(x, y, n);
                            (x, y + n as f32 / 8.0)
                        })
                    })
                    .collect(),
            ),
            (
                "the same, moved along the only edges",
                false,
                (0..12)
                    .map(|n| {
                        picture(n, move |x, y| {
                            let (x, _) = nod(x, y, n);
                            (x, 0.0)
                        })
                    })
                    .collect(),
            ),
            (
                "nods before a blank wall",
                false,
                (0..12)
                    .map(|n| picture(n, move |x, y| if in_face(x, y) { nod(x, y, n) } else { (0.0, 0.0) }))
                    .collect(),
            ),
        ] as [(_, _, Vec<Image>); 6]
        {
            assert_eq!(stand(frames), wanted, "{case}");
        }
    }

    #[test]
    fn flicker_is_no_motion() {
        let lit = |n: u32| {
            let frame = picture(n, move |x, y| (x + if in_face(x, y) { n as f32 / 4.0 } else { 0.0 }, y));
            let bytes = frame.as_bytes().iter().map(|&v| (f32::from(v) * (0.8 + n as f32 / 60.0)) as u8).collect();
            Image::new(bytes, SIDE, SIDE, Colour::Rgb).expect("whole")
        };
        assert!(stand((0..12).map(lit)));
    }

    #[test]
    fn what_cannot_be_compared_is_survived() {
        let grey = || Image::new(vec![128; SIDE * SIDE * 3], SIDE, SIDE, Colour::Rgb).expect("whole");
        assert!(!stand((0..9).map(|_| grey())));
        let small = || Image::new(vec![9; 5 * 5 * 3], 5, 5, Colour::Rgb).expect("whole");
        assert!(!stand((0..9).map(|n| if n < 4 { picture(n, |x, y| (x, y)) } else { small() })));
        assert!(!stand((0..9).map(|_| small())));
        let frame = picture(0, |x, y| (x, y));
        for (left, right) in [(-90.0, -10.0), (235.0, 400.0), (f32::NAN, 100.0), (10.0, 12.0), (-1e30, 1e30)] {
            let bounds = Bounds { left, top: 0.0, right, bottom: 100.0 };
            let mut surroundings = Surroundings::default();
            for _ in 0..6 {
                surroundings.observe(
                    &frame.view().expect("whole"),
                    &Face { bounds, score: 1.0, landmarks: Landmarks::default() },
                );
            }
            assert!(!surroundings.stand(), "{left}");
        }
    }
}
