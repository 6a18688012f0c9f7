//! Tables of good and bad rosters. They never touch a file.

use examgate::domain::{CardStanding, MAX_CARDS, Matching};

use super::{super::columns::PACS_MARK, *};

const HEADER: &str = "student_id,given_name,card,room,photos\n";

/// Stands for the real forms: hexadecimal only, pseudonym = the bytes themselves.
fn card(text: &str) -> Result<CardPseudonym, String> {
    let bytes = hex::decode(text).map_err(|e| format!("not hexadecimal: {e}"))?;
    let mut name = [0; 32];
    name[..bytes.len()].copy_from_slice(&bytes);
    Ok(CardPseudonym::from_bytes(name))
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn read(text: &str) -> Result<Vec<Row>, Vec<String>> {
    let read = super::read(text.as_bytes(), card).map_err(|problems| said(&problems.0))?;
    if read.problems.is_empty() { Ok(read.rows) } else { Err(said(&read.problems)) }
}

#[test]
fn reads_what_is_there() {
    let text = "room,card_standing,photos,card,given_name,student_id\r\n\
                R1,,a.jpg; sub/b.png,04a2b3c4,\"Ada, the first\",N1\r\n\
                \r\n\
                R2,Revoked,,04a2b3c5,Zoe\u{308},N2\r\n\
                ,,,,,\r\n";
    let rows = read(text).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].line, rows[1].line), (2, 4));
    assert_eq!(rows[0].entry.student.given_name, "Ada, the first");
    assert_eq!(rows[0].photos, ["a.jpg", "sub/b.png"]);
    assert_eq!(
        (rows[0].entry.card.standing, rows[1].entry.card.standing),
        (CardStanding::Active, CardStanding::Revoked)
    );
    assert_eq!((rows[1].entry.room.as_str(), rows[1].entry.student.given_name.as_str()), ("R2", "Zoë"));
    assert!(rows[1].photos.is_empty());
}

#[test]
fn a_language_is_a_tag_or_nothing() {
    let header = "student_id,given_name,card,room,photos,language\n";
    let rows = read(&format!("{header}N1,Ada,04,R1,,es-MX\nN2,Bo,05,R1,,\n")).unwrap();
    let spoken: Vec<_> = rows.iter().map(|row| row.entry.student.language.as_ref().map(|tag| tag.as_str())).collect();
    assert_eq!(spoken, [Some("es-MX"), None]);
    let refused = read(&format!("{header}N1,Ada,04,R1,,Spanish\n")).unwrap_err();
    assert_eq!(
        refused,
        ["line 2: `language`: \"Spanish\" is no language tag; wanted is BCP 47, such as en, es or zh-Hans"]
    );
}

#[test]
fn each_cell_of_a_card_is_a_card_and_an_empty_one_is_none() {
    let header = "student_id,given_name,card,card_2,card_2_standing,Card 8,card_standing,room,photos\n";
    let rows =
        read(&format!("{header}N1,Ada,04,05,lost,06,,R1,\nN2,Bo,07,,,,revoked,R1,\nN3,Cy,08,,,09,,R1,\n")).unwrap();
    let held = |at: usize| -> Vec<_> { rows[at].entry.cards().map(|card| (card.pseudonym, card.standing)).collect() };
    let with = |text, standing| (card(text).unwrap(), standing);
    let (good, bad) = (CardStanding::Active, CardStanding::Revoked);
    assert_eq!(held(0), [with("04", good), with("05", bad), with("06", good)]);
    assert_eq!((held(1), held(2)), (vec![with("07", bad)], vec![with("08", good), with("09", good)]));
    let all = "student_id,given_name,card,card_2,card_3,card_4,card_5,card_6,card_7,card_8,room,photos\n";
    let rows = read(&format!("{all}N1,Ada,01,02,03,04,05,06,07,08,R1,\n")).unwrap();
    assert_eq!(rows[0].entry.cards().count(), MAX_CARDS);
}

#[test]
fn a_number_of_an_access_control_system_is_a_card_too_and_may_stand_alone() {
    let of = |text: &str| match text.strip_prefix(PACS_MARK) {
        Some(number) => card(&format!("ff{number}")),
        None => card(text),
    };
    let read = |text: &str| {
        let read = super::read(text.as_bytes(), of).map_err(|problems| said(&problems.0))?;
        if read.problems.is_empty() { Ok(read.rows) } else { Err(said(&read.problems)) }
    };
    let held = |row: &Row| -> Vec<_> { row.entry.cards().map(|card| (card.pseudonym, card.standing)).collect() };
    let with = |text, standing| (card(text).unwrap(), standing);
    let (good, bad) = (CardStanding::Active, CardStanding::Revoked);
    let header = "student_id,given_name,card,pacs,PACS standing,room,photos\n";
    let rows = read(&format!("{header}N1,Ada,04,05,lost,R1,\nN2,Bo,,06,,R1,\nN3,Cy,07,,,R1,\n")).unwrap();
    assert_eq!(held(&rows[0]), [with("04", good), with("ff05", bad)]);
    assert_eq!((held(&rows[1]), held(&rows[2])), (vec![with("ff06", good)], vec![with("07", good)]));
    let rows = read("student_id,given_name,pacs,room,photos\nN1,Ada,05,R1,\n").unwrap();
    assert_eq!(held(&rows[0]), [with("ff05", good)]);
    let refused = [
        ("student_id,given_name,pacs,room,photos\nN1,Ada,05,R1,\nN2,Bo,,R1,\n", "line 3: `card`: empty"),
        (
            "student_id,given_name,pacs,room,photos\nN1,Ada,05,R1,\nN2,Bo,05,R1,\n",
            "line 3: the same card is already on line 2",
        ),
        ("student_id,given_name,pacs,room,photos\nN1,Ada,xy,R1,\n", "line 2: `pacs`: not hexadecimal"),
        ("student_id,given_name,room,photos\nN1,Ada,R1,\n", "missing column `card`"),
    ];
    for (text, why) in refused {
        let told = read(text).unwrap_err().join("; ");
        assert!(told.contains(why), "{text}: {told}");
    }
    let text = "student_id,given_name,desfire,DESFire Status,piv,room,photos\nN1,Ada,05,lost,,R1,\nN2,Bo,,,06,R1,\n";
    let number = |text: &str| match unmarked(text) {
        rest if text.starts_with("desfire:") => card(&format!("dd{rest}")),
        rest if text.starts_with("piv:") => card(&format!("ee{rest}")),
        _ => card(text),
    };
    let rows = super::read(text.as_bytes(), number).unwrap().rows;
    assert_eq!((held(&rows[0]), held(&rows[1])), (vec![with("dd05", bad)], vec![with("ee06", good)]));
    let nine = "student_id,given_name,card,card_2,card_3,card_4,card_5,card_6,card_7,card_8,pacs,room,photos\n\
                N1,Ada,01,02,03,04,05,06,07,08,09,R1,\n";
    assert!(read(nine).unwrap_err()[0].contains("more than 8 cards"));
    let eight = "student_id,given_name,card_2,card_3,card_4,card_5,card_6,card_7,card_8,pacs,room,photos\n\
                 N1,Ada,02,03,04,05,06,07,08,09,R1,\n";
    assert_eq!(held(&read(eight).unwrap()[0]).len(), MAX_CARDS);
}

#[test]
fn names_seats_and_opting_out_are_read_and_one_seat_for_two_is_remarked() {
    let text = "student_id,given_name,preferred_name,card,room,photos,seat,matching\n\
                N1,Augusta,Ada,04,R1,,Row  C 7,\nN2,Bo,Bo,05,R1,,,none\nN3,Cy,,06,R2,,Row C 7,FACE\nN4,Di,,07,R1,,'Row C 7,\n";
    let read = super::read(text.as_bytes(), card).unwrap();
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    let told: Vec<_> = read
        .rows
        .iter()
        .map(|Row { entry, .. }| (entry.student.called(), entry.seat.as_ref().map(Seat::as_str), entry.matching))
        .collect();
    let wanted = [
        ("Ada", Some("Row C 7"), Matching::Face),
        ("Bo", None, Matching::None),
        ("Cy", Some("Row C 7"), Matching::Face),
        ("Di", Some("Row C 7"), Matching::Face),
    ];
    assert_eq!(told, wanted);
    assert_eq!(read.rows[0].entry.student.given_name, "Augusta");
    assert_eq!(read.rows[1].entry.student.preferred_name, None, "it is the same name");
    assert_eq!(said(&read.remarks), ["line 5: `seat`: the same seat of the same room is on line 2 too"]);
}

#[test]
fn a_roster_reads_the_same_however_it_was_saved() {
    let plain = "student_id,given_name,card,room,photos\nN1,Zoë,04a2b3c4,007,a.jpg\nN2,\"Bo, B.\",04a2b3c5,007,\n";
    let semicolons = "sep=;\r\nstudent_id;given_name;card;room;photos\r\nN1;Zoë;04a2b3c4;=\"007\";a.jpg\r\nN2;Bo, B.;04a2b3c5;'007;;;\r\n;;;;\r\n";
    let titled = "Final exam,,,,\n\nStudent ID,Given Name,CARD,Room,Photos,,\nN1,Zoe\u{308},04a2b3c4,007,a.jpg,,\nN2,\"Bo, B.\",04a2b3c5,007,,,\n";
    let portal = "EMPLID\tStudent Name\tCard Number\tRoom\tPhoto\rN1\tX, Zoë\t04a2b3c4\t007\ta.jpg\rN2\t\"Y, Bo  B.\"\t04a2b3c5\t007\t";
    let utf16: Vec<u8> =
        format!("\u{feff}{}", portal.replace('\r', "\r\n")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = format!("\u{feff}{plain}");
    for bytes in
        [plain.as_bytes(), marked.as_bytes(), semicolons.as_bytes(), titled.as_bytes(), portal.as_bytes(), &utf16]
    {
        let read = super::read(bytes, card).unwrap();
        assert!(read.problems.is_empty(), "{:?}: {:?}", String::from_utf8_lossy(bytes), read.problems);
        let rows: Vec<_> = read
            .rows
            .iter()
            .map(|row| (row.entry.student.id.as_str(), row.entry.room.as_str(), row.photos.len()))
            .collect();
        assert_eq!(rows, [("N1", "007", 1), ("N2", "007", 0)]);
        assert_eq!(read.rows[0].entry.student.given_name, "Zoë");
        assert_eq!(read.rows[1].entry.student.given_name.replace(',', ""), "Bo B.");
    }
}

#[test]
fn lines_are_counted_over_quoted_line_breaks() {
    for end in ["\n", "\r", "\r\n"] {
        let text = format!("{HEADER}N1,\"A\nda\",04,R1,\nN1,Bob,05,R1,\n").replace('\n', end);
        assert_eq!(
            read(&text).unwrap_err(),
            [
                "line 2: `given_name`: a line break or other control character inside: is a quote left open?",
                "line 4: student `N1` is already on line 2",
            ]
        );
    }
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
        ("student_id,given_name,card,room,photos,card lost\n", &["line 1: unknown column `card lost`"]),
        ("student_id,given_name,card,room,photos,room\n", &["line 1: column `room` is there twice"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R1\n", &["line 2: the header has 5 fields, this line 4:"]),
        (
            "student_id,given_name,card,room,photos\nN1,Ada,04,R1,,x\n",
            &["line 2: the header has 5 fields, this line 6:"],
        ),
        (
            ",student_id,given_name,card,room,photos\n0,N1,Ada,04,R1,\n",
            &["line 2: cell 1 stands under no column's name"],
        ),
        ("student_id,given_name,card,room,photos\nN1;Ada;04;R1;\n", &["line 2: ", "parted by `;`"]),
        ("student_id,given_name,card,room,photos\nN 1,Ada,04,R1,\n", &["line 2: `student_id`: ", "N 1"]),
        ("student_id,given_name,card,room,photos\n,Ada,04,R1,\n", &["line 2: `student_id`: empty"]),
        ("student_id,given_name,card,room,photos\n1.2E+15,Ada,04,R1,\n", &["line 2: `student_id`: `1.2E+15` is", "E+"]),
        ("student_id,given_name,card,room,photos\n12-Nov,Ada,04,R1,\n", &["line 2: `student_id`: `12-Nov` is a date"]),
        ("student_id,given_name,card,room,photos\nN1,,04,R1,\n", &["line 2: `given_name`: empty"]),
        ("student_id,given_name,card,room,photos\nN1,\u{200b}\u{2060},04,R1,\n", &["line 2: `given_name`: "]),
        ("student_id,given_name,card,room,photos\nN1,\u{202e}adA,04,R1,\n", &["line 2: `given_name`: U+202E"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,,R1,\n", &["line 2: `card`: empty"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,zz,R1,\n", &["line 2: `card`: not hexadecimal"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,1.2E+09,R1,\n", &["line 2: `card`: ", "spreadsheet"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R/1,\n", &["line 2: `room`: "]),
        (
            "student_id,given_name,card,room,photos\nN1,Ada,04,1.0E+02,\n",
            &["line 2: `room`: `1.0E+02` is a number in E+"],
        ),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R1,../x.jpg\n", &["line 2: `photos`: `../x.jpg` is not"]),
        ("student_id,given_name,card,room,photos\nN1,Ada,04,R1,/etc/x.jpg\n", &["line 2: `photos`: "]),
        (
            "student_id,given_name,card,room,photos\nN1,A,0a,R,\nN2,B,0A,R,\n",
            &["line 3: the same card is already on line 2"],
        ),
        (
            "student_id,given_name,card,room,photos\nN1,A,0a,R,\nn1,B,0b,R,\n",
            &["line 3: student `n1` is already on line 2 as `N1`"],
        ),
        ("student_id,given_name,card,room,photos\nN1,A,0a,R,\nTotal,1,,,\n", &["line 3: neither a card nor a room"]),
        (
            "student_id,given_name,card,room,photos\nN1,A,0a,R,\nStudent ID,Given name,Card,Room,Photos\n",
            &["line 3: a header once more"],
        ),
        (
            "student_id,given_name,card,room,photos,card_2\nN1,A,0a,R,,0b\nN2,B,0B,R,,\n",
            &["line 3: the same card is already on line 2"],
        ),
        (
            "student_id,given_name,card,room,photos,card_2,card_3\nN1,A,0a,R,,0b,0c\nN2,B,0d,R,,,0b\n",
            &["line 3: the same card is already on line 2"],
        ),
        (
            "student_id,given_name,card,room,photos,card_2\nN1,A,0a,R,,0A\n",
            &["line 2: the same card is on this line twice"],
        ),
        ("student_id,given_name,card,room,photos,card_2\nN1,A,0a,R,,1.2E+09\n", &["line 2: `card_2`: ", "spreadsheet"]),
        (
            "student_id,given_name,card,room,photos,card_2,card_2_standing\nN1,A,0a,R,,,lost\n",
            &["line 2: `card_2_standing`: filled in, and `card_2` is empty"],
        ),
        (
            "student_id,given_name,card,room,photos,card_2,card_2_standing\nN1,A,0a,R,,0b,maybe\n",
            &["line 2: `card_2_standing`: `maybe` is not known"],
        ),
        (
            "student_id,given_name,card,room,photos,preferred_name\nN1,A,0a,R,,123\n",
            &["line 2: `preferred_name`: there is no letter in it"],
        ),
        (
            "student_id,given_name,card,room,photos,seat\nN1,A,0a,R,,12-Nov\n",
            &["line 2: `seat`: `12-Nov` is a date, which a spreadsheet has made"],
        ),
        (
            "student_id,given_name,card,room,photos,seat\nN1,A,0a,R,,the third one from the window\n",
            &["line 2: `seat`: ", "1 to 24 characters"],
        ),
        (
            "student_id,given_name,card,room,photos,matching\nN1,A,0a,R,,no\n",
            &["line 2: `matching`: `no` is not known", "`none`"],
        ),
        (
            "student_id,given_name,card,room,photos,card_standing\nN1,A,0a,R,,yes\n",
            &["line 2: `card_standing`: `yes` is not known", "`lost`"],
        ),
        (
            "student_id,given_name,card,room,photos\nN1,\"Ada,04,R1,\n",
            &["line 2: the quote that opens in cell 2 is never closed"],
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
    let text = format!("{HEADER}N1,,zz,R 1,\nN1,Bob,05\nN1,Eve,06,R1,\nN2,\"Max,07,R1,\n");
    let lines: Vec<_> = read(&text).unwrap_err().iter().map(|p| p.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["line 2", "line 2", "line 2", "line 3", "line 4", "line 5"]);
}

#[test]
fn numbers_that_a_spreadsheet_rounded_are_refused() {
    let text = "student_id,given_name,card,room,photos\n20240017300100100,Ada,04,R1,\n20240017300200400,Bo,05,R1,\n";
    let problems = read(text).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("line 2: `student_id`: the number has zeros from its 16th digit on"),
        "{problems:?}"
    );
}

#[test]
fn remarks_do_not_hinder() {
    let text = "EMPLID,given_name,card,room,photos\n12345,A,04,007,\n12346,B,05,7,\n12347,C,06,7,\n12348,D,07,7,\n123,E,08,7,\n";
    let read = super::read(text.as_bytes(), card).unwrap();
    assert_eq!((read.rows.len(), read.problems.len()), (5, 0), "{:?}", read.problems);
    assert_eq!(
        said(&read.remarks),
        [
            "line 1: column `EMPLID` is read as `student_id`",
            "line 2: `room`: `007` here and `7` elsewhere may be one room: spell it in one way",
            "line 6: `student_id`: the number is shorter than the 5 digits of most: check that a spreadsheet has not taken off zeros in front",
        ]
    );
}

proptest::proptest! {
    #[test]
    fn survives_anything(bytes: Vec<u8>) {
        let _ = super::read(&bytes, |_| Err("no".into()));
    }

    #[test]
    fn survives_anything_under_a_header(tail: String) {
        let _ = super::read(format!("{HEADER}{tail}").as_bytes(), |_| Err("no".into()));
    }
}
