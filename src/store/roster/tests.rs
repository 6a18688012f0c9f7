//! Rosters as they are pushed: found by card, replaced whole or not at all.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::*;
use crate::{
    domain::{
        ArtifactId, Card, CardPseudonym, CardStanding, Embedding, EmbeddingSpaceId, Language, MAX_CARDS, Matching,
        Proctor, ProctorId, RoomId, Seat, Student,
    },
    store::PinHash,
};

pub(super) const KEY: Key = Key::from_bytes([7; 32]);

pub(super) fn exam(version: u64) -> Exam {
    Exam {
        id: ExamId::new("MATH-1").unwrap(),
        title: "Linear Algebra, final".into(),
        window: ExamWindow {
            opens: "2026-12-14T09:00:00Z".parse().unwrap(),
            closes: "2026-12-14T12:00:00Z".parse().unwrap(),
        },
        version: RosterVersion(version),
    }
}

fn card(n: u32) -> CardPseudonym {
    CardPseudonym::from_bytes(Sha256::digest(n.to_be_bytes()).into())
}

fn student(n: u32) -> StudentId {
    StudentId::new(format!("N{n}")).unwrap()
}

pub(super) fn entry(n: u32, templates: u32) -> (RosterEntry, Vec<Template>) {
    let template = |i: u32| Template {
        space: EmbeddingSpaceId::new("space"),
        artifact: ArtifactId::from_bytes([i as u8; 32]),
        embedding: Embedding::normalised(vec![n as f32 + 1.0, i as f32, 0.5, -2.0]).unwrap(),
    };
    let mut entry =
        RosterEntry::new(Student::new(student(n), format!("Name {n}")), card(n), RoomId::new("room-1").unwrap());
    if n == 2 {
        entry.card.standing = CardStanding::Revoked;
    }
    entry.student.language = (n % 2 == 1).then(|| Language::new("es").unwrap());
    (entry, (0..templates).map(template).collect())
}

fn roster(version: u64) -> Roster {
    Roster { exam: exam(version), entries: vec![entry(1, 3), entry(2, 0), entry(3, 1)] }
}

pub(super) struct Bench {
    _folder: tempfile::TempDir,
    pub(super) path: PathBuf,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("MATH-1.db");
        Self { _folder: folder, path }
    }

    fn with(roster: &Roster) -> (Self, RosterStore) {
        let bench = Self::new();
        let mut store = RosterStore::create(&bench.path, &KEY).unwrap();
        assert_eq!(store.replace(roster).unwrap(), Replaced::Applied);
        (bench, store)
    }
}

#[test]
fn gives_back_what_was_put_in() {
    let roster = roster(1);
    let (bench, store) = Bench::with(&roster);
    drop(store);
    let store = RosterStore::open(&bench.path, &KEY).unwrap();
    assert_eq!(store.exam().unwrap().unwrap(), roster.exam);
    assert_eq!(store.len().unwrap(), 3);
    for (entry, templates) in &roster.entries {
        let found = store.find(&entry.card.pseudonym).unwrap().unwrap();
        assert_eq!(found, Found { entry: entry.clone(), templates: templates.len() });
        let read = store.templates(&entry.student.id).unwrap();
        assert_eq!(read.len(), templates.len());
        for (read, put) in read.iter().zip(templates) {
            assert_eq!((&read.space, read.artifact), (&put.space, put.artifact));
            assert!(read.similarity(put).unwrap().get() > 0.999_999);
        }
    }
    assert_eq!(store.find(&card(9)).unwrap(), None);
    assert!(store.templates(&student(9)).unwrap().is_empty());
}

#[test]
fn a_new_store_is_empty() {
    let bench = Bench::new();
    let store = RosterStore::create(&bench.path, &KEY).unwrap();
    assert_eq!(store.exam().unwrap(), None);
    assert!(store.is_empty().unwrap());
}

#[test]
fn the_version_must_rise() {
    let (_bench, mut store) = Bench::with(&roster(5));
    assert_eq!(store.replace(&roster(5)).unwrap(), Replaced::Unchanged);

    let mut other = roster(5);
    other.entries[0].0.room = RoomId::new("room-2").unwrap();
    assert!(matches!(store.replace(&other), Err(RosterError::Conflicting { version: RosterVersion(5) })));
    let stale = store.replace(&roster(4));
    assert!(matches!(stale, Err(RosterError::Stale { held: RosterVersion(5), offered: RosterVersion(4) })));
    let mut foreign = roster(6);
    foreign.exam.id = ExamId::new("OTHER").unwrap();
    assert!(matches!(store.replace(&foreign), Err(RosterError::AnotherExam { .. })));

    assert_eq!(store.exam().unwrap().unwrap(), exam(5));
    other.exam.version = RosterVersion(6);
    assert_eq!(store.replace(&other).unwrap(), Replaced::Applied);
    assert_eq!(store.find(&card(1)).unwrap().unwrap().entry.room.as_str(), "room-2");
}

#[test]
fn what_cannot_be_is_named_and_changes_nothing() {
    let (_bench, mut store) = Bench::with(&roster(1));

    let mut twice = roster(2);
    twice.entries.push(entry(3, 0));
    let error = store.replace(&twice).unwrap_err();
    assert!(matches!(&error, RosterError::DuplicateStudent { student: s } if *s == student(3)), "{error}");

    let mut shared = roster(2);
    shared.entries.push(entry(4, 0));
    shared.entries[3].0.card = Card::active(card(1));
    let error = store.replace(&shared).unwrap_err();
    let named = matches!(&error, RosterError::DuplicateCard { holder, student: s }
        if *holder == student(1) && *s == student(4));
    assert!(named, "{error}");
    assert!(!format!("{error:?}").contains("N4"), "Debug goes to logs: {error:?}");

    let mut many = roster(2);
    many.entries.push(entry(4, 257));
    let error = store.replace(&many).unwrap_err();
    assert!(matches!(error, RosterError::TooManyTemplates { count: 257, .. }), "{error}");

    assert_eq!(store.exam().unwrap().unwrap(), exam(1));
    assert_eq!(store.len().unwrap(), 3);
    many.entries[3] = entry(4, 256);
    store.replace(&many).unwrap();
    assert_eq!(store.templates(&student(4)).unwrap().len(), 256);
    assert_eq!(store.templates(&student(3)).unwrap().len(), 1);
}

#[test]
fn readers_see_the_old_roster_until_the_new_one_is_whole() {
    let (bench, mut store) = Bench::with(&roster(1));
    let reader = RosterStore::open(&bench.path, &KEY).unwrap();
    let entries = [entry(1, 1), entry(7, 1)].into_iter().inspect(|_| {
        assert_eq!(reader.exam().unwrap().unwrap(), exam(1));
        assert!(reader.find(&card(3)).unwrap().is_some());
    });
    store.replace_from(&exam(2), entries).unwrap();
    assert_eq!(reader.exam().unwrap().unwrap(), exam(2));
    assert!(reader.find(&card(3)).unwrap().is_none());
    assert!(reader.find(&card(7)).unwrap().is_some());
}

#[test]
fn lookups_use_their_index() {
    let (_bench, store) = Bench::with(&roster(1));
    for (sql, wanted) in [
        ("SELECT student FROM entries WHERE card = x'00'", "SEARCH entries USING"),
        ("SELECT card FROM entries WHERE student = 'a'", "SEARCH entries USING"),
        ("SELECT student FROM more_cards WHERE card = x'00'", "SEARCH more_cards USING"),
        ("SELECT card FROM more_cards WHERE student = 'a' ORDER BY place", "SEARCH more_cards USING"),
        ("SELECT space FROM templates WHERE student = 'a' ORDER BY place", "SEARCH templates USING"),
    ] {
        let plan: String =
            store.sealed.connection().query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3)).unwrap();
        assert!(plan.starts_with(wanted), "{sql}: {plan}");
    }
}

#[test]
fn proctors_are_found_by_card_and_stay_when_the_roster_is_replaced() {
    let (_bench, mut store) = Bench::with(&roster(1));
    let proctor = |id: &str, n| Proctor { id: ProctorId::new(id).unwrap(), name: format!("Dr {id}"), card: card(n) };
    let pin = PinHash("a hash".into());
    store.set_proctor(&proctor("okafor", 100), &pin).unwrap();
    store.set_proctor(&proctor("silva", 101), &pin).unwrap();
    assert_eq!(store.replace(&roster(2)).unwrap(), Replaced::Applied);
    assert_eq!(store.find_proctor(&card(100)).unwrap(), Some(proctor("okafor", 100)));
    assert_eq!(store.find_proctor(&card(1)).unwrap(), None, "a student is no proctor");
    assert_eq!(store.proctor(&proctor("silva", 0).id).unwrap(), Some((proctor("silva", 101), pin.clone())));

    let taken = |refused| matches!(refused, Err(RosterError::CardTaken));
    assert!(taken(store.set_proctor(&proctor("lee", 1), &pin)), "a student's card");
    assert!(taken(store.set_proctor(&proctor("lee", 101), &pin)), "another proctor's card");
    let with_a_proctor = Roster { exam: exam(3), entries: vec![entry(1, 1), entry(100, 1)] };
    let refused = store.replace(&with_a_proctor);
    assert!(
        matches!(&refused, Err(RosterError::ProctorsCard { student }) if *student == self::student(100)),
        "{refused:?}"
    );
    assert_eq!((store.exam().unwrap().unwrap().version, store.len().unwrap()), (RosterVersion(2), 3), "as before");
    store.set_proctor(&proctor("silva", 102), &pin).unwrap();
    assert_eq!(store.find_proctor(&card(101)).unwrap(), None, "the old card opens nothing");

    assert!(store.remove_proctor(&proctor("okafor", 0).id).unwrap());
    assert!(!store.remove_proctor(&proctor("okafor", 0).id).unwrap());
    assert_eq!(store.proctors().unwrap(), [proctor("silva", 102)]);
    assert_eq!(store.entries().unwrap().len(), 3);
}

/// A student with all that a place can hold.
fn full(n: u32, cards: &[u32]) -> (RosterEntry, Vec<Template>) {
    let (mut entry, templates) = entry(n, 1);
    entry.other_cards = cards.iter().map(|n| Card { pseudonym: card(*n), standing: CardStanding::Revoked }).collect();
    entry.student.preferred_name = Some("Lova".into());
    entry.seat = Some(Seat::new("Row C, 7").unwrap());
    entry.look_alikes = vec![student(70), student(80)];
    (entry, templates)
}

#[test]
fn a_student_is_found_by_each_card_with_name_seat_and_matching() {
    let mut out = entry(4, 0);
    out.0.matching = Matching::None;
    let roster = Roster { exam: exam(1), entries: vec![full(1, &[11, 12]), entry(3, 1), out.clone()] };
    let (_bench, mut store) = Bench::with(&roster);
    for n in [1, 11, 12] {
        let found = store.find(&card(n)).unwrap().unwrap();
        assert_eq!((&found.entry, found.templates), (&roster.entries[0].0, 1), "card {n}");
    }
    assert_eq!(store.find(&card(4)).unwrap().unwrap().entry, out.0);
    let listed: Vec<_> = roster.entries.iter().map(|(entry, _)| entry.clone()).collect();
    assert_eq!(store.entries().unwrap(), listed);
    let seats = store.seats(None).unwrap().remove(0);
    assert_eq!((seats.students, seats.active, seats.opted_out, seats.with_template), (3, 3, 1, 2));

    // The same again is the same; each of the additions alone is another content.
    assert_eq!(store.replace(&roster).unwrap(), Replaced::Unchanged);
    type Change<'a> = &'a dyn Fn(&mut RosterEntry);
    let changes: [Change<'_>; 7] = [
        &|e| e.other_cards.truncate(1),
        &|e| e.other_cards[0].standing = CardStanding::Active,
        &|e| e.student.preferred_name = None,
        &|e| e.seat = None,
        &|e| e.other_cards.swap(0, 1),
        &|e| e.look_alikes.truncate(1),
        &|e| e.look_alikes.swap(0, 1),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut other = roster.clone();
        change(&mut other.entries[0].0);
        assert!(matches!(store.replace(&other), Err(RosterError::Conflicting { .. })), "change {n}");
    }
    // A later edition without them leaves nothing of them.
    store.replace(&Roster { exam: exam(2), entries: vec![entry(1, 1)] }).unwrap();
    assert_eq!(store.find(&card(11)).unwrap(), None);
}

#[test]
fn a_card_opens_one_place_only_whichever_of_a_students_cards_it_is() {
    let (_bench, mut store) = Bench::with(&roster(1));
    let refused = |store: &mut RosterStore, entries| store.replace(&Roster { exam: exam(2), entries }).unwrap_err();
    for (name, entries) in [
        ("a further card is another's first", vec![full(1, &[3]), entry(3, 0)]),
        ("a first card is another's further one", vec![entry(3, 0), full(1, &[3])]),
        ("a further card twice", vec![full(1, &[11]), full(3, &[11])]),
        ("twice for one", vec![full(1, &[11, 11])]),
        ("the first one again", vec![full(1, &[1])]),
    ] {
        let error = refused(&mut store, entries);
        assert!(matches!(error, RosterError::DuplicateCard { .. }), "{name}: {error}");
    }
    let many: Vec<u32> = (10..10 + MAX_CARDS as u32).collect();
    let error = refused(&mut store, vec![full(1, &many)]);
    assert!(matches!(error, RosterError::TooManyCards { count: 9, .. }), "{error}");
    let mut out = entry(1, 1);
    out.0.matching = Matching::None;
    let error = refused(&mut store, vec![out]);
    assert!(matches!(error, RosterError::OptedOut { .. }), "{error}");
    assert_eq!(store.exam().unwrap().unwrap(), exam(1), "the edition before stays");

    // A proctor's card is nobody's further card either, whoever comes first.
    let okafor = |n| Proctor { id: ProctorId::new("okafor").unwrap(), name: "A. Okafor".into(), card: card(n) };
    let pin = PinHash("a hash".into());
    store.set_proctor(&okafor(50), &pin).unwrap();
    let error = refused(&mut store, vec![full(1, &[50])]);
    assert!(matches!(error, RosterError::ProctorsCard { .. }), "{error}");
    store.replace(&Roster { exam: exam(2), entries: vec![full(1, &[11])] }).unwrap();
    assert!(matches!(store.set_proctor(&okafor(11), &pin), Err(RosterError::CardTaken)));
}

#[test]
fn a_roster_of_before_further_cards_is_brought_up_and_can_be_looked_at_without() {
    let bench = Bench::new();
    let before = Kind { migrations: &ROSTER.migrations[..5], ..ROSTER };
    let sealed = Sealed::open_or_create(&bench.path, &KEY, &before).unwrap();
    sealed
        .connection()
        .execute_batch(
            "INSERT INTO exam VALUES (1, 'MATH-1', 'T', '2026-12-14T09:00:00Z', '2026-12-14T12:00:00Z', 1, zeroblob(32));
             INSERT INTO entries VALUES (zeroblob(32), 'N1', 'Ada', 0, 'room-1', 0, NULL);",
        )
        .unwrap();
    drop(sealed);
    let seats = RosterStore::look(&bench.path, &KEY).unwrap().seats(None).unwrap().remove(0);
    assert_eq!((seats.students, seats.active, seats.opted_out), (1, 1, 0));
    let store = RosterStore::open(&bench.path, &KEY).unwrap();
    let found = store.find(&CardPseudonym::from_bytes([0; 32])).unwrap().unwrap();
    assert_eq!((found.entry.cards().count(), found.entry.matching), (1, Matching::Face));
    assert_eq!(store.seats(None).unwrap()[0].opted_out, 0);
}

#[test]
fn templates_of_before_are_kept_and_lie_apart_from_their_index() {
    let bench = Bench::new();
    let before = Kind { migrations: &ROSTER.migrations[..8], ..ROSTER };
    let sealed = Sealed::open_or_create(&bench.path, &KEY, &before).unwrap();
    let (kept, templates) = entry(1, 3);
    let insert = "INSERT INTO templates VALUES ('N1', ?1, ?2, ?3, ?4)";
    for (place, template) in templates.iter().enumerate().rev() {
        let embedding = content::little_endian(&template.embedding);
        let values = (place, template.space.as_str(), template.artifact.as_bytes(), &*embedding);
        sealed.connection().execute(insert, values).unwrap();
    }
    drop(sealed);
    assert_eq!(kept.student.id.as_str(), "N1");
    let store = RosterStore::open(&bench.path, &KEY).unwrap();
    assert_eq!(store.templates(&kept.student.id).unwrap(), templates);
    // Where rows lie within the index, each step of a search reads the pages behind a row, too.
    let has_row_numbers = "SELECT wr = 0 FROM pragma_table_list('templates')";
    assert!(store.sealed.connection().query_row(has_row_numbers, [], |row| row.get::<_, bool>(0)).unwrap());
}

#[test]
fn a_place_whose_cards_are_missing_is_no_place() {
    let (_bench, store) = Bench::with(&Roster { exam: exam(1), entries: vec![full(1, &[11])] });
    store.sealed.connection().execute_batch("DELETE FROM more_cards").unwrap();
    let error = store.find(&card(1)).unwrap_err();
    assert!(matches!(error, RosterError::Nonsense { what: "cards are missing" }), "{error}");
    assert!(store.check_whole().is_err());
}
