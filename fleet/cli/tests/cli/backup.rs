//! A backup from outside: made while all is there, checked, brought back into an empty folder, where every command says the same as before.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use examgate::{
    domain::{
        Decision, DeviceId, EmbeddingSpaceId, ExamId, Pepper, RoomId, RosterVersion, Timestamp, sample::verified,
    },
    store::read_secret,
    wire::{
        chunk,
        desired::{Desired, Wanted},
        enrolment::{Code, Request},
        keys::SigningKey,
        lost::LostCards,
        reported::{HeldExam, HeldTrust, Reported},
        state::{DeviceState, Status, Versions},
        trust::Purpose,
    },
};
use examgate_fleet_core::{folder::Folder, issuer::Issued, stock::Stock};
use uuid::Uuid;

use super::{
    attendance::ledger,
    bare,
    fleet::{found, run},
};

const EXAM: &str = "MATH-UA-120-final";

fn door() -> DeviceId {
    DeviceId::new("door-1").unwrap()
}

fn door_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn now() -> Timestamp {
    "2026-11-29T18:00:00Z".parse().unwrap()
}

fn secret(folder: &Path, purpose: Purpose) -> SigningKey {
    SigningKey::from_seed(&read_secret(&Folder::new(folder).secret(purpose)).unwrap())
}

/// What the door last reported, of this list of lost cards.
pub(crate) fn report(stock: &Stock, list: Option<u64>) {
    let reported = Reported {
        device: door(),
        at: "2026-12-13T18:00:00Z".parse().unwrap(),
        serial: 4,
        recipient: "age1".into(),
        space: EmbeddingSpaceId::new("space"),
        held: vec![HeldExam { exam: ExamId::new(EXAM).unwrap(), version: RosterVersion(2), whole: None }],
        missing: vec![],
        refused: None,
        lost_cards: list,
        trust: Some(HeldTrust { version: 0, refused: None }),
        reads: None,
    };
    stock.set_report(&door(), &reported.encode(&door_key())).unwrap();
}

/// Enrols the door in `here/fleet`.
pub(crate) fn enrolled(here: &Path) {
    let (folder, now) = (Folder::new(here.join("fleet")), now());
    let mut registry = folder.open_registry().unwrap();
    let (code, room) = (Code::from_random(&[1; 20]), RoomId::new("SILVER-207").unwrap());
    let later = "2099-01-01T00:00:00Z".parse().unwrap();
    registry.add(&door(), &room, &code.kept(), later, now).unwrap();
    let request = Request { nonce: [0; 16], csr: String::new(), signing_key: door_key().public(), prekeys: vec![] };
    let issued = Issued {
        certificate: String::new(),
        serial: vec![1; 16],
        fingerprint: [1; 32],
        public_key: [7; 32],
        not_after: later,
    };
    assert!(registry.enrol(code.id(), &request, &issued, now).unwrap());
    folder.write_devices(&registry).unwrap();
}

/// A fleet at work in `here`: a box that reports, a roster under way, a lost card, a ledger with an exam.
fn fleet_at_work() -> tempfile::TempDir {
    let kept = found();
    let here = kept.path();
    enrolled(here);
    let stock = Stock::open(&here.join("stock")).unwrap();
    let cut = chunk::cut(b"a sealed bundle").unwrap();
    stock.add_chunks(&door(), &cut.chunks).unwrap();
    let wanted = Wanted {
        exam: ExamId::new(EXAM).unwrap(),
        version: RosterVersion(3),
        expires: "2099-01-01T00:00:00Z".parse().unwrap(),
        space: EmbeddingSpaceId::new("space"),
        whole: cut.whole,
        size: cut.size,
        index: cut.index,
        difference: None,
    };
    let desired = Desired { device: door(), serial: 4, exams: vec![wanted], erase: vec![] };
    stock.set_manifest(&door(), &desired.encode(&secret(&here.join("fleet"), Purpose::Roster)).unwrap()).unwrap();
    let list = LostCards { serial: 3, pepper: Pepper::from_bytes([7; 32]).check(), cards: BTreeMap::new() };
    stock.set_lost_cards(&list.encode(&secret(&here.join("fleet"), Purpose::Command)).unwrap()).unwrap();
    report(&stock, Some(3));
    let state = DeviceState::new(Status::Online, Uuid::from_u128(1), Versions::default());
    stock.set_state(&door(), &state, now()).unwrap();
    ledger(
        here,
        &[("door-1", &[verified(1, EXAM, Some(1), Decision::Admit), verified(30, EXAM, Some(2), Decision::Admit)])],
    );
    kept
}

/// What the commands say of the fleet whose parts are at these places.
fn said(here: &Path, [fleet, stock, ledger, key]: [&str; 4]) -> Vec<String> {
    let roster = secret(&here.join(fleet), Purpose::Roster).public();
    [
        format!("device list --folder {fleet} --stock {stock} --json"),
        format!("device show --folder {fleet} door-1"),
        format!("trust show --folder {fleet}"),
        format!("roster status --stock {stock} --devices {fleet}/devices.toml --roster-public-key {roster}"),
        format!("card list --stock {stock} --command-key {fleet}/keys/command.key --devices {fleet}/devices.toml"),
        format!("attendance --exam {EXAM} --ledger {ledger} --ledger-key {key} --json"),
        format!("throughput --exam {EXAM} --ledger {ledger} --ledger-key {key} --json"),
        format!("events --ledger {ledger} --ledger-key {key} --json"),
    ]
    .map(|line| run(here, &line).expect(0).stdout)
    .into()
}

const BACK_UP: &str = "backup --folder fleet --stock stock --ledger ledger.db --ledger-key ledger.key --also words --to backup.age \
                       --passphrase-file words";

#[test]
fn a_fleet_comes_back_on_an_empty_machine_and_says_the_same() {
    let kept = fleet_at_work();
    let here = kept.path();
    let before = said(here, ["fleet", "stock", "ledger.db", "ledger.key"]);
    let made = run(here, BACK_UP).expect(0).stdout;
    for part in
        ["read back and found whole", "ledger.db, with its key", "without", "imported rosters", "root's secret key"]
    {
        assert!(made.contains(part), "{part} is not in:\n{made}");
    }
    let root = fs::read_to_string(here.join("fleet/root.pub")).unwrap();
    let checked = run(here, &format!("backup check backup.age --passphrase-file words --json --root {}", root.trim()));
    let checked = checked.expect(0).json();
    assert_eq!((&checked["manifest"]["v"], &checked["manifest"]["has_root_key"]), (&1.into(), &false.into()));
    run(here, "backup check backup.age --passphrase-file words").expect(0);

    let restored = run(here, "restore --from backup.age --to new --passphrase-file words").expect(0).stdout;
    for part in ["next:", "revoke again", "compare the root", "1 boxes send what is missing", "reported lost since"] {
        assert!(restored.contains(part), "{part} is not in:\n{restored}");
    }
    assert_eq!(fs::metadata(here.join("new")).unwrap().permissions().mode() & 0o777, 0o700);
    let after = said(here, ["new/fleet", "new/stock", "new/ledger/ledger.db", "new/ledger/ledger.key"]);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert!(!here.join("new/fleet/offline/root.age").exists());
    assert_eq!(fs::read(here.join("new/also/words")).unwrap(), fs::read(here.join("words")).unwrap());
    let incidents = "incidents --ledger new/ledger/ledger.db --ledger-key new/ledger/ledger.key";
    let table = run(here, incidents).expect(0).stdout;
    assert!(table.contains("restored") && table.contains("sends it again with its next event"), "{table}");
    run(here, "restore --from backup.age --to new --passphrase-file words").expect(64).says(&["is not empty"]);
    // What the boxes hold may be newer: nothing is numbered before they were heard.
    let lose = "card lost --card 04A1B2C3D4E5F6 --stock new/stock --command-key new/fleet/keys/command.key --keys keys --pepper words.key";
    fs::write(here.join("words.key"), [7; 32]).unwrap();
    fs::set_permissions(here.join("words.key"), fs::Permissions::from_mode(0o600)).unwrap();
    run(here, lose).expect(64).says(&["restored from a backup"]);
}

#[test]
fn a_backup_that_is_damaged_or_not_meant_is_refused() {
    let kept = fleet_at_work();
    let here = kept.path();
    run(here, BACK_UP).expect(0);
    run(here, BACK_UP).expect(64).says(&["never written over"]);
    let mut bytes = fs::read(here.join("backup.age")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(here.join("bad.age"), bytes).unwrap();
    run(here, "backup check bad.age --passphrase-file words").expect(65).says(&["damaged"]);
    run(here, "restore --from bad.age --to new --passphrase-file words").expect(65).says(&["damaged"]);
    assert!(!here.join("new").exists());
    fs::write(here.join("other"), "other random words, or so\n").unwrap();
    run(here, "backup check backup.age --passphrase-file other").expect(64).says(&["does not open with this key"]);
    let other = SigningKey::from_seed(&[1; 32]).public();
    let line = format!("restore --from backup.age --to new --passphrase-file words --root {other}");
    run(here, &line).expect(65).says(&["another fleet"]);
    run(here, "backup --folder fleet --to x.age --ledger ledger.db --passphrase-file words")
        .expect(64)
        .says(&["--ledger-key"]);
    run(here, "backup --folder fleet --to x.age --recipient age1nothing").expect(64).says(&["no age recipient"]);
    bare(here, &["backup"]).expect(64).says(&["back up what"]);
}
