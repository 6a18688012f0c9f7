//! Which photo belongs to which student.
//!
//! It never opens a photo.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::csv::Row;

/// One photo of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Index of the row.
    pub(crate) row: usize,
    /// Name inside the photo folder.
    pub(crate) photo: PathBuf,
}

/// The photos of all rows, and those of nobody.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Row by row, a row's photos as the CSV orders them, or by name.
    pub(crate) claimed: Vec<Claim>,
    /// Photos in the folder that belong to no row, by name.
    pub(crate) unclaimed: Vec<PathBuf>,
}

/// Ends of the names of pictures. Those that no decoder of ours reads are among them: they are to be refused by name, not overlooked.
const PICTURES: [&str; 14] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "heic", "heif", "avif", "webp", "gif", "bmp", "tif", "tiff", "pdf"];

/// Names of the pictures in `folder`, sorted.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        let is_photo = name
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| PICTURES.iter().any(|known| extension.eq_ignore_ascii_case(known)));
        if is_photo {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Gives each row the photos that it names, else the files called after the student: `N12.jpg`, `N12-2.png`, `N12 (1).jpg`, but not
/// `N123.jpg`. What two students could both be called after belongs to the longer number; what a row names belongs to that row alone.
pub(crate) fn claim(rows: &[Row], files: Vec<PathBuf>) -> Claims {
    let named: HashSet<&Path> = rows.iter().flat_map(|row| row.photos.iter().map(PathBuf::as_path)).collect();
    let students: HashMap<&str, usize> =
        rows.iter().enumerate().map(|(at, row)| (row.student.id.as_str(), at)).collect();
    let mut claimed: Vec<_> = rows
        .iter()
        .enumerate()
        .flat_map(|(row, Row { photos, .. })| photos.iter().map(move |photo| Claim { row, photo: photo.clone() }))
        .collect();
    let mut unclaimed = Vec::new();
    for photo in files {
        if named.contains(photo.as_path()) {
            continue;
        }
        match owner(&photo, &students).filter(|&row| rows[row].photos.is_empty()) {
            Some(row) => claimed.push(Claim { row, photo }),
            None => unclaimed.push(photo),
        }
    }
    // Stable: a row's photos keep their order.
    claimed.sort_by_key(|claim| claim.row);
    Claims { claimed, unclaimed }
}

/// The student with the longest number that the file's stem is, or starts with before something that is no letter or digit.
fn owner(photo: &Path, students: &HashMap<&str, usize>) -> Option<usize> {
    let stem = photo.file_stem()?.to_str()?;
    let ends = stem.char_indices().filter(|(_, c)| !c.is_alphanumeric()).map(|(at, _)| at);
    ends.chain([stem.len()]).filter_map(|end| students.get(&stem[..end]).copied()).next_back()
}

#[cfg(test)]
mod tests {
    use examgate::domain::{CardPseudonym, CardStanding, RoomId, Student, StudentId};

    use super::*;

    fn row(id: &str, photos: &[&str]) -> Row {
        Row {
            line: 2,
            student: Student { id: StudentId::new(id).unwrap(), given_name: "A".into(), language: None },
            card: CardPseudonym::from_bytes([0; 32]),
            standing: CardStanding::Active,
            room: RoomId::new("R").unwrap(),
            photos: photos.iter().map(PathBuf::from).collect(),
        }
    }

    #[test]
    fn photos_find_their_student() {
        let rows = [row("N1", &[]), row("N12", &[]), row("N1-2", &[]), row("N3", &["b.jpg", "N1_9.jpg", "a.jpg"])];
        for (file, wanted) in [
            ("N1.jpg", Some(0)),
            ("N1_1.png", Some(0)),
            ("N1 (2).JPG", Some(0)),
            ("N1.front.jpeg", Some(0)),
            ("N12.jpg", Some(1)),
            ("N1-2.jpg", Some(2)),
            ("N1-2-b.jpg", Some(2)),
            ("N1-3.jpg", Some(0)),
            ("N1é.jpg", None),
            ("N123.jpg", None),
            ("n1.jpg", None),
            ("xN1.jpg", None),
            // named by the row of N3
            ("N1_9.jpg", Some(3)),
            // N3 names its photos: nothing else is taken
            ("N3.jpg", None),
        ] {
            let claims = claim(&rows, vec![file.into()]);
            let owner = claims.claimed.iter().find(|claim| claim.photo == Path::new(file)).map(|claim| claim.row);
            assert_eq!(owner, wanted, "{file}");
            assert_eq!(claims.unclaimed.is_empty(), wanted.is_some(), "{file}");
        }
    }

    #[test]
    fn a_rows_photos_keep_their_order() {
        let rows = [row("N1", &["b.jpg", "a.jpg"]), row("N2", &[])];
        let claims = claim(&rows, list_of(&["N2-1.jpg", "N2-2.jpg", "a.jpg", "b.jpg"]));
        let order: Vec<_> = claims.claimed.iter().map(|claim| claim.photo.to_str().unwrap()).collect();
        assert_eq!(order, ["b.jpg", "a.jpg", "N2-1.jpg", "N2-2.jpg"]);
    }

    fn list_of(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn only_photos_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", "c.jpeg", "jpg", "d.HEIC"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(list(folder.path()).unwrap(), list_of(&["a.png", "b.JPG", "c.jpeg", "d.HEIC"]));
    }
}
