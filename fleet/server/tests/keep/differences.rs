//! Small changes travel as differences: a box that holds the edition before fetches nothing else, every other box the whole bundle, and
//! all end at the same edition.

use std::collections::BTreeSet;

use examgate::{
    domain::TemplateForm,
    wire::{bundle, digest::Digest},
};

use super::*;

/// Students of `R-1` in each edition of these tests.
const STUDENTS: u32 = 60;

/// A face of the net in use. Whole rooms of them are long, as real ones are.
fn face(space: &str, n: u32) -> Template {
    let components = (0..512u32).map(|i| ((i * 37 + n * 91) % 101) as f32 - 50.0).collect();
    Template {
        space: EmbeddingSpaceId::new(space),
        artifact: ArtifactId::from_bytes([space.len() as u8; 32]),
        embedding: Embedding::normalised(components).expect("a direction"),
    }
}

/// The next edition: `N9` is withdrawn, `N20` has another card, and there is somebody new.
fn next(before: &Roster) -> Roster {
    let mut next = before.clone();
    next.exam.version.0 += 1;
    let place =
        |roster: &Roster, id: &str| roster.entries.iter().position(|(entry, _)| entry.student.id.as_str() == id);
    next.entries.remove(place(&next, "N9").expect("enrolled"));
    let replaced = place(&next, "N20").expect("enrolled");
    next.entries[replaced].0.card.pseudonym = CardPseudonym::from_bytes([77; 32]);
    let (mut new, _) = next.entries[replaced].clone();
    new.student.id = StudentId::new("N900").expect("valid");
    new.card.pseudonym = CardPseudonym::from_bytes([78; 32]);
    next.entries.push((new, vec![face("space", 900)]));
    next
}

/// As it was imported: with faces.
fn first() -> Roster {
    let mut first = roster(1, STUDENTS);
    for (n, (_, templates)) in (0..).zip(&mut first.entries) {
        *templates = vec![face("space", n)];
    }
    first
}

/// Everything that the disk holds of the exam.
fn content(door: &Door) -> Vec<(RosterEntry, Vec<Template>)> {
    let key = KeyFolder::new(door.disk.path().join("keys"), None).read(KeyName::Exam(&exam_id())).expect("its key");
    let store =
        RosterStore::look(&Layout::new(door.disk.path().join("state")).exam(&exam_id()), &key).expect("readable");
    let entries = store.entries().expect("readable").into_iter();
    entries.map(|entry| (entry.clone(), store.templates(&entry.student.id).expect("readable"))).collect()
}

/// What the desk imported for `R-1`, as a box reads it out of a bundle.
fn sent(roster: &Roster) -> Vec<(RosterEntry, Vec<Template>)> {
    let through = |template: &Template| Template {
        embedding: TemplateForm::SENT.unpack(&TemplateForm::SENT.pack(&template.embedding)).expect("a direction"),
        ..template.clone()
    };
    let of_room = roster.entries.iter().filter(|(entry, _)| entry.room.as_str() == "R-1");
    let mut sent: Vec<_> =
        of_room.map(|(entry, templates)| (entry.clone(), templates.iter().map(through).collect())).collect();
    sent.sort_by(|(a, _), (b, _): &(RosterEntry, Vec<Template>)| a.student.id.cmp(&b.student.id));
    sent
}

fn wanted(world: &World, name: &str) -> Wanted {
    let bytes = fs::read(world.at(&format!("stock/desired/{name}.cose"))).expect("a manifest");
    let key = SigningKey::from_seed(&ROSTER_SEED).public();
    Desired::decode(&bytes, &id(name), &[key]).expect("the fleet's own").exams.remove(0)
}

/// The chunks of one way, which the keeper could not send any more.
fn without(world: &World, name: &str, index: Digest, size: u64) {
    let stock = Stock::open(&world.at("stock")).expect("a stock");
    let listed = stock.chunk(&id(name), &index).expect("readable").expect("it was pushed");
    for digest in chunk::index(&listed, size).expect("its own").into_iter().chain([index]) {
        fs::remove_file(world.at(&format!("stock/chunks/{name}/{digest}"))).expect("it was pushed");
    }
}

fn held(door: &Door) -> Option<Digest> {
    door.held.borrow().get(&exam_id()).and_then(|held| held.whole)
}

/// A keeper, and `door-1` and `door-2` of room `R-1`, both with the first edition.
async fn both_hold_the_first(world: &World) -> (Roster, Running, Door, Door) {
    let keeper = world.keep();
    let (mut one, mut two) = (world.introduce("door-1", "R-1").await, world.introduce("door-2", "R-1").await);
    let first = first();
    world.import_roster(&first);
    let said = world.push(&["door-1:R-1", "door-2:R-1"], &[]);
    assert!(!said.contains("from version"), "there is nothing to start from: {said}");
    tokio::join!(one.holds(1), two.holds(1));
    for name in ["door-1", "door-2"] {
        world.until_reported(name, "version 1", |report| version(report) == 1 && report.missing.is_empty()).await;
    }
    (first, keeper, one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_with_the_base_fetches_the_difference_only_a_sleeper_the_whole_and_both_hold_the_same() {
    let world = World::new();
    let (first, keeper, mut one, two) = both_hold_the_first(&world).await;
    let sealed_to = world.reported("door-1").expect("it reported").recipient;
    assert_eq!(world.reported("door-1").expect("it reported").reads, Some(bundle::NEWEST));
    // The second one sleeps, and loses what it held.
    let disk = two.kill().await;
    drop(keeper);
    let keys = KeyFolder::new(disk.path().join("keys"), None);
    keys.erase(KeyName::Exam(&exam_id())).expect("erased");
    Layout::new(disk.path().join("state")).remove(&exam_id()).expect("removed");

    let second = next(&first);
    world.import_roster(&second);
    let said = world.push(&["door-1:R-1", "door-2:R-1"], &[]);
    assert_eq!(said.matches(", or 2 chunks from version 1").count(), 2, "{said}");
    let (small, whole) = (wanted(&world, "door-1"), wanted(&world, "door-2"));
    let difference = small.difference.clone().expect("named");
    assert!(difference.size * 10 < small.size, "{} of {} bytes", difference.size, small.size);
    // Each gets only what it should fetch.
    without(&world, "door-1", small.index, small.size);
    let shorter = whole.difference.clone().expect("named");
    without(&world, "door-2", shorter.index, shorter.size);
    let _keeper = world.keep();
    let mut two = Door::start(&world, "door-2", "R-1", disk);
    tokio::join!(one.holds(2), two.holds(2));
    assert_eq!((held(&one), held(&two)), (Some(small.whole), Some(whole.whole)), "as if it had come whole");
    let here = content(&one);
    assert!(here == content(&two) && here == sent(&second), "the same edition, and the one that was imported");
    for name in ["door-1", "door-2"] {
        world.until_reported(name, "version 2", |report| version(report) == 2 && refusal(report).is_none()).await;
    }
    assert_eq!((one.chunks(), two.chunks()), (vec![], vec![]), "nothing on the way is left over");

    // Who was withdrawn is gone, and the key is on its way out that the first edition could be read with.
    assert!(here.iter().all(|(entry, _)| entry.student.id.as_str() != "N9"));
    world.until_reported("door-1", "another recipient", |report| report.recipient != sealed_to).await;
    let stock = Stock::open(&world.at("stock")).expect("a stock");
    let editions = stock.editions(&id("door-1"), &exam_id()).expect("readable");
    assert_eq!(editions.iter().map(|edition| edition.version.0).collect::<Vec<_>>(), [1, 2]);

    // And on: the next one starts from what came by a difference.
    let mut third = second.clone();
    third.exam.version.0 += 1;
    third.entries.retain(|(entry, _)| entry.student.id.as_str() != "N11");
    world.import_roster(&third);
    let said = world.push(&["door-1:R-1", "door-2:R-1"], &[]);
    assert_eq!(said.matches(", or 2 chunks from version 2").count(), 2, "{said}");
    tokio::join!(one.holds(3), two.holds(3));
    assert!(content(&one) == sent(&third) && content(&two) == sent(&third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_does_not_fit_gives_way_to_the_whole_and_nothing_is_refused() {
    let world = World::new();
    let (first, keeper, mut one, mut two) = both_hold_the_first(&world).await;
    drop(keeper);
    // The fleet remembers another order of students than the box holds: it sends off the wrong ones.
    let path = world.at(&format!("stock/editions/door-1/{EXAM}.json"));
    let mut noted: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("noted")).expect("JSON");
    let marks = noted[0]["marks"].as_str().expect("marks").to_owned();
    noted[0]["marks"] = [&marks[32..], &marks[..32]].concat().into();
    fs::write(&path, noted.to_string()).expect("writable");
    let second = next(&first);
    world.import_roster(&second);
    let said = world.push(&["door-1:R-1", "door-2:R-1"], &[]);
    assert_eq!(said.matches("from version 1").count(), 2, "{said}");
    // And of the second box's difference a piece is damaged on the way: none comes that has its digest.
    let shorter = wanted(&world, "door-2").difference.expect("named");
    let stock = Stock::open(&world.at("stock")).expect("a stock");
    let listed = stock.chunk(&id("door-2"), &shorter.index).expect("readable").expect("pushed");
    let piece = chunk::index(&listed, shorter.size).expect("its own")[0];
    let at = world.at(&format!("stock/chunks/door-2/{piece}"));
    let good = fs::read(&at).expect("pushed");
    fs::write(&at, b"something else").expect("writable");
    let _keeper = world.keep();
    one.holds(2).await;
    assert!(content(&one) == sent(&second));
    world.until_reported("door-1", "no refusal", |report| version(report) == 2 && refusal(report).is_none()).await;
    world.until_reported("door-2", "that the piece is missing", |report| report.missing == [piece]).await;
    assert_eq!(two.students(), Some((1, STUDENTS as usize)), "the edition before stays");
    fs::write(&at, good).expect("writable");
    two.holds(2).await;
    assert!(content(&two) == sent(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_of_before_is_sent_whole_bundles_of_the_version_that_it_reads() {
    let world = World::new();
    let keeper = world.keep();
    let mut door = world.introduce("door-1", "R-1").await;
    let first = first();
    world.import_roster(&first);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    world.until_reported("door-1", "version 1", |report| version(report) == 1).await;
    drop(keeper);
    // Its software says nothing of what it reads.
    let stock = Stock::open(&world.at("stock")).expect("a stock");
    let before = Reported { reads: None, ..world.reported("door-1").expect("it reported") };
    stock.set_report(&id("door-1"), &before.encode(&device_key("door-1"))).expect("writable");
    world.import_roster(&next(&first));
    let said = world.push(&["door-1:R-1"], &[]);
    assert!(!said.contains("from version"), "{said}");
    let sent = wanted(&world, "door-1");
    assert_eq!(sent.difference, None);
    // 512 whole floats for each student.
    assert!(sent.size > u64::from(STUDENTS) * 2048, "{}", sent.size);
    let _keeper = world.keep();
    door.holds(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_with_templates_of_two_nets_arrives_with_both() {
    let world = World::new();
    let _keeper = world.keep();
    let mut door = world.introduce("door-1", "R-1").await;
    let mut both = first();
    for (n, (_, templates)) in (0..).zip(&mut both.entries) {
        templates.push(face("next-space", n + 5000));
    }
    world.import_roster(&both);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    let here = content(&door);
    let spaces: BTreeSet<_> = here.iter().flat_map(|(_, templates)| templates).map(|t| t.space.clone()).collect();
    assert_eq!(spaces.len(), 2);
    assert!(here == sent(&both));
}
