//! The evidence of one session: the frames of one continuous face, fused, against the templates of one student.
//!
//! How frames are fused, and when it is another face, is told in `fusion.rs`. On a change of face all evidence is void, liveness too.
//!
//! Liveness is fused too, over all fit frames of the face: `pad` says from which cues.

use super::{Fusion, ImageView, Pipeline, VisionError, pad::LivenessEvidence};
use crate::domain::{Continuity, Embedding, FaceSeen, MonoTime, Observation, Similarity, SpaceMismatch, Template};

/// One session's probe. Its embeddings and templates are wiped when it is dropped.
#[derive(Debug)]
pub struct Probe {
    templates: Vec<Template>,
    fusion: Fusion,
    evidence: LivenessEvidence,
}

impl Probe {
    /// A probe against the `templates` of one student; none, and every similarity is -1.
    #[must_use]
    pub fn new(templates: Vec<Template>) -> Self {
        Self { templates, fusion: Fusion::default(), evidence: LivenessEvidence::default() }
    }

    /// Looks at one frame: all faces; where there is one, its quality, its liveness, and if it is fit, its embedding.
    ///
    /// A defective frame is no evidence: neither likeness, liveness nor a change of face is judged, all stay as the frames before
    /// left them; a person who steps in during it is noticed at the next usable frame.
    ///
    /// ```no_run
    /// # fn example(pipeline: &mut examgate::vision::Pipeline) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use examgate::{
    ///     domain::MonoTime,
    ///     vision::{Probe, decode_file},
    /// };
    ///
    /// // Of one student; a door has them from its roster.
    /// let templates = Vec::new();
    /// let mut probe = Probe::new(templates);
    /// for number in 0..25 {
    ///     let frame = decode_file(&std::fs::read(format!("frame-{number:04}.jpg"))?)?;
    ///     let captured_at = MonoTime::from_start(Duration::from_millis(40 * number));
    ///     let seen = probe.observe(pipeline, &frame.view()?, captured_at)?;
    ///     println!("{} faces; {:?}", seen.faces, seen.face.map(|face| (face.similarity, face.liveness, face.cue)));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a net fails, or the templates belong to another space than the pipeline's embedder.
    pub fn observe(
        &mut self,
        pipeline: &mut Pipeline,
        view: &ImageView<'_>,
        captured_at: MonoTime,
    ) -> Result<Observation, VisionError> {
        if let Some(other) = self.templates.iter().find(|template| template.space != *pipeline.space()) {
            let (probe, template) = (pipeline.space().clone(), other.space.clone());
            return Err(SpaceMismatch { probe, template }.into());
        }
        let faces = pipeline.detect(view)?;
        let face = match faces.as_slice() {
            [face] => {
                let quality = pipeline.quality(view, face)?;
                let continuity = if quality.defect.is_none() {
                    let same_face = pipeline.embedder().spec().thresholds.same_face;
                    let template = pipeline.embedder().embed_aligned()?;
                    let weight = pipeline.embedder().length();
                    let continuity = self.add(template.embedding.clone(), weight, same_face)?;
                    self.evidence.observe(pipeline.liveness(view, face)?, view, face, captured_at);
                    continuity
                } else if self.fusion.embedding().is_none() {
                    Continuity::First
                } else {
                    Continuity::Same
                };
                let (liveness, cue) = self.evidence.verdict(pipeline.liveness_spec());
                Some(FaceSeen {
                    eye_distance: quality.eye_distance,
                    pose: quality.pose,
                    defect: quality.defect,
                    liveness,
                    cue,
                    similarity: self.similarity(),
                    continuity,
                })
            }
            _ => None,
        };
        Ok(Observation { captured_at, faces: u32::try_from(faces.len()).unwrap_or(u32::MAX), face })
    }

    /// The face, fused over the frames so far; `None` before the first usable frame.
    #[must_use]
    pub const fn embedding(&self) -> Option<&Embedding> {
        self.fusion.embedding()
    }

    /// Takes in one usable frame.
    fn add(&mut self, frame: Embedding, weight: f32, same_face: Similarity) -> Result<Continuity, VisionError> {
        let continuity = self.fusion.add(frame, weight, same_face)?;
        if continuity == Continuity::Changed {
            self.evidence = LivenessEvidence::default();
        }
        Ok(continuity)
    }

    /// Of the fused probe, to the most alike template; -1 before the first usable frame.
    fn similarity(&self) -> Similarity {
        let cosine = |fused: &Embedding| {
            self.templates.iter().map(|template| fused.similarity(&template.embedding).get()).fold(-1.0, f32::max)
        };
        Similarity::new(self.fusion.embedding().map_or(-1.0, cosine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArtifactId, EmbeddingSpaceId};

    fn unit(components: &[f32]) -> Embedding {
        Embedding::normalised(components.to_vec()).unwrap()
    }

    fn probe(templates: &[&[f32]]) -> Probe {
        Probe::new(
            templates
                .iter()
                .map(|components| Template {
                    space: EmbeddingSpaceId::new("s"),
                    artifact: ArtifactId::from_bytes([0; 32]),
                    embedding: unit(components),
                })
                .collect(),
        )
    }

    const SAME: Similarity = Similarity::new(0.5);

    #[test]
    fn the_mean_of_the_frames_is_compared_with_the_nearest_template() {
        let mut probe = probe(&[&[0.0, 0.0, 1.0], &[1.0, 0.0, 0.0]]);
        assert_eq!(probe.similarity().get(), -1.0);
        assert_eq!(probe.add(unit(&[1.0, 0.5, 0.0]), 1.0, SAME).unwrap(), Continuity::First);
        let one = probe.similarity().get();
        assert_eq!(probe.add(unit(&[1.0, -0.5, 0.0]), 1.0, SAME).unwrap(), Continuity::Same);
        assert!(probe.similarity().get() > one + 0.1, "opposite errors cancel");
    }

    #[test]
    fn without_templates_nothing_is_alike() {
        let mut probe = probe(&[]);
        probe.add(unit(&[1.0, 0.0]), 1.0, SAME).unwrap();
        assert_eq!(probe.similarity().get(), -1.0);
    }
}
