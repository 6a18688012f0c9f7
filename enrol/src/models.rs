//! Where the nets and the runtime are found, and work spread over several pipelines.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use anyhow::Context;
use examgate::vision::{Manifest, Options, Pipeline, VerifiedModels};
use indicatif::{ProgressBar, ProgressStyle};

use examgate::exit::Refusal;

/// Which models to use.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The folder with `manifest.toml` and `ready/`. The inference runtime is in the folder `runtime` next to it.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
}

impl ModelArgs {
    /// Those of a folder `models`.
    #[must_use]
    pub fn at(models: impl Into<PathBuf>) -> Self {
        Self { models: models.into() }
    }

    /// Reads the manifest and checks the hash of every file it names.
    pub fn load(&self) -> anyhow::Result<VerifiedModels> {
        self.verify(self.manifest()?)
    }

    /// The same with the stand-in `name` as embedder.
    pub fn load_with(&self, name: &str) -> anyhow::Result<VerifiedModels> {
        let manifest = self.manifest()?;
        let names: Vec<_> = manifest.stand_ins.iter().map(|one| one.embedder.net.name.clone()).collect();
        let refused =
            || Refusal::Usage(format!("{name} stands for no embedder: the manifest has {}", names.join(", ")));
        self.verify(manifest.with_stand_in(name).with_context(refused)?)
    }

    fn refused(&self) -> Refusal {
        let shown = self.models.display();
        Refusal::Usage(format!("the models in {shown} cannot be used (another folder: --models DIR)"))
    }

    fn manifest(&self) -> anyhow::Result<Manifest> {
        Manifest::load(&self.models.join("manifest.toml")).with_context(|| self.refused())
    }

    fn verify(&self, manifest: Manifest) -> anyhow::Result<VerifiedModels> {
        // An absolute path has a parent; "models" alone has an empty one.
        let folder = std::path::absolute(&self.models).with_context(|| self.refused())?;
        manifest.verify(folder.parent().unwrap_or(Path::new("/"))).with_context(|| self.refused())
    }
}

/// One pipeline.
pub fn open(models: &VerifiedModels) -> anyhow::Result<Pipeline> {
    Pipeline::open(models, Options { eyes: true, ..Options::default() }).context("cannot open the nets")
}

/// Does `work` on every item, on `threads` threads with a pipeline each. Results come in the order of the items.
///
/// A bar named `what` shows how far it is, on a terminal only.
pub fn each<T: Sync, R: Send>(
    models: &VerifiedModels,
    threads: usize,
    what: &'static str,
    items: &[T],
    work: impl Fn(&mut Pipeline, &T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let style =
        ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {per_sec} {eta} left").expect("a valid template");
    let bar = ProgressBar::new(items.len() as u64).with_style(style).with_message(what);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let one_thread = || -> anyhow::Result<Vec<(usize, R)>> {
        let mut done = Vec::new();
        let mut pipeline = open(models)?;
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            done.push((at, work(&mut pipeline, item)?));
            bar.inc(1);
        }
        Ok(done)
    };
    let parts: Vec<anyhow::Result<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, items.len().max(1)))
            .map(|_| scope.spawn(|| one_thread().inspect_err(|_| failed.store(true, Ordering::Relaxed))))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    bar.finish_and_clear();
    let mut results = Vec::with_capacity(items.len());
    for part in parts {
        results.extend(part?);
    }
    results.sort_unstable_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// As many threads as there are processors.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
