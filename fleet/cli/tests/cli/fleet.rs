//! A fleet from outside: founded once, its keys shown, rotated and revoked, its boxes expected, listed and shut out.

use std::{fs, path::Path};

use super::{Ran, bare};

const WORDS: &str = "six random words, or so\n";

pub(crate) fn run(here: &Path, line: &str) -> Ran {
    bare(here, &line.split(' ').collect::<Vec<_>>())
}

pub(crate) fn found() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("words"), WORDS).unwrap();
    run(folder.path(), "init --folder fleet --passphrase-file words").expect(0);
    folder
}

#[test]
fn a_fleet_is_founded_once_and_says_what_to_keep_where() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("words"), "short\n").unwrap();
    run(here, "init --folder fleet --passphrase-file words").expect(64).says(&["at least 12 characters"]);
    fs::write(here.join("words"), WORDS).unwrap();
    let said = run(here, "init --folder fleet --passphrase-file words").expect(0).stdout;
    for part in ["fleet/offline/root.age", "two safes", "collector.age", "examgate-fleetd enrol", "device add"] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    run(here, "init --folder fleet --passphrase-file words").expect(64).says(&["founded once"]);
    run(here, "trust show --folder nowhere").expect(64).says(&["examgate-fleet init"]);
}

#[test]
fn a_key_is_rotated_and_revoked_with_the_root_alone() {
    let folder = found();
    let here = folder.path();
    let shown = || run(here, "trust show --folder fleet --json").expect(0).json();
    let first = shown();
    assert_eq!((first["version"].as_u64(), first["keys"].as_array().map(Vec::len)), (Some(1), Some(5)));
    fs::write(here.join("wrong"), "other random words, or so\n").unwrap();
    run(here, "trust rotate receipt --folder fleet --passphrase-file wrong").expect(64).says(&["does not open"]);
    run(here, "trust rotate receipt --folder fleet --passphrase-file words").expect(0);
    let second = shown();
    assert_eq!((second["version"].as_u64(), second["keys"].as_array().map(Vec::len)), (Some(2), Some(6)));
    let old = first["keys"].as_array().unwrap().iter().find(|key| key["purpose"] == "receipt").unwrap();
    let id = &old["id"].as_str().unwrap()[..16];
    run(here, &format!("trust revoke {id} --folder fleet --passphrase-file words")).expect(0);
    let listed = run(here, "trust show --folder fleet").expect(0).stdout;
    let of = listed.lines().find(|line| line.contains(id)).unwrap();
    assert!(of.ends_with("revoked"), "{listed}");
    run(here, "trust revoke 0123 --folder fleet --passphrase-file words").expect(64).says(&["names 0 keys"]);
}

#[test]
fn a_key_with_few_rights_is_granted_by_the_root() {
    let folder = found();
    let here = folder.path();
    let grant = |more: &str| run(here, &format!("trust grant {more} --folder fleet --passphrase-file words"));
    grant("help-desk --may dance").expect(64).says(&["dance", "identify"]);
    grant("../desk --may identify").expect(64).says(&["no name for a key"]);
    let said = grant("help-desk --may identify --may doctor").expect(0).stdout;
    assert!(said.contains("trust document 2") && said.contains("command-help-desk.key"), "{said}");
    let shown = run(here, "trust show --folder fleet").expect(0).stdout;
    assert!(shown.lines().any(|line| line.ends_with("counts  help-desk: identify, doctor")), "{shown}");
    let json = run(here, "trust show --folder fleet --json").expect(0).json();
    let granted = json["keys"].as_array().unwrap().iter().find(|key| key["name"] == "help-desk").unwrap();
    assert_eq!(granted["may"], serde_json::json!(["identify", "doctor"]));
}

#[test]
fn a_box_is_expected_listed_and_shut_out() {
    let folder = found();
    let here = folder.path();
    let add = "device add --folder fleet --id door-1 --room SILVER-207";
    let first = run(here, add).expect(0).says(&["cannot be shown again"]).stdout;
    assert_eq!(first.trim().len(), 29, "{first}");
    let second = run(here, add).expect(0).stdout;
    assert_ne!(first, second, "a code was given out twice");
    let listed = run(here, "device list --folder fleet --json").expect(0).json();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&"door-1".into(), &"added".into()));
    run(here, "device rotate --folder fleet door-1").expect(64).says(&["door-1 is not enrolled"]);
    run(here, "issue --folder fleet --name door-1 --out door").expect(64).says(&["door-1 is a box"]);
    run(here, "issue --folder fleet --name broker --host localhost --out broker").expect(0);
    assert!(here.join("broker.pem").exists() && here.join("broker.key").exists());
    let before = fs::read(here.join("fleet/revoked.pem")).unwrap();
    run(here, "device revoke --folder fleet door-1").expect(0);
    assert_ne!(fs::read(here.join("fleet/revoked.pem")).unwrap(), before);
    let shown = run(here, "device show --folder fleet door-1").expect(0).stdout;
    assert!(shown.contains("revoked"), "{shown}");
    run(here, "device show --folder fleet door-9").expect(64).says(&["no box", "door-9"]);
}
