//! Every face against every other: cosines of unit vectors as blocks of one matrix product.
//!
//! It never knows whose faces they are.

use examgate::domain::Embedding;
use ndarray::{Array2, s};

/// Rows of the product made at once: 256 x 512 floats stay in a core's second cache.
const BLOCK: usize = 256;

/// Unit vectors as the rows of one matrix. A face that was not found is a row of zeros, and compares with none.
pub(crate) struct Faces {
    rows: Array2<f32>,
    found: Vec<bool>,
}

impl Faces {
    /// Lays out `embeddings`, each of `dimension` components; one of another dimension counts as not found.
    pub(crate) fn new<'e>(dimension: usize, embeddings: impl ExactSizeIterator<Item = Option<&'e Embedding>>) -> Self {
        let mut rows = Array2::zeros((embeddings.len(), dimension));
        let mut found = Vec::with_capacity(embeddings.len());
        for (mut row, embedding) in rows.outer_iter_mut().zip(embeddings) {
            let embedding = embedding.filter(|embedding| embedding.dimension() == dimension);
            found.push(embedding.is_some());
            row.iter_mut().zip(embedding.into_iter().flat_map(Embedding::as_slice)).for_each(|(to, from)| *to = *from);
        }
        Self { rows, found }
    }

    /// Cosine of two faces; `None` if either was not found.
    pub(crate) fn cosine(&self, a: usize, b: usize) -> Option<f32> {
        (self.found[a] && self.found[b]).then(|| self.rows.row(a).dot(&self.rows.row(b)))
    }

    /// Calls `pair(a, b, cosine)` once for every two faces, `a < b`.
    pub(crate) fn all_pairs(&self, mut pair: impl FnMut(usize, usize, Option<f32>)) {
        let n = self.found.len();
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let cosines = self.rows.slice(s![start..end, ..]).dot(&self.rows.slice(s![start.., ..]).t());
            for (a, row) in (start..end).zip(cosines.outer_iter()) {
                for (b, &cosine) in (start..n).zip(row).skip(a + 1 - start) {
                    pair(a, b, (self.found[a] && self.found[b]).then_some(cosine));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_comes_once_across_blocks() {
        for n in [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5] {
            // Spread over the circle; every seventh was not found.
            let embeddings: Vec<_> = (0..n)
                .map(|i| {
                    let angle = i as f32 * 0.7;
                    (i % 7 != 3).then(|| Embedding::normalised(vec![angle.cos(), angle.sin()]).unwrap())
                })
                .collect();
            let faces = Faces::new(2, embeddings.iter().map(Option::as_ref));
            let mut seen = vec![0_u8; n * n];
            faces.all_pairs(|a, b, cosine| {
                assert!(a < b);
                seen[a * n + b] += 1;
                let wanted = faces.cosine(a, b);
                assert_eq!(cosine.is_some(), embeddings[a].is_some() && embeddings[b].is_some());
                assert!((cosine.unwrap_or(9.0) - wanted.unwrap_or(9.0)).abs() < 1e-6, "{a} {b}");
            });
            assert_eq!(seen.iter().map(|&times| usize::from(times)).sum::<usize>(), n * n.saturating_sub(1) / 2);
            assert!(seen.iter().all(|&times| times <= 1));
        }
    }
}
