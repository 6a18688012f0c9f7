//! Makes a backup: what is there is read as it is at one moment, encrypted into a file beside the wanted one, read back, and renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use examgate::{
    domain::Timestamp,
    exit::Refusal,
    store::Key,
    wire::{
        backup,
        keys::SigningKey,
        trust::{Purpose, TrustDocument},
    },
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    ALSO, FLEET, KeptFile, LEDGER, LEDGER_KEY, LedgerKept, Lock, Manifest, STOCK, VERSION,
    lock::read_up_to,
    read::{MANIFEST, SIGNATURE, check},
    tar::{Entry, Writer},
};
use crate::{
    folder::Folder,
    ledger::{Ledger, Location},
    registry::Registry,
};

/// How often files are read again that change meanwhile.
const TRIES: usize = 5;

/// Longest file that is taken out of the fleet's folder, bytes: keys, certificates and lists are far shorter.
const LONGEST: usize = 16 * 1024 * 1024;

/// Folders and files of the stock that the keeper writes at any time; each is whole by itself.
const NOTED: [&str; 4] = ["reported/", "state/", "heard", "trust.cose"];

/// What a backup is made of.
pub struct Wanted<'a> {
    /// The fleet's folder.
    pub folder: &'a Folder,
    /// The stock.
    pub stock: Option<&'a Path>,
    /// The ledger, and the file of its key.
    pub ledger: Option<(&'a Location, &'a Path)>,
    /// Other files to keep.
    pub also: &'a [PathBuf],
    /// Whether the root's locked secret key is to be in it.
    pub with_root_key: bool,
    /// A command key of the fleet, which signs the manifest.
    pub key: &'a SigningKey,
}

/// A backup that was made and read back.
#[derive(Debug)]
pub struct Made {
    /// What is in it.
    pub manifest: Manifest,
    /// Its length, bytes.
    pub size: u64,
}

/// Where the bytes of a file are until they are written.
pub(super) enum Content {
    Held(Zeroizing<Vec<u8>>),
    At(PathBuf),
}

/// One file on its way into the archive.
pub(super) struct Item {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) content: Content,
}

/// Makes the backup `to`, a file that is not there yet. `software`: the version of this program.
///
/// # Errors
/// When something cannot be read, copied or written, or does not read back; then there is no file.
pub fn create(wanted: &Wanted<'_>, to: &Path, lock: &Lock, software: &str, now: Timestamp) -> Result<Made> {
    let (root, document, _) = wanted.folder.read_trust()?;
    signs(&document, wanted.key)?;
    let beside = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if to.exists() {
        bail!(Refusal::Usage(format!("{} is there already: a backup is never written over", to.display())));
    }
    if real(beside).starts_with(real(wanted.folder.path())) {
        bail!(Refusal::Usage("--to lies in the fleet's folder: put backups elsewhere, on another disk".into()));
    }
    let unwritable = || format!("cannot write in {}", beside.display());
    let staging = tempfile::Builder::new().prefix(".backup-").tempdir_in(beside).with_context(unwritable)?;
    let items = gather(wanted, staging.path())?;
    let mut files = Vec::with_capacity(items.len());
    for Item { path, mode, content } in &items {
        let (size, sha256) = content.measure().with_context(|| format!("cannot read the copy of {path}"))?;
        files.push(KeptFile { path: path.clone(), mode: *mode, size, sha256 });
    }
    let manifest = Manifest {
        v: VERSION,
        made_at: now,
        software: software.into(),
        root,
        trust_version: document.version,
        has_root_key: items.iter().any(|item| item.path == format!("{FLEET}/offline/root.age")),
        folder: shown(wanted.folder.path()),
        stock: wanted.stock.map(shown),
        ledger: match wanted.ledger {
            None => LedgerKept::None,
            Some((Location::File(path), _)) => LedgerKept::File { from: shown(path) },
            Some((server @ Location::Postgres(_), _)) => LedgerKept::Postgres { server: server.to_string() },
        },
        files,
    };
    let file = tempfile::NamedTempFile::new_in(beside).with_context(unwritable)?;
    let at = u64::try_from(now.as_second()).unwrap_or_default();
    let opener = write(&manifest, wanted.key, &items, (file.as_file(), lock), at)
        .with_context(|| format!("the backup cannot be written to {}", beside.display()))?;
    let reopened = File::open(file.path()).context("the backup cannot be read back")?;
    let size = reopened.metadata().context("the backup cannot be read back")?.len();
    let said =
        check(BufReader::new(reopened), &opener, Some(&root)).context("the backup does not read back: try again")?;
    if said != manifest {
        bail!("the backup reads back as another one: try again, and examine the disk");
    }
    file.persist_noclobber(to).with_context(|| format!("cannot write {}", to.display()))?;
    File::open(beside).and_then(|folder| folder.sync_all()).with_context(unwritable)?;
    Ok(Made { manifest, size })
}

fn shown(path: &Path) -> String {
    real(path).display().to_string()
}

/// The path without links, or as it is where there is nothing.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether a backup that `key` signs is believed: the fleet's trust document must list it.
fn signs(document: &TrustDocument, key: &SigningKey) -> Result<()> {
    let public = key.public().to_string();
    let mut listed = document.keys.iter().filter(|key| !document.revoked.contains(&key.id()));
    if !listed.any(|listed| listed.purpose == Purpose::Command && listed.key == public) {
        bail!(Refusal::Usage(format!(
            "the command key {public} is not in the fleet's trust document, so nobody would believe its signature: name the fleet's \
             command key with --command-key"
        )));
    }
    Ok(())
}

/// One file as it was seen: enough to notice that it is another one.
#[derive(PartialEq, Eq)]
struct Seen {
    from: PathBuf,
    mode: u32,
    mark: (u64, u64, i64, i64),
}

/// All files below `root`, by their name in the archive, without what is `left_out` and what is being written.
fn survey(root: &Path, name: &str, left_out: &[PathBuf], files: &mut BTreeMap<String, Seen>) -> Result<()> {
    let entries = fs::read_dir(root).with_context(|| format!("cannot list {}", root.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", root.display()))?.path();
        let file_name = path.file_name().and_then(|name| name.to_str());
        let Some(file_name) = file_name else {
            bail!(Refusal::Usage(format!("{} has a name that is no text: rename it", path.display())));
        };
        let is_half_written = path.extension().and_then(|end| end.to_str()).is_some_and(|end| end.starts_with("new-"));
        if is_half_written || left_out.contains(&real(&path)) {
            continue;
        }
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot see {}", path.display())),
        };
        let name = format!("{name}/{file_name}");
        if found.is_dir() {
            survey(&path, &name, left_out, files)?;
        } else if found.is_file() {
            let mark = (found.len(), found.ino(), found.mtime(), found.mtime_nsec());
            files.insert(name, Seen { from: path, mode: found.mode() & 0o777, mark });
        }
    }
    Ok(())
}

/// A database and what SQLite lays beside it.
fn with_companions(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = real(path).into_os_string();
        name.push(end);
        name.into()
    })
}

fn gather(wanted: &Wanted<'_>, staging: &Path) -> Result<Vec<Item>> {
    let (registry, registry_key) = wanted.folder.registry();
    let mut left_out: Vec<PathBuf> = with_companions(&registry).into();
    left_out.extend(wanted.stock.map(real));
    if let Some((Location::File(path), _)) = wanted.ledger {
        left_out.extend(with_companions(path));
    }
    if !wanted.with_root_key {
        left_out.push(real(&wanted.folder.root_secret()));
    }
    let look = || -> Result<BTreeMap<String, Seen>> {
        let mut files = BTreeMap::new();
        survey(wanted.folder.path(), FLEET, &left_out, &mut files)?;
        if let Some(stock) = wanted.stock {
            survey(stock, STOCK, &[], &mut files)?;
        }
        Ok(files)
    };
    for attempt in 0..TRIES {
        let before = look()?;
        let copies = staging.join(format!("stock-{attempt}"));
        fs::create_dir(&copies).with_context(|| format!("cannot write in {}", staging.display()))?;
        let items = before.iter().map(|(path, seen)| take(path, seen, &copies)).collect::<Result<Option<Vec<_>>>>()?;
        let lasts = |(path, _): &(&String, &Seen)| {
            path.strip_prefix("stock/").is_none_or(|rest| !NOTED.iter().any(|noted| rest.starts_with(noted)))
        };
        let after = look()?;
        let is_steady = before.iter().filter(lasts).eq(after.iter().filter(lasts));
        if let Some(mut items) = items.filter(|_| is_steady) {
            let copy = staging.join("fleet.db");
            let key = Key::read(&registry_key)?;
            if !registry.exists() {
                bail!(Refusal::Usage(format!(
                    "there is no registry {}: is this a fleet's folder?",
                    registry.display()
                )));
            }
            Registry::open(&registry, &key)?.copy_to(&copy, &key)?;
            items.push(Item { path: format!("{FLEET}/fleet.db"), mode: 0o600, content: Content::At(copy) });
            if let Some((location, key)) = wanted.ledger {
                items.extend(ledger(location, key, staging)?);
            }
            items.extend(others(wanted.also)?);
            return Ok(items);
        }
    }
    bail!("files of the fleet change all the time: wait until nobody pushes rosters or changes keys, and try again")
}

/// One file: in memory if it is the fleet's, which may be secret; copied if it is the stock's. `None`: it is gone.
fn take(path: &str, seen: &Seen, copies: &Path) -> Result<Option<Item>> {
    let mut file = match File::open(&seen.from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", seen.from.display())),
    };
    let failed = || format!("cannot copy {}", seen.from.display());
    let content = if path.starts_with(FLEET) {
        Content::Held(read_up_to(&mut file, LONGEST).with_context(failed)?)
    } else {
        let copy = copies.join(hex::encode(Sha256::digest(path)));
        let mut out = File::create_new(&copy).with_context(failed)?;
        io::copy(&mut file, &mut out).with_context(failed)?;
        Content::At(copy)
    };
    Ok(Some(Item { path: path.to_owned(), mode: seen.mode, content }))
}

/// The ledger's copy and its key.
fn ledger(location: &Location, key: &Path, staging: &Path) -> Result<Vec<Item>> {
    let (secret, mut items) = (Key::read(key)?, Vec::new());
    if let Location::File(path) = location {
        let copy = staging.join("ledger.db");
        Ledger::copy_file(path, &secret, &copy).context("the ledger cannot be copied")?;
        items.push(Item { path: LEDGER.into(), mode: 0o600, content: Content::At(copy) });
    }
    let mut file = File::open(key).with_context(|| format!("cannot read {}", key.display()))?;
    let bytes = read_up_to(&mut file, LONGEST).with_context(|| format!("cannot read {}", key.display()))?;
    items.push(Item { path: LEDGER_KEY.into(), mode: 0o600, content: Content::Held(bytes) });
    Ok(items)
}

fn others(also: &[PathBuf]) -> Result<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    for path in also {
        let unusable = || Refusal::Usage(format!("--also {} cannot be kept", path.display()));
        let name = path.file_name().and_then(|name| name.to_str()).with_context(unusable)?;
        let name = format!("{ALSO}/{name}");
        if items.iter().any(|item| item.path == name) {
            bail!(Refusal::Usage(format!("--also names two files that would both be {name}: rename one of them")));
        }
        let mode = fs::metadata(path).with_context(unusable)?.mode() & 0o777;
        let content = File::open(path).and_then(|mut file| read_up_to(&mut file, LONGEST)).with_context(unusable)?;
        items.push(Item { path: name, mode, content: Content::Held(content) });
    }
    Ok(items)
}

impl Content {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Held(bytes) => Box::new(bytes.as_slice()),
            Self::At(path) => Box::new(File::open(path)?),
        })
    }

    /// Its length and its SHA-256.
    pub(super) fn measure(&self) -> io::Result<(u64, [u8; 32])> {
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
        let mut content = self.open()?;
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok((size, hash.finalize().into())),
                read => {
                    hash.update(&buffer[..read]);
                    size += read as u64;
                }
            }
        }
    }
}

/// Writes the archive; gives what opens it again.
pub(super) fn write(
    manifest: &Manifest,
    key: &SigningKey,
    items: &[Item],
    (file, lock): (&File, &Lock),
    at: u64,
) -> Result<super::Opener> {
    let (locked, opener) = lock.lock(BufWriter::new(file))?;
    let mut archive = Writer::new(locked);
    let listed = serde_json::to_vec(manifest)?;
    let signature = backup::sign(&listed, key);
    for (path, bytes) in [(MANIFEST, &listed), (SIGNATURE, &signature)] {
        archive.add(&Entry { path: path.into(), mode: 0o600, size: bytes.len() as u64 }, at, &mut bytes.as_slice())?;
    }
    for (Item { path, mode, content }, listed) in items.iter().zip(&manifest.files) {
        let entry = Entry { path: path.clone(), mode: *mode, size: listed.size };
        archive.add(&entry, at, &mut content.open()?).with_context(|| format!("at {path}"))?;
    }
    archive.finish()?.finish()?.flush()?;
    file.sync_all()?;
    Ok(opener)
}
