//! The binary from outside: arguments in, exit code and text out, with the real nets, the real store and real photos.
//!
//! It never looks inside the program.

#![expect(clippy::unwrap_used, reason = "a broken step is a failed test")]

mod compare;
mod evaluate;
mod liveness;
mod selftest;

#[path = "../../../tests/command/mod.rs"]
mod command;

use std::path::Path;

use command::{BAD_PHOTOS, Ran, copy, make_bad_photos, picture, root};

const PROGRAM: &str = env!("CARGO_BIN_EXE_examgate-lab");

/// Runs the program with the models of this checkout.
fn lab(folder: &Path, args: &[&str]) -> Ran {
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
        (&["evaluate", "verification", "--help"], 0),
        (&[], 64),
        (&["fly"], 64),
        (&["compare", "one.jpg"], 64),
        (&["roster", "import"], 64),
    ] {
        let ran = bare(folder.path(), args).expect(code);
        assert_eq!(ran.stdout.is_empty(), code != 0, "{args:?}");
    }
}
