//! Where the databases of one box lie, and which exams it holds.
//!
//! It never opens a database and never touches a key.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
};

use super::owner::{make_folder, sync_folder_of};
use crate::domain::ExamId;

/// The state folder of one box.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Making it failed.
    #[error("cannot make the state folder {}", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// Listing it failed.
    #[error("cannot list the exams in {}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// It cannot be told whether an exam's database is open.
    #[error("cannot tell whether a program has {} open", path.display())]
    Ask {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// Removing an exam's database failed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
}

impl Layout {
    /// The state folder at `root`, for instance `/var/lib/examgate`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The state folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The event store.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.root.join("events.db")
    }

    /// One exam's roster.
    #[must_use]
    pub fn exam(&self, exam: &ExamId) -> PathBuf {
        self.folder().join(format!("{exam}.db"))
    }

    /// What was made of the photos of one exam's roster, where it was imported.
    #[must_use]
    pub fn enrolments(&self, exam: &ExamId) -> PathBuf {
        self.folder().join(format!("{exam}.enrolments"))
    }

    /// What the fleet sends and is not applied yet.
    #[must_use]
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// What the other boxes of an exam tell of whom they let in.
    #[must_use]
    pub fn admitted(&self, exam: &ExamId) -> PathBuf {
        self.root.join("admitted").join(exam.as_str())
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// [`LayoutError::Make`].
    pub fn make(&self) -> Result<(), LayoutError> {
        let make = || {
            make_folder(&self.folder())?;
            // The entries of both folders, so that a power cut does not take what is put into them.
            sync_folder_of(&self.folder())?;
            sync_folder_of(&self.root)
        };
        make().map_err(|source| LayoutError::Make { path: self.folder(), source })
    }

    /// The exams whose database is here, in order of name. A file that is not named after an exam is passed over.
    ///
    /// # Errors
    /// [`LayoutError::List`].
    pub fn exams(&self) -> Result<Vec<ExamId>, LayoutError> {
        let failed = |source| LayoutError::List { path: self.folder(), source };
        let mut exams = Vec::new();
        for entry in fs::read_dir(self.folder()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(Ok(exam)) = name.to_str().and_then(|name| name.strip_suffix(".db")).map(ExamId::new) {
                exams.push(exam);
            }
        }
        exams.sort();
        Ok(exams)
    }

    /// Whether another program has an exam's database open, as a box has that serves, and one that holds it beside its own.
    ///
    /// # Errors
    /// [`LayoutError::Ask`].
    pub fn is_open(&self, exam: &ExamId) -> Result<bool, LayoutError> {
        let path = self.exam(exam);
        let failed = |source| LayoutError::Ask { path: path.clone(), source };
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        };
        // A process that has a database in WAL mode open holds a shared lock on it (SQLite, "File Locking And Concurrency"). Ours goes with `file`.
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(false),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(true),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Removes an exam's databases, and what other boxes told of it. Erase its key first: that is what makes the content unreadable.
    ///
    /// # Errors
    /// [`LayoutError::Remove`]. Removing what is not there is no error.
    pub fn remove(&self, exam: &ExamId) -> Result<(), LayoutError> {
        let database = self.exam(exam);
        for file in [self.enrolments(exam), database.clone()] {
            for suffix in ["-wal", "-shm", ""] {
                let mut path = file.clone().into_os_string();
                path.push(suffix);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed.map_err(|source| LayoutError::Remove { path: path.into(), source })?,
                }
            }
        }
        let told = self.admitted(exam);
        match fs::remove_dir_all(&told) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(|source| LayoutError::Remove { path: told, source })?,
        }
        sync_folder_of(&database).map_err(|source| LayoutError::Remove { path: database, source })
    }

    fn folder(&self) -> PathBuf {
        self.root.join("exams")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_removes_exams() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        layout.make().unwrap();
        let exam = |name| ExamId::new(name).unwrap();
        let beside = ["a.db-wal", "a.db-shm", "a.enrolments", "a.enrolments-wal", "a.enrolments-shm"];
        for name in ["b.db", "a.db", "x.db.db", "-.db", "note.txt", "b.enrolments"].into_iter().chain(beside) {
            fs::write(layout.folder().join(name), "").unwrap();
        }
        assert_eq!(layout.exams().unwrap(), [exam("a"), exam("b"), exam("x.db")]);
        fs::create_dir_all(layout.admitted(&exam("a"))).unwrap();
        fs::write(layout.admitted(&exam("a")).join("door-2.0.cose"), "told").unwrap();
        layout.remove(&exam("a")).unwrap();
        layout.remove(&exam("a")).unwrap();
        assert!(!layout.admitted(&exam("a")).exists(), "what was told of it goes with it");
        assert_eq!(layout.exams().unwrap(), [exam("b"), exam("x.db")]);
        assert!(beside.iter().all(|name| !layout.folder().join(name).exists()));
        assert!(layout.folder().join("b.enrolments").exists());
    }
}
