//! Whether the region where the face was first seen changes at all. A live face does; a static picture does not.
//!
//! The region of the first face is reduced to 16x16 block means and normalised for brightness and contrast, so that flicker
//! of the light does not count as motion. Later frames are compared with it. Sensor noise averages out in a block; a breath,
//! a sway or a blink does not.
//!
//! Blocks: a photo on a stand or fed into the camera's line as it is. Does not block: a photo or a screen that is moved,
//! a replayed clip, or a shaken camera.

use super::super::{Face, ImageView};

/// Blocks per side.
const SIDE: usize = 16;

/// Change (root mean square over the blocks, in units of the region's own contrast) that counts as motion. Stills under
/// synthetic sensor noise of 2 to 8 grey levels stay below 0.034; live clips exceed 0.049 within any half second, nine in
/// ten exceed 0.09. Measured on the clips and photos that `tests/pictures/fetch` brings and on five more live clips.
const MOTION: f32 = 0.045;

/// Follows one region over the frames of a session.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    first: Option<(Region, Grid)>,
    largest: f32,
}

type Grid = [f32; SIDE * SIDE];

/// Pixels of the frame: columns and rows, half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Stillness {
    /// Adds one frame with `face` in it.
    pub(super) fn observe(&mut self, view: &ImageView<'_>, face: &Face) {
        match &self.first {
            Some((region, first)) if region.right <= view.width() && region.bottom <= view.height() => {
                self.largest = self.largest.max(difference(first, &grid(view, *region)));
            }
            _ => {
                let region = Region::of(face, view);
                self.first = region.map(|region| (region, grid(view, region)));
            }
        }
    }

    /// Whether anything has moved so far.
    pub(super) fn moved(&self) -> bool {
        self.largest >= MOTION
    }
}

impl Region {
    /// The part of the face's box inside the picture; none where it is too small for the blocks.
    fn of(face: &Face, view: &ImageView<'_>) -> Option<Self> {
        let inside = |at: f32, end: usize| at.clamp(0.0, end as f32) as usize;
        let bounds = &face.bounds;
        let region = Self {
            left: inside(bounds.left, view.width()),
            top: inside(bounds.top, view.height()),
            right: inside(bounds.right, view.width()),
            bottom: inside(bounds.bottom, view.height()),
        };
        (region.right >= region.left + SIDE && region.bottom >= region.top + SIDE).then_some(region)
    }
}

/// Mean of each block, normalised by the region's mean and contrast.
fn grid(view: &ImageView<'_>, region: Region) -> Grid {
    let mut sums = [0_u32; SIDE * SIDE];
    let mut counts = [0_u32; SIDE * SIDE];
    let (width, height) = (region.right - region.left, region.bottom - region.top);
    for y in 0..height {
        let row = &view.row(region.top + y)[3 * region.left..3 * region.right];
        let blocks = y * SIDE / height * SIDE;
        for (block, sum) in sums[blocks..blocks + SIDE].iter_mut().enumerate() {
            let (from, to) = (block * width / SIDE, (block + 1) * width / SIDE);
            // The plain sum of the channels serves: only changes count.
            *sum += row[3 * from..3 * to].iter().map(|&v| u32::from(v)).sum::<u32>();
            counts[blocks + block] += 3 * (to - from) as u32;
        }
    }
    let mut means = [0.0; SIDE * SIDE];
    for ((mean, sum), count) in means.iter_mut().zip(sums).zip(counts) {
        *mean = sum as f32 / count.max(1) as f32;
    }
    let blocks = (SIDE * SIDE) as f32;
    let average = means.iter().sum::<f32>() / blocks;
    let contrast = (means.iter().map(|m| (m - average).powi(2)).sum::<f32>() / blocks).sqrt().max(1.0);
    means.map(|mean| (mean - average) / contrast)
}

fn difference(a: &Grid, b: &Grid) -> f32 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{Bounds, Colour, Image, Landmarks},
        *,
    };

    /// A textured picture, shifted, brightened and with sensor noise.
    fn picture(shift: usize, gain: f32, noise: u32) -> Image {
        let mut seed = 12345_u32 + noise;
        let mut bytes = Vec::with_capacity(200 * 200 * 3);
        for y in 0..200_usize {
            for x in 0..200_usize {
                let u = (x + shift) as f32;
                let texture = 120.0 + 60.0 * (u / 9.0).sin() * (y as f32 / 13.0).cos();
                for _ in 0..3 {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let jitter = if noise == 0 { 0.0 } else { (seed >> 16) as f32 / 65_536.0 * 16.0 - 8.0 };
                    bytes.push((texture * gain + jitter).clamp(0.0, 255.0) as u8);
                }
            }
        }
        Image::new(bytes, 200, 200, Colour::Rgb).expect("whole")
    }

    fn seen(frames: &[Image]) -> bool {
        let bounds = Bounds { left: 30.0, top: 20.0, right: 170.0, bottom: 230.0 };
        let face = Face { bounds, score: 1.0, landmarks: Landmarks::default() };
        let mut stillness = Stillness::default();
        for frame in frames {
            stillness.observe(&frame.view().expect("whole"), &face);
        }
        stillness.moved()
    }

    #[test]
    fn noise_and_flicker_are_no_motion_a_sway_is() {
        let still: Vec<_> = (1..20).map(|n| picture(0, 1.0 + n as f32 / 200.0, n)).collect();
        assert!(!seen(&still));
        assert!(seen(&[picture(0, 1.0, 1), picture(2, 1.0, 2)]));
        assert!(!seen(&[picture(0, 1.0, 1)]));
    }

    #[test]
    fn a_face_outside_or_too_small_is_survived() {
        let frame = picture(0, 1.0, 0);
        let mut stillness = Stillness::default();
        for (left, right) in [(-50.0, -10.0), (195.0, 400.0), (f32::NAN, 100.0), (10.0, 12.0)] {
            let bounds = Bounds { left, top: 0.0, right, bottom: 100.0 };
            stillness
                .observe(&frame.view().expect("whole"), &Face { bounds, score: 1.0, landmarks: Landmarks::default() });
        }
        assert!(!stillness.moved());
    }
}
