//! Tables of good and bad rosters. They never touch a file.

use super::*;

const HEADER: &str = "student_id,given_name,card,room,photos\n";

/// Stands for the real forms: hexadecimal only, pseudonym = the bytes themselves.
fn card(text: &str) -> Result<CardPseudonym, String> {
    let bytes = hex::decode(text).map_err(|e| format!("not hexadecimal: {e}"))?;
    let mut name = [0; 32];
    name[..bytes.len()].copy_from_slice(&bytes);
    Ok(CardPseudonym::from_bytes(name))
}

fn read(text: &str) -> Result<Vec<Row>, Vec<String>> {
    rows(text.as_bytes(), card).map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

#[test]
fn reads_what_is_there() {
    let text = "room,card_standing,photos,card,given_name,student_id\r\n\
                R1,,a.jpg; sub/b.png,04a2b3c4,\"Ada, the first\",N1\r\n\
                \r\n\
                R2,revoked,,04a2b3c5,Zoë,N2\r\n\
                ,,,,,\r\n";
    let rows = read(text).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].line, rows[1].line), (2, 4));
    assert_eq!(rows[0].student.given_name, "Ada, the first");
    assert_eq!(rows[0].photos, [PathBuf::from("a.jpg"), PathBuf::from("sub/b.png")]);
    assert_eq!((rows[0].standing, rows[1].standing), (CardStanding::Active, CardStanding::Revoked));
    assert_eq!((rows[1].room.as_str(), rows[1].student.given_name.as_str()), ("R2", "Zoë"));
    assert!(rows[1].photos.is_empty());
}

#[test]
fn a_language_is_a_tag_or_nothing() {
    let header = "student_id,given_name,card,room,photos,language\n";
    let rows = read(&format!("{header}N1,Ada,04,R1,,es-MX\nN2,Bo,05,R1,,\n")).unwrap();
    let spoken: Vec<_> = rows.iter().map(|row| row.student.language.as_ref().map(Language::as_str)).collect();
    assert_eq!(spoken, [Some("es-MX"), None]);
    let refused = read(&format!("{header}N1,Ada,04,R1,,Spanish\n")).unwrap_err();
    assert_eq!(
        refused,
        ["line 2: `language`: \"Spanish\" is no language tag; wanted is BCP 47, such as en, es or zh-Hans"]
    );
}

#[test]
fn tolerates_the_utf8_mark() {
    assert_eq!(read(&format!("\u{feff}{HEADER}N1,Ada,04,R1,\n")).unwrap().len(), 1);
}

#[test]
fn lines_are_counted_over_quoted_line_breaks() {
    let text = format!("{HEADER}N1,\"A\nda\",04,R1,\nN1,Bob,05,R1,\n");
    assert_eq!(
        read(&text).unwrap_err(),
        [
            "line 2: `given_name`: a line break or other control character inside: is a quote left open?",
            "line 4: student `N1` is already on line 2",
        ]
    );
}

#[test]
fn one_bad_thing_each() {
    let table: &[(&str, &[&str])] = &[
        ("", &["the file is empty"]),
        (" \n\n", &["the file is empty"]),
        (HEADER, &["no student"]),
        (
            "student_id,given_name,card,room\n",
            &["line 1: missing column `photos`; found `student_id`, `given_name`, `card`, `room`"],
        ),
        ("id;name\n", &["line 1: missing columns `student_id`", "separated by something other than commas"]),
        ("student_id,given_name,card,room,photos,cardstanding\n", &["line 1: unknown column `cardstanding`"]),
        ("student_id,given_name,card,room,photos,room\n", &["line 1: column `room` is there twice"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R1\n", &["line 2: the header has 5 fields, this line 4:"]),
        (
            "student_id,given_name,card,room,photos\nN1,Ada,04,R1,,\n",
            &["line 2: the header has 5 fields, this line 6:"],
        ),
        ("student_id,given_name,card,room,photos\nN 1,Ada,04,R1,\n", &["line 2: `student_id`: ", "N 1"]),
        ("student_id,given_name,card,room,photos\n,Ada,04,R1,\n", &["line 2: `student_id`: empty"]),
        ("student_id,given_name,card,room,photos\nN1,,04,R1,\n", &["line 2: `given_name`: empty"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,,R1,\n", &["line 2: `card`: empty"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,zz,R1,\n", &["line 2: `card`: not hexadecimal"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,1.2E+09,R1,\n", &["line 2: `card`: ", "spreadsheet"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R/1,\n", &["line 2: `room`: "]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R1,../x.jpg\n", &["line 2: `photos`: `../x.jpg` is not"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R1,/etc/x.jpg\n", &["line 2: `photos`: "]),
        (
            "student_id,given_name,card,room,photos\nN1,A,04,R,a.jpg\nN2,B,05,R,a.jpg\n",
            &["line 3: photo `a.jpg` is already on line 2"],
        ),
        (
            "student_id,given_name,card,room,photos\nN1,A,0a,R,\nN2,B,0A,R,\n",
            &["line 3: the same card is already on line 2"],
        ),
        (
            "student_id,given_name,card,room,photos,card_standing\nN1,A,0a,R,,lost\n",
            &["line 2: `card_standing`: `lost` is neither"],
        ),
    ];
    for (text, wanted) in table {
        let problems = read(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        for part in *wanted {
            assert!(problems[0].contains(part), "{text:?}: {problems:?} lacks {part:?}");
        }
    }
}

#[test]
fn all_problems_come_together() {
    let text = format!("{HEADER}N1,,zz,R 1,\nN1,Bob,05\nN1,Eve,06,R1,\n");
    let lines: Vec<_> = read(&text).unwrap_err().iter().map(|p| p.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["line 2", "line 2", "line 2", "line 3", "line 4"]);
}

#[test]
fn encodings_are_named() {
    let utf16le: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16be: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = [&[0xFF, 0xFE][..], &utf16le].concat();
    for bytes in [utf16le, utf16be, marked] {
        assert!(rows(&bytes, card).unwrap_err().to_string().contains("UTF-16"));
    }
    let latin1 = [HEADER.as_bytes(), b"N1,Jos\xE9,04,R1,\n"].concat();
    let problem = rows(&latin1, card).unwrap_err().to_string();
    assert!(problem.starts_with("line 2: byte 7 of the line (0xE9, byte 45 of the file) is not UTF-8"), "{problem}");
}

proptest::proptest! {
    #[test]
    fn survives_anything(bytes: Vec<u8>) {
        let _ = rows(&bytes, |_| Err("no".into()));
    }

    #[test]
    fn survives_anything_under_a_header(tail: String) {
        let _ = rows(format!("{HEADER}{tail}").as_bytes(), |_| Err("no".into()));
    }
}

#[test]
fn more_problems_than_anybody_reads_are_counted() {
    let problems =
        |count: usize| Problems((0..count).map(|n| Problem::file(format!("problem {n}"))).collect()).to_string();
    assert_eq!(problems(2), "2 problems\n  problem 0\n  problem 1");
    assert!(problems(40).ends_with("problem 39"));
    assert!(problems(43).ends_with("problem 39\n  and 3 more, which are shown when these are mended"));
}
