//! The rig suite: the contracts of the edges against the hardware a box's configuration names, or against its virtual
//! stand-ins. Says of every check whether it passed, failed or was skipped, and why. Not part of `make test`.
//!
//! Exit code 0: something passed and nothing failed; 1: something failed; 2: all was skipped, so nothing is known.

mod camera;
mod card;
mod light;
mod report;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use examgate::config::Config;
use report::Report;

/// Tries the edges' contracts on hardware.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  cargo run -p hw-tests -- card camera light --virtual\n  cargo run -p hw-tests -- card camera light --config /etc/examgate/door.toml\n\nStop the box first: only one program can hold camera and lamps. Cards are laid down by your hand, as asked."
)]
struct Arguments {
    /// What to try.
    #[arg(required = true)]
    parts: Vec<Part>,
    /// A box's configuration: names the hardware.
    #[arg(long, required_unless_present = "virtual")]
    config: Option<PathBuf>,
    /// Try stand-ins: a real pcscd with virtual cards, a replayed camera, lamps that are not there.
    #[arg(long, conflicts_with = "config")]
    r#virtual: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Card,
    Camera,
    Light,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.r#virtual
        && arguments.parts.contains(&Part::Card)
        && let Some(ended) = card::with_a_socket_of_its_own()?
    {
        return Ok(ended);
    }
    let config = match &arguments.config {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some(Config::parse(&text).with_context(|| format!("{} cannot be used", path.display()))?)
        }
    };
    let mut report = Report::default();
    for part in arguments.parts {
        match (part, &config) {
            (Part::Card, None) => card::virtual_reader(&mut report)?,
            (Part::Card, Some(config)) => card::by_hand(config, &mut report)?,
            (Part::Camera, None) => camera::replayed(&mut report)?,
            (Part::Camera, Some(config)) => camera::real(&config.camera, &mut report)?,
            (Part::Light, None) => light::not_there(&mut report)?,
            (Part::Light, Some(config)) => light::real(&config.light, &mut report)?,
        }
    }
    report.sum_up()
}
