//! What was written over a roster that is served, read as a whole: an edition to move to, or why not. Done on a thread of its own, since
//! it takes as long as the roster is large.
//!
//! What it gives is the very handle that was read: an open read transaction, which sees nothing that others write later. It never touches
//! the edition in force.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    thread,
};

use super::{
    RosterError, RosterStore, RosterView,
    view::{Trace, trace},
};
use crate::{
    domain::{Exam, PepperCheck},
    store::Key,
};

/// Work on a thread of its own, whose end is looked at without waiting. If this is dropped, the thread ends by itself.
pub(super) struct Aside<T>(thread::JoinHandle<T>);

impl<T> fmt::Debug for Aside<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aside")
    }
}

impl<T: Send + 'static> Aside<T> {
    /// Begins.
    pub(super) fn run(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        thread::Builder::new().name(name.into()).spawn(work).map(Self)
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the end.
    pub(super) fn end(self) -> io::Result<T> {
        self.0.join().map_err(|_| io::Error::other("the thread panicked"))
    }
}

/// Something was written at `path`: may it follow the edition in force?
pub(super) struct Successor {
    pub(super) path: PathBuf,
    pub(super) key: Key,
    /// The exam and edition in force.
    pub(super) held: Exam,
    /// The digest of what it holds.
    pub(super) content: [u8; 32],
    /// The box's pepper, where editions of another one are refused.
    pub(super) pepper: Option<PepperCheck>,
    /// What was there when it was noticed.
    pub(super) trace: Trace,
    /// Another file was put in its place.
    pub(super) is_another_file: bool,
}

/// An edition that was read as a whole.
pub(super) struct Found {
    /// The handle that it was read by.
    pub(super) view: RosterView,
    /// The roster as it is now, if it is another file than before. A count of changes belongs to its connection.
    pub(super) live: Option<RosterStore>,
    /// What was there before `view` was opened.
    pub(super) trace: Trace,
}

impl Successor {
    /// Opens what is there and reads all of it.
    pub(super) fn read(self) -> Result<Found, RosterError> {
        let (live, trace) = if self.is_another_file {
            let live = RosterStore::open(&self.path, &self.key)?;
            let now = trace(&self.path, &live)?;
            (Some(live), now)
        } else {
            (None, self.trace)
        };
        let view = RosterView::open(&self.path, &self.key)?;
        self.fits(&view)?;
        view.check()?;
        Ok(Found { view, live, trace })
    }

    fn fits(&self, view: &RosterView) -> Result<(), RosterError> {
        let (held, offered) = (&self.held, view.exam());
        if offered.id != held.id {
            return Err(RosterError::AnotherExam { held: held.id.clone(), offered: offered.id.clone() });
        }
        if offered.version < held.version {
            return Err(RosterError::Stale { held: held.version, offered: offered.version });
        }
        if offered.version == held.version && *view.content() != self.content {
            return Err(RosterError::Conflicting { version: held.version });
        }
        match (self.pepper, view.roster().pepper()?) {
            (Some(own), Some(made_with)) if made_with != own => Err(RosterError::AnotherPepper),
            _ => Ok(()),
        }
    }
}

/// Writes the log at `path` back into the database, and gives a handle that was opened since.
pub(super) fn write_log_back(path: &Path, key: &Key) -> Option<RosterView> {
    RosterStore::open(path, key).ok()?.sealed.write_log_back();
    RosterView::open(path, key).ok()
}
