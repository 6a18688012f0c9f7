//! An attendance as a table for the terminal and as CSV for a spreadsheet.

use std::fmt::Write as _;

use examgate::domain::{ClockTrust, Timestamp, Whereabouts};
use examgate_fleet_core::attendance::{Attendance, Attendee, Happening};
use jiff::tz::TimeZone;

/// The columns of the CSV.
const COLUMNS: [&str; 10] = [
    "student_id",
    "whereabouts",
    "first_admitted_at",
    "room",
    "device",
    "admitted_by",
    "rulings",
    "refusals",
    "disputed",
    "also_admitted",
];

const fn whereabouts(attendee: &Attendee) -> &'static str {
    match attendee.whereabouts {
        Whereabouts::Outside => "not admitted",
        Whereabouts::Inside => "present",
        Whereabouts::TurnedAway => "turned away",
    }
}

/// A time with its date and zone, so that a list read later needs no guess.
fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn admitted_by(happening: &Happening) -> String {
    happening.proctor.as_ref().map_or_else(|| "box".into(), |proctor| format!("proctor {proctor}"))
}

/// One happening in words: what, why, by whom, when.
fn told(happening: &Happening, zone: &TimeZone) -> String {
    let mut words = format!("{} {}", time(happening.at, zone), happening.decided.name());
    if let Some(reason) = &happening.reason {
        let _ = write!(words, " ({reason})");
    }
    if let Some(proctor) = &happening.proctor {
        let _ = write!(words, " by {proctor}");
    }
    if let Some(note) = &happening.note {
        let _ = write!(words, ": {note}");
    }
    if happening.undone {
        words.push_str(", taken back");
    }
    if happening.clock == ClockTrust::Untrusted {
        words.push_str(", clock not trusted");
    }
    if !happening.confirmed {
        words.push_str(", not confirmed");
    }
    words
}

/// Admissions at further boxes, which stand beside the first one.
fn also_admitted<'a>(attendee: &'a Attendee, zone: &'a TimeZone) -> impl Iterator<Item = String> + 'a {
    let further = attendee.standing_admissions().into_iter().skip(1);
    further.map(|one| format!("{} {} by {}", time(one.at, zone), one.room, one.device))
}

fn rulings<'a>(attendee: &'a Attendee, zone: &'a TimeZone) -> impl Iterator<Item = String> + 'a {
    attendee.happenings.iter().filter(|one| one.is_ruling()).map(|one| told(one, zone))
}

fn refusals<'a>(attendee: &'a Attendee, zone: &'a TimeZone) -> impl Iterator<Item = String> + 'a {
    attendee.happenings.iter().filter(|one| !one.is_ruling() && !one.admits()).map(|one| told(one, zone))
}

/// The table: a line per student, below it what proctors ruled and why the box refused.
pub(super) fn table(attendance: &Attendance, zone: &TimeZone) -> String {
    let mut out = format!("{}\n\n", attendance.exam);
    let width = attendance.students.iter().map(|one| one.student.as_str().len()).max().unwrap_or(0).max(7);
    let _ = writeln!(out, "{:width$}  {:12}  {:28}  {:10}  by", "student", "", "first admitted", "room");
    for attendee in &attendance.students {
        let first = attendee.first_admission();
        let at = first.map_or_else(|| "-".into(), |first| time(first.at, zone));
        let room = first.map_or("-", |first| first.room.as_str());
        let by = first.map_or_else(|| "-".into(), admitted_by);
        let student = attendee.student.as_str();
        let _ = writeln!(out, "{student:width$}  {:12}  {at:28}  {room:10}  {by}", whereabouts(attendee));
        let also = also_admitted(attendee, zone).map(|place| format!("also admitted {place}"));
        for line in also.chain(rulings(attendee, zone)).chain(refusals(attendee, zone)) {
            let _ = writeln!(out, "{:width$}    {line}", "");
        }
    }
    let present = attendance.students.iter().filter(|one| one.whereabouts == Whereabouts::Inside).count();
    let disputed = attendance.students.iter().filter(|one| one.is_disputed()).count();
    let all = attendance.students.len();
    let _ = writeln!(out, "\n{present} present of {all} who came; {disputed} disputed");
    out
}

/// Text that no spreadsheet takes for a formula.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// A row per student.
pub(super) fn csv(attendance: &Attendance, zone: &TimeZone) -> anyhow::Result<String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(COLUMNS)?;
    for attendee in &attendance.students {
        let first = attendee.first_admission();
        let cells = [
            attendee.student.as_str().to_owned(),
            whereabouts(attendee).to_owned(),
            first.map(|first| time(first.at, zone)).unwrap_or_default(),
            first.map(|first| first.room.to_string()).unwrap_or_default(),
            first.map(|first| first.device.clone()).unwrap_or_default(),
            first.map(admitted_by).unwrap_or_default(),
            rulings(attendee, zone).collect::<Vec<_>>().join("; "),
            refusals(attendee, zone).collect::<Vec<_>>().join("; "),
            if attendee.is_disputed() { "yes" } else { "no" }.to_owned(),
            also_admitted(attendee, zone).collect::<Vec<_>>().join("; "),
        ];
        out.write_record(cells.map(harmless))?;
    }
    Ok(String::from_utf8(out.into_inner()?)?)
}

/// What the list does not hold.
pub(super) fn remarks(attendance: &Attendance) -> impl Iterator<Item = String> {
    let cards = attendance.unknown_cards;
    let unreadable = attendance.unreadable;
    let none = attendance.students.is_empty();
    let twice = attendance.students.iter().filter(|one| one.standing_admissions().len() > 1).count();
    [
        none.then(|| format!("no door has decided about anybody of {}: is the exam's name right?", attendance.exam)),
        (twice > 0).then(|| {
            format!(
                "{twice} students were admitted by two boxes: `examgate-fleet incidents --exam {}` names them",
                attendance.exam
            )
        }),
        (cards > 0).then(|| {
            format!("{cards} taps were of cards that are on no roster, or could not be read; they are in `events`")
        }),
        (unreadable > 0).then(|| {
            format!("{unreadable} events are of a newer version and are not in the list: use a newer examgate-fleet")
        }),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_no_formula() {
        assert_eq!(harmless("=HYPERLINK(\"x\")".into()), "'=HYPERLINK(\"x\")");
        assert_eq!(harmless("N1".into()), "N1");
    }
}
