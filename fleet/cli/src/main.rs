//! `examgate-fleet`: parses the arguments, runs one command, returns an exit code.

mod attendance;
mod backup;
mod card;
mod command;
mod device;
mod events;
mod incidents;
mod init;
mod issue;
mod keys;
mod ledger;
mod moved;
mod proctor;
mod restore;
mod roster;
mod table;
mod throughput;
mod trust;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use examgate::{domain::Timestamp, exit};
use tracing_subscriber::EnvFilter;

/// Manages an Examgate fleet: keys, boxes, rosters and proctors; and shows the events that the boxes delivered.
///
/// Exit codes: 0 success; 64 bad arguments, keys or models; 65 bad data (a CSV, a photo); 1 any other error.
#[derive(Parser)]
#[command(name = "examgate-fleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Manages rosters: the students of an exam, with their cards and face templates.
    #[command(subcommand)]
    Roster(roster::Command),
    /// Manages proctors: who may sign in to the console of a box.
    #[command(subcommand)]
    Proctor(proctor::Command),
    /// Manages lost cards: shuts them out at every door, and lets them in again.
    #[command(subcommand)]
    Card(card::Command),
    #[command(name = "command")]
    Instruct(Box<command::Arguments>),
    Attendance(Box<attendance::Arguments>),
    /// Creates a fleet: the root key, the issuer's certificate, the signing keys and the first trust document.
    Init(init::Arguments),
    /// Manages boxes: registers, lists and revokes them.
    #[command(subcommand)]
    Device(device::Command),
    /// Manages the fleet's keys: lists, rotates and revokes them.
    #[command(subcommand)]
    Trust(trust::Command),
    /// Issues a TLS certificate and its private key for a broker or a service. (Boxes get theirs with `device add` and `provision`.)
    Issue(issue::Arguments),
    /// Lists the events in the ledger.
    Events(events::Arguments),
    Incidents(incidents::Arguments),
    Throughput(throughput::Arguments),
    Backup(Box<backup::Arguments>),
    Restore(restore::Arguments),
    /// Looks after the ledger.
    #[command(subcommand)]
    Ledger(ledger::Command),
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
        Command::Card(command) => card::run(&command),
        Command::Instruct(arguments) => command::run(&arguments),
        Command::Attendance(arguments) => attendance::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Device(command) => device::run(&command),
        Command::Trust(command) => trust::run(&command),
        Command::Issue(arguments) => issue::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Incidents(arguments) => incidents::run(&arguments),
        Command::Throughput(arguments) => throughput::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Ledger(command) => ledger::run(&command),
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

/// The wall clock, which keys, codes and certificates are dated by.
#[expect(clippy::disallowed_methods, reason = "here a command reads the time, and hands it on")]
fn now() -> Timestamp {
    Timestamp::now()
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
    fn every_command_has_examples_that_parse() {
        examgate::rig::examples::check(&Cli::command());
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
