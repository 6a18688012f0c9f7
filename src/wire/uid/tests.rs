//! Golden tables for identifiers and their printed forms, and round trips through every form.
//! Knows the printing side, which the house itself never does.

use proptest::prelude::*;

use super::*;

fn hex_of(form: UidForm, text: &str, length: Option<UidLength>) -> Result<String, UidTextError> {
    form.parse(text, length).map(|uid| hex::encode(uid.as_bytes()))
}

/// What a campus system would print.
fn print(form: UidForm, uid: &Uid) -> String {
    let mut bytes = uid.as_bytes().to_vec();
    if form.order() == ReaderOrder::Reversed {
        bytes.reverse();
    }
    match form {
        UidForm::Hex | UidForm::HexReversed => hex::encode_upper(bytes),
        UidForm::Decimal | UidForm::DecimalReversed => {
            bytes.iter().fold(0_u128, |value, &b| value << 8 | u128::from(b)).to_string()
        }
    }
}

#[test]
fn reads_what_campus_systems_print() {
    use UidForm::{Decimal, DecimalReversed, Hex, HexReversed};
    use UidLength::{Eight, Four, Seven, Ten};
    let table = [
        (Hex, "DEADBEEF", None, "deadbeef"),
        (Hex, " de:ad:be:ef\t", None, "deadbeef"),
        (Hex, "DE-AD-BE-EF", None, "deadbeef"),
        (Hex, "04 A2 24 5B 6F 61 80", None, "04a2245b6f6180"),
        (Hex, "04A2 245B 6F61 80", Some(Seven), "04a2245b6f6180"),
        (Hex, "04a2245b6f6180112233", Some(Ten), "04a2245b6f6180112233"),
        (Hex, "01FE0123456789AB", None, "01fe0123456789ab"),
        (Hex, "E0:04:01:00:12:34:56:78", Some(Eight), "e004010012345678"),
        (HexReversed, "78563412000104E0", None, "e004010012345678"),
        (HexReversed, "EFBEADDE", None, "deadbeef"),
        (HexReversed, "80616F5B24A204", None, "04a2245b6f6180"),
        (Decimal, "3735928559", None, "deadbeef"),
        (Decimal, "1", None, "00000001"),
        (Decimal, "0", Some(Four), "00000000"),
        (Decimal, "0000000258", None, "00000102"),
        (Decimal, "4294967295", None, "ffffffff"),
        (Decimal, "1304176943391104", None, "04a2245b6f6180"),
        (Decimal, "258", Some(Seven), "00000000000102"),
        (Decimal, "72057594037927936", None, "0100000000000000"),
        (Decimal, "143553489122331051", None, "01fe0123456789ab"),
        (DecimalReversed, "12360524198932774401", None, "01fe0123456789ab"),
        (DecimalReversed, "4022250974", None, "deadbeef"),
        (DecimalReversed, "36135927917355524", None, "04a2245b6f6180"),
        (DecimalReversed, "4294967296", Some(Seven), "00000000010000"),
        (Decimal, "1208925819614629174706175", None, "ffffffffffffffffffff"),
    ];
    for (form, text, length, expected) in table {
        assert_eq!(hex_of(form, text, length).as_deref(), Ok(expected), "{form} {text:?} {length:?}");
    }
}

#[test]
fn says_what_is_wrong_and_what_is_allowed() {
    use UidForm::{Decimal, DecimalReversed, Hex, HexReversed};
    use UidLength::{Four, Seven};
    let character = |position, form| UidTextError::Character { position, form };
    let table = [
        (Hex, "", None, UidTextError::Empty),
        (Decimal, "  ", None, UidTextError::Empty),
        (Hex, "DEADBEEG", None, character(8, Hex)),
        (Hex, "  xDEADBEEF", None, character(3, Hex)),
        (Hex, "0xDEADBEEF", None, character(2, Hex)),
        (Hex, "D:EADBEEF", None, character(2, Hex)),
        (Hex, "DE::ADBEEF", None, character(4, Hex)),
        (Hex, ":DEADBEEF", None, character(1, Hex)),
        (Hex, "DEADBEEF:", None, character(9, Hex)),
        (Hex, "DE;AD;BE;EF", None, character(3, Hex)),
        (Hex, "ДEADBEEF", None, character(1, Hex)),
        (HexReversed, "DEADBEE", None, UidTextError::Digits { digits: 7 }),
        (Hex, "DEADBEEF0", None, UidTextError::Digits { digits: 9 }),
        (Hex, "DEADBEEF00", None, UidTextError::Digits { digits: 10 }),
        (Hex, "DEADBEEF", Some(Seven), UidTextError::OtherLength { found: Four, stated: Seven }),
        (Decimal, "DEADBEEF", None, character(1, Decimal)),
        (Decimal, "3.7E+09", None, character(2, Decimal)),
        (Decimal, "-12345678", None, character(1, Decimal)),
        (Decimal, "4294967296", None, UidTextError::Ambiguous),
        (Decimal, "281474976710655", None, UidTextError::Ambiguous),
        (Decimal, "18446744073709551616", None, UidTextError::Ambiguous),
        (Hex, "01FE0123456789AB", Some(Seven), UidTextError::OtherLength { found: UidLength::Eight, stated: Seven }),
        (DecimalReversed, "4294967296", Some(Four), UidTextError::TooLarge { length: Four }),
        (Decimal, "72057594037927936", Some(Seven), UidTextError::TooLarge { length: Seven }),
        (Decimal, "1208925819614629174706176", None, UidTextError::TooLarge { length: UidLength::Ten }),
        (
            Decimal,
            "9999999999999999999999999999999999999999999",
            None,
            UidTextError::TooLarge { length: UidLength::Ten },
        ),
    ];
    for (form, text, length, expected) in table {
        assert_eq!(hex_of(form, text, length), Err(expected), "{form} {text:?} {length:?}");
    }
    let shown = UidForm::Hex.parse("12:3", None).unwrap_err().to_string();
    assert_eq!(shown, "there are 3 hexadecimal digits; allowed are 8, 14, 16 and 20 (4, 7, 8 and 10 bytes)");
    let shown = UidForm::Decimal.parse("DEADBEEF", None).unwrap_err().to_string();
    assert_eq!(shown, "character 1 is not allowed; decimal has digits only");
}

#[test]
fn knows_random_identifiers() {
    let table = [("08112233", true), ("18112233", false), ("04112208", false), ("08112233445566", false)];
    for (text, random) in table {
        assert_eq!(UidForm::Hex.parse(text, None).unwrap().is_random(), random, "{text}");
    }
    let reversed = Uid::from_reader(&[0x33, 0x22, 0x11, 0x08], ReaderOrder::Reversed).unwrap();
    assert!(reversed.is_random(), "judged in canonical order");
}

#[test]
fn is_never_shown() {
    let uid = UidForm::Hex.parse("DEADBEEF", None).unwrap();
    assert_eq!(format!("{uid:?}"), "Uid(4 bytes, redacted)");
}

#[test]
fn names_are_the_same_everywhere() {
    for form in UidForm::ALL {
        assert_eq!(form.name().parse(), Ok(form));
        assert_eq!(serde_json::to_string(&form).unwrap(), format!("\"{form}\""));
    }
    let unknown = "Hex".parse::<UidForm>().unwrap_err().to_string();
    assert_eq!(unknown, "`Hex` is not a form of identifier; allowed are hex, hex-reversed, decimal, decimal-reversed");
    assert_eq!(serde_json::from_str::<UidLength>("7").unwrap(), UidLength::Seven);
    assert!(serde_json::from_str::<UidLength>("5").is_err());
}

fn uids() -> impl Strategy<Value = Uid> {
    (prop_oneof![Just(4_usize), Just(7), Just(8), Just(10)], any::<[u8; 10]>())
        .prop_map(|(length, bytes)| Uid::from_reader(&bytes[..length], ReaderOrder::AsSent).unwrap())
}

proptest! {
    #[test]
    fn every_form_reads_what_it_prints(uid in uids(), form in proptest::sample::select(&UidForm::ALL[..])) {
        let length = UidLength::try_from(uid.as_bytes().len()).unwrap();
        let text = print(form, &uid);
        prop_assert_eq!(form.parse(&text, Some(length)), Ok(uid.clone()));
        // Without the length stated the answer is the same or a refusal, unless lost zeros make it a shorter number.
        match form.parse(&text, None) {
            Ok(read) if read != uid => prop_assert!(read.as_bytes().len() < uid.as_bytes().len()),
            Ok(_) | Err(UidTextError::Ambiguous) => {}
            Err(problem) => prop_assert!(false, "{}", problem),
        }
    }

    #[test]
    fn any_text_is_survived(text in any::<String>(), form in proptest::sample::select(&UidForm::ALL[..])) {
        if let Ok(uid) = form.parse(&text, None) {
            prop_assert!(UidLength::try_from(uid.as_bytes().len()).is_ok());
        }
    }
}
