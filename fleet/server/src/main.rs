//! `examgate-fleetd`: the fleet's standing side. Arguments to one role to an exit code.

mod collect;
mod enrol;
mod keep;
mod line;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use examgate::exit;
use tracing_subscriber::EnvFilter;

/// Examgate's fleet service: what stands between the broker and the fleet's managers.
///
/// Exit codes: 0 told to stop; 64 bad arguments; 1 anything else.
#[derive(Parser)]
#[command(name = "examgate-fleetd", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receives the boxes' events, keeps them, and tells the boxes so.
    Collect(collect::Arguments),
    /// Enrols new boxes by one-time codes and issues their certificates.
    Enrol(enrol::Arguments),
    /// Keeps boxes supplied with the rosters that they should hold.
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
}
