//! Texts that are read and texts that are refused.

use std::error::Error;

use super::*;
use crate::wire::uid::ReaderOrder;

const GOOD: &str = r#"
device = "door-7"
room = "SILVER-207"
exam = "MATH-UA-120-final"
state = "/var/lib/examgate"
keys = "/etc/examgate/keys"
models = "/usr/share/examgate"
[camera]
device = { usb = "046d:0825" }
[light]
kind = "gpio"
chip = "/dev/gpiochip0"
red = 17
amber = 27
green = 22
[screen]
languages = ["en", "es", "zh-Hans"]
[uplink]
host = "broker.example.edu"
ca = "/etc/examgate/ca.pem"
certificate = "/etc/examgate/door-7.pem"
[uplink.collector]
recipient = "age1qqqq"
receipt_key = "0000000000000000000000000000000000000000000000000000000000000000"
"#;

#[test]
fn a_good_text_is_read() {
    let config = Config::parse(GOOD).expect("valid");
    assert_eq!((config.camera.width, config.camera.fps, config.card.uid_order), (640, 30, ReaderOrder::AsSent));
    assert!(!config.camera.allow_virtual, "a camera fed by software is refused unless it is asked for");
}

#[test]
fn profiles_of_cards_are_listed_from_the_strongest_and_pacs_says_how() {
    let config = |card: &str| Config::parse(&GOOD.replace("[camera]", &format!("{card}\n[camera]")));
    let good =
        config("[card]\nprofiles = [\"pacs\", \"uid\"]\n[card.pacs]\nforms = [\"h10301\", \"corporate-1000-35\"]")
            .expect("valid");
    let pacs = good.card.pacs.as_ref().expect("there");
    assert_eq!((good.card.strongest(), pacs.commands().len()), (CredentialProfile::Pacs, 2));
    let behind = "[card]\nprofiles = [\"pacs\"]\n[card.pacs]\nforms = [\"h10301\"]\nsource = \"get-data\"";
    assert_eq!(config(behind).expect("valid").card.strongest(), CredentialProfile::Uid);
    let cases: [(&str, &[&str]); 17] = [
        ("profiles = []", &["card.profiles", "strongest first"]),
        ("profiles = [\"uid\", \"pacs\"]", &["card.profiles", "uid, pacs", "strongest first"]),
        ("profiles = [\"uid\", \"uid\"]", &["card.profiles", "none twice"]),
        ("profiles = [\"piv\", \"uid\"]", &["card.profiles", "[card.piv]", "anchors"]),
        ("profiles = [\"desfire_aes\", \"uid\"]", &["card.profiles", "[card.desfire]"]),
        ("profiles = [\"desfire_aes\", \"piv\"]", &["card.profiles", "strongest first"]),
        ("slowest_ms = { piv = 900 }", &["card.slowest_ms.piv", "card.profiles lists"]),
        ("slowest_ms = { pacs = 900 }", &["pacs", "desfire_aes"]),
        ("profiles = [\"rfid\"]", &["rfid", "pacs"]),
        ("profiles = [\"pacs\", \"uid\"]", &["card.profiles", "[card.pacs]"]),
        ("[card.pacs]\nforms = [\"h10301\"]", &["card.profiles", "add \"pacs\""]),
        ("profiles = [\"pacs\"]\n[card.pacs]\nforms = []", &["card.pacs.forms"]),
        ("profiles = [\"pacs\"]\n[card.pacs]\nforms = [\"h10302\", \"h10304\"]", &["card.pacs.forms", "37 bits"]),
        ("profiles = [\"pacs\"]\n[card.pacs]\nforms = [\"w26\"]", &["w26", "h10301"]),
        (
            "profiles = [\"pacs\", \"uid\"]\n[card.pacs]\nforms = [\"h10301\"]\nsource = \"get-data\"",
            &["card.profiles", "get-data"],
        ),
        (
            "profiles = [\"pacs\"]\n[card.pacs]\nforms = [\"h10301\"]\ncommands = [\"00A4040000\"]",
            &["card.pacs.commands", "FF"],
        ),
        (
            "profiles = [\"pacs\"]\n[card.pacs]\nforms = [\"h10301\"]\ncommands = []",
            &["card.pacs.commands", "one to four"],
        ),
    ];
    for (card, words) in cases {
        let error = config(&format!("[card]\n{card}")).expect_err(card);
        let said = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
        for word in words {
            assert!(said.contains(word), "{card:?} gave {said:?}, without {word:?}");
        }
    }
}

#[test]
fn a_bad_text_is_refused_by_key_value_and_what_is_allowed() {
    let cases: [(&str, &str, &[&str]); 17] = [
        ("device = \"door-7\"", "device = \"door/7\"", &["door/7", "letters"]),
        ("room = \"SILVER-207\"\n", "", &["room"]),
        ("[camera]", "[camera]\nfps = 0", &["camera.fps", "0", "5 to 60"]),
        ("[camera]", "[camera]\nwidht = 640", &["widht", "width"]),
        ("046d:0825", "46d:825", &["usb", "46d:825", "four hex digits"]),
        ("kind = \"gpio\"", "kind = \"gipo\"", &["gipo", "raspberry-pi"]),
        ("red = 17", "red = \"seventeen\"", &["seventeen", "u32"]),
        ("[screen]", "[screen]\nport = 80", &["screen.port", "80", "1024 to 65535"]),
        ("[\"en\", \"es\", \"zh-Hans\"]", "[]", &["screen.languages", "0", "one to three"]),
        ("\"es\"", "\"../es\"", &["screen.languages", "../es", "BCP 47"]),
        ("[screen]", "[screen]\naddress = \"0.0.0.0\"", &["address", "port"]),
        ("age1qqqq", "AGE-SECRET", &["uplink.collector.recipient", "age recipient"]),
        ("broker.example.edu", "10.0.0.1:8883", &["uplink.host", "10.0.0.1:8883", "uplink.port"]),
        ("broker.example.edu", "broker.example.edu:8883", &["uplink.host", "uplink.port"]),
        ("broker.example.edu", "mqtts://broker.example.edu", &["uplink.host", "leave out `mqtts://`"]),
        ("broker.example.edu", "[::1]:8883", &["uplink.host", "`::1`", "uplink.port"]),
        ("host = \"broker.example.edu\"", "host = \"b\"\nport = 0", &["uplink.port", "1 to 65535"]),
    ];
    for (from, to, words) in cases {
        assert!(GOOD.contains(from), "{from}");
        let error = Config::parse(&GOOD.replace(from, to)).expect_err(to);
        let said = format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default());
        for word in words {
            assert!(said.contains(word), "{to:?} gave {said:?}, without {word:?}");
        }
    }
}

#[test]
fn an_ipv6_broker_is_read_with_and_without_brackets() {
    for host in ["::1", "[::1]"] {
        let config = Config::parse(&GOOD.replace("broker.example.edu", host)).expect(host);
        assert_eq!(config.uplink.expect("one").host, "::1");
    }
}

#[test]
fn what_is_not_toml_is_refused() {
    for text in ["", "\0", "= 3", "[camera", &"[".repeat(10_000)] {
        assert!(Config::parse(text).is_err());
    }
}
