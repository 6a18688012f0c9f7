//! The binary from outside: arguments in, exit code and text out, with the real nets, the real store and real photos.
//!
//! It never looks inside the program.

#![expect(clippy::unwrap_used, reason = "a broken step is a failed test")]

mod answers;
mod attendance;
mod backup;
mod cards;
mod enrolments;
mod fleet;
mod import;
mod keys;
mod ledger;
mod office;
mod oneroster;
mod places;
mod proctor;

#[path = "../../../../tests/command/mod.rs"]
mod command;

use std::{fs, path::Path};

use command::{BAD_PHOTOS, Ran, copy, make_bad_photos, picture, root};

const PROGRAM: &str = env!("CARGO_BIN_EXE_examgate-fleet");

/// Runs the program with the models of this checkout.
fn fleet(folder: &Path, args: &[&str]) -> Ran {
    command::run_with_models(PROGRAM, folder, args)
}

/// Runs the program with these arguments only.
fn bare(folder: &Path, args: &[&str]) -> Ran {
    command::run(PROGRAM, folder, args)
}

#[test]
fn help_is_no_error_and_nonsense_is_64() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["roster", "import", "--help"], 0),
        (&["attendance", "--help"], 0),
        (&[], 64),
        (&["fly"], 64),
        (&["attendance"], 64),
        (&["roster", "import", "--csv", "x"], 64),
    ] {
        let ran = bare(folder.path(), args).expect(code);
        assert_eq!(ran.stdout.is_empty(), code != 0, "{args:?}");
    }
    let help = bare(folder.path(), &["roster", "import", "--help"]).stdout;
    for part in ["student_id", "card_standing", "Example:", "decimal-reversed"] {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
}

#[test]
fn an_old_name_says_where_its_command_went() {
    let folder = tempfile::tempdir().unwrap();
    for (args, program) in [
        (&["evaluate", "verification", "--help"][..], "examgate-lab evaluate"),
        (&["compare", "one.jpg", "two.jpg"], "examgate-lab compare"),
        (&["calibrate"], "examgate-lab calibrate"),
        (&["align", "--images", "x"], "examgate-lab align"),
        (&["selftest", "run"], "examgate-lab selftest"),
        (&["collect", "--broker", "x:1"], "examgate-fleetd collect"),
    ] {
        bare(folder.path(), args).expect(64).says(&[program]);
    }
}
