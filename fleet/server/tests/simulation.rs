//! Faults drawn at random, in simulated time: two boxes with their real stores and the machine that decides what to send, a broker
//! of ours that forgets, doubles, reorders and cuts, and collectors that die at every point, over one real ledger.
//!
//! Held against a list of what the doors were told is recorded: whatever happened, once it stops happening everything is in
//! the ledger, once, and no outbox holds anything. As many schedules as `PROPTEST_CASES` says, 256 without it.
//!
//! Over 400 lines, and still read at one sitting: what happens, a door, the world around it, the test.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, mem,
    path::{Path, PathBuf},
    time::Duration,
};

use examgate::{
    domain::{
        Access, AccessStep, ClockTrust, DeviceId, Epoch, Event, EventId, EventKind, MonoTime, RoomId, Seq, Timestamp,
        WithSources,
    },
    flow::deliver::{Judged, Next, Pace, Sending},
    store::{Acknowledged, Cause, EventError, EventStore, Key, Limits},
    wire::{
        envelope::EventEnvelope,
        keys::SigningKey,
        receipt::Receipt,
        seal::{Identity, Recipient},
    },
};
use examgate_fleet_core::{
    lease::{Claim, Holder, Token},
    ledger::{Ledger, LedgerFault, Location},
};
use proptest::prelude::*;
use uuid::Uuid;

const PACE: Pace = Pace { window: 4, ahead: 6, patience: Duration::from_secs(5), longest: Duration::from_secs(60) };
/// Small, so that an outbox is full now and then, as a disk is.
const LIMITS: Limits = Limits { rows: 12, reserve: 4096 };
const DOORS: usize = 2;

fn receipt_key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn must<T, E: std::error::Error + 'static>(done: Result<T, E>) -> T {
    done.unwrap_or_else(|error| panic!("{}", WithSources(&error)))
}

/// Copies a database with its log.
fn copy(from: &Path, to: &Path) {
    for ending in ["", "-wal"] {
        let (from, to) = (format!("{}{ending}", from.display()), format!("{}{ending}", to.display()));
        let _ = fs::remove_file(&to);
        if Path::new(&from).exists() {
            fs::copy(from, to).expect("copied");
        }
    }
    let _ = fs::remove_file(format!("{}-shm", to.display()));
}

/// What happens next. A message is taken out of those there are by a number that is reduced to how many there are.
#[derive(Clone, Debug)]
enum Chance {
    /// A door records, at a wall clock that is off by so many seconds.
    Record(usize, i64),
    /// A door sends what it wants to send.
    Send(usize),
    /// The broker answers for the oldest of a door's messages, and has it unless it refused it.
    Answer(usize, bool),
    /// A message at the broker is there twice.
    Double(usize),
    /// The collector takes messages out of the middle, up to so many, and comes as far as that.
    Collect(usize, usize, Fate),
    /// A collector that stood still wakes, and tries to commit what it holds.
    Wake,
    /// A receipt arrives, or arrives and comes again later.
    Receipt(usize, usize, bool),
    /// The broker loses all that it has.
    Amnesia,
    /// A door's line is cut, and stands again.
    Cut(usize),
    /// A door is killed and started.
    Kill(usize),
    /// A door's disk is kept as it is, or set back to what was kept.
    Disk(usize, bool),
    /// The ledger is kept as it is, or set back to what was kept.
    Backup(bool),
    /// So many seconds pass.
    Wait(u64),
}

/// How far a collector comes with a batch.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Killed before it commits.
    BeforeCommit,
    /// Killed between commit and receipt; its spare goes on.
    BeforeReceipt,
    /// It stands still before it commits, and its spare takes over; it wakes later.
    Stalled,
    /// It receipts.
    Done,
}

/// What of a schedule may be set back. Not both in one: when the fleet restores yesterday's ledger and a box is replaced by its
/// own yesterday, what was recorded in between is nowhere any more.
#[derive(Clone, Copy, Debug)]
enum SetBack {
    Doors,
    Ledger,
}

fn schedule() -> impl Strategy<Value = Vec<Chance>> {
    prop_oneof![Just(SetBack::Doors), Just(SetBack::Ledger)]
        .prop_flat_map(|what| prop::collection::vec(chance(what), 0..150))
}

fn chance(set_back: SetBack) -> impl Strategy<Value = Chance> {
    let door = || 0..DOORS;
    let fate = prop_oneof![
        1 => Just(Fate::BeforeCommit),
        1 => Just(Fate::BeforeReceipt),
        1 => Just(Fate::Stalled),
        6 => Just(Fate::Done),
    ];
    prop_oneof![
        8 => (door(), -90_000i64..90_000).prop_map(|(door, off)| Chance::Record(door, off)),
        8 => door().prop_map(Chance::Send),
        8 => (door(), prop::bool::weighted(0.9)).prop_map(|(door, taken)| Chance::Answer(door, taken)),
        2 => any::<usize>().prop_map(Chance::Double),
        8 => (any::<usize>(), 1..6usize, fate).prop_map(|(from, most, fate)| Chance::Collect(from, most, fate)),
        6 => (door(), any::<usize>(), any::<bool>()).prop_map(|(door, at, again)| Chance::Receipt(door, at, again)),
        2 => Just(Chance::Wake),
        1 => Just(Chance::Amnesia),
        2 => door().prop_map(Chance::Cut),
        2 => door().prop_map(Chance::Kill),
        2 => (door(), any::<bool>()).prop_map(move |(door, back)| match set_back {
            SetBack::Doors => Chance::Disk(door, back),
            SetBack::Ledger => Chance::Backup(back),
        }),
        4 => (1..400u64).prop_map(Chance::Wait),
    ]
}

struct Door {
    id: DeviceId,
    path: PathBuf,
    key: Key,
    signing: SigningKey,
    /// `None` only while it is set back.
    store: Option<EventStore>,
    sending: Sending,
    connection: u64,
    /// Sent on this connection, not answered by the broker.
    unanswered: VecDeque<Vec<u8>>,
    /// What the door was told is recorded, and was not set back behind.
    recorded: BTreeSet<EventId>,
    /// What was recorded and then set back: it may have reached the ledger before.
    forgotten: BTreeSet<EventId>,
    /// What was recorded when its disk was kept.
    kept: Option<BTreeSet<EventId>>,
}

impl Door {
    fn new(n: usize, folder: &Path) -> Self {
        let (path, key) = (folder.join(format!("door-{n}.db")), must(Key::generate()));
        let id = DeviceId::new(format!("door-{n}")).expect("valid");
        let first = Epoch(Uuid::from_u128(n as u128 + 1));
        let store = must(EventStore::open(&path, &key, &id, first, LIMITS));
        Self {
            id,
            path,
            key,
            signing: SigningKey::from_seed(&[n as u8 + 1; 32]),
            store: Some(store),
            sending: Sending::new(PACE, Seq(0)),
            connection: 0,
            unanswered: VecDeque::new(),
            recorded: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            kept: None,
        }
    }

    fn store(&mut self) -> &mut EventStore {
        self.store.as_mut().expect("open")
    }

    fn connect(&mut self) {
        self.connection += 1;
        self.unanswered.clear();
        self.sending.line_up(self.connection);
    }

    /// What a start of the process does.
    fn start(&mut self) {
        self.store = None;
        let store = must(EventStore::open(&self.path, &self.key, &self.id, Epoch(Uuid::nil()), LIMITS));
        self.sending = Sending::new(PACE, must(store.receipted()));
        self.store = Some(store);
        self.connect();
    }

    fn record(&mut self, id: EventId, off: i64) {
        let noon: Timestamp = "2026-12-14T12:00:00Z".parse().expect("a time");
        let event = Event {
            id,
            at: noon + jiff::SignedDuration::from_secs(off),
            clock: ClockTrust::Untrusted,
            room: RoomId::new("R-1").expect("valid"),
            kind: EventKind::Access(Access {
                proctor: None,
                from: [127, 0, 0, 1].into(),
                step: AccessStep::Refused { times: 1 },
            }),
        };
        match self.store().record(&event) {
            Ok(_) => {
                self.recorded.insert(id);
                self.sending.recorded();
            }
            // The student is referred to the proctor: nothing was promised.
            Err(EventError::OutboxFull { .. }) => {}
            Err(error) => panic!("{}", WithSources(&error)),
        }
    }

    fn send(&mut self, now: MonoTime, collector: &Recipient) {
        while let Next::Send { after, limit } = self.sending.next(now) {
            let rows = must(self.store().outgoing(after, limit as usize));
            if rows.is_empty() {
                self.sending.drained();
            }
            for row in rows {
                let device = self.id.clone();
                let (epoch, seq, event_id, prev, hash) = (row.epoch, row.seq, row.event_id, row.prev, row.hash);
                let envelope = EventEnvelope { device, epoch, seq, event_id, prev, hash, body: row.body };
                self.unanswered.push_back(envelope.encode(&self.signing, collector).expect("short"));
                self.sending.sent(seq, now);
            }
        }
    }

    fn receipt(&mut self, bytes: &[u8], now: MonoTime, fresh: u128) {
        let receipt = must(Receipt::decode(bytes, &self.id, &receipt_key().public()));
        match must(self.store().acknowledge(receipt.epoch, receipt.seq, receipt.hash)) {
            Acknowledged::Held(_) => {
                let _: Judged = self.sending.receipted(receipt.seq, now);
            }
            Acknowledged::AnotherEpoch => {}
            Acknowledged::Contradicts(_) => {
                let (id, at) = (self.id.clone(), "2026-12-14T12:00:00Z".parse().expect("a time"));
                must(self.store().begin_epoch(Epoch(Uuid::from_u128(fresh)), &id, Cause::SetBack, at));
                self.sending.begin_epoch();
            }
        }
    }

    fn keep_disk(&mut self) {
        copy(&self.path, &self.path.with_extension("kept"));
        self.kept = Some(self.recorded.clone());
    }

    fn set_disk_back(&mut self) {
        let Some(kept) = self.kept.clone() else { return };
        self.store = None;
        copy(&self.path.with_extension("kept"), &self.path);
        self.forgotten.extend(mem::replace(&mut self.recorded, kept));
        self.start();
    }
}

struct World {
    doors: Vec<Door>,
    /// What the broker has for the collector: from whom, and the bytes.
    events: Vec<(usize, Vec<u8>)>,
    /// What the broker has for each door.
    receipts: Vec<Vec<Vec<u8>>>,
    ledger: Option<Ledger>,
    /// What the active collector commits under.
    token: Option<Token>,
    stalled: Vec<(Ledger, Token, Vec<EventEnvelope>)>,
    path: PathBuf,
    key: Key,
    identity: Identity,
    is_kept: bool,
    now: MonoTime,
    /// For ids, each once.
    count: u128,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, key) = (folder.path().join("ledger.db"), must(Key::generate()));
        let mut doors: Vec<Door> = (0..DOORS).map(|n| Door::new(n, folder.path())).collect();
        doors.iter_mut().for_each(Door::connect);
        let mut world = Self {
            doors,
            events: Vec::new(),
            receipts: vec![Vec::new(); DOORS],
            ledger: None,
            token: None,
            stalled: Vec::new(),
            path,
            key,
            identity: Identity::generate(),
            is_kept: false,
            now: MonoTime::default(),
            count: 1 << 64,
            _folder: folder,
        };
        world.start_collector();
        world
    }

    /// Another collector takes over: the lease of the one before is over at once, as nobody renews it here.
    fn start_collector(&mut self) {
        self.ledger = None;
        let mut ledger = must(Ledger::open(&Location::File(self.path.clone()), &self.key));
        let holder = Holder { id: Uuid::from_u128(self.fresh()), name: "a collector".into() };
        let Claim::Held(token) = must(ledger.claim(&holder, Duration::ZERO)) else { panic!("the lease is not over") };
        (self.ledger, self.token) = (Some(ledger), Some(token));
    }

    fn fresh(&mut self) -> u128 {
        self.count += 1;
        self.count
    }

    fn step(&mut self, chance: Chance) {
        match chance {
            Chance::Record(door, off) => {
                let id = EventId(Uuid::from_u128(self.fresh()));
                self.doors[door].record(id, off);
            }
            Chance::Send(door) => self.doors[door].send(self.now, &self.identity.recipient()),
            Chance::Answer(door, taken) => self.answer(door, taken),
            Chance::Double(at) if !self.events.is_empty() => {
                self.events.push(self.events[at % self.events.len()].clone())
            }
            Chance::Double(_) => {}
            Chance::Collect(from, most, fate) => self.collect(from, most, fate),
            Chance::Wake => {
                for (mut ledger, token, events) in self.stalled.drain(..) {
                    let fenced = ledger.commit(token, &events);
                    assert!(matches!(fenced, Err(LedgerFault::Fenced { .. })), "it has the lease no more: {fenced:?}");
                }
            }
            Chance::Receipt(door, at, again) => self.receipt(door, at, again),
            Chance::Amnesia => self.forget(),
            Chance::Cut(door) => {
                self.doors[door].sending.line_down();
                self.doors[door].connect();
            }
            Chance::Kill(door) => self.doors[door].start(),
            Chance::Disk(door, false) => self.doors[door].keep_disk(),
            Chance::Disk(door, true) => self.doors[door].set_disk_back(),
            Chance::Backup(false) => {
                copy(&self.path, &self.path.with_extension("kept"));
                self.is_kept = true;
            }
            Chance::Backup(true) if self.is_kept => {
                // A ledger is restored while no collector runs.
                self.stalled.clear();
                self.ledger = None;
                copy(&self.path.with_extension("kept"), &self.path);
                self.start_collector();
            }
            Chance::Backup(true) => {}
            Chance::Wait(seconds) => self.now = self.now.after(Duration::from_secs(seconds)),
        }
    }

    fn answer(&mut self, door: usize, taken: bool) {
        let it = &mut self.doors[door];
        let Some(message) = it.unanswered.pop_front() else { return };
        it.sending.answered(it.connection, taken, self.now);
        if taken {
            self.events.push((door, message));
        }
    }

    fn collect(&mut self, from: usize, most: usize, fate: Fate) {
        if self.events.is_empty() {
            return;
        }
        let from = from % self.events.len();
        let to = (from + most).min(self.events.len());
        let batch: Vec<_> = self.events[from..to].to_vec();
        if matches!(fate, Fate::BeforeCommit) {
            return self.start_collector();
        }
        let read = |(door, bytes): &(usize, Vec<u8>)| {
            let door = &self.doors[*door];
            must(EventEnvelope::decode(bytes, &door.id, &door.signing.public(), &self.identity))
        };
        let events: Vec<_> = batch.iter().map(read).collect();
        let token = self.token.expect("held");
        if matches!(fate, Fate::Stalled) {
            let ledger = self.ledger.take().expect("open");
            self.stalled.push((ledger, token, events));
            return self.start_collector();
        }
        let committed = must(self.ledger.as_mut().expect("open").commit(token, &events));
        assert!(committed.unusable.is_empty(), "{:?}", committed.unusable);
        if matches!(fate, Fate::BeforeReceipt) {
            return self.start_collector();
        }
        self.events.drain(from..to);
        for ((device, epoch), (seq, hash)) in committed.contiguous {
            let door = self.doors.iter().position(|door| door.id == device).expect("one of ours");
            self.receipts[door].push(Receipt { device, epoch, seq, hash }.encode(&receipt_key()));
        }
    }

    fn receipt(&mut self, door: usize, at: usize, again: bool) {
        if self.receipts[door].is_empty() {
            return;
        }
        let at = at % self.receipts[door].len();
        let bytes = if again { self.receipts[door][at].clone() } else { self.receipts[door].remove(at) };
        let (now, fresh) = (self.now, self.fresh());
        self.doors[door].receipt(&bytes, now, fresh);
    }

    fn forget(&mut self) {
        self.events.clear();
        self.receipts.iter_mut().for_each(Vec::clear);
        self.doors.iter_mut().for_each(Door::connect);
    }

    /// Nothing fails any more: each door records one event more (a ledger that was set back is noticed by the next receipt), and
    /// everything travels, in order, until all of it is receipted and in the ledger.
    fn heal(&mut self) {
        self.forget();
        let mut rounds = 0;
        while !self.is_settled() {
            for door in 0..DOORS {
                if rounds == 1 {
                    self.step(Chance::Record(door, 0));
                }
                self.step(Chance::Send(door));
                while !self.doors[door].unanswered.is_empty() {
                    self.answer(door, true);
                }
            }
            while !self.events.is_empty() {
                self.collect(0, 128, Fate::Done);
            }
            for door in 0..DOORS {
                while !self.receipts[door].is_empty() {
                    self.receipt(door, 0, false);
                }
            }
            self.now = self.now.after(Duration::from_secs(61));
            rounds += 1;
            assert!(rounds < 200, "stuck: {:?}", self.held());
        }
    }

    /// Whether no outbox holds anything, and every event that a door was told is recorded is in the ledger, along the chain.
    fn is_settled(&mut self) -> bool {
        if self.doors.iter_mut().any(|door| must(door.store().outbox_len()) > 0) {
            return false;
        }
        let held = self.held();
        let is_held = |door: &Door, id: &EventId| held.get(&(door.id.to_string(), *id)).is_some_and(|found| found.1);
        self.doors.iter().all(|door| door.recorded.iter().all(|id| is_held(door, id)))
    }

    /// What the ledger holds: how often, and whether it is confirmed.
    fn held(&mut self) -> BTreeMap<(String, EventId), (u32, bool)> {
        let mut held: BTreeMap<_, (u32, bool)> = BTreeMap::new();
        let done = self.ledger.as_mut().expect("open").each(|entry| {
            let event: Event = serde_json::from_slice(&entry.body).expect("an event");
            let seen = held.entry((entry.device, event.id)).or_default();
            *seen = (seen.0 + 1, entry.confirmed);
            Ok(())
        });
        must(must(done.map(|inner| inner.map_err(std::io::Error::other))));
        held
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_schedule_of_faults_loses_or_doubles_an_event(chances in schedule()) {
        let is_set_back = chances.iter().any(|chance| matches!(chance, Chance::Disk(_, true)));
        let mut world = World::new();
        chances.into_iter().for_each(|chance| world.step(chance));
        world.heal();
        let held = world.held();
        prop_assert!(held.values().all(|found| found.0 == 1), "twice: {held:?}");
        let known = |(device, id): &(String, EventId)| {
            let door = world.doors.iter().find(|door| door.id.as_str() == device).expect("one of ours");
            door.recorded.contains(id) || door.forgotten.contains(id)
        };
        prop_assert!(held.keys().all(known), "in the ledger, and recorded nowhere: {held:?}");
        let incidents = must(world.ledger.as_mut().expect("open").incidents());
        prop_assert!(is_set_back || incidents.is_empty(), "{incidents:?}");
    }
}
