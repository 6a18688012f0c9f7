//! The verification beside a lookup that answers late, never, or out of another edition.

use std::sync::{Mutex, mpsc::sync_channel};

use super::*;
use crate::{
    domain::{
        ArtifactId, CardPseudonym, ClockTrust, CredentialProfile, Embedding, EmbeddingSpaceId, ExamId, ExamWindow,
        RoomId, RosterEntry, RosterVersion, Similarity, Student, StudentId, Timestamp, Verification, Whereabouts,
    },
    session::{Door, Enrolled, Policy, TemplateStock, Thresholds},
};

/// How long the exchange with the card took.
const TOOK: Option<Duration> = Some(Duration::from_millis(80));

/// A clock that the test sets.
struct Hand(Mutex<MonoTime>);

impl Clock for Hand {
    fn mono(&self) -> MonoTime {
        *self.0.lock().unwrap()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_060).unwrap()
    }

    fn trust(&self) -> ClockTrust {
        ClockTrust::Synchronised
    }
}

struct Room {
    clock: Arc<Hand>,
    tell: SyncSender<Happened>,
    asked: Receiver<LookupRequest>,
    recorded: Receiver<Submitted>,
    looks: watch::Receiver<Option<Arc<CaptureWindow>>>,
    in_force: watch::Receiver<Option<Exam>>,
    notes: Receiver<Noted>,
    verify: std::thread::JoinHandle<()>,
}

fn exam(version: u64, closes: i64) -> Exam {
    let at = |second| Timestamp::from_second(1_800_000_000 + second).unwrap();
    let window = ExamWindow { opens: at(0), closes: at(closes) };
    Exam { id: ExamId::new("A").unwrap(), title: "Algebra".into(), window, version: RosterVersion(version) }
}

fn credential() -> Credential {
    Credential { pseudonym: CardPseudonym::from_bytes([9; 32]), profile: CredentialProfile::Uid }
}

fn found(exam: Exam) -> Box<LookedUp> {
    let space = EmbeddingSpaceId::new("s");
    let embedding = Embedding::normalised(vec![1.0, 0.0]).unwrap();
    let student = Student::new(StudentId::new("N1").unwrap(), "Ada");
    let entry = RosterEntry::new(student, credential().pseudonym, RoomId::new("S207").unwrap());
    let whereabouts = Whereabouts::Outside;
    Box::new(LookedUp {
        exam: Some(exam),
        lookup: Lookup::Enrolled(Enrolled { entry, templates: TemplateStock::Usable, whereabouts }),
        history: History::default(),
        templates: vec![Template { space, artifact: ArtifactId::from_bytes([1; 32]), embedding }],
        other_room: None,
    })
}

impl Room {
    fn new() -> Self {
        let policy = Policy::with(Thresholds {
            artifact: ArtifactId::from_bytes([1; 32]),
            admit: Similarity::new(0.5),
            refer: Similarity::new(0.3),
            live: 0.6,
            sure: 0.8,
        });
        let session = Session::new(policy, Door { room: RoomId::new("S207").unwrap(), exam: Some(exam(1, 3600)) });
        let clock = Arc::new(Hand(Mutex::new(MonoTime::from_start(Duration::from_secs(100)))));
        let (tell, happened) = sync_channel(16);
        let (queries, asked) = sync_channel(1);
        let (events, recorded) = sync_channel(4);
        let (looks, wanted) = watch::channel(None);
        let (in_force, edition) = watch::channel(Some(exam(1, 3600)));
        let (noting, notes) = Noting::new();
        let acts = Acts {
            looks,
            queries,
            events,
            shown: watch::channel(Shown::new(Answer::Idle, MonoTime::default())).0,
            invitations: watch::channel(None).0,
            in_force,
            noting,
            alive: Box::new(|| {}),
        };
        let verify = Verify::new(session, Arc::clone(&clock) as Arc<dyn Clock>, acts);
        let verify = std::thread::spawn(move || verify.run(&happened));
        Self { clock, tell, asked, recorded, looks: wanted, in_force: edition, notes, verify }
    }

    /// A card is tapped; what the lookup is asked.
    fn tap(&self) -> EventId {
        self.tell.send(Happened::Tapped { read: Ok(credential()), took: TOOK }).unwrap();
        self.asked.recv().unwrap().event
    }

    fn pass(&self, seconds: u64) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.after(Duration::from_secs(seconds));
        drop(now);
        self.tell.send(Happened::Nothing).unwrap();
    }

    fn decision(&self) -> (EventId, Verification) {
        let event = self.recorded.recv().unwrap().event;
        let EventKind::Verification(verification) = event.kind else { panic!("{event:?}") };
        (event.id, verification)
    }

    fn end(self) {
        self.tell.send(Happened::Stop).unwrap();
        self.verify.join().unwrap();
    }
}

#[test]
fn a_lookup_that_does_not_answer_refers_and_its_late_answer_is_to_nobody() {
    let room = Room::new();
    let tap = room.tap();
    room.pass(3);
    let (event, verification) = room.decision();
    assert_eq!((event, verification.decision), (tap, Decision::Refer(Reason::StorageFault)));
    room.tell.send(Happened::Recorded(event)).unwrap();
    room.tell.send(Happened::LookedUp(tap, found(exam(1, 3600)))).unwrap();
    // The next tap is asked about, so the late answer was passed over.
    let next = room.tap();
    assert!(room.looks.borrow().is_none() && next != tap);
    room.end();
}

#[test]
fn how_long_lookup_and_record_took_and_what_broke_is_noted() {
    let room = Room::new();
    let tap = room.tap();
    room.pass(1);
    room.tell.send(Happened::LookedUp(tap, found(exam(1, 0)))).unwrap();
    let (event, _) = room.decision();
    room.pass(1);
    room.tell.send(Happened::Recorded(event)).unwrap();
    room.tell.send(Happened::Broke(crate::session::Fault::Reader)).unwrap();
    let Room { tell, verify, notes, .. } = room;
    tell.send(Happened::Stop).unwrap();
    verify.join().unwrap();
    let second = Duration::from_secs(1);
    let noted = [
        Noted::Took(Stage::Lookup, second),
        Noted::Took(Stage::Record, second),
        Noted::Broke(crate::session::Fault::Reader),
    ];
    assert_eq!(notes.try_iter().collect::<Vec<_>>(), noted);
}

#[test]
fn while_a_card_is_looked_up_nobody_else_is_taken() {
    let room = Room::new();
    let first = room.tap();
    for _ in 0..3 {
        room.tell.send(Happened::Tapped { read: Ok(credential()), took: TOOK }).unwrap();
    }
    room.tell.send(Happened::LookedUp(first, found(exam(1, 0)))).unwrap();
    assert_eq!(room.decision().1.decision, Decision::Deny(Reason::TooLate));
    assert!(room.asked.try_recv().is_err());
    room.end();
}

#[test]
fn a_tap_is_judged_by_the_edition_it_was_looked_up_in() {
    let mut room = Room::new();
    let tap = room.tap();
    room.tell.send(Happened::LookedUp(tap, found(exam(2, 30)))).unwrap();
    let (event, verification) = room.decision();
    assert_eq!((verification.decision, verification.roster), (Decision::Deny(Reason::TooLate), RosterVersion(2)));
    assert_eq!(verification.card_took, TOOK);
    assert_eq!(*room.in_force.borrow_and_update(), Some(exam(2, 30)), "screen and console are told");
    room.tell.send(Happened::Recorded(event)).unwrap();

    // Another one comes while a student is looked at: it waits.
    let tap = room.tap();
    room.tell.send(Happened::LookedUp(tap, found(exam(3, 3600)))).unwrap();
    room.tell.send(Happened::Roster(Some(exam(4, 7200)))).unwrap();
    room.tell.send(Happened::Broke(crate::session::Fault::Camera)).unwrap();
    let (event, verification) = room.decision();
    assert_eq!((event, verification.roster), (tap, RosterVersion(3)));
    assert_eq!(*room.in_force.borrow(), Some(exam(3, 3600)));
    room.tell.send(Happened::Recorded(event)).unwrap();
    let next = room.tap();
    assert_eq!(*room.in_force.borrow(), Some(exam(4, 7200)));
    room.tell.send(Happened::LookedUp(next, found(exam(4, 30)))).unwrap();
    room.end();
}
