//! Editions that come, are broken, altered or put back, under somebody who serves them.

use super::{
    super::tests::{Bench, KEY, entry, exam},
    *,
};
use crate::{
    domain::{CardPseudonym, Proctor, ProctorId, Roster, StudentId},
    store::Pin,
};

fn roster(version: u64, students: u32) -> Roster {
    Roster { exam: exam(version), entries: (1..=students).map(|n| entry(n, 1)).collect() }
}

impl Bench {
    /// As another process has it.
    fn create(&self) -> RosterStore {
        RosterStore::create(&self.path, &KEY).unwrap()
    }

    fn editions(&self) -> Editions {
        Editions::open(&self.path, KEY).unwrap()
    }
}

fn held(editions: &Editions) -> (u64, usize) {
    (editions.view().exam().version.0, editions.view().roster().len().unwrap())
}

#[test]
fn an_edition_is_switched_whole_and_only_when_asked() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let mut editions = bench.editions();
    assert!(!editions.settle().unwrap());
    let mut later = roster(2, 5);
    later.exam.window.closes += std::time::Duration::from_secs(7200);
    bench.create().replace(&later).unwrap();
    // Window, version and students are still those of the first.
    assert_eq!(held(&editions), (1, 3));
    assert_eq!(editions.view().roster().exam().unwrap().unwrap(), roster(1, 3).exam);
    assert!(editions.settle().unwrap());
    assert_eq!((held(&editions), editions.view().exam()), ((2, 5), &later.exam));
    let log = bench.path.with_extension("db-wal");
    assert_eq!(fs::metadata(log).map_or(0, |log| log.len()), 0, "nothing of the first is left in the log");
    assert!(!editions.settle().unwrap());
}

#[test]
fn proctors_are_read_as_they_are_now_and_end_no_edition() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let mut editions = bench.editions();
    let okafor = Proctor {
        id: ProctorId::new("okafor").unwrap(),
        name: "A. Okafor".into(),
        card: CardPseudonym::from_bytes([255; 32]),
    };
    let pin = Pin::new("481516").unwrap().hash().unwrap();
    bench.create().set_proctor(&okafor, &pin).unwrap();
    assert_eq!(editions.live().find_proctor(&okafor.card).unwrap(), Some(okafor.clone()));
    assert!(!editions.settle().unwrap(), "the students are the same");
    bench.create().remove_proctor(&okafor.id).unwrap();
    assert_eq!(editions.live().proctor(&okafor.id).unwrap(), None);
}

#[test]
fn what_is_no_whole_edition_leaves_the_one_before_in_force_and_is_told_once() {
    type Harm<'a> = &'a dyn Fn(&Bench);
    let sql = |bench: &Bench, sql: &str| bench.create().sealed.connection().execute_batch(sql).unwrap();
    let harms: [(&str, Harm<'_>); 8] = [
        ("no exam", &|bench| sql(bench, "DELETE FROM exam")),
        ("no student", &|bench| sql(bench, "DELETE FROM entries; UPDATE exam SET version = 2")),
        ("templates are missing", &|bench| sql(bench, "DELETE FROM templates; UPDATE exam SET version = 2")),
        ("an impossible time", &|bench| sql(bench, "UPDATE exam SET version = 2, closes = 'soon'")),
        ("doors that close first", &|bench| sql(bench, "UPDATE exam SET version = 2, closes = opens")),
        ("an older edition", &|bench| sql(bench, "UPDATE exam SET version = 0")),
        ("other content", &|bench| sql(bench, "UPDATE exam SET content = zeroblob(32)")),
        ("the file is gone", &|bench| fs::remove_file(&bench.path).unwrap()),
    ];
    for (name, harm) in harms {
        let bench = Bench::new();
        bench.create().replace(&roster(1, 3)).unwrap();
        let mut editions = bench.editions();
        harm(&bench);
        assert!(editions.settle().is_err(), "{name}");
        assert!(!editions.settle().unwrap(), "{name}: told once");
        assert_eq!(held(&editions), (1, 3), "{name}");
        let student = StudentId::new("N1").unwrap();
        assert!(!editions.view().roster().templates(&student).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn an_import_that_mends_a_broken_edition_is_taken() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let mut editions = bench.editions();
    bench.create().sealed.connection().execute_batch("DELETE FROM exam").unwrap();
    assert!(editions.settle().is_err());
    bench.create().replace(&roster(2, 4)).unwrap();
    assert!(editions.settle().unwrap());
    assert_eq!(held(&editions), (2, 4));
}

#[test]
fn a_file_put_in_its_place_is_noticed_and_a_broken_one_is_not_taken() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let mut editions = bench.editions();
    let beside = bench.path.with_extension("new");
    fs::write(&beside, vec![7; 16 * 4096]).unwrap();
    fs::rename(&beside, &bench.path).unwrap();
    assert!(editions.settle().is_err(), "not a roster");
    assert_eq!(held(&editions), (1, 3));
}

#[test]
fn an_edition_of_another_pepper_never_comes_into_force() {
    let bench = Bench::new();
    let (own, other) = (PepperCheck::from_bytes([1; 16]), PepperCheck::from_bytes([2; 16]));
    bench.create().replace_made_with(&roster(1, 3), &own).unwrap();
    let mut editions = bench.editions().for_pepper(own);
    bench.create().replace_made_with(&roster(2, 4), &other).unwrap();
    assert!(matches!(editions.settle(), Err(RosterError::AnotherPepper)));
    assert!(matches!(editions.settle(), Ok(false)), "told once");
    assert_eq!(held(&editions), (1, 3));
    // As somebody does who sees the alarm.
    bench.create().replace_made_with(&roster(3, 5), &own).unwrap();
    assert!(editions.settle().unwrap());
    assert_eq!(held(&editions), (3, 5));
    // Of an earlier version, which noted none: it is served, and doctor says so.
    bench.create().replace(&roster(4, 6)).unwrap();
    assert!(editions.settle().unwrap());
}

/// Waits until what is being read has been read, and moves to nothing.
fn until_read(editions: &Editions) {
    while editions.reading.as_ref().is_some_and(|reading| !reading.thread.is_done()) {
        std::thread::yield_now();
    }
}

#[test]
fn while_an_edition_is_read_the_one_before_answers() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let mut editions = bench.editions();
    // Anybody who opens it waits until somebody writes: the reading stands still in the middle.
    let (beside, kept) = (bench.path.with_extension("new"), bench.path.with_extension("kept"));
    fs::rename(&bench.path, &kept).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &beside, mode).unwrap();
    fs::rename(&beside, &bench.path).unwrap();
    for _ in 0..3 {
        assert!(!editions.refresh().unwrap());
        assert!(editions.is_reading());
        let student = StudentId::new("N1").unwrap();
        assert_eq!(editions.view().roster().templates(&student).unwrap().len(), 1);
    }
    drop(fs::OpenOptions::new().write(true).open(&bench.path).unwrap());
    assert!(editions.settle().is_err(), "nothing was in it");
    assert_eq!(held(&editions), (1, 3));
    fs::rename(&kept, &bench.path).unwrap();
    bench.create().replace(&roster(2, 4)).unwrap();
    assert!(editions.settle().unwrap());
    assert_eq!(held(&editions), (2, 4));
}

#[test]
fn what_is_altered_after_the_check_is_not_served() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let mut editions = bench.editions();
    bench.create().replace(&roster(2, 4)).unwrap();
    assert!(!editions.refresh().unwrap(), "it is only being read");
    until_read(&editions);
    // By somebody with the key, who leaves version and digest as they are.
    let alter = "DELETE FROM templates; UPDATE entries SET room = 'room-9'";
    bench.create().sealed.connection().execute_batch(alter).unwrap();
    let as_checked = |editions: &Editions| {
        let roster = editions.view().roster();
        let student = StudentId::new("N4").unwrap();
        let rooms: Vec<_> = roster.entries().unwrap().iter().map(|entry| entry.room.as_str().to_owned()).collect();
        assert_eq!((held(editions), roster.templates(&student).unwrap().len()), ((2, 4), 1));
        assert_eq!(rooms, vec!["room-1"; 4]);
    };
    assert!(editions.refresh().unwrap());
    as_checked(&editions);
    // Neither by the handle that is opened once the log is written back, nor as an edition of its own.
    let refused = (0..3).filter(|_| editions.settle().is_err()).count();
    assert_eq!(refused, 1, "told once");
    as_checked(&editions);
}

#[test]
fn the_log_is_emptied_once_all_who_serve_the_roster_have_moved() {
    let bench = Bench::new();
    bench.create().replace(&roster(1, 3)).unwrap();
    let (mut door, mut console) = (bench.editions(), bench.editions());
    bench.create().replace(&roster(2, 5)).unwrap();
    assert!(door.settle().unwrap());
    assert!(door.live.sealed.has_log(), "the console still reads the one before");
    assert!(console.settle().unwrap());
    while door.live.sealed.has_log() {
        door.settle().unwrap();
    }
    assert_eq!((held(&door), held(&console)), ((2, 5), (2, 5)));
}
