//! How long an import takes for a photo, against its nets alone: the same inputs to the same nets, on as many threads, and nothing else.
//!
//! From a photo's bytes to its template, as `examgate-fleet roster import` does it: digest, decoding, detection, judging, alignment,
//! several views. The net for the eyes is in the whole and not in the bare time. Written into `target/bench/summary.json`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    error::Error,
    fs,
    hint::black_box,
    path::Path,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use examgate::{
    rig::summary,
    vision::{Pipeline, Tape, VerifiedModels},
    wire::digest::Digest,
};
use examgate_enrol::{
    faces::enrol_bytes,
    models::{self, ModelArgs},
};

/// How often each photo is gone through in one measurement.
const TIMES: usize = 6;
/// Measurements of each kind, one kind after the other; the median of their ratios counts.
const ROUNDS: usize = 7;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let models = ModelArgs::at(root.join("models")).load()?;
    let photos = photos(&root, &models)?;
    let threads = models::default_threads();
    let each = photos.len() * TIMES;
    let (mut ratios, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let whole = on_threads(&models, threads, each, |pipeline, at| {
            let (bytes, _) = &photos[at % photos.len()];
            black_box(Digest::of(bytes));
            black_box(enrol_bytes(pipeline, bytes).map_err(|fault| fault.to_string())?);
            Ok(())
        })?;
        let bare = on_threads(&models, threads, each, |pipeline, at| {
            let (_, tape) = &photos[at % photos.len()];
            (0..5).try_for_each(|net| pipeline.replay(tape, net)).map_err(|error| error.to_string())
        })?;
        ratios.push(whole.as_secs_f64() / bare.as_secs_f64());
        wholes.push(whole.as_secs_f64() * 1e3 * threads as f64 / each as f64);
    }
    let (ratio, whole) = (median(ratios), median(wholes));
    println!(
        "{} photos on {threads} threads: {whole:.1} ms of a thread for each, {ratio:.2} times the nets alone",
        photos.len()
    );
    let numbers = [("photo_embed_ms", whole), ("photo_embed_ratio", ratio)];
    Ok(summary::merge(&root, &numbers)?)
}

/// The test photos that give a template, and what each feeds to the nets.
fn photos(root: &Path, models: &VerifiedModels) -> Outcome<Vec<(Vec<u8>, Tape)>> {
    let folder = root.join("tests/pictures/cache/photos");
    let listed =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}: run `make pictures`", folder.display()))?;
    let mut files: Vec<_> = listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut pipeline = models::open(models)?;
    let mut photos = Vec::new();
    for file in files {
        let bytes = fs::read(file)?;
        let (enrolled, tape) = pipeline.record(|pipeline| enrol_bytes(pipeline, &bytes));
        if enrolled.is_ok() {
            photos.push((bytes, tape));
        }
    }
    if photos.is_empty() { Err(format!("no photo in {} can be used", folder.display()).into()) } else { Ok(photos) }
}

/// How long `threads` take for `items`, each thread with nets of its own that have run before.
fn on_threads(
    models: &VerifiedModels,
    threads: usize,
    items: usize,
    work: impl Fn(&mut Pipeline, usize) -> Result<(), String> + Sync,
) -> Outcome<Duration> {
    let (next, ready) = (AtomicUsize::new(0), Barrier::new(threads + 1));
    let failed = Mutex::new(None);
    let one = || -> Result<(), String> {
        let opened = models::open(models).map_err(|error| format!("{error:#}"));
        let warm = opened.and_then(|mut pipeline| work(&mut pipeline, 0).map(|()| pipeline));
        // Also where it failed: the others wait.
        ready.wait();
        let mut pipeline = warm?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= items {
                return Ok(());
            }
            work(&mut pipeline, at)?;
        }
    };
    let taken = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                if let Err(error) = one() {
                    failed.lock().expect("nobody panics with it").replace(error);
                }
            });
        }
        ready.wait();
        Instant::now()
    })
    .elapsed();
    match failed.into_inner().expect("nobody panics with it") {
        Some(error) => Err(error.into()),
        None => Ok(taken),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
