//! Face embeddings and the rule that only templates of one space are ever compared.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

/// Names an embedding space: which templates may be compared with each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmbeddingSpaceId(String);

impl EmbeddingSpaceId {
    /// Wraps a name from the model manifest.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmbeddingSpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over the prepared net, its preprocessing and its precision: what computed an embedding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactId(#[serde(with = "hex::serde")] [u8; 32]);

impl ArtifactId {
    /// Wraps a SHA-256 digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl fmt::Debug for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactId({self})")
    }
}

/// Cosine similarity of two unit embeddings, in -1..=1. Higher is more alike. Not a probability.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Similarity(f32);

impl Similarity {
    /// Clamps `cosine` into -1..=1; a value that is not a number becomes -1, the least alike.
    #[must_use]
    pub const fn new(cosine: f32) -> Self {
        if cosine.is_nan() { Self(-1.0) } else { Self(cosine.clamp(-1.0, 1.0)) }
    }

    /// The cosine.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }
}

/// Why numbers are not an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// A component is infinite or not a number.
    #[error("the embedding holds a component that is not a finite number")]
    NotFinite,
    /// All components are (nearly) zero: it has no direction.
    #[error("the embedding has no length, so it has no direction")]
    NoDirection,
}

/// A face as a unit vector. Redacted in `Debug`, wiped when dropped: it can never be changed by its owner.
#[derive(Clone, PartialEq, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Scales `components` to unit length.
    ///
    /// # Errors
    /// When a component is not finite, or all are nearly zero.
    pub fn normalised(mut components: Vec<f32>) -> Result<Self, EmbeddingError> {
        if components.iter().any(|c| !c.is_finite()) {
            return Err(EmbeddingError::NotFinite);
        }
        let norm = components.iter().map(|&c| f64::from(c) * f64::from(c)).sum::<f64>().sqrt();
        if norm < 1e-6 {
            return Err(EmbeddingError::NoDirection);
        }
        for c in &mut components {
            *c = (f64::from(*c) / norm) as f32;
        }
        Ok(Self(components))
    }

    /// The unit vector.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Number of components.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Cosine with `other`. Embeddings of different dimension are as unlike as can be (-1).
    #[must_use]
    pub fn similarity(&self, other: &Self) -> Similarity {
        if self.0.len() != other.0.len() {
            return Similarity::new(-1.0);
        }
        Similarity::new(self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({} components, redacted)", self.0.len())
    }
}

/// Two templates of different spaces were brought together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("embeddings of space {probe} cannot be compared with templates of space {template}")]
pub struct SpaceMismatch {
    /// The probe's space.
    pub probe: EmbeddingSpaceId,
    /// The template's space.
    pub template: EmbeddingSpaceId,
}

/// One enrolled (or probed) face: the embedding, its space and what computed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Which templates it may be compared with.
    pub space: EmbeddingSpaceId,
    /// What computed it.
    pub artifact: ArtifactId,
    /// The unit vector.
    pub embedding: Embedding,
}

impl Template {
    /// Cosine with `other`.
    ///
    /// # Errors
    /// When the two belong to different spaces.
    pub fn similarity(&self, other: &Self) -> Result<Similarity, SpaceMismatch> {
        if self.space != other.space {
            return Err(SpaceMismatch { probe: self.space.clone(), template: other.space.clone() });
        }
        Ok(self.embedding.similarity(&other.embedding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(space: &str, v: Vec<f32>) -> Template {
        Template {
            space: EmbeddingSpaceId::new(space),
            artifact: ArtifactId::from_bytes([7; 32]),
            embedding: Embedding::normalised(v).expect("finite and long enough"),
        }
    }

    #[test]
    fn normalises_to_unit_length() {
        let e = Embedding::normalised(vec![3.0, 4.0]).expect("has direction");
        assert_eq!(e.as_slice(), [0.6, 0.8]);
    }

    #[test]
    fn refuses_numbers_without_direction() {
        assert_eq!(Embedding::normalised(vec![0.0; 4]), Err(EmbeddingError::NoDirection));
        assert_eq!(Embedding::normalised(vec![f32::NAN, 1.0]), Err(EmbeddingError::NotFinite));
    }

    #[test]
    fn spaces_are_never_mixed() {
        let a = template("a", vec![1.0, 0.0]);
        assert_eq!(a.similarity(&a).expect("same space").get(), 1.0);
        assert!(a.similarity(&template("b", vec![1.0, 0.0])).is_err());
    }

    #[test]
    fn debug_shows_no_component() {
        let shown = format!("{:?}", template("a", vec![0.25, 0.75]));
        assert!(!shown.contains("0.3") && shown.contains("redacted"), "{shown}");
    }
}
