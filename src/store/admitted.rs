//! What other boxes of one exam told of whom they let in: their signed pages, one file each, so that a box which starts without the network
//! knows what it knew.
//!
//! It never opens or verifies what it keeps. A file that is there is whole, since it got its name last. The disk is not waited for: what a power
//! cut takes is told again by the broker.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{IncomingError, owner::make_folder};
use crate::domain::DeviceId;

/// No file here is longer, bytes.
const LARGEST: u64 = 64 * 1024;

/// The pages that were told of one exam.
#[derive(Clone, Debug)]
pub struct AdmittedPages {
    folder: PathBuf,
}

impl AdmittedPages {
    /// The pages in `folder`, which is made with the first of them.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All pages: the box, the number and the bytes. What is named or sized otherwise is passed over.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn all(&self) -> Result<Vec<(DeviceId, u32, Vec<u8>)>, IncomingError> {
        let failed = |source| IncomingError::Read { path: self.folder.clone(), source };
        let listed = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let mut pages = Vec::new();
        for entry in listed {
            let entry = entry.map_err(failed)?;
            let is_short = entry.metadata().is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
            let Some((device, page)) = entry.file_name().to_str().and_then(named).filter(|_| is_short) else {
                continue;
            };
            pages.push((device, page, fs::read(entry.path()).map_err(failed)?));
        }
        Ok(pages)
    }

    /// Keeps a page in the place of the one before.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep(&self, device: &DeviceId, page: u32, bytes: &[u8]) -> Result<(), IncomingError> {
        let path = self.path(device, page);
        let beside = path.with_extension("new");
        let write = || {
            make_folder(&self.folder)?;
            fs::write(&beside, bytes)?;
            fs::rename(&beside, &path)
        };
        write().map_err(|source| IncomingError::Write { path: path.clone(), source })
    }

    /// Removes a page, if it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, device: &DeviceId, page: u32) -> Result<(), IncomingError> {
        let path = self.path(device, page);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(IncomingError::Write { path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn path(&self, device: &DeviceId, page: u32) -> PathBuf {
        self.folder.join(format!("{device}.{page}.cose"))
    }
}

fn named(name: &str) -> Option<(DeviceId, u32)> {
    // A box's id may hold dots.
    let (device, page) = Path::new(name).file_stem()?.to_str().filter(|_| name.ends_with(".cose"))?.rsplit_once('.')?;
    Some((DeviceId::new(device).ok()?, page.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_kept_by_box_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let pages = AdmittedPages::new(folder.path().join("exam"));
        let (one, dotted) = (DeviceId::new("door-1").unwrap(), DeviceId::new("door.7").unwrap());
        assert_eq!(pages.all().unwrap(), []);
        pages.remove(&one, 0).unwrap();
        for (device, page, bytes) in [(&one, 0, "first"), (&one, 0, "second"), (&one, 11, "more"), (&dotted, 3, "dots")]
        {
            pages.keep(device, page, bytes.as_bytes()).unwrap();
        }
        fs::write(folder.path().join("exam/door-1.5.new"), "half").unwrap();
        fs::write(folder.path().join("exam/note.cose"), "no page").unwrap();
        fs::write(folder.path().join("exam/door-1.6.cose"), vec![0; LARGEST as usize + 1]).unwrap();
        let read = || {
            let mut all = AdmittedPages::new(folder.path().join("exam")).all().unwrap();
            all.sort();
            all
        };
        let page = |device: &DeviceId, page, bytes: &str| (device.clone(), page, bytes.as_bytes().to_vec());
        assert_eq!(read(), [page(&one, 0, "second"), page(&one, 11, "more"), page(&dotted, 3, "dots")]);
        pages.remove(&one, 0).unwrap();
        assert_eq!(read().len(), 2);
    }
}
