//! Products against single cosines. They stand apart since a bench takes in what they test.
//!
//! They never know whose faces they are.

use std::sync::atomic::{AtomicUsize, Ordering};

use examgate::domain::Embedding;

use crate::similarities::{BLOCK, Faces};

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
        let told = AtomicUsize::new(0);
        let tell = |pairs| {
            told.fetch_add(usize::try_from(pairs).unwrap(), Ordering::Relaxed);
        };
        let near = faces.wanted(3, |_, _, cosine| cosine > 0.5, tell);
        assert_eq!(told.into_inner(), n * n.saturating_sub(1) / 2);
        let mut wanted = 0;
        faces.all_pairs(|_, _, cosine| wanted += usize::from(cosine.is_some_and(|cosine| cosine > 0.5)));
        assert_eq!(near.len(), wanted);
        assert!(near.iter().all(|&(a, b, cosine)| a < b && faces.cosine(a, b).unwrap() > 0.499 && cosine > 0.5));
        let mut all = 0;
        faces.against(&faces, |a, b, cosine| {
            all += 1;
            assert!((cosine.unwrap_or(9.0) - faces.cosine(a, b).unwrap_or(9.0)).abs() < 1e-6, "{a} {b}");
        });
        assert_eq!(all, n * n);
    }
}
