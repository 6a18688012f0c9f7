//! Backups of the fleet side: one encrypted, signed and checked file out of the fleet's folder, the stock and the ledger, and all of it back
//! into an empty folder.
//!
//! Inside the age encryption is a tar archive: `manifest.json`, its signature `manifest.sig`, then the files that the manifest lists. Nothing
//! that is secret is written to disk in plain on the way. It reads no clock and uses no broker.

mod create;
mod lock;
mod read;
mod restore;
mod tar;

use examgate::{domain::Timestamp, wire::keys::PublicKey};
use serde::{Deserialize, Serialize};

pub use self::{
    create::{Made, Wanted, create},
    lock::{Lock, Opener},
    read::check,
    restore::{Restored, restore},
};

/// The version of the manifest that this program writes; it reads no higher one.
pub const VERSION: u32 = 1;

/// The folder of the archive with the fleet's folder.
const FLEET: &str = "fleet";

/// The folder of the archive with the stock.
const STOCK: &str = "stock";

/// The copy of the ledger in the archive.
const LEDGER: &str = "ledger/ledger.db";

/// The ledger's key in the archive.
const LEDGER_KEY: &str = "ledger/ledger.key";

/// The folder of the archive with the other files that were asked for.
const ALSO: &str = "also";

/// What a backup holds of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LedgerKept {
    /// Nothing: none was named.
    None,
    /// A copy, and its key.
    File {
        /// Where it was.
        from: String,
    },
    /// Its key only: the database is saved with `pg_dump`.
    Postgres {
        /// Hosts and database.
        server: String,
    },
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFile {
    /// Its name with its folders.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// Its length, bytes.
    pub size: u64,
    /// Of its content.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub v: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub software: String,
    /// Whose fleet it is: the root's public key.
    pub root: PublicKey,
    /// The version of the trust document.
    pub trust_version: u64,
    /// Whether the root's secret key is in it, locked with its passphrase.
    pub has_root_key: bool,
    /// Where the fleet's folder was.
    pub folder: String,
    /// Where the stock was; `None`: it is not in it.
    pub stock: Option<String>,
    /// The ledger.
    pub ledger: LedgerKept,
    /// The files, in the order of the archive.
    pub files: Vec<KeptFile>,
}

impl Manifest {
    /// The length of all files together, bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// How many files are in this folder of the archive.
    #[must_use]
    pub fn count(&self, folder: &str) -> usize {
        self.files.iter().filter(|file| file.path.split('/').next() == Some(folder)).count()
    }
}

#[cfg(test)]
mod tests;
