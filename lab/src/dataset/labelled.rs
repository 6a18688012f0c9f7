//! The labelled pictures: which are whose, in which group, and a digest that names them.
//!
//! It never looks into a picture, except to digest its bytes.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sha2::{Digest, Sha256};

use examgate::exit::Refusal;
use examgate_enrol::{
    folder,
    table::{Problem, Problems, Table},
};

use super::pairs::Pairs;

/// Pictures of people.
pub(crate) struct Labelled {
    pub(crate) paths: Vec<PathBuf>,
    /// Of each picture, its person: an index into `names`.
    pub(crate) persons: Vec<usize>,
    /// What each person's folder is called.
    pub(crate) names: Vec<String>,
    /// SHA-256 over every picture's name and bytes, hexadecimal.
    pub(crate) digest: String,
}

impl Labelled {
    /// Every picture in every folder of `images`; a folder is a person.
    pub(crate) fn folders(images: &Path) -> anyhow::Result<Self> {
        let listed = || Refusal::Usage(format!("cannot list the pictures in {}", images.display()));
        let mut folders = Vec::new();
        for entry in fs::read_dir(images).with_context(listed)? {
            let entry = entry.with_context(listed)?;
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
        folders.sort();
        let mut pictures = Vec::new();
        for folder in folders {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let files = folder::list(&folder).with_context(listed)?;
            pictures.extend(files.into_iter().map(|file| (folder.join(file), name.clone())));
        }
        Self::of(pictures)
    }

    /// As [`Labelled::folders`]; where there are no folders, the pictures of `images` itself, each of a person of its own.
    pub(crate) fn folders_or_folder(images: &Path) -> anyhow::Result<Self> {
        let read = Self::folders(images)?;
        if !read.paths.is_empty() {
            return Ok(read);
        }
        let listed = || Refusal::Usage(format!("cannot list the pictures in {}", images.display()));
        let files = folder::list(images).with_context(listed)?;
        Self::of(files.into_iter().map(|file| (images.join(&file), file.display().to_string())).collect())
    }

    /// The pictures that a pairs file names.
    pub(crate) fn pairs(file: &Path, images: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let bytes = fs::read(file).with_context(|| Refusal::Usage(format!("cannot read {shown}")))?;
        let refused = || Refusal::Data(format!("{shown} cannot be used"));
        let pairs = Pairs::parse(&bytes).with_context(refused)?;
        let paths = pairs.find(images, file.parent().unwrap_or(Path::new(""))).with_context(refused)?;
        pairs.identities().with_context(|| {
            Refusal::Data(format!(
                "{shown}: the images' folders are not the persons of the labels: one folder a person"
            ))
        })?;
        let name = |image: &String| {
            let folder = Path::new(image).parent().and_then(Path::file_name);
            folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let mut pictures: Vec<_> = paths.into_iter().zip(pairs.images.iter().map(name)).collect();
        pictures.sort();
        Self::of(pictures)
    }

    /// `pictures` in a fixed order, each with its person's name.
    fn of(pictures: Vec<(PathBuf, String)>) -> anyhow::Result<Self> {
        let mut numbers = HashMap::new();
        let mut read = Self { paths: Vec::new(), persons: Vec::new(), names: Vec::new(), digest: String::new() };
        let mut digest = Sha256::new();
        for (path, name) in pictures {
            let bytes = fs::read(&path)
                .with_context(|| Refusal::Data(format!("cannot read the picture {}", path.display())))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            digest.update(format!("{name}/{file} {}\n", hex::encode(Sha256::digest(&bytes))));
            let next = numbers.len();
            let person = *numbers.entry(name.clone()).or_insert(next);
            if person == next {
                read.names.push(name);
            }
            read.paths.push(path);
            read.persons.push(person);
        }
        read.digest = hex::encode(digest.finalize());
        Ok(read)
    }

    /// Each person's group, after a CSV with the columns `person,group`. Persons that the CSV does not name have none.
    pub(crate) fn groups(&self, file: &Path) -> anyhow::Result<Groups> {
        let shown = file.display();
        let bytes = fs::read(file).with_context(|| Refusal::Usage(format!("cannot read {shown}")))?;
        let read = read_groups(&bytes).with_context(|| Refusal::Data(format!("{shown} cannot be used")))?;
        let mut groups = Groups { names: Vec::new(), of: vec![None; self.names.len()] };
        for (name, of) in self.names.iter().zip(&mut groups.of) {
            let Some(group) = read.get(name) else { continue };
            let at = groups.names.iter().position(|known| known == group).unwrap_or_else(|| {
                groups.names.push(group.clone());
                groups.names.len() - 1
            });
            *of = Some(at);
        }
        Ok(groups)
    }
}

/// Which group each person belongs to.
pub(crate) struct Groups {
    pub(crate) names: Vec<String>,
    pub(crate) of: Vec<Option<usize>>,
}

fn read_groups(bytes: &[u8]) -> Result<BTreeMap<String, String>, Problems> {
    let table = Table::parse(bytes, |cell| ["person", "group"].contains(&cell))?;
    let column = |name: &str| table.header.cells.iter().position(|column| column == name);
    let (Some(person), Some(group)) = (column("person"), column("group")) else {
        let text = "the columns `person` (a folder's name) and `group` are needed";
        return Err(Problems(vec![Problem::at(table.header.line, text)]));
    };
    let (mut groups, mut problems) = (BTreeMap::new(), table.problems.clone());
    for record in &table.rows {
        let cell = |at: usize| record.cells.get(at).filter(|cell| !cell.is_empty());
        let (Some(person), Some(group)) = (cell(person), cell(group)) else {
            problems.push(Problem::at(record.line, "a person and a group are needed"));
            continue;
        };
        if groups.insert(person.clone(), group.clone()).is_some_and(|before| before != *group) {
            problems.push(Problem::at(record.line, format!("`{person}` is in two groups")));
        }
    }
    if problems.is_empty() { Ok(groups) } else { Err(Problems(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_person_and_bytes_make_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for name in ["bob/1.jpg", "ada/2.png", "ada/1.jpg", "ada/notes.txt", "stray.jpg"] {
            write(name, name);
        }
        let read = Labelled::folders(folder.path()).unwrap();
        assert_eq!(
            (read.names.as_slice(), read.persons.as_slice()),
            (&["ada".into(), "bob".into()][..], &[0, 0, 1][..])
        );
        let same = Labelled::folders(folder.path()).unwrap().digest;
        write("bob/1.jpg", "changed");
        let other = Labelled::folders(folder.path()).unwrap().digest;
        assert!(read.digest == same && read.digest != other);

        write("groups.csv", "group,person\nx,bob\n");
        let groups = read.groups(&folder.path().join("groups.csv")).unwrap();
        assert_eq!((groups.names, groups.of), (vec!["x".to_owned()], vec![None, Some(0)]));
    }

    #[test]
    fn bad_groups_are_named_with_their_lines() {
        for (csv, wanted) in [
            ("person\na\n", "line 1"),
            ("person,group\na,\n", "line 2"),
            ("person,group\na,x\na,y\n", "line 3: `a` is in two groups"),
        ] {
            let problems = read_groups(csv.as_bytes()).unwrap_err().to_string();
            assert!(problems.contains(wanted), "{problems}");
        }
    }
}
