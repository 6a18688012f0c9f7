//! Rosters: from a campus export and a folder of ID photos to an exam's encrypted roster.

mod cards;
mod cells;
mod check;
mod columns;
mod enrolling;
mod erase;
mod import;
mod judge;
mod oneroster;
mod pepper;
mod photos;
mod push;
mod report;
mod rows;
mod shelf;
mod status;
mod suspects;

pub(crate) use cards::pseudonym;

/// What to do with rosters. Each command's arguments carry its description.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Import(Box<import::Args>),
    Check(check::Args),
    Erase(erase::Args),
    Push(Box<push::Args>),
    Withdraw(push::WithdrawArgs),
    Status(status::Args),
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Push(args) => push::run(&args),
        Command::Withdraw(args) => push::withdraw(&args),
        Command::Status(args) => status::run(&args),
    }
}
