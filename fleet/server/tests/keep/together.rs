//! Boxes of one exam that learn of each other by what is pushed.

use super::*;

/// A box by id, room and students.
type Told = (String, String, u32);

/// The other boxes that a box holds, with the exam's key.
fn peers(door: &Door) -> Option<(PeerKey, Vec<Told>)> {
    let key = KeyFolder::new(door.disk.path().join("keys"), None).read(KeyName::Exam(&exam_id())).expect("its key");
    let store = RosterStore::look(&Layout::new(door.disk.path().join("state")).exam(&exam_id()), &key).expect("held");
    let Peers { key, boxes } = store.peers().expect("readable")?;
    let is_its_own = |peer: &Peer| peer.signs_with == *device_key(peer.device.as_str()).public().as_bytes();
    assert!(boxes.iter().all(is_its_own), "the key that the box is enrolled with");
    let told = |peer: Peer| (peer.device.to_string(), peer.room.to_string(), peer.students);
    Some((key, boxes.into_iter().map(told).collect()))
}

fn told(device: &str, room: &str, students: u32) -> Vec<Told> {
    vec![(device.into(), room.into(), students)]
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_of_one_exam_learn_of_each_other_and_whoever_does_not_know_is_named() {
    let world = World::new();
    let _keeper = world.keep();
    let (mut one, mut two) = (world.introduce("door-1", "R-1").await, world.introduce("door-2", "R-2").await);
    world.import(1, 60);
    let said = world.push(&["door-1:R-1"], &[]);
    assert!(!said.contains("know"), "{said}");
    one.holds(1).await;
    assert_eq!(peers(&one), None, "there is no other box");
    let said = world.push(&["door-2:R-2"], &[]);
    assert!(said.contains("door-1: does not know of door-2: import the roster again"), "{said}");
    two.holds(1).await;
    let (key, of_two) = peers(&two).expect("it knows of the first");
    assert_eq!(of_two, told("door-1", "R-1", 60));

    world.import(2, 61);
    world.push(&["door-1:R-1", "door-2:R-2"], &[]);
    tokio::join!(one.holds(2), two.holds(2));
    let known = [peers(&one), peers(&two)];
    assert_eq!(known, [Some((key.clone(), told("door-2", "R-2", 3))), Some((key.clone(), told("door-1", "R-1", 61)))]);

    // The exam is withdrawn from a box: the others are to forget it with their next version.
    let files = [("--stock", "stock"), ("--roster-key", "roster.key"), ("--devices", "devices.toml")];
    let output = world.roster(&["withdraw", "--exam", EXAM, "--device", "door-2"], &files);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = world.push(&["door-1:R-1"], &[]);
    assert!(said.contains("door-1: still believes door-2"), "{said}");
    world.import(3, 62);
    world.push(&["door-1:R-1"], &[]);
    one.holds(3).await;
    assert_eq!(peers(&one), None);

    // Nobody is to hear of the others.
    world.import(4, 63);
    world.push(&["door-1:R-1", "door-2:R-2"], &["--apart"]);
    tokio::join!(one.holds(4), two.holds(4));
    assert_eq!((peers(&one), peers(&two)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_does_not_say_what_it_reads_is_told_of_no_other() {
    let world = World::new();
    let keeper = world.keep();
    let (one, two) = (world.introduce("door-1", "R-1").await, world.introduce("door-2", "R-2").await);
    drop(keeper);
    let stock = Stock::open(&world.at("stock")).expect("a stock");
    let before = Reported { reads: None, ..world.reported("door-1").expect("it reported") };
    stock.set_report(&id("door-1"), &before.encode(&device_key("door-1"))).expect("writable");
    world.import(1, 60);
    let said = world.push(&["door-1:R-1", "door-2:R-2"], &[]);
    assert!(said.contains("door-1: its software may be too old") && !said.contains("door-2: its software"), "{said}");
    let _keeper = world.keep();
    let (mut one, mut two) = (one, two);
    tokio::join!(one.holds(1), two.holds(1));
    assert_eq!(peers(&one), None);
    assert_eq!(peers(&two).expect("it reads the newest").1, told("door-1", "R-1", 60));
}
