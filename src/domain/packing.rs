//! Embeddings as bytes: 32-bit floats, 16-bit floats or 8-bit integers a component.
//!
//! The shorter forms keep the direction alone: the largest component becomes 1 or 127, and reading scales to unit length. So what was
//! read is written again as the same bytes. How much each form loses is measured by `examgate-lab evaluate templates`.

use half::f16;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Embedding;

/// The largest component in 8 bits. -128 has no counterpart and is not used.
const LARGEST: f64 = 127.0;

/// How each component of an embedding is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateForm {
    /// A 32-bit float, little endian: as it was computed.
    F32,
    /// A 16-bit float (IEEE 754 binary16), little endian.
    F16,
    /// An 8-bit integer in -127..=127.
    I8,
}

impl TemplateForm {
    /// The form in which templates travel to boxes that read it. Chosen by measurement (record 0143).
    pub const SENT: Self = Self::F16;

    /// Bytes of one component.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }

    /// The bytes of `embedding`. Wiped when dropped.
    ///
    /// ```
    /// use examgate::domain::{Embedding, TemplateForm};
    ///
    /// let face = Embedding::normalised(vec![0.5, -0.25, 0.1])?;
    /// for form in [TemplateForm::F32, TemplateForm::F16, TemplateForm::I8] {
    ///     let bytes = form.pack(&face);
    ///     assert_eq!(bytes.len(), 3 * form.width());
    ///     let read = form.unpack(&bytes).expect("it was written by us");
    ///     assert!(read.similarity(&face).get() > 0.9999);
    /// }
    /// # Ok::<(), examgate::domain::EmbeddingError>(())
    /// ```
    #[must_use]
    pub fn pack(self, embedding: &Embedding) -> Zeroizing<Vec<u8>> {
        let components = embedding.as_slice();
        let largest = components.iter().fold(0.0_f64, |most, &c| most.max(f64::from(c).abs()));
        let mut bytes = Zeroizing::new(Vec::with_capacity(components.len() * self.width()));
        for &component in components {
            let scaled = f64::from(component) / largest;
            match self {
                Self::F32 => bytes.extend_from_slice(&component.to_le_bytes()),
                Self::F16 => bytes.extend_from_slice(&f16::from_f64(scaled).to_le_bytes()),
                Self::I8 => bytes.push(((scaled * LARGEST).round() as i8).cast_unsigned()),
            }
        }
        bytes
    }

    /// The embedding that was written as `bytes`, scaled to unit length. `None`: they are no whole number of components, or have no direction.
    #[must_use]
    pub fn unpack(self, bytes: &[u8]) -> Option<Embedding> {
        let components: Vec<f32> = match self {
            Self::F32 => {
                let (whole, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| whole.iter().map(|c| f32::from_le_bytes(*c)).collect())?
            }
            Self::F16 => {
                let (whole, rest) = bytes.as_chunks::<2>();
                rest.is_empty().then(|| whole.iter().map(|c| f16::from_le_bytes(*c).to_f32()).collect())?
            }
            Self::I8 => bytes.iter().map(|c| f32::from(c.cast_signed())).collect(),
        };
        Embedding::normalised(components).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_or_is_cut_short_is_nothing() {
        for (form, bytes) in [
            (TemplateForm::F32, &[0, 0, 0, 0][..]),
            (TemplateForm::F32, &[0, 0, 128]),
            (TemplateForm::F16, &[0, 0, 0, 0]),
            (TemplateForm::F16, &[0, 60, 0]),
            // Infinity.
            (TemplateForm::F16, &[0, 124]),
            (TemplateForm::I8, &[0, 0]),
            (TemplateForm::I8, &[]),
        ] {
            assert_eq!(form.unpack(bytes), None, "{form:?} {bytes:?}");
        }
    }

    #[test]
    fn the_largest_component_is_the_largest_number() {
        let face = Embedding::normalised(vec![3.0, -4.0, 0.0]).expect("a direction");
        assert_eq!(*TemplateForm::I8.pack(&face), [95, 129, 0], "0.75 of 127, and -127");
        let half: Vec<u8> = [0.75, -1.0, 0.0].into_iter().flat_map(|c| f16::from_f32(c).to_le_bytes()).collect();
        assert_eq!(*TemplateForm::F16.pack(&face), half);
    }

    fn face() -> impl Strategy<Value = Embedding> {
        // Components as small as a 16-bit float hardly holds among large ones.
        let component = prop_oneof![4 => -1.0_f32..1.0, 1 => -1e-6_f32..1e-6, 1 => Just(0.0_f32)];
        prop::collection::vec(component, 1..600)
            .prop_filter_map("a direction", |components| Embedding::normalised(components).ok())
    }

    proptest! {
        /// A box writes again what it was sent, so that a difference to it can be checked by a digest.
        #[test]
        fn what_was_read_is_written_as_the_same_bytes(face in face(), eight in any::<bool>()) {
            let form = if eight { TemplateForm::I8 } else { TemplateForm::F16 };
            let bytes = form.pack(&face);
            let read = form.unpack(&bytes).expect("written by us");
            prop_assert_eq!(&form.pack(&read), &bytes);
            let least = if eight { 0.99 } else { 0.999_999 };
            prop_assert!(read.similarity(&face).get() > least, "{}", read.similarity(&face).get());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for form in [TemplateForm::F32, TemplateForm::F16, TemplateForm::I8] {
                if let Some(read) = form.unpack(&bytes) {
                    prop_assert_eq!(read.dimension() * form.width(), bytes.len());
                }
            }
        }
    }
}
