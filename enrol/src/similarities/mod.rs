//! Every face against every other: cosines of unit vectors as blocks of one matrix product.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use examgate::domain::Embedding;
use ndarray::{Array2, s};

/// Rows of the product made at once: 256 x 512 floats stay in a core's second cache.
pub const BLOCK: usize = 256;

/// Unit vectors as the rows of one matrix. A face that was not found is a row of zeros, and compares with none.
pub struct Faces {
    rows: Array2<f32>,
    found: Vec<bool>,
}

impl Faces {
    /// Lays out `embeddings`, each of `dimension` components; one of another dimension counts as not found.
    pub fn new<'e>(dimension: usize, embeddings: impl ExactSizeIterator<Item = Option<&'e Embedding>>) -> Self {
        let mut rows = Array2::zeros((embeddings.len(), dimension));
        let mut found = Vec::with_capacity(embeddings.len());
        for (mut row, embedding) in rows.outer_iter_mut().zip(embeddings) {
            let embedding = embedding.filter(|embedding| embedding.dimension() == dimension);
            found.push(embedding.is_some());
            row.iter_mut().zip(embedding.into_iter().flat_map(Embedding::as_slice)).for_each(|(to, from)| *to = *from);
        }
        Self { rows, found }
    }

    /// How many pairs of two faces there are.
    pub fn pairs(&self) -> u64 {
        let n = self.found.len() as u64;
        n * n.saturating_sub(1) / 2
    }

    /// Cosine of two faces; `None` if either was not found.
    pub fn cosine(&self, a: usize, b: usize) -> Option<f32> {
        (self.found[a] && self.found[b]).then(|| self.rows.row(a).dot(&self.rows.row(b)))
    }

    /// Cosine of face `a` of these with face `b` of `others`; `None` if either was not found.
    pub fn cosine_with(&self, a: usize, others: &Self, b: usize) -> Option<f32> {
        (self.found[a] && others.found[b]).then(|| self.rows.row(a).dot(&others.rows.row(b)))
    }

    /// Cosines of the faces from `start` to `end` with all from `start` on.
    pub fn product(&self, start: usize, end: usize) -> Array2<f32> {
        self.rows.slice(s![start..end, ..]).dot(&self.rows.slice(s![start.., ..]).t())
    }

    /// Calls `pair(a, b, cosine)` once for every two faces, `a < b`.
    pub fn all_pairs(&self, mut pair: impl FnMut(usize, usize, Option<f32>)) {
        let n = self.found.len();
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let cosines = self.product(start, end);
            for (a, row) in (start..end).zip(cosines.outer_iter()) {
                for (b, &cosine) in (start..n).zip(row).skip(a + 1 - start) {
                    pair(a, b, (self.found[a] && self.found[b]).then_some(cosine));
                }
            }
        }
    }

    /// Every two faces `a < b` whose cosine is `wanted`, in no order; worked out on `threads` threads. `done` is told after each block how
    /// many pairs it had.
    pub fn wanted(
        &self,
        threads: usize,
        wanted: impl Fn(usize, usize, f32) -> bool + Sync,
        done: impl Fn(u64) + Sync,
    ) -> Vec<(usize, usize, f32)> {
        let n = self.found.len();
        let next = AtomicUsize::new(0);
        let one_thread = || {
            let mut near = Vec::new();
            loop {
                let start = next.fetch_add(BLOCK, Ordering::Relaxed);
                if start >= n {
                    return near;
                }
                let end = (start + BLOCK).min(n);
                let cosines = self.product(start, end);
                for (a, row) in (start..end).zip(cosines.outer_iter()) {
                    for (b, &cosine) in (start..n).zip(row).skip(a + 1 - start) {
                        if wanted(a, b, cosine) && self.found[a] && self.found[b] {
                            near.push((a, b, cosine));
                        }
                    }
                }
                done((start..end).map(|a| (n - 1 - a) as u64).sum());
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one_thread)).collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            joined.flat_map(|near| near.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// Calls `pair(a, b, cosine)` for every face `a` of these and every `b` of `others`.
    pub fn against(&self, others: &Self, mut pair: impl FnMut(usize, usize, Option<f32>)) {
        let n = self.found.len();
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let cosines = self.rows.slice(s![start..end, ..]).dot(&others.rows.t());
            for (a, row) in (start..end).zip(cosines.outer_iter()) {
                for (b, &cosine) in row.iter().enumerate() {
                    pair(a, b, (self.found[a] && others.found[b]).then_some(cosine));
                }
            }
        }
    }
}
