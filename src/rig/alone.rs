//! Runs a test of this program in a process of its own: libpcsclite reads once a process where its pcscd is.

use std::{env, error::Error as _, path::Path, process::Command};

use super::pcscd::{self, Pcscd, PcscdError};

/// Told to a process that is to run one test: the socket that its pcscd is to serve.
const ALONE: &str = "EXAMGATE_CARD_TEST";

/// Runs this `test` in a process of its own, which knows where its pcscd is.
///
/// # Panics
/// When the test fails there, or cannot be started.
pub fn alone(test: &str, run: impl FnOnce(Pcscd)) {
    alone_by(&[], test, run);
}

/// Runs this `test` as [`alone`] does, started by the program and arguments `way`.
///
/// # Panics
/// When the test fails there, or cannot be started.
pub fn alone_by(way: &[&str], test: &str, run: impl FnOnce(Pcscd)) {
    in_own_process(way, test, Pcscd::start_at, run);
}

/// Runs this `test` as [`alone`] does, with a pcscd whose only reader is that of another `driver`, and the card in it.
///
/// # Panics
/// When the test fails there, or cannot be started.
pub fn alone_with_driver(driver: &Path, test: &str, run: impl FnOnce(Pcscd)) {
    in_own_process(&[], test, |socket| Pcscd::start_with_driver(socket, driver), run);
}

#[expect(clippy::disallowed_methods, reason = "the environment is how a process of its own is told what it is for")]
fn in_own_process(
    way: &[&str],
    test: &str,
    start: impl FnOnce(&Path) -> Result<Pcscd, PcscdError>,
    run: impl FnOnce(Pcscd),
) {
    if let Some(socket) = env::var_os(ALONE) {
        return run(start(Path::new(&socket)).unwrap_or_else(|error| panic!("{error}: {:?}", error.source())));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("pcscd.comm");
    let program = env::current_exe().expect("this program");
    let mut command = way.split_first().map_or_else(
        || Command::new(&program),
        |(first, rest)| {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        },
    );
    let ended = command
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, &socket)
        .env(pcscd::SOCKET, &socket)
        .output()
        .expect("this program starts again");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}
