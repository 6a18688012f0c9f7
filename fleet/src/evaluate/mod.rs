//! Evaluation: how well the nets in use tell people apart, on labelled pictures.
//!
//! It never knows a roster or a box.

mod liveness;
mod metrics;
pub(crate) mod pairs;
mod plots;
mod verification;

/// What to measure. Each command's arguments carry its description.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Verification(verification::Args),
    Liveness(liveness::Args),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Verification(args) => verification::run(&args),
        Command::Liveness(args) => liveness::run(&args),
    }
}
