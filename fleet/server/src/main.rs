//! `examgate-fleetd`: the services of a fleet. Parses the arguments, runs one role, returns an exit code.

mod bridge;
mod collect;
mod enrol;
mod health;
mod keep;
mod line;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use examgate::exit;
use tracing_subscriber::EnvFilter;

/// The services of an Examgate fleet: collect events, enrol boxes, deliver rosters, tell Prometheus of the boxes.
///
/// Exit codes: 0 stopped by SIGINT or SIGTERM; 64 bad arguments; 1 any other error.
#[derive(Parser)]
#[command(name = "examgate-fleetd", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tells Prometheus what the boxes count and measure: verifies their telemetry, adds it up and serves it to be scraped.
    Bridge(bridge::Arguments),
    /// Collects the boxes' events: verifies them, commits them to the ledger and sends receipts.
    Collect(collect::Arguments),
    /// Enrols new boxes that have a one-time code, and issues their certificates (HTTPS endpoint).
    Enrol(enrol::Arguments),
    /// Delivers pushed rosters to the boxes, and records what the boxes report.
    Keep(keep::Arguments),
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
        Command::Bridge(arguments) => bridge::run(&arguments),
        Command::Collect(arguments) => collect::run(&arguments),
        Command::Enrol(arguments) => enrol::run(&arguments),
        Command::Keep(arguments) => keep::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "examgate-fleetd: {error:#}");
            exit::code(error.downcast_ref()).into()
        }
    }
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
