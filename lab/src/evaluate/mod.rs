//! Evaluation: how well the nets in use tell people apart, on labelled pictures.

mod discard;
pub(crate) mod fusion;
mod gate;
pub(crate) mod liveness;
mod plots;
mod precision;
mod quality;
mod steadiness;
mod templates;
mod verification;

/// What to measure. Each command's arguments carry its description.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Verification(verification::Args),
    Quality(quality::Args),
    Steadiness(steadiness::Args),
    Liveness(liveness::Args),
    Precision(precision::Args),
    Templates(templates::Args),
    Fusion(fusion::Args),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Verification(args) => verification::run(&args),
        Command::Quality(args) => quality::run(&args),
        Command::Steadiness(args) => steadiness::run(&args),
        Command::Liveness(args) => liveness::run(&args),
        Command::Precision(args) => precision::run(&args),
        Command::Templates(args) => templates::run(&args),
        Command::Fusion(args) => fusion::run(&args),
    }
}
