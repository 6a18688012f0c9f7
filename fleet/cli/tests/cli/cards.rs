//! The list of lost cards at the desk: whose key signs it after a rotation, and which list each box has.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use examgate::{
    store::read_secret,
    wire::{
        keys::{PublicKey, SigningKey},
        lost::LostCards,
        trust::Purpose,
    },
};
use examgate_fleet_core::{folder::Folder, stock::Stock};

use super::{
    Ran,
    backup::{enrolled, report},
    fleet::{found, run},
};

fn card(here: &Path, words: &str) -> Ran {
    run(here, &format!("card {words} --stock stock --command-key fleet/keys/command.key"))
}

fn lose(here: &Path, number: &str, more: &str) -> Ran {
    card(here, &format!("lost --card {number} --keys keys --pepper pepper.key{more}"))
}

fn command_key(here: &Path) -> PublicKey {
    let path = Folder::new(here.join("fleet")).secret(Purpose::Command);
    SigningKey::from_seed(&read_secret(&path).unwrap()).public()
}

fn list(here: &Path, key: PublicKey) -> Option<LostCards> {
    let bytes = Stock::open(&here.join("stock")).unwrap().lost_cards().unwrap()?;
    LostCards::decode(&bytes, &[key]).ok()
}

fn desk() -> tempfile::TempDir {
    let folder = found();
    fs::write(folder.path().join("pepper.key"), [7; 32]).unwrap();
    fs::set_permissions(folder.path().join("pepper.key"), fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

#[test]
fn the_list_is_signed_anew_after_the_command_key_was_rotated() {
    let folder = desk();
    let here = folder.path();
    lose(here, "04A1B2C3D4E5F6", "").expect(0);
    lose(here, "04A1B2C3D4E5F7", "").expect(0);
    let old = command_key(here);
    let before = list(here, old).unwrap();
    assert_eq!((before.serial, before.cards.len()), (2, 2));
    card(here, "sign").expect(0);
    assert_eq!(list(here, old).unwrap().serial, 2, "nothing to do");

    let said = run(here, "trust rotate command --folder fleet --passphrase-file words").expect(0).stdout;
    assert!(
        said.contains(&format!(
            "card sign --stock STOCK --command-key fleet/keys/command.key --former-public-key {old}"
        )),
        "{said}"
    );
    let new = command_key(here);
    assert_ne!(old, new);
    // Without the former key nothing is read, and nothing begins at 1 again.
    for refused in [card(here, "sign"), lose(here, "04A1B2C3D4E5F8", ""), card(here, "list")] {
        refused.expect(64).says(&["--former-public-key"]);
    }
    assert_eq!(list(here, old).unwrap().serial, 2);
    card(here, &format!("sign --former-public-key {old}")).expect(0);
    let after = list(here, new).unwrap();
    assert_eq!((after.serial, after.pepper), (3, before.pepper));
    assert!(after.cards == before.cards, "the same cards, with the same days");
    lose(here, "04A1B2C3D4E5F8", "").expect(0);
    assert_eq!(list(here, new).unwrap().cards.len(), 3);
    // In one step, too.
    run(here, "trust rotate command --folder fleet --passphrase-file words").expect(0);
    lose(here, "04A1B2C3D4E5F9", &format!(" --former-public-key {new}")).expect(0);
    let last = list(here, command_key(here)).unwrap();
    assert_eq!((last.serial, last.cards.len()), (5, 4));
}

#[test]
fn a_list_is_numbered_above_what_boxes_hold_and_shown_for_each() {
    let folder = desk();
    let here = folder.path();
    enrolled(here);
    let stock = Stock::open(&here.join("stock")).unwrap();
    report(&stock, Some(17));
    let devices = " --devices fleet/devices.toml";
    lose(here, "04A1B2C3D4E5F6", devices)
        .expect(0)
        .says(&["boxes have list 17, the stock had list 0", "Report them again"]);
    assert_eq!(list(here, command_key(here)).unwrap().serial, 18);
    let shown = card(here, &format!("list{devices}")).expect(0).stdout;
    assert!(shown.contains("list 18, 1 card") && shown.contains("door-1  list 17  older"), "{shown}");
    let json = card(here, &format!("list --json{devices}")).expect(0).json();
    assert_eq!((&json["list"], &json["cards"], &json["boxes"][0]["list"]), (&18.into(), &1.into(), &17.into()));
    report(&stock, Some(18));
    let ran = lose(here, "04A1B2C3D4E5F7", devices).expect(0);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    // A report that the box did not sign says nothing.
    fs::write(here.join("stock/reported/door-1.cose"), b"forged").unwrap();
    let json = card(here, &format!("list --json{devices}")).expect(0).json();
    assert_eq!((&json["list"], &json["boxes"][0]["list"]), (&19.into(), &serde_json::Value::Null));
}

#[test]
fn a_card_that_proves_itself_is_lost_and_found_by_its_number() {
    let folder = desk();
    let here = folder.path();
    let card_id = "8f6b2c1d-0000-4000-8000-0123456789ab";
    lose(here, "desfire:0123ABCD", "").expect(0);
    lose(here, &format!("piv:{card_id}"), "").expect(0);
    lose(here, "0123ABCD", "").expect(0);
    let all = list(here, command_key(here)).unwrap().cards;
    assert_eq!(all.len(), 3, "an identifier of the same bytes is another card");
    card(here, "found --card desfire:0123abcd --keys keys --pepper pepper.key").expect(0);
    card(here, &format!("found --card PIV:{} --keys keys --pepper pepper.key", card_id.to_uppercase())).expect(0);
    assert_eq!(list(here, command_key(here)).unwrap().cards.len(), 1);
    lose(here, "desfire:", "").expect(64);
    for (kind, wrong) in [("desfire", "9E8D7"), ("piv", "9e8d7c6b")] {
        let ran = lose(here, &format!("{kind}:{wrong}"), "").expect(64);
        assert!(!ran.stderr.contains(wrong), "a card's number is not repeated: {}", ran.stderr);
    }
}
