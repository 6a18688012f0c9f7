//! A box that is killed at random moments, before a broker that loses its memory at random moments: what was said is
//! neither lost nor told twice, and every store is whole.
//!
//! `EXAMGATE_KILLS` says how often (5), `EXAMGATE_SEED` repeats a run. Looks only from outside: at what the box says, what
//! the collector commits and what lies on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use examgate::{
    domain::{Decision, DeviceId, Epoch, Event, EventKind, ExamId, Seq},
    rig::{
        stage::{DEVICE, DoorBox, Enrolled, Programs, Reality, Said, Stage},
        strings::Lying,
    },
    store::{EventStore, KeyFolder, KeyName, Layout, Limits, RosterStore},
};

const EXAM: &str = "MATH-UA-120-final";

/// How long the collector may take to have everything: two reconnections with their pauses.
const COLLECTED_WITHIN: Duration = Duration::from_secs(60);

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose moments by, and a run can be repeated.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[expect(clippy::disallowed_methods, reason = "the length of the run and its seed are chosen from outside")]
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "moments of a process outside are chosen: there is no clock to be handed"
)]
fn now() -> Instant {
    Instant::now()
}

fn pause(duration: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

/// The students, all with the face before the camera: the first so many tap.
fn students(n: u64) -> Vec<(String, String)> {
    (1..=n).map(|i| (format!("N{i:08}"), format!("04AA0000{i:06X}"))).collect()
}

/// What a run has seen so far.
#[derive(Default)]
struct Seen {
    heard: usize,
    amnesias: usize,
    /// Cards whose admission was said.
    admitted: BTreeSet<String>,
}

/// Taps until `until`, one card after the other, while the broker now and then loses its memory.
fn tap(stage: &mut Stage, door: &DoorBox, chance: &mut Chance, cards: &[String], seen: &mut Seen, until: Instant) {
    while now() < until {
        let card = match chance.below(8) {
            0 | 1 => cards[chance.below(cards.len() as u64) as usize].clone(),
            2 if !seen.admitted.is_empty() => {
                seen.admitted.iter().nth(chance.below(seen.admitted.len() as u64) as usize).expect("not empty").clone()
            }
            // Nobody's: answered at once.
            _ => format!("04DD{:010X}", chance.below(1 << 40)),
        };
        let uid = hex::decode(&card).expect("hexadecimal");
        // The next card takes its place.
        stage.strings.set_card(&Lying::Card(hex::encode([&uid[..], &[0x90, 0x00]].concat()))).expect("a card is laid");
        if chance.one_in(12) {
            stage.broker.as_mut().expect("a real one").restart(true).expect("the broker starts again");
            seen.amnesias += 1;
        }
        let left = until.saturating_duration_since(now());
        let Some(said) = door.decision_within(left).expect("the box runs until it is killed") else { return };
        seen.heard += 1;
        if seen.admitted.contains(&card) {
            assert_eq!(said.reason.as_deref(), Some("already_admitted"), "{card} is inside already");
        } else if said.decision == "admit" {
            seen.admitted.insert(card);
        }
    }
}

/// What one event says, for comparison with what the box said.
fn answer(event: &Event) -> (String, Option<String>) {
    let EventKind::Verification(verification) = &event.kind else { panic!("{event:?}") };
    let decision = verification.decision;
    (decision.outcome().into(), decision.reason().map(|reason| reason.code().into()))
}

/// All events on the box's disk, which is whole.
fn recorded(stage: &Stage) -> Vec<(Epoch, Seq, Event)> {
    let (state, keys) = stage.state_and_keys();
    let (layout, keys) = (Layout::new(state), KeyFolder::new(keys, None));
    let exam = ExamId::new(EXAM).expect("valid");
    let key = keys.read(KeyName::Exam(&exam)).expect("the exam's key");
    let roster = RosterStore::open(&layout.exam(&exam), &key).expect("the roster opens");
    roster.exam().expect("readable").expect("the roster holds its exam");
    let key = keys.read(KeyName::Events).expect("the events' key");
    let (device, fresh) = (DeviceId::new(DEVICE).expect("valid"), Epoch(uuid::Uuid::nil()));
    let events = EventStore::open(&layout.events(), &key, &device, fresh, Limits::default()).expect("the events open");
    let epoch = events.epoch().expect("readable");
    assert_ne!(epoch, fresh, "the store was made anew: what was in it is lost");
    let ends = events.verify_chain().expect("the chain is whole");
    let rows = events.events(Seq(0), usize::try_from(ends.last.0).expect("fits") + 1).expect("readable");
    assert_eq!(rows.len() as u64, ends.last.0);
    rows.iter().map(|row| (epoch, row.seq, row.event().expect("an event"))).collect()
}

/// What the collector has: epoch, seq and id.
fn committed(stage: &Stage) -> Vec<(String, u64, String)> {
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let entries = stage.committed().expect("the ledger can be read");
    entries.iter().map(|e| (text(&e["epoch"]), e["seq"].as_u64().expect("a number"), text(&e["event"]["id"]))).collect()
}

#[test]
fn a_killed_box_and_a_forgetful_broker_lose_nothing_and_tell_nothing_twice() {
    let kills = from_environment("EXAMGATE_KILLS").unwrap_or(5);
    let seed = from_environment("EXAMGATE_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1 >> 1);
    eprintln!("repeat with EXAMGATE_SEED={seed} EXAMGATE_KILLS={kills}");
    let mut chance = Chance(seed);

    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_examgate"))).expect("both programs are built");
    let reality = Reality { reader: false, broker: true };
    let mut stage = Stage::set(project, programs, EXAM, reality).expect("the stage can be set");
    let students = students((kills / 2).clamp(4, 24));
    let enrolled: Vec<_> = students
        .iter()
        .map(|(id, card)| Enrolled {
            id,
            given_name: "Noah",
            card,
            pictures: &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"],
            language: None,
        })
        .collect();
    stage
        .enrol(EXAM, "Linear Algebra, final", ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00"), &enrolled)
        .expect("the roster is imported");
    let cards: Vec<_> = students.into_iter().map(|(_, card)| card).collect();
    stage.collect().expect("the collector starts");
    stage.set_clock("2026-12-14T08:40:00-05:00").expect("the clock is set");
    stage.seat_woman().expect("the scene is set");

    let (mut seen, mut unready) = (Seen::default(), 0);
    for _ in 0..kills {
        let door = stage.start_door().expect("the box starts");
        if chance.one_in(6) {
            // While it starts: it takes about two seconds.
            pause(Duration::from_millis(chance.below(2_000)));
            unready += 1;
        } else {
            door.ready().unwrap_or_else(|error| panic!("{error:#}; it said:\n{}", stage.door_log()));
            let until = now() + Duration::from_millis(chance.below(2_500));
            tap(&mut stage, &door, &mut chance, &cards, &mut seen, until);
        }
        door.kill9().expect("the box is killed");
        stage.strings.set_card(&Lying::Nothing).expect("the card is taken away");
    }
    // A last life in peace: it says something more, and delivers what is left.
    let door = stage.open_door().expect("the box is ready");
    let until = now() + Duration::from_secs(2);
    tap(&mut stage, &door, &mut chance, &cards, &mut seen, until);
    let said: Vec<Said> = stage.door_log().lines().filter_map(Said::in_line).collect();
    assert!(seen.heard > 0 && said.len() >= seen.heard, "{} heard, {} in the log", seen.heard, said.len());
    let until = now() + COLLECTED_WITHIN;
    let mut before = 0;
    let mut at_collector = loop {
        let at_collector = committed(&stage);
        let ids: BTreeSet<_> = at_collector.iter().map(|(_, _, id)| id).collect();
        // Two looks that find all that was said, and the same: nothing is on its way any more.
        if said.iter().all(|said| ids.contains(&said.event)) && at_collector.len() == before {
            break at_collector;
        }
        before = at_collector.len();
        assert!(
            now() < until,
            "the collector has {} of {} decisions said\n{}\n{}",
            at_collector.len(),
            said.len(),
            stage.collector_log(),
            stage.door_log()
        );
        pause(Duration::from_millis(300));
    };
    assert!(door.stop().expect("the box can be asked to stop").success());
    // Ended in order, nothing is recorded any more; what was recorded last may have been committed after the last look.
    let on_disk = recorded(&stage);
    while at_collector.len() < on_disk.len() && now() < until {
        at_collector = committed(&stage);
    }

    let here: Vec<_> = on_disk.iter().map(|(epoch, seq, e)| (epoch.to_string(), seq.0, e.id.to_string())).collect();
    assert_eq!(at_collector, here, "the collector holds exactly what the box recorded, in its order, without a gap");
    let ids: BTreeSet<_> = here.iter().map(|(_, _, id)| id).collect();
    assert_eq!(ids.len(), here.len(), "every event has a name of its own");
    let by_id: BTreeMap<_, _> = on_disk.iter().map(|(_, _, event)| (event.id.to_string(), answer(event))).collect();
    let mut once = BTreeSet::new();
    for said in &said {
        assert!(once.insert(&said.event), "{} was said twice", said.event);
        let answer = by_id.get(&said.event).unwrap_or_else(|| panic!("{} was said and is not recorded", said.event));
        assert_eq!(answer, &(said.decision.clone(), said.reason.clone()), "{}", said.event);
    }
    let mut inside = BTreeSet::new();
    for (_, _, event) in &on_disk {
        let EventKind::Verification(verification) = &event.kind else { continue };
        if verification.decision == Decision::Admit {
            assert!(inside.insert(&verification.student), "a student was admitted twice");
        }
    }
    eprintln!(
        "{kills} kills ({unready} of them before the box was ready), {} brokers without memory: {} decisions said, {} \
         recorded, {} committed, {} students admitted",
        seen.amnesias,
        said.len(),
        on_disk.len(),
        at_collector.len(),
        inside.len()
    );
}
