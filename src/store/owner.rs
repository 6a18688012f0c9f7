//! What root makes in a folder goes to the owner of that folder: the box runs as that user and has to open it.
//!
//! Never changes the owner of anything that was there before, and does nothing for anybody but root.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, fchown},
    path::Path,
};

/// Gives what was just made at `path` to the owner of its folder, if it is root's and the folder is not.
pub(super) fn hand_over(made: &File, path: &Path) -> io::Result<()> {
    let (ours, folder) = (made.metadata()?, fs::metadata(folder_of(path))?);
    // Only root makes files of root's.
    if ours.uid() == 0 && folder.uid() != 0 {
        fchown(made, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Makes the folder at `path`, and those above it that are missing.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    match fs::create_dir(path) {
        Ok(()) => hand_over(&File::open(path)?, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until the disk holds the folder entry of `path`.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (owner, is_root) = (65_534, folder.path().metadata().unwrap().uid() == 0);
        if is_root {
            chown(folder.path(), Some(owner), Some(owner)).unwrap();
        }
        let (inner, file) = (folder.path().join("a/b"), folder.path().join("a/b/file"));
        make_folder(&inner).unwrap();
        make_folder(&inner).unwrap();
        hand_over(&File::create(&file).unwrap(), &file).unwrap();
        let wanted = folder.path().metadata().unwrap().uid();
        assert_eq!(is_root, wanted == owner, "without root there is nobody else to give it to");
        for path in [folder.path().join("a"), inner, file] {
            assert_eq!(path.metadata().unwrap().uid(), wanted, "{}", path.display());
        }
    }
}
