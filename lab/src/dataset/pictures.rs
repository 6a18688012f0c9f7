//! Pictures in a folder and in the folders of it, without labels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use examgate::exit::Refusal;
use examgate_enrol::folder;

/// The pictures of `folder` and of the folders in it, in order.
pub(crate) fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let refused = || Refusal::Usage(format!("cannot list the pictures in {}", folder.display()));
    let mut folders = vec![folder.to_path_buf()];
    for entry in fs::read_dir(folder).with_context(refused)? {
        folders.extend(Some(entry.with_context(refused)?.path()).filter(|path| path.is_dir()));
    }
    let mut paths = Vec::new();
    for folder in folders {
        paths.extend(folder::list(&folder).with_context(refused)?.iter().map(|file| folder.join(file)));
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_its_folders_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("ada")).unwrap();
        for name in ["b.jpg", "ada/1.png", "ada/notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let listed = list(folder.path()).unwrap();
        assert_eq!(listed, ["ada/1.png", "b.jpg"].map(|name| folder.path().join(name)));
    }
}
