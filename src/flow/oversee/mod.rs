//! Answers the proctor's console out of roster and events, and puts what proctors do on disk.
//!
//! Events are read once and kept as what they mean; a new one is read when it comes.

mod history;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    mpsc::{SyncSender, TrySendError},
};

use history::History;
use tokio::sync::{oneshot, watch};

use super::{By, Submitted, verify::new_event_id};
use crate::{
    domain::{
        Access, Event, EventId, EventKind, Exam, ExamId, Proctor, ProctorId, RoomId, RosterEntry, Ruling, Undo,
        Whereabouts,
    },
    edge::{
        clock::Clock,
        console::{Board, Call, Mark, Office, OfficeError, Person, Proctorship, Status, WrongPins},
    },
    store::{Editions, EventError, EventStore, proctor_mark},
};

/// Students found at a time.
const FOUND: usize = 20;

/// What the console asks about, and where it puts what proctors do.
pub struct Oversee {
    /// The room whose door the box guards.
    pub room: RoomId,
    /// The edition of the roster that the door is served by.
    pub in_force: watch::Receiver<Exam>,
    /// Names the moment of a ruling.
    pub clock: Arc<dyn Clock>,
    records: Mutex<Records>,
    /// One proctor's event at a time: the session always finds room in the queue.
    events: Mutex<SyncSender<Submitted>>,
    status: Box<dyn Fn() -> Status + Send + Sync>,
}

struct Records {
    roster: Editions,
    events: EventStore,
    history: History,
}

impl Oversee {
    /// Reads `roster` and `events`, to read only; what proctors do goes to `submit`. `status` says how the box's parts are.
    #[must_use]
    pub fn new(
        (room, in_force): (RoomId, watch::Receiver<Exam>),
        clock: Arc<dyn Clock>,
        roster: Editions,
        events: EventStore,
        submit: SyncSender<Submitted>,
        status: Box<dyn Fn() -> Status + Send + Sync>,
    ) -> Self {
        let records = Mutex::new(Records { roster, events, history: History::default() });
        Self { room, in_force, clock, records, events: Mutex::new(submit), status }
    }

    fn locked(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records, with every event that is on disk, and with the edition of the roster that the door is served by.
    fn records(&self) -> Result<MutexGuard<'_, Records>, OfficeError> {
        let mut records = self.locked();
        let Records { roster, events, history } = &mut *records;
        if self.in_force.borrow().version > roster.view().exam().version {
            // The door has found it whole.
            roster.refresh().map_err(store)?;
        }
        history.catch_up(events, &roster.view().exam().id).map_err(store)?;
        Ok(records)
    }

    /// The exam, which no edition changes.
    fn exam(&self) -> ExamId {
        self.in_force.borrow().id.clone()
    }

    /// Puts an event on disk, and waits until it is there.
    fn record(&self, kind: EventKind) -> Result<(), OfficeError> {
        let (wall, clock) = (self.clock.wall(), self.clock.trust());
        let event = Event { id: new_event_id(&*self.clock), at: wall, clock, room: self.room.clone(), kind };
        let submit = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (tell, told) = oneshot::channel();
        submit.try_send(Submitted { event, by: By::Proctor(tell) }).map_err(|refused| match refused {
            TrySendError::Full(_) => OfficeError::Late,
            TrySendError::Disconnected(_) => store(RecorderGone),
        })?;
        match told.blocking_recv() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(EventError::NotUndoable { source, .. })) => Err(source.into()),
            Ok(Err(error)) => Err(store(error)),
            Err(_) => Err(store(RecorderGone)),
        }
    }
}

/// The box is shutting down.
#[derive(Debug, thiserror::Error)]
#[error("nobody records events any more")]
struct RecorderGone;

fn store(error: impl std::error::Error + Send + Sync + 'static) -> OfficeError {
    OfficeError::Store(Box::new(error))
}

impl Records {
    fn entries(&self) -> Result<Vec<RosterEntry>, OfficeError> {
        self.roster.view().roster().entries().map_err(store)
    }

    fn person(&self, entry: &RosterEntry, room: &RoomId) -> Person {
        Person {
            student: entry.student.id.as_str().into(),
            name: entry.student.given_name.clone(),
            whereabouts: self.history.whereabouts(&entry.student.id),
            here: entry.room == *room,
        }
    }
}

impl Office for Oversee {
    fn board(&self) -> Result<Board, OfficeError> {
        let records = self.records()?;
        let entries = records.entries()?;
        let names: Vec<Proctor> = records.roster.live().proctors().map_err(store)?;
        let exam = records.roster.view().exam();
        let mut people: Vec<Person> = entries.iter().map(|entry| records.person(entry, &self.room)).collect();
        let listed = records.history.entries(&people, &names, self.clock.wall());
        // Whoever sits elsewhere is not missed here; if they were let in by a proctor they are here all the same.
        people.retain(|person| person.here || person.whereabouts == Whereabouts::Inside);
        people.sort_by(|a, b| (a.name.to_lowercase(), &a.student).cmp(&(b.name.to_lowercase(), &b.student)));
        Ok(Board {
            exam: exam.title.clone(),
            room: self.room.to_string(),
            opens: exam.window.opens.as_millisecond(),
            closes: exam.window.closes.as_millisecond(),
            entries: listed,
            people,
        })
    }

    fn search(&self, text: &str) -> Result<Vec<Person>, OfficeError> {
        let wanted = text.trim().to_lowercase();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let records = self.records()?;
        let found = records.entries()?.into_iter().filter(|entry| {
            entry.student.given_name.to_lowercase().contains(&wanted)
                || entry.student.id.as_str().to_lowercase().contains(&wanted)
        });
        Ok(found.take(FOUND).map(|entry| records.person(&entry, &self.room)).collect())
    }

    fn check_pin(&self, proctor: &ProctorId, pin: &str) -> Result<Option<Proctorship>, OfficeError> {
        // Out of the lock before the hash is worked at.
        let found = self.locked().roster.live().proctor(proctor).map_err(store)?;
        let found = found.filter(|(_, hash)| hash.matches(pin));
        Ok(found.map(|(proctor, hash)| {
            let mark = Mark(proctor_mark(&proctor, &hash));
            Proctorship { name: proctor.name, mark }
        }))
    }

    fn mark(&self, proctor: &ProctorId) -> Result<Option<Mark>, OfficeError> {
        let found = self.locked().roster.live().proctor(proctor).map_err(store)?;
        Ok(found.map(|(proctor, hash)| Mark(proctor_mark(&proctor, &hash))))
    }

    fn rule(&self, by: &ProctorId, call: Call) -> Result<(), OfficeError> {
        let entry = self.records()?.entries()?.into_iter().find(|entry| entry.student.id == call.student);
        let entry = entry.ok_or(OfficeError::NoStudent)?;
        let ruling = Ruling {
            exam: self.exam(),
            student: call.student,
            card: entry.card,
            proctor: by.clone(),
            verdict: call.verdict,
            ground: call.ground,
            note: call.note,
            answer: call.answer,
        };
        ruling.check()?;
        self.record(EventKind::Ruling(ruling))
    }

    fn undo(&self, by: &ProctorId, ruling: EventId) -> Result<(), OfficeError> {
        self.record(EventKind::Undo(Undo { exam: self.exam(), proctor: by.clone(), ruling }))
    }

    fn note(&self, access: Access) -> Result<(), OfficeError> {
        self.record(EventKind::Access(access))
    }

    fn wrong_pins(&self) -> Result<Vec<WrongPins>, OfficeError> {
        Ok(self.records()?.history.wrong_pins())
    }

    fn status(&self) -> Status {
        let mut status = (self.status)();
        match self.records() {
            Ok(records) => {
                status.counters = records.history.counters();
                status.access = records.history.access();
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the console cannot read the events");
            }
        }
        status
    }
}

#[cfg(test)]
mod tests;
