//! What the desk is asked on an exam day: which boxes are there, how fast the doors are, what somebody must look into.

use std::path::Path;

use examgate::{
    domain::{Decision, DeviceId, Reason, RoomId, Timestamp, sample::verified},
    store::Key,
    wire::state::{DeviceState, Status, Versions},
};
use examgate_fleet_core::{
    ledger::{Ledger, Location},
    stock::Stock,
};
use uuid::Uuid;

use super::{
    attendance::ledger,
    backup::{enrolled, report},
    fleet::{found, run},
};

const EXAM: &str = "MATH-UA-120-final";

#[test]
fn the_boxes_are_listed_with_what_was_heard_of_them() {
    let folder = found();
    let here = folder.path();
    enrolled(here);
    run(here, "device list --folder fleet --stock nowhere").expect(64).says(&["no stock"]);
    let stock = Stock::open(&here.join("stock")).unwrap();
    let line = "device list --folder fleet --stock stock";
    let table = run(here, line).expect(0).says(&["has noted nothing yet"]).stdout;
    assert!(table.contains("door-1  SILVER-207  enrolled  -"), "{table}");
    let versions = Versions { software: "0.1.0".into(), ..Versions::default() };
    let lost = DeviceState::new(Status::Lost, Uuid::from_u128(1), versions);
    let at: Timestamp = "2026-11-29T18:00:00Z".parse().unwrap();
    stock.set_state(&DeviceId::new("door-1").unwrap(), &lost, at).unwrap();
    stock.set_heard(at).unwrap();
    report(&stock, Some(3));
    let table = run(here, line).expect(0).says(&["last listened to the broker at 2026-11-29 18:00:00 UTC"]).stdout;
    let head = table.lines().next().unwrap();
    for part in ["box", "room", "state", "there", "software", "rosters", "lost cards", "trust"] {
        assert!(head.contains(part), "{part} is not in {head}");
    }
    for part in [
        "lost since 2026-11-29 18:00 UTC",
        "0.1.0",
        "MATH-UA-120-final v2",
        "list 3",
        "document 0, behind",
        "certificate until",
    ] {
        assert!(table.contains(part), "{part} is not in:\n{table}");
    }
    let json = run(here, &format!("{line} --json")).expect(0).json();
    let noted = &json[0]["noted"];
    assert_eq!((&noted["live"]["status"], &noted["live"]["versions"]["software"]), (&"lost".into(), &"0.1.0".into()));
    assert_eq!((&noted["reported"]["lost_cards"], &noted["reported"]["held"][0]["version"]), (&3.into(), &2.into()));
    assert_eq!(noted["reported"]["trust"]["behind"], true, "the fleet's document has a higher version");
    assert!(run(here, "device list --folder fleet --json").expect(0).json()[0].get("noted").is_none());
}

#[test]
fn the_pace_of_each_door_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let admitted = |second, student| verified(second, EXAM, Some(student), Decision::Admit);
    let first = [admitted(1, 1), admitted(31, 2), admitted(61, 3), admitted(121, 4)];
    let second = [admitted(5, 5), verified(6, EXAM, Some(6), Decision::Deny(Reason::FaceMismatch))];
    ledger(folder.path(), &[("door-1", &first), ("door-2", &second)]);
    let line = format!("throughput --exam {EXAM} --ledger ledger.db --ledger-key ledger.key");
    let json = run(folder.path(), &format!("{line} --json")).expect(0).json();
    let numbers = |n: usize| {
        let door = &json["doors"][n];
        (door["admitted"].clone(), door["mean_per_minute"].clone(), door["peak_per_minute"].clone())
    };
    assert_eq!(numbers(0), (4.into(), 1.5.into(), 2.into()));
    assert_eq!(numbers(1), (1.into(), serde_json::Value::Null, 1.into()));
    let table = run(folder.path(), &format!("{line} --time-zone America/New_York")).expect(0).stdout;
    assert!(table.contains("door-1  room-1  4         1.5       2        2027-01-15 03:00:01 EST"), "{table}");
    let other = run(folder.path(), "throughput --exam other --ledger ledger.db --ledger-key ledger.key").expect(0);
    assert!(other.stdout.contains("is the exam's name right?"));
}

fn mark(folder: &Path) {
    let key = Key::read(&folder.join("ledger.key")).unwrap();
    let mut ledger = Ledger::open(&Location::File(folder.join("ledger.db")), &key).unwrap();
    assert_eq!(ledger.restored().unwrap().len(), 2);
}

#[test]
fn incidents_are_a_table_with_what_to_do_and_can_be_narrowed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let events = |exam| [verified(1, exam, Some(1), Decision::Admit)];
    let other = [verified(2, "other", Some(2), Decision::Admit)];
    ledger(here, &[("door-1", &events(EXAM)), ("door-2", &other)]);
    let line = "incidents --ledger ledger.db --ledger-key ledger.key";
    assert!(run(here, line).expect(0).stdout.contains("no incidents"));
    mark(here);
    let table = run(here, line).expect(0).stdout;
    assert!(
        table.contains("door-1  restored  2") && table.contains("door-2") && table.contains("open for 0 min"),
        "{table}"
    );
    assert_eq!(table.matches("restored: the ledger was restored from a backup").count(), 1, "{table}");
    let all = run(here, &format!("{line} --json")).expect(0).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let one = run(here, &format!("{line} --json --open --exam {EXAM}")).expect(0).json();
    assert_eq!(
        (one.as_array().unwrap().len(), &one[0]["device"], &one[0]["incident"]),
        (1, &"door-1".into(), &"restored".into())
    );
    // The words of before still work.
    let lines = run(here, "events --ledger ledger.db --ledger-key ledger.key --incidents").expect(0).stdout;
    assert!(lines.contains("door-1") && lines.contains("restored"), "{lines}");
}

#[test]
fn a_student_admitted_by_two_boxes_is_an_incident_with_both_places_and_the_list_shows_both() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let first = [verified(1, EXAM, Some(1), Decision::Admit), verified(2, EXAM, Some(2), Decision::Admit)];
    let mut again = verified(65, EXAM, Some(1), Decision::Admit);
    again.room = RoomId::new("room-2").unwrap();
    ledger(here, &[("door-1", &first), ("door-2", &[again])]);
    let line = "incidents --ledger ledger.db --ledger-key ledger.key";
    let table = run(here, line).expect(0).stdout;
    let places = "room-1 by door-1 2027-01-15 08:00:01 UTC, room-2 by door-2 2027-01-15 08:01:05 UTC";
    assert!(table.contains(&format!("N1       admitted_twice  {EXAM}  {places}")), "{table}");
    assert!(!table.contains("N2") && table.contains("\nadmitted_twice: two boxes of one exam"), "{table}");
    let json = run(here, &format!("{line} --json --open --exam {EXAM}")).expect(0).json();
    let one = &json[0];
    assert_eq!(json.as_array().unwrap().len(), 1, "{json}");
    assert_eq!(
        (&one["incident"], &one["student"], &one["exam"]),
        (&"admitted_twice".into(), &"N1".into(), &EXAM.into())
    );
    let places =
        [0, 1].map(|n| ["room", "device", "at"].map(|field| one["places"][n][field].as_str().unwrap().to_owned()));
    let wanted = [["room-1", "door-1", "2027-01-15T08:00:01Z"], ["room-2", "door-2", "2027-01-15T08:01:05Z"]];
    assert_eq!(places, wanted.map(|place| place.map(str::to_owned)));
    assert!(run(here, &format!("{line} --exam other")).expect(0).stdout.contains("nobody was admitted by two boxes"));

    let list =
        format!("attendance --exam {EXAM} --ledger ledger.db --ledger-key ledger.key --time-zone America/New_York");
    let table = run(here, &list).expect(0).says(&["1 students were admitted by two boxes"]).stdout;
    assert!(table.contains("also admitted 2027-01-15 03:01:05 EST room-2 by door-2"), "{table}");
    let csv = run(here, &format!("{list} --csv")).expect(0).stdout;
    assert!(
        csv.contains(
            "N1,present,2027-01-15 03:00:01 EST,room-1,door-1,box,,,no,2027-01-15 03:01:05 EST room-2 by door-2"
        ),
        "{csv}"
    );
}
