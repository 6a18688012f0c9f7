//! How long it takes to make an exam's rosters ready to send, and a box to bring one into force: at a hundredth, a tenth and the
//! whole of what one exam may be. And how long a tap waits meanwhile.
//!
//! Bundles are built and sealed as `examgate-fleet roster push` does, on one thread. A box opens, decodes and writes one as its
//! driver does, while another thread looks up cards as the door does, until a card is looked up in the new edition. Every student's
//! templates are other ones than before. Written into `target/bench/summary.json`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    error::Error,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use examgate::{
    domain::{
        ArtifactId, CardPseudonym, Embedding, EmbeddingSpaceId, Exam, ExamId, ExamWindow, PepperCheck, RoomId,
        RosterEntry, RosterVersion, Student, StudentId, Template, Timestamp,
    },
    rig::summary,
    store::{Editions, Key, Pushed, RosterStore},
    wire::{
        bundle::{Bundle, MAX_BUNDLE},
        seal::Identity,
    },
};
use examgate_fleet_core::rosters::{Imported, seal};
use sha2::{Digest as _, Sha256};

const ROOMS: usize = 40;
const DIMENSION: usize = 512;
const KEY: Key = Key::from_bytes([7; 32]);
/// Builds and applies of each size; the fastest counts.
const RUNS: usize = 3;
/// Taps after the second edition is in force: the log is written back meanwhile.
const AFTER: usize = 300;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut numbers = Vec::new();
    println!(
        "{:>9} {:>14} {:>16} {:>16} {:>16}",
        "students", "built, 40 rooms", "applied, 1 room", "tap at rest", "tap meanwhile"
    );
    for (students, of) in [(100, "100"), (1_000, "1k"), (10_000, "10k")] {
        let built = best(|| build(students))?;
        let mut waits = Waits::default();
        let applied = best(|| apply(&folder.path().join(of), students, &mut waits))?;
        let (rest, meanwhile) = (high(waits.at_rest), high(waits.meanwhile));
        println!("{students:>9} {built:>14.1?} {applied:>16.1?} {rest:>16.1?} {meanwhile:>16.1?}");
        numbers.push((format!("bundle_build_{of}_s"), built.as_secs_f64()));
        numbers.push((format!("apply_{of}_s"), applied.as_secs_f64()));
        if students == 10_000 {
            numbers.push(("tap_delay_at_rest_ms".into(), rest.as_secs_f64() * 1e3));
            numbers.push(("tap_delay_during_apply_ms".into(), meanwhile.as_secs_f64() * 1e3));
        }
    }
    println!(
        "taps: the slowest of a hundred (99th percentile), card and templates of one student; meanwhile: until the log is written back"
    );
    let numbers: Vec<_> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    Ok(summary::merge(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &numbers)?)
}

fn best(mut work: impl FnMut() -> Outcome<Duration>) -> Outcome<Duration> {
    let runs: Outcome<Vec<_>> = (0..RUNS).map(|_| work()).collect();
    Ok(runs?.into_iter().min().unwrap_or_default())
}

/// Taps that took longer than 99 of 100.
fn high(mut waits: Vec<Duration>) -> Duration {
    waits.sort();
    waits.get(waits.len() * 99 / 100).copied().unwrap_or_default()
}

fn card(n: usize) -> CardPseudonym {
    CardPseudonym::from_bytes(Sha256::digest(n.to_be_bytes()).into())
}

fn exam(version: u64) -> Exam {
    Exam {
        id: ExamId::new("BENCH").expect("valid"),
        title: "A bench".into(),
        window: ExamWindow { opens: Timestamp::MIN, closes: Timestamp::MAX },
        version: RosterVersion(version),
    }
}

/// One photo each.
fn imported(students: usize, rooms: usize, version: u64) -> Imported {
    let component = |i: usize| i as f32 - 200.0 - version as f32;
    let template = Template {
        space: EmbeddingSpaceId::new("bench"),
        artifact: ArtifactId::from_bytes([1; 32]),
        embedding: Embedding::normalised((0..DIMENSION).map(component).collect()).expect("a direction"),
    };
    let entry = |n: usize| {
        let id = StudentId::new(format!("N{n:08}")).expect("an identifier");
        let room = RoomId::new(format!("room-{}", n % rooms)).expect("valid");
        let entry = RosterEntry::new(Student::new(id, "Ada"), card(n), room);
        (entry, vec![template.clone()])
    };
    Imported {
        exam: exam(version),
        entries: (0..students).map(entry).collect(),
        proctors: vec![],
        pepper: PepperCheck::from_bytes([5; 16]),
    }
}

/// From what was imported to sealed chunks, for all rooms.
fn build(students: usize) -> Outcome<Duration> {
    let (imported, space) = (imported(students, ROOMS, 1), EmbeddingSpaceId::new("bench"));
    let boxes: Vec<_> = (0..ROOMS).map(|_| Identity::generate().recipient()).collect();
    let start = Instant::now();
    for (n, recipient) in boxes.iter().enumerate() {
        let bundle = imported.bundle(&RoomId::new(format!("room-{n}"))?, &space)?;
        std::hint::black_box(seal(&bundle, recipient, Timestamp::MAX)?);
    }
    Ok(start.elapsed())
}

#[derive(Default)]
struct Waits {
    at_rest: Vec<Duration>,
    meanwhile: Vec<Duration>,
}

/// One room with everybody: from the sealed bytes to the edition in force, over the edition before. Taps go on meanwhile.
fn apply(path: &Path, students: usize, waits: &mut Waits) -> Outcome<Duration> {
    let (room, space, door) = (RoomId::new("room-0")?, EmbeddingSpaceId::new("bench"), Identity::generate());
    let path = path.with_extension(waits.meanwhile.len().to_string());
    let mut store = RosterStore::create(&path, &KEY)?;
    let sealed = |version| -> Outcome<Vec<u8>> {
        Ok(door.recipient().seal(&imported(students, 1, version).bundle(&room, &space)?.encode()?))
    };
    let (first, second) = (sealed(1)?, sealed(2)?);
    let mut write = |sealed: &[u8]| -> Outcome<()> {
        let bundle = Bundle::decode(&door.open(sealed, MAX_BUNDLE).map_err(|_| "it does not open")?)?;
        let (exam, entries, pepper) = (&bundle.exam, &bundle.entries, bundle.pepper);
        store.replace_pushed(&Pushed { exam, entries, proctors: &[], pepper, bundle: [1; 32], peers: None })?;
        Ok(())
    };
    write(&first)?;
    let applying = AtomicBool::new(false);
    thread::scope(|scope| {
        let taps = scope.spawn(|| tap(&path, students, &applying, waits).map_err(|error| error.to_string()));
        thread::sleep(Duration::from_secs(2));
        applying.store(true, Ordering::Relaxed);
        let start = Instant::now();
        write(&second)?;
        let in_force = taps.join().map_err(|_| "the taps panicked")??;
        Ok(in_force.duration_since(start))
    })
}

/// Taps, one after the other with a pause of a millisecond, until the second edition is in force for them too, and some more. Says when
/// that was.
fn tap(path: &Path, students: usize, applying: &AtomicBool, waits: &mut Waits) -> Outcome<Instant> {
    let mut editions = Editions::open(path, KEY)?;
    let (mut n, mut in_force, mut after) = (1, None, 0);
    while after < AFTER {
        n = (n * 7 + 3) % students;
        let is_applying = applying.load(Ordering::Relaxed);
        let start = Instant::now();
        editions.refresh()?;
        let view = editions.view().roster();
        let found = view.find(&card(n))?.ok_or("a student is missing")?;
        let templates = view.templates(&found.entry.student.id)?;
        let wait = start.elapsed();
        assert_eq!(templates.len(), 1);
        if is_applying {
            waits.meanwhile.push(wait)
        } else {
            waits.at_rest.push(wait)
        }
        if editions.view().exam().version == RosterVersion(2) {
            in_force.get_or_insert_with(Instant::now);
            after += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(in_force.ok_or("never in force")?)
}
