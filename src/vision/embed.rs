//! A face to a unit vector.
//!
//! Never knows whose vector it is, nor what it will be compared with.

use super::{
    Colour, EmbedderSpec, Face, ImageView, VisionError,
    align::{SIDE, align},
    placement::Placement,
    runtime::Net,
};
use crate::domain::{ArtifactId, Embedding, EmbeddingSpaceId, Template};

/// The embedder's net and its buffer, which holds the last aligned face.
pub struct Embedder {
    net: Net,
    spec: EmbedderSpec,
    artifact: ArtifactId,
    aligned: Vec<f32>,
}

impl Embedder {
    pub(crate) fn new(net: Net, spec: EmbedderSpec) -> Self {
        let place = Placement::new(&spec.net.input, SIDE, SIDE, Colour::Rgb);
        Self { net, artifact: spec.artifact(), aligned: vec![0.0; place.len()], spec }
    }

    /// Which templates its embeddings may be compared with.
    #[must_use]
    pub const fn space(&self) -> &EmbeddingSpaceId {
        &self.spec.space
    }

    /// What computes its embeddings.
    #[must_use]
    pub const fn artifact(&self) -> ArtifactId {
        self.artifact
    }

    /// What it eats and says, and what its cosines mean.
    #[must_use]
    pub const fn spec(&self) -> &EmbedderSpec {
        &self.spec
    }

    /// Lays `face` out as the net wants it: 112 x 112, eyes, nose and mouth in place.
    ///
    /// # Errors
    /// When the landmarks are one point.
    pub fn align(&mut self, view: &ImageView<'_>, face: &Face) -> Result<(), VisionError> {
        let place = Placement::new(&self.spec.net.input, SIDE, SIDE, view.colour());
        if align(view, &face.landmarks, &place, &mut self.aligned) { Ok(()) } else { Err(VisionError::NoExtent) }
    }

    /// Brightness (0..=255, ITU-R BT.601) of the last aligned face, rows of 112 pixels.
    pub(crate) fn aligned_luma(&self, luma: &mut Vec<f32>) {
        Placement::new(&self.spec.net.input, SIDE, SIDE, Colour::Rgb).luma(&self.aligned, luma);
    }

    /// Embeds the last aligned face.
    ///
    /// # Errors
    /// When the net fails, or answers in another shape or without direction.
    pub fn embed_aligned(&mut self) -> Result<Template, VisionError> {
        let place = Placement::new(&self.spec.net.input, SIDE, SIDE, Colour::Rgb);
        let expected = self.spec.dimension;
        let outputs = self.net.run(place.shape(1), &self.aligned)?;
        let (_, components) =
            outputs.get(&self.spec.output, &format!("1 x {expected}"), |shape| shape == [1, expected as i64])?;
        let embedding = Embedding::normalised(components.to_vec())?;
        Ok(Template { space: self.spec.space.clone(), artifact: self.artifact, embedding })
    }

    #[cfg(feature = "sim")]
    pub(crate) const fn net(&mut self) -> &mut Net {
        &mut self.net
    }
}
