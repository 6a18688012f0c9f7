//! What keeps a pcscd of one's own from starting.

use std::{io, path::PathBuf};

/// Why there is no pcscd.
#[derive(Debug, thiserror::Error)]
pub enum PcscdError {
    /// A program or driver is not installed.
    #[error("{path} is missing; apt-get install --no-install-recommends pcscd vsmartcard-vpcd util-linux")]
    Missing {
        /// What is missing.
        path: String,
    },
    /// `/run/pcscd` is missing, and this user can neither make it nor have a mount namespace with one.
    #[error(
        "there is no /run/pcscd, which pcscd needs, and this user may make neither it nor a mount namespace that has one; \
         until the next boot this helps: sudo install --directory /run/pcscd"
    )]
    NoFolder {
        /// Why it could not be made.
        source: io::Error,
    },
    /// A file or socket could not be prepared.
    #[error("cannot prepare {}", path.display())]
    Prepare {
        /// The file, socket or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// pcscd could not be started.
    #[error("cannot start pcscd")]
    Start {
        /// The cause.
        source: io::Error,
    },
    /// pcscd ended, or did not become ready in time.
    #[error("pcscd did not become ready; its log ends: {log}")]
    NotReady {
        /// The last lines of its log.
        log: String,
    },
    /// vpcd could not listen at the two ports.
    #[error("the virtual reader could not listen at TCP ports {port} and {}; its log ends: {log}", port + 1)]
    Ports {
        /// The first of them.
        port: u16,
        /// The last lines of its log.
        log: String,
    },
}
