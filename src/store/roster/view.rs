//! A roster as it changes under a box that serves it: one edition at a time, and only a whole one.
//!
//! A [`RosterView`] is a handle on one edition, held by an open read transaction: whatever is written meanwhile, it reads what was there
//! when it was opened. [`Editions`] notices another edition and has it read as a whole on a thread of its own (`successor.rs`). It
//! switches to the very handle that was read, so nothing that is written after the check is served unchecked; until then, and for good if
//! the new edition is not whole, the edition before stays. Proctors belong to no edition and are read as they are now.
//!
//! It never decides when a new edition is in force: its owner asks for that between two students.

use std::{
    fs, io, mem,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    RosterError, RosterStore,
    successor::{Aside, Found, Successor, write_log_back},
};
use crate::{
    domain::{Exam, PepperCheck},
    store::{Key, sealed::Fault},
};

/// A handle on one edition. It holds no template and no entry in memory.
#[derive(Debug)]
pub struct RosterView {
    roster: RosterStore,
    exam: Exam,
    content: [u8; 32],
}

impl RosterView {
    /// Holds the edition that is at `path` now.
    ///
    /// # Errors
    /// What [`RosterStore::open`] refuses; [`RosterError::Empty`] when nothing was imported yet.
    pub fn open(path: &Path, key: &Key) -> Result<Self, RosterError> {
        let roster = RosterStore::open(path, key)?;
        let fault = roster.sealed.fault("hold an edition");
        // The first read fixes what this connection sees; it ends with the connection.
        roster.sealed.connection().execute_batch("BEGIN DEFERRED").map_err(fault)?;
        let (exam, content) = roster.edition()?.ok_or(RosterError::Empty)?;
        Ok(Self { roster, exam, content })
    }

    /// The exam and its edition.
    #[must_use]
    pub const fn exam(&self) -> &Exam {
        &self.exam
    }

    /// What the edition holds.
    #[must_use]
    pub const fn roster(&self) -> &RosterStore {
        &self.roster
    }

    /// SHA-256 over all that the edition holds.
    pub(super) const fn content(&self) -> &[u8; 32] {
        &self.content
    }

    /// Reads the whole edition once and says whether it is one.
    pub(super) fn check(&self) -> Result<(), RosterError> {
        if self.exam.window.opens >= self.exam.window.closes {
            return Err(RosterError::Nonsense { what: "doors that close before they open" });
        }
        self.roster.check_whole()
    }
}

/// What tells that something was written: which file it is, and SQLite's count of changes by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) file: (u64, u64),
    changes: i64,
}

/// Something that was written, being read as a whole.
#[derive(Debug)]
struct Reading {
    /// What was there when it was noticed.
    noticed: Trace,
    thread: Aside<Result<Found, RosterError>>,
}

/// The roster of one exam, edition by edition.
#[derive(Debug)]
pub struct Editions {
    path: PathBuf,
    key: Key,
    /// Sees everything at once: proctors, and that something changed.
    live: RosterStore,
    view: RosterView,
    /// What was there when `view` was opened.
    trace: Trace,
    /// The box's pepper, where editions of another one are refused.
    pepper: Option<PepperCheck>,
    /// What was written since.
    reading: Option<Reading>,
    /// The log, being written back into the database; with a handle that does not need it.
    emptying: Option<Aside<Option<RosterView>>>,
    /// What was read and is no edition to move to.
    passed_over: Option<Trace>,
    /// What was refused last; told once.
    refused: Option<Option<Trace>>,
}

impl Editions {
    /// Holds the edition that is at `path` now. Reads it once as a whole.
    ///
    /// # Errors
    /// What [`RosterView::open`] refuses, or an edition that is not whole.
    pub fn open(path: &Path, key: Key) -> Result<Self, RosterError> {
        let live = RosterStore::open(path, &key)?;
        let trace = trace(path, &live)?;
        let view = RosterView::open(path, &key)?;
        view.check()?;
        Ok(Self {
            path: path.into(),
            key,
            live,
            view,
            trace,
            pepper: None,
            reading: None,
            emptying: None,
            passed_over: None,
            refused: None,
        })
    }

    /// Moves to no edition that says it was made with another pepper than that of `check`. The one in force is not looked at.
    #[must_use]
    pub fn for_pepper(self, check: PepperCheck) -> Self {
        Self { pepper: Some(check), ..self }
    }

    /// The edition in force.
    #[must_use]
    pub const fn view(&self) -> &RosterView {
        &self.view
    }

    /// The roster as it is now, for its proctors.
    #[must_use]
    pub const fn live(&self) -> &RosterStore {
        &self.live
    }

    /// Moves to the newest edition that was read as a whole, and begins to read what was written since. Says whether it is another one
    /// than before. Takes microseconds: it waits for no reading.
    ///
    /// # Errors
    /// Why what was written is no edition to move to; the one before stays in force. Told once for each thing that was written.
    pub fn refresh(&mut self) -> Result<bool, RosterError> {
        if let Some(emptying) = self.emptying.take_if(|emptying| emptying.is_done()) {
            self.emptied(emptying);
        }
        let moved = match self.reading.take_if(|reading| reading.thread.is_done()) {
            Some(reading) => self.read(reading),
            None if self.is_busy() => return Ok(false),
            None => self.look().map(|()| false),
        };
        self.told_once(moved)
    }

    /// As [`Editions::refresh`], but waits until what is there now has been read. It may take seconds.
    ///
    /// # Errors
    /// As [`Editions::refresh`].
    pub fn settle(&mut self) -> Result<bool, RosterError> {
        let mut moved = false;
        // First what is being read already, then what was written since.
        for _ in 0..2 {
            moved |= self.refresh()?;
            if let Some(reading) = self.reading.take() {
                let read = self.read(reading);
                moved |= self.told_once(read)?;
            }
            if let Some(emptying) = self.emptying.take() {
                self.emptied(emptying);
            }
        }
        Ok(moved)
    }

    /// Whether something that was written is being read.
    #[must_use]
    pub const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    const fn is_busy(&self) -> bool {
        self.reading.is_some() || self.emptying.is_some()
    }

    fn told_once(&mut self, moved: Result<bool, RosterError>) -> Result<bool, RosterError> {
        match moved {
            Ok(moved) => {
                if moved || !self.is_busy() {
                    self.refused = None;
                }
                Ok(moved)
            }
            Err(error) => {
                let refused = Some(trace(&self.path, &self.live).ok());
                if mem::replace(&mut self.refused, refused) == refused { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Begins to read what was written since.
    fn look(&mut self) -> Result<(), RosterError> {
        let now = trace(&self.path, &self.live)?;
        if now == self.trace && self.live.sealed.has_log() {
            self.empty_log();
        }
        if now == self.trace || Some(now) == self.passed_over {
            return Ok(());
        }
        let successor = Successor {
            path: self.path.clone(),
            key: self.key.clone(),
            held: self.view.exam.clone(),
            content: self.view.content,
            pepper: self.pepper,
            trace: now,
            is_another_file: now.file != self.trace.file,
        };
        let thread = Aside::run("roster", || successor.read()).map_err(RosterError::Unread)?;
        self.reading = Some(Reading { noticed: now, thread });
        Ok(())
    }

    /// Takes what a reading came to.
    fn read(&mut self, Reading { noticed, thread }: Reading) -> Result<bool, RosterError> {
        match thread.end().map_err(RosterError::Unread).flatten() {
            Ok(found) => Ok(self.hold(found)),
            Err(error) => {
                // What is wrong with the content stays until something is written, which is noticed only in the file that is open.
                let stays = !matches!(error, RosterError::Database(_) | RosterError::Unread(_));
                self.passed_over = (stays && noticed.file == self.trace.file).then_some(noticed);
                Err(error)
            }
        }
    }

    fn hold(&mut self, found: Found) -> bool {
        let Found { view, live, trace } = found;
        let moved = view.exam != self.view.exam;
        (self.view, self.trace) = (view, trace);
        if let Some(live) = live {
            self.live = live;
        }
        self.empty_log();
        moved
    }

    /// The log holds the edition in force, and traces of the one before. To write it back takes as long as to write the edition. What cannot
    /// be done now, since somebody reads the edition before, is tried again at the next look.
    fn empty_log(&mut self) {
        let (path, key) = (self.path.clone(), self.key.clone());
        self.emptying = Aside::run("roster log", move || write_log_back(&path, &key)).ok();
    }

    /// Once the log is written back, a handle opened anew does not need it, and it can be cut (SQLite, "Write-Ahead Logging": a reader of the
    /// database file alone keeps no log).
    fn emptied(&mut self, emptying: Aside<Option<RosterView>>) {
        // A handle that sees anything written since the check is none on this edition.
        let is_as_checked = |now: Trace| now == self.trace;
        if let Ok(Some(fresh)) = emptying.end()
            && trace(&self.path, &self.live).is_ok_and(is_as_checked)
        {
            self.view = fresh;
            self.live.sealed.try_to_empty_log();
        }
    }
}

pub(super) fn trace(path: &Path, live: &RosterStore) -> Result<Trace, RosterError> {
    let file = fs::metadata(path).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            Fault::Missing { path: path.into() }
        } else {
            Fault::File { path: path.into(), source }
        }
    })?;
    let changes = live.sealed.connection().query_row("PRAGMA data_version", [], |row| row.get(0));
    Ok(Trace { file: (file.dev(), file.ino()), changes: changes.map_err(live.sealed.fault("look for changes"))? })
}

#[cfg(test)]
mod tests;
