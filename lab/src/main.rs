//! `examgate-lab`: parses the arguments, runs one command, returns an exit code.

mod align;
mod attacks;
mod calibrate;
mod compare;
mod dataset;
mod evaluate;
mod play;
mod selftest;
mod shapes;
mod statistics;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use examgate::{domain::Timestamp, exit};
use tracing_subscriber::EnvFilter;

/// Measures the accuracy of face verification and of presentation-attack detection, and calibrates thresholds.
///
/// Exit codes: 0 success; 64 bad arguments or models; 65 bad data (a list, a picture); 1 any other error.
#[derive(Parser)]
#[command(name = "examgate-lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Args),
    /// Measures error rates on labelled pictures and clips.
    #[command(
        subcommand,
        after_help = "Plots are SVG files. To convert one to PNG: rsvg-convert -z 2 -o det.png det.svg (package librsvg2-bin)"
    )]
    Evaluate(evaluate::Command),
    Calibrate(calibrate::Args),
    Align(align::Args),
    Shapes(shapes::Args),
    #[command(subcommand)]
    Selftest(selftest::Command),
    /// Draws presentation attacks (prints, phones, replays) from stills and clips, as input for `examgate-lab evaluate liveness`.
    #[command(
        after_help = "Examples:\n  examgate-lab attacks --out target/attacks\n  examgate-lab attacks --from portraits/ada.jpg --from clips/ada --kind replay-close --out attacks"
    )]
    Attacks(attacks::Arguments),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => {
            let printed = asked.print();
            return if asked.use_stderr() || printed.is_err() { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
        Command::Compare(args) => compare::run(&args),
        Command::Evaluate(command) => evaluate::run(command),
        Command::Calibrate(args) => calibrate::run(&args, now()),
        Command::Align(args) => align::run(&args),
        Command::Shapes(args) => shapes::run(&args),
        Command::Selftest(command) => selftest::run(&command),
        Command::Attacks(arguments) => attacks::run(&arguments, &mut io::stdout()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "examgate-lab: {error:#}");
            exit::code(error.downcast_ref()).into()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the laboratory reads the wall clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        examgate::rig::examples::check(&Cli::command());
    }
}
