//! The embeddings of one continuous face, fused into one.
//!
//! Fused is the mean of the embeddings of the best [`Fusion::WINDOW`] usable frames, each with its weight: what differs from frame to
//! frame (noise, blur, a blink) averages out, what stays is the face. Not the most alike frame: with each frame more, the most alike of
//! an impostor's frames comes closer by luck, and the false matches of the whole transaction grow with its length; the mean settles.
//!
//! A frame's weight is the length that its embedding had before it was scaled to 1: nets of this kind give a face they are unsure of a
//! shorter vector (Meng et al., "MagFace", CVPR 2021; it is the unified quality score of ISO/IEC 29794-5's reference software too). Of
//! all that `examgate-lab evaluate quality` measures it foretells a failed comparison best by far.
//!
//! Whether it is still the same face is judged by its embedding, never by its place: a place can be taken by another person between two
//! frames. On a change all that was fused is void and starts again with this frame.

use std::collections::VecDeque;

use crate::domain::{Continuity, Embedding, EmbeddingError, Similarity};

/// What the frames of one face add up to. Its embeddings are wiped when it is dropped.
#[derive(Debug, Default)]
pub struct Fusion {
    /// In the order they came, each with its weight.
    frames: VecDeque<(Embedding, f32)>,
    fused: Option<Embedding>,
}

impl Fusion {
    /// Usable frames that are fused, at most: about the second that a decision may take.
    pub const WINDOW: usize = 8;

    /// Takes in one usable frame of `weight` above 0; from a cosine of `same_face` to what is fused already it shows the same face. Where
    /// the window is full the lightest goes, among equals the oldest.
    ///
    /// # Errors
    /// When the frames cancel each other out.
    pub fn add(&mut self, frame: Embedding, weight: f32, same_face: Similarity) -> Result<Continuity, EmbeddingError> {
        let continuity = match &self.fused {
            None => Continuity::First,
            Some(fused) if fused.similarity(&frame) >= same_face => Continuity::Same,
            Some(_) => Continuity::Changed,
        };
        if continuity == Continuity::Changed {
            self.frames.clear();
        }
        let dimension = frame.dimension();
        self.frames.push_back((frame, weight));
        if self.frames.len() > Self::WINDOW {
            let lightest = (0..self.frames.len()).min_by(|&a, &b| self.frames[a].1.total_cmp(&self.frames[b].1));
            lightest.and_then(|at| self.frames.remove(at));
        }
        let mut sum = vec![0.0; dimension];
        for (frame, weight) in &self.frames {
            for (sum, component) in sum.iter_mut().zip(frame.as_slice()) {
                *sum += weight * component;
            }
        }
        self.fused = Some(Embedding::normalised(sum)?);
        Ok(continuity)
    }

    /// What is fused; `None` before the first frame.
    #[must_use]
    pub const fn embedding(&self) -> Option<&Embedding> {
        self.fused.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Similarity = Similarity::new(0.5);

    fn unit(components: &[f32]) -> Embedding {
        Embedding::normalised(components.to_vec()).unwrap()
    }

    fn to(fusion: &Fusion, components: &[f32]) -> f32 {
        fusion.embedding().unwrap().similarity(&unit(components)).get()
    }

    #[test]
    fn opposite_errors_cancel() {
        let mut fusion = Fusion::default();
        assert_eq!(fusion.embedding(), None);
        assert_eq!(fusion.add(unit(&[1.0, 0.5]), 1.0, SAME).unwrap(), Continuity::First);
        assert!(to(&fusion, &[1.0, 0.0]) < 0.9);
        assert_eq!(fusion.add(unit(&[1.0, -0.5]), 1.0, SAME).unwrap(), Continuity::Same);
        assert!((to(&fusion, &[1.0, 0.0]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn another_face_voids_the_evidence() {
        let mut fusion = Fusion::default();
        for _ in 0..3 {
            fusion.add(unit(&[1.0, 0.0]), 1.0, SAME).unwrap();
        }
        assert_eq!(fusion.add(unit(&[0.0, 1.0]), 1.0, SAME).unwrap(), Continuity::Changed);
        assert_eq!(to(&fusion, &[1.0, 0.0]), 0.0, "nothing of the first face is left");
        assert_eq!(fusion.add(unit(&[0.0, 1.0]), 1.0, SAME).unwrap(), Continuity::Same);
    }

    #[test]
    fn a_frame_counts_by_its_weight() {
        let mut fusion = Fusion::default();
        fusion.add(unit(&[1.0, 0.0]), 3.0, SAME).unwrap();
        fusion.add(unit(&[0.6, 0.8]), 1.0, SAME).unwrap();
        assert!((to(&fusion, &[3.6, 0.8]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_lightest_frames_leave_a_full_window() {
        let mut fusion = Fusion::default();
        fusion.add(unit(&[1.0, 0.0]), 2.0, SAME).unwrap();
        for _ in 0..2 * Fusion::WINDOW {
            fusion.add(unit(&[0.8, 0.6]), 1.0, SAME).unwrap();
        }
        let light = Fusion::WINDOW as f32 - 1.0;
        assert!((to(&fusion, &[2.0 + 0.8 * light, 0.6 * light]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn old_frames_leave_the_window() {
        let mut fusion = Fusion::default();
        fusion.add(unit(&[1.0, 0.0]), 1.0, SAME).unwrap();
        for _ in 0..Fusion::WINDOW {
            fusion.add(unit(&[0.8, 0.6]), 1.0, SAME).unwrap();
        }
        assert!((to(&fusion, &[0.8, 0.6]) - 1.0).abs() < 1e-6);
    }
}
