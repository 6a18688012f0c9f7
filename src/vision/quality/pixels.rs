//! What the pixels of an aligned face are like: light, its evenness, sharpness.

use crate::vision::align::SIDE;

/// The face without its surroundings: from brow to chin, from cheek to cheek (eyes, nose and mouth lie at fixed places).
const ROWS: std::ops::Range<usize> = 30..102;
/// Columns from the face's middle (the mean of the eyes) outwards.
const HALF: usize = 36;
const MIDDLE: usize = 56;
/// Luma that a camera cannot tell from black, and from white.
const CLIPPED: [f32; 2] = [8.0, 247.0];

/// Light on the face.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Light {
    /// Mean luma of the whole aligned picture.
    pub(super) brightness: f32,
    /// Luma between the darkest and the brightest twentieth of the face.
    pub(super) contrast: f32,
    /// Share of the face's pixels that are black or white.
    pub(super) clipped: f32,
    /// Mean luma of the darker half of the face over that of the brighter.
    pub(super) evenness: f32,
}

/// Light on an aligned face: `luma` has 112 rows of 112 values, 0..=255.
pub(super) fn light(luma: &[f32]) -> Light {
    let (mut counts, mut halves) = ([0_u32; 256], [0.0_f32; 2]);
    for row in luma.chunks_exact(SIDE).take(ROWS.end).skip(ROWS.start) {
        for (half, columns) in [MIDDLE - HALF..MIDDLE, MIDDLE..MIDDLE + HALF].into_iter().enumerate() {
            for &value in &row[columns] {
                counts[usize::from(value as u8)] += 1;
                halves[half] += value;
            }
        }
    }
    let total: u32 = counts.iter().sum();
    let below = |share: f32| {
        let mut seen = 0;
        counts
            .iter()
            .position(|count| {
                seen += count;
                seen as f32 >= share * total as f32
            })
            .unwrap_or(0) as f32
    };
    let clipped: u32 = (0_u16..)
        .zip(&counts)
        .filter(|(value, _)| !(CLIPPED[0]..=CLIPPED[1]).contains(&f32::from(*value)))
        .map(|(_, count)| count)
        .sum();
    Light {
        brightness: luma.iter().sum::<f32>() / luma.len().max(1) as f32,
        contrast: below(0.95) - below(0.05),
        clipped: clipped as f32 / total.max(1) as f32,
        evenness: halves[0].min(halves[1]) / halves[0].max(halves[1]).max(1.0),
    }
}

/// Variance of the Laplacian of an aligned face: high for a sharp one (Pech-Pacheco et al., "Diatom autofocusing in brightfield
/// microscopy", ICPR 2000). Summed by columns, which the compiler turns into vector code.
pub(super) fn sharpness(luma: &[f32]) -> f32 {
    let rows: Vec<&[f32]> = luma.chunks_exact(SIDE).collect();
    let (mut sums, mut squares) = ([0.0_f32; SIDE - 2], [0.0_f32; SIDE - 2]);
    for three in rows.windows(3) {
        let around = three[0][1..].iter().zip(&three[2][1..]).zip(three[1].windows(3));
        for (((above, below), row), (sum, square)) in around.zip(sums.iter_mut().zip(&mut squares)) {
            let laplacian = above + below + row[0] + row[2] - 4.0 * row[1];
            *sum += laplacian;
            *square += laplacian * laplacian;
        }
    }
    let n = ((SIDE - 2) * (SIDE - 2)) as f32;
    let mean = sums.iter().sum::<f32>() / n;
    squares.iter().sum::<f32>() / n - mean * mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(pixel: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..SIDE * SIDE).map(|at| pixel(at / SIDE, at % SIDE)).collect()
    }

    #[test]
    fn light_is_measured() {
        let flat = light(&face(|_, _| 100.0));
        assert_eq!(flat, Light { brightness: 100.0, contrast: 0.0, clipped: 0.0, evenness: 1.0 });
        let one_side = light(&face(|_, column| if column < MIDDLE { 50.0 } else { 200.0 }));
        assert_eq!((one_side.evenness, one_side.contrast), (0.25, 150.0));
        let night = light(&face(|_, _| 0.0));
        assert_eq!((night.clipped, night.evenness), (1.0, 0.0));
        let glare = light(&face(|row, _| if row < 48 { 255.0 } else { 128.0 }));
        assert!((glare.clipped - 0.25).abs() < 1e-6, "{glare:?}");
    }

    #[test]
    fn a_sharp_edge_is_sharper_than_a_soft_one() {
        let edge = |width: f32| sharpness(&face(|_, column| ((column as f32 - 56.0) / width).clamp(0.0, 1.0) * 255.0));
        assert!(edge(1.0) > 4.0 * edge(4.0) && edge(4.0) > 4.0 * edge(16.0));
        assert_eq!(sharpness(&face(|_, _| 77.0)), 0.0);
    }
}
