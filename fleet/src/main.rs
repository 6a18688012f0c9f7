//! `examgate-fleet`: arguments to one command to an exit code. Nothing else.

mod align;
mod calibrate;
mod collect;
mod compare;
mod evaluate;
mod exact;
mod exit;
mod faces;
mod keys;
mod measuring;
mod models;
mod pairs;
mod proctor;
mod roster;
mod selftest;
mod similarities;
#[cfg(test)]
mod similarities_tests;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use examgate::domain::Timestamp;
use tracing_subscriber::EnvFilter;

/// Examgate's fleet side: prepares exams and measures how well faces are told apart.
///
/// Exit codes: 0 done; 64 bad arguments, keys or models; 65 bad data (a CSV, a photo); 1 anything else.
#[derive(Parser)]
#[command(name = "examgate-fleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rosters: who sits which exam, with which card and which face.
    #[command(subcommand)]
    Roster(roster::Command),
    /// Proctors: who may sign in at the console of an exam's box.
    #[command(subcommand)]
    Proctor(proctor::Command),
    Compare(compare::Args),
    /// Receives the boxes' events, keeps them, and tells the boxes so.
    Collect(collect::Arguments),
    /// Shows what was collected.
    Events(collect::events::Arguments),
    /// Error rates over labelled pictures and clips.
    #[command(
        subcommand,
        after_help = "Plots are SVG; a PNG of one: rsvg-convert -z 2 -o det.png det.svg (package librsvg2-bin)"
    )]
    Evaluate(evaluate::Command),
    Calibrate(calibrate::Args),
    Align(align::Args),
    #[command(subcommand)]
    Selftest(selftest::Command),
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
        Command::Roster(command) => roster::run(command),
        Command::Proctor(command) => proctor::run(&command),
        Command::Compare(args) => compare::run(&args),
        Command::Collect(arguments) => collect::run(&arguments),
        Command::Events(arguments) => collect::events::run(&arguments),
        Command::Evaluate(command) => evaluate::run(command),
        Command::Calibrate(args) => calibrate::run(&args, now()),
        Command::Align(args) => align::run(&args),
        Command::Selftest(command) => selftest::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "examgate-fleet: {error:#}");
            exit::code(&error).into()
        }
    }
}

/// Where systemd put this command's credentials (systemd.exec(5)).
#[expect(clippy::disallowed_methods, reason = "here the environment is read")]
fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

#[expect(clippy::disallowed_methods, reason = "this is where the fleet's side reads the wall clock")]
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
}
