//! The one place that opens a SQLCipher database: raw key, WAL, full synchronisation, checked kind, named migrations.
//!
//! Nothing it refuses to open is written to: a wrong key, a damaged, foreign or newer database stays byte for byte as
//! it was found.
//!
//! Decrypted pages stay in SQLite's page cache (2 MB) while a database is open, and SQLite keeps a copy of the key.
//! SQLCipher's `cipher_memory_security`, which would lock and wipe every allocation, stays off: it made reading one
//! student's templates five times slower or worse (84 to 445 us) and needs more locked memory than Linux grants. What
//! keeps memory off the disk is the service: no core dumps, no swap.

mod fault;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

pub use fault::Fault;
use rusqlite::{
    Connection, OpenFlags, Transaction, TransactionBehavior,
    backup::{Backup, StepResult},
    config::DbConfig,
};
use zeroize::Zeroizing;

use super::{
    key::Key,
    owner::{hand_over, sync_folder_of},
};

/// Longest wait for another connection's transaction. The door answers in about a second; a transaction takes
/// milliseconds, so a longer wait means something is stuck.
const BUSY: Duration = Duration::from_secs(2);

/// Bytes at the start of every unencrypted SQLite database (SQLite file format, section 1.3).
const PLAIN_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// SQLCipher's page size, bytes (SQLCipher 4 default).
const PAGE: u64 = 4096;

/// One named step of a schema. Steps are only ever appended.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// What it does, for errors.
    pub name: &'static str,
    /// The statements. They run in one transaction.
    pub sql: &'static str,
}

/// What a database holds, so that one kind is never taken for another.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// SQLite's `application_id`; not zero.
    pub application_id: i32,
    /// Its name in errors, for instance "event store".
    pub name: &'static str,
    /// The schema's steps; `user_version` counts those applied.
    pub migrations: &'static [Migration],
}

/// An open encrypted database of a known kind and the newest schema.
#[derive(Debug)]
pub struct Sealed {
    connection: Connection,
    path: PathBuf,
}

impl Sealed {
    /// Opens the database at `path`, which must be there.
    ///
    /// # Errors
    /// A [`Fault`] that says what is wrong with the file; the file is not altered then.
    pub fn open(path: &Path, key: &Key, kind: &Kind) -> Result<Self, Fault> {
        if !path.exists() {
            return Err(Fault::Missing { path: path.into() });
        }
        Self::unlock(path, key, kind)
    }

    /// Opens the database at `path`, made first (mode 0600) if there is none.
    ///
    /// # Errors
    /// As [`Sealed::open`]; the folder must be there.
    pub fn open_or_create(path: &Path, key: &Key, kind: &Kind) -> Result<Self, Fault> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            // SQLite gives its companions (-wal, -shm) to the owner of the database.
            Ok(made) => hand_over(&made, path)
                .and_then(|()| sync_folder_of(path))
                .map_err(|source| Fault::File { path: path.into(), source })?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Fault::File { path: path.into(), source }),
        }
        Self::unlock(path, key, kind)
    }

    /// Opens the database at `path` to look at it: no file is made or written, and no schema step is taken. A database of an older schema
    /// opens too, so the caller must not query what an old schema lacks.
    ///
    /// # Errors
    /// As [`Sealed::open`]; [`Fault::Unsettled`] when looking would write.
    pub fn look(path: &Path, key: &Key, kind: &Kind) -> Result<Self, Fault> {
        let failed = |source| Fault::File { path: path.into(), source };
        // Unlike `Path::exists`, this tells what is not there from what cannot be seen.
        if !path.try_exists().map_err(failed)? {
            return Err(Fault::Missing { path: path.into() });
        }
        if is_plain(path).map_err(failed)? {
            return Err(Fault::Plain { path: path.into() });
        }
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        // Shared memory lies there while somebody has the database open, and after a crash: SQLite then reads with the others. Without
        // it SQLite would make it, unless it is told that nothing changes; what is only in the log would be overlooked then.
        let is_shared = beside("-shm").exists();
        if !is_shared && fs::metadata(beside("-wal")).is_ok_and(|log| log.len() > 0) {
            return Err(Fault::Unsettled { path: path.into() });
        }
        let mut uri = String::from("file:");
        for &byte in path.as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                uri += &format!("%{byte:02X}");
            }
        }
        uri += if is_shared { "?mode=ro" } else { "?immutable=1" };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri, flags).map_err(|e| Fault::of(path, "open it", e))?;
        let sealed = Self { connection, path: path.into() };
        sealed.present(key)?;
        sealed.connection.busy_timeout(BUSY).map_err(sealed.fault("configure it"))?;
        sealed.check(kind)?;
        Ok(sealed)
    }

    /// Whether every step of the schema was taken, as it is wherever the database was not opened to look at it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_up_to_date(&self, kind: &Kind) -> Result<bool, Fault> {
        let version = self.connection.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0));
        Ok(version.map_err(self.fault("read its schema"))? == kind.migrations.len())
    }

    fn unlock(path: &Path, key: &Key, kind: &Kind) -> Result<Self, Fault> {
        if is_plain(path).map_err(|source| Fault::File { path: path.into(), source })? {
            return Err(Fault::Plain { path: path.into() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| Fault::of(path, "open it", e))?;
        let mut sealed = Self { connection, path: path.into() };
        sealed.present(key)?;
        let fresh = sealed.check(kind)?;
        sealed.configure().map_err(sealed.fault("configure it"))?;
        sealed.migrate(kind, fresh)?;
        Ok(sealed)
    }

    /// Gives SQLCipher the raw key: no derivation, it is random already.
    fn present(&self, key: &Key) -> Result<(), Fault> {
        let mut digits = Zeroizing::new([0; 64]);
        hex::encode_to_slice(key.expose(), &mut *digits).expect("64 digits hold 32 bytes");
        let digits = std::str::from_utf8(&*digits).expect("hexadecimal digits are ASCII");
        // Set aside whole, so that no copy of a growing text is left behind.
        let mut pragma = Zeroizing::new(String::with_capacity(128));
        pragma.push_str("PRAGMA cipher_log_level = NONE; PRAGMA key = \"x'");
        pragma.push_str(digits);
        pragma.push_str("'\";");
        self.connection.execute_batch(&pragma).map_err(self.fault("unlock it"))
    }

    /// Reads the first page and whose it is. Returns whether the database is still empty.
    fn check(&self, kind: &Kind) -> Result<bool, Fault> {
        let number = |sql| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let tables = number("SELECT count(*) FROM sqlite_master").map_err(|error| self.refusal(error))?;
        let found = number("PRAGMA application_id").map_err(self.fault("read its kind"))?;
        let version = number("PRAGMA user_version").map_err(self.fault("read its schema"))?;
        if tables == 0 && found == 0 && version == 0 {
            return Ok(true);
        }
        if found != i64::from(kind.application_id) {
            return Err(Fault::WrongKind { path: self.path.clone(), wanted: kind.name });
        }
        let known = kind.migrations.len();
        if usize::try_from(version).map_or(true, |version| version > known) {
            return Err(Fault::NewerSchema { path: self.path.clone(), found: version, known });
        }
        Ok(false)
    }

    /// The first page did not open: no database at all, or the wrong key for one?
    fn refusal(&self, error: rusqlite::Error) -> Fault {
        let fault = Fault::of(&self.path, "read it", error);
        let short = fs::metadata(&self.path).is_ok_and(|file| file.len() < PAGE);
        if short && matches!(fault, Fault::WrongKey { .. }) {
            return Fault::NotADatabase { path: self.path.clone() };
        }
        fault
    }

    fn configure(&self) -> rusqlite::Result<()> {
        let c = &self.connection;
        c.busy_timeout(BUSY)?;
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        c.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 8388608;",
        )
    }

    fn migrate(&mut self, kind: &Kind, fresh: bool) -> Result<(), Fault> {
        let path = self.path.clone();
        let applied = |c: &Connection| c.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0));
        // A process that only opens a database of the newest schema need not wait for a writer.
        let held = applied(&self.connection).map_err(self.fault("read its schema"))?;
        for (index, migration) in kind.migrations.iter().enumerate().skip(held) {
            let mut step = || {
                let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                // Another connection may have been quicker.
                if applied(&transaction)? > index {
                    return Ok(());
                }
                transaction.execute_batch(migration.sql)?;
                if fresh && index == 0 {
                    transaction.pragma_update(None, "application_id", kind.application_id)?;
                }
                transaction.pragma_update(None, "user_version", index + 1)?;
                transaction.commit()
            };
            step().map_err(|error| {
                let fault = Fault::of(&path, "migrate it", error);
                if let Fault::Sqlite { path, source, .. } = fault {
                    return Fault::Migrate { path, name: migration.name, source };
                }
                fault
            })?;
        }
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for reading.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A transaction that holds the write lock from its start, so that it never fails half-way for want of it.
    ///
    /// # Errors
    /// [`Fault::Locked`] when another connection writes for longer than two seconds.
    pub fn write(&mut self) -> Result<Transaction<'_>, Fault> {
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| Fault::of(&self.path, "begin a transaction", error))
    }

    /// Writes the log back into the database and empties it, as far as nobody is in the way: it does not wait.
    pub fn try_to_empty_log(&self) {
        // What is not emptied now is by the next who tries, or by the last who closes the database.
        let _emptied = self
            .connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        let _patient_again = self.connection.busy_timeout(BUSY);
    }

    /// Writes the log back into the database, as far as nobody is in the way, and leaves it: no other connection takes that for a change.
    pub fn write_log_back(&self) {
        let _as_far_as_it_goes = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }

    /// Whether there is anything in the log.
    #[must_use]
    pub fn has_log(&self) -> bool {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        fs::metadata(log).is_ok_and(|log| log.len() > 0)
    }

    /// Names the file and the doing in an error of SQLite: `map_err(sealed.fault("read the roster"))`.
    pub fn fault(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> Fault + use<> {
        let path = self.path.clone();
        move |error| Fault::of(&path, doing, error)
    }

    /// Copies the database, as it is at one moment, into the new file `to` (mode 0600) under the same `key`, and checks every page of the
    /// copy. Others may go on writing meanwhile; what they commit after that moment is not in the copy.
    ///
    /// # Errors
    /// When `to` is there already or cannot be written, or the database fails.
    pub fn copy_to(&self, to: &Path, key: &Key) -> Result<(), Fault> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        made.map_err(|source| Fault::File { path: to.into(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(to, flags).map_err(|e| Fault::of(to, "open the copy", e))?;
        let mut copy = Self { connection, path: to.into() };
        copy.present(key)?;
        let failed = copy.fault("copy into it");
        let step = {
            let backup = Backup::new(&self.connection, &mut copy.connection).map_err(&failed)?;
            // All pages in one step: one read transaction, so that a writer neither waits nor makes the copy begin again.
            backup.step(-1).map_err(&failed)?
        };
        if !matches!(step, StepResult::Done) {
            return Err(Fault::Locked { path: self.path.clone() });
        }
        // One file: nothing beside it.
        copy.connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(&failed)?;
        copy.verify()
    }

    /// Reads every page and checks its authentication code, then SQLite's own structure and the foreign keys. Takes as
    /// long as reading the file. Moves the log into the file first: the check of codes reads the file alone, in which a power
    /// cut may have left pages half written that are whole in the log.
    ///
    /// # Errors
    /// [`Fault::Corrupt`].
    pub fn verify(&self) -> Result<(), Fault> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
            .map_err(self.fault("move the log into it"))?;
        for check in ["PRAGMA cipher_integrity_check", "PRAGMA quick_check", "PRAGMA foreign_key_check"] {
            let first = self.connection.query_row(check, [], |row| row.get_ref(0).map(|v| v.as_str() == Ok("ok")));
            match first {
                Err(rusqlite::Error::QueryReturnedNoRows) | Ok(true) => {}
                Ok(false) => return Err(Fault::Corrupt { path: self.path.clone() }),
                Err(error) => return Err(Fault::of(&self.path, "check it", error)),
            }
        }
        Ok(())
    }
}

fn is_plain(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(PLAIN_MAGIC.len());
    File::open(path)?.take(PLAIN_MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == PLAIN_MAGIC)
}

#[cfg(test)]
mod tests;
