//! Everybody on a roster, in order of their numbers.
//!
//! It never reads a template.

use super::{COLUMNS, RawEntry, RosterError, RosterStore};
use crate::domain::{RosterEntry, StudentId};

impl RosterStore {
    /// Every student, in order.
    ///
    /// # Errors
    /// When the database fails or a number makes no sense.
    pub fn students(&self) -> Result<Vec<StudentId>, RosterError> {
        let fault = self.sealed.fault("list students");
        let mut query =
            self.sealed.connection().prepare("SELECT student FROM entries ORDER BY student").map_err(&fault)?;
        let numbers: Vec<String> = query.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(&fault)?;
        let student = |number| StudentId::new(number).map_err(|_| RosterError::Nonsense { what: "a student" });
        numbers.into_iter().map(student).collect()
    }

    /// Every student's place, in order of their numbers.
    ///
    /// # Errors
    /// When the database fails or a value makes no sense.
    pub fn entries(&self) -> Result<Vec<RosterEntry>, RosterError> {
        let fault = self.sealed.fault("list students");
        let mut query = self
            .sealed
            .connection()
            .prepare_cached(&format!("SELECT {COLUMNS} FROM entries ORDER BY student"))
            .map_err(&fault)?;
        let rows: Vec<_> = query.query_map([], RawEntry::read).and_then(Iterator::collect).map_err(&fault)?;
        rows.into_iter().map(|raw| Ok(self.whole(raw)?.entry)).collect()
    }
}
