//! `roster import` with several cards, preferred names, seats, and students who opted out of face matching.

use std::fs;

use examgate::domain::{CardStanding, Matching, StudentId};

use super::{
    copy, fleet,
    import::{card, import, open, written},
};

#[test]
fn a_student_comes_with_all_cards_both_names_a_seat_and_their_wish() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for photo in ["N1", "N2", "N2-b"] {
        copy("obama.jpg", here.join(format!("photos/{photo}.jpg")));
    }
    let csv = "student_id,given_name,preferred_name,card,card_standing,card_2,card_3,room,seat,photos,matching\n\
               N1,Augusta,Ada,04A2B3C4,replaced,04A2B3C5,,R1,\"Row C, 7\",,\n\
               N2,Quirinus,,04A2B3C6,,,04A2B3C7,R1,,,none\n\
               N3,Bob,,04A2B3C8,,,,R1,,,face\n";
    let ran = import(here, csv, &["--report", "report.json"]).expect(0);

    let store = open(here);
    let found = |last: u8| store.find(&card(here, &[0x04, 0xA2, 0xB3, last])).unwrap().unwrap();
    let (old, new) = (found(0xC4), found(0xC5));
    assert_eq!(old, new, "each card finds the same place");
    let standing = |last: u8| old.entry.standing(&card(here, &[0x04, 0xA2, 0xB3, last]));
    assert_eq!([0xC4, 0xC5].map(standing), [CardStanding::Revoked, CardStanding::Active].map(Some));
    let student = &old.entry.student;
    assert_eq!((student.given_name.as_str(), student.called()), ("Augusta", "Ada"));
    assert_eq!((old.entry.seat.as_ref().map(|seat| seat.as_str()), old.templates), (Some("Row C, 7"), 1));

    let out = found(0xC7);
    assert_eq!((out.entry.matching, out.templates, out.entry.cards().count()), (Matching::None, 0, 2));
    assert!(store.templates(&StudentId::new("N2").unwrap()).unwrap().is_empty(), "no template was made");
    assert_eq!(found(0xC8).entry.matching, Matching::Face);

    let report: serde_json::Value = serde_json::from_slice(&fs::read(here.join("report.json")).unwrap()).unwrap();
    assert_eq!(
        (&report["students"], &report["students_with_template"], &report["photos"]),
        (&3.into(), &1.into(), &1.into())
    );
    let ids = |list: &str| -> Vec<_> {
        report[list].as_array().unwrap().iter().map(|place| place["student_id"].as_str().unwrap()).collect()
    };
    assert_eq!((ids("opted_out"), ids("without_template")), (vec!["N2"], vec!["N3"]), "counted apart");
    assert_eq!(report["photos_not_opened"], serde_json::json!(["N2-b.jpg", "N2.jpg"]));
    assert_eq!(report["unclaimed"], serde_json::json!([]));
    let headline = "MATH-1 version 1: 3 students, 1 with a face (1 templates of 1 photos), 1 without, 1 opted out\n";
    assert!(ran.stdout.contains(headline), "{}", ran.stdout);
    for secret in ["Augusta", "Quirinus", "04A2B3C5", "Row C"] {
        assert!(!format!("{}{}{report}", ran.stdout, ran.stderr).contains(secret), "{secret} is said");
    }
}

#[test]
fn a_card_of_two_students_and_a_wish_that_is_not_understood_are_refused_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let csv = "student_id,given_name,card,card_2,room,photos,matching\n\
               N1,Ada,04A2B3C4,04A2B3C5,R1,,\nN2,Bo,04A2B3C6,04:a2:b3:c4,R1,,\nN3,Cy,04A2B3C7,04A2B3,R1,,opt-out\n";
    import(here, csv, &[]).expect(65).says(&[
        "line 3: the same card is already on line 2",
        "line 4: `card_2`: ",
        "line 4: `matching`: `opt-out` is not known",
    ]);
    assert!(!written(here));
}

#[test]
fn look_alikes_are_recorded_once_a_person_says_so_and_stay_over_imports() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for (photo, to) in [("obama.jpg", "N1"), ("obama2.jpg", "N2"), ("biden.jpg", "N3")] {
        copy(photo, here.join(format!("photos/{to}.jpg")));
    }
    let header = "student_id,given_name,card,room,photos,matching\n";
    let row = |n: u8, matching: &str| format!("N{n},Ada,04A2B3C{n},R{n},,{matching}\n");
    let said = import(here, header.to_owned() + &row(1, "") + &row(2, "") + &row(3, ""), &[]).expect(0).stdout;
    assert!(said.contains("`roster check --record` has the door refer both to the proctor"), "{said}");
    let alike = |n: u8| -> Vec<String> {
        let found = open(here).find(&card(here, &[0x04, 0xA2, 0xB3, 0xC0 + n])).unwrap().unwrap();
        found.entry.look_alikes.into_iter().map(String::from).collect()
    };
    let version = || open(here).exam().unwrap().unwrap().version.0;
    let check = |more: &[&str]| {
        let usual = ["roster", "check", "--exam", "MATH-1", "--store", "state", "--keys", "keys"];
        fleet(here, &[&usual[..], more].concat()).expect(0).stdout
    };
    assert!(check(&[]).contains("N1 and N2: similarity"));
    assert_eq!((alike(1), version()), (vec![], 1), "only looked at");
    let said = check(&["--record"]);
    assert!(said.contains("version 2 has a look-alike for 2 students"), "{said}");
    assert_eq!((alike(1), alike(2), alike(3), version()), (vec!["N2".into()], vec!["N1".into()], vec![], 2));
    assert!(open(here).pepper().unwrap().is_some(), "still known by the box's pepper");
    check(&["--record"]);
    assert_eq!(version(), 2, "nothing has changed");

    let said = import(here, header.to_owned() + &row(1, "") + &row(2, "") + &row(3, ""), &[]).expect(0).stdout;
    assert!(said.contains("Look-alikes that were recorded before are kept: 2 students"), "{said}");
    assert_eq!((alike(1), alike(2)), (vec!["N2".into()], vec!["N1".into()]));
    // Of one who opted out nothing is compared.
    import(here, header.to_owned() + &row(1, "") + &row(2, "none") + &row(3, ""), &[]).expect(0);
    assert_eq!((alike(1), alike(2)), (vec![], vec![]));
    import(here, header.to_owned() + &row(1, "") + &row(2, "") + &row(3, ""), &[]).expect(0);
    check(&["--record"]);
    assert_eq!(alike(2), ["N1"]);
    check(&["--record", "--from", "1"]);
    assert_eq!((alike(1), alike(2)), (vec![], vec![]), "taken back");
}
