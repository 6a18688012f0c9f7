//! What a bridge must not forget of the boxes' telemetry: what each said last, and the sums of its runs before.
//!
//! One encrypted database for each bridge, since every database of the fleet is. What is in the rows is the bridge's own; there is nothing of
//! a student in it, as there is none in telemetry.

use std::path::Path;

use examgate::{
    domain::DeviceId,
    store::{
        Key,
        sealed::{Fault, Kind, Migration, Sealed},
    },
};
use rusqlite::{Connection, params};

const TALLY: Kind = Kind {
    application_id: i32::from_be_bytes(*b"EgTy"),
    name: "a bridge's tally",
    migrations: &[Migration { name: "boxes", sql: include_str!("tally.sql") }],
};

/// What is kept of one box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The box.
    pub device: DeviceId,
    /// What it said last.
    pub latest: Vec<u8>,
    /// The sums of its runs before. On writing `None`: they are as they were.
    pub finished: Option<Vec<u8>>,
}

/// The tally of one bridge.
#[derive(Debug)]
pub struct Tally(Sealed);

impl Tally {
    /// Opens the tally at `path`, made if there is none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path, key: &Key) -> Result<Self, Fault> {
        Sealed::open_or_create(path, key, &TALLY).map(Self)
    }

    /// All that is kept. A row whose box has no name that counts is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn all(&self) -> Result<Vec<Kept>, Fault> {
        let read = |rows: &Connection| {
            let mut statement = rows.prepare("SELECT device, latest, finished FROM tally ORDER BY device")?;
            let found = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        let found = read(self.0.connection()).map_err(self.0.fault("read the tally"))?;
        let kept = |(device, latest, finished)| {
            Some(Kept { device: DeviceId::new(device).ok()?, latest, finished: Some(finished) })
        };
        Ok(found.into_iter().filter_map(kept).collect())
    }

    /// Keeps all of `boxes`, in one transaction: it is on the disk when this returns.
    ///
    /// # Errors
    /// When the database fails; none is kept then.
    pub fn keep(&mut self, boxes: &[Kept]) -> Result<(), Fault> {
        let fault = self.0.fault("keep the tally");
        let transaction = self.0.write()?;
        let write = || -> rusqlite::Result<()> {
            let sql = "INSERT INTO tally (device, latest, finished) VALUES (?1, ?2, coalesce(?3, x''))
                       ON CONFLICT (device) DO UPDATE SET latest = ?2, finished = coalesce(?3, finished)";
            let mut statement = transaction.prepare_cached(sql)?;
            for Kept { device, latest, finished } in boxes {
                statement.execute(params![device.as_str(), latest, finished])?;
            }
            Ok(())
        };
        write().map_err(&fault)?;
        transaction.commit().map_err(&fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_after_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Tally::open(&folder.path().join("tally.db"), &Key::from_bytes([1; 32])).unwrap();
        let kept = |name: &str, latest: u8, finished: Option<u8>| Kept {
            device: DeviceId::new(name).unwrap(),
            latest: vec![latest],
            finished: finished.map(|byte| vec![byte]),
        };
        open().keep(&[kept("door-1", 1, Some(7)), kept("door-2", 2, None)]).unwrap();
        let nothing = Kept { finished: Some(Vec::new()), ..kept("door-2", 2, None) };
        assert_eq!(open().all().unwrap(), [kept("door-1", 1, Some(7)), nothing.clone()]);
        open().keep(&[kept("door-1", 3, None)]).unwrap();
        assert_eq!(open().all().unwrap(), [kept("door-1", 3, Some(7)), nothing], "the sums stay as they were");
    }
}
