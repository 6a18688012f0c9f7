//! A box and a ledger that are set back at random moments, over a line that loses, with receipts that somebody repeats: the
//! box's own event store and rules of sending, and the collector's own ledger, in simulated time.
//!
//! Each step of the box's side is the one that `flow::deliver` takes.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use examgate::{
    domain::{Decision, EventId, MonoTime, Timestamp, sample::verified},
    flow::deliver::{Next, Pace, Sending},
    store::{Acknowledged, Cause, EventStore, Limits, Outgoing},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const PACE: Pace = Pace { window: 4, ahead: 6, patience: Duration::from_secs(5), longest: Duration::from_secs(15) };
const KEY: Key = Key::from_bytes([7; 32]);

#[derive(Clone, Debug)]
enum Happening {
    Record,
    /// The oldest event under way arrives at the collector, or gets lost.
    Arrive(bool),
    /// The newest receipt arrives at the box.
    Receipt,
    /// Somebody repeats one of all receipts so far.
    Repeat(prop::sample::Index),
    Reconnect,
    Wait(u64),
    /// The box is stopped and its disk copied.
    Save,
    /// The box is stopped and gets the disk that was copied last.
    SetBack,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => Just(Happening::Record),
        10 => prop::bool::weighted(0.8).prop_map(Happening::Arrive),
        4 => Just(Happening::Receipt),
        1 => any::<prop::sample::Index>().prop_map(Happening::Repeat),
        1 => Just(Happening::Reconnect),
        2 => (0_u64..20).prop_map(Happening::Wait),
        1 => Just(Happening::Save),
        1 => Just(Happening::SetBack),
    ]
}

/// A folder in memory where there is one: nothing here has to reach a disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

fn open(folder: &Path) -> EventStore {
    let limits = Limits { rows: 10_000, reserve: 0 };
    EventStore::open(&folder.join("events.db"), &KEY, &door(), Epoch(Uuid::from_u128(1)), limits).expect("it opens")
}

struct World {
    folder: tempfile::TempDir,
    disks: u32,
    saved: Option<PathBuf>,
    store: Option<EventStore>,
    sending: Sending,
    ledger: Ledger,
    token: Token,
    under_way: VecDeque<EventEnvelope>,
    receipts: Vec<(Epoch, Seq, EventHash)>,
    now: u64,
    connection: u64,
    events: u64,
    epochs: u128,
    set_back: usize,
}

impl World {
    fn new() -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("0")).expect("made");
        let store = open(&folder.path().join("0"));
        let mut ledger = Ledger::open(&Location::File(folder.path().join("ledger.db")), &KEY).expect("a new ledger");
        let holder = Holder { id: Uuid::from_u128(1), name: "collector".into() };
        let Claim::Held(token) = ledger.claim(&holder, Duration::from_secs(3_600)).expect("works") else {
            panic!("it is free")
        };
        Self {
            folder,
            disks: 0,
            saved: None,
            store: Some(store),
            sending: Sending::new(PACE, Seq(0)),
            ledger,
            token,
            under_way: VecDeque::new(),
            receipts: Vec::new(),
            now: 0,
            connection: 0,
            events: 0,
            epochs: 1,
            set_back: 0,
        }
    }

    fn now(&self) -> MonoTime {
        MonoTime::from_start(Duration::from_secs(self.now))
    }

    fn store(&mut self) -> &mut EventStore {
        self.store.as_mut().expect("the box runs")
    }

    fn disk(&self, n: u32) -> PathBuf {
        self.folder.path().join(n.to_string())
    }

    fn reconnect(&mut self) {
        self.connection += 1;
        self.under_way.clear();
        self.sending.line_up(self.connection);
    }

    /// Stops the box, lets it start on the disk of that number.
    fn start_on(&mut self, disk: u32) {
        self.disks = disk;
        let store = open(&self.disk(disk));
        self.sending = Sending::new(PACE, store.receipted().expect("readable"));
        self.store = Some(store);
        self.reconnect();
    }

    fn copy(&self, from: &Path, to: &Path) {
        fs::create_dir(to).expect("made");
        for file in fs::read_dir(from).expect("readable") {
            let file = file.expect("readable");
            fs::copy(file.path(), to.join(file.file_name())).expect("copied");
        }
    }

    fn receipt(&mut self, (epoch, seq, hash): (Epoch, Seq, EventHash)) {
        match self.store().acknowledge(epoch, seq, hash).expect("works") {
            Acknowledged::AnotherEpoch => {}
            Acknowledged::Held(_) => {
                let now = self.now();
                self.sending.receipted(seq, now);
            }
            Acknowledged::Contradicts(_) => {
                self.epochs += 1;
                let fresh = Epoch(Uuid::from_u128(self.epochs));
                self.store().begin_epoch(fresh, &door(), Cause::SetBack, Timestamp::UNIX_EPOCH).expect("begins");
                self.sending.begin_epoch();
            }
        }
    }

    fn step(&mut self, happening: &Happening) {
        match happening {
            Happening::Record => {
                self.events += 1;
                let event = verified(self.events, "A", Some(1), Decision::Admit);
                self.store().record(&event).expect("recorded");
                self.sending.recorded();
            }
            Happening::Arrive(arrives) => {
                if let Some(event) = self.under_way.pop_front() {
                    if *arrives {
                        let committed = self.ledger.commit(self.token, &[event]).expect("works");
                        let end = committed.contiguous.into_iter().next().expect("one epoch");
                        self.receipts.push((end.0.1, end.1.0, end.1.1));
                    }
                    let now = self.now();
                    self.sending.answered(self.connection, true, now);
                }
            }
            Happening::Receipt => {
                if let Some(&receipt) = self.receipts.last() {
                    self.receipt(receipt);
                }
            }
            Happening::Repeat(which) => {
                if !self.receipts.is_empty() {
                    self.receipt(self.receipts[which.index(self.receipts.len())]);
                }
            }
            Happening::Reconnect => self.reconnect(),
            Happening::Wait(seconds) => self.now += seconds,
            Happening::Save => {
                self.store = None;
                let (from, to) = (self.disk(self.disks), self.disk(self.disks + 1));
                self.copy(&from, &to);
                self.saved = Some(from);
                self.start_on(self.disks + 1);
            }
            Happening::SetBack => {
                if let Some(saved) = self.saved.clone() {
                    self.store = None;
                    let to = self.disk(self.disks + 1);
                    self.copy(&saved, &to);
                    self.start_on(self.disks + 1);
                    self.set_back += 1;
                }
            }
        }
        self.send();
    }

    fn send(&mut self) {
        loop {
            let now = self.now();
            let Next::Send { after, limit } = self.sending.next(now) else { return };
            let rows = self.store().outgoing(after, limit as usize).expect("readable");
            if rows.is_empty() {
                self.sending.drained();
            }
            for Outgoing { epoch, seq, event_id, prev, hash, body } in rows {
                self.under_way.push_back(EventEnvelope { device: door(), epoch, seq, event_id, prev, hash, body });
                self.sending.sent(seq, now);
            }
        }
    }

    /// The events of the ledger, as often as it shows them.
    fn at_collector(&mut self) -> Vec<EventId> {
        let mut ids = Vec::new();
        let see = |entry: Entry| {
            let event: examgate::domain::Event = serde_json::from_slice(&entry.body).expect("an event");
            ids.push(event.id);
            Ok(())
        };
        self.ledger.each(see).expect("readable").expect("no output to fail");
        ids
    }

    /// No event left the outbox that the ledger does not hold.
    fn nothing_is_lost(&mut self) {
        let held: BTreeSet<_> = self.at_collector().into_iter().collect();
        let store = self.store();
        let waiting = usize::try_from(store.outbox_len().expect("readable")).expect("fits");
        let all = store.events(Seq(0), 10_000).expect("readable");
        for row in &all[..all.len() - waiting] {
            assert!(held.contains(&row.event_id), "{row:?} is in no outbox and in no ledger");
        }
    }

    /// From here on the line works.
    fn settle(&mut self) {
        self.step(&Happening::Record);
        self.reconnect();
        self.send();
        for _ in 0..40 + 4 * self.events {
            self.step(&Happening::Wait(5));
            while !self.under_way.is_empty() {
                self.step(&Happening::Arrive(true));
                self.step(&Happening::Receipt);
            }
            if self.store().outbox_len().expect("readable") == 0 {
                return;
            }
        }
        panic!("{} events wait for ever", self.store().outbox_len().expect("readable"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_is_lost_and_none_counts_twice(history in prop::collection::vec(happening(), 1..80)) {
        let mut world = World::new();
        world.reconnect();
        let mut seen = BTreeSet::new();
        for happening in &history {
            world.step(happening);
            world.nothing_is_lost();
            let now: BTreeSet<_> = world.at_collector().into_iter().collect();
            prop_assert!(now.is_superset(&seen), "the ledger forgot something");
            seen = now;
        }
        world.settle();
        world.nothing_is_lost();
        let ids = world.at_collector();
        let once: BTreeSet<_> = ids.iter().copied().collect();
        prop_assert_eq!(once.len(), ids.len(), "an event counts twice");
        prop_assert!(once.is_superset(&seen));
        let store = world.store();
        store.verify_chain().expect("whole");
        prop_assert!(store.events(Seq(0), 10_000).expect("readable").iter().all(|row| once.contains(&row.event_id)));
        prop_assert!(world.epochs <= 1 + world.set_back as u128, "{} epochs, {} times set back", world.epochs, world.set_back);
    }
}
