//! Where an exam's roster stands at the desk, and the key that opens it.
//!
//! It makes nothing before a whole roster is there to be written.

use std::{
    collections::{HashMap, HashSet},
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context, bail};
use examgate::{
    domain::{CardPseudonym, ExamId, Matching, Pepper, ProctorId, Roster, RosterVersion, StudentId},
    exit::Refusal,
    store::{
        EventStore, KeyError, KeyFolder, KeyName, Layout, Limits, Replaced, RosterError, RosterStore, Secret, Source,
    },
};

use examgate_fleet_core::enrolments::Enrolments;

use super::enrolling::Kept;
use crate::keys::{self, KeyArgs};

/// Where the exam's roster stands, and the key that opens it.
pub(super) struct Shelf {
    keys: KeyFolder,
    layout: Layout,
    exam: ExamId,
    held: Option<RosterStore>,
}

impl Shelf {
    /// Opens the roster if there is one; makes nothing.
    pub(super) fn find(keys: &KeyArgs, store: &Path, exam: &ExamId) -> anyhow::Result<Self> {
        let (keys, layout) = (keys.folder()?, Layout::new(store));
        Self::check_root(&keys, &layout)?;
        let (name, database) = (KeyName::Exam(exam), layout.exam(exam));
        let refused = || Refusal::Usage(format!("the roster {} cannot be opened", database.display()));
        let held = match (database.exists(), keys.holds(name)) {
            (false, false | true) => None,
            (true, false) => bail!(Refusal::Usage(format!(
                "the roster {} is there, but its key {} is not: bring the key, or remove the roster if it was erased",
                database.display(),
                keys.path(name).display(),
            ))),
            (true, true) => {
                let key = keys.read(name).with_context(refused)?;
                Some(RosterStore::open(&database, &key).with_context(refused)?)
            }
        };
        Ok(Self { keys, layout, exam: exam.clone(), held })
    }

    /// Who has which card, of those who watch over the exam.
    pub(super) fn proctors(&self) -> anyhow::Result<HashMap<CardPseudonym, ProctorId>> {
        let held = self.held.as_ref().map(RosterStore::proctors).transpose()?.unwrap_or_default();
        Ok(held.into_iter().map(|proctor| (proctor.card, proctor.id)).collect())
    }

    /// That no second root key comes to lie beside keys of another: whatever would not fit is refused before any work is done.
    fn check_root(keys: &KeyFolder, layout: &Layout) -> anyhow::Result<()> {
        let refused = || Refusal::Usage("the keys cannot be used, nothing was written".into());
        if keys.lacks_root().with_context(refused)? {
            return keys::none_is_sealed(Secret::Root);
        }
        if keys.is_bound() || !keys.has_shares()? {
            return Ok(());
        }
        // A folder of before, which does not say whose its keys are: a database that opens does.
        let exams = layout.exams().unwrap_or_default();
        let rosters = exams.iter().filter_map(|exam| {
            let key = keys.read(KeyName::Exam(exam)).ok()?;
            Some(RosterStore::look(&layout.exam(exam), &key).is_ok())
        });
        let events = layout.events().exists().then(|| keys.read(KeyName::Events).ok()).flatten();
        let events = events.map(|key| EventStore::look(&layout.events(), &key, Limits::default()).is_ok());
        let opened: Vec<bool> = rosters.chain(events).collect();
        if opened.contains(&true) {
            keys.bind()?;
        } else if !opened.is_empty() {
            bail!(Refusal::Usage(format!(
                "nothing in {} opens with the root key at hand ({}), so its keys were made with another one: hand that one over \
                 (`examgate-with-keys COMMAND`, or --credentials DIR), or move state and keys aside",
                layout.root().display(),
                match keys.source(Secret::Root)? {
                    Some(Source::Credential) => "a credential".to_owned(),
                    Some(Source::Folder) | None => keys.folder().join(Secret::Root.name()).display().to_string(),
                },
            )));
        }
        Ok(())
    }

    /// Makes the key folder and, where there is none, the root key, and says so.
    pub(super) fn provision(&self) -> anyhow::Result<()> {
        if self.keys.provision().map_err(usage)? {
            writeln!(
                io::stderr(),
                "examgate-fleet: made the root key {}: a plain file. Where the box's root key is a credential, its keys do not fit",
                self.keys.folder().join(Secret::Root.name()).display()
            )?;
        }
        Ok(())
    }

    /// Where the templates of this exam's photos are kept, made where it is not there yet, as its key is; and what the desk keeps of other
    /// exams, as far as it can be read.
    pub(super) fn enrolments(&self) -> anyhow::Result<Kept> {
        let name = KeyName::Exam(&self.exam);
        let key = if self.keys.holds(name) { self.keys.read(name)? } else { self.keys.make(name)? };
        self.layout.make()?;
        let path = self.layout.enrolments(&self.exam);
        let own = Enrolments::create(&path, &key).with_context(|| {
            format!("what was made of photos before is kept in {}: remove that file to begin anew", path.display())
        })?;
        let elsewhere = self.layout.exams()?.into_iter().filter(|exam| *exam != self.exam);
        let look = |exam: ExamId| {
            let key = self.keys.read(KeyName::Exam(&exam)).ok()?;
            Enrolments::look(&self.layout.enrolments(&exam), &key).ok()
        };
        Ok(Kept::new(own, elsewhere.filter_map(look).collect()))
    }

    /// The version to write.
    pub(super) fn next_version(&self, asked: Option<u64>) -> anyhow::Result<RosterVersion> {
        let held = match &self.held {
            Some(store) => store.exam()?.map_or(0, |exam| exam.version.0),
            None => 0,
        };
        match asked {
            Some(asked) if asked < held => {
                bail!(Refusal::Usage(format!("--version {asked} is older than version {held} held: raise it")))
            }
            Some(asked) => Ok(RosterVersion(asked)),
            None => Ok(RosterVersion(held + 1)),
        }
    }

    /// Gives a new edition the look-alikes that were recorded with the one held, where both students are still on it and have not opted out.
    /// Returns how many students have some.
    pub(super) fn keep_look_alikes(&self, roster: &mut Roster) -> anyhow::Result<usize> {
        let Some(store) = &self.held else { return Ok(0) };
        let before: HashMap<StudentId, Vec<StudentId>> =
            store.entries()?.into_iter().map(|entry| (entry.student.id, entry.look_alikes)).collect();
        let stays: HashSet<StudentId> = roster
            .entries
            .iter()
            .filter(|(entry, _)| entry.matching == Matching::Face)
            .map(|(entry, _)| entry.student.id.clone())
            .collect();
        let mut students = 0;
        for (entry, _) in roster.entries.iter_mut().filter(|(entry, _)| stays.contains(&entry.student.id)) {
            let others = before.get(&entry.student.id).into_iter().flatten();
            entry.look_alikes = others.filter(|other| stays.contains(*other)).cloned().collect();
            students += usize::from(!entry.look_alikes.is_empty());
        }
        Ok(students)
    }

    /// Writes the roster, with the exam's key and the database made where they are not there yet.
    pub(super) fn replace(&mut self, roster: &Roster, pepper: &Pepper) -> anyhow::Result<Replaced> {
        let database = self.layout.exam(&self.exam);
        let store = match &mut self.held {
            Some(store) => store,
            None => {
                let name = KeyName::Exam(&self.exam);
                let key = if self.keys.holds(name) { self.keys.read(name)? } else { self.keys.make(name)? };
                self.layout.make()?;
                self.held.insert(RosterStore::create(&database, &key)?)
            }
        };
        store.replace_made_with(roster, &pepper.check()).map_err(|error| {
            let usage = matches!(error, RosterError::Stale { .. } | RosterError::Conflicting { .. });
            let error = anyhow::Error::new(error);
            let what = format!("the roster {} was not replaced", database.display());
            if usage { error.context(Refusal::Usage(what)) } else { error.context(what) }
        })
    }
}

fn usage(error: KeyError) -> anyhow::Error {
    anyhow::Error::new(error).context(Refusal::Usage("the keys cannot be used".into()))
}
