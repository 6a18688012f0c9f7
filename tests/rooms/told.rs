//! What boxes of one exam tell each other over mosquitto with the fleet's ACL: who comes later or comes back hears it all, and what a rogue
//! box says bars nobody.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use examgate::{
    domain::{
        CardPseudonym, ClockTrust, Decision, DeviceId, Epoch, Event, EventId, EventKind, Exam, ExamId, ExamWindow,
        MonoTime, Peer, PeerKey, Peers, ProctorId, RoomId, RosterVersion, Ruling, Seq, StudentId, Timestamp, Undo,
        Verdict, sample::verified,
    },
    edge::{
        clock::Clock,
        mqtt::{Line, Link, Patience, Settings, Tls, Uplink, uplink},
    },
    flow::gossip::{self, Connected, Ends, Gathering, Gossip, OtherRooms, Party},
    rig::{
        certificates::{Authority, Validity},
        mosquitto::{Memory, Mosquitto},
    },
    store::{EventStore, Key, Layout, Limits},
    wire::{
        admitted::{AdmittedPage, AdmittedRow},
        keys::SigningKey,
        state::{DeviceState, Status, Versions},
        topic::admitted_of,
    },
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;
use zeroize::Zeroizing;

/// As the sample events have it.
const OPENS: i64 = 1_800_000_000;

/// How long boxes keep a page at least.
const AN_HOUR: Duration = Duration::from_secs(3600);

async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("waited 60 s in vain: {what}"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(OPENS + second).expect("in range")
}

fn exam() -> Exam {
    Exam {
        id: ExamId::new("MATH").expect("valid"),
        title: String::new(),
        window: ExamWindow { opens: at(0), closes: at(3600) },
        version: RosterVersion(1),
    }
}

fn device(n: u8) -> DeviceId {
    DeviceId::new(format!("door-{n}")).expect("valid")
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

/// Boxes 1 to 4 of the exam, 40 students each, as box `n` knows the others.
fn peers_of(n: u8) -> Peers {
    let peer = |n: u8| Peer {
        device: device(n),
        room: RoomId::new(format!("R-{n}")).expect("valid"),
        students: 40,
        signs_with: *key(n).public().as_bytes(),
    };
    Peers { key: PeerKey::from_bytes([3; 32]), boxes: (1..=4).filter(|other| *other != n).map(peer).collect() }
}

/// Ten minutes after the doors opened. The monotonic clock stands: each box may send as much as it may at once.
struct Late;

impl Clock for Late {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> Timestamp {
        at(600)
    }

    fn trust(&self) -> ClockTrust {
        ClockTrust::Synchronised
    }
}

struct World {
    authority: Authority,
    broker: Mosquitto,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        let broker = Mosquitto::start(authority.certificate(), &authority.broker(Validity::Good), Memory::Lost)
            .unwrap_or_else(|error| panic!("{error}"));
        Self { authority, broker }
    }

    fn settings(&self, n: u8) -> Settings {
        let own = self.authority.client(device(n).as_str(), Validity::Good);
        Settings {
            host: "127.0.0.1".into(),
            port: self.broker.port(),
            device: device(n),
            tls: Tls {
                authority: self.authority.certificate().into(),
                certificate: own.certificate.into(),
                key: Zeroizing::new(own.key.into()),
            },
            state: DeviceState::new(Status::Online, Uuid::from_u128(5), Versions::default()),
            patience: Patience::default(),
        }
    }

    /// A box of the exam with its disk.
    fn start(&self, n: u8, disk: TempDir) -> Door {
        let (near, mut polling) = uplink(self.settings(n), Arc::new(Late)).expect("usable certificates");
        let path = disk.path().join("events.db");
        let store_key = Key::from_bytes([n; 32]);
        let open = || {
            let limits = Limits { reserve: 0, ..Limits::default() };
            EventStore::open(&path, &store_key, &device(n), Epoch(Uuid::from_u128(1)), limits).expect("a store")
        };
        let store = Mutex::new(open());
        let gathering = Gathering { exam: exam(), peers: peers_of(n) };
        let (gather, gathered) = watch::channel(Some(Arc::new(gathering)));
        let (other_rooms, told) = watch::channel(OtherRooms::default());
        let (newest, recorded) = watch::channel(Seq::default());
        let (filters, followed) = watch::channel(vec![]);
        let arrivals = polling.follow(followed, gossip::WAITING);
        let connected = Connected { link: near.link.clone(), filters, arrivals };
        let party = Party { device: device(n), key: key(n), layout: Layout::new(disk.path()) };
        let ends = Ends { events: open(), gathering: gathered, other_rooms };
        let mut tasks = JoinSet::new();
        tasks.spawn(polling.run(std::future::pending()));
        tasks.spawn(Gossip::new(party, ends, recorded, connected, Arc::new(Late)).run());
        Door { disk, store, newest, told, tasks, near, _gather: gather }
    }

    fn fresh(&self, n: u8) -> Door {
        self.start(n, tempfile::tempdir().expect("a folder"))
    }
}

struct Door {
    disk: TempDir,
    store: Mutex<EventStore>,
    newest: watch::Sender<Seq>,
    told: watch::Receiver<OtherRooms>,
    tasks: JoinSet<()>,
    near: Uplink,
    _gather: watch::Sender<Option<Arc<Gathering>>>,
}

fn student(n: u8) -> StudentId {
    StudentId::new(format!("N{n}")).expect("valid")
}

fn find(rooms: &OtherRooms, n: u8) -> Option<String> {
    rooms.find(&exam().id, Some(&student(n)), []).map(|found| found.room.to_string())
}

impl Door {
    fn record(&self, event: &Event) {
        let recorded = self.store.lock().expect("whole").record(event).expect("recorded");
        self.newest.send_replace(recorded.seq);
    }

    fn admit(&self, number: u64, n: u8) {
        self.record(&verified(number, "MATH", Some(n), Decision::Admit));
    }

    /// Waits until it knows that student `n` is in this room, or in none.
    async fn knows(&mut self, n: u8, room: Option<&str>) {
        let is = |rooms: &OtherRooms| find(rooms, n).as_deref() == room;
        soon(&format!("N{n} is known in {room:?}"), self.told.wait_for(is)).await.expect("the driver runs");
    }

    /// The line, to say by hand what the box itself would never say.
    async fn line(&mut self) -> Line {
        let up = soon("the line", self.near.link.wait_for(|link| matches!(link, Link::Up(_)))).await;
        match &*up.expect("the line runs") {
            Link::Up(line) => line.clone(),
            Link::Connecting { .. } | Link::Down { .. } | Link::Closed => unreachable!("waited for it"),
        }
    }

    /// Ends as a power cut ends it.
    async fn kill(mut self) -> TempDir {
        self.tasks.shutdown().await;
        self.disk
    }
}

fn page(n: u8, page: u32, made: i64, students: impl IntoIterator<Item = u8>) -> AdmittedPage {
    let row = |n| AdmittedRow { at: Some(at(5)), who: vec![peers_of(1).key.student(&student(n))] };
    let rows = students.into_iter().map(row).collect();
    AdmittedPage { exam: exam().id, device: device(n), page, made: at(made), rows }
}

async fn say(line: &Line, n: u8, number: u32, bytes: Vec<u8>) {
    let topic = admitted_of(&exam().id, &device(n), number);
    // The line has room again as soon as the broker has answered.
    while line.try_retain_for(topic.clone(), bytes.clone(), AN_HOUR).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ruling(number: u64, n: u8, verdict: Verdict) -> Event {
    let mut event = verified(number, "MATH", Some(n), Decision::Admit);
    event.kind = EventKind::Ruling(Ruling {
        exam: exam().id,
        student: student(n),
        card: CardPseudonym::from_bytes([n; 32]),
        proctor: ProctorId::new("okafor").expect("valid"),
        verdict,
        ground: verdict.grounds()[0],
        note: None,
        answer: None,
    });
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn admissions_and_what_is_taken_back_are_heard_also_by_who_comes_later_and_after_the_broker_forgot() {
    let mut world = World::new();
    let (one, mut two) = (world.fresh(1), world.fresh(2));
    one.admit(1, 10);
    two.knows(10, Some("R-1")).await;
    assert_eq!(
        two.told.borrow().find(&exam().id, None, [&CardPseudonym::from_bytes([10; 32])]).map(|found| found.at),
        Some(at(1)),
        "by the card as well"
    );
    // By a proctor, who takes it back.
    one.record(&ruling(2, 11, Verdict::Admit));
    two.knows(11, Some("R-1")).await;
    let mut undo = verified(3, "MATH", None, Decision::Admit);
    let ruling = EventId(Uuid::from_u128(2));
    undo.kind = EventKind::Undo(Undo { exam: exam().id, proctor: ProctorId::new("okafor").expect("valid"), ruling });
    one.record(&undo);
    two.knows(11, None).await;

    let mut three = world.fresh(3);
    three.knows(10, Some("R-1")).await;
    // The broker is gone: one goes on alone. It comes back without a memory, and both hear what happened meanwhile.
    world.broker.kill9().expect("killed");
    one.admit(4, 12);
    world.broker.restart(true).expect("it starts again");
    two.knows(12, Some("R-1")).await;
    let mut four = world.fresh(4);
    four.knows(12, Some("R-1")).await;
    four.knows(10, Some("R-1")).await;

    // A box that was killed knows it from its disk, without the broker.
    let disk = two.kill().await;
    world.broker.kill9().expect("killed");
    let mut two = world.start(2, disk);
    two.knows(12, Some("R-1")).await;
    assert_eq!(find(&two.told.borrow(), 11), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_writes_under_its_own_name_only_and_what_is_forged_old_or_foreign_counts_for_nothing() {
    let world = World::new();
    let (mut one, two, mut rogue) = (world.fresh(1), world.fresh(2), world.fresh(3));
    two.admit(1, 20);
    one.knows(20, Some("R-2")).await;
    let line = rogue.line().await;
    // A page that box 2 truly signed, under the rogue's own topic; another box's signature; a key of the rogue's under another name, which
    // the broker holds back; another exam; nonsense; a page from the future.
    let stolen = page(2, 0, 500, [30]).encode(&key(2));
    let other_exam = AdmittedPage { exam: ExamId::new("BIO").expect("valid"), ..page(3, 0, 500, [30]) };
    say(&line, 3, 0, stolen.clone()).await;
    say(&line, 3, 0, page(3, 0, 500, [30]).encode(&key(2))).await;
    say(&line, 2, 0, page(2, 0, 500, [30]).encode(&key(3))).await;
    say(&line, 2, 0, stolen).await;
    say(&line, 3, 0, other_exam.encode(&key(3))).await;
    say(&line, 3, 0, b"nonsense".to_vec()).await;
    say(&line, 3, 0, page(3, 0, 600 + 400, [30]).encode(&key(3))).await;
    // In order behind them, one that counts; then an older one, and one that counts again.
    say(&line, 3, 0, page(3, 0, 500, [31]).encode(&key(3))).await;
    one.knows(31, Some("R-3")).await;
    say(&line, 3, 0, page(3, 0, 499, [30, 31]).encode(&key(3))).await;
    say(&line, 3, 1, page(3, 1, 500, [32]).encode(&key(3))).await;
    one.knows(32, Some("R-3")).await;
    assert_eq!(find(&one.told.borrow(), 30), None);
    assert_eq!(find(&one.told.borrow(), 20).as_deref(), Some("R-2"), "what box 2 said stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rogue_box_that_claims_a_class_is_not_believed_and_the_others_are() {
    let mut world = World::new();
    let (mut one, two, mut rogue) = (world.fresh(1), world.fresh(2), world.fresh(3));
    two.admit(1, 20);
    one.knows(20, Some("R-2")).await;
    let line = rogue.line().await;
    say(&line, 3, 0, page(3, 0, 100, 100..132).encode(&key(3))).await;
    one.knows(100, Some("R-3")).await;
    // 40 sit there: 70 are allowed, and these would be 96.
    say(&line, 3, 1, page(3, 1, 100, 132..164).encode(&key(3))).await;
    say(&line, 3, 2, page(3, 2, 100, 164..196).encode(&key(3))).await;
    one.knows(100, None).await;
    say(&line, 3, 0, page(3, 0, 200, [101]).encode(&key(3))).await;
    two.admit(2, 21);
    one.knows(21, Some("R-2")).await;
    assert_eq!((find(&one.told.borrow(), 101), find(&one.told.borrow(), 20).as_deref()), (None, Some("R-2")));
    // Its pages are gone from the disk, and those of the others are known after a start without the broker.
    let disk = one.kill().await;
    let left = std::fs::read_dir(Layout::new(disk.path()).admitted(&exam().id)).expect("a folder").count();
    assert_eq!(left, 1, "box 2's page");
    world.broker.kill9().expect("killed");
    let mut one = world.start(1, disk);
    one.knows(21, Some("R-2")).await;
    assert_eq!(find(&one.told.borrow(), 140), None);
}
