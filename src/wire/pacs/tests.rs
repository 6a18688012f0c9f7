//! Cards that others printed, an independent printer, and answers of every shape.

use proptest::prelude::*;

use super::*;

/// What a form is made of, as tables of access control vendors draw it: P, F, C and then, for each parity bit, the places it covers
/// and its own, `E` for an even and `O` for an odd sum. Written down apart from the reading side.
fn drawing(form: PacsForm) -> (&'static str, &'static [&'static str]) {
    match form {
        PacsForm::H10301 => {
            ("PFFFFFFFFCCCCCCCCCCCCCCCCP", &["EXXXXXXXXXXXX.............", ".............XXXXXXXXXXXXO"])
        }
        PacsForm::H10306 => (
            "PFFFFFFFFFFFFFFFFCCCCCCCCCCCCCCCCP",
            &["EXXXXXXXXXXXXXXXX.................", ".................XXXXXXXXXXXXXXXXO"],
        ),
        PacsForm::Corporate35 => (
            "PPFFFFFFFFFFFFCCCCCCCCCCCCCCCCCCCCP",
            &[
                ".EXX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.",
                ".XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.O",
                "OXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
            ],
        ),
        PacsForm::H10302 => (
            "PCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCP",
            &["EXXXXXXXXXXXXXXXXXX..................", "..................XXXXXXXXXXXXXXXXXXO"],
        ),
        PacsForm::H10304 => (
            "PFFFFFFFFFFFFFFFFCCCCCCCCCCCCCCCCCCCP",
            &["EXXXXXXXXXXXXXXXXXX..................", "..................XXXXXXXXXXXXXXXXXXO"],
        ),
        PacsForm::Corporate48 => (
            "PPFFFFFFFFFFFFFFFFFFFFFFCCCCCCCCCCCCCCCCCCCCCCCP",
            &[
                ".E.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.",
                "..XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.XX.O",
                "OXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
            ],
        ),
    }
}

/// The bits of a number, as a text of ones and zeros.
fn print(form: PacsForm, facility: u64, number: u64) -> String {
    let (fields, parities) = drawing(form);
    let mut bits = vec![false; fields.len()];
    for (letter, mut value) in [(b'F', facility), (b'C', number)] {
        for at in (0..fields.len()).rev().filter(|at| fields.as_bytes()[*at] == letter) {
            bits[at] = value & 1 == 1;
            value >>= 1;
        }
    }
    for parity in parities {
        let (own, odd) = match (parity.find('E'), parity.find('O')) {
            (Some(at), _) => (at, false),
            (_, Some(at)) => (at, true),
            _ => panic!("{parity} has no parity bit"),
        };
        let ones = parity.bytes().zip(&bits).filter(|(place, bit)| *place == b'X' && **bit).count();
        bits[own] = (ones % 2 == 1) != odd;
    }
    bits.into_iter().map(|bit| if bit { '1' } else { '0' }).collect()
}

/// A text of ones and zeros as a bit string: unused bits, then bytes.
fn pack(bits: &str) -> Vec<u8> {
    let unused = (8 - bits.len() % 8) % 8;
    let mut packed = vec![unused as u8];
    let padded = format!("{bits}{}", "0".repeat(unused));
    packed
        .extend(padded.as_bytes().chunks(8).map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap()));
    packed
}

fn bits_of(text: &str) -> PacsBits {
    let packed = pack(text);
    PacsBits::of_bit_string(packed[0], &packed[1..]).unwrap()
}

fn value(form: PacsForm, bits: &PacsBits) -> Result<String, PacsError> {
    form.read(bits).map(|number| number.roster_value().to_string())
}

/// Cards in the help and the tests of the Proxmark3 client, what a terminal program noted of an OMNIKEY, and what an OMNIKEY gave for an
/// iCLASS card (docs/decisions/0150).
#[test]
fn cards_that_others_printed_are_read_with_their_parity() {
    let low = |raw: u64, bits: u32| format!("{raw:064b}")[64 - bits as usize..].to_owned();
    let table = [
        (PacsForm::H10301, "10001111100000001010100011".to_owned(), "h10301:31-337"),
        (PacsForm::H10301, low(0x20_06EC_0C86, 26), "h10301:118-1603"),
        (PacsForm::Corporate35, low(0x2E_0EC0_0C87, 35), "corporate-1000-35:118-1603"),
        (PacsForm::Corporate48, low(0x0001_4000_7600_0C86, 48), "corporate-1000-48:118-1603"),
        (PacsForm::H10304, low(0x81_258C_47D0 >> 3, 37), "h10304:587-50301"),
        (PacsForm::H10302, low(0x81_258C_47D0 >> 3, 37), "h10302:307807357"),
        (PacsForm::H10304, low(0x31_0BC5_3938, 37), "h10304:4284-171164"),
    ];
    for (form, bits, expected) in table {
        assert_eq!(value(form, &bits_of(&bits)).as_deref(), Ok(expected), "{form} {bits}");
    }
}

#[test]
fn another_length_and_damaged_bits_are_refused() {
    let good = "10001111100000001010100011";
    assert_eq!(PacsForm::H10306.read(&bits_of(good)), Err(PacsError::Length { found: 26, form: PacsForm::H10306 }));
    for at in 0..good.len() {
        let mut damaged = good.as_bytes().to_vec();
        damaged[at] ^= 1;
        let damaged = String::from_utf8(damaged).unwrap();
        assert_eq!(value(PacsForm::H10301, &bits_of(&damaged)), Err(PacsError::Parity { form: PacsForm::H10301 }));
    }
}

#[test]
fn finds_the_bits_in_every_known_shape_of_answer() {
    let bits = bits_of("10001111100000001010100011");
    let table = [
        // As a terminal program noted it; as the vendor's sample reads it, with and without the inner tag; as a SAM answers.
        "9d 07 03 05 06 8f80a8c0",
        "bd 0f 80 07 03 05 06 8f80a8c0 81 01 2a 82 01 07",
        "bd 0d 80 05 06 8f80a8c0 81 01 2a 82 01 07",
        "bd 09 8a 07 03 05 06 8f80a8c0",
        "9d 81 07 03 05 06 8f80a8c0",
        "9d 82 00 07 03 05 06 8f80a8c0",
        "bd 07 03 05 06 8f80a8c0",
    ];
    for answer in table {
        let data = hex::decode(answer.replace(' ', "")).unwrap();
        assert_eq!(PacsBits::of_secure_element(&data), Ok(bits.clone()), "{answer}");
    }
    // 37 bits without an inner tag, whose first bytes look like one.
    let data = hex::decode("9d06030400c47d08").unwrap();
    assert_eq!(PacsBits::of_secure_element(&data).map(|bits| bits.length()), Ok(37));
}

#[test]
fn says_why_an_answer_holds_no_bits() {
    let refused = |code| Err(SecureElementError::Refused { code });
    let none = |length| Err(SecureElementError::NoBits { length });
    let table = [
        ("9e020003", refused(3)),
        ("9e0103", refused(3)),
        ("9e00", refused(0)),
        ("", none(0)),
        ("9d", none(1)),
        ("9d00", none(2)),
        ("9d0703", none(3)),
        ("9d03030108", none(5)),
        ("9d0403020880", none(6)),
        ("bd80", none(2)),
        ("bd0c81010182010782010782010700", none(15)),
        ("9d0c030a00ffffffffffffffffff", none(14)),
        ("bd08bd06bd04bd020300", none(10)),
    ];
    for (answer, expected) in table {
        let found = PacsBits::of_secure_element(&hex::decode(answer).unwrap()).map(|bits| bits.length());
        assert_eq!(found, expected, "{answer}");
    }
}

#[test]
fn a_number_in_the_identifiers_place_stands_at_the_right() {
    let form = PacsForm::H10301;
    let raw = 0b10_0011_1110_0000_0010_1010_0011_u32;
    let read = |bytes: &[u8]| PacsBits::right_aligned(bytes, form).and_then(|bits| value(form, &bits).ok());
    assert_eq!(read(&raw.to_be_bytes()).as_deref(), Some("h10301:31-337"));
    assert_eq!(read(&[&[0, 0, 0, 0], &raw.to_be_bytes()[..]].concat()).as_deref(), Some("h10301:31-337"));
    assert_eq!(read(&(raw | 1 << 26).to_be_bytes()), None, "an identifier that is longer");
    assert_eq!(read(&raw.to_be_bytes()[1..]), None);
    assert_eq!(read(&[0; 9]), None);
    assert_eq!(read(&[]), None);
}

#[test]
fn reads_what_campus_systems_write() {
    let column = |form, facility| PacsColumn { form, facility };
    let none = PacsColumn::default();
    let h10301 = Some(PacsForm::H10301);
    let table = [
        ("h10301:31-337", none, Ok("h10301:31-337")),
        (" H10301 : 031 - 00337 ", none, Ok("h10301:31-337")),
        ("h10301:31:337", none, Ok("h10301:31-337")),
        ("31-337", column(h10301, None), Ok("h10301:31-337")),
        ("337", column(h10301, Some(31)), Ok("h10301:31-337")),
        ("30-337", column(h10301, Some(31)), Ok("h10301:30-337")),
        ("corporate-1000-35:4095-1048575", none, Ok("corporate-1000-35:4095-1048575")),
        ("h10302:34359738367", none, Ok("h10302:34359738367")),
        ("34359738367", column(Some(PacsForm::H10302), Some(7)), Ok("h10302:34359738367")),
        ("337", none, Err(PacsTextError::NoForm)),
        ("h10399:31-337", none, Err(PacsTextError::NoForm)),
        ("337", column(h10301, None), Err(PacsTextError::NoFacility { form: PacsForm::H10301 })),
        ("h10302:1-2", none, Err(PacsTextError::Facility { form: PacsForm::H10302 })),
        ("h10301:256-1", none, Err(PacsTextError::FacilityTooLarge { form: PacsForm::H10301 })),
        ("h10301:4294967296-1", none, Err(PacsTextError::FacilityTooLarge { form: PacsForm::H10301 })),
        ("h10301:1-65536", none, Err(PacsTextError::NumberTooLarge { form: PacsForm::H10301 })),
        ("h10301:-337", none, Err(PacsTextError::Digits)),
        ("h10301:31-+337", none, Err(PacsTextError::Digits)),
        ("h10301:1F-337", none, Err(PacsTextError::Digits)),
        ("h10301:1-99999999999999999999", none, Err(PacsTextError::Digits)),
        ("", column(h10301, Some(31)), Err(PacsTextError::Digits)),
    ];
    for (text, column, expected) in table {
        let read = PacsNumber::parse(text, column).map(|number| number.roster_value().to_string());
        assert_eq!(read.as_deref(), expected.as_ref().map(|text| &**text), "{text:?}");
    }
    assert!(PacsNumber::is_meant_by("h10304:1-2") && !PacsNumber::is_meant_by("04:A1:B2:C3"));
}

#[test]
fn a_number_is_never_shown_and_its_parts_are_kept_apart() {
    let number = PacsNumber::parse("h10301:31-337", PacsColumn::default()).unwrap();
    let shown = format!("{number:?} {:?} {}", bits_of("1010"), PacsTextError::NoForm);
    assert!(!shown.contains("337 ") && shown.starts_with("PacsNumber(h10301, redacted) PacsBits(4 bits, redacted)"));
    let other = PacsNumber::parse("h10306:31-337", PacsColumn::default()).unwrap();
    assert_ne!(number.identifier(), other.identifier());
}

#[test]
fn names_are_the_same_everywhere() {
    for form in PacsForm::ALL {
        assert_eq!(form.name().parse(), Ok(form));
        assert_eq!(serde_json::to_string(&form).unwrap(), format!("\"{form}\""));
        assert!(PacsForm::NAMES.contains(form.name()), "{form}");
    }
    assert!("H10301".parse::<PacsForm>().unwrap_err().to_string().contains("`H10301`"));
}

proptest! {
    #[test]
    fn every_number_of_every_form_is_read_as_it_was_printed(
        form in proptest::sample::select(&PacsForm::ALL[..]),
        facility in any::<u32>(),
        number in any::<u64>(),
    ) {
        let facility = u64::from(facility) & ((1 << form.facility_bits()) - 1);
        let number = number & ((1 << form.number_bits()) - 1);
        let text = print(form, facility, number);
        prop_assert_eq!(text.len(), form.bits() as usize);
        let packed = pack(&text);
        let mut answer = vec![0x9D, packed.len() as u8 + 2, 0x03, packed.len() as u8];
        answer.extend_from_slice(&packed);
        let read = form.read(&PacsBits::of_secure_element(&answer).unwrap()).unwrap();
        let stated = (form.facility_bits() > 0).then_some(facility as u32);
        prop_assert_eq!(&read, &PacsNumber::new(form, stated, number).unwrap());
        prop_assert_eq!(PacsNumber::parse(&read.roster_value(), PacsColumn::default()), Ok(read));
    }

    #[test]
    fn any_answer_and_any_text_are_survived(
        data in proptest::collection::vec(any::<u8>(), 0..80),
        text in any::<String>(),
        form in proptest::sample::select(&PacsForm::ALL[..]),
    ) {
        if let Ok(bits) = PacsBits::of_secure_element(&data) {
            prop_assert!((1..=MOST_BITS).contains(&bits.length()));
            let _ = form.read(&bits);
        }
        if let Some(bits) = PacsBits::right_aligned(&data, form) {
            prop_assert_eq!(bits.length(), form.bits());
        }
        if let Ok(number) = PacsNumber::parse(&text, PacsColumn { form: Some(form), facility: Some(1) }) {
            prop_assert!(!number.roster_value().is_empty());
        }
    }
}
