//! Taps looked up in real stores, while the roster changes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use uuid::Uuid;

use super::*;
use crate::{
    domain::{
        ArtifactId, CardStanding, CredentialProfile, Embedding, Epoch, ExamId, ExamWindow, Proctor, ProctorId, RoomId,
        Roster, RosterEntry, RosterVersion, Student, StudentId, Timestamp,
    },
    store::{Key, Limits, Pin},
};

struct Office {
    _folder: tempfile::TempDir,
    /// As the office has it, to write to.
    roster: RosterStore,
    queries: SyncSender<LookupRequest>,
    happened: Receiver<Happened>,
}

fn card(n: u8) -> CardPseudonym {
    CardPseudonym::from_bytes([n; 32])
}

/// Students 1 to `students`, each with a template of the space in use and one of another.
fn edition(version: u64, students: u8) -> Roster {
    let template = |space| Template {
        space: EmbeddingSpaceId::new(space),
        artifact: ArtifactId::from_bytes([1; 32]),
        embedding: Embedding::normalised(vec![1.0, 0.0]).unwrap(),
    };
    let entry = |n| RosterEntry {
        student: Student { id: StudentId::new(format!("N{n}")).unwrap(), given_name: "Ada".into(), language: None },
        card: card(n),
        standing: CardStanding::Active,
        room: RoomId::new("S207").unwrap(),
    };
    let exam = Exam {
        id: ExamId::new("A").unwrap(),
        title: "Algebra".into(),
        window: ExamWindow { opens: Timestamp::UNIX_EPOCH, closes: Timestamp::MAX },
        version: RosterVersion(version),
    };
    Roster {
        exam,
        entries: (1..=students).map(|n| (entry(n), vec![template("in use"), template("another")])).collect(),
    }
}

impl Office {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("A.db"), Key::from_bytes([7; 32]));
        let mut roster = RosterStore::create(&path, &key).unwrap();
        roster.replace(&edition(1, 1)).unwrap();
        let limits = Limits { reserve: 128 << 10, ..Limits::default() };
        let door = crate::domain::DeviceId::new("door-1").unwrap();
        let lookup = TapLookup {
            roster: Editions::open(&path, key.clone()).unwrap(),
            others: Vec::new(),
            events: EventStore::open(&folder.path().join("e.db"), &key, &door, Epoch(Uuid::from_u128(1)), limits)
                .unwrap(),
            space: EmbeddingSpaceId::new("in use"),
            console: true,
        };
        let (queries, asked) = sync_channel(1);
        let (tell, happened) = sync_channel(4);
        std::thread::spawn(move || lookup.run(&asked, &tell, || ()));
        Self { _folder: folder, roster, queries, happened }
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
    assert!(matches!(found.lookup, Lookup::Enrolled(_)) && found.exam.version == RosterVersion(1), "{found:?}");
    assert_eq!(found.templates.len(), 1, "only of the space in use");
    assert!(matches!(office.look_up(2).lookup, Lookup::Unknown));
    office.roster.replace(&edition(2, 2)).unwrap();
    let found = office.look_up(2);
    assert!(matches!(found.lookup, Lookup::Enrolled(_)) && found.exam.version == RosterVersion(2), "{found:?}");
    office.roster.sealed().connection().execute_batch("UPDATE exam SET version = 3, closes = 'soon'").unwrap();
    let found = office.look_up(2);
    assert!(matches!(found.lookup, Lookup::Enrolled(_)) && found.exam.version == RosterVersion(2), "{found:?}");
}

#[test]
fn a_new_edition_is_told_of_also_when_nobody_taps() {
    let mut office = Office::new();
    office.roster.replace(&edition(2, 2)).unwrap();
    let told = office.happened.recv().unwrap();
    assert!(matches!(&told, Happened::Roster(exam) if exam.version == RosterVersion(2)), "{told:?}");
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
