//! The list of revoked certificates: what is on it, and its number.

use examgate::{domain::Timestamp, store::sealed::Fault};

use super::{Registry, at};

/// A revoked certificate: its serial number, and when it was revoked.
pub type RevokedSerial = (Vec<u8>, Timestamp);

impl Registry {
    /// Raises the number of the list of revoked certificates by `leap`: after a restore, so that no number is given twice.
    ///
    /// # Errors
    /// When the database fails.
    pub fn raise_list_number(&mut self, leap: u32) -> Result<(), Fault> {
        self.change("raise the number of the list", |rows| {
            rows.execute("UPDATE list SET number = number + ?", [leap]).map(drop)
        })
    }

    /// The serial numbers of revoked certificates whose time is not over at `now`, when each was revoked, and the number of the
    /// next list, which is taken with this.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_list(&mut self, now: Timestamp) -> Result<(u64, Vec<RevokedSerial>), Fault> {
        self.change("take the list of revoked certificates", |rows| {
            let sql = "UPDATE list SET number = number + 1, issued_at = ? RETURNING number";
            let number = rows.query_row(sql, [now.as_second()], |row| row.get(0))?;
            let sql = "SELECT serial, revoked_at FROM certificate WHERE revoked_at IS NOT NULL AND not_after > ? ORDER BY serial";
            let mut statement = rows.prepare(sql)?;
            let revoked = statement.query_map([now.as_second()], |row| Ok((row.get(0)?, at(row.get(1)?)?)))?;
            Ok((number, revoked.collect::<rusqlite::Result<_>>()?))
        })
    }

    /// When the last list of revoked certificates was made.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_list(&self) -> Result<Timestamp, Fault> {
        let read = self.0.connection().query_row("SELECT issued_at FROM list", [], |row| at(row.get(0)?));
        read.map_err(self.0.fault("read when the last list was made"))
    }
}
