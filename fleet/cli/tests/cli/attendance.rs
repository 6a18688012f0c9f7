//! Attendance out of a real ledger: what the doors recorded is what the list says, and an altered list is found out.

use std::time::Duration;

use examgate::{
    domain::{Decision, DeviceId, Epoch, Event, EventHash, Reason, Seq, chain_hash, sample::verified},
    store::Key,
    wire::{envelope::EventEnvelope, keys::SigningKey},
};
use examgate_fleet_core::{
    lease::{Claim, Holder},
    ledger::{Ledger, Location},
};
use uuid::Uuid;

use super::*;

const EXAM: &str = "MATH-UA-120-final";

/// Writes the events of two doors into a ledger, as a collector does.
pub(crate) fn ledger(folder: &Path, doors: &[(&str, &[Event])]) {
    fs::write(folder.join("ledger.key"), "5a".repeat(32)).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder.join("ledger.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let location = Location::File(folder.join("ledger.db"));
    let mut ledger = Ledger::open(&location, &Key::read(&folder.join("ledger.key")).unwrap()).unwrap();
    let holder = Holder { id: Uuid::from_u128(1), name: "collector".into() };
    let Claim::Held(token) = ledger.claim(&holder, Duration::from_secs(60)).unwrap() else { panic!("it is free") };
    for (number, (door, events)) in (1..).zip(doors) {
        let (epoch, mut prev) = (Epoch(Uuid::from_u128(number)), EventHash::START);
        let chain: Vec<_> = (1..)
            .map(Seq)
            .zip(*events)
            .map(|(seq, event)| {
                let body = serde_json::to_vec(event).unwrap();
                let hash = chain_hash(epoch, seq, &prev, &body);
                let device = DeviceId::new(*door).unwrap();
                let envelope = EventEnvelope { device, epoch, seq, event_id: event.id, prev, hash, body: body.into() };
                prev = hash;
                envelope
            })
            .collect();
        let committed = ledger.commit(token, &chain).unwrap();
        assert_eq!(committed.fresh, events.len());
    }
}

const OPEN: [&str; 6] = ["attendance", "--exam", EXAM, "--ledger", "ledger.db", "--ledger-key"];

fn attendance(folder: &Path, more: &[&str]) -> Ran {
    bare(folder, &[&OPEN[..], &["ledger.key", "--time-zone", "America/New_York"], more].concat())
}

#[test]
fn a_list_says_what_the_doors_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let first = [
        verified(1, EXAM, Some(1), Decision::Admit),
        verified(2, EXAM, Some(2), Decision::Deny(Reason::FaceMismatch)),
        verified(3, "another-exam", Some(9), Decision::Admit),
    ];
    let second =
        [verified(4, EXAM, Some(2), Decision::Admit), verified(5, EXAM, None, Decision::Deny(Reason::CardUnknown))];
    ledger(folder.path(), &[("door-1", &first), ("door-2", &second)]);

    let whole = attendance(folder.path(), &["--json"]).expect(0).json();
    let mut admitted: Vec<_> = whole["students"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["happenings"].as_array().unwrap().iter().map(|h| (one["student"].clone(), h.clone())))
        .map(|(student, h)| {
            (student.as_str().unwrap().to_owned(), h["device"].as_str().unwrap().to_owned(), h["decided"].clone())
        })
        .collect();
    admitted.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let expected = [("N1", "door-1", "admit"), ("N2", "door-1", "deny"), ("N2", "door-2", "admit")];
    assert_eq!(admitted, expected.map(|(who, door, what)| (who.into(), door.into(), what.into())));

    let table = attendance(folder.path(), &[]).expect(0).says(&["1 taps were of cards"]).stdout;
    assert!(table.contains("2 present of 2 who came; 0 disputed"), "{table}");
    assert!(table.contains("deny (face_mismatch)") && table.contains(" EST"), "{table}");
    let csv = attendance(folder.path(), &["--csv"]).expect(0).stdout;
    let rows: Vec<_> = csv.lines().collect();
    assert!(rows[0].starts_with("student_id,whereabouts,first_admitted_at,room,device,admitted_by"), "{csv}");
    assert!(rows[1].starts_with("N1,present,") && rows[1].contains(",room-1,door-1,box,"), "{csv}");
    assert!(rows[2].contains(",door-2,box,") && rows[2].contains("deny (face_mismatch)"), "{csv}");
}

#[test]
fn an_exam_of_another_name_is_said_to_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    ledger(folder.path(), &[("door-1", &[verified(1, "other", Some(1), Decision::Admit)])]);
    attendance(folder.path(), &[]).expect(0).says(&["no door has decided about anybody", "is the exam's name right?"]);
}

#[test]
fn a_signed_list_that_was_altered_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    ledger(folder.path(), &[("door-1", &[verified(1, EXAM, Some(1), Decision::Deny(Reason::FaceMismatch))])]);
    let seed = folder.path().join("list.key");
    fs::write(&seed, "07".repeat(32)).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&seed, fs::Permissions::from_mode(0o600)).unwrap();
    let public = SigningKey::from_seed(&[7; 32]).public().to_string();
    let sign = ["--csv", "--out", "list.csv", "--sign-key", "list.key"];
    let told = attendance(folder.path(), &sign).expect(0).stdout;
    assert!(told.contains(&format!("attendance check list.csv --public-key {public}")), "{told}");
    // A signed list is never written over.
    attendance(folder.path(), &sign).expect(64).says(&["list.csv cannot be made"]);

    let check = |key: &str| bare(folder.path(), &["attendance", "check", "list.csv", "--public-key", key]);
    let said = check(&public).expect(0).stdout;
    assert!(said.contains(EXAM) && said.contains("unaltered"), "{said}");
    check(&SigningKey::from_seed(&[8; 32]).public().to_string()).expect(65).says(&["not made by this key"]);
    let list = fs::read_to_string(folder.path().join("list.csv")).unwrap();
    fs::write(folder.path().join("list.csv"), list.replace("not admitted", "present")).unwrap();
    check(&public).expect(65).says(&["altered after it was signed"]);
}
