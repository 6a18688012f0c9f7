//! One reference frame, and how far each of its textured blocks has moved since.
//!
//! Two views of a block are normalised for brightness and contrast. Their correlation and the block's gradient give the shift between
//! them (the optical flow constraint, averaged: the difference of the views is the gradient times the shift, counting only the part of
//! the gradient that brightness and contrast do not explain). An edge does not show a shift along itself, so the sum of the witnesses'
//! structure tensors must hold gradients in every direction (Shi and Tomasi, "Good Features to Track", CVPR 1994).

use super::{
    super::super::Face,
    reduced::{BLOCK, Reduced},
};

/// Sides of the region, as multiples of the face's sides.
const REGION: f32 = 2.2;
/// Least variance of a block's gradient (grey levels per cell) times the pixels of a cell. Sensor noise of 2.5 grey levels reaches a
/// twentieth of it, and would be mistaken for a third of a cell of motion.
const TEXTURE: f32 = 11.0;
/// Cells that a witness may move by measurement noise.
const STOOD: f32 = 0.12;
/// Fewest witnesses, and the least value of their number times the evenness of their summed gradients (weakest direction over strongest), so
/// that a shift in any direction would show.
const WITNESSES: usize = 4;
const EVEN: f32 = 1.0;
/// Least sum of their gradients in the weakest direction, as a multiple of [`TEXTURE`].
const WEAKEST: f32 = 5.0;

/// A textured block of the reference.
#[derive(Debug)]
struct Block {
    /// Its first cell.
    at: (usize, usize),
    is_face: bool,
    values: [f32; BLOCK * BLOCK],
    /// See [`Reduced::tensor`].
    tensor: [f32; 3],
    /// Largest shift seen so far, cells.
    furthest: f32,
}

impl Block {
    /// Its shift in `frame`, cells; infinite where the block shows something else.
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

/// A reference frame: its textured blocks and their witnesses.
#[derive(Debug)]
pub(super) struct Reference {
    /// Side of a cell in pixels, then the frame's sides in cells.
    size: [usize; 3],
    blocks: Vec<Block>,
}

impl Reference {
    /// The blocks of `frame` that have texture, in and around `face`.
    pub(super) fn new(frame: &Reduced, face: &Face) -> Self {
        let bounds = &face.bounds;
        let (middle, pixels) = (bounds.centre(), frame.cell as f32);
        // Distance of a block's centre from the face's centre, in half sides of the face.
        let apart = |at: usize, middle: f32, side: f32| {
            let here = (at as f32 + BLOCK as f32 / 2.0) * pixels;
            (here - middle).abs() / side * 2.0
        };
        let texture = TEXTURE / (frame.cell * frame.cell) as f32;
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
        Self { size: size(frame), blocks }
    }

    /// Compares with a later frame: the median shift of the face's blocks, in cells. Blocks outside the face that moved stop being
    /// witnesses.
    pub(super) fn face_shift(&mut self, frame: &Reduced) -> f32 {
        if size(frame) != self.size {
            // The picture has another size: nothing can be compared.
            self.blocks.clear();
        }
        let mut shifts = Vec::new();
        for block in &mut self.blocks {
            let shift = block.shift(frame);
            block.furthest = block.furthest.max(shift);
            if block.is_face {
                shifts.push(shift);
            }
        }
        shifts.sort_by(f32::total_cmp);
        shifts.get(shifts.len() / 2).copied().unwrap_or(0.0)
    }

    /// Whether enough witnesses outside the face have stayed static until now.
    pub(super) fn has_witnesses(&self) -> bool {
        let mut tensor = [0.0; 3];
        let mut witnesses = 0;
        for block in self.blocks.iter().filter(|block| !block.is_face && block.furthest < STOOD) {
            witnesses += 1;
            tensor.iter_mut().zip(block.tensor).for_each(|(sum, part)| *sum += part);
        }
        let [across, mixed, down] = tensor;
        let (mean, apart) = ((across + down) / 2.0, ((across - down) / 2.0).hypot(mixed));
        let (weakest, strongest) = (mean - apart, mean + apart);
        let cell = self.size[0];
        witnesses >= WITNESSES
            && weakest >= WEAKEST * TEXTURE / (cell * cell) as f32
            && weakest / strongest * witnesses as f32 >= EVEN
    }
}

fn size(frame: &Reduced) -> [usize; 3] {
    [frame.cell, frame.width, frame.height]
}
