//! The whole life of a fleet in one story: founded, boxes enrolled with codes, rosters imported and pushed, students at three doors, and the
//! attendance lists. Everything that can go wrong on a bad morning goes wrong on the way: a power cut in the middle of a new roster, a
//! network that is cut, a broker that loses its memory, a collector that dies with a receipt on its lips, a stolen box.
//!
//! Broker (TLS, ACL, list of revoked certificates), stores and programs are the real ones, and the boxes are whole. At the end the ledger and the lists
//! equal what the doors recorded on their own disks.

mod books;
mod campus;
mod door;

use std::{fmt::Write as _, fs};

use examgate::domain::{EventId, WithSources};

use crate::{
    campus::{Campus, Exam, until},
    door::Door,
};

const MATH: Exam = Exam { id: "MATH-UA-120-final", doors: &[("door-1", "SILVER-207"), ("door-2", "SILVER-208")] };
const CHEM: Exam = Exam { id: "CHEM-UA-125-final", doors: &[("door-3", "WARREN-101")] };

/// So many lines make a roster that a box writes for tens of milliseconds.
const MANY: u32 = 3000;

/// A student's card, by number.
fn card(number: u32) -> String {
    format!("04AA0000{number:06X}")
}

/// The students of these numbers, room by room: the first of each room has the face of the clip, the others have no photo.
fn table(rooms: &[(&str, &[u32])]) -> String {
    let mut table = String::from("student_id,given_name,card,room,photos\n");
    for (room, numbers) in rooms {
        for (place, number) in numbers.iter().enumerate() {
            let photos = if place == 0 { format!("N{number}-1.jpg;N{number}-10.jpg") } else { String::new() };
            writeln!(table, "N{number},Ada,{},{room},{photos}", card(*number)).expect("memory");
        }
    }
    table
}

/// Photos of the woman in the clip, from frames that are not shown at the doors, for these students.
fn photograph(campus: &Campus, numbers: &[u32]) {
    let clip = campus.project.join("tests/pictures/cache/clips/WolfgangLanger_Pexels");
    for number in numbers {
        for frame in [1, 10] {
            let to = campus.at(&format!("photos/N{number}-{frame}.jpg"));
            fs::copy(clip.join(format!("{frame:04}.jpg")), to).expect("`make pictures` fetches it");
        }
    }
}

/// The answer to a card whose student has no face here.
fn refers(door: &Door, number: u32, reason: &str) -> EventId {
    let said = door.tap(&card(number));
    assert_eq!((said.decision.as_str(), said.reason.as_deref()), ("refer", Some(reason)), "N{number}\n{}", door.log());
    EventId(said.event.parse().expect("a UUID"))
}

/// The answer to a card that is on no roster here.
fn denies(door: &Door, number: u32) {
    let said = door.tap(&card(number));
    assert_eq!(said.decision, "deny", "{said:?}\n{}", door.log());
}

fn admits(door: &Door, number: u32) {
    let said = door.tap_and_look(&card(number));
    assert_eq!(said.decision, "admit", "{said:?}\n{}", door.log());
}

fn until_receipted(door: &Door) {
    until(&format!("{} has a receipt for everything", door.name), || (door.waiting() == 0).then_some(()));
}

#[test]
fn a_fleet_through_its_whole_life_loses_nothing_and_counts_nothing_twice() {
    let mut campus = Campus::found();
    photograph(&campus, &[1, 3, 5]);
    campus.import(&MATH, &table(&[("SILVER-207", &[1, 2]), ("SILVER-208", &[3, 4])]));
    campus.import(&CHEM, &table(&[("WARREN-101", &[5, 6])]));
    let mut doors = [("door-1", "SILVER-207"), ("door-2", "SILVER-208"), ("door-3", "WARREN-101")]
        .map(|(name, room)| Door::set_up(&campus, name, room));
    let stolen = Door::set_up(&campus, "door-4", "WARREN-102");
    stolen.is_let_in().unwrap_or_else(|fault| panic!("{}", WithSources(&fault)));
    campus.keep();
    campus.collect();
    doors.iter_mut().for_each(|door| door.start(&campus));
    for door in &doors {
        door.ready();
        campus.until_reported(door.name);
    }
    campus.push(&MATH);
    campus.push(&CHEM);
    let [one, two, three] = &mut doors;
    for (door, exam) in [(&*one, &MATH), (&*two, &MATH), (&*three, &CHEM)] {
        door.serves(exam);
    }

    // In peace.
    for (door, with_face, without) in [(&*one, 1, 2), (&*two, 3, 4), (&*three, 5, 6)] {
        admits(door, with_face);
        refers(door, without, "no_template");
    }
    // A card that is somebody's in another room, or nobody's.
    denies(three, 1);
    denies(one, 999);
    refers(one, 1, "already_admitted");

    // The power fails while a box writes a new edition. It holds the one before, whole; with power it gets the new one.
    let many: Vec<u32> = [3, 4].into_iter().chain(10_000..10_000 + MANY).collect();
    let mut edition = 1;
    loop {
        edition += 1;
        campus.import(&MATH, &table(&[("SILVER-207", &[1, 2]), ("SILVER-208", &many)]));
        campus.push(&MATH);
        two.kill9_while_it_applies(&MATH);
        let held = two.edition(&MATH);
        two.start(&campus);
        two.ready();
        campus.until_in_force("door-2", &MATH, edition);
        if held == edition - 1 {
            break;
        }
        assert!(edition < 9, "it was always quicker: let the roster be larger");
    }
    two.serves_edition(&MATH, edition);
    refers(two, 3, "already_admitted");
    refers(two, 10_000 + MANY - 1, "no_template");

    // A door's network is cut while it has something to tell, and something to get.
    campus.import(&CHEM, &table(&[("WARREN-101", &[5, 6, 7])]));
    three.cable.cut();
    refers(three, 6, "no_template");
    refers(three, 5, "already_admitted");
    campus.push(&CHEM);
    assert!(three.waiting() >= 2, "it keeps its decisions");
    three.cable.mend();
    campus.until_in_force("door-3", &CHEM, 2);
    three.serves_edition(&CHEM, 2);
    refers(three, 7, "no_template");

    // The broker dies and has forgotten everything when it is back. It learns meanwhile that a box was stolen.
    campus.broker.kill9().expect("it can be killed");
    campus.desk("device revoke --folder fleet door-4");
    for (door, number) in [(&*one, 2), (&*two, 4), (&*three, 6)] {
        refers(door, number, "no_template");
        assert!(door.waiting() > 0, "{} keeps its decision", door.name);
    }
    campus.broker.restart(true).unwrap_or_else(|error| panic!("{}", WithSources(&error)));
    let refused = stolen.is_let_in().expect_err("its certificate is on the list");
    assert!(WithSources(&refused).to_string().contains("revoked"), "{}", WithSources(&refused));
    campus.until_all_are_online(doors.len());
    doors.iter().for_each(until_receipted);

    // The collector dies when it has committed an event and its receipt has not arrived.
    let [one, two, _] = &doors;
    campus.hold_back_the_collector();
    let event = refers(one, 2, "no_template");
    until("it is committed", || campus.committed().contains(&event).then_some(()));
    assert!(one.waiting() > 0, "no receipt has come");
    let _spare = campus.kill_the_collector();
    refers(two, 4, "no_template");
    doors.iter().for_each(until_receipted);
    assert!(campus.log("spare.log").contains("took over"), "{}", campus.log("spare.log"));

    // A last tap at each door, and closing time.
    for (door, number) in doors.iter().zip([1, 3, 5]) {
        refers(door, number, "already_admitted");
        until_receipted(door);
    }
    doors.iter_mut().for_each(Door::stop);
    let recorded: Vec<_> = doors.iter().flat_map(Door::recorded).collect();
    books::doors_recorded_what_they_said(&doors, &recorded);
    books::ledger_is_what_the_doors_recorded(&campus, &recorded);
    let math = books::attendance_is_what_the_doors_decided(&campus, &MATH, &recorded);
    let chem = books::attendance_is_what_the_doors_decided(&campus, &CHEM, &recorded);
    assert_eq!((math, chem), (vec!["N1".into(), "N3".into()], vec![String::from("N5")]));
}
