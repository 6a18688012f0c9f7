//! Commands byte by byte, answers of cards, and answers of every kind.

use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace([' ', '\n'], "")).unwrap()
}

/// The CHUID that the tools of one maker of keys write: a FASC-N of nines, a GUID, and a day in 2030.
const CHUID: &str = "3019 d4e739da739ced39ce739d836858210842108421c84210c3eb
    3410 6e2fd0a44b3c4f6a9c110d9a7b5e2c44 3508 3230333030313031 3e00 fe00";

#[test]
fn commands_are_those_of_the_standard() {
    assert_eq!(SELECT.to_vec(), bytes("00a404000b a000000308000010000100 00"));
    assert_eq!(Object::Chuid.get().to_vec(), bytes("00cb3fff 05 5c035fc102 00"));
    assert_eq!(Object::CardCertificate.get().to_vec(), bytes("00cb3fff 05 5c035fc101 00"));
    let p256 = Algorithm::P256.authenticate(&[0xAB; 32]);
    assert_eq!(p256, [bytes(&format!("0087119e 26 7c24 8200 8120 {} 00", "ab".repeat(32)))]);
    let p384 = Algorithm::P384.authenticate(&[0xAB; 48]);
    assert_eq!(p384, [bytes(&format!("0087149e 36 7c34 8200 8130 {} 00", "ab".repeat(48)))]);
    let rsa = Algorithm::Rsa2048.authenticate(&[0xAB; 256]);
    let [first, last] = &rsa[..] else { panic!("{} commands", rsa.len()) };
    assert_eq!(first[..15], bytes("1087079e ff 7c820106 8200 81820100"));
    assert_eq!((first.len(), last.clone()), (5 + 255, bytes(&format!("0087079e 0b {} 00", "ab".repeat(11)))));
}

#[test]
fn an_rsa_block_is_padded_as_the_standard_says() {
    let block = rsa_block(&[0xCD; 32]);
    assert!(block.starts_with(&[0, 1, 0xFF]) && block[2..204].iter().all(|byte| *byte == 0xFF));
    assert_eq!(block[204..224], bytes("00 3031300d060960864801650304020105000420"));
    assert_eq!(block[224..], [0xCD; 32]);
}

#[test]
fn an_application_is_known_by_what_it_says() {
    let table = [
        ("6111 4f06 000010000100 7907 4f05 a000000308", true),
        ("4f06 000010000100 7907 4f05 a000000308", true),
        ("", false),
        ("6f0a 8408 a000000151000000", false),
    ];
    for (answer, expected) in table {
        assert_eq!(is_selected(&bytes(answer)), expected, "{answer}");
    }
}

#[test]
fn a_chuid_gives_its_numbers_and_its_last_day() {
    let chuid = Chuid::read(&bytes(CHUID)).unwrap();
    assert_eq!(chuid.expires().to_string(), "2030-01-01");
    assert_eq!(*PivNumber::of(&chuid).unwrap().roster_value(), "piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44");
    let whole = bytes(&format!("53 3b {CHUID}"));
    assert_eq!(Object::content(&whole).and_then(Chuid::read), Ok(chuid.clone()));
    // With a signature of 2000 bytes to come, of which nothing is there yet.
    let begun = bytes(&format!("53 82080d {}", CHUID.replace("3e00 fe00", "3e8207d0")));
    assert_eq!(Chuid::begun(&begun), Some(chuid));
    assert!((0..whole.len() - 4).all(|length| Chuid::begun(&whole[..length]).is_none()));
    assert_eq!(Chuid::begun(&bytes(&format!("54 3b {CHUID}"))), None);
}

#[test]
fn what_is_wrong_with_a_chuid_is_named() {
    let table = [
        (CHUID.replace("3508 3230333030313031", ""), PivError::NoExpiration),
        (CHUID.replace("3230333030313031", "3230333031333031"), PivError::NoExpiration),
        (CHUID.replace("3230333030313031", "2b30333030313031"), PivError::NoExpiration),
        (CHUID.replace("3410 6e", "340f"), PivError::Field { tag: 0x34 }),
        ("3018".to_owned() + &"00".repeat(24) + "3508 3230333030313031", PivError::Field { tag: 0x30 }),
    ];
    for (content, why) in table {
        assert_eq!(Chuid::read(&bytes(&content)), Err(why), "{content}");
    }
    for answer in ["", "53", "5305", "530500", "5300 00", "54 00"] {
        let answer = bytes(answer);
        let expected =
            if answer.starts_with(&[0x53, 0]) { Ok(&[][..]) } else { Err(PivError::NoObject { length: answer.len() }) };
        assert_eq!(Object::content(&answer), expected);
    }
}

#[test]
fn numbers_are_uuids_or_a_fascn_that_tells_cards_apart() {
    let fascn = "d65010da01a2c1084d84a16885210c18e0842108426108c3f3";
    let uuid = "6e2fd0a44b3c4f6a9c110d9a7b5e2c44";
    let zeros = "00".repeat(16);
    let nines = "d4e739da739ced39ce739d836858210842108421c84210c3eb";
    let number = |fields: &str| {
        let chuid = Chuid::read(&bytes(&format!("{fields} 3508 3230333030313031"))).unwrap();
        PivNumber::of(&chuid).map(|number| number.roster_value().to_string())
    };
    let written = format!("piv:fascn:{}", fascn.to_uppercase());
    assert_eq!(number(&format!("3019{fascn} 3410{uuid}")).unwrap(), "piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44");
    assert_eq!(number(&format!("3019{fascn} 3410{zeros}")), Some(written.clone()));
    assert_eq!(number(&format!("3019{fascn}")), Some(written));
    assert_eq!(number(&format!("3019{nines} 3410{zeros}")), None);
    assert_eq!(number(""), None);
}

#[test]
fn roster_values_are_read_in_several_spellings() {
    let read = |text: &str| PivNumber::parse(text).map(|number| number.roster_value().to_string());
    let fascn = "d65010da01a2c1084d84a16885210c18e0842108426108c3f3";
    let uuid = || Ok("piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44".to_owned());
    let table = [
        ("piv:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44", uuid()),
        (" PIV:6E2FD0A44B3C4F6A9C110D9A7B5E2C44 ", uuid()),
        ("piv:{6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44}", Err(PivTextError::NotUuid)),
        ("piv:urn:uuid:6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44", Err(PivTextError::NotUuid)),
        ("piv:00000000-0000-0000-0000-000000000000", Err(PivTextError::NoUuid)),
        ("piv:", Err(PivTextError::NotUuid)),
        ("6e2fd0a4-4b3c-4f6a-9c11-0d9a7b5e2c44", Err(PivTextError::NoMark)),
        ("piv:fascn:00", Err(PivTextError::NotFascn)),
        ("piv:fascn:d4e739da739ced39ce739d836858210842108421c84210c3eb", Err(PivTextError::Nines)),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), expected, "{text}");
        assert_eq!(PivNumber::is_meant_by(text), expected != Err(PivTextError::NoMark), "{text}");
    }
    assert_eq!(read(&format!("piv:FASCN:{fascn}")), Ok(format!("piv:fascn:{}", fascn.to_uppercase())));
}

#[test]
fn certificates_are_found_in_their_object() {
    let stored = |content: &str| {
        StoredCertificate::read(&bytes(content)).map(|stored| (stored.bytes.to_vec(), stored.compressed))
    };
    assert_eq!(stored("7002 3000 7101 00 fe00"), Some((vec![0x30, 0], false)));
    assert_eq!(stored("7002 3000"), Some((vec![0x30, 0], false)));
    assert_eq!(stored("7002 1f8b 7101 01 fe00"), Some((vec![0x1F, 0x8B], true)));
    assert_eq!(stored("7002 1f8b 7101 80 fe00"), Some((vec![0x1F, 0x8B], true)));
    assert_eq!(stored("7101 00 fe00"), None);
    assert_eq!(stored("7000 7101 00"), None);
    assert_eq!(stored("708203e8 3000"), None);
}

#[test]
fn signatures_are_found_in_their_template() {
    assert_eq!(signature(&bytes("7c04 8202 abcd")), Ok(&[0xAB, 0xCD][..]));
    for other in ["", "7c00", "7c02 8200", "7c04 8102 abcd", "8202 abcd", "7c05 8202 abcd"] {
        assert_eq!(signature(&bytes(other)), Err(PivError::NoSignature { status: 0 }), "{other}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..600), text in ".{0,80}") {
        let content = Object::content(&data).unwrap_or(&data);
        if let Ok(chuid) = Chuid::read(content) {
            let number = PivNumber::of(&chuid);
            prop_assert!(number.is_none_or(|number| PivNumber::parse(&number.roster_value()) == Ok(number)));
        }
        prop_assert!(Chuid::begun(&data).is_none_or(|begun| begun.fascn().is_some() && begun.guid().is_some()));
        prop_assert!(StoredCertificate::read(content).is_none_or(|stored| stored.bytes.len() < content.len()));
        prop_assert!(signature(&data).is_ok_and(|found| found.len() < data.len()) || signature(&data).is_err());
        prop_assert!(PivNumber::parse(&text).is_err() || PivNumber::is_meant_by(&text));
    }

    /// What a template holds comes out of the commands again.
    #[test]
    fn a_challenge_is_sent_whole(block in proptest::collection::vec(any::<u8>(), 1..700)) {
        let commands = Algorithm::Rsa2048.authenticate(&block);
        let last = commands.len() - 1;
        let sent: Vec<u8> = commands.iter().enumerate().flat_map(|(n, command)| {
            assert_eq!((command[0], usize::from(command[4])), (if n == last { 0 } else { 0x10 }, command.len() - 5 - usize::from(n == last)));
            command[5..5 + usize::from(command[4])].to_vec()
        }).collect();
        let (tag, template, rest) = tlv::element(&sent).unwrap();
        prop_assert_eq!((tag, rest.len(), tlv::find(template, 0x81).unwrap()), (0x7C, 0, &block[..]));
    }
}
