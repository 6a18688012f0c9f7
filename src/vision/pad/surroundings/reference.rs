//! One frame that is kept, and how far each of its textured blocks has moved since.
//!
//! Of two views of a block, freed of brightness and contrast, the correlation and the block's own gradient give how far it has moved
//! (the optical flow constraint, as a mean: the difference of the views is the gradient times the shift; of the gradient only what
//! neither brightness nor contrast explains). An edge does not show a shift along itself, so the witnesses' structure tensors together
//! must hold gradients in every direction (Shi and Tomasi, "Good Features to Track", CVPR 1994).

use super::{
    super::super::Face,
    reduced::{BLOCK, Reduced},
};

/// The region's sides in sides of the face.
const REGION: f32 = 2.2;
/// Least variance of a block's gradient, grey levels a cell, times the pixels of a cell: a sensor's noise of 2.5 grey levels has a
/// twentieth of it, and looks like a third of a cell's motion.
const TEXTURE: f32 = 11.0;
/// Cells that a witness may seem to have moved.
const STOOD: f32 = 0.12;
/// Witnesses that are needed, and what they must come to when each counts by how even their gradients are together (the weakest over
/// the strongest): as many as show a shift in every direction.
const WITNESSES: usize = 4;
const EVEN: f32 = 1.0;
/// Their gradient in the direction in which it is weakest: so many times [`TEXTURE`] in all.
const WEAKEST: f32 = 5.0;

/// A textured block of the frame that is kept.
#[derive(Debug)]
struct Block {
    /// Its first cell.
    at: (usize, usize),
    is_face: bool,
    values: [f32; BLOCK * BLOCK],
    /// See [`Reduced::tensor`].
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

/// What is kept of a frame.
#[derive(Debug)]
pub(super) struct Reference {
    /// Pixels a side of a cell, then the frame's sides in cells.
    size: [usize; 3],
    blocks: Vec<Block>,
}

impl Reference {
    /// The blocks of `frame` that have texture, in and around `face`.
    pub(super) fn new(frame: &Reduced, face: &Face) -> Self {
        let bounds = &face.bounds;
        let (middle, pixels) = (bounds.centre(), frame.cell as f32);
        // How far a block's middle lies from the face's, in halves of the face's sides.
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

    /// Compares with a later frame: how far the face's blocks have moved, at their median, cells. Blocks beside it that moved are no
    /// witnesses any more.
    pub(super) fn face_shift(&mut self, frame: &Reduced) -> f32 {
        if size(frame) != self.size {
            // Another picture altogether: nothing in it stands for anything.
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

    /// Whether enough beside the face has stood until now.
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
