//! The card's side by itself, with the numbers of the application notes.

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

fn ask(sam: &mut Sam, command: &str) -> String {
    let Said::Answer(answer) = sam.answer(&bytes(command)) else { panic!("it always answers") };
    hex::encode_upper(answer)
}

/// AN12196, table 14: AuthenticateEV2First of an NTAG 424 DNA with a key of zeros.
#[test]
fn a_card_of_the_application_note_is_authenticated() {
    let ours = bytes("13C5DB8A5930439FC3DEF9A4C675360F");
    let mut sam = Sam::new(Wants::Nothing).with_key(1, 0, [0; 16]).drawing(&ours);
    let answer = ask(&mut sam, "80 0A 80 00 13 010000 A04C124213C186F22399D33AC2A30215 00");
    assert_eq!(answer, "35C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D90AF");
    let card = "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F08120663";
    assert_eq!(ask(&mut sam, &format!("80 0A 00 00 20 {card} 00")), "0000000000000000000000009000");
    assert_eq!(sam.authenticated(), 1);
}

#[test]
fn another_card_is_refused_and_leaves_nothing() {
    let mut sam = Sam::new(Wants::Nothing).with_key(1, 0, [0; 16]);
    let begin = "80 0A 80 00 13 010000 A04C124213C186F22399D33AC2A30215 00";
    assert!(ask(&mut sam, begin).ends_with("90AF"));
    assert_eq!(ask(&mut sam, &format!("80 0A 00 00 20 {} 00", "00".repeat(32))), "901E");
    assert_eq!(ask(&mut sam, "80 AE 00 10 01 51 00"), "6985", "there is no session");
    assert!(ask(&mut sam, begin).ends_with("90AF"));
    assert_eq!(ask(&mut sam, "80 0A 00 00 01 AE 00"), "90DF", "the card's own refusal");
    assert!(ask(&mut sam, begin).ends_with("90AF"));
    assert_eq!(ask(&mut sam, "80 CA 01 00"), "6883", "out of turn: what was begun ends, and this is not done");
    assert_eq!(ask(&mut sam, "80 CA 01 00"), "9000");
}

#[test]
fn keys_are_used_as_they_were_set_up() {
    let begin = "80 0A 80 00 13 010000 A04C124213C186F22399D33AC2A30215 00";
    let key = |wants| Sam::new(wants).with_key(1, 0, [0; 16]).with_key(9, 3, [7; 16]);
    for (sam, command, answer) in [
        (key(Wants::Nothing), "80 0A 80 00 13 020000 A04C124213C186F22399D33AC2A30215 00", "6502"),
        (key(Wants::Nothing), "80 0A 80 00 13 010100 A04C124213C186F22399D33AC2A30215 00", "6A82"),
        (key(Wants::Nothing), "80 0A 91 00 13 010000 A04C124213C186F22399D33AC2A30215 00", "6A80"),
        (key(Wants::Nothing), "80 0A 80 00 12 010000 A04C124213C186F22399D33AC2A302 00", "6700"),
        (key(Wants::Host(9, 3)), begin, "6982"),
        (key(Wants::Unlock(9, 3)), begin, "6982"),
        (key(Wants::Host(9, 3)), "80 A4 00 00 03 010000 00", "6985"),
        (key(Wants::Host(9, 3)), "80 A4 00 00 03 080000 00", "6502"),
        (key(Wants::Unlock(9, 3)), "80 A4 00 00 03 090300 00", "6982"),
        (key(Wants::Nothing), "00 60 00 00 00", "6E00"),
        (key(Wants::Nothing), "80 61 00 00 00", "6D00"),
        (key(Wants::Nothing), "80 60 01 00 00", "6B00"),
        (key(Wants::Nothing), "80 60", "6700"),
    ] {
        let mut sam = sam;
        assert_eq!(ask(&mut sam, command), answer, "{command}");
    }
    let mut sam = key(Wants::Unlock(9, 3)).with_generation(0xA2);
    assert!(ask(&mut sam, "80 60 00 00 00").ends_with("A29000"), "a locked SAM says its version");
}

/// The numbers of a real SAM AV2 (docs/decisions/0157), seen from its side.
#[test]
fn a_recorded_host_is_let_in() {
    let drawn = bytes("994E8B254E1B48AFBCE38A81 4D3F0480D8EFD8C5B9F588285FC18C4A");
    let mut sam = Sam::new(Wants::Host(0, 0)).with_key(0, 0, [0; 16]).drawing(&drawn);
    assert_eq!(ask(&mut sam, "80 A4 00 00 03 000000 00"), "994E8B254E1B48AFBCE38A8190AF");
    let answer = ask(&mut sam, "80 A4 00 00 14 D0808B8A2DBC9ED4 A408BEB67688B37328DDBF82 00");
    assert_eq!(answer, "17A9822892E3EFAF51C9541C72B16092BA76A46F2594154990AF");
    let third = "C62A739438EF9709B956F37807A571598D60F4F69E6237873F566D9F4EB2ABF6";
    let answer = ask(&mut sam, &format!("80 A4 00 00 20 {third} 00"));
    assert_eq!(answer, "FBCCE104F9EF175501C84AA6EB61F0949000");
    assert!(sam.is_open);
    sam.lose_power();
    assert!(!sam.is_open);
}

#[test]
fn another_host_is_not_let_in() {
    let mut sam = Sam::new(Wants::Host(0, 0)).with_key(0, 0, [1; 16]);
    assert!(ask(&mut sam, "80 A4 00 00 03 000000 00").ends_with("90AF"));
    assert_eq!(ask(&mut sam, &format!("80 A4 00 00 14 {} 00", "00".repeat(20))), "901E");
    assert_eq!(ask(&mut sam, &format!("80 A4 00 00 20 {} 00", "00".repeat(32))), "6700", "nothing was begun");
    assert!(!sam.is_open);
}
