//! Tables of rows and folders: who gets which photo.

use examgate::domain::{CardPseudonym, Matching, RoomId, RosterEntry, Student, StudentId};

use std::fs;

use super::*;

fn rows(all: &[(&str, &[&str])]) -> Vec<Row> {
    let row = |(line, (id, photos)): (u64, &(&str, &[&str]))| Row {
        sheet: None,
        line,
        entry: RosterEntry::new(
            Student::new(StudentId::new(*id).unwrap(), "A"),
            CardPseudonym::from_bytes([0; 32]),
            RoomId::new("R").unwrap(),
        ),
        photos: photos.iter().map(|name| (*name).to_owned()).collect(),
    };
    (2..).zip(all).map(row).collect()
}

fn claimed(claims: &Claims) -> Vec<(usize, &str)> {
    claims.claimed.iter().map(|claim| (claim.row, claim.photo.to_str().unwrap())).collect()
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn photos_find_their_student() {
    let rows = rows(&[("N1", &[]), ("N12", &[]), ("N1-2", &[]), ("N3", &["b.jpg", "N1_9.jpg", "a.jpg"])]);
    for (file, wanted) in [
        ("N1.jpg", Some(0)),
        ("N1_1.png", Some(0)),
        ("N1 (2).JPG", Some(0)),
        ("N1.front.jpeg", Some(0)),
        ("N1.jpg.jpg", Some(0)),
        ("n1.jpg", Some(0)),
        ("2026/N1.jpg", Some(0)),
        ("N12.jpg", Some(1)),
        ("N1-2.jpg", Some(2)),
        ("N1-2-b.jpg", Some(2)),
        ("N1-3.jpg", Some(0)),
        ("N1é.jpg", None),
        ("N123.jpg", None),
        ("xN1.jpg", None),
        // named by the row of N3
        ("N1_9.jpg", Some(3)),
        // N3 names its photos: nothing else is taken
        ("N3.jpg", None),
    ] {
        let claims = claim(&rows, &Folder::of(&[file]));
        let owner = claims.claimed.iter().find(|claim| claim.there).map(|claim| claim.row);
        assert_eq!(owner, wanted, "{file}");
        assert_eq!(claims.unclaimed.is_empty(), wanted.is_some(), "{file}");
        assert!(claims.problems.is_empty() && claims.remarks.is_empty(), "{file}: {claims:?}");
    }
}

#[test]
fn photos_of_who_opted_out_are_theirs_and_are_not_opened() {
    let mut rows = rows(&[("N1", &[]), ("N1-2", &[]), ("N3", &["a.jpg", "gone.jpg", "x.jpg"]), ("007", &[])]);
    for row in [1, 2, 3] {
        rows[row].entry.matching = Matching::None;
    }
    let files = ["N1.jpg", "N1-2.jpg", "N1-2-b.jpg", "a.jpg", "1/x.jpg", "2/x.jpg", "7.jpg"];
    let claims = claim(&rows, &Folder::of(&files));
    assert_eq!(claimed(&claims), [(0, "N1.jpg")], "N1-2.jpg is no photo of N1");
    let opted_out: Vec<_> = claims.opted_out.iter().map(|photo| photo.to_str().unwrap()).collect();
    assert_eq!(opted_out, ["N1-2-b.jpg", "N1-2.jpg", "a.jpg"]);
    assert!(claims.problems.is_empty(), "no photo is needed, so none can be wrong: {:?}", claims.problems);
    assert_eq!(said(&claims.remarks), ["line 4: `photos`: passed over, since `matching` is `none`"]);
}

#[test]
fn a_rows_photos_keep_their_order() {
    let rows = rows(&[("N1", &["b.jpg", "a.jpg"]), ("N2", &[])]);
    let claims = claim(&rows, &Folder::of(&["N2-1.jpg", "N2-2.jpg", "a.jpg", "b.jpg"]));
    assert_eq!(claimed(&claims), [(0, "b.jpg"), (0, "a.jpg"), (1, "N2-1.jpg"), (1, "N2-2.jpg")]);
}

#[test]
fn a_comma_parts_names_unless_it_belongs_to_one() {
    let rows = rows(&[("N1", &["Lovelace, Ada.jpg"]), ("N2", &["a.jpg, b.jpg"]), ("N3", &["c.jpg,absent.jpg"])]);
    let claims = claim(&rows, &Folder::of(&["lovelace, ada.JPG", "a.jpg", "b.jpg", "c.jpg"]));
    assert_eq!(
        claimed(&claims),
        [(0, "lovelace, ada.JPG"), (1, "a.jpg"), (1, "b.jpg"), (2, "c.jpg"), (2, "absent.jpg")]
    );
    assert!(!claims.claimed[4].there);
}

#[test]
fn what_is_not_certain_is_refused_by_name() {
    for (all, files, wanted) in [
        (
            &[("N1", &["a.jpg"][..]), ("N2", &["A.JPG"])][..],
            &["a.jpg"][..],
            &["line 3: photo `a.jpg` is already on line 2"][..],
        ),
        (
            &[("N1", &["a.jpg"])],
            &["x/a.jpg", "y/a.jpg"],
            &[
                "line 2: `photos`: `a.jpg` may be `x/a.jpg` or `y/a.jpg`: name one as it is called in the folder, with its sub-folder",
            ],
        ),
        (
            &[("N1", &["a.jpg"])],
            &["1/a.jpg", "2/a.jpg", "3/a.jpg", "4/a.jpg", "5/a.jpg"],
            &["`3/a.jpg` or 2 more: name one"],
        ),
        (
            &[("N1", &["7.jpg"])],
            &["007.jpg"],
            &["line 2: `photos`: `7.jpg` is not there, but `007.jpg`: zeros in front were lost"],
        ),
        (
            &[("123", &[])],
            &["00123.jpg"],
            &["line 2: `student_id`: there is no photo of `123`, but `00123.jpg`: zeros in front"],
        ),
        (
            &[("00123", &[])],
            &["123 (1).jpg"],
            &["line 2: `student_id`: there is no photo of `00123`, but `123 (1).jpg`"],
        ),
        (&[("123", &[]), ("0123", &[])], &["123.jpg", "0123.jpg"], &[]),
        (&[("N1", &["a.jpg", "A.jpg"])], &["a.jpg"], &[]),
    ] {
        let problems = said(&claim(&rows(all), &Folder::of(files)).problems);
        assert_eq!(problems.len(), wanted.len(), "{files:?}: {problems:?}");
        for (problem, wanted) in problems.iter().zip(wanted) {
            assert!(problem.contains(wanted), "{problem} lacks {wanted}");
        }
    }
}

#[test]
fn another_end_or_folder_is_taken_and_remarked() {
    let claims = claim(&rows(&[("N1", &["a.jpg", "b.jpg"])]), &Folder::of(&["a.png", "2026/b.jpg"]));
    assert_eq!(claimed(&claims), [(0, "a.png"), (0, "2026/b.jpg")]);
    assert_eq!(
        said(&claims.remarks),
        [
            "line 2: `photos`: `a.jpg` is not there, `a.png` is taken",
            "line 2: `photos`: `b.jpg` is not there, `2026/b.jpg` is taken",
        ]
    );
}

#[test]
fn a_link_out_of_the_folder_is_nobodys_photo() {
    let (outside, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("x.jpg"), "").unwrap();
    for name in ["N1.jpg", "named.jpg", "stray.jpg"] {
        std::os::unix::fs::symlink(outside.path().join("x.jpg"), inside.path().join(name)).unwrap();
    }
    let claims = claim(&rows(&[("N1", &[]), ("N2", &["named.jpg"])]), &Folder::list(inside.path()).unwrap());
    let mut problems = said(&claims.problems);
    problems.sort();
    assert_eq!(
        problems,
        [
            "line 2: photo `N1.jpg` is a link out of the photo folder: copy the picture itself",
            "line 3: photo `named.jpg` is a link out of the photo folder: copy the picture itself",
        ]
    );
    assert!(claims.claimed.is_empty());
}

#[test]
fn only_photos_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.JPG", "a.png", "notes.txt", "c.jpeg", "jpg", "d.HEIC", "._b.JPG"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    assert_eq!(
        examgate_enrol::folder::list(folder.path()).unwrap(),
        ["a.png", "b.JPG", "c.jpeg", "d.HEIC"].map(PathBuf::from)
    );
}
