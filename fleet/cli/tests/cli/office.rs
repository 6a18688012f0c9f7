//! `roster import` of what offices send: tables out of spreadsheets and portals, folders out of macOS, Windows and phones.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use examgate::domain::{CardStanding, StudentId};

use super::{
    copy,
    import::{card, import, open, written},
    picture,
};

const HEADER: &str = "student_id,given_name,card,room,photos\n";

fn utf16(text: &str) -> Vec<u8> {
    [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_portals_table_and_a_phones_folder_are_read_right() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (photo, to) in [
        ("obama.jpg", "photos/sec 1/Zoe\u{308}.JPG"),
        ("biden.jpg", "photos/00123 (1).jpg.jpg"),
        ("single_face.jpg", "photos/Lovelace, Ada.jpeg"),
    ] {
        copy(photo, here.join(to));
    }
    // A PNG under the name of a JPEG.
    image::open(picture("obama2.jpg")).unwrap().save(here.join("photos/e.png")).unwrap();
    fs::rename(here.join("photos/e.png"), here.join("photos/n4.JPG")).unwrap();
    for (name, bytes) in
        [("._n4.JPG", "fork"), (".DS_Store", "x"), ("Thumbs.db", "x"), ("desktop.ini", "x"), (".late.jpg.icloud", "x")]
    {
        fs::write(here.join("photos").join(name), bytes).unwrap();
    }
    let table = "sep=\t\r\nMATH-UA 120\t\t\t\t\t\r\nEMPLID\tStudent Name\tCard Number\tRoom\tPhoto\tCard Status\t\r\n\
                 N1\tX, Zoe\u{308}\t04A2B3C4\t007\tSEC 1\\zoë.jpg\tActive\t\r\n\
                 =\"00123\"\t\"Y, \u{200b}Bo\u{a0}\"\t04:A2:B3:C5\t7\t\tLOST\t\r\n\
                 N3\tLovelace\t04A2B3C6\t7\tLovelace, Ada.jpg\t\t\r\n\
                 N4\tZ, Max\t04A2B3C7\t7\t\tactive\t\r\n\t\t\t\t\t\t\r\n";
    let ran = import(here, utf16(table), &["--report", "report.json"]).expect(0);
    let store = open(here);
    for (uid, id, room, standing) in [
        ([0x04, 0xA2, 0xB3, 0xC4], "N1", "007", CardStanding::Active),
        ([0x04, 0xA2, 0xB3, 0xC5], "00123", "7", CardStanding::Revoked),
        ([0x04, 0xA2, 0xB3, 0xC6], "N3", "7", CardStanding::Active),
        ([0x04, 0xA2, 0xB3, 0xC7], "N4", "7", CardStanding::Active),
    ] {
        let found = store.find(&card(here, &uid)).unwrap().unwrap_or_else(|| panic!("no {id}: {}", ran.stdout));
        assert_eq!(found.entry.student.id, StudentId::new(id).unwrap());
        assert_eq!(
            (found.entry.room.as_str(), found.entry.card.standing, found.templates),
            (room, standing, 1),
            "{id}: {}",
            ran.stdout
        );
    }
    let name = |uid: [u8; 4]| store.find(&card(here, &uid)).unwrap().unwrap().entry.student.given_name;
    assert_eq!((name([0x04, 0xA2, 0xB3, 0xC4]).as_str(), name([0x04, 0xA2, 0xB3, 0xC5]).as_str()), ("Zoë", "Bo"));
    for said in [
        "line 3: the header is here: line 2 is passed over",
        "line 3: column `EMPLID` is read as `student_id`",
        "line 3: column `Student Name` is read as \"Last, First\"",
        "line 4: `room`: `007` here and `7` elsewhere may be one room",
        "line 6: `photos`: `Lovelace, Ada.jpg` is not there, `Lovelace, Ada.jpeg` is taken",
        "1 photos, such as `late.jpg`, are in iCloud only",
    ] {
        assert!(ran.stdout.contains(said), "without {said:?}: {}", ran.stdout);
    }
    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    assert_eq!(
        (&report["unclaimed"], report["remarks"].as_array().unwrap().len()),
        (&serde_json::json!([]), 9),
        "{report:#}"
    );
}

#[test]
fn what_spreadsheets_spoil_is_named_by_line_and_column_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let decimal = &["--card-form", "decimal"][..];
    let rounded =
        "N0,A,1304792892040830,R1,\nN1,B,1327188722232190,R1,\nN2,C,1265614166680700,R1,\nN3,D,1337669904526680,R1,\n";
    let table: &[(&str, &[&str], &[&str])] = &[
        (rounded, decimal, &["lines 2, 3, 4 and 5: `card`: the number has zeros from its 16th digit on, as 4 of 4"]),
        (
            "20240017300100100,A,04A2B3C0,R1,\n20240017300200400,B,04A2B3C1,R1,\n",
            &[],
            &["lines 2 and 3: `student_id`: the number has zeros from its 16th digit on"],
        ),
        (
            "1.2E+06,A,1.3E+15,1.0E+02,3.0E+05\n",
            &[],
            &[
                "line 2: `student_id`: `1.2E+06` is a number in E+ notation",
                "line 2: `card`: a number in E+ notation",
                "line 2: `room`: `1.0E+02` is",
                "line 2: `photos`: `3.0E+05` is",
            ],
        ),
        ("12-Nov,A,04A2B3C0,1-Mar,\n", &[], &["`student_id`: `12-Nov` is a date", "`room`: `1-Mar` is a date"]),
        ("N1,A,1304792,R1,\n", &[], &["line 2: `card`: there are 7 hexadecimal digits", "leading zeros"]),
        (
            "N1,\u{202e}adA,04A2B3C0,R1,\nN2,\u{3164}\u{2800},04A2B3C1,R1,\n",
            &[],
            &["line 2: `given_name`: U+202E", "line 3: `given_name`: nothing"],
        ),
        (
            "N1,\"Ada,04A2B3C0,R1,\nN2,Bo,04A2B3C1,R1,\n",
            &[],
            &["line 2: the quote that opens in cell 2 is never closed"],
        ),
        ("N1;Ada;04A2B3C0;R1;\n", &[], &["line 2: the header has 5 fields, this line 1: this line is parted by `;`"]),
        ("N1,A,04A2B3C0,R1,\nTotal,1,,,\n", &[], &["line 3: neither a card nor a room"]),
    ];
    for (rows, more, parts) in table {
        for end in ["\n", "\r", "\r\n"] {
            let ran = import(here, format!("{HEADER}{rows}").replace('\n', end), more).expect(65).says(parts);
            assert!(ran.stdout.is_empty() && !written(here), "{rows:?}");
            for secret in ["1304792892040830", "04A2B3C0", "adA"] {
                assert!(!ran.stderr.contains(secret), "{secret} is said: {}", ran.stderr);
            }
        }
    }
    let many: String = (0..300).map(|n| format!("N{n},A,,R1,\n")).collect();
    import(here, format!("{HEADER}{many}"), &[])
        .expect(65)
        .says(&["300 problems", "lines 2, 3, 4, 5, 6, 7, 8, 9 and 292 more: `card`: empty"]);
}

#[test]
fn cards_that_look_decimal_are_remarked() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let rows = |cards: [&str; 4]| cards.map(|card| format!("N{card},A,{card},R1,\n")).concat();
    let said = "no card has a letter from A to F: are they decimal?";
    let numbers = HEADER.to_owned() + &rows(["77771716", "33001067", "12345678", "87654321"]);
    assert!(import(here, &numbers, &[]).expect(0).stdout.contains(said));
    assert!(!import(here, &numbers, &["--card-form", "decimal"]).expect(0).stdout.contains(said));
    let hexadecimal = HEADER.to_owned() + &rows(["77771716", "33001067", "12345678", "8765432A"]);
    assert!(!import(here, &hexadecimal, &[]).expect(0).stdout.contains(said));
}

#[test]
fn photos_that_are_not_certain_are_named_with_the_tables_problems() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for to in ["photos/a/x.jpg", "photos/b/x.jpg", "photos/00123.jpg", "photos/y.jpg"] {
        copy("obama.jpg", here.join(to));
    }
    symlink(picture("biden.jpg"), here.join("photos/N5.jpg")).unwrap();
    let csv = format!(
        "{HEADER}N1,A,04A2B3C0,R1,x.jpg\n123,B,04A2B3C1,R1,\nN3,C,04A2B3C2,R1,y.jpg\nN4,D,04A2B3C3,R1,Y.JPG\nN5,E,04A2B3C4,R1,\n\
         N6,F,,R1,\n"
    );
    let ran = import(here, csv, &[]).expect(65).says(&[
        "5 problems",
        "line 2: `photos`: `x.jpg` may be `a/x.jpg` or `b/x.jpg`",
        "line 3: `student_id`: there is no photo of `123`, but `00123.jpg`",
        "line 5: photo `y.jpg` is already on line 4",
        "line 6: photo `N5.jpg` is a link out of the photo folder",
        "line 7: `card`: empty",
    ]);
    assert!(ran.stdout.is_empty() && !written(here));
}

#[test]
fn what_is_no_file_is_no_photo_and_nothing_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir_all(here.join("photos/N2.jpg")).unwrap();
    let pipe = here.join("photos/N1.jpg");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success(), "mkfifo (coreutils) makes a pipe");
    let elsewhere = tempfile::tempdir().unwrap();
    copy("obama.jpg", elsewhere.path().join("N3.jpg"));
    symlink(elsewhere.path(), here.join("photos/more")).unwrap();
    let csv = format!("{HEADER}N1,A,04A2B3C0,R1,N1.jpg\nN2,B,04A2B3C1,R1,N2.jpg\nN3,C,04A2B3C2,R1,more/N3.jpg\n");
    let ran = import(here, csv, &[]).expect(0);
    for said in ["N1.jpg: the file is not there", "N2.jpg: the file is not there", "more/N3.jpg: the file is not there"]
    {
        assert!(ran.stdout.contains(said), "without {said:?}: {}", ran.stdout);
    }
    assert!(
        ran.stdout.contains("`more` in the photo folder is a link to a folder, which is not followed"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_table_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    import(folder.path(), "", &[]);
    fs::remove_file(folder.path().join("roster.csv")).unwrap();
    symlink(Path::new("/dev/zero"), folder.path().join("roster.csv")).unwrap();
    let args = ["roster", "import", "--csv", "roster.csv", "--photos", "photos", "--exam", "E", "--title", "T"];
    let times = [
        "--opens",
        "2026-12-14T08:30:00-05:00",
        "--closes",
        "2026-12-14T09:15:00-05:00",
        "--store",
        "state",
        "--keys",
        "keys",
    ];
    super::fleet(folder.path(), &[&args[..], &times].concat()).expect(65).says(&["roster.csv has more than 64 MiB"]);
}
