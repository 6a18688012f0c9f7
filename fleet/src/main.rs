//! `examgate-fleet`: arguments to one command to an exit code. Nothing else.
//!
//! It never knows what a command does.

mod collect;

use clap::{Parser, Subcommand};

/// Examgate's fleet side.
#[derive(Parser)]
#[command(name = "examgate-fleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receives the boxes' events, keeps them, and tells the boxes so.
    Collect(collect::Arguments),
    /// Shows what was collected.
    Events(collect::events::Arguments),
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Collect(arguments) => collect::run(&arguments),
        Command::Events(arguments) => collect::events::run(&arguments),
    }
}
