//! Headers as offices spell them, and those that are refused.

use super::*;

fn columns(text: &str) -> Result<Columns, String> {
    let table = Table::parse(text.as_bytes(), known).map_err(|problems| problems.to_string())?;
    Columns::of(&table).map_err(|problems| problems.to_string())
}

#[test]
fn names_are_read_however_they_are_spelt() {
    for (header, remarks) in [
        ("student_id,given_name,card,room,photos", 0),
        ("Student ID,GIVEN NAME,Card,ROOM,Photos,Card Standing,Language", 0),
        ("student\u{a0}id,given-name,\u{feff}card,ｒｏｏｍ,photos", 0),
        ("EMPLID,First Name,Card Number,Room,Photo", 4),
        ("SIS User ID,Preferred Name,CSN,Exam Room,Photo File,Card Status,Preferred Language", 7),
        ("SPRIDEN_ID,SPRIDEN_FIRST_NAME,card,room,photos", 2),
        ("ID,Student Name,card,room,photos", 2),
        ("student_id,given_name,card,room,photos,card_2,Card 3 Status,CARD-3,card 8,Preferred Name,Seat,Matching", 0),
        ("student_id,First Name,card 1,room,photos,Card Number 2,Preferred First Name,Seat No", 4),
        ("NetID,\"Last, First\",card,room,photos", 2),
        ("SIS User ID,Student,card,room,photos", 2),
    ] {
        let columns = columns(header).unwrap_or_else(|why| panic!("{header}: {why}"));
        assert_eq!(columns.remarks.len(), remarks, "{header}: {:?}", columns.remarks);
    }
}

#[test]
fn what_is_unclear_is_refused_and_no_row_is_taken_for_a_header() {
    for (text, wanted) in [
        (
            "student_id,given_name,card,room\n",
            "line 1: missing column `photos`; found `student_id`, `given_name`, `card`, `room`",
        ),
        ("id;first name\n", "line 1: missing columns `card`, `room`, `photos`; found `id`, `first name`"),
        ("student_id,given_name,card,room,photos,card lost\n", "line 1: unknown column `card lost`: remove what"),
        (
            "student_id,given_name,card,room,photos,Room\n",
            "line 1: columns `room` and `Room` are both read as `room`: remove one",
        ),
        (
            "student_id,given_name,card,room,photos,card_9\n",
            "unknown column `card_9`: remove what a roster does not need",
        ),
        ("student_id,given_name,card,room,photos,card_2,Card 2\n", "line 1: column `Card 2` is there twice"),
        (
            "student_id,given_name,card,room,photos,card_2_standing\n",
            "line 1: column `card_2_standing` is there, but no column `card_2`",
        ),
        ("student_id,given_name,card,room,photos,room\n", "line 1: column `room` is there twice"),
        ("EMPLID,NetID,given_name,card,room,photos\n", "columns `EMPLID` and `NetID` are both read as `student_id`"),
        ("Name,First Name,id,card,room,photos\n", "columns `Name` and `First Name` are both read as `given_name`"),
        ("\"student_id,given_name,card,room,photos\"\n", "each line stands in quotes as a whole"),
    ] {
        let said = columns(text).unwrap_err();
        assert!(said.contains(wanted), "{text:?}: {said} lacks {wanted:?}");
    }
    let said = columns("N1,Ada,04A2B3C4,R1,a.jpg\n").unwrap_err();
    assert!(said.starts_with("line 1: no header: a line with `student_id`, ") && !said.contains("Ada"), "{said}");
}
