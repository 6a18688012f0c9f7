//! A OneRoster export as it was handed over: a folder or a ZIP archive with `manifest.csv` and its tables.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use examgate::exit::Refusal;
use examgate_enrol::archive::{Archive, is_archive};

/// Largest table read, bytes: `enrollments.csv` of a large campus has half of it.
const LARGEST_TABLE: u64 = 256 * 1024 * 1024;

/// The export, opened.
pub(super) enum Package {
    Folder(PathBuf),
    /// With the folder inside it that the manifest is in: empty, or ending with `/`.
    Archive(Box<Archive>, String),
}

impl Package {
    /// Opens it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refused = || Refusal::Usage(format!("the OneRoster export {} cannot be read", path.display()));
        let kind = path.metadata().with_context(refused)?;
        if kind.is_dir() {
            return Ok(Self::Folder(path.into()));
        }
        if !kind.is_file() || !is_archive(path).with_context(refused)? {
            bail!(Refusal::Data(format!(
                "{} is neither a folder nor a ZIP archive: name the folder with manifest.csv, or the archive as it was exported",
                path.display()
            )));
        }
        let archive =
            Archive::open(path).with_context(|| Refusal::Data(format!("{} cannot be used", path.display())))?;
        let base = base(&archive).with_context(|| Refusal::Data(format!("{} cannot be used", path.display())))?;
        Ok(Self::Archive(Box::new(archive), base))
    }

    /// The bytes of a table; `None` where there is none.
    pub(super) fn table(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let refused = || Refusal::Data(format!("{name} cannot be read"));
        let bytes = match self {
            Self::Folder(folder) => match File::open(folder.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error).with_context(refused),
                Ok(file) => {
                    let mut bytes = Vec::new();
                    file.take(LARGEST_TABLE + 1).read_to_end(&mut bytes).with_context(refused)?;
                    bytes
                }
            },
            Self::Archive(archive, base) => match archive.find(&format!("{base}{name}")) {
                None => return Ok(None),
                Some(entry) => archive.read(entry, LARGEST_TABLE).with_context(refused)?,
            },
        };
        if bytes.len() as u64 > LARGEST_TABLE {
            bail!(Refusal::Data(format!("{name} has more than {} MiB: no export's table has", LARGEST_TABLE >> 20)));
        }
        Ok(Some(bytes))
    }
}

/// Where in an archive the manifest is. The specification wants the tables at its root; an archive of a folder has them one level deeper.
fn base(archive: &Archive) -> Result<String> {
    let name = "manifest.csv";
    let is_fork = |path: &str| path.starts_with("__MACOSX/") || path.contains("/__MACOSX/");
    let places: Vec<_> = archive
        .entries()
        .iter()
        .filter_map(|entry| entry.path.strip_suffix(name))
        .filter(|base| (base.is_empty() || base.ends_with('/')) && !is_fork(base))
        .collect();
    match places.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => bail!("there is no manifest.csv in it: export it again, and hand over the archive as it is"),
        several => bail!("there are {} exports in it, with a manifest.csv each: hand over one", several.len()),
    }
}
