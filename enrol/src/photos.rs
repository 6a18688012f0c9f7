//! Where an exam's photos come from: a folder, or a ZIP archive of one. Both are listed once, and read one photo at a time.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    archive::{Archive, ArchiveError, EntryError, is_archive},
    faces::{self, LARGEST_FILE, PhotoFault},
    folder::Folder,
};

/// Why photos cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    /// The file system refuses it.
    #[error("it cannot be listed: {0}")]
    Unlisted(#[from] io::Error),
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file of another kind.
    #[error("it is neither a folder nor a ZIP archive")]
    Neither,
}

/// The photos of an exam.
pub enum Photos {
    /// In this folder.
    Folder(PathBuf),
    /// In this archive.
    Archive(Archive),
}

impl Photos {
    /// Finds out which it is.
    ///
    /// # Errors
    /// [`PhotosError`].
    pub fn open(path: &Path) -> Result<Self, PhotosError> {
        let kind = path.metadata()?;
        if kind.is_dir() {
            Ok(Self::Folder(path.into()))
        } else if kind.is_file() && is_archive(path)? {
            Ok(Self::Archive(Archive::open(path)?))
        } else {
            Err(PhotosError::Neither)
        }
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// [`PhotosError::Unlisted`].
    pub fn list(&self) -> Result<Folder, PhotosError> {
        match self {
            Self::Folder(root) => Ok(Folder::list(root)?),
            Self::Archive(archive) => Ok(Folder::of_archive(archive)),
        }
    }

    /// The bytes of one photo, by its path inside.
    ///
    /// # Errors
    /// [`PhotoFault`], without looking at the picture.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, PhotoFault> {
        let archive = match self {
            Self::Folder(root) => return faces::read(&root.join(path)),
            Self::Archive(archive) => archive,
        };
        let entry = path.to_str().and_then(|path| archive.find(path)).ok_or(PhotoFault::Missing)?;
        match archive.read(entry, LARGEST_FILE) {
            Ok(bytes) if bytes.is_empty() => Err(PhotoFault::Empty),
            Ok(bytes) => Ok(bytes),
            Err(EntryError::TooLarge(_)) => Err(PhotoFault::HugeFile),
            Err(error @ (EntryError::Locked | EntryError::Damaged(_))) => Err(PhotoFault::Packed(error)),
        }
    }
}
