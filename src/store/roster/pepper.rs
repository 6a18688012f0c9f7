//! Which pepper a roster's cards were made into pseudonyms with. A box with another pepper would know no card of it.
//!
//! Only a check value of the pepper is stored, never the pepper.

use rusqlite::OptionalExtension;

use super::{RosterError, RosterStore};
use crate::domain::PepperCheck;

impl RosterStore {
    /// Notes that the edition held was made with the pepper of `check`. An edition that comes after it has to be noted anew.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_pepper(&mut self, check: &PepperCheck) -> Result<(), RosterError> {
        let noted = self.sealed.connection().execute(
            "INSERT OR REPLACE INTO pepper (only, content, \"check\") SELECT 1, content, ?1 FROM exam",
            [check.as_bytes()],
        );
        noted.map_err(self.sealed.fault("note the pepper"))?;
        Ok(())
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
