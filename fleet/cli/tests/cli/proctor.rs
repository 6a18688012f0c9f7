//! `proctor add` and `roster import`: one card, one person.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use examgate::{
    domain::{
        CardPseudonym, CredentialProfile, Exam, ExamId, ExamWindow, Pepper, Proctor, ProctorId, RoomId, Roster,
        RosterEntry, RosterVersion, Student, StudentId, Timestamp,
    },
    store::{Key, KeyFolder, KeyName, Layout, Pin, RosterStore, read_secret},
};

use super::bare;

fn pseudonym(here: &Path, uid: [u8; 4]) -> CardPseudonym {
    let pepper = Pepper::from_bytes(*read_secret(&here.join("keys/pepper.key")).unwrap());
    pepper.pseudonym(CredentialProfile::Uid, &uid)
}

/// A roster with N1 (04A2B3C4) and the proctor Okafor (04A2B3C5).
fn store(here: &Path) -> RosterStore {
    fs::create_dir_all(here.join("keys")).unwrap();
    fs::create_dir_all(here.join("photos")).unwrap();
    Key::generate().unwrap().write_new(&here.join("keys/pepper.key")).unwrap();
    let (exam, layout) = (ExamId::new("MATH-1").unwrap(), Layout::new(here.join("state")));
    layout.make().unwrap();
    let keys = KeyFolder::new(here.join("keys"), None);
    keys.provision().unwrap();
    let key = keys.make(KeyName::Exam(&exam)).unwrap();
    let mut roster = RosterStore::create(&layout.exam(&exam), &key).unwrap();
    let exam = Exam {
        id: exam,
        title: "Algebra".into(),
        window: ExamWindow { opens: Timestamp::UNIX_EPOCH, closes: Timestamp::MAX },
        version: RosterVersion(1),
    };
    let student = Student::new(StudentId::new("N1").unwrap(), "Ada");
    let entry = RosterEntry::new(student, pseudonym(here, [4, 0xA2, 0xB3, 0xC4]), RoomId::new("R1").unwrap());
    roster.replace(&Roster { exam, entries: vec![(entry, Vec::new())] }).unwrap();
    let card = pseudonym(here, [4, 0xA2, 0xB3, 0xC5]);
    let okafor = Proctor { id: ProctorId::new("okafor").unwrap(), name: "A. Okafor".into(), card };
    roster.set_proctor(&okafor, &Pin::new("481516").unwrap().hash().unwrap()).unwrap();
    roster
}

#[test]
fn a_student_is_not_imported_with_a_proctors_card() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let roster = store(here);
    fs::write(
        here.join("roster.csv"),
        "student_id,given_name,card,room,photos\nN1,Ada,04A2B3C4,R1,\nN2,Bob,04:a2:b3:c5,R1,\n",
    )
    .unwrap();
    let times = ["--opens", "2026-12-14T08:30:00-05:00", "--closes", "2026-12-14T09:15:00-05:00"];
    let place = ["--exam", "MATH-1", "--title", "Algebra", "--store", "state", "--keys", "keys", "--photos", "photos"];
    let args = [&["roster", "import", "--csv", "roster.csv"][..], &times, &place].concat();
    bare(here, &args).expect(65).says(&["line 3", "`card`", "proctor okafor", "proctor remove"]);
    assert_eq!(roster.exam().unwrap().unwrap().version, RosterVersion(1), "nothing was written");
}

#[test]
fn a_proctor_is_not_added_with_a_students_card() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let roster = store(here);
    let mut child = Command::new(env!("CARGO_BIN_EXE_examgate-fleet"))
        .args(["proctor", "add", "--exam", "MATH-1", "--id", "brandt", "--name", "M. Brandt", "--card", "04A2B3C4"])
        .args(["--store", "state", "--keys", "keys"])
        .current_dir(here)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "234200").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("a student or another proctor has this card"), "{said}");
    assert_eq!(roster.proctors().unwrap().len(), 1);
}

#[test]
fn proctors_are_listed_as_json() {
    let folder = tempfile::tempdir().unwrap();
    drop(store(folder.path()));
    let args = ["proctor", "list", "--exam", "MATH-1", "--store", "state", "--keys", "keys", "--json"];
    let listed = bare(folder.path(), &args).expect(0).json();
    assert_eq!(listed, serde_json::json!([{ "id": "okafor", "name": "A. Okafor" }]));
}
