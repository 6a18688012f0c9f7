//! Commands on their way through a box without a broker: what is done, what is recorded, what is answered.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
};

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    domain::{ClockTrust, Epoch, MonoTime, Right, Seq, Timestamp},
    flow::{Happened, Record, telemetry::Noting, trust::FleetKeys},
    store::{DrainMark, EventStore, Key, Layout, Limits},
};

/// A clock that stands.
struct Standing(ClockTrust);

impl Clock for Standing {
    fn mono(&self) -> MonoTime {
        MonoTime::from_start(Duration::from_secs(1000))
    }

    fn wall(&self) -> Timestamp {
        at(10)
    }

    fn trust(&self) -> ClockTrust {
        self.0
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_797_000_000 + second).unwrap()
}

fn manager() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn help_desk() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

fn device() -> DeviceId {
    DeviceId::new("door-1").unwrap()
}

/// A box whose parts answer, with its events on disk.
struct World {
    folder: TempDir,
    key: Key,
    told: Arc<std::sync::Mutex<Vec<ToDoor>>>,
    examined: Arc<AtomicUsize>,
    trust: ClockTrust,
}

impl World {
    fn new() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), Key::generate().unwrap());
        Self { folder, key, told: Arc::default(), examined: Arc::default(), trust: ClockTrust::Synchronised }
    }

    fn store(&self) -> EventStore {
        let path = self.folder.path().join("events.db");
        EventStore::open(&path, &self.key, &device(), Epoch(Uuid::from_u128(1)), Limits::default()).unwrap()
    }

    /// A box that has just started.
    fn start(&self) -> Obey {
        let (events, to_record) = sync_channel(4);
        let (happened, inbox) = sync_channel(8);
        let (store, writer_told) = (self.store(), happened.clone());
        thread::spawn(move || {
            let (newest, _) = watch::channel(Seq::default());
            let (recorded, alive) = (Arc::new(Notify::new()), Box::new(|| {}));
            Record {
                store,
                events: to_record,
                happened: writer_told,
                recorded,
                newest,
                noting: Noting::default(),
                alive,
            }
            .run();
        });
        let told = Arc::clone(&self.told);
        thread::spawn(move || {
            for happened in inbox {
                if let Happened::Told(what, heard) = happened {
                    told.lock().unwrap().push(what);
                    heard.send(false).unwrap();
                }
            }
        });
        let examined = Arc::clone(&self.examined);
        let doctor = move || {
            examined.fetch_add(1, Ordering::Relaxed);
            "[]".to_owned()
        };
        let commander =
            |key: SigningKey, name: &str, may| Commander { key: key.public(), name: Some(name.into()), may };
        let party = Party {
            device: device(),
            room: RoomId::new("S207").unwrap(),
            key: SigningKey::from_seed(&[3; 32]),
            fleet: FleetKeys {
                commanders: vec![
                    commander(manager(), "okafor", None),
                    commander(help_desk(), "help-desk", Some(vec![Right::Identify, Right::Doctor])),
                ],
                ..FleetKeys::default()
            }
            .unchanging(),
        };
        let deeds = Deeds {
            happened,
            drained: DrainMark::new(&Layout::new(self.folder.path())),
            doctor: Arc::new(doctor),
            rehearse: Arc::new(|| Err("camera.width = 0 is not allowed".into())),
            restart: Arc::new(Notify::new()),
            rotate: mpsc::channel(1).0,
            renew: None,
            leaves: AtomicBool::new(false),
        };
        let connected =
            Connected { link: watch::channel(Link::Connecting { after: None }).1, arrivals: mpsc::channel(1).1 };
        Obey::new(party, connected, Arc::new(Standing(self.trust)), events, deeds)
    }

    /// What is recorded: the word, whose command it was, and what came of it.
    fn recorded(&self) -> Vec<(String, Option<String>, CommandOutcome)> {
        let rows = self.store().events(Seq(0), 1000).unwrap();
        let commanded = |event: Event| match event.kind {
            EventKind::Commanded(Commanded { word, by, answer, .. }) => (word, by, answer),
            other @ (EventKind::Verification(_) | EventKind::Ruling(_) | EventKind::Undo(_) | EventKind::Access(_)) => {
                panic!("{other:?}")
            }
        };
        rows.iter().map(|row| commanded(row.event().unwrap())).collect()
    }
}

fn statement(n: u128, word: &str) -> Statement {
    let id = CommandId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | n));
    Statement { device: device(), id, issued: at(0), expires: at(60), word: word.into() }
}

/// What is answered; `None`: nothing.
async fn given(obey: &mut Obey, key: &SigningKey, statement: &Statement) -> Option<Reply> {
    let given = obey.believed(&statement.encode(key).unwrap(), None)?;
    Some(obey.obey(&given).await)
}

fn accepted(word: &str, by: &str) -> (String, Option<String>, CommandOutcome) {
    (word.into(), Some(by.into()), CommandOutcome::Accepted)
}

fn refused(word: &str, by: &str, why: CommandRefusal) -> (String, Option<String>, CommandOutcome) {
    (word.into(), Some(by.into()), CommandOutcome::Refused(why))
}

#[tokio::test]
async fn a_command_is_recorded_done_and_answered_once_also_over_a_restart() {
    let world = World::new();
    let mut obey = world.start();
    let done = given(&mut obey, &manager(), &statement(1, "drain")).await;
    assert_eq!(done, Some(Reply::Done("{\"verifying\":false}".into())));
    assert_eq!(*world.told.lock().unwrap(), [ToDoor::Drain]);
    let replayed = Some(Reply::Refused(CommandRefusal::Replayed));
    assert_eq!(given(&mut obey, &manager(), &statement(1, "drain")).await, replayed);
    // The same id for something else is no other command.
    assert_eq!(given(&mut obey, &manager(), &statement(1, "resume")).await, replayed);
    drop(obey);
    let mut obey = world.start();
    assert_eq!(given(&mut obey, &manager(), &statement(1, "drain")).await, replayed, "after a restart");
    assert_eq!(world.told.lock().unwrap().len(), 1);
    let mark = DrainMark::new(&Layout::new(world.folder.path()));
    assert!(mark.text().unwrap().is_some_and(|text| text.contains("okafor")));
    assert!(matches!(given(&mut obey, &manager(), &statement(2, "resume")).await, Some(Reply::Done(_))));
    assert_eq!(mark.text().unwrap(), None);
    let again = refused("drain", "okafor", CommandRefusal::Replayed);
    let recorded = [accepted("drain", "okafor"), again.clone(), again, accepted("resume", "okafor")];
    assert_eq!(world.recorded(), recorded, "a replay is one event until the box starts again");
}

#[tokio::test]
async fn what_is_refused_is_recorded_and_not_done() {
    let world = World::new();
    let mut obey = world.start();
    let elsewhere = Statement { device: DeviceId::new("door-2").unwrap(), ..statement(1, "drain") };
    let late = Statement { issued: at(-100), expires: at(10), ..statement(2, "drain") };
    let early = Statement { issued: at(41), ..statement(3, "drain") };
    for (statement, key, by, why) in [
        (elsewhere, manager(), "okafor", CommandRefusal::OtherDevice),
        (late, manager(), "okafor", CommandRefusal::Expired),
        (early, manager(), "okafor", CommandRefusal::FromTheFuture),
        (statement(4, "dance"), manager(), "okafor", CommandRefusal::UnknownCommand),
        (statement(5, "drain"), help_desk(), "help-desk", CommandRefusal::NotAllowed),
    ] {
        assert_eq!(given(&mut obey, &key, &statement).await, Some(Reply::Refused(why)));
        assert_eq!(world.recorded().last(), Some(&refused(&statement.word, by, why)));
    }
    let before = world.recorded().len();
    assert_eq!(given(&mut obey, &SigningKey::from_seed(&[9; 32]), &statement(6, "drain")).await, None, "forged");
    assert!(obey.believed(&[0; 5000], None).is_none() && obey.believed(b"", None).is_none());
    assert_eq!(world.recorded().len(), before, "what nobody signed is no event");
    assert!(world.told.lock().unwrap().is_empty(), "nothing was done");
    assert_eq!(given(&mut obey, &help_desk(), &statement(7, "doctor")).await, Some(Reply::Done("[]".into())));
    assert_eq!(world.examined.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_a_clock_that_is_believed_nothing_is_done() {
    let world = World { trust: ClockTrust::Untrusted, ..World::new() };
    let mut obey = world.start();
    let reply = given(&mut obey, &manager(), &statement(1, "identify")).await;
    assert_eq!(reply, Some(Reply::Refused(CommandRefusal::ClockUntrusted)));
    assert!(world.told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_done_is_recorded_too() {
    let world = World::new();
    let mut obey = world.start();
    let why = "camera.width = 0 is not allowed".to_owned();
    assert_eq!(given(&mut obey, &manager(), &statement(1, "reload")).await, Some(Reply::Failed(why.clone())));
    assert!(world.told.lock().unwrap().is_empty(), "a box that could not start again goes on");
    // Nobody makes prekeys here.
    assert!(matches!(given(&mut obey, &manager(), &statement(2, "rotate")).await, Some(Reply::Failed(_))));
    let failed = ("reload".to_owned(), Some("okafor".to_owned()), CommandOutcome::Failed(why));
    assert_eq!(world.recorded()[..2], [accepted("reload", "okafor"), failed]);
}

#[tokio::test]
async fn a_flood_of_good_signatures_becomes_few_events() {
    let world = World::new();
    let mut obey = world.start();
    let mut answered = 0;
    for _ in 0..200 {
        answered += usize::from(given(&mut obey, &manager(), &statement(1, "identify")).await.is_some());
    }
    assert_eq!(answered, 20, "the others were passed over");
    let replay = refused("identify", "okafor", CommandRefusal::Replayed);
    assert_eq!(world.recorded(), [accepted("identify", "okafor"), replay]);
}

#[tokio::test]
async fn correlation_data_is_sent_back_up_to_a_bound() {
    let world = World::new();
    let mut obey = world.start();
    let bytes = statement(1, "identify").encode(&manager()).unwrap();
    let kept = |obey: &mut Obey, length| obey.believed(&bytes, Some(vec![7; length])).unwrap().correlation;
    assert_eq!(kept(&mut obey, LONGEST_CORRELATION), Some(vec![7; LONGEST_CORRELATION]));
    assert_eq!(kept(&mut obey, LONGEST_CORRELATION + 1), None);
}
