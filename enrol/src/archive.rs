//! ZIP archives as offices send them: which files are inside, and the bytes of one of them.
//!
//! Nothing is unpacked to disk, so no name inside can lead anywhere. What could be meant to harm is refused as a whole: names that
//! lead out, names that are there twice, files that overlap, and more files or bytes than any office has.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    sync::{Mutex, PoisonError},
};

use zip::{ZipArchive, read::Config, result::ZipError};

/// Most files in an archive: twice the students of a large campus, each with two photos.
pub const MOST_FILES: usize = 200_000;
/// Most bytes that all files may unpack to, by the archive's own list.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refuses it.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// No ZIP archive, or a damaged one.
    #[error("it is no whole ZIP archive ({0}): pack it again, and copy all of it")]
    Damaged(ZipError),
    /// More files than are read.
    #[error("it holds {0} files, and {MOST_FILES} are read at most: pack the students of this exam only")]
    ManyFiles(usize),
    /// Unpacks to more than is read.
    #[error("it would unpack to {0} bytes, and {MOST_BYTES} are read at most: pack the students of this exam only")]
    ManyBytes(u64),
    /// A name that leads out of the archive.
    #[error("the name {0:?} inside it leads out of the archive, as no packing program writes it: pack the files again")]
    LeadsOut(String),
    /// Two files of one name.
    #[error("two files inside it have the same name, {0:?}: pack the files again")]
    Twice(String),
    /// Files that share their bytes: what unpacks to far more than it is long is made so.
    #[error("files inside it overlap, as no packing program writes them: pack the files again")]
    Overlapping,
}

/// Why one file of an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Protected by a password.
    #[error("it is protected by a password: pack it without one")]
    Locked,
    /// Longer than asked for.
    #[error("it unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// Damaged, or packed in a way that is not read.
    #[error("it cannot be unpacked ({0}): pack it again, with the usual method (Deflate)")]
    Damaged(ZipError),
}

/// One file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path inside, with `/` between folders.
    pub path: String,
    /// A symbolic link.
    pub link: bool,
    place: usize,
}

/// An open archive. Files are unpacked one at a time.
pub struct Archive {
    zip: Mutex<ZipArchive<BufReader<File>>>,
    entries: Vec<Entry>,
}

/// Whether a file begins as a ZIP archive does, also an empty one (APPNOTE.TXT, sections 4.3.7 and 4.3.16).
///
/// # Errors
/// When it cannot be read.
pub fn is_archive(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(4);
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(matches!(start.as_slice(), b"PK\x03\x04" | b"PK\x05\x06"))
}

impl Archive {
    /// Opens an archive and reads the list of its files.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = File::open(path)?;
        let damaged = |error| {
            if let ZipError::Io(error) = error { ArchiveError::Unreadable(error) } else { ArchiveError::Damaged(error) }
        };
        // The end record says how many there are, before any of them takes memory.
        let count =
            zip::unstable::read::ZipIterable::try_new(BufReader::new(&file), Config::default()).map_err(damaged)?.len();
        if count > MOST_FILES {
            return Err(ArchiveError::ManyFiles(count));
        }
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
        let mut entries = Vec::with_capacity(zip.len());
        let mut total = 0_u64;
        for place in 0..zip.len() {
            let data = zip.by_index_data(place).map_err(damaged)?;
            // Programs that write UTF-8 without saying so (Finder's) are more than those that write CP437.
            let name = match std::str::from_utf8(data.name_raw()) {
                Ok(name) => name.to_owned(),
                Err(_) => data.name().map_err(damaged)?.into_owned(),
            };
            total = total.saturating_add(data.size());
            let (directory, link) = (data.is_dir(), data.is_symlink());
            let path = inside(&name).ok_or(ArchiveError::LeadsOut(name))?;
            if !directory && !path.ends_with('/') {
                entries.push(Entry { path, link, place });
            }
        }
        if total > MOST_BYTES {
            return Err(ArchiveError::ManyBytes(total));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(ArchiveError::Twice(pair[0].path.clone()));
        }
        if zip.has_duplicate_names() {
            return Err(ArchiveError::Twice("a name that the list shows once".into()));
        }
        if zip.has_overlapping_entries().map_err(damaged)? {
            return Err(ArchiveError::Overlapping);
        }
        Ok(Self { zip: Mutex::new(zip), entries })
    }

    /// Its files, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The file at this path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Entry> {
        self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok().map(|at| &self.entries[at])
    }

    /// Unpacks one file, which may have `most` bytes. Its checksum is compared.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn read(&self, entry: &Entry, most: u64) -> Result<Vec<u8>, EntryError> {
        let mut zip = self.zip.lock().unwrap_or_else(PoisonError::into_inner);
        let locked = zip.by_index_data(entry.place).map_err(EntryError::Damaged)?.encrypted();
        if locked {
            return Err(EntryError::Locked);
        }
        let file = zip.by_index(entry.place).map_err(EntryError::Damaged)?;
        let mut bytes = Vec::new();
        // What the list says of its length is not believed.
        file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| EntryError::Damaged(ZipError::Io(e)))?;
        if bytes.len() as u64 > most { Err(EntryError::TooLarge(most)) } else { Ok(bytes) }
    }
}

/// A name as a path inside the archive; `None` when it leads out. Archives of Windows leave backslashes in names.
fn inside(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let path = name.strip_prefix("./").unwrap_or(&name);
    let leads_out = path.is_empty()
        || path.starts_with('/')
        || path.as_bytes().get(1) == Some(&b':')
        || path.contains('\0')
        || path.split('/').any(|part| part == "..");
    (!leads_out).then(|| path.to_owned())
}

#[cfg(test)]
mod tests;
