//! `examgate-fleet`: arguments to one command to an exit code. Nothing else.

mod attendance;
mod events;
mod keys;
mod moved;
mod proctor;
mod roster;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use examgate::exit;
use tracing_subscriber::EnvFilter;

/// Examgate's fleet side: prepares exams and shows what the doors reported.
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
    Attendance(attendance::Arguments),
    /// Shows what was collected.
    Events(events::Arguments),
    #[command(flatten)]
    Moved(moved::Command),
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
        Command::Attendance(arguments) => attendance::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Moved(command) => moved::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "examgate-fleet: {error:#}");
            exit::code(error.downcast_ref()).into()
        }
    }
}

/// Where systemd put this command's credentials (systemd.exec(5)).
#[expect(clippy::disallowed_methods, reason = "here the environment is read")]
fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_refusal_decides_wherever_it_stands_in_the_chain() {
        let cause = || anyhow!("cause");
        for (error, wanted) in [
            (cause(), 1),
            (cause().context("doing"), 1),
            (exit::Refusal::Data("bad".into()).into(), 65),
            (cause().context(exit::Refusal::Usage("bad".into())), 64),
            (Err::<(), _>(cause().context(exit::Refusal::Data("bad".into()))).context("doing").unwrap_err(), 65),
        ] {
            assert_eq!(exit::code(error.downcast_ref()), wanted, "{error:#}");
        }
    }
}
