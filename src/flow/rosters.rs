//! The rosters that lie on this box, as they come and go, and the one that is served.
//!
//! [`Serving::choose`] says which one that is. A roster whose key was erased is closed at once. One that cannot be
//! used is passed over, and told of once.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use crate::{
    domain::{ClockTrust, Doors, Exam, ExamId, PepperCheck, Serving, Timestamp, WithSources},
    store::{Editions, KeyError, KeyFolder, KeyName, Layout, LayoutError, RosterError, RosterStore},
};

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

    fn open(&self, exam: &ExamId) -> Result<RosterStore, PassedOver> {
        Ok(RosterStore::open(&self.layout.exam(exam), &self.keys.read(KeyName::Exam(exam))?)?)
    }

    fn holds(&self, exam: &ExamId) -> bool {
        self.keys.holds(KeyName::Exam(exam))
    }
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
    serving: Serving,
    /// What was passed over and told of.
    told: BTreeSet<ExamId>,
}

impl Rosters {
    /// None yet, until [`Rosters::refresh`]. If an exam is `named`, only that one is ever served.
    #[must_use]
    pub const fn new(shelf: Shelf, named: Option<ExamId>) -> Self {
        let serving = Serving { exam: None, doors: Doors::NothingHeld };
        Self { shelf, named, held: BTreeMap::new(), served: None, serving, told: BTreeSet::new() }
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

    /// Looks at what lies here now and moves to what is to be served at `now`, in its newest whole edition. Says whether that is another
    /// exam or edition, or none, or whether doors opened or closed. Takes microseconds where nothing has changed.
    pub fn refresh(&mut self, now: Timestamp, clock: ClockTrust) -> bool {
        if let Err(error) = self.look() {
            tracing::error!(error = &error as &dyn Error, "the rosters that are held cannot be listed");
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
        let mut exams = self.exams();
        let serving = loop {
            let before = self.serving.exam.as_ref().map(|exam| &exam.id);
            let serving = Serving::choose(&exams, before, now, clock);
            let Some(chosen) = serving.exam.as_ref().map(|exam| exam.id.clone()) else {
                self.served = None;
                break serving;
            };
            if self.served.as_ref().is_some_and(|served| served.view().exam().id == chosen) {
                break serving;
            }
            match self.shelf.editions(&chosen) {
                Ok(editions) => {
                    // What was read of it may be older than what was opened now.
                    let exam = Some(editions.view().exam().clone());
                    self.told.remove(&chosen);
                    self.served = Some(editions);
                    break Serving { exam, ..serving };
                }
                // It counts as not held, and is tried again at the next look.
                Err(error) => {
                    self.tell(&chosen, &error);
                    exams.retain(|exam| exam.id != chosen);
                }
            }
        };
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

    /// Lets go what was erased, and opens what came.
    fn look(&mut self) -> Result<(), LayoutError> {
        let lying: BTreeSet<ExamId> = self.shelf.layout.exams()?.into_iter().collect();
        let is_here = |exam: &ExamId| lying.contains(exam) && self.shelf.holds(exam);
        self.held.retain(|exam, _| is_here(exam));
        self.told.retain(|exam| lying.contains(exam));
        // A file that is gone while its key is there was not erased: the edition in force stays until it is put back.
        self.served.take_if(|served| !self.shelf.holds(&served.view().exam().id));
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
