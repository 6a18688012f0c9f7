//! Serves the proctor's console from roster and events, and records what proctors do.
//!
//! Events are read once and kept as what they mean; a new one is read when it comes.

mod history;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    mpsc::{SyncSender, TrySendError},
};

use history::History;
use tokio::sync::{oneshot, watch};

use super::{By, Shelf, Submitted, verify::new_event_id};
use crate::{
    domain::{
        Access, Event, EventId, EventKind, Exam, ExamId, Proctor, ProctorId, RoomId, RosterEntry, Ruling, StudentId,
        Undo, Whereabouts,
    },
    edge::{
        clock::Clock,
        console::{Board, Call, Mark, Office, OfficeError, Person, Proctorship, Status, WrongPins},
    },
    store::{Editions, EventError, EventStore, PinHash, proctor_mark},
};

/// Students found at a time.
const FOUND: usize = 20;

/// What the console asks about, and where it puts what proctors do.
pub struct Oversee {
    /// The room whose door the box guards.
    pub room: RoomId,
    /// The exam that the door serves, in the edition in force.
    pub in_force: watch::Receiver<Option<Exam>>,
    /// Names the moment of a ruling.
    pub clock: Arc<dyn Clock>,
    records: Mutex<Records>,
    /// One proctor's event at a time: the session always finds room in the queue.
    events: Mutex<SyncSender<Submitted>>,
    status: Box<dyn Fn() -> Status + Send + Sync>,
}

struct Records {
    shelf: Shelf,
    /// The exam that the door serves.
    roster: Option<Editions>,
    events: EventStore,
    /// Of that exam.
    history: History,
}

impl Oversee {
    /// Reads rosters of `shelf` and `events`, to read only; what proctors do goes to `submit`. `status` says how the box's parts are.
    #[must_use]
    pub fn new(
        (room, in_force): (RoomId, watch::Receiver<Option<Exam>>),
        clock: Arc<dyn Clock>,
        shelf: Shelf,
        events: EventStore,
        submit: SyncSender<Submitted>,
        status: Box<dyn Fn() -> Status + Send + Sync>,
    ) -> Self {
        let records = Mutex::new(Records { shelf, roster: None, events, history: History::default() });
        Self { room, in_force, clock, records, events: Mutex::new(submit), status }
    }

    /// The records, with the roster of the exam that the door serves, in the edition in force.
    fn followed(&self) -> Result<MutexGuard<'_, Records>, OfficeError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.in_force.borrow().clone();
        records.follow(in_force.as_ref())?;
        Ok(records)
    }

    /// Lets go of a roster that is not served any more, as after its erasure, and of the edition before: also while nobody asks.
    ///
    /// # Errors
    /// When the roster cannot be read.
    pub fn follow(&self) -> Result<(), OfficeError> {
        self.followed().map(drop)
    }

    /// As [`Self::followed`], with every event that is on disk.
    fn records(&self) -> Result<MutexGuard<'_, Records>, OfficeError> {
        let mut records = self.followed()?;
        let Records { roster, events, history, shelf: _ } = &mut *records;
        if let Some(roster) = roster {
            history.catch_up(events, &roster.view().exam().id).map_err(store)?;
        }
        Ok(records)
    }

    /// The exam, which no edition changes.
    fn exam(&self) -> Result<ExamId, OfficeError> {
        self.in_force.borrow().as_ref().map(|exam| exam.id.clone()).ok_or(OfficeError::NoStudent)
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
    fn follow(&mut self, in_force: Option<&Exam>) -> Result<(), OfficeError> {
        let Some(in_force) = in_force else {
            (self.roster, self.history) = (None, History::default());
            return Ok(());
        };
        match &mut self.roster {
            // The door has found it whole.
            Some(roster) if roster.view().exam().id == in_force.id => {
                if in_force.version > roster.view().exam().version {
                    roster.settle().map_err(store)?;
                }
            }
            Some(_) | None => {
                (self.roster, self.history) = (None, History::default());
                self.roster = Some(self.shelf.editions(&in_force.id).map_err(store)?);
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<RosterEntry>, OfficeError> {
        let Some(roster) = &self.roster else { return Ok(Vec::new()) };
        roster.view().roster().entries().map_err(store)
    }

    fn proctor(&self, proctor: &ProctorId) -> Result<Option<(Proctor, PinHash)>, OfficeError> {
        let Some(roster) = &self.roster else { return Ok(None) };
        roster.live().proctor(proctor).map_err(store)
    }

    /// A student of `entries`, as the console shows them.
    fn person(&self, entry: &RosterEntry, entries: &[RosterEntry], room: &RoomId) -> Person {
        let student = &entry.student;
        let alike = |other: &StudentId| {
            let number = other.as_str();
            let held = entries.iter().find(|entry| entry.student.id == *other);
            held.map_or_else(|| number.to_owned(), |held| format!("{} ({number})", held.student.called()))
        };
        Person {
            student: student.id.as_str().into(),
            name: student.called().to_owned(),
            official: student.preferred_name.as_ref().map(|_| student.given_name.clone()),
            seat: entry.seat.as_ref().map(|seat| seat.as_str().to_owned()),
            alike: entry.look_alikes.iter().map(alike).collect(),
            whereabouts: self.history.whereabouts(&student.id),
            here: entry.room == *room,
        }
    }
}

impl Office for Oversee {
    fn board(&self) -> Result<Board, OfficeError> {
        let records = self.records()?;
        let entries = records.entries()?;
        let Some(roster) = &records.roster else {
            // Nobody can be signed in without an exam, so nobody sees it.
            return Ok(Board { room: self.room.to_string(), ..Board::default() });
        };
        let names: Vec<Proctor> = roster.live().proctors().map_err(store)?;
        let exam = roster.view().exam();
        let mut people: Vec<Person> = entries.iter().map(|entry| records.person(entry, &entries, &self.room)).collect();
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
        let entries = records.entries()?;
        let found = entries.iter().filter(|entry| {
            let student = &entry.student;
            [student.called(), &student.given_name, student.id.as_str()]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        });
        Ok(found.take(FOUND).map(|entry| records.person(entry, &entries, &self.room)).collect())
    }

    fn check_pin(&self, proctor: &ProctorId, pin: &str) -> Result<Option<Proctorship>, OfficeError> {
        // Out of the lock before the hash is worked at.
        let found = self.followed()?.proctor(proctor)?;
        let found = found.filter(|(_, hash)| hash.matches(pin));
        Ok(found.map(|(proctor, hash)| {
            let mark = Mark(proctor_mark(&proctor, &hash));
            Proctorship { name: proctor.name, mark }
        }))
    }

    fn mark(&self, proctor: &ProctorId) -> Result<Option<Mark>, OfficeError> {
        let found = self.followed()?.proctor(proctor)?;
        Ok(found.map(|(proctor, hash)| Mark(proctor_mark(&proctor, &hash))))
    }

    fn rule(&self, by: &ProctorId, call: Call) -> Result<(), OfficeError> {
        let entry = self.records()?.entries()?.into_iter().find(|entry| entry.student.id == call.student);
        let entry = entry.ok_or(OfficeError::NoStudent)?;
        let ruling = Ruling {
            exam: self.exam()?,
            student: call.student,
            card: entry.card.pseudonym,
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
        self.record(EventKind::Undo(Undo { exam: self.exam()?, proctor: by.clone(), ruling }))
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
