//! Brings a backup back into an empty folder: whole and believed, or not at all.
//!
//! Files go into a folder beside the wanted one, which gets its name last. What must not be given out twice is raised on the way.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use examgate::{domain::Timestamp, exit::Refusal, store::Key, wire::keys::PublicKey};

use super::{
    ALSO, FLEET, LEDGER, LEDGER_KEY, LedgerKept, Manifest, Opener, STOCK, lock::damaged, read::read, tar::Entry,
};
use crate::{
    folder::Folder,
    incidents::Raised,
    ledger::{Ledger, Location},
    stock::Stock,
};

/// By how much the number of the list of revoked certificates rises: more lists than anybody made since the backup.
const LEAP: u32 = 1_000_000;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup held.
    pub manifest: Manifest,
    /// The fleet's folder.
    pub folder: PathBuf,
    /// The stock, if it was in the backup.
    pub stock: Option<PathBuf>,
    /// The ledger's file and its key, if they were in the backup.
    pub ledger: Option<(PathBuf, PathBuf)>,
    /// The newest epoch of each box in the ledger: the ledger says until when it is complete.
    pub marked: Vec<Raised>,
}

/// Restores the backup `from` into the folder `to`, which is empty or not there. `root`: whose fleet it must be.
///
/// # Errors
/// When `to` holds anything, or the backup does not open, is damaged, of a newer version or not to be believed. Then nothing is left behind.
pub fn restore(from: &Path, to: &Path, opener: &Opener, root: Option<&PublicKey>, now: Timestamp) -> Result<Restored> {
    let holds = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if to.exists() && (!to.is_dir() || holds(to)) {
        bail!(Refusal::Usage(format!(
            "{} is not empty: nothing is restored over what is there. Name a new folder, or move this one aside",
            to.display()
        )));
    }
    let unreadable = || Refusal::Usage(format!("cannot read {}", from.display()));
    let input = BufReader::new(File::open(from).with_context(unreadable)?);
    let beside = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = || Refusal::Usage(format!("cannot write in {}", beside.display()));
    let staging = tempfile::Builder::new()
        .prefix(".restore-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(beside)
        .with_context(unwritable)?;
    let manifest = read(input, opener, root, &mut |entry, content| extract(staging.path(), entry, content))?;
    let marked = settle(staging.path(), &manifest, now)?;
    fs::rename(staging.path(), to).with_context(|| format!("cannot make {}", to.display()))?;
    // It has its name; what the temporary folder was called is not there any more.
    drop(staging.keep());
    File::open(beside).and_then(|folder| folder.sync_all()).with_context(unwritable)?;
    let has = |path: &str| manifest.files.iter().any(|file| file.path == path);
    Ok(Restored {
        folder: to.join(FLEET),
        stock: manifest.stock.is_some().then(|| to.join(STOCK)),
        ledger: has(LEDGER).then(|| (to.join(LEDGER), to.join(LEDGER_KEY))),
        marked,
        manifest,
    })
}

/// Writes one file below `staging`.
fn extract(staging: &Path, entry: &Entry, content: &mut dyn Read) -> Result<()> {
    let known = [FLEET, STOCK, "ledger", ALSO];
    if !entry.path.split_once('/').is_some_and(|(folder, _)| known.contains(&folder)) {
        bail!(Refusal::Data(format!("the backup holds {}, which is of no part of a fleet", entry.path)));
    }
    let path = staging.join(&entry.path);
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
    }
    let mode = (entry.mode & 0o755) | 0o600;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).with_context(failed)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match content.read(&mut buffer).map_err(damaged)? {
            0 => break,
            read => file.write_all(&buffer[..read]).with_context(failed)?,
        }
    }
    // A chunk that a power cut spoils is not sent: its digest tells. There are thousands.
    if !entry.path.starts_with("stock/chunks/") {
        file.sync_all().with_context(failed)?;
    }
    Ok(())
}

/// What is brought up to the day in the restored files: databases that must open with their keys, numbers that must not be given out
/// twice, files that follow from the registry.
fn settle(staging: &Path, manifest: &Manifest, now: Timestamp) -> Result<Vec<Raised>> {
    let folder = Folder::new(staging.join(FLEET));
    if !folder.registry().0.exists() {
        bail!(Refusal::Data("the backup holds no registry of boxes".into()));
    }
    let mut registry = folder.open_registry().context("the restored registry cannot be used")?;
    registry.raise_list_number(LEAP)?;
    // An issuer's key that was kept elsewhere makes the list when it is there again.
    if folder.issuer_key().exists() {
        folder.write_list(&mut registry, now)?;
    }
    folder.write_devices(&registry)?;
    let mark = folder.restored();
    let note = format!("restored at {now} from a backup of {}\n", manifest.made_at);
    fs::write(&mark, note).with_context(|| format!("cannot write {}", mark.display()))?;
    if manifest.stock.is_some() {
        Stock::open(&staging.join(STOCK))?.mark_restored()?;
    }
    if !matches!(manifest.ledger, LedgerKept::File { .. }) {
        return Ok(Vec::new());
    }
    let key = Key::read(&staging.join(LEDGER_KEY)).context("the restored ledger cannot be used")?;
    let location = Location::File(staging.join(LEDGER));
    Ledger::open_existing(&location, &key)
        .and_then(|mut ledger| ledger.restored())
        .context("the restored ledger cannot be used")
}
