//! What NXP's application notes and real cards say, and answers of every kind.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

pub(super) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

pub(super) fn block(text: &str) -> [u8; 16] {
    bytes(text).try_into().unwrap()
}

pub(super) fn key(text: &str) -> CardKey {
    CardKey::from_bytes(block(text))
}

const ZEROS: &str = "00000000000000000000000000000000";

/// A handshake: protocol, key, our challenge, the card's enciphered one, what is sent, and the card's proof.
pub(super) struct Passes(Protocol, &'static str, &'static str, &'static str, &'static str, &'static str);

pub(super) const AN12196_KEY_3: Passes = Passes(
    Protocol::Ev2,
    ZEROS,
    "B98F4C50CF1C2E084FD150E33992B048",
    "B875CEB0E66A6C5CD00898DC371F92D1",
    "FF0306E47DFBC50087C4D8A78E88E62DE1E8BE457AA477C707E2F0874916A8B1",
    "0CC9A8094A8EEA683ECAAC5C7BF20584206D0608D477110FC6B3D5D3F65C3A6A",
);

pub(super) const EXAMPLES_KEY_1: Passes = Passes(
    Protocol::Aes,
    "10182028303840485058606870788088",
    "40E7D27174CBA675E8EFBAB99C530E3D",
    "B351CB2465D4F33AC627FD6E87A168F2",
    "044B6CAC343A0865895149649CA8DDE1F5AC4EC67BD208900AF02F049E05F0B0",
    "A2EE144B1012FBEB7B2F11132D95A454",
);

/// Of AN12196 (rev. 2.0, sections 5.6 and 5.10), of the "DESFire EV1 Communication Examples", and of the crates `ntag424` (a real NTAG 424
/// DNA) and `desfire`.
const HANDSHAKES: [Passes; 6] = [
    AN12196_KEY_3,
    Passes(
        Protocol::Ev2,
        ZEROS,
        "13C5DB8A5930439FC3DEF9A4C675360F",
        "A04C124213C186F22399D33AC2A30215",
        "35C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D",
        "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F08120663",
    ),
    Passes(
        Protocol::Ev2,
        ZEROS,
        "A5F7C97067CC7C6B0C373F15028021EE",
        "457B8458856FA7D114513E5A65A37405",
        "BD8315EF8B1AFF79FB51287D1E93DCE49EE4EC2EEFD5285A499B9EDC59219922",
        "94A3D20D1035D7FF691B611360578F7765EC56EC456739A4533FDBA50F9CDFBB",
    ),
    EXAMPLES_KEY_1,
    Passes(
        Protocol::Aes,
        "00102030405060708090A0B0B0A09080",
        "C2A1E47B96A5589FAAE90C03FE6D00A7",
        "CCC8316C2B2613FE9A189BAC9CC89D03",
        "C02E061E72E17726489CAEEC997C523758BF863EFE7671C55B4665D06ACCD97B",
        "72ACCC0BDEA482B53185BB5AD0086246",
    ),
    Passes(
        Protocol::Aes,
        ZEROS,
        "2176770E7A6EB4BEF00D5E4B201D1E57",
        "A33856932308775CF464610C2B17A558",
        "CBE9726FAF54BC76B2055D0B9700E7DC97ECAD5627F1D1702A16E8408D2A0ADA",
        "8FDC476F6BAC44FE9150E285ABD68D48",
    ),
];

impl Passes {
    fn begin(&self) -> (Handshake, Zeroizing<Vec<u8>>) {
        let Self(protocol, site, ours, theirs, ..) = self;
        Handshake::answer(*protocol, key(site), Zeroizing::new(block(ours)), &bytes(theirs)).unwrap()
    }

    pub(super) fn session(&self) -> Session {
        self.begin().0.accept(&bytes(self.5)).unwrap()
    }
}

#[test]
fn published_handshakes_are_answered_to_the_byte_and_accepted() {
    for passes in &HANDSHAKES {
        let (handshake, answer) = passes.begin();
        assert_eq!(hex::encode_upper(&*answer), passes.4, "{}", passes.2);
        assert!(handshake.accept(&bytes(passes.5)).is_ok(), "{}", passes.2);
    }
}

#[test]
fn a_proof_of_another_key_or_length_is_refused() {
    for passes in &HANDSHAKES {
        let proof = bytes(passes.5);
        for bit in 0..proof.len() * 8 {
            let mut wrong = proof.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let accepted = passes.begin().0.accept(&wrong).is_ok();
            // Each block of EV2's answer has a part of our challenge in it, and a flipped bit garbles the whole block.
            assert!(!accepted, "{}: bit {bit}", passes.2);
        }
        let lengths = [0, 1, proof.len() - 1, proof.len() + 1];
        for length in lengths {
            let mut wrong = proof.clone();
            wrong.resize(length, 0);
            let refused = passes.begin().0.accept(&wrong).err();
            assert_eq!(refused, Some(DesfireError::Length { found: length, wanted: proof.len() }));
        }
        let other = key("0F0E0D0C0B0A09080706050403020100");
        let ours = Zeroizing::new(block(passes.2));
        let (handshake, _) = Handshake::answer(passes.0, other, ours, &bytes(passes.3)).unwrap();
        assert_eq!(handshake.accept(&proof).err(), Some(DesfireError::WrongKey));
    }
    for length in [0, 15, 17, 32] {
        let ours = Zeroizing::new([7; 16]);
        let refused = Handshake::answer(Protocol::Ev2, key(ZEROS), ours, &vec![0; length]).err();
        assert_eq!(refused, Some(DesfireError::Length { found: length, wanted: 16 }));
    }
}

/// AN10922, section 2.2.1.
#[test]
fn the_key_of_a_single_card_is_that_of_the_application_note() {
    let site = key("00112233445566778899AABBCCDDEEFF");
    let own = site.diversified(&bytes("04782E21801D803042F54E585020416275")).unwrap();
    assert_eq!(hex::encode_upper(own_bytes(&own)), "A8DD63A3B89D54B37CA802473FDA9175");
}

/// The bytes of a key, by what only they encipher to.
fn own_bytes(key: &CardKey) -> [u8; 16] {
    // Looked up, not shown: no method gives a key's bytes away.
    let known = block("A8DD63A3B89D54B37CA802473FDA9175");
    let message: &[&[u8]] = &[b"which key"];
    if *CardKey::from_bytes(known).cmac(message) == *key.cmac(message) { known } else { [0; 16] }
}

#[test]
fn a_longer_input_is_what_cmac_makes_of_it_and_a_shorter_one_is_padded_to_two_blocks() {
    let site = key("00112233445566778899AABBCCDDEEFF");
    let same = |one: &CardKey, other: &CardKey| *one.cmac(&[b"which key"]) == *other.cmac(&[b"which key"]);
    for length in 16..=31 {
        let input = vec![0x5A; length];
        let cmac = CardKey::from_bytes(*site.cmac(&[&[1], &input]));
        assert!(same(&site.diversified(&input).unwrap(), &cmac), "{length}");
    }
    for length in 1..16 {
        let input = vec![0x5A; length];
        let cmac = CardKey::from_bytes(*site.cmac(&[&[1], &input]));
        assert!(!same(&site.diversified(&input).unwrap(), &cmac), "{length}");
    }
    for length in [0, 32, 400] {
        let refused = site.diversified(&vec![0; length]).err();
        assert_eq!(refused, Some(DesfireError::Diversification { length }));
    }
}

#[test]
fn an_input_needs_the_identifier_only_where_it_is_a_part() {
    let application = Application([0xF5, 0x1C, 0xDB]);
    let with = |parts: &[InputPart]| Diversification { parts: parts.to_vec(), system: vec![0xAB] };
    let hidden = with(&[InputPart::System, InputPart::Key, InputPart::Application]);
    assert_eq!(*hidden.input(None, application, 5).unwrap(), bytes("AB 05 DB1CF5"));
    let by_uid = with(&[InputPart::Uid]);
    assert!(by_uid.needs_uid() && !hidden.needs_uid());
    for uid in [None, Some(&[8, 1, 2, 3][..]), Some(&[4; 10][..])] {
        assert_eq!(by_uid.input(uid, application, 5).err(), Some(DesfireError::IdentifierHidden));
    }
    let long = with(&[InputPart::Uid; 5]).input(Some(&[4; 7]), application, 5);
    assert_eq!(long.err(), Some(DesfireError::Diversification { length: 35 }));
}

#[test]
fn commands_are_those_of_the_documents() {
    let hex = |apdu: Zeroizing<Vec<u8>>| hex::encode_upper(&*apdu);
    assert_eq!(hex(select_application(Application([0x11, 0x22, 0x33]))), "905A00000333221100");
    assert_eq!(hex(authenticate(Protocol::Aes, 0)), "90AA0000010000");
    assert_eq!(hex(authenticate(Protocol::Ev2, 3)), "9071000002030000");
    assert_eq!(hex(more_frames(&[])), "90AF000000");
    let (command, header) = read_data(Protocol::Ev2, 3, 0x01_0203, 8);
    assert_eq!(hex(native(command, &header)), "90AD0000070303020108000000");
    assert_eq!(hex(native(0x51, &[0; 300])), "9051000000", "what does not fit is not cut off");
}

#[test]
fn a_status_counts_only_where_it_is_its_turn() {
    let status = |reply: &[u8]| u16::from_be_bytes([reply[reply.len() - 2], reply[reply.len() - 1]]);
    for (reply, selected, challenge, proof) in [
        ("9100", true, false, false),
        ("91AF", false, false, false),
        ("91A0", false, false, false),
        ("6E00", false, false, false),
        ("9000", false, false, false),
        ("00112233445566778899AABBCCDDEEFF 91AF", false, true, false),
        ("00112233445566778899AABBCCDDEEFF 9100", true, false, true),
        ("00112233445566778899AABBCCDDEEFF 91AE", false, false, false),
    ] {
        let reply = bytes(reply);
        let of = |doing| Reply::of(doing, &reply).unwrap();
        assert_eq!(of(Doing::Select).selected().is_ok(), selected);
        assert_eq!(of(Doing::Challenge).challenge().is_ok_and(|data| data.len() == 16), challenge);
        assert_eq!(of(Doing::Proof).proof().is_ok_and(|data| data.len() == 16), proof);
        if let Err(error) = of(Doing::Proof).proof() {
            assert!(error.to_string().contains(&format!("{:04X}", status(&reply))), "{error}");
        }
    }
    for short in [&[][..], &[0x91]] {
        let refused = Reply::of(Doing::Read, short).err();
        assert_eq!(refused, Some(DesfireError::TooShort { doing: Doing::Read, length: short.len() }));
    }
}

#[test]
fn identities_of_rosters() {
    let number = DesfireNumber::parse(" DesFire: 0123abCD ").unwrap();
    assert_eq!((number.identifier(), &**number.roster_value()), (&[0x01, 0x23, 0xAB, 0xCD][..], "desfire:0123ABCD"));
    assert_eq!(format!("{number:?}"), "DesfireNumber(redacted)");
    for (text, wrong) in [
        ("", DesfireTextError::Digits),
        ("desfire:", DesfireTextError::Digits),
        ("desfire:012", DesfireTextError::Digits),
        ("desfire:01 23", DesfireTextError::Digits),
        ("piv:0123", DesfireTextError::Digits),
        ("desfire:0000", DesfireTextError::Blank),
        (&"FF".repeat(13), DesfireTextError::Blank),
        (&"01".repeat(33), DesfireTextError::TooLong { length: 33 }),
        (&"\u{e9}".repeat(900), DesfireTextError::TooLong { length: 900 }),
    ] {
        assert_eq!(DesfireNumber::parse(text).err(), Some(wrong), "{text}");
    }
    assert!(DesfireNumber::is_meant_by(" DESFIRE:01") && !DesfireNumber::is_meant_by("desfir\u{e9}"));
    for (length, wanted) in [(0, false), (1, true), (32, true), (33, false)] {
        let bytes: Vec<_> = (0..length).collect();
        assert_eq!(DesfireNumber::new(&bytes).is_ok(), wanted, "{length}");
    }
}

proptest! {
    #[test]
    fn an_identity_is_read_as_it_was_written(bytes in proptest::collection::vec(any::<u8>(), 1..=32)) {
        if let Ok(number) = DesfireNumber::new(&bytes) {
            prop_assert_eq!(DesfireNumber::parse(&number.roster_value()), Ok(number));
        }
    }

    /// Without the keys nothing is believed, whatever is said, and nothing panics.
    #[test]
    fn a_card_without_the_key_proves_nothing(
        ev2 in any::<bool>(),
        ours in any::<[u8; 16]>(),
        challenge in any::<[u8; 16]>(),
        proof in proptest::collection::vec(any::<u8>(), 0..40),
        answer in proptest::collection::vec(any::<u8>(), 0..80),
        length in 0_usize..=32,
    ) {
        let protocol = if ev2 { Protocol::Ev2 } else { Protocol::Aes };
        let (handshake, said) = Handshake::answer(protocol, key(ZEROS), Zeroizing::new(ours), &challenge).unwrap();
        prop_assert_eq!(said.len(), 32);
        prop_assert!(handshake.accept(&proof).is_err());
        for mode in [Communication::Plain, Communication::Mac, Communication::Full] {
            let mut session = if ev2 { AN12196_KEY_3.session() } else { EXAMPLES_KEY_1.session() };
            prop_assert!(session.open(0, &answer, length, mode).is_err());
        }
    }
}
