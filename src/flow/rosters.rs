//! The rosters that lie on this box, as they come and go, and the one that is served.
//!
//! [`Serving::choose`] says which one that is. It is opened and read as a whole on a thread of its own, so that no tap waits for that, and
//! before its doors open where that can be. A roster whose key was erased is closed at once. One that cannot be used is passed over, and
//! told of once.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    domain::{ClockTrust, Doors, Exam, ExamId, PepperCheck, Serving, Timestamp, WithSources},
    store::{Editions, KeyError, KeyFolder, KeyName, Layout, LayoutError, RosterError, RosterStore},
};

/// How long before an exam is to be served its roster is read: far longer than that takes.
const AHEAD: Duration = Duration::from_secs(60);

/// Why a roster that lies here is passed over.
#[derive(Debug, thiserror::Error)]
pub enum PassedOver {
    /// Its key cannot be had.
    #[error("its key cannot be had")]
    Key(#[from] KeyError),
    /// It cannot be read, or is no whole edition.
    #[error("it cannot be read")]
    Roster(#[from] RosterError),
    /// Its cards were made into pseudonyms with another pepper.
    #[error("it was made with another pepper than this box has, so no card of it would be known here")]
    OtherPepper,
}

/// Where the box's rosters lie, and what they are read with.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// The state folder.
    pub layout: Layout,
    /// Their keys.
    pub keys: KeyFolder,
    /// The box's pepper.
    pub pepper: PepperCheck,
}

impl Shelf {
    /// A roster, edition by edition.
    ///
    /// # Errors
    /// Why it cannot be served.
    pub fn editions(&self, exam: &ExamId) -> Result<Editions, PassedOver> {
        let made_with = self.open(exam)?.pepper()?;
        if made_with.is_some_and(|made_with| made_with != self.pepper) {
            return Err(PassedOver::OtherPepper);
        }
        Ok(Editions::open(&self.layout.exam(exam), self.keys.read(KeyName::Exam(exam))?)?.for_pepper(self.pepper))
    }

    /// A roster as it is now.
    pub(super) fn open(&self, exam: &ExamId) -> Result<RosterStore, PassedOver> {
        Ok(RosterStore::open(&self.layout.exam(exam), &self.keys.read(KeyName::Exam(exam))?)?)
    }

    fn holds(&self, exam: &ExamId) -> bool {
        self.keys.holds(KeyName::Exam(exam))
    }
}

/// A roster that is being opened and read as a whole.
#[derive(Debug)]
struct Opening {
    exam: ExamId,
    thread: JoinHandle<Result<Editions, PassedOver>>,
}

/// All rosters of one box.
#[derive(Debug)]
pub struct Rosters {
    shelf: Shelf,
    /// The only exam that is served, where the configuration names one.
    named: Option<ExamId>,
    /// Everything that lies here and can be read, what is served too.
    held: BTreeMap<ExamId, RosterStore>,
    served: Option<Editions>,
    /// To be served when its time comes.
    ready: Option<Editions>,
    opening: Option<Opening>,
    serving: Serving,
    /// What was passed over and told of.
    told: BTreeSet<ExamId>,
}

impl Rosters {
    /// None yet, until [`Rosters::refresh`]. If an exam is `named`, only that one is ever served.
    #[must_use]
    pub const fn new(shelf: Shelf, named: Option<ExamId>) -> Self {
        let serving = Serving { exam: None, doors: Doors::NothingHeld };
        Self {
            shelf,
            named,
            held: BTreeMap::new(),
            served: None,
            ready: None,
            opening: None,
            serving,
            told: BTreeSet::new(),
        }
    }

    /// Serves what is open already, so that it is not read twice.
    #[must_use]
    pub fn serving_first(mut self, editions: Editions) -> Self {
        self.served = Some(editions);
        self
    }

    /// The roster served; `None` while none is.
    #[must_use]
    pub const fn served(&self) -> Option<&Editions> {
        self.served.as_ref()
    }

    /// The exam served, in the edition in force, and how doors stand.
    #[must_use]
    pub const fn serving(&self) -> &Serving {
        &self.serving
    }

    /// The other rosters that are held.
    pub fn others(&self) -> impl Iterator<Item = &RosterStore> {
        let served = self.serving.exam.as_ref().map(|exam| &exam.id);
        self.held.iter().filter(move |(exam, _)| Some(*exam) != served).map(|(_, roster)| roster)
    }

    /// Looks at what lies here now and moves to what is to be served at `now`, in its newest edition that was read as a whole. Says whether
    /// that is another exam or edition, or none, or whether doors opened or closed. Takes microseconds where nothing has changed, and waits
    /// for no reading: until that is done, what is served stays.
    pub fn refresh(&mut self, now: Timestamp, clock: ClockTrust) -> bool {
        if let Err(error) = self.look() {
            tracing::error!(error = &error as &dyn Error, "the rosters that are held cannot be listed");
        }
        if let Some(opening) = self.opening.take_if(|opening| opening.thread.is_finished()) {
            self.opened(opening);
        }
        if let Some(served) = &mut self.served
            && let Err(error) = served.refresh()
        {
            tracing::error!(
                error = &error as &dyn Error,
                in_force = served.view().exam().version.0,
                "alarm: what was written over the roster is no edition to move to; the one before stays in force"
            );
        }
        let held = self.exams();
        let (serving, unusable) = self.choose(held.clone(), now, clock);
        let served = serving.exam.as_ref().map(|exam| &exam.id);
        let later = now.saturating_add(AHEAD).unwrap_or(now);
        let next = Serving::choose(&held, served, later, clock).exam.map(|exam| exam.id);
        self.ready.take_if(|ready| next.as_ref() != Some(&ready.view().exam().id));
        if let Some(next) =
            next.filter(|next| Some(next) != served && self.ready.is_none() && !self.told.contains(next))
        {
            self.prepare(next);
        }
        if let Some(unusable) = unusable {
            self.prepare(unusable);
        }
        let has_moved = serving != self.serving;
        if let (true, Doors::Open { beside }) = (serving.doors != self.serving.doors, &serving.doors)
            && !beside.is_empty()
        {
            let (exam, beside) = (serving.exam.as_ref().map_or("", |exam| exam.id.as_str()), names(beside));
            tracing::error!(
                exam,
                beside,
                "alarm: doors of several exams are open here: the one that opened last is served"
            );
        }
        self.serving = serving;
        has_moved
    }

    /// As [`Rosters::refresh`], but waits until what is to be served was read: before anybody taps.
    pub fn settle(&mut self, now: Timestamp, clock: ClockTrust) -> bool {
        let mut has_moved = self.refresh(now, clock);
        let mut waited_for = BTreeSet::new();
        while let Some(opening) = self.opening.take() {
            let is_first = waited_for.insert(opening.exam.clone());
            self.opened(opening);
            has_moved |= self.refresh(now, clock);
            // One that cannot be used is opened again and again.
            if !is_first {
                break;
            }
        }
        has_moved
    }

    /// Whether something is being read that is to be served as soon as it was.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        let is_awaited = |opening: &Opening| !self.told.contains(&opening.exam);
        self.opening.as_ref().is_some_and(is_awaited) || self.served.as_ref().is_some_and(Editions::is_reading)
    }

    /// What is to be served, out of what can be; and what would be, if it could be used.
    fn choose(&mut self, mut exams: Vec<Exam>, now: Timestamp, clock: ClockTrust) -> (Serving, Option<ExamId>) {
        let mut unusable = None;
        loop {
            let before = self.serving.exam.as_ref().map(|exam| &exam.id);
            let serving = Serving::choose(&exams, before, now, clock);
            let Some(chosen) = serving.exam.as_ref().map(|exam| exam.id.clone()) else {
                self.served = None;
                return (serving, unusable);
            };
            let is_chosen = |editions: &Editions| editions.view().exam().id == chosen;
            if self.served.as_ref().is_some_and(is_chosen) {
                return (serving, unusable);
            }
            if let Some(ready) = self.ready.take_if(|ready| is_chosen(ready)) {
                // What was read of it may be older than what was opened now.
                let exam = Some(ready.view().exam().clone());
                self.served = Some(ready);
                return (Serving { exam, ..serving }, unusable);
            }
            if self.told.contains(&chosen) {
                // It counts as not held, and is tried again.
                exams.retain(|exam| exam.id != chosen);
                unusable.get_or_insert(chosen);
            } else {
                // Until it was read, what is served stays.
                let served = self.served.as_ref().map(|served| served.view().exam().id.clone());
                exams.retain(|exam| Some(&exam.id) == served.as_ref());
                self.prepare(chosen);
            }
        }
    }

    /// Begins to open a roster and to read it as a whole. One at a time.
    fn prepare(&mut self, exam: ExamId) {
        if self.opening.is_some() {
            return;
        }
        let (shelf, wanted) = (self.shelf.clone(), exam.clone());
        match thread::Builder::new().name("roster".into()).spawn(move || shelf.editions(&wanted)) {
            Ok(thread) => self.opening = Some(Opening { exam, thread }),
            Err(error) => self.tell(&exam, &RosterError::Unread(error).into()),
        }
    }

    fn opened(&mut self, Opening { exam, thread }: Opening) {
        let panicked = |_| Err(RosterError::Unread(io::Error::other("the thread panicked")).into());
        match thread.join().unwrap_or_else(panicked) {
            Ok(editions) => {
                self.told.remove(&exam);
                self.ready = Some(editions);
            }
            Err(error) => self.tell(&exam, &error),
        }
    }

    /// Lets go what was erased, and opens what came.
    fn look(&mut self) -> Result<(), LayoutError> {
        let lying: BTreeSet<ExamId> = self.shelf.layout.exams()?.into_iter().collect();
        let is_here = |exam: &ExamId| lying.contains(exam) && self.shelf.holds(exam);
        self.held.retain(|exam, _| is_here(exam));
        self.told.retain(|exam| lying.contains(exam));
        // A file that is gone while its key is there was not erased: the edition in force stays until it is put back.
        let is_erased = |editions: &mut Editions| !self.shelf.holds(&editions.view().exam().id);
        self.served.take_if(is_erased);
        self.ready.take_if(is_erased);
        for exam in &lying {
            if self.held.contains_key(exam) {
                continue;
            }
            match self.shelf.open(exam) {
                Ok(roster) => {
                    self.told.remove(exam);
                    self.held.insert(exam.clone(), roster);
                }
                Err(error) => self.tell(exam, &error),
            }
        }
        Ok(())
    }

    /// All exams that may be served, each as it is held.
    fn exams(&self) -> Vec<Exam> {
        let served = self.served.as_ref().map(|served| served.view().exam());
        let others = self.held.iter().filter(|(exam, _)| served.is_none_or(|served| served.id != **exam));
        let others = others.filter_map(|(_, roster)| roster.exam().ok().flatten());
        let may_be = |exam: &Exam| self.named.as_ref().is_none_or(|named| *named == exam.id);
        served.cloned().into_iter().chain(others).filter(may_be).collect()
    }

    fn tell(&mut self, exam: &ExamId, error: &PassedOver) {
        if self.told.insert(exam.clone()) {
            tracing::warn!(%exam, error = %WithSources(error), "a roster that lies here is passed over");
        }
    }
}

/// Names in one line.
pub(super) fn names(exams: &[ExamId]) -> String {
    exams.iter().map(ExamId::as_str).collect::<Vec<_>>().join(", ")
}
