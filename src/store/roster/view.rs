//! A roster as it changes under a box that serves it: one edition at a time, and only a whole one.
//!
//! A [`RosterView`] is a handle on one edition, held by an open read transaction: whatever is written meanwhile, it reads what was there
//! when it was opened. [`Editions`] notices another edition and moves to it once it has proved whole; until then, and for good if it
//! never does, the edition before stays. Proctors belong to no edition and are read as they are now.
//!
//! It never decides when a new edition is in force: its owner asks for that between two students.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{RosterError, RosterStore};
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

    /// Reads the whole edition once and says whether it is one.
    fn check(&self) -> Result<(), RosterError> {
        if self.exam.window.opens >= self.exam.window.closes {
            return Err(RosterError::Nonsense { what: "doors that close before they open" });
        }
        self.roster.check_whole()
    }
}

/// What tells that something was written: which file it is, and SQLite's count of changes by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trace {
    file: (u64, u64),
    changes: i64,
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
    /// What was refused last; told once.
    refused: Option<Option<Trace>>,
}

impl Editions {
    /// Holds the edition that is at `path` now.
    ///
    /// # Errors
    /// What [`RosterView::open`] refuses, or an edition that is not whole.
    pub fn open(path: &Path, key: Key) -> Result<Self, RosterError> {
        let live = RosterStore::open(path, &key)?;
        let trace = trace(path, &live)?;
        let view = RosterView::open(path, &key)?;
        view.check()?;
        Ok(Self { path: path.into(), key, live, view, trace, pepper: None, refused: None })
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

    /// Moves to the newest edition. Says whether it is another one than before. Takes microseconds where nothing was written; a new
    /// edition is read once as a whole.
    ///
    /// # Errors
    /// Why what was written is no edition to move to; the one before stays in force. Told once for each thing that was written.
    pub fn refresh(&mut self) -> Result<bool, RosterError> {
        match self.advance() {
            Ok(moved) => {
                self.refused = None;
                Ok(moved)
            }
            Err(error) => {
                let refused = Some(trace(&self.path, &self.live).ok());
                if std::mem::replace(&mut self.refused, refused) == refused { Ok(false) } else { Err(error) }
            }
        }
    }

    fn advance(&mut self) -> Result<bool, RosterError> {
        let mut now = trace(&self.path, &self.live)?;
        if now == self.trace {
            return Ok(false);
        }
        if now.file != self.trace.file {
            // Another file was put in its place. A change count belongs to its connection.
            let live = RosterStore::open(&self.path, &self.key)?;
            now = trace(&self.path, &live)?;
            let view = self.fit(RosterView::open(&self.path, &self.key)?)?;
            self.live = live;
            return Ok(self.hold(view, now));
        }
        let view = self.fit(RosterView::open(&self.path, &self.key)?)?;
        Ok(self.hold(view, now))
    }

    /// `view`, if it may follow the one in force.
    fn fit(&self, view: RosterView) -> Result<RosterView, RosterError> {
        let (held, offered) = (&self.view.exam, &view.exam);
        if offered.id != held.id {
            return Err(RosterError::AnotherExam { held: held.id.clone(), offered: offered.id.clone() });
        }
        if offered.version < held.version {
            return Err(RosterError::Stale { held: held.version, offered: offered.version });
        }
        if offered.version == held.version && view.content != self.view.content {
            return Err(RosterError::Conflicting { version: held.version });
        }
        if let (Some(own), Some(made_with)) = (self.pepper, view.roster.pepper()?)
            && made_with != own
        {
            return Err(RosterError::AnotherPepper);
        }
        view.check()?;
        Ok(view)
    }

    fn hold(&mut self, view: RosterView, trace: Trace) -> bool {
        let moved = view.exam != self.view.exam;
        (self.view, self.trace) = (view, trace);
        // The log holds this edition, and traces of the one before. Once it is written back, a handle opened anew does not need it, and
        // it can be emptied (SQLite, "Write-Ahead Logging": a reader of the database file alone keeps no log).
        self.live.sealed.try_to_empty_log();
        if let Ok(view) = RosterView::open(&self.path, &self.key)
            && view.content == self.view.content
        {
            self.view = view;
            self.live.sealed.try_to_empty_log();
        }
        moved
    }
}

fn trace(path: &Path, live: &RosterStore) -> Result<Trace, RosterError> {
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
mod tests {
    use super::{
        super::tests::{Bench, KEY, entry, exam},
        *,
    };
    use crate::{
        domain::{CardPseudonym, Proctor, ProctorId, Roster, StudentId},
        store::Pin,
    };

    fn roster(version: u64, students: u32) -> Roster {
        Roster { exam: exam(version), entries: (1..=students).map(|n| entry(n, 1)).collect() }
    }

    impl Bench {
        /// As another process has it.
        fn create(&self) -> RosterStore {
            RosterStore::create(&self.path, &KEY).unwrap()
        }

        fn editions(&self) -> Editions {
            Editions::open(&self.path, KEY).unwrap()
        }
    }

    fn held(editions: &Editions) -> (u64, usize) {
        (editions.view().exam().version.0, editions.view().roster().len().unwrap())
    }

    #[test]
    fn an_edition_is_switched_whole_and_only_when_asked() {
        let bench = Bench::new();
        bench.create().replace(&roster(1, 3)).unwrap();
        let mut editions = bench.editions();
        assert!(!editions.refresh().unwrap());
        let mut later = roster(2, 5);
        later.exam.window.closes += std::time::Duration::from_secs(7200);
        bench.create().replace(&later).unwrap();
        // Window, version and students are still those of the first.
        assert_eq!(held(&editions), (1, 3));
        assert_eq!(editions.view().roster().exam().unwrap().unwrap(), roster(1, 3).exam);
        assert!(editions.refresh().unwrap());
        assert_eq!((held(&editions), editions.view().exam()), ((2, 5), &later.exam));
        let log = bench.path.with_extension("db-wal");
        assert_eq!(fs::metadata(log).map_or(0, |log| log.len()), 0, "nothing of the first is left in the log");
        assert!(!editions.refresh().unwrap());
    }

    #[test]
    fn proctors_are_read_as_they_are_now_and_end_no_edition() {
        let bench = Bench::new();
        bench.create().replace(&roster(1, 3)).unwrap();
        let mut editions = bench.editions();
        let okafor = Proctor {
            id: ProctorId::new("okafor").unwrap(),
            name: "A. Okafor".into(),
            card: CardPseudonym::from_bytes([255; 32]),
        };
        let pin = Pin::new("481516").unwrap().hash().unwrap();
        bench.create().set_proctor(&okafor, &pin).unwrap();
        assert_eq!(editions.live().find_proctor(&okafor.card).unwrap(), Some(okafor.clone()));
        assert!(!editions.refresh().unwrap(), "the students are the same");
        bench.create().remove_proctor(&okafor.id).unwrap();
        assert_eq!(editions.live().proctor(&okafor.id).unwrap(), None);
    }

    #[test]
    fn what_is_no_whole_edition_leaves_the_one_before_in_force_and_is_told_once() {
        type Harm<'a> = &'a dyn Fn(&Bench);
        let sql = |bench: &Bench, sql: &str| bench.create().sealed.connection().execute_batch(sql).unwrap();
        let harms: [(&str, Harm<'_>); 8] = [
            ("no exam", &|bench| sql(bench, "DELETE FROM exam")),
            ("no student", &|bench| sql(bench, "DELETE FROM entries; UPDATE exam SET version = 2")),
            ("templates are missing", &|bench| sql(bench, "DELETE FROM templates; UPDATE exam SET version = 2")),
            ("an impossible time", &|bench| sql(bench, "UPDATE exam SET version = 2, closes = 'soon'")),
            ("doors that close first", &|bench| sql(bench, "UPDATE exam SET version = 2, closes = opens")),
            ("an older edition", &|bench| sql(bench, "UPDATE exam SET version = 0")),
            ("other content", &|bench| sql(bench, "UPDATE exam SET content = zeroblob(32)")),
            ("the file is gone", &|bench| fs::remove_file(&bench.path).unwrap()),
        ];
        for (name, harm) in harms {
            let bench = Bench::new();
            bench.create().replace(&roster(1, 3)).unwrap();
            let mut editions = bench.editions();
            harm(&bench);
            assert!(editions.refresh().is_err(), "{name}");
            assert!(!editions.refresh().unwrap(), "{name}: told once");
            assert_eq!(held(&editions), (1, 3), "{name}");
            let student = StudentId::new("N1").unwrap();
            assert!(!editions.view().roster().templates(&student).unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn an_import_that_mends_a_broken_edition_is_taken() {
        let bench = Bench::new();
        bench.create().replace(&roster(1, 3)).unwrap();
        let mut editions = bench.editions();
        bench.create().sealed.connection().execute_batch("DELETE FROM exam").unwrap();
        assert!(editions.refresh().is_err());
        bench.create().replace(&roster(2, 4)).unwrap();
        assert!(editions.refresh().unwrap());
        assert_eq!(held(&editions), (2, 4));
    }

    #[test]
    fn a_file_put_in_its_place_is_noticed_and_a_broken_one_is_not_taken() {
        let bench = Bench::new();
        bench.create().replace(&roster(1, 3)).unwrap();
        let mut editions = bench.editions();
        let beside = bench.path.with_extension("new");
        fs::write(&beside, vec![7; 16 * 4096]).unwrap();
        fs::rename(&beside, &bench.path).unwrap();
        assert!(editions.refresh().is_err(), "not a roster");
        assert_eq!(held(&editions), (1, 3));
    }

    #[test]
    fn an_edition_of_another_pepper_never_comes_into_force() {
        let bench = Bench::new();
        let (own, other) = (PepperCheck::from_bytes([1; 16]), PepperCheck::from_bytes([2; 16]));
        bench.create().replace_made_with(&roster(1, 3), &own).unwrap();
        let mut editions = bench.editions().for_pepper(own);
        bench.create().replace_made_with(&roster(2, 4), &other).unwrap();
        assert!(matches!(editions.refresh(), Err(RosterError::AnotherPepper)));
        assert!(matches!(editions.refresh(), Ok(false)), "told once");
        assert_eq!(held(&editions), (1, 3));
        // As somebody does who sees the alarm.
        bench.create().replace_made_with(&roster(3, 5), &own).unwrap();
        assert!(editions.refresh().unwrap());
        assert_eq!(held(&editions), (3, 5));
        // Of an earlier version, which noted none: it is served, and doctor says so.
        bench.create().replace(&roster(4, 6)).unwrap();
        assert!(editions.refresh().unwrap());
    }
}
