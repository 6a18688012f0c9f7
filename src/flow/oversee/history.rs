//! What the events of one exam mean to a proctor: a list, where everybody is, and some numbers.
//!
//! Keeps no measurement. Never reads the roster.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::{
        Access, AccessStep, Decision, Event, EventId, EventKind, ExamId, Ground, Note, OtherRoom, Passage, Proctor,
        ProctorId, Ruling, Seq, StudentId, Timestamp, UNDO_WITHIN, Undo, Verdict, Whereabouts,
    },
    edge::console::{Entry, EntryStyle, Person, Undoable, Visit, What as Happened, Why, WrongPins},
    store::{EventError, EventStore},
};

/// Entries on the list: more than anybody scrolls through.
const LISTED: usize = 200;

/// Lines about the console's door.
const ACCESSES: usize = 20;

/// The events of one exam, as far as they were read.
#[derive(Default)]
pub(super) struct History {
    read: Seq,
    /// Answers and rulings, in order.
    done: Vec<Done>,
    undone: BTreeMap<EventId, ProctorId>,
    /// Of each student, in order.
    passages: HashMap<StudentId, Vec<Passage>>,
    access: Vec<(Timestamp, Access)>,
}

struct Done {
    id: EventId,
    at: Timestamp,
    student: Option<StudentId>,
    what: What,
}

enum What {
    /// With the room where another box let the student in.
    Answer(Decision, Option<OtherRoom>),
    Ruling {
        by: ProctorId,
        verdict: Verdict,
        why: Ground,
        note: Option<Note>,
    },
}

impl History {
    /// Reads what is new. An event of a newer kind is passed over.
    pub(super) fn catch_up(&mut self, events: &EventStore, exam: &ExamId) -> Result<(), EventError> {
        for row in events.of_exam(exam, self.read)? {
            self.read = row.seq;
            if let Ok(event) = row.event() {
                self.take(event);
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        let Event { id, at, kind, clock: _, room: _ } = event;
        match kind {
            EventKind::Verification(verification) => {
                if let (Decision::Admit, Some(student)) = (verification.decision, &verification.student) {
                    self.passages.entry(student.clone()).or_default().push(Passage::AdmittedByBox);
                }
                let what = What::Answer(verification.decision, verification.other_room);
                self.done.push(Done { id, at, student: verification.student, what });
            }
            EventKind::Ruling(Ruling { student, proctor: by, verdict, ground: why, note, .. }) => {
                self.passages.entry(student.clone()).or_default().push(Passage::Ruled { ruling: id, verdict });
                let what = What::Ruling { by, verdict, why, note };
                self.done.push(Done { id, at, student: Some(student), what });
            }
            EventKind::Undo(Undo { ruling, proctor, exam: _ }) => {
                let ruled = self.done.iter().rev().find(|done| done.id == ruling);
                if let Some(passages) = ruled.and_then(|ruled| self.passages.get_mut(ruled.student.as_ref()?)) {
                    passages.push(Passage::Undone { ruling });
                }
                self.undone.insert(ruling, proctor);
            }
            EventKind::Access(access) => self.access.push((at, access)),
            // The log of the box and the ledger tell of it.
            EventKind::Commanded(_) => {}
        }
    }

    pub(super) fn whereabouts(&self, student: &StudentId) -> Whereabouts {
        Whereabouts::after(self.passages.get(student).into_iter().flatten().copied())
    }

    /// The list, newest first.
    pub(super) fn entries(&self, people: &[Person], proctors: &[Proctor], now: Timestamp) -> Vec<Entry> {
        let people: HashMap<&str, &Person> = people.iter().map(|person| (person.student.as_str(), person)).collect();
        let name = |id: &ProctorId| {
            let known = proctors.iter().find(|proctor| proctor.id == *id);
            known.map_or_else(|| id.as_str().to_owned(), |proctor| proctor.name.clone())
        };
        let entry = |done: &Done| {
            let who = done.student.as_ref().and_then(|id| people.get(id.as_str())).map(|&person| person.clone());
            let mut entry = Entry {
                id: done.id,
                at: done.at.as_millisecond(),
                who,
                look: EntryStyle::Admitted,
                what: Happened::Admitted,
                why: Why::Match,
                other_room: None,
                by: None,
                note: None,
                undo: None,
            };
            match &done.what {
                What::Answer(Decision::Admit, _) => {}
                What::Answer(Decision::Deny(why), _) => {
                    (entry.look, entry.what, entry.why) =
                        (EntryStyle::Denied, Happened::NotAdmitted, Why::Reason(*why));
                }
                What::Answer(Decision::Refer(why), other_room) => {
                    let why = if other_room.is_some() { Why::OtherRoom } else { Why::Reason(*why) };
                    (entry.look, entry.what, entry.why) = (EntryStyle::Referred, Happened::ForYou, why);
                    entry.other_room =
                        other_room.as_ref().map(|there| (there.room.to_string(), there.at.as_millisecond()));
                }
                What::Ruling { by, verdict, why, note } => {
                    (entry.look, entry.what) = match verdict {
                        Verdict::Admit => (EntryStyle::Admitted, Happened::AdmittedByProctor),
                        Verdict::AdmitByHand => (EntryStyle::Admitted, Happened::AdmittedByHand),
                        Verdict::Refuse => (EntryStyle::Refused, Happened::AskedToWait),
                    };
                    entry.why = Why::Ground(*why);
                    entry.by = Some(name(by));
                    entry.note = note.as_ref().map(|note| note.as_str().to_owned());
                    if let Some(by) = self.undone.get(&done.id) {
                        (entry.look, entry.what) = (EntryStyle::Undone, Happened::TakenBack);
                        entry.by = Some(name(by));
                    } else {
                        let until = done.at + UNDO_WITHIN;
                        entry.undo =
                            (now < until).then_some(Undoable { ruling: done.id, until: until.as_millisecond() });
                    }
                }
            }
            entry
        };
        self.done.iter().rev().take(LISTED).map(entry).collect()
    }

    pub(super) fn counters(&self) -> Vec<(&'static str, u64)> {
        let count = |counts: fn(&What) -> bool| self.done.iter().filter(|done| counts(&done.what)).count() as u64;
        let refusals = self.access.iter().map(|(_, access)| match access.step {
            AccessStep::Refused { times } => u64::from(times),
            AccessStep::SignedIn | AccessStep::SignedOut => 0,
        });
        vec![
            ("taps_answered", count(|what| matches!(what, What::Answer(..)))),
            ("admitted_by_box", count(|what| matches!(what, What::Answer(Decision::Admit, _)))),
            ("denied_by_box", count(|what| matches!(what, What::Answer(Decision::Deny(_), _)))),
            ("left_to_proctor", count(|what| matches!(what, What::Answer(Decision::Refer(_), _)))),
            ("rulings", count(|what| matches!(what, What::Ruling { .. }))),
            ("undone", self.undone.len() as u64),
            ("sign_ins_refused", refusals.sum()),
        ]
    }

    /// A refusal that names a proctor is a code that was spoilt; a sign-in ends the row.
    pub(super) fn wrong_pins(&self) -> Vec<WrongPins> {
        let mut rows: BTreeMap<&ProctorId, (u32, Timestamp)> = BTreeMap::new();
        for (at, Access { proctor, step, .. }) in &self.access {
            let Some(proctor) = proctor else { continue };
            match step {
                AccessStep::Refused { .. } => {
                    let (times, last) = rows.entry(proctor).or_insert((0, *at));
                    (*times, *last) = (*times + 1, *at);
                }
                AccessStep::SignedIn => drop(rows.remove(proctor)),
                AccessStep::SignedOut => {}
            }
        }
        rows.into_iter().map(|(proctor, (times, last))| WrongPins { proctor: proctor.clone(), times, last }).collect()
    }

    pub(super) fn access(&self) -> Vec<Visit> {
        let line = |(at, access): &(Timestamp, Access)| Visit {
            at: at.as_millisecond(),
            who: access.proctor.as_ref().map(|proctor| proctor.as_str().to_owned()),
            from: access.from.to_string(),
            step: access.step,
        };
        self.access.iter().rev().take(ACCESSES).map(line).collect()
    }
}
