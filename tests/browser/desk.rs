//! A console over real stores and the real recorder: an exam morning without a door.
//!
//! Answers of the box are put on record by hand.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use examgate::{
    domain::{
        CardPseudonym, ClockTrust, Decision, DeviceId, Epoch, Event, EventId, EventKind, Exam, ExamId, ExamWindow,
        Invitation, Liveness, Measured, MonoTime, PepperCheck, Proctor, ProctorId, RoomId, Roster, RosterEntry,
        RosterVersion, Seq, SignInCode, Similarity, Student, StudentId, Timestamp, Verification,
    },
    edge::{
        clock::{Clock, ScriptedClock},
        console::{Console, Identity, Limits, Line, Office, PartStatus, Status},
    },
    flow::{By, Happened, Oversee, Record, Shelf, Submitted, telemetry::Noting},
    rig::certificates::{Authority, Validity},
    serve::Bounds,
    store::{EventStore, Key, KeyFolder, KeyName, Layout, Limits as Space, Pin, RosterStore},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use uuid::Uuid;

/// The proctor's.
pub(crate) const PIN: &str = "481516";

fn okafor() -> ProctorId {
    ProctorId::new("okafor").expect("valid")
}

/// Given names of the students, numbered from 1.
pub(crate) const NAMES: [&str; 12] = [
    "Noah",
    "Clara",
    "Barack",
    "Adam",
    "Zoë",
    "Maximiliane Aurelia",
    "小明",
    "Óscar",
    "</script><img src=x onerror=alert(1)>",
    "Priya",
    "Fatima",
    "Joe",
];

/// The console and what is behind it.
pub(crate) struct Desk {
    pub(crate) url: String,
    /// PEM.
    pub(crate) certificate: String,
    clock: Arc<ScriptedClock>,
    submit: SyncSender<Submitted>,
    happened: Receiver<Happened>,
    invitations: watch::Sender<Option<(Invitation, MonoTime)>>,
    next: u128,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

fn id(n: usize) -> StudentId {
    StudentId::new(format!("N{:08}", 10_000_000 + n)).expect("valid")
}

fn exam() -> Exam {
    let at = |text: &str| text.parse().expect("a constant time");
    Exam {
        id: ExamId::new("MATH-UA-120-final").expect("valid"),
        title: "Linear Algebra, final".into(),
        window: ExamWindow { opens: at("2026-12-14T13:30:00Z"), closes: at("2026-12-14T14:15:00Z") },
        version: RosterVersion(1),
    }
}

fn room() -> RoomId {
    RoomId::new("SILVER-207").expect("valid")
}

/// How a box may be.
fn status() -> Status {
    let finding = |part: &str, state, found: &str| PartStatus { part: part.into(), state, found: found.into() };
    let line = |minute: i64, text: &str| Line { at: 1_797_255_000_000 + minute * 60_000, text: text.into() };
    Status {
        findings: vec![
            finding("clock", "well", "kept by a time server"),
            finding("camera", "unwell", "the camera is gone; plug it in"),
            finding("broker", "impaired", "no link to the broker: events wait in the outbox"),
        ],
        faults: vec![line(4, "no card can be read · error no card reader is attached")],
        log: (0..5).map(|n| line(n, "decided · decision refer · reason no_face")).collect(),
        ..Status::default()
    }
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = Key::from_bytes([7; 32]);
        let (layout, keys) = (Layout::new(folder.path()), KeyFolder::new(folder.path().join("keys"), None));
        layout.make().expect("folders");
        keys.provision().expect("a root key");
        let its_key = keys.make(KeyName::Exam(&exam().id)).expect("a key");
        let mut roster = RosterStore::create(&layout.exam(&exam().id), &its_key).expect("a roster");
        let entries = NAMES.iter().enumerate().map(|(n, name)| {
            let card = CardPseudonym::from_bytes([u8::try_from(n).expect("few"); 32]);
            let room = if n == 11 { RoomId::new("SILVER-300").expect("valid") } else { room() };
            let entry = RosterEntry::new(Student::new(id(n + 1), *name), card, room);
            (entry, Vec::new())
        });
        roster.replace(&Roster { exam: exam(), entries: entries.collect() }).expect("it is written");
        let card = CardPseudonym::from_bytes([99; 32]);
        let proctor = Proctor { id: okafor(), name: "A. Okafor".into(), card };
        let pin = Pin::new(PIN).expect("a PIN").hash().expect("random numbers");
        roster.set_proctor(&proctor, &pin).expect("it is written");
        let open = || {
            let space = Space { reserve: 128 << 10, ..Space::default() };
            EventStore::open(
                &folder.path().join("events.db"),
                &key,
                &DeviceId::new("door-1").expect("valid"),
                Epoch(Uuid::from_u128(1)),
                space,
            )
            .expect("a store")
        };
        let (submit, events) = sync_channel(4);
        let (tell, happened) = sync_channel(64);
        let (newest, changes) = watch::channel(Seq::default());
        let (store, recorded) = (open(), Arc::new(Notify::new()));
        let record = Record {
            store,
            events,
            happened: tell,
            recorded,
            newest,
            noting: Noting::default(),
            alive: Box::new(|| ()),
        };
        std::thread::spawn(move || record.run());
        let start: Timestamp = "2026-12-14T13:40:00Z".parse().expect("a constant time");
        let clock = Arc::new(ScriptedClock::starting_at(start));
        let reading = Arc::clone(&clock) as Arc<dyn Clock>;
        let place = (room(), watch::channel(Some(exam())).1);
        let shelf = Shelf { layout, keys, pepper: PepperCheck::from_bytes([1; 16]) };
        let oversee = Oversee::new(place, Arc::clone(&reading), shelf, open(), submit.clone(), Box::new(status));
        let issued = Authority::new().broker(Validity::Good);
        let identity =
            Identity { certificate: issued.certificate.clone().into_bytes(), key: issued.key.into_bytes().into() };
        let (invitations, invited) = watch::channel(None);
        let office = Arc::new(oversee) as Arc<dyn Office>;
        let any = "127.0.0.1:0".parse().expect("an address");
        let bounds = Bounds { connections: 200, per_address: 100, ..Limits::default().bounds };
        let limits = Limits { bounds, ..Limits::default() };
        let console =
            Console::listen(any, &identity, limits, office, invited, changes, reading).await.expect("it listens");
        let url = format!("https://localhost:{}/", console.address().expect("it has one").port());
        let mut tasks = JoinSet::new();
        tasks.spawn(console.run());
        Self {
            url,
            certificate: issued.certificate,
            clock,
            submit,
            happened,
            invitations,
            next: 0,
            _tasks: tasks,
            _folder: folder,
        }
    }

    /// A proctor taps; the box shows this code.
    pub(crate) fn tap(&self, code: u64) -> String {
        let code = SignInCode::from_random(code);
        let digits = code.digits().to_owned();
        self.invitations.send_replace(Some((Invitation { proctor: okafor(), code }, self.clock.mono())));
        digits
    }

    /// The box answers a student's tap; 0 is nobody it knows.
    pub(crate) fn answer(&mut self, n: usize, decision: Decision) {
        self.next += 1;
        let measured = Measured {
            similarity: None,
            threshold: Similarity::new(0.4),
            liveness: Liveness::NotAssessed,
            artifact: None,
            frames_used: 0,
            attempts: 1,
            worst: None,
            since_tap: Duration::ZERO,
            since_first_usable_frame: None,
        };
        let event = Event {
            id: EventId(Uuid::from_u128(self.next)),
            at: self.clock.wall(),
            clock: ClockTrust::Synchronised,
            room: room(),
            kind: EventKind::Verification(Verification {
                exam: exam().id,
                roster: RosterVersion(1),
                card: None,
                profile: None,
                student: (n > 0).then(|| id(n)),
                decision,
                measured,
                card_took: None,
                other_room: None,
            }),
        };
        self.submit.send(Submitted { event, by: By::Session }).expect("the recorder runs");
        assert!(matches!(self.happened.recv(), Ok(Happened::Recorded(_))));
    }
}
