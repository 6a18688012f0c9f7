//! Which pepper a roster's cards were made into pseudonyms with. A box with another pepper would know no card of it.
//!
//! Only a check value of the pepper is stored, never the pepper.

use rusqlite::{Connection, OptionalExtension};

use super::{Replaced, RosterError, RosterStore};
use crate::domain::{PepperCheck, Roster};

/// Notes it for the edition that is there.
pub(super) fn note(connection: &Connection, check: &PepperCheck) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO pepper (only, content, \"check\") SELECT 1, content, ?1 FROM exam";
    connection.execute(sql, [check.as_bytes()]).map(drop)
}

impl RosterStore {
    /// As [`RosterStore::replace`], noting in the same transaction that the cards were made with the pepper of `check`: a box that
    /// serves the roster meanwhile sees both or neither. It is noted for an edition that is held already, too.
    ///
    /// # Errors
    /// As [`RosterStore::replace`].
    pub fn replace_made_with(&mut self, roster: &Roster, check: &PepperCheck) -> Result<Replaced, RosterError> {
        let replaced = self.replace_with(&roster.exam, &roster.entries, |transaction| note(transaction, check))?;
        if replaced == Replaced::Unchanged {
            // The same content means the same cards, so the pepper is the same too.
            self.set_pepper(check)?;
        }
        Ok(replaced)
    }

    /// Notes that the edition held was made with the pepper of `check`. An edition that comes after it has to be noted anew.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_pepper(&mut self, check: &PepperCheck) -> Result<(), RosterError> {
        Ok(note(self.sealed.connection(), check).map_err(self.sealed.fault("note the pepper"))?)
    }

    /// The check of the pepper that the edition held was made with; `None` where nobody noted it, as in rosters of before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pepper(&self) -> Result<Option<PepperCheck>, RosterError> {
        let connection = self.sealed.connection();
        // A roster that is only looked at may be of a time before this table.
        if !connection.table_exists(None, "pepper").map_err(self.sealed.fault("look for the pepper"))? {
            return Ok(None);
        }
        let read =
            connection.query_row("SELECT pepper.\"check\" FROM pepper JOIN exam USING (content)", [], |row| row.get(0));
        Ok(read.optional().map_err(self.sealed.fault("read the pepper"))?.map(PepperCheck::from_bytes))
    }
}
