//! How long the door waits for the store: the student who holds a card, with the templates of one student, out of a
//! hundred, ten thousand and a million. Flat is the bar. And how long recording a decision takes.
//!
//! Warm, random students, medians. Written into `target/bench/summary.json` beside the other benches' numbers.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use examgate::{
    domain::{
        ArtifactId, CardPseudonym, Decision, DeviceId, Embedding, EmbeddingSpaceId, Epoch, Exam, ExamId, ExamWindow,
        RoomId, RosterEntry, RosterVersion, Student, StudentId, Template, Timestamp, sample::verified,
    },
    rig::summary,
    store::{EventStore, Key, Limits, RosterStore},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Lookups per size.
const LOOKUPS: u64 = 2_000;

/// Students with templates in every roster; the others have none, which a lookup by index cannot notice.
const ENROLLED: u64 = 100;

/// Templates of each, and their components.
const TEMPLATES: usize = 3;
const DIMENSION: usize = 512;

const KEY: Key = Key::from_bytes([7; 32]);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut numbers = Vec::new();
    println!("{:>10} {:>12} {:>12} {:>12} {:>12}", "students", "built in", "card found", "templates", "together");
    for students in [100, 10_000, 1_000_000] {
        let (store, built) = build(&folder.path().join(format!("{students}.db")), students)?;
        let (found, read, together) = look_up(&store, students)?;
        println!("{students:>10} {built:>12.1?} {found:>12.1?} {read:>12.1?} {together:>12.1?}");
        numbers.push((format!("lookup_us_{students}"), micros(found)));
        numbers.push((format!("lookup_with_templates_us_{students}"), micros(together)));
    }
    let record = record(folder.path())?;
    println!("a decision recorded, synchronised to this disk: {record:.1?}");
    numbers.push(("record_us".into(), micros(record)));
    let numbers: Vec<_> = numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
    Ok(summary::merge(Path::new(env!("CARGO_MANIFEST_DIR")), &numbers)?)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn card(n: u64) -> CardPseudonym {
    CardPseudonym::from_bytes(Sha256::digest(n.to_be_bytes()).into())
}

fn build(path: &Path, students: u64) -> Outcome<(RosterStore, Duration)> {
    let exam = Exam {
        id: ExamId::new("BENCH")?,
        title: "A bench".into(),
        window: ExamWindow { opens: Timestamp::MIN, closes: Timestamp::MAX },
        version: RosterVersion(1),
    };
    let room = RoomId::new("room-1")?;
    let template = Template {
        space: EmbeddingSpaceId::new("bench"),
        artifact: ArtifactId::from_bytes([1; 32]),
        embedding: Embedding::normalised((0..DIMENSION).map(|i| i as f32 - 200.0).collect())?,
    };
    let every = students / ENROLLED;
    let entries = (0..students).map(|n| {
        let id = StudentId::new(format!("N{n:08}")).expect("an identifier");
        let entry = RosterEntry::new(Student::new(id, "Ada"), card(n), room.clone());
        (entry, if n % every == 0 { vec![template.clone(); TEMPLATES] } else { Vec::new() })
    });
    let start = Instant::now();
    let mut store = RosterStore::create(path, &KEY)?;
    store.replace_from(&exam, entries)?;
    Ok((store, start.elapsed()))
}

/// Medians: finding any student by card, reading the templates of one who has some, and both for one student.
fn look_up(store: &RosterStore, students: u64) -> Outcome<(Duration, Duration, Duration)> {
    let every = students / ENROLLED;
    let mut random = Random(1);
    let (mut found, mut read, mut together) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..LOOKUPS {
        let anyone = card(random.below(students));
        let start = Instant::now();
        store.find(&anyone)?.ok_or("a student is missing")?;
        found.push(start.elapsed());

        let enrolled = card(random.below(ENROLLED) * every);
        let start = Instant::now();
        let student = store.find(&enrolled)?.ok_or("a student is missing")?.entry.student.id;
        let middle = Instant::now();
        let templates = store.templates(&student)?;
        read.push(middle.elapsed());
        together.push(start.elapsed());
        assert_eq!(templates.len(), TEMPLATES);
    }
    Ok((median(found), median(read), median(together)))
}

fn record(folder: &Path) -> Outcome<Duration> {
    let epoch = Epoch(Uuid::from_u128(1));
    let device = DeviceId::new("door-1")?;
    let mut store = EventStore::open(&folder.join("events.db"), &KEY, &device, epoch, Limits::default())?;
    let mut times = Vec::new();
    for n in 0..500 {
        let event = verified(n, "BENCH", Some((n % 256) as u8), Decision::Admit);
        let start = Instant::now();
        store.record(&event)?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Knuth's MMIX generator: the same students in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
