//! The books at the end: what the doors recorded on their own disks, against what the fleet's ledger and its attendance lists say.
//!
//! It folds the doors' events by itself, with none of the fleet's code.

use std::collections::{BTreeMap, BTreeSet};

use examgate::domain::{EventId, Timestamp};
use serde_json::{Value, json};

use crate::{
    campus::{Campus, Exam},
    door::Door,
};

/// The ledger holds exactly what the doors recorded, each event once, in the order of each door, and nothing is wrong with it.
pub(crate) fn ledger_is_what_the_doors_recorded(campus: &Campus, recorded: &[Value]) {
    let (committed, incidents) = campus.events();
    let ids: BTreeSet<_> = recorded.iter().map(|line| line["event"]["id"].to_string()).collect();
    assert_eq!(ids.len(), recorded.len(), "every event has a name of its own");
    let told = |line: &Value| {
        assert_eq!(line["confirmed"], true, "{line}");
        json!({ "device": line["device"], "epoch": line["epoch"], "seq": line["seq"], "event": line["event"] })
    };
    let committed: Vec<_> = committed.iter().map(told).collect();
    assert_eq!(committed, recorded);
    assert_eq!(incidents, "");
}

/// What a door said is what it recorded, nothing more and nothing less.
pub(crate) fn doors_recorded_what_they_said(doors: &[Door], recorded: &[Value]) {
    for door in doors {
        let own = |line: &&Value| line["device"] == door.name && line["event"]["kind"] == "verification";
        let answers = recorded.iter().filter(own).map(|line| {
            let (id, decision) = (&line["event"]["id"], &line["event"]["decision"]);
            let id = EventId(id.as_str().expect("an id").parse().expect("a UUID"));
            let reason = decision["reason"]["code"].as_str().map(str::to_owned);
            (id, (decision["outcome"].as_str().expect("an outcome").to_owned(), reason))
        });
        assert_eq!(answers.collect::<BTreeMap<_, _>>(), door.said(), "{}", door.name);
    }
}

/// The attendance list of `exam` is what the doors decided. Gives who is present.
pub(crate) fn attendance_is_what_the_doors_decided(campus: &Campus, exam: &Exam, recorded: &[Value]) -> Vec<String> {
    let at = |event: &Value| event["at"].as_str().expect("a time").parse::<Timestamp>().expect("a time");
    let mut happenings: BTreeMap<String, Vec<(Timestamp, String, Value)>> = BTreeMap::new();
    let mut unknown_cards = 0;
    for line in recorded.iter().filter(|line| line["event"]["exam"] == exam.id) {
        let event = &line["event"];
        assert_eq!(event["kind"], "verification", "there is no proctor here");
        let Some(student) = event["student"].as_str() else {
            unknown_cards += 1;
            continue;
        };
        let mut happening = json!({
            "at": event["at"], "clock": event["clock"], "room": event["room"], "device": line["device"], "event": event["id"],
            "decided": event["decision"]["outcome"], "confirmed": true,
        });
        if let Some(code) = event["decision"]["reason"]["code"].as_str() {
            happening["reason"] = code.into();
        }
        happenings.entry(student.to_owned()).or_default().push((at(event), event["id"].to_string(), happening));
    }
    let mut present = Vec::new();
    let students: Vec<_> = happenings
        .into_iter()
        .map(|(student, mut lines)| {
            lines.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
            let lines: Vec<_> = lines.into_iter().map(|(_, _, line)| line).collect();
            let is_inside = lines.iter().any(|line| line["decided"] == "admit");
            if is_inside {
                present.push(student.clone());
            }
            json!({ "student": student, "whereabouts": if is_inside { "inside" } else { "outside" }, "happenings": lines })
        })
        .collect();
    let wanted = json!({ "exam": exam.id, "students": students, "unknown_cards": unknown_cards, "unreadable": 0 });
    assert_eq!(campus.attendance(exam), wanted);
    present
}
