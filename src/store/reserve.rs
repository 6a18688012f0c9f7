//! Disk space set aside for decisions: a file of real blocks beside the database, given back to the filesystem in small
//! slices, each one only when a decision finds the disk full and retries at once.
//!
//! What it does not do: keep other writers off the same filesystem. A slice is used within the same call, so a hog can
//! take at most what SQLite did not need of it; put the state folder on a filesystem of its own to rule that out.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::owner::hand_over;

/// What one retry of a decision gets, bytes. A decision writes about eight 4 KiB pages to the log; a full log is moved
/// into the database by SQLite itself and is then used again.
const SLICE: u64 = 64 * 1024;

/// The file.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// None where it is only looked at.
    file: Option<File>,
    size: u64,
    held: u64,
}

impl Reserve {
    /// Opens or makes the file and fills it as far as the disk allows.
    pub(super) fn open(path: &Path, size: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        hand_over(&file, path)?;
        let held = file.metadata()?.blocks() * 512;
        let mut reserve = Self { path: path.into(), file: Some(file), size, held: held.min(size) };
        reserve.refill()?;
        Ok(reserve)
    }

    /// Looks at the file and makes nothing. One that is not there yet is taken for whole: it is made at the next start.
    pub(super) fn look(path: &Path, size: u64) -> Self {
        let held = std::fs::metadata(path).map_or(size, |file| file.blocks() * 512);
        Self { path: path.into(), file: None, size, held: held.min(size) }
    }

    /// Whether all of it is set aside.
    pub(super) const fn is_whole(&self) -> bool {
        self.held >= self.size
    }

    /// Sets aside again what was given back, once the disk has twice that much free. Quick when nothing is missing.
    pub(super) fn refill(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_whole()) else { return Ok(()) };
        let disk = statvfs(&self.path)?;
        let missing = self.size - self.held;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < missing.saturating_mul(2) {
            return Ok(());
        }
        match fallocate(file, FallocateFlags::empty(), 0, self.size) {
            Ok(()) => self.held = self.size,
            // Another writer was quicker: try again later.
            Err(rustix::io::Errno::NOSPC) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Gives one slice back to the filesystem. Returns whether there was one.
    pub(super) fn release(&mut self) -> io::Result<bool> {
        let Some(file) = self.file.as_ref().filter(|_| self.held > 0) else { return Ok(false) };
        let left = self.held.saturating_sub(SLICE);
        file.set_len(left)?;
        self.held = left;
        Ok(true)
    }
}
