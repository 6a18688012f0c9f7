//! Secure messaging: transcripts of application notes and real cards, and what is made of them.

use super::{
    super::{
        Handshake, Protocol, get_card_uid, native, read_data,
        tests::{AN12196_KEY_3, EXAMPLES_KEY_1, block, bytes, key},
    },
    *,
};

/// AN12196, section 5.12: the session of section 5.10 goes on with WRITE DATA. What is enciphered there stands in the header here.
#[test]
fn ev2_session_keys_and_macs_are_those_of_the_application_note() {
    let mut session = AN12196_KEY_3.session();
    let header = bytes("03000000 0A0000 6B5E6804909962FC4E3FF5522CF0F843");
    let guarded = session.guard(0x8D, &header, Communication::Full).unwrap();
    assert_eq!(hex::encode_upper(&guarded[header.len()..]), "6C0C53315B9C73AA");
    let opened = session.open(0, &bytes("C26D236E4A7C046D"), 0, Communication::Mac).unwrap();
    assert!(opened.is_empty());
}

fn an12196_uid_session() -> Session {
    let (encipher, mac) = ("2B4D963C014DC36F24F69A50A394F875", "379D32130CE61705DD5FD8C36B95D764");
    Session::ev2(key(encipher), key(mac), [0xDF, 0x05, 0x55, 0x22])
}

const AN12196_UID_ANSWER: &str = "70756055688505B52A5E26E59E329CD6 595F672298EA41B7";

/// AN12196, section 5.20, table 28: GET CARD UID.
#[test]
fn the_identifier_of_the_application_note_is_read() {
    let mut session = an12196_uid_session();
    let guarded = session.guard(get_card_uid(), &[], Communication::Full).unwrap();
    assert_eq!(hex::encode_upper(&*native(get_card_uid(), &guarded)), "90510000088E2C155ADDA99BE300");
    let uid = session.open(0, &bytes(AN12196_UID_ANSWER), 7, Communication::Full).unwrap();
    assert_eq!(hex::encode_upper(&*uid), "04958CAA5C5E80");
}

#[test]
fn an_ev2_answer_that_is_changed_said_again_or_of_another_length_is_refused() {
    let answer = bytes(AN12196_UID_ANSWER);
    for bit in 0..answer.len() * 8 {
        let mut wrong = answer.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let refused = an12196_uid_session().open(0, &wrong, 7, Communication::Full).err();
        assert_eq!(refused, Some(DesfireError::Mac), "bit {bit}");
    }
    assert_eq!(an12196_uid_session().open(1, &answer, 7, Communication::Full).err(), Some(DesfireError::Mac));
    for length in [0, 7, 8, 16, 23, 25, 40] {
        let refused = an12196_uid_session().open(0, &vec![0; length], 7, Communication::Full).err();
        assert_eq!(refused, Some(DesfireError::Length { found: length, wanted: 24 }));
    }
    // The content is as long as its padding says, not shorter or longer.
    for length in [0, 6, 8, 15] {
        let refused = an12196_uid_session().open(0, &answer, length, Communication::Full).err();
        assert_eq!(refused, Some(DesfireError::Padding), "{length}");
    }
    let mut session = an12196_uid_session();
    session.open(0, &answer, 7, Communication::Full).unwrap();
    session.guard(get_card_uid(), &[], Communication::Full).unwrap();
    assert_eq!(session.open(0, &answer, 7, Communication::Full).err(), Some(DesfireError::Mac), "the counter");
    let mut other = Session::ev2(
        key("2B4D963C014DC36F24F69A50A394F875"),
        key("379D32130CE61705DD5FD8C36B95D764"),
        [0xDF, 0x05, 0x55, 0x23],
    );
    assert_eq!(other.open(0, &answer, 7, Communication::Full).err(), Some(DesfireError::Mac), "the transaction");
    let mut session = an12196_uid_session();
    let unguarded = Some(DesfireError::Unguarded);
    assert_eq!(session.guard(0xAD, &[2; 7], Communication::Plain).err(), unguarded);
    assert_eq!(session.open(0, &[1; 16], 16, Communication::Plain).err(), unguarded);
}

/// What a real NTAG 424 DNA said to READ DATA, with an all-zero key, of the crate `ntag424` 0.1.1: our challenge, the card's enciphered one,
/// transaction, counter, mode, the guarded command, the answer.
#[test]
fn what_a_real_ev2_card_said_is_believed() {
    let table = [
        (
            ["30288E8925277FAC5A6D6144341C238E", "C8FC6F266D55CA43D3BBDE4CC8479AC2"],
            ([0x08, 0x5B, 0xC9, 0x41], 16),
            Communication::Full,
            "90AD00000F030000000800008705F20A9AF5957800",
            "71DAFA7A0012584D37F8C9F3F656738FF345494D0F114867",
        ),
        (
            ["24BF204C43B6941047265242A23724F8", "2FE216D6F86B1CBD8937C41D55073383"],
            ([0x59, 0x23, 0x7C, 0x63], 1),
            Communication::Mac,
            "90AD00000F03000000080000D92404817565D2A900",
            "DEADBEEF010203042F36F240E65DB6CF",
        ),
    ];
    for ([ours, theirs], (transaction, counter), mode, sent, answer) in table {
        let (zeros, ours) = (key("00000000000000000000000000000000"), Zeroizing::new(block(ours)));
        let (handshake, _) = Handshake::answer(Protocol::Ev2, zeros, ours, &bytes(theirs)).unwrap();
        let [encipher, mac] = handshake.ev2_keys();
        let mut session = Session(Messaging::Ev2(Ev2 { encipher, mac, transaction, counter }));
        let (command, header) = read_data(Protocol::Ev2, 3, 0, 8);
        let guarded = session.guard(command, &header, mode).unwrap();
        assert_eq!(hex::encode_upper(&*native(command, &guarded)), sent);
        assert_eq!(hex::encode_upper(&*session.open(0, &bytes(answer), 8, mode).unwrap()), "DEADBEEF01020304");
    }
}

#[test]
fn a_counter_at_its_end_ends_the_session() {
    let (encipher, mac) = (key("2B4D963C014DC36F24F69A50A394F875"), key("379D32130CE61705DD5FD8C36B95D764"));
    let mut session = Session(Messaging::Ev2(Ev2 { encipher, mac, transaction: [0; 4], counter: u16::MAX }));
    assert_eq!(session.open(0, &[0; 24], 7, Communication::Full).err(), Some(DesfireError::NoSession));
}

/// What a real card said in one session of EV1: commands with what follows the command byte, and answers with their status left out. Of
/// the "DESFire EV1 Communication Examples": CREATE STANDARD DATA FILE, GET FILE IDS, GET FILE SETTINGS, WRITE DATA twice, READ DATA twice.
/// Each depends on all before it.
const EV1_SAID: [(u8, &str, &str); 7] = [
    (0xCD, "05 00 1100 500000", "A75316AD1596B953"),
    (0x6F, "", "05 2D5FF67FFEC9D2D3"),
    (0xF5, "05", "00 00 1100 500000 2AAC7517024E09DC"),
    (
        0x3D,
        "05 000000 340000 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F30313233",
        "765C9DAA50ECB62F",
    ),
    (0x3D, "05 340000 1C0000 3435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F", "3E0AED986B8B0F37"),
    (
        0xBD,
        "05 000000 300000",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F 4C65F1F842262BAC",
    ),
    (0xBD, "05 300000 200000", "303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F F02205CF913C03C9"),
];

#[test]
fn what_a_real_ev1_card_said_is_believed_from_first_to_last() {
    let mut session = EXAMPLES_KEY_1.session();
    for (command, header, answer) in EV1_SAID {
        let (header, answer) = (bytes(header), bytes(answer));
        let mode = Communication::Plain;
        assert_eq!(*session.guard(command, &header, mode).unwrap(), header, "its CMAC is not sent");
        let content = session.open(0, &answer, answer.len() - 8, mode).unwrap();
        assert_eq!(*content, answer[..answer.len() - 8]);
    }
    let (command, header) = read_data(Protocol::Aes, 5, 0x30, 0x20);
    assert_eq!((command, &header[..]), (0xBD, &bytes("05 300000 200000")[..]));
}

#[test]
fn an_ev1_answer_that_is_changed_left_out_or_said_again_is_refused() {
    let opened = |commands: &[usize], answers: &[usize]| {
        let mut session = EXAMPLES_KEY_1.session();
        let mut last = None;
        for (command, answer) in commands.iter().zip(answers) {
            let (command, header, _) = EV1_SAID[*command];
            session.guard(command, &bytes(header), Communication::Mac).unwrap();
            let answer = bytes(EV1_SAID[*answer].2);
            last = session.open(0, &answer, answer.len() - 8, Communication::Mac).err();
        }
        last
    };
    assert_eq!(opened(&[0, 1], &[0, 1]), None);
    assert_eq!(opened(&[1], &[1]), Some(DesfireError::Mac), "a command that was left out");
    assert_eq!(opened(&[0, 0], &[0, 0]), Some(DesfireError::Mac), "said again");
    assert_eq!(opened(&[0, 2], &[0, 1]), Some(DesfireError::Mac), "to another command");
    let answer = bytes(EV1_SAID[0].2);
    for bit in 0..64 {
        let mut wrong = answer.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let mut session = EXAMPLES_KEY_1.session();
        session.guard(0xCD, &bytes(EV1_SAID[0].1), Communication::Plain).unwrap();
        assert_eq!(session.open(0, &wrong, 0, Communication::Plain).err(), Some(DesfireError::Mac));
    }
}

/// The checksums of CHANGE KEY in the "DESFire EV1 Communication Examples" and in the crate `desfire`.
#[test]
fn checksums_are_those_of_real_cards() {
    for (said, sum) in [
        ("C400 00102030405060708090A0B0B0A09080 10", "D2C6E66B"),
        ("C400 10182028303840485058606870788088 10", "74856362"),
        ("C400 00000000000000000000000000000000 00", "0A0F861B"),
        ("C40045EEB8338AE8F49A032E85BB1114353010", "95C3894B"),
    ] {
        assert_eq!(hex::encode_upper(checksum(&[&bytes(said)])), sum);
        let said = bytes(said);
        assert_eq!(checksum(&[&said[..2], &said[2..]]), checksum(&[&said]));
    }
}

/// No enciphered answer of a real EV1 card is published. This one is put together by hand, from the same parts as CHANGE KEY.
#[test]
fn an_enciphered_ev1_answer_is_opened_and_guarded_by_its_checksum() {
    let (ours, session_key) = (block("00112233445566778899AABBCCDDEEFF"), key("10182028303840485058606870788088"));
    let session = || {
        let mut session = Session::aes(session_key.clone());
        session.guard(0x51, &[], Communication::Full).unwrap();
        session
    };
    // The command's CMAC is the first vector; a session that has run no command has zeros.
    let mut iv: [u8; 16] = *session_key.cmac(&[&decrypted_zeros(&session_key), &[0x51]]);
    let mut answer = bytes("04112233445566");
    answer.extend(checksum(&[&answer, &[0]]));
    answer.resize(16, 0);
    let plain = answer.clone();
    session_key.encipher(&mut iv, &mut answer);
    assert_eq!(*session().open(0, &answer, 7, Communication::Full).unwrap(), bytes("04112233445566"));

    let refused = |answer: &[u8], status, length| session().open(status, answer, length, Communication::Full).err();
    assert_eq!(refused(&answer, 0x0C, 7), Some(DesfireError::Checksum), "the status is in it");
    assert_eq!(refused(&answer, 0, 8), Some(DesfireError::Checksum));
    assert_eq!(refused(&answer[..15], 0, 7), Some(DesfireError::Length { found: 15, wanted: 16 }));
    assert_eq!(refused(&ours, 0, 7), Some(DesfireError::Checksum));
    let mut padded = plain;
    padded[15] = 1;
    let mut iv: [u8; 16] = *session_key.cmac(&[&decrypted_zeros(&session_key), &[0x51]]);
    session_key.encipher(&mut iv, &mut padded);
    assert_eq!(refused(&padded, 0, 7), Some(DesfireError::Padding));
}

fn decrypted_zeros(key: &CardKey) -> [u8; 16] {
    let mut block = [0; 16];
    key.decipher(&mut [0; 16], &mut block);
    block
}
