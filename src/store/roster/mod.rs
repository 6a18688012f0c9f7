//! One exam's roster: who, which card, where they sit, and their templates. Found by card, flat from a hundred students to
//! a million.
//!
//! It never judges: whether a card is good, the room right or the window open is the session's business.

mod content;
mod error;
mod listing;
mod peers;
mod pepper;
mod places;
mod proctors;
mod pushed;
mod successor;
mod survey;
mod view;
mod writing;

use std::{borrow::Borrow, path::Path};

use content::{ContentDigest, template};
pub use error::RosterError;
use places::{COLUMNS, RawEntry, WIDTH};
pub use proctors::proctor_mark;
pub use pushed::Pushed;
use rusqlite::{OptionalExtension, Row, ToSql, Transaction};
pub use survey::Seats;
pub use view::{Editions, RosterView};

use writing::{check_cards, insert, insert_exam};

use super::{
    key::Key,
    sealed::{Fault, Kind, Migration, Sealed},
};
use crate::domain::{
    EmbeddingSpaceId, Exam, ExamId, ExamWindow, Roster, RosterEntry, RosterVersion, StudentId, Template,
};

const ROSTER: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgRo"),
    name: "a roster",
    migrations: &[
        Migration { name: "exam, entries and templates", sql: include_str!("roster.sql") },
        Migration { name: "proctors", sql: include_str!("roster_2.sql") },
        Migration { name: "languages", sql: include_str!("roster_3.sql") },
        Migration { name: "pepper", sql: include_str!("roster_4.sql") },
        Migration { name: "bundle", sql: include_str!("roster_5.sql") },
        Migration { name: "further cards, preferred names, seats, opting out", sql: include_str!("roster_6.sql") },
        Migration { name: "look-alikes", sql: include_str!("roster_7.sql") },
        Migration { name: "the other boxes of the exam", sql: include_str!("roster_8.sql") },
        Migration { name: "templates apart from their index", sql: include_str!("roster_9.sql") },
    ],
};

/// Page cache while a roster is written, KiB: cards come in random order.
const WRITE_CACHE: i64 = 64 * 1024;

/// Page cache while a whole edition is read, KiB: places come in the order of cards, templates in that of students.
const CHECK_CACHE: i64 = 16 * 1024;

/// Page cache otherwise, KiB (SQLite's own default). It holds decrypted pages, so it is kept small.
const READ_CACHE: i64 = 2_000;

/// A student found by card.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The entry.
    pub entry: RosterEntry,
    /// How many templates [`RosterStore::templates`] will give.
    pub templates: usize,
}

/// What a replacement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The roster is now this edition.
    Applied,
    /// The very same edition was held already: nothing was written.
    Unchanged,
}

/// One exam's roster.
#[derive(Debug)]
pub struct RosterStore {
    sealed: Sealed,
}

impl RosterStore {
    /// Opens the roster at `path`, which must be there.
    #[doc = include_str!("open.md")]
    ///
    /// # Errors
    /// What [`Sealed::open`] refuses.
    pub fn open(path: &Path, key: &Key) -> Result<Self, RosterError> {
        Ok(Self { sealed: Sealed::open(path, key, &ROSTER)? })
    }

    /// Opens the roster at `path` to look at it: nothing is made, written or brought up to date.
    ///
    /// # Errors
    /// What [`Sealed::look`] refuses.
    pub fn look(path: &Path, key: &Key) -> Result<Self, RosterError> {
        Ok(Self { sealed: Sealed::look(path, key, &ROSTER)? })
    }

    /// Opens the roster at `path`, made first if there is none; it holds no exam then, until [`RosterStore::replace`].
    ///
    /// # Errors
    /// What [`Sealed::open_or_create`] refuses.
    pub fn create(path: &Path, key: &Key) -> Result<Self, RosterError> {
        Ok(Self { sealed: Sealed::open_or_create(path, key, &ROSTER)? })
    }

    /// The database, for tests that harm it.
    #[cfg(test)]
    pub(crate) const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The exam and the edition of its roster; `None` before the first one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn exam(&self) -> Result<Option<Exam>, RosterError> {
        Ok(self.edition()?.map(|(exam, _)| exam))
    }

    /// All templates of one student, in the order they were enrolled; empty when there are none or no such student.
    ///
    /// # Errors
    /// When the database fails or a template makes no sense.
    pub fn templates(&self, student: &StudentId) -> Result<Vec<Template>, RosterError> {
        self.templates_where(
            "SELECT space, artifact, embedding FROM templates WHERE student = ?1 ORDER BY place",
            &[&student.as_str()],
        )
    }

    /// The student's templates of one space: no other is read.
    ///
    /// # Errors
    /// As [`RosterStore::templates`].
    pub fn templates_of(&self, student: &StudentId, space: &EmbeddingSpaceId) -> Result<Vec<Template>, RosterError> {
        self.templates_where(
            "SELECT space, artifact, embedding FROM templates WHERE student = ?1 AND space = ?2 ORDER BY place",
            &[&student.as_str(), &space.as_str()],
        )
    }

    fn templates_where(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<Template>, RosterError> {
        let fault = self.sealed.fault("read templates");
        let mut query = self.sealed.connection().prepare_cached(sql).map_err(&fault)?;
        let mut rows = query.query(values).map_err(&fault)?;
        let mut templates = Vec::new();
        while let Some(row) = rows.next().map_err(&fault)? {
            templates.push(template(row).map_err(&fault)?.ok_or(RosterError::Nonsense { what: "a template" })?);
        }
        Ok(templates)
    }

    /// Reads every entry, one after the other, and checks that each makes sense and has the templates that it says.
    fn check_whole(&self) -> Result<(), RosterError> {
        self.cache(CHECK_CACHE)?;
        let checked = self.check_entries();
        self.cache(READ_CACHE)?;
        checked
    }

    fn check_entries(&self) -> Result<(), RosterError> {
        let fault = self.sealed.fault("read a whole edition");
        let mut query = self
            .sealed
            .connection()
            .prepare(&format!(
                "SELECT {COLUMNS}, (SELECT count(*) FROM templates WHERE templates.student = entries.student) FROM entries"
            ))
            .map_err(&fault)?;
        let mut rows = query.query([]).map_err(&fault)?;
        let mut is_empty = true;
        while let Some(row) = rows.next().map_err(&fault)? {
            is_empty = false;
            let found = self.whole(RawEntry::read(row).map_err(&fault)?)?;
            if found.templates != row.get::<_, usize>(WIDTH).map_err(&fault)? {
                return Err(RosterError::Nonsense { what: "templates are missing" });
            }
        }
        if is_empty { Err(RosterError::Nonsense { what: "no student" }) } else { Ok(()) }
    }

    /// How many students.
    ///
    /// # Errors
    /// When the database fails.
    pub fn len(&self) -> Result<usize, RosterError> {
        let count = self.sealed.connection().query_row("SELECT count(*) FROM entries", [], |row| row.get(0));
        Ok(count.map_err(self.sealed.fault("count students"))?)
    }

    /// Whether there are no students.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_empty(&self) -> Result<bool, RosterError> {
        Ok(self.len()? == 0)
    }

    /// Replaces the whole roster in one transaction; on any error the one held stays as it is.
    ///
    /// # Errors
    /// When the version does not rise (the same version with the same content is [`Replaced::Unchanged`]), the exam is
    /// another one, a student or a card comes twice, or the database fails.
    pub fn replace(&mut self, roster: &Roster) -> Result<Replaced, RosterError> {
        self.replace_from(&roster.exam, &roster.entries)
    }

    /// As [`RosterStore::replace`], with entries from anywhere: a million need not be in memory.
    ///
    /// # Errors
    /// As [`RosterStore::replace`].
    pub fn replace_from<I>(&mut self, exam: &Exam, entries: I) -> Result<Replaced, RosterError>
    where
        I: IntoIterator<Item: Borrow<(RosterEntry, Vec<Template>)>>,
    {
        self.replace_with(exam, entries, |_| Ok(()))
    }

    /// As [`RosterStore::replace_from`], with what is written `beside` the students in the same transaction.
    fn replace_with<I>(
        &mut self,
        exam: &Exam,
        entries: I,
        beside: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<Replaced, RosterError>
    where
        I: IntoIterator<Item: Borrow<(RosterEntry, Vec<Template>)>>,
    {
        let mut digest = ContentDigest::of(exam);
        if let Some((held, content)) = self.edition()? {
            if held.id != exam.id {
                return Err(RosterError::AnotherExam { held: held.id, offered: exam.id.clone() });
            }
            if exam.version < held.version {
                return Err(RosterError::Stale { held: held.version, offered: exam.version });
            }
            if exam.version == held.version {
                entries.into_iter().for_each(|item| digest.add(item.borrow()));
                let same = digest.finish() == content;
                return if same {
                    Ok(Replaced::Unchanged)
                } else {
                    Err(RosterError::Conflicting { version: held.version })
                };
            }
        }
        self.cache(WRITE_CACHE)?;
        let written = self.rewrite(exam, entries, digest, beside);
        self.cache(READ_CACHE)?;
        written?;
        // The log holds the whole roster and traces of the one before: emptied now, or by the box that serves the one before as soon as it
        // has moved. The roster is committed either way.
        self.sealed.try_to_empty_log();
        Ok(Replaced::Applied)
    }

    /// Sets the page cache's size, KiB.
    fn cache(&self, size: i64) -> Result<(), Fault> {
        let sized = self.sealed.connection().pragma_update(None, "cache_size", -size);
        sized.map_err(self.sealed.fault("size the page cache"))
    }

    fn rewrite<I>(
        &mut self,
        exam: &Exam,
        entries: I,
        mut digest: ContentDigest,
        beside: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), RosterError>
    where
        I: IntoIterator<Item: Borrow<(RosterEntry, Vec<Template>)>>,
    {
        let fault = self.sealed.fault("replace the roster");
        let transaction = self.sealed.write()?;
        transaction
            .execute_batch("DELETE FROM templates; DELETE FROM more_cards; DELETE FROM look_alikes; DELETE FROM entries; DELETE FROM exam;")
            .map_err(&fault)?;
        for item in entries {
            let (entry, templates) = item.borrow();
            insert(&transaction, entry, templates, &fault)?;
            digest.add(item.borrow());
        }
        insert_exam(&transaction, exam, digest.finish()).map_err(&fault)?;
        beside(&transaction).map_err(&fault)?;
        check_cards(&transaction, &fault)?;
        Ok(transaction.commit().map_err(&fault)?)
    }

    /// The exam and the digest of the roster's content.
    fn edition(&self) -> Result<Option<(Exam, [u8; 32])>, RosterError> {
        let read = |row: &Row<'_>| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, u64>(4)?,
                row.get::<_, [u8; 32]>(5)?,
            ))
        };
        let row = self
            .sealed
            .connection()
            .query_row("SELECT id, title, opens, closes, version, content FROM exam", [], read)
            .optional()
            .map_err(self.sealed.fault("read the exam"))?;
        let Some((id, title, opens, closes, version, content)) = row else { return Ok(None) };
        let nonsense = |what| RosterError::Nonsense { what };
        let window = ExamWindow {
            opens: opens.parse().map_err(|_| nonsense("opening time"))?,
            closes: closes.parse().map_err(|_| nonsense("closing time"))?,
        };
        let id = ExamId::new(id).map_err(|_| nonsense("exam"))?;
        Ok(Some((Exam { id, title, window, version: RosterVersion(version) }, content)))
    }
}

#[cfg(test)]
mod tests;
