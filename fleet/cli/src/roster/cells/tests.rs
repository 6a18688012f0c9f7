//! Tables of cells.

use super::*;

#[test]
fn numbers_and_rooms_are_read_in_their_plain_form() {
    for (text, wanted) in [
        ("N1", "N1"),
        ("'00123", "00123"),
        ("１２３", "123"),
        ("1\u{200b}2\u{feff}3", "123"),
        ("\u{a0}123\u{202f}", "123"),
        ("3E5", "3E5"),
        ("12.345.678", "12.345.678"),
    ] {
        assert_eq!(student(text).map(String::from).as_deref(), Ok(wanted), "{text:?}");
        assert_eq!(room(text).map(String::from).as_deref(), Ok(wanted), "{text:?}");
    }
    assert_eq!(room("101.0").map(String::from).as_deref(), Ok("101.0"));
}

#[test]
fn numbers_and_rooms_that_are_something_else_are_refused() {
    for (text, wanted) in [
        ("", "empty"),
        ("\u{200b}", "empty"),
        ("'", "empty"),
        ("1.23E+15", "`1.23E+15` is a number in E+ notation"),
        ("12-Nov", "`12-Nov` is a date"),
        ("1,234", "`1,234` is a number with thousands separators"),
        ("NULL", "`NULL` stands for an empty cell"),
        ("#N/A", "error value"),
        ("N 1", "\"N 1\" is not an identifier"),
        ("N\u{a0}1", "\"N 1\" is not an identifier"),
        ("\u{410}1", "character 1 is U+0410"),
    ] {
        for said in [student(text).map(String::from).unwrap_err(), room(text).map(String::from).unwrap_err()] {
            assert!(said.contains(wanted), "{text:?}: {said} lacks {wanted:?}");
        }
    }
    assert!(student("12345.0").is_err_and(|said| said.contains("decimals")));
}

#[test]
fn a_card_is_never_repeated() {
    let refuse = |_: &str| Err("not a card".to_owned());
    for (text, wanted) in [
        ("1.30479E+15", "E+ notation"),
        ("1304792,0", "decimals"),
        ("1304792.0", "not a card (a program has appended decimals"),
        ("1,304,792", "thousands"),
        ("1234567", "not a card (a spreadsheet may have taken off leading zeros"),
        ("77771716X", "not a card"),
    ] {
        let said = card(text, refuse).unwrap_err();
        assert!(said.contains(wanted) && !said.contains(text), "{text}: {said}");
    }
    let name = |text: &str| Ok(CardPseudonym::from_bytes([text.len() as u8; 32]));
    assert_eq!(card("'０4A2B3C4\u{200b}", name).unwrap(), CardPseudonym::from_bytes([8; 32]));
}

#[test]
fn standings_are_these_words_and_no_others() {
    for text in ["", "active", "Active", "ACTIVE ", "Valid"] {
        assert_eq!(standing(text), Ok(CardStanding::Active), "{text}");
    }
    for text in ["revoked", "Inactive", "LOST", "Stolen", "Blocked", "expired"] {
        assert_eq!(standing(text), Ok(CardStanding::Revoked), "{text}");
    }
    for text in ["yes", "TRUE", "1", "0", "A", "actve", "not active", "-"] {
        let said = standing(text).unwrap_err();
        assert!(
            said.starts_with(&format!("`{text}` is not known; a good card is `active`, `valid` or an empty cell")),
            "{said}"
        );
        assert!(said.contains("`lost`, `stolen`"), "{said}");
    }
}

#[test]
fn who_opted_out_is_none_and_nothing_else_is() {
    for text in ["", " ", "face", "Face"] {
        assert_eq!(matching(text), Ok(Matching::Face), "{text:?}");
    }
    for text in ["none", "NONE", " None "] {
        assert_eq!(matching(text), Ok(Matching::None), "{text:?}");
    }
    for text in ["no", "nein", "0", "false", "opt out", "non e", "n/a"] {
        let said = matching(text).unwrap_err();
        assert!(said.contains("is not known") && said.contains("it is `none`"), "{said}");
    }
}

#[test]
fn seats_are_short_lines_that_no_spreadsheet_has_changed() {
    for (text, wanted) in [
        ("", None),
        ("42", Some("42")),
        (" Row\u{a0} C, 7 ", Some("Row C, 7")),
        ("B-12", Some("B-12")),
        ("座1", Some("座1")),
    ] {
        assert_eq!(seat(text).unwrap().as_ref().map(Seat::as_str), wanted, "{text:?}");
    }
    for (text, wanted) in [
        ("n/a", "stands for an empty cell: empty it"),
        ("12-Nov", "a date"),
        ("42.0", "decimals"),
        ("1.2E+05", "E+ notation"),
        ("#REF!", "error value"),
        (&"x".repeat(25), "1 to 24 characters"),
    ] {
        let said = seat(text).unwrap_err();
        assert!(said.contains(wanted), "{text:?}: {said}");
    }
}

#[test]
fn languages_are_tags() {
    let read = |text| language(text).map(|tag| tag.map(String::from));
    assert_eq!((read(""), read("en_US")), (Ok(None), Ok(Some("en-US".into()))));
    assert!(read("Spanish").is_err());
}

#[test]
fn photos_are_parted_and_stay_inside_the_folder() {
    for (text, wanted) in [
        ("", &[][..]),
        ("a.jpg; sub/b.png;", &["a.jpg", "sub/b.png"]),
        ("a.jpg|b.jpg\nc.jpg\r\nd.jpg", &["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
        ("Lovelace, Ada.jpg", &["Lovelace, Ada.jpg"]),
        ("sub\\a.jpg", &["sub/a.jpg"]),
        (".\\a.jpg", &["a.jpg"]),
        ("C:\\fakepath\\a.jpg", &["a.jpg"]),
        ("00123", &["00123"]),
    ] {
        assert_eq!(photos(text).unwrap(), wanted, "{text:?}");
    }
    for text in [
        "../a.jpg",
        "a.jpg, ../b.jpg",
        "/etc/a.jpg",
        "\\\\server\\a.jpg",
        "C:\\Users\\me\\a.jpg",
        "a.jpg;C:/b.jpg",
        "a\tb.jpg",
    ] {
        assert!(
            photos(text).is_err_and(|said| said.contains("is not a file name inside the photo folder")),
            "{text:?}"
        );
    }
    assert!(photos("1.2E+09").is_err_and(|said| said.contains("format the column as text")));
}
