//! Taps looked up in real stores, while the roster changes.
//!
//! Over 400 lines, and still read at one sitting: one office, and one short story after the other.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use tokio::sync::watch;
use uuid::Uuid;

use super::*;
use crate::{
    domain::{
        ArtifactId, Card, CardStanding, ClockTrust, CredentialProfile, Decision, DeviceId, Embedding, Epoch, EventKind,
        ExamId, ExamWindow, MonoTime, Peer, PeerKey, Peers, PepperCheck, Proctor, ProctorId, Reason, RoomId, Roster,
        RosterEntry, RosterVersion, Student, StudentId, Timestamp, sample::verified,
    },
    flow::Shelf,
    store::{Key, KeyFolder, KeyName, Layout, Limits, Pin, RosterStore},
    wire::{
        admitted::{AdmittedPage, AdmittedRow},
        keys::SigningKey,
    },
};

/// A clock that a test sets.
struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn trust(&self) -> ClockTrust {
        ClockTrust::Synchronised
    }
}

struct Office {
    _folder: tempfile::TempDir,
    shelf: Shelf,
    clock: Arc<Hand>,
    /// As the office has it, to write to.
    roster: RosterStore,
    /// As the recorder has it.
    events: EventStore,
    doors: watch::Receiver<Doors>,
    queries: SyncSender<LookupRequest>,
    lost: watch::Sender<Arc<BTreeSet<CardPseudonym>>>,
    gathered: watch::Receiver<Option<Arc<Gathering>>>,
    rooms: watch::Sender<OtherRooms>,
    happened: Receiver<Happened>,
}

fn card(n: u8) -> CardPseudonym {
    CardPseudonym::from_bytes([n; 32])
}

/// Students 1 to `students` of exam `A`, each with a template of the space in use and one of another.
fn edition(version: u64, students: u8) -> Roster {
    edition_of("A", version, students)
}

fn edition_of(exam: &str, version: u64, students: u8) -> Roster {
    let template = |space| Template {
        space: EmbeddingSpaceId::new(space),
        artifact: ArtifactId::from_bytes([1; 32]),
        embedding: Embedding::normalised(vec![1.0, 0.0]).unwrap(),
    };
    let entry = |n| {
        let student = Student::new(StudentId::new(format!("N{n}")).unwrap(), "Ada");
        RosterEntry::new(student, card(n), RoomId::new("S207").unwrap())
    };
    let exam = Exam {
        id: ExamId::new(exam).unwrap(),
        title: "Algebra".into(),
        window: ExamWindow { opens: Timestamp::UNIX_EPOCH, closes: Timestamp::MAX },
        version: RosterVersion(version),
    };
    Roster {
        exam,
        entries: (1..=students).map(|n| (entry(n), vec![template("in use"), template("another")])).collect(),
    }
}

/// Brings a roster in as the office does; with the handle to write more.
fn put(shelf: &Shelf, roster: &Roster) -> RosterStore {
    let key = shelf.keys.make(KeyName::Exam(&roster.exam.id)).unwrap();
    let mut store = RosterStore::create(&shelf.layout.exam(&roster.exam.id), &key).unwrap();
    store.replace(roster).unwrap();
    store
}

fn served(exam: Option<&Exam>) -> Option<(&str, u64)> {
    exam.map(|exam| (exam.id.as_str(), exam.version.0))
}

impl Office {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (layout, keys) = (Layout::new(folder.path()), KeyFolder::new(folder.path().join("keys"), None));
        layout.make().unwrap();
        keys.provision().unwrap();
        let shelf = Shelf { layout, keys, pepper: PepperCheck::from_bytes([1; 16]) };
        let roster = put(&shelf, &edition(1, 1));
        let limits = Limits { reserve: 128 << 10, ..Limits::default() };
        let door = crate::domain::DeviceId::new("door-1").unwrap();
        let key = Key::from_bytes([7; 32]);
        let clock = Arc::new(Hand(Mutex::new(Timestamp::from_second(100).unwrap())));
        let mut rosters = Rosters::new(shelf.clone(), None);
        assert!(rosters.settle(clock.wall(), clock.trust()));
        let (doors, told) = watch::channel(Doors::NothingHeld);
        let (lost, view) = watch::channel(Arc::default());
        let ((gathering, gathered), (rooms, other_rooms)) =
            (watch::channel(None), watch::channel(OtherRooms::default()));
        let events =
            || EventStore::open(&folder.path().join("e.db"), &key, &door, Epoch(Uuid::from_u128(1)), limits).unwrap();
        let lookup = TapLookup {
            rosters,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            doors,
            events: events(),
            space: EmbeddingSpaceId::new("in use"),
            lost: view,
            gathering,
            other_rooms,
            console: true,
        };
        let events = events();
        let (queries, asked) = sync_channel(1);
        let (tell, happened) = sync_channel(4);
        std::thread::spawn(move || lookup.run(&asked, &tell, || ()));
        Self { _folder: folder, shelf, clock, roster, events, doors: told, queries, lost, gathered, rooms, happened }
    }

    /// Brings in another edition, and waits until it is served.
    fn replace(&mut self, roster: &Roster) {
        self.roster.replace(roster).unwrap();
        self.until_served(Some((roster.exam.id.as_str(), roster.exam.version.0)));
    }

    fn until_served(&self, wanted: Option<(&str, u64)>) {
        while served(self.look_up(255).exam.as_ref()) != wanted {}
    }

    fn look_up(&self, n: u8) -> LookedUp {
        let event = EventId(Uuid::from_u128(n.into()));
        let credential = Credential { pseudonym: card(n), profile: CredentialProfile::Uid };
        self.queries.send(LookupRequest { event, credential }).unwrap();
        loop {
            let happened = self.happened.recv().unwrap();
            if let Happened::LookedUp(answered, found) = happened {
                assert_eq!(answered, event);
                return *found;
            }
            assert!(matches!(happened, Happened::Roster(_)), "{happened:?}");
        }
    }
}

#[test]
fn a_tap_is_answered_out_of_the_newest_whole_edition() {
    let mut office = Office::new();
    let found = office.look_up(1);
    assert!(matches!(found.lookup, Lookup::Enrolled(_)) && served(found.exam.as_ref()) == Some(("A", 1)), "{found:?}");
    assert_eq!(found.templates.len(), 1, "only of the space in use");
    assert!(matches!(office.look_up(2).lookup, Lookup::Unknown));
    office.replace(&edition(2, 2));
    let found = office.look_up(2);
    assert!(matches!(found.lookup, Lookup::Enrolled(_)) && served(found.exam.as_ref()) == Some(("A", 2)), "{found:?}");
    office.roster.sealed().connection().execute_batch("UPDATE exam SET version = 3, closes = 'soon'").unwrap();
    let found = office.look_up(2);
    assert!(matches!(found.lookup, Lookup::Enrolled(_)) && served(found.exam.as_ref()) == Some(("A", 2)), "{found:?}");
}

#[test]
fn a_lost_card_is_revoked_at_once_and_lets_no_proctor_in() {
    let mut office = Office::new();
    let proctor = Proctor { id: ProctorId::new("p").unwrap(), name: "P".into(), card: card(9) };
    office.roster.set_proctor(&proctor, &Pin::new("482913").unwrap().hash().unwrap()).unwrap();
    let standing = |found: LookedUp| enrolled(found).entry.card.standing;
    assert_eq!(standing(office.look_up(1)), CardStanding::Active);
    assert!(matches!(office.look_up(9).lookup, Lookup::Proctor(_)));
    office.lost.send_replace(Arc::new([card(1), card(9)].into()));
    assert_eq!(standing(office.look_up(1)), CardStanding::Revoked);
    assert!(matches!(office.look_up(9).lookup, Lookup::Unknown));
    office.lost.send_replace(Arc::default());
    assert_eq!(standing(office.look_up(1)), CardStanding::Active);
}

fn enrolled(found: LookedUp) -> Enrolled {
    match found.lookup {
        Lookup::Enrolled(enrolled) => enrolled,
        other @ (Lookup::Unknown | Lookup::Elsewhere | Lookup::Shared | Lookup::Proctor(_) | Lookup::Unavailable) => {
            panic!("{other:?}")
        }
    }
}

#[test]
fn each_card_of_a_student_finds_them_and_a_lost_one_is_refused_alone() {
    let mut office = Office::new();
    let mut roster = edition(2, 1);
    roster.entries[0].0.other_cards = vec![Card::active(card(5)), Card::active(card(6))];
    office.replace(&roster);
    for n in [1, 5, 6] {
        let found = office.look_up(n);
        assert_eq!(found.templates.len(), 1, "card {n}");
        assert_eq!(enrolled(found).entry.student.id.as_str(), "N1");
    }
    office.lost.send_replace(Arc::new([card(5)].into()));
    let standings = |n: u8| enrolled(office.look_up(n)).entry.standing(&card(n));
    assert_eq!([1, 5, 6].map(standings), [CardStanding::Active, CardStanding::Revoked, CardStanding::Active].map(Some));
}

#[test]
fn attempts_count_for_all_cards_of_a_student_together() {
    let mut office = Office::new();
    let mut roster = edition(2, 2);
    roster.entries[0].0.other_cards = vec![Card::active(card(5))];
    office.replace(&roster);
    let tapped = |office: &mut Office, number: u64, n: u8, decision| {
        let mut event = verified(number, "A", Some(1), decision);
        if let EventKind::Verification(verification) = &mut event.kind {
            verification.card = Some(card(n));
        }
        office.events.record(&event).unwrap();
    };
    for (number, n) in (1..).zip([1, 5, 5, 2]) {
        tapped(&mut office, number, n, Decision::Deny(Reason::FaceMismatch));
    }
    let failed = |office: &Office| [1, 5, 2].map(|n| office.look_up(n).history.failed_in_a_row);
    assert_eq!(failed(&office), [3, 3, 1]);
    tapped(&mut office, 9, 5, Decision::Admit);
    assert_eq!(failed(&office), [0, 0, 1], "an admission with one card ends the pauses of all");
}

#[test]
fn who_was_let_in_at_another_box_is_found_by_number_and_by_card_and_the_other_boxes_are_told_of() {
    let mut office = Office::new();
    let key = SigningKey::from_seed(&[7; 32]);
    let (device, room) = (DeviceId::new("door-2").unwrap(), RoomId::new("S301").unwrap());
    let peer = Peer { device: device.clone(), room: room.clone(), students: 10, signs_with: *key.public().as_bytes() };
    let peers = Peers { key: PeerKey::from_bytes([3; 32]), boxes: vec![peer] };
    office.roster.set_peers(&peers).unwrap();
    while office.gathered.borrow().is_none() {
        let happened = office.happened.recv_timeout(Duration::from_millis(10));
        assert!(happened.is_err(), "no edition has changed");
    }
    let gathering = office.gathered.borrow().clone().expect("told of");
    assert_eq!((gathering.exam.id.as_str(), &gathering.peers), ("A", &peers));

    // Of student 1 the number is known there, of card 9, which is on no roster here, the card, and of card 8 as well.
    let at = Timestamp::from_second(90).unwrap();
    let who = [peers.key.student(&StudentId::new("N1").unwrap()), peers.key.card(&card(9)), peers.key.card(&card(8))];
    let row = |who| AdmittedRow { at: Some(at), who: vec![who] };
    let page = AdmittedPage { exam: gathering.exam.id.clone(), device, page: 0, made: at, rows: who.map(row).into() };
    office.rooms.send_replace(OtherRooms::told(&gathering, &page.encode(&key)));
    let elsewhere = Some(OtherRoom { room, at });
    let found = office.look_up(1);
    assert_eq!(found.other_room, elsewhere);
    assert!(matches!(found.lookup, Lookup::Enrolled(_)));
    office.lost.send_replace(Arc::new([card(8)].into()));
    let found = [9, 8, 7].map(|n| office.look_up(n));
    assert!(found.iter().all(|found| matches!(found.lookup, Lookup::Unknown)));
    assert_eq!(found.map(|found| found.other_room), [elsewhere, None, None], "a lost card is nobody's");
}

#[test]
fn what_proved_itself_is_remembered_until_it_is_lost() {
    let mut office = Office::new();
    let mut roster = edition(2, 1);
    roster.entries[0].0.other_cards = vec![Card::active(card(5))];
    office.roster.replace(&roster).unwrap();
    let proven = |office: &Office, n: u8| office.look_up(n).history.proven;
    assert_eq!(proven(&office, 1), None);
    let mut event = verified(1, "A", Some(1), Decision::Admit);
    if let EventKind::Verification(verification) = &mut event.kind {
        (verification.card, verification.profile) = (Some(card(5)), Some(CredentialProfile::Pacs));
    }
    office.events.record(&event).unwrap();
    assert_eq!(proven(&office, 1), Some(CredentialProfile::Pacs), "a weaker card of the student is known to be one");
    office.lost.send_replace(Arc::new([card(5)].into()));
    assert_eq!(proven(&office, 1), None, "the lost card is asked for no more");
}

#[test]
fn a_new_edition_is_told_of_also_when_nobody_taps() {
    let mut office = Office::new();
    office.roster.replace(&edition(2, 2)).unwrap();
    let told = office.happened.recv().unwrap();
    assert!(matches!(&told, Happened::Roster(exam) if served(exam.as_ref()) == Some(("A", 2))), "{told:?}");
}

/// Puts something at `path` that stands still for everybody who opens it, until somebody writes to it. What was there is moved to `kept`.
fn obstruct(path: &Path, kept: &Path) {
    let beside = path.with_extension("obstacle");
    rustix::fs::mkfifoat(rustix::fs::CWD, &beside, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    fs::rename(path, kept).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn taps_are_answered_while_an_edition_is_read() {
    let office = Office::new();
    let path = office.shelf.layout.exam(&ExamId::new("A").unwrap());
    let kept = path.with_extension("kept");
    obstruct(&path, &kept);
    // A lookup that read it at the tap would never answer.
    for _ in 0..3 {
        let found = office.look_up(1);
        assert_eq!(served(found.exam.as_ref()), Some(("A", 1)));
        assert_eq!(found.templates.len(), 1);
    }
    drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
    fs::rename(&kept, &path).unwrap();
    let mut office = office;
    office.replace(&edition(2, 2));
    assert!(matches!(office.look_up(2).lookup, Lookup::Enrolled(_)));
}

#[test]
fn taps_are_answered_while_the_next_exam_is_read_and_it_is_read_before_its_time() {
    let office = Office::new();
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut next = edition_of("B", 1, 2);
    next.exam.window = ExamWindow { opens: at(1_000), closes: at(2_000) };
    put(&office.shelf, &next);
    let mut rosters = Rosters::new(office.shelf.clone(), None);
    let before = |second: i64| at(1_000 - second);
    assert!(rosters.settle(before(500), ClockTrust::Synchronised));
    let exam = |rosters: &Rosters| served(rosters.serving().exam.as_ref()).map(|(exam, _)| exam.to_owned());
    assert_eq!((exam(&rosters), rosters.is_reading()), (Some("A".into()), false));
    // A minute before its doors open it is read, and then served at once.
    rosters.settle(before(30), ClockTrust::Synchronised);
    assert_eq!(exam(&rosters), Some("A".into()));
    assert!(rosters.refresh(at(1_000), ClockTrust::Synchronised));
    assert_eq!(exam(&rosters), Some("B".into()));
}

#[test]
fn a_card_of_a_student_and_a_proctor_is_neither() {
    let mut office = Office::new();
    let okafor = Proctor { id: ProctorId::new("okafor").unwrap(), name: "A. Okafor".into(), card: card(9) };
    office.roster.set_proctor(&okafor, &Pin::new("481516").unwrap().hash().unwrap()).unwrap();
    assert!(matches!(office.look_up(9).lookup, Lookup::Proctor(_)));
    // As a store of before may hold it.
    let shared = "UPDATE proctors SET card = (SELECT card FROM entries)";
    office.roster.sealed().connection().execute_batch(shared).unwrap();
    let found = office.look_up(1);
    assert!(matches!(found.lookup, Lookup::Shared) && found.templates.is_empty(), "{found:?}");
    assert!(matches!(office.look_up(9).lookup, Lookup::Unknown), "the proctor's old card");
}

#[test]
fn the_exam_whose_doors_are_open_is_served_and_what_was_erased_is_let_go() {
    let office = Office::new();
    let within = |name: &str, opens: i64, closes: i64| {
        let mut roster = edition_of(name, 1, 3);
        let at = |second| Timestamp::from_second(second).unwrap();
        roster.exam.window = ExamWindow { opens: at(opens), closes: at(closes) };
        // Another student in each: card 1 is that of `A` alone.
        roster.entries.retain(|(entry, _)| entry.card.pseudonym == card(if name == "B" { 2 } else { 3 }));
        roster
    };
    for roster in [within("B", 1_000, 2_000), within("C", 3_000, 4_000)] {
        put(&office.shelf, &roster);
    }
    office.shelf.keys.erase(KeyName::Exam(&ExamId::new("A").unwrap())).unwrap();
    let look_up = |wall: i64, n| {
        *office.clock.0.lock().unwrap() = Timestamp::from_second(wall).unwrap();
        // Until it was read the one before is served, or none.
        office.until_served(match wall {
            1_500 => Some(("B", 1)),
            3_500 if office.shelf.keys.holds(KeyName::Exam(&ExamId::new("C").unwrap())) => Some(("C", 1)),
            _ => None,
        });
        let found = office.look_up(n);
        let exam = served(found.exam.as_ref()).map(|(exam, _)| exam.to_owned());
        (exam, matches!(found.lookup, Lookup::Enrolled(_)), matches!(found.lookup, Lookup::Elsewhere))
    };
    let exam = |name: &str| Some(name.to_owned());
    assert_eq!(look_up(1_500, 1), (exam("B"), false, false), "the key of A is gone, and so is everybody on it");
    assert_eq!(look_up(1_500, 2), (exam("B"), true, false));
    assert_eq!(look_up(1_500, 3), (exam("B"), false, true));
    assert_eq!(*office.doors.borrow(), Doors::Open { beside: vec![] });
    assert_eq!(look_up(3_500, 3), (exam("C"), true, false), "without anybody doing anything");
    for name in ["B", "C"] {
        office.shelf.keys.erase(KeyName::Exam(&ExamId::new(name).unwrap())).unwrap();
    }
    assert_eq!(look_up(3_500, 3), (None, false, false));
    assert_eq!(*office.doors.borrow(), Doors::NothingHeld);
}

#[test]
fn a_roster_of_another_pepper_is_not_served() {
    let mut office = Office::new();
    office.roster.set_pepper(&PepperCheck::from_bytes([2; 16])).unwrap();
    let mut rosters = Rosters::new(office.shelf.clone(), None);
    let mut settle = || rosters.settle(office.clock.wall(), office.clock.trust()).then(|| rosters.serving().clone());
    assert_eq!(settle(), None);
    office.roster.set_pepper(&office.shelf.pepper).unwrap();
    assert!(settle().is_some_and(|serving| serving.exam.is_some()), "it is tried again");
}

#[test]
fn only_the_exam_that_is_named_is_served() {
    let office = Office::new();
    put(&office.shelf, &edition_of("B", 1, 1));
    let served_if_named = |name: &str| {
        let mut rosters = Rosters::new(office.shelf.clone(), Some(ExamId::new(name).unwrap()));
        rosters.settle(office.clock.wall(), office.clock.trust());
        (served(rosters.serving().exam.as_ref()).map(|(exam, _)| exam.to_owned()), rosters.others().count())
    };
    assert_eq!(served_if_named("B"), (Some("B".into()), 1));
    assert_eq!(served_if_named("D"), (None, 2));
}
