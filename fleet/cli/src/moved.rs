//! Commands that moved to other programs. An old name prints the new one and ends with 64.

use std::ffi::OsString;

use anyhow::bail;
use examgate::exit::Refusal;

/// An old name. Its arguments are not looked at.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    #[command(hide = true)]
    Align(Ignored),
    #[command(hide = true)]
    Calibrate(Ignored),
    #[command(hide = true)]
    Collect(Ignored),
    #[command(hide = true)]
    Compare(Ignored),
    #[command(hide = true)]
    Evaluate(Ignored),
    #[command(hide = true)]
    Selftest(Ignored),
}

/// Anything.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Ignored {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<OsString>,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let (old, new) = match command {
        Command::Align(_) => ("align", "examgate-lab align"),
        Command::Calibrate(_) => ("calibrate", "examgate-lab calibrate"),
        Command::Collect(_) => ("collect", "examgate-fleetd collect"),
        Command::Compare(_) => ("compare", "examgate-lab compare"),
        Command::Evaluate(_) => ("evaluate", "examgate-lab evaluate"),
        Command::Selftest(_) => ("selftest", "examgate-lab selftest"),
    };
    bail!(Refusal::Usage(format!("`{old}` is another program's command now, with the same arguments: {new}")))
}
