//! What every command that measures takes, and how it says what it found.

use std::io::{self, Write};

use examgate::vision::VerifiedModels;
use serde::Serialize;

use crate::models::{self, ModelArgs};

/// How a measurement is done and told.
#[derive(clap::Args)]
pub struct MeasuringArgs {
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    /// Number of threads [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    models: ModelArgs,
}

impl MeasuringArgs {
    /// On how many threads.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(models::default_threads, usize::from)
    }

    /// Reads the manifest and checks the hash of every file it names.
    pub fn load(&self) -> anyhow::Result<VerifiedModels> {
        self.models.load()
    }

    /// The same with the stand-in `name` as embedder.
    pub fn load_with(&self, name: &str) -> anyhow::Result<VerifiedModels> {
        self.models.load_with(name)
    }

    /// Prints `report`: as JSON, or as `words` puts it.
    pub fn print<R: Serialize>(
        &self,
        report: &R,
        words: impl FnOnce(&mut dyn Write, &R) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        } else {
            words(&mut out, report)?;
        }
        Ok(())
    }
}
