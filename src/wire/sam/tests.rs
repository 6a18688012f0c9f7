//! Golden frames, published numbers, and answers without sense.

use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

const ENTRY: KeyEntry = KeyEntry { number: 0x21, version: 0x03 };

/// The random numbers and the SAM's second answer are those of a real SAM AV2 with the key of the factory, kept in the comments of the Go
/// module dumacp/smartcard (samav2). Its MAC fits, so MAC, truncation and order are right; the third pass is what Python's
/// `cryptography` makes of the same numbers.
#[test]
fn a_recorded_authentication_of_a_host_is_followed() {
    let key = HostKey::from_bytes([0; 16]);
    let entry = KeyEntry { number: 0, version: 0 };
    let (first, pass) = Opening::AuthenticateHost.begin(entry, &key).unwrap();
    assert_eq!(hex::encode(&*first), "80a4000003000000 00".replace(' ', ""));
    let answer = bytes("994E8B254E1B48AFBCE38A81 90AF");
    let (second, pass) = pass.answered(&answer, array("A408BEB67688B37328DDBF82")).unwrap();
    assert_eq!(hex::encode(&*second), "80a4000014 d0808b8a2dbc9ed4 a408beb67688b37328ddbf82 00".replace(' ', ""));
    let answer = bytes("17A9822892E3EFAF 51C9541C72B16092BA76A46F25941549 90AF");
    let (third, pass) = pass.answered(&answer, array("861799E95701CC49A1A3C18FCDC95D64")).unwrap();
    let sent = "80a4000020 c62a739438ef9709b956f37807a571598d60f4f69e6237873f566d9f4eb2abf6 00";
    assert_eq!(hex::encode(&*third), sent.replace(' ', ""));
    assert_eq!(pass.answered(&bytes("fbcce104f9ef175501c84aa6eb61f094 9000")), Ok(()));
}

/// The state after the second pass of the recorded authentication, with the answer that belongs there.
fn second_pass(opening: Opening) -> (SecondPass, Vec<u8>) {
    let (_, pass) = opening.begin(ENTRY, &HostKey::from_bytes([0; 16])).unwrap();
    let answer = bytes("994E8B254E1B48AFBCE38A81 90AF");
    let (_, pass) = pass.answered(&answer, array("A408BEB67688B37328DDBF82")).unwrap();
    (pass, bytes("17A9822892E3EFAF 51C9541C72B16092BA76A46F25941549 90AF"))
}

#[test]
fn unlocking_is_the_same_by_another_command() {
    let (first, _) = Opening::Unlock.begin(ENTRY, &HostKey::from_bytes([0; 16])).unwrap();
    assert_eq!(*first, bytes("80 10 00 00 02 21 03 00"));
    let (pass, answer) = second_pass(Opening::Unlock);
    let (third, _) = pass.answered(&answer, [0; 16]).unwrap();
    assert_eq!(third[..5], bytes("80 10 00 00 20"));
}

#[test]
fn a_sam_that_does_not_prove_itself_is_refused() {
    let refused = |status| SamError::Refused { asked: Asked::Host, status };
    let length = |length| SamError::Length { asked: Asked::Host, length };
    for n in 0..8 {
        let (pass, mut answer) = second_pass(Opening::AuthenticateHost);
        answer[n] ^= 1;
        assert_eq!(pass.answered(&answer, [0; 16]).err(), Some(SamError::OtherHostKey), "bit 0 of byte {n}");
    }
    for (answer, expected) in [
        (bytes("901E"), SamError::OtherHostKey),
        (bytes("6985"), refused(0x6985)),
        (bytes("9000"), refused(0x9000)),
        (bytes("90AF"), length(0)),
        (bytes("17A9822892E3EFAF51 90AF"), length(9)),
        (vec![0x90], SamError::TooShort { asked: Asked::Host, length: 1 }),
    ] {
        let (pass, _) = second_pass(Opening::AuthenticateHost);
        assert_eq!(pass.answered(&answer, [0; 16]).err(), Some(expected), "{answer:02X?}");
    }
    for (answer, expected) in [
        (bytes("fbcce104f9ef175501c84aa6eb61f095 9000"), SamError::OtherHostKey),
        (bytes("901E"), SamError::OtherHostKey),
        (bytes("9000"), length(0)),
        (bytes("fbcce104f9ef175501c84aa6eb61f094 90AF"), refused(0x90AF)),
    ] {
        let (pass, second) = second_pass(Opening::AuthenticateHost);
        let (_, pass) = pass.answered(&second, array("861799E95701CC49A1A3C18FCDC95D64")).unwrap();
        assert_eq!(pass.answered(&answer), Err(expected), "{answer:02X?}");
    }
}

#[test]
fn nothing_shows_a_key_or_a_random_number() {
    let key = HostKey::from_bytes([0xAB; 16]);
    let (_, first) = Opening::AuthenticateHost.begin(ENTRY, &key).unwrap();
    let (second, answer) = second_pass(Opening::Unlock);
    let shown = format!("{key:?} {first:?} {second:?}");
    let (_, third) = second.answered(&answer, [0xAB; 16]).unwrap();
    let shown = format!("{shown} {third:?}");
    assert!(shown.contains("HostKey(redacted)") && shown.contains("ThirdPass(redacted)"), "{shown}");
    assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab"), "{shown}");
}

#[test]
fn versions_are_told_apart() {
    let version =
        |mode: u8| [&bytes("0401010302280104010103022801042C2E0AAB36809710250000140B0D00")[..], &[mode]].concat();
    let of = |mode: u8| SamVersion::read(&[&version(mode)[..], &[0x90, 0x00]].concat()).unwrap();
    let av3 = of(0xA3);
    assert_eq!(av3.check(), Ok(()));
    assert_eq!(av3.to_string(), "a SAM AV3, activated, software 3.2, serial number 042C2E0AAB3680");
    for (mode, expected) in
        [(0x03, SamMode::NotActivated), (0xA2, SamMode::Av2), (0xA1, SamMode::Av1), (0x55, SamMode::Other(0x55))]
    {
        assert_eq!(of(mode).check(), Err(SamError::Mode { mode: expected }));
    }
    let short = [&version(0xA3)[1..], &[0x90, 0x00]].concat();
    assert_eq!(SamVersion::read(&short), Err(SamError::Length { asked: Asked::Version, length: 30 }));
    assert!(matches!(SamVersion::read(&bytes("6E00")), Err(SamError::Refused { status: 0x6E00, .. })));
}

/// The card's numbers are those of NTAG 424 DNA in AN12196, table 14 (AuthenticateEV2First).
#[test]
fn a_card_is_authenticated_in_two_parts() {
    let challenge = bytes("A04C124213C186F22399D33AC2A30215");
    let sent = authenticate(ENTRY, &challenge, None).unwrap();
    assert_eq!(hex::encode(&*sent), "800a800013 210300 a04c124213c186f22399d33ac2a30215 00".replace(' ', ""));
    let input = bytes("04782E21801D80 3042F5 4E585020416275");
    let sent = authenticate(ENTRY, &challenge, Some(&input)).unwrap();
    let diversified = "800a910024 210300 a04c124213c186f22399d33ac2a30215 04782e21801d803042f54e585020416275 00";
    assert_eq!(hex::encode(&*sent), diversified.replace(' ', ""));

    let to_card = bytes("35C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D");
    assert_eq!(*answered(&[&to_card[..], &[0x90, 0xAF]].concat()).unwrap(), to_card);
    let from_card = bytes("3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F08120663");
    assert_eq!(*confirm(&from_card).unwrap(), [&bytes("800A000020")[..], &from_card, &[0]].concat());
    assert_eq!(confirmed(&bytes("000000000000 000000000000 9000")), Ok(()));
    assert_eq!(confirmed(&bytes("9000")), Ok(()));
    for status in ["901E", "90DF"] {
        assert_eq!(confirmed(&bytes(status)), Err(SamError::CardNotProved));
    }
    for (answer, of_keys) in [("6985", true), ("01 9000", true), ("", true), ("90AF", true), ("901E", false)] {
        assert_eq!(confirmed(&bytes(answer)).unwrap_err().is_of_keys(), of_keys, "{answer}");
    }
    for wrong in [&[][..], &[0xAE], &[0; 16], &[0; 33]] {
        assert_eq!(confirm(wrong), Err(SamError::CardNotProved), "never a single byte, which says a status");
    }
    assert_eq!(authenticate(ENTRY, &challenge, Some(&[0; 32])), Err(SamError::TooLong { length: 32 }));
    assert_eq!(authenticate(ENTRY, &challenge[1..], None), Err(SamError::CardNotProved));
}

#[test]
fn a_command_is_guarded_as_its_mode_says() {
    // READ DATA of file 2, offset 0, 16 bytes.
    let header = bytes("02 000000 100000");
    for (protection, sent) in [
        (Protection::Mac, "80ae0010 08 ad 02000000100000 00"),
        (Protection::Full, "80ae0030 09 08 ad 02000000100000 00"),
    ] {
        let command = guard(0xAD, &header, protection).unwrap();
        assert_eq!(hex::encode(&*command), sent.replace(' ', ""), "{protection:?}");
    }
    let mac = [7; 8];
    let answer = |data: &[u8]| [data, &[0x90, 0x00]].concat();
    let length = |length| Err(SamError::Length { asked: Asked::Guard, length });
    assert_eq!(*guarded(&answer(&mac)).unwrap(), mac);
    assert_eq!(guarded(&answer(&mac[1..])), length(7));
    assert_eq!(guarded(&answer(&[])), length(0));
    for protection in [Protection::Mac, Protection::Full] {
        assert!(guard(0xAD, &[0; 300], protection).is_err() && guard(0xAD, &[0; 255], protection).is_err());
    }
    assert!(guarded(&bytes("6985")).unwrap_err().is_of_keys());
    assert!(guarded(&bytes("901E")).unwrap_err().is_of_keys(), "no card was judged");
}

#[test]
fn an_answer_is_opened_as_its_mode_says() {
    let (body, mac) = ([3; 16], [7; 8]);
    let answer = [&body[..], &mac].concat();
    let sent = open(0, &answer, Protection::Full).unwrap();
    assert_eq!(*sent, [&bytes("80AD0030 19 00")[..], &answer, &[0]].concat());
    let said = |data: &[u8]| [data, &[0x90, 0x00]].concat();
    let length = |length| Err(SamError::Length { asked: Asked::Open, length });

    assert_eq!(*opened(&said(&[]), &answer, Protection::Mac).unwrap(), body);
    assert_eq!(*opened(&said(&body), &answer, Protection::Mac).unwrap(), body);
    assert_eq!(opened(&said(&[4; 16]), &answer, Protection::Mac), length(16));
    assert_eq!(opened(&said(&[]), &mac[1..], Protection::Mac), Err(SamError::CardNotProved), "too short for a MAC");

    assert_eq!(*opened(&said(&[9; 12]), &answer, Protection::Full).unwrap(), [9; 12]);
    let padded = [&[9; 12][..], &[0x80, 0, 0, 0]].concat();
    assert_eq!(*opened(&said(&padded), &answer, Protection::Full).unwrap(), [9; 12]);
    assert_eq!(opened(&said(&[9; 16]), &answer, Protection::Full), length(16));
    assert_eq!(opened(&said(&[0; 16]), &answer, Protection::Full), length(16));
    assert_eq!(opened(&said(&[9; 17]), &answer, Protection::Full), length(17));
    assert!(opened(&said(&[]), &mac, Protection::Full).unwrap().is_empty(), "an answer without content");

    for status in ["901E", "90DF"] {
        assert_eq!(opened(&bytes(status), &answer, Protection::Full), Err(SamError::CardNotProved));
    }
    let refused = opened(&bytes("6985"), &answer, Protection::Mac).unwrap_err();
    assert!(refused.is_of_keys() && refused.to_string().contains("6985"), "{refused}");
}

proptest! {
    #[test]
    fn survives_anything(
        response in proptest::collection::vec(any::<u8>(), 0..300),
        answer in proptest::collection::vec(any::<u8>(), 0..300),
        tail in prop_oneof![Just([0x90, 0x00]), Just([0x90, 0xAF]), any::<[u8; 2]>()],
    ) {
        let response = [&response[..], &tail].concat();
        let (pass, _) = second_pass(Opening::AuthenticateHost);
        let _ = (pass.answered(&response, [1; 16]), SamVersion::read(&response));
        let _ = (answered(&response), confirmed(&response), confirm(&answer));
        let _ = (authenticate(ENTRY, &answer, Some(&response)), guarded(&response));
        for protection in [Protection::Mac, Protection::Full] {
            let _ = (guard(1, &answer, protection), open(1, &answer, protection));
            if let Ok(content) = opened(&response, &answer, protection) {
                prop_assert!(content.len() <= answer.len());
            }
        }
    }
}
