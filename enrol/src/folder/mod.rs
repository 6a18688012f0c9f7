//! What lies in a photo folder and its sub-folders, or in an archive of one, and which file a name means.
//!
//! It opens no photo and follows no link out of the folder.

mod names;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use names::{folded, is_picture, stem};

use crate::archive::Archive;

pub use names::without_zeros;

/// Deepest sub-folder looked into.
const DEEPEST: usize = 16;

/// Names of the pictures in `folder` itself, sorted.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        if name.to_str().is_some_and(|name| is_picture(name) && !name.starts_with('.')) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// One file.
#[derive(Debug)]
pub struct File {
    /// Inside the photo folder.
    pub path: PathBuf,
    /// Its folders and its name, as [`folded`] makes them.
    parts: Vec<String>,
    /// A link to something outside the photo folder.
    pub outside: bool,
    /// Whether it may be somebody's without being named.
    pub picture: bool,
}

impl File {
    fn new(path: PathBuf, outside: bool) -> Self {
        let text = path.to_string_lossy();
        let parts = folded(&text);
        let picture = is_picture(&text) && !text.split('/').any(|part| part.starts_with('.'));
        Self { parts, outside, picture, path }
    }

    /// The name without the end that says which kind of picture it is.
    pub fn stem(&self) -> &str {
        self.parts.last().map_or("", |name| stem(name))
    }

    fn folders(&self) -> &[String] {
        self.parts.split_last().map_or(&[], |(_, folders)| folders)
    }
}

/// All files of a photo folder.
#[derive(Debug, Default)]
pub struct Folder {
    /// Sorted by path.
    pub files: Vec<File>,
    /// Links to folders, which are not followed.
    pub linked: Vec<PathBuf>,
    /// Names of pictures that iCloud has not brought here yet.
    pub waiting: Vec<String>,
    by_name: HashMap<String, Vec<usize>>,
    by_stem: HashMap<String, Vec<usize>>,
    by_bare: HashMap<String, Vec<usize>>,
}

/// What a name means. Numbers are places in [`Folder::files`].
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This file: its path is the same, but for case and Unicode form.
    Named(usize),
    /// This file: its name is the same, but for folders that one of them leaves out, or for its end.
    Near(usize),
    /// Any of these.
    Several(Vec<usize>),
    /// None, but this one's name has other zeros in front.
    OtherZeros(usize),
    /// None.
    Missing,
}

impl Folder {
    /// Lists `root`. Files of the system (`.DS_Store`, `Thumbs.db`), macOS's forks (`._a.jpg`, `__MACOSX`) and what is neither a file nor a
    /// folder are left out.
    pub fn list(root: &Path) -> io::Result<Self> {
        let whole = fs::canonicalize(root)?;
        let mut folder = Self::default();
        let mut files = Vec::new();
        let mut todo = vec![PathBuf::new()];
        while let Some(inner) = todo.pop() {
            for entry in fs::read_dir(root.join(&inner))? {
                let entry = entry?;
                let (name, kind) = (entry.file_name(), entry.file_type()?);
                let (text, path) = (name.to_string_lossy(), inner.join(&name));
                if text.starts_with("._") || text == "__MACOSX" {
                    continue;
                }
                if kind.is_dir() {
                    if path.components().count() <= DEEPEST {
                        todo.push(path);
                    }
                } else if kind.is_file() {
                    match text.strip_prefix('.').and_then(|rest| rest.strip_suffix(".icloud")) {
                        Some(waiting) => folder.waiting.push(waiting.to_owned()),
                        None => files.push(File::new(path, false)),
                    }
                } else if kind.is_symlink()
                    && let Ok(target) = fs::canonicalize(entry.path())
                {
                    if target.is_dir() {
                        folder.linked.push(path);
                    } else if target.is_file() {
                        files.push(File::new(path, !target.starts_with(&whole)));
                    }
                }
            }
        }
        folder.fill(files);
        folder.linked.sort();
        folder.waiting.sort();
        Ok(folder)
    }

    /// Takes in the files, and makes them found by name.
    fn fill(&mut self, mut files: Vec<File>) {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for (at, file) in files.iter().enumerate() {
            let Some(name) = file.parts.last() else { continue };
            self.by_name.entry(name.clone()).or_default().push(at);
            if file.picture {
                self.by_stem.entry(file.stem().to_owned()).or_default().push(at);
                self.by_bare.entry(without_zeros(file.stem()).to_owned()).or_default().push(at);
            }
        }
        self.files = files;
    }

    /// The files of an archive, by the same rules. A link in it is never followed.
    #[must_use]
    pub fn of_archive(archive: &Archive) -> Self {
        let mut folder = Self::default();
        let mut files = Vec::new();
        for entry in archive.entries() {
            let Some(name) = entry.path.split('/').next_back() else { continue };
            if entry.path.split('/').any(|part| part.starts_with("._") || part == "__MACOSX") {
                continue;
            }
            match name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".icloud")) {
                Some(waiting) => folder.waiting.push(waiting.to_owned()),
                None => files.push(File::new(PathBuf::from(&entry.path), entry.link)),
            }
        }
        folder.fill(files);
        folder.waiting.sort();
        folder
    }

    /// Files by their paths only; none of them is looked for.
    #[must_use]
    pub fn of(paths: &[&str]) -> Self {
        let mut folder = Self::default();
        folder.fill(paths.iter().map(|path| File::new(path.into(), false)).collect());
        folder
    }

    /// The file that a name means: the very same path first, then the same but for case and Unicode form, then with folders that either
    /// leaves out, then with another end. Where the name and the file are in different folders, they are different.
    pub fn find(&self, name: &str) -> Found {
        if let Ok(at) = self.files.binary_search_by(|file| file.path.as_path().cmp(Path::new(name))) {
            return Found::Named(at);
        }
        let parts = folded(name);
        let Some((name, folders)) = parts.split_last() else { return Found::Missing };
        // Files whose folders are the same, else those where either leaves some out.
        let near = |places: Option<&Vec<usize>>| -> (Vec<usize>, bool) {
            let places = places.map_or(&[][..], Vec::as_slice).iter().copied();
            let (same, more): (Vec<_>, Vec<_>) = places
                .filter(|&at| {
                    let own = self.files[at].folders();
                    own.ends_with(folders) || folders.ends_with(own)
                })
                .partition(|&at| self.files[at].folders() == folders);
            if same.is_empty() { (more, false) } else { (same, true) }
        };
        let (files, same) = near(self.by_name.get(name));
        match files.as_slice() {
            [] => {}
            [only] if same => return Found::Named(*only),
            [only] => return Found::Near(*only),
            _ => return Found::Several(files),
        }
        let (files, _) = near(self.by_stem.get(stem(name)));
        match files.as_slice() {
            [] => {}
            [only] => return Found::Near(*only),
            _ => return Found::Several(files),
        }
        let (files, _) = near(self.by_bare.get(without_zeros(stem(name))));
        files.first().map_or(Found::Missing, |&at| Found::OtherZeros(at))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_means_what_is_the_same_to_people() {
        let folder = Folder::of(&[
            "Ada.JPG",
            "Zoe\u{308}.jpg",
            "2026/bob.jpg",
            "a/eve.jpg",
            "b/eve.jpg",
            "max.png",
            "tim.jpg",
            "tim.png",
            "00123.jpg",
            "X.jpg",
            "x.jpg",
            "may.jpg.jpg",
            "sec1/1.jpg",
            "ann.docx",
        ]);
        let named = |found: &Found| match found {
            Found::Named(at) => format!("= {}", folder.files[*at].path.display()),
            Found::Near(at) => format!("~ {}", folder.files[*at].path.display()),
            Found::Several(all) => format!("{} files", all.len()),
            Found::OtherZeros(at) => format!("0 {}", folder.files[*at].path.display()),
            Found::Missing => "-".into(),
        };
        for (name, wanted) in [
            ("Ada.JPG", "= Ada.JPG"),
            ("ada.jpg", "= Ada.JPG"),
            ("ada", "~ Ada.JPG"),
            ("Zoë.jpg", "= Zoe\u{308}.jpg"),
            ("ZOË.png", "~ Zoe\u{308}.jpg"),
            ("bob.jpg", "~ 2026/bob.jpg"),
            ("photos/2026/Bob.jpg", "~ 2026/bob.jpg"),
            ("2026/BOB.jpg", "= 2026/bob.jpg"),
            ("2025/bob.jpg", "-"),
            ("eve.jpg", "2 files"),
            ("a/eve.jpg", "= a/eve.jpg"),
            ("A/EVE.jpg", "= a/eve.jpg"),
            ("c/eve.jpg", "-"),
            ("max.jpg", "~ max.png"),
            ("tim.jpg", "= tim.jpg"),
            ("tim", "2 files"),
            ("tim.jpeg", "2 files"),
            ("123.jpg", "0 00123.jpg"),
            ("0123", "0 00123.jpg"),
            ("X.jpg", "= X.jpg"),
            ("X.JPG", "2 files"),
            ("may.jpg", "~ may.jpg.jpg"),
            ("sec2/1.jpg", "-"),
            ("ann.docx", "= ann.docx"),
            ("ann.jpg", "-"),
            ("absent.jpg", "-"),
            ("", "-"),
        ] {
            assert_eq!(named(&folder.find(name)), wanted, "{name}");
        }
    }

    #[test]
    fn a_folder_holds_what_is_inside_and_a_file() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("sub/__MACOSX")).unwrap();
        for name in
            ["b.JPG", "sub/a.png", "notes.txt", "._b.JPG", ".DS_Store", "sub/__MACOSX/a.png", ".c.jpg.icloud", ".d.jpg"]
        {
            fs::write(at(name), "").unwrap();
        }
        fs::write(outside.path().join("x.jpg"), "").unwrap();
        symlink(outside.path().join("x.jpg"), at("out.jpg")).unwrap();
        symlink(at("b.JPG"), at("in.jpg")).unwrap();
        symlink(at("absent.jpg"), at("dead.jpg")).unwrap();
        symlink(outside.path(), at("elsewhere")).unwrap();
        symlink(folder.path(), at("loop")).unwrap();
        let read = Folder::list(folder.path()).unwrap();
        let files: Vec<_> =
            read.files.iter().map(|file| (file.path.to_str().unwrap(), file.picture, file.outside)).collect();
        assert_eq!(
            files,
            [
                (".DS_Store", false, false),
                (".d.jpg", false, false),
                ("b.JPG", true, false),
                ("in.jpg", true, false),
                ("notes.txt", false, false),
                ("out.jpg", true, true),
                ("sub/a.png", true, false),
            ]
        );
        assert_eq!(read.linked, [PathBuf::from("elsewhere"), PathBuf::from("loop")]);
        assert_eq!(read.waiting, ["c.jpg"]);
    }
}
