//! A morning as proctors see it and change it, over real stores and the real recorder.

use std::{
    sync::{Arc, mpsc::sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::*;
use crate::{
    domain::{
        AccessStep, CardPseudonym, ClockTrust, Decision, DeviceId, Epoch, ExamId, ExamWindow, Ground, MonoTime,
        NotUndoable, OtherRoom, PepperCheck, Reason, Roster, RosterVersion, Seat, Seq, Student, StudentId, Timestamp,
        Unfounded, Verdict, sample::verified,
    },
    edge::console::{EntryStyle, What, Why},
    flow::{Happened, Record, telemetry::Noting},
    store::{Key, KeyFolder, KeyName, Layout, Limits, Pin, RosterStore},
};

/// A clock that a test sets.
struct Hand(Mutex<Timestamp>);

impl Clock for Hand {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn trust(&self) -> ClockTrust {
        ClockTrust::Synchronised
    }
}

struct Morning {
    _folder: tempfile::TempDir,
    /// As the office has it, to write to.
    roster: RosterStore,
    in_force: watch::Sender<Option<Exam>>,
    oversee: Oversee,
    submit: SyncSender<Submitted>,
    clock: Arc<Hand>,
    happened: std::sync::mpsc::Receiver<Happened>,
    recorder: JoinHandle<()>,
    exam: ExamId,
}

fn id(n: u32) -> StudentId {
    StudentId::new(format!("N{n}")).unwrap()
}

fn okafor() -> ProctorId {
    ProctorId::new("okafor").unwrap()
}

fn call(n: u32, verdict: Verdict) -> Call {
    Call { student: id(n), verdict, ground: verdict.grounds()[0], note: None, answer: None }
}

impl Morning {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::from_bytes([7; 32]);
        let exam = Exam {
            id: ExamId::new("A").unwrap(),
            title: "Linear Algebra".into(),
            window: ExamWindow { opens: Timestamp::UNIX_EPOCH, closes: Timestamp::MAX },
            version: RosterVersion(1),
        };
        let room = RoomId::new("S207").unwrap();
        let entry = |n: u32, name: &str, room: &str| {
            let card = CardPseudonym::from_bytes([u8::try_from(n).unwrap(); 32]);
            RosterEntry::new(Student::new(id(n), name), card, RoomId::new(room).unwrap())
        };
        let entries = [entry(1, "Zoë", "S207"), entry(2, "Ada", "S207"), entry(3, "Kim", "S300")];
        let (layout, keys) = (Layout::new(folder.path()), KeyFolder::new(folder.path().join("keys"), None));
        layout.make().unwrap();
        keys.provision().unwrap();
        let its_key = keys.make(KeyName::Exam(&exam.id)).unwrap();
        let mut roster = RosterStore::create(&layout.exam(&exam.id), &its_key).unwrap();
        let entries = entries.into_iter().map(|entry| (entry, Vec::new())).collect();
        roster.replace(&Roster { exam: exam.clone(), entries }).unwrap();
        let okafor = Proctor { id: okafor(), name: "A. Okafor".into(), card: CardPseudonym::from_bytes([99; 32]) };
        roster.set_proctor(&okafor, &Pin::new("481516").unwrap().hash().unwrap()).unwrap();

        let open = || {
            let limits = Limits { reserve: 128 << 10, ..Limits::default() };
            EventStore::open(
                &folder.path().join("events.db"),
                &key,
                &DeviceId::new("door-1").unwrap(),
                Epoch(Uuid::from_u128(1)),
                limits,
            )
            .unwrap()
        };
        let (submit, events) = sync_channel(4);
        let (tell, happened) = sync_channel(16);
        let (store, recorded) = (open(), Arc::new(Notify::new()));
        let record = Record {
            store,
            events,
            happened: tell,
            recorded,
            newest: watch::Sender::default(),
            noting: Noting::default(),
            alive: Box::new(|| ()),
        };
        let recorder = std::thread::spawn(move || record.run());
        let clock = Arc::new(Hand(Mutex::new(Timestamp::from_second(1_800_000_000).unwrap())));
        let reading = Arc::clone(&clock) as Arc<dyn Clock>;
        let id = exam.id.clone();
        let shelf = Shelf { layout, keys, pepper: PepperCheck::from_bytes([1; 16]) };
        let (in_force, edition) = watch::channel(Some(exam));
        let oversee = Oversee::new((room, edition), reading, shelf, open(), submit.clone(), Box::new(Status::default));
        Self { _folder: folder, roster, in_force, oversee, submit, clock, happened, recorder, exam: id }
    }

    fn pass(&self, seconds: i64) {
        let mut now = self.clock.0.lock().unwrap();
        *now += Duration::from_secs(u64::try_from(seconds).unwrap());
    }

    /// The box answers somebody's tap.
    fn tap(&self, n: u32, decision: Decision) -> EventId {
        self.tap_after(n, decision, None)
    }

    /// The box answers the tap of somebody whom another box let in.
    fn tap_after(&self, n: u32, decision: Decision, other_room: Option<OtherRoom>) -> EventId {
        let student = (n > 0).then(|| u8::try_from(n).unwrap());
        let mut event = Event {
            id: new_event_id(&*self.clock),
            at: self.clock.wall(),
            room: self.oversee.room.clone(),
            ..verified(0, self.exam.as_str(), student, decision)
        };
        if let EventKind::Verification(verification) = &mut event.kind {
            verification.other_room = other_room;
        }
        let name = event.id;
        self.submit.send(Submitted { event, by: By::Session }).unwrap();
        assert!(matches!(self.happened.recv().unwrap(), Happened::Recorded(recorded) if recorded == name));
        name
    }

    /// What is on the list, newest first, and whether it can be undone.
    fn list(&self) -> Vec<(What, bool)> {
        let board = self.oversee.board().unwrap();
        board.entries.iter().map(|entry| (entry.what, entry.undo.is_some())).collect()
    }

    /// Names and where they are, in the board's order.
    fn people(&self) -> Vec<(String, Whereabouts)> {
        let board = self.oversee.board().unwrap();
        board.people.into_iter().map(|person| (person.name, person.whereabouts)).collect()
    }

    fn end(self) {
        let Self { oversee, submit, recorder, .. } = self;
        drop((oversee, submit));
        recorder.join().unwrap();
    }
}

#[test]
fn a_proctor_overrules_and_takes_it_back() {
    use Whereabouts::{Inside, Outside, TurnedAway};
    let morning = Morning::new();
    let named = |ada, zoe| vec![("Ada".to_owned(), ada), ("Zoë".to_owned(), zoe)];
    assert_eq!(morning.people(), named(Outside, Outside), "by name; who sits elsewhere is not missed here");
    let answer = morning.tap(1, Decision::Refer(Reason::NoFace));
    morning.tap(0, Decision::Deny(Reason::CardUnknown));
    let asked = Call { answer: Some(answer), ..call(1, Verdict::Admit) };
    morning.oversee.rule(&okafor(), asked).unwrap();
    assert_eq!(morning.people(), named(Outside, Inside));
    assert_eq!(morning.list(), [(What::AdmittedByProctor, true), (What::NotAdmitted, false), (What::ForYou, false)]);
    let entry = morning.oversee.board().unwrap().entries.remove(0);
    assert_eq!((entry.by.as_deref(), entry.why), (Some("A. Okafor"), Why::Ground(Ground::IdChecked)));

    morning.oversee.undo(&okafor(), entry.id).unwrap();
    assert_eq!(morning.people(), named(Outside, Outside));
    assert_eq!(morning.list()[0], (What::TakenBack, false));
    let again = morning.oversee.undo(&okafor(), entry.id);
    assert!(matches!(again, Err(OfficeError::NotUndoable(NotUndoable::Already))), "{again:?}");

    morning.oversee.rule(&okafor(), call(2, Verdict::Refuse)).unwrap();
    assert_eq!(morning.people(), named(TurnedAway, Outside));
    morning.pass(61);
    assert_eq!(morning.list()[0], (What::AskedToWait, false), "a minute has passed");
    let refusal = morning.oversee.board().unwrap().entries[0].id;
    let late = morning.oversee.undo(&okafor(), refusal);
    assert!(matches!(late, Err(OfficeError::NotUndoable(NotUndoable::TooLate))), "{late:?}");
    morning.oversee.rule(&okafor(), call(2, Verdict::AdmitByHand)).unwrap();
    morning.oversee.rule(&okafor(), call(3, Verdict::Admit)).unwrap();
    assert_eq!(morning.people().len(), 3, "somebody from another room was let in");
    assert_eq!(morning.oversee.board().unwrap().entries[0].look, EntryStyle::Admitted);
    morning.end();
}

#[test]
fn a_proctor_sees_both_names_and_the_seat_and_finds_a_student_by_either() {
    let mut morning = Morning::new();
    let mut edition = morning.in_force.borrow().clone().unwrap();
    edition.version = RosterVersion(2);
    let mut entry = RosterEntry::new(
        Student::new(id(1), "Zofia"),
        CardPseudonym::from_bytes([1; 32]),
        RoomId::new("S207").unwrap(),
    );
    entry.student.preferred_name = Some("Zoë".into());
    entry.seat = Some(Seat::new("42").unwrap());
    entry.look_alikes = vec![id(2), id(77)];
    let twin =
        RosterEntry::new(Student::new(id(2), "Ada"), CardPseudonym::from_bytes([2; 32]), RoomId::new("S207").unwrap());
    let entries = vec![(entry, Vec::new()), (twin, Vec::new())];
    morning.roster.replace(&Roster { exam: edition.clone(), entries }).unwrap();
    morning.in_force.send_replace(Some(edition));
    morning.tap(1, Decision::Refer(Reason::OptedOut));
    let board = morning.oversee.board().unwrap();
    let who = board.entries[0].who.clone().unwrap();
    assert_eq!((who.name.as_str(), who.official.as_deref(), who.seat.as_deref()), ("Zoë", Some("Zofia"), Some("42")));
    assert_eq!(board.entries[0].why, Why::Reason(Reason::OptedOut));
    assert_eq!(who.alike, ["Ada (N2)", "N77"], "by name where this box knows it");
    for text in ["zoë", "zof", "N1"] {
        assert_eq!(morning.oversee.search(text).unwrap().len(), 1, "{text}");
    }
    morning.end();
}

#[test]
fn what_makes_no_sense_is_not_recorded() {
    let morning = Morning::new();
    let odd = Call { ground: Ground::LeftRoom, ..call(1, Verdict::Admit) };
    let refused = morning.oversee.rule(&okafor(), odd);
    assert!(matches!(refused, Err(OfficeError::Unfounded(Unfounded::Ground))), "{refused:?}");
    let refused = morning.oversee.rule(&okafor(), call(9, Verdict::Admit));
    assert!(matches!(refused, Err(OfficeError::NoStudent)), "{refused:?}");
    assert!(morning.list().is_empty());
    assert!(morning.oversee.records().unwrap().events.ends().unwrap().last == Seq(0));
    morning.end();
}

#[test]
fn a_proctor_reads_in_which_room_a_student_was_let_in_and_when_and_may_admit_them() {
    let morning = Morning::new();
    let already = Decision::Refer(Reason::AlreadyAdmitted);
    let (room, at) = (RoomId::new("S301").unwrap(), Timestamp::from_second(1_799_999_940).unwrap());
    morning.tap_after(1, already, Some(OtherRoom { room: room.clone(), at }));
    morning.tap_after(0, already, Some(OtherRoom { room, at }));
    let told: Vec<_> = morning
        .oversee
        .board()
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| (entry.what, entry.why, entry.other_room, entry.who.is_some()))
        .collect();
    let there = || Some(("S301".to_owned(), 1_799_999_940_000));
    let of = |is_known| (What::ForYou, Why::OtherRoom, there(), is_known);
    assert_eq!(told, [of(false), of(true)], "also of a card that is on no roster here");
    morning.tap(2, already);
    let entry = morning.oversee.board().unwrap().entries.swap_remove(0);
    assert_eq!((entry.why, entry.other_room), (Why::Reason(Reason::AlreadyAdmitted), None), "let in here");
    morning.oversee.rule(&okafor(), call(1, Verdict::Admit)).unwrap();
    assert_eq!(morning.people(), [("Ada".into(), Whereabouts::Outside), ("Zoë".into(), Whereabouts::Inside)]);
    morning.end();
}

#[test]
fn students_are_found_and_numbers_add_up() {
    let morning = Morning::new();
    let found =
        |text: &str| morning.oversee.search(text).unwrap().into_iter().map(|person| person.name).collect::<Vec<_>>();
    assert_eq!(found("zo"), ["Zoë"]);
    assert_eq!(found(" n3 "), ["Kim"]);
    assert_eq!((found(""), found("%")), (vec![], vec![]));
    let proctorship = morning.oversee.check_pin(&okafor(), "481516").unwrap().expect("hers");
    assert_eq!(proctorship.name, "A. Okafor");
    assert_eq!(morning.oversee.mark(&okafor()).unwrap(), Some(proctorship.mark));
    assert_eq!(morning.oversee.mark(&ProctorId::new("nobody").unwrap()).unwrap(), None);
    assert_eq!(morning.oversee.check_pin(&okafor(), "481517").unwrap(), None);

    morning.tap(1, Decision::Admit);
    morning.tap(2, Decision::Deny(Reason::FaceMismatch));
    let from = "192.0.2.7".parse().unwrap();
    morning.oversee.note(Access { proctor: None, from, step: AccessStep::Refused { times: 3 } }).unwrap();
    morning.oversee.note(Access { proctor: Some(okafor()), from, step: AccessStep::SignedIn }).unwrap();
    let status = morning.oversee.status();
    let counted: Vec<_> = status.counters.iter().map(|(_, number)| *number).collect();
    assert_eq!(counted, [2, 1, 1, 0, 0, 0, 3]);
    let came: Vec<_> = status.access.into_iter().map(|visit| (visit.who, visit.from, visit.step)).collect();
    let here = || "192.0.2.7".to_owned();
    let refused = AccessStep::Refused { times: 3 };
    assert_eq!(came, [(Some("okafor".into()), here(), AccessStep::SignedIn), (None, here(), refused)]);

    // Wrong PINs count from the last sign-in on.
    assert_eq!(morning.oversee.wrong_pins().unwrap(), []);
    let brandt = ProctorId::new("brandt").unwrap();
    for proctor in [okafor(), brandt.clone(), okafor()] {
        let step = AccessStep::Refused { times: 1 };
        morning.oversee.note(Access { proctor: Some(proctor), from, step }).unwrap();
    }
    morning.oversee.note(Access { proctor: Some(brandt), from, step: AccessStep::SignedIn }).unwrap();
    let wrong = morning.oversee.wrong_pins().unwrap();
    assert_eq!(wrong, [WrongPins { proctor: okafor(), times: 2, last: morning.clock.wall() }]);
    morning.end();
}

#[test]
fn the_console_shows_the_edition_that_the_door_is_served_by() {
    let mut morning = Morning::new();
    let mut later = morning.in_force.borrow().clone().unwrap();
    (later.version, later.window.opens) = (RosterVersion(2), Timestamp::from_second(7).unwrap());
    let mut entries: Vec<_> =
        morning.oversee.records().unwrap().entries().unwrap().into_iter().map(|entry| (entry, Vec::new())).collect();
    entries.truncate(1);
    morning.roster.replace(&Roster { exam: later.clone(), entries }).unwrap();
    let shown = |morning: &Morning| {
        let board = morning.oversee.board().unwrap();
        (board.opens, board.people.len(), morning.oversee.search("a").unwrap().len())
    };
    assert_eq!(shown(&morning), (0, 2, 1), "the door is served by the first");
    morning.in_force.send_replace(Some(later));
    assert_eq!(shown(&morning), (7000, 1, 0), "then all of it is the second");
    morning.roster.remove_proctor(&okafor()).unwrap();
    assert_eq!(morning.oversee.mark(&okafor()).unwrap(), None, "proctors are of no edition");
}

#[test]
fn the_console_follows_the_door_to_another_exam_and_to_none() {
    let morning = Morning::new();
    let shelf = morning.oversee.records().unwrap().shelf.clone();
    let mut exam = morning.in_force.borrow().clone().unwrap();
    let ada =
        morning.oversee.records().unwrap().entries().unwrap().into_iter().find(|e| e.student.id == id(2)).unwrap();
    exam.id = ExamId::new("B").unwrap();
    let key = shelf.keys.make(KeyName::Exam(&exam.id)).unwrap();
    let mut other = RosterStore::create(&shelf.layout.exam(&exam.id), &key).unwrap();
    other.replace(&Roster { exam: exam.clone(), entries: vec![(ada, Vec::new())] }).unwrap();
    morning.oversee.rule(&okafor(), call(1, Verdict::AdmitByHand)).unwrap();
    let seen = |morning: &Morning| {
        let board = morning.oversee.board().unwrap();
        (board.people.len(), board.entries.len(), morning.oversee.mark(&okafor()).unwrap().is_some())
    };
    assert_eq!(seen(&morning), (2, 1, true));
    morning.in_force.send_replace(Some(exam));
    assert_eq!(seen(&morning), (1, 0, false), "neither its people nor its proctors are those of the first");
    let refused = morning.oversee.rule(&okafor(), call(1, Verdict::AdmitByHand));
    assert!(matches!(refused, Err(OfficeError::NoStudent)), "{refused:?}");
    morning.in_force.send_replace(None);
    assert_eq!(seen(&morning), (0, 0, false));
    morning.end();
}
