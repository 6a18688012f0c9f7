//! What can be wrong with a database file, each told apart and each with its way out.
//!
//! It never alters a file.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, ffi};

/// What is wrong with a database file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no file.
    #[error("there is no database at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be reached.
    #[error("cannot reach the database {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// The first page does not open with this key. Whether the key or the page is to blame cannot be told.
    #[error(
        "{} does not open: the key is wrong, or its first page is damaged; nothing was altered. Bring back the key it was \
         made with, or restore the file; if both are lost, move it aside: rosters are pushed again, events begin a new epoch",
        path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// An ordinary SQLite database.
    #[error("{} is not encrypted: it is a plain SQLite database and was not made by Examgate; nothing was altered", path.display())]
    Plain {
        /// The file.
        path: PathBuf,
    },
    /// Too short for even one page.
    #[error("{} is not a database: it is shorter than one page; nothing was altered. Move it aside", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A page after the first fails its authentication code, or the structure is broken.
    #[error(
        "{} is damaged: a page fails its check; nothing was altered. Restore it, or move it aside: rosters are pushed \
         again, events begin a new epoch (what was not yet delivered is then only in this file: keep it)",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// Another kind of Examgate database, or somebody else's.
    #[error("{} is not the database of {wanted}; nothing was altered. Was it copied to the wrong place?", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
    },
    /// Made by a newer Examgate.
    #[error("{} has schema {found}, this Examgate knows up to {known}: install the newer version again", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest one known here.
        known: usize,
    },
    /// A schema step failed; the database is as it was before the step.
    #[error("cannot migrate {}: step \"{name}\" failed", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// The step.
        name: &'static str,
        /// The underlying error.
        source: rusqlite::Error,
    },
    /// Its log has to be taken in before it can be read.
    #[error(
        "{} was not closed in order and cannot be looked at without writing: its log has to be taken in first, which the box does at its start",
        path.display()
    )]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
    /// Made by an earlier Examgate, and only looked at.
    #[error("{} is of an earlier Examgate and is brought up to date at the next start", path.display())]
    Older {
        /// The file or folder.
        path: PathBuf,
    },
    /// No room on the disk (or at the database's own page limit). What was committed before is safe.
    #[error("no room to write {}: free disk space", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file or its filesystem cannot be written.
    #[error("{} cannot be written: check its owner and whether the filesystem is mounted read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another connection kept its transaction open too long.
    #[error("{} stayed locked by another connection: is a second Examgate or a database shell running?", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Anything else SQLite says.
    #[error("cannot {doing}: {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The underlying error.
        source: rusqlite::Error,
    },
}

impl Fault {
    /// Sorts an error of SQLite by its code.
    #[must_use]
    pub fn of(path: &Path, doing: &'static str, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let extended = source.sqlite_error().map_or(0, |error| error.extended_code);
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::WrongKey { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            // The shared-memory file beside the database found no room.
            Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_SHMSIZE => Self::Full { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            _ => Self::Sqlite { path, doing, source },
        }
    }
}
