//! How long it takes to compare every face of a roster of 10,000 with every other, and how near that is to what the cores can do.
//!
//! The roof is the same product over faces few enough to stay in a core's cache, on all threads at once. Memory is no limit: 20 MB are
//! read forty times. Written into `target/bench/summary.json` beside the other benches' numbers.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    error::Error,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use examgate::{domain::Embedding, rig::summary};
use examgate_enrol::similarities::Faces;

const STUDENTS: usize = 10_000;
/// These times 512 floats are 1 MiB: they stay in a second or third cache.
const CACHED: usize = 512;
const DIMENSION: usize = 512;
const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = thread::available_parallelism()?.get();
    let faces = faces(STUDENTS);
    let whole = best(|| drop(faces.wanted(threads, |_, _, cosine| cosine >= 0.475, drop)));
    // Blocks on the diagonal are computed whole: count what is asked for.
    let rate = (STUDENTS * STUDENTS) as f64 * DIMENSION as f64 / whole.as_secs_f64() / 1e9;
    let roof = roof(threads);
    println!(
        "{STUDENTS} faces, all against all: {:.2} s on {threads} threads, {rate:.0} of {roof:.0} GFLOP/s",
        whole.as_secs_f64()
    );
    let numbers = [
        ("duplicates_10k_s", whole.as_secs_f64()),
        ("duplicates_gflops", rate.round()),
        ("duplicates_roof_gflops", roof.round()),
    ];
    Ok(summary::merge(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &numbers)?)
}

/// Two floating-point operations a component, in every cell of a product that stays in cache, on every thread.
fn roof(threads: usize) -> f64 {
    const TIMES: usize = 50;
    let cached: Vec<_> = (0..threads).map(|_| faces(CACHED)).collect();
    let time = best(|| {
        thread::scope(|scope| {
            for faces in &cached {
                scope.spawn(|| (0..TIMES).for_each(|_| drop(std::hint::black_box(faces.product(0, CACHED)))));
            }
        });
    });
    (2 * threads * TIMES * CACHED * CACHED * DIMENSION) as f64 / time.as_secs_f64() / 1e9
}

fn best(mut work: impl FnMut()) -> Duration {
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..RUNS).map(run).min().unwrap_or_default()
}

/// Directions without pattern, the same in every run (Knuth's MMIX generator).
fn faces(n: usize) -> Faces {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let embeddings: Vec<_> =
        (0..n).map(|_| Embedding::normalised((0..DIMENSION).map(|_| next()).collect()).expect("long enough")).collect();
    Faces::new(DIMENSION, embeddings.iter().map(Some))
}
