//! Rosters on disk: stores incoming chunks, and turns them into the roster in force. Blocking I/O.
//!
//! A roster comes into force in one transaction, and only if everything about it is as the manifest says. A key is made for it
//! here and erased with it.

use std::collections::{BTreeMap, BTreeSet};

use super::{plan::Held, prekeys::Prekeys};
use crate::{
    domain::{ExamId, PepperCheck, RoomId, RosterEntry, Template, WithSources},
    store::{
        Incoming, IncomingError, KeyFolder, KeyName, Layout, LayoutError, PinHash, Pushed, RosterError, RosterStore,
    },
    wire::{
        bundle::{Bundle, BundleError, Difference},
        chunk,
        desired::{Wanted, WantedDifference},
        digest::Digest,
        reported::RefusalReason,
    },
};

/// The box's disk and keys, and which rosters may be applied here.
pub struct Disk {
    /// What came and is not applied.
    pub incoming: Incoming,
    /// Where rosters lie.
    pub layout: Layout,
    /// Their keys.
    pub keys: KeyFolder,
    /// Who opens bundles.
    pub prekeys: Prekeys,
    /// The room of this box.
    pub room: RoomId,
    /// The box's pepper.
    pub pepper: PepperCheck,
}

/// Why a roster did not come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotApplied {
    /// This chunk is not there, or damaged: ask for it again.
    Lost(Digest),
    /// Refused.
    Refused(RefusalReason),
    /// The difference does not lead to the edition that is wanted, for this reason.
    Unfit(&'static str),
}

impl Disk {
    /// The rosters in force. One that cannot be read is passed over: it can be replaced.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub(super) fn held(&self) -> Result<BTreeMap<ExamId, Held>, LayoutError> {
        self.layout.make()?;
        let exams = self.layout.exams()?;
        Ok(exams.into_iter().filter_map(|exam| self.held_of(&exam).map(|held| (exam, held))).collect())
    }

    fn held_of(&self, exam: &ExamId) -> Option<Held> {
        let look = || {
            let key = self.keys.read(KeyName::Exam(exam)).ok()?;
            let roster = RosterStore::look(&self.layout.exam(exam), &key).ok()?;
            let version = roster.exam().ok()??.version;
            Some(Held { version, whole: roster.bundle().ok()?.map(Digest::from_bytes) })
        };
        let held = look();
        if held.is_none() {
            tracing::warn!(%exam, "a roster on the disk cannot be read, so it counts as not held");
        }
        held
    }

    /// Whom bundles are to be sealed to from now on.
    pub(super) fn recipient(&self) -> Option<String> {
        let recipient = self.prekeys.recipient();
        recipient.inspect_err(|error| tracing::error!(error = %WithSources(error), "no prekey can be reported")).ok()
    }

    /// Destroys the prekeys that were used. What cannot be destroyed now is later, or with the next exam that is erased.
    pub(super) fn destroy_used_prekeys(&self) {
        if let Err(error) = self.prekeys.destroy_used() {
            tracing::error!(error = %WithSources(&error), "keys that have served their time cannot be destroyed");
        }
    }

    /// The chunks that are kept.
    pub(super) fn kept(&self) -> Result<BTreeSet<Digest>, IncomingError> {
        Ok(self.incoming.chunks()?.iter().filter_map(|name| Digest::parse(name)).collect())
    }

    /// A chunk, if it is there and whole.
    pub(super) fn chunk(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = self.incoming.chunk(&digest.to_string()).unwrap_or_else(|error| {
            tracing::warn!(error = %WithSources(&error), "a chunk cannot be read: it is asked for again");
            None
        });
        bytes.filter(|bytes| Digest::of(bytes) == *digest)
    }

    /// Puts the pieces together, opens and checks them, and brings the roster into force in one transaction.
    pub(super) fn apply(&self, wanted: &Wanted, pieces: &[Digest]) -> Result<(), NotApplied> {
        let sealed = self.assembled(pieces, wanted.whole, wanted.size)?;
        let opened = self.prekeys.open_bundle(&sealed).map_err(NotApplied::Refused)?;
        let bundle = Bundle::decode(&opened).map_err(|error| {
            tracing::error!(exam = %wanted.exam, error = %WithSources(&error), "a roster that was sent cannot be read");
            NotApplied::Refused(match error {
                BundleError::Newer { .. } => RefusalReason::NewerBundle,
                BundleError::Malformed | BundleError::TooMuch { .. } | BundleError::Nonsense { .. } => {
                    RefusalReason::Damaged
                }
            })
        })?;
        self.bring_into_force(wanted, &bundle)
    }

    /// Makes the edition held into the one that is wanted by the pieces of a difference, and brings that into force as if it had come whole.
    /// Nothing is refused for what is wrong with a difference: the whole bundle is there, too.
    pub(super) fn apply_difference(&self, wanted: &Wanted, pieces: &[Digest]) -> Result<(), NotApplied> {
        let unfit = NotApplied::Unfit;
        let difference = wanted.difference.as_ref().ok_or(unfit("the manifest names none"))?;
        let sealed = match self.assembled(pieces, difference.whole, difference.size) {
            Ok(sealed) => sealed,
            Err(lost @ NotApplied::Lost(_)) => return Err(lost),
            Err(NotApplied::Refused(_) | NotApplied::Unfit(_)) => {
                return Err(unfit("it is not what the manifest names"));
            }
        };
        let opened = self.prekeys.open_bundle(&sealed).map_err(|reason| {
            if reason == RefusalReason::Storage { NotApplied::Refused(reason) } else { unfit("no key here opens it") }
        })?;
        let read = Difference::decode(&opened).map_err(|_| unfit("it cannot be read"))?;
        if (read.base, read.from) != (difference.base, difference.from) {
            return Err(unfit("it starts from another edition than the manifest says"));
        }
        let before =
            self.edition(&wanted.exam, difference).ok_or(unfit("the edition that it starts from is not held"))?;
        let bundle = read.apply(before).map_err(|_| unfit("the edition held is not the one that it was made for"))?;
        self.bring_into_force(wanted, &bundle)
    }

    /// The students of the edition that a difference starts from, in the order of their numbers.
    fn edition(&self, exam: &ExamId, from: &WantedDifference) -> Option<Vec<(RosterEntry, Vec<Template>)>> {
        let read = || -> Result<_, RosterError> {
            let Ok(key) = self.keys.read(KeyName::Exam(exam)) else { return Ok(None) };
            let roster = RosterStore::open(&self.layout.exam(exam), &key)?;
            let is_base = roster.exam()?.is_some_and(|held| held.version == from.base)
                && roster.bundle()? == Some(*from.from.as_bytes());
            if !is_base {
                return Ok(None);
            }
            let with_templates = |entry: RosterEntry| -> Result<_, RosterError> {
                let templates = roster.templates(&entry.student.id)?;
                Ok((entry, templates))
            };
            roster.entries()?.into_iter().map(with_templates).collect::<Result<_, RosterError>>().map(Some)
        };
        read().unwrap_or_else(|error| {
            tracing::warn!(%exam, error = %WithSources(&error), "the roster held cannot be read for a difference");
            None
        })
    }

    /// The pieces together.
    fn assembled(&self, pieces: &[Digest], whole: Digest, size: u64) -> Result<Vec<u8>, NotApplied> {
        let mut read = Vec::with_capacity(pieces.len());
        for digest in pieces {
            read.push(self.chunk(digest).ok_or(NotApplied::Lost(*digest))?);
        }
        chunk::assemble(&read, whole, size).map_err(|_| NotApplied::Refused(RefusalReason::Damaged))
    }

    /// Checks that the bundle is what the manifest and this box say, and writes it in one transaction.
    fn bring_into_force(&self, wanted: &Wanted, bundle: &Bundle) -> Result<(), NotApplied> {
        let refused = |reason| Err(NotApplied::Refused(reason));
        if (&bundle.exam.id, bundle.exam.version, &bundle.space) != (&wanted.exam, wanted.version, &wanted.space)
            || bundle.room != self.room
        {
            return refused(RefusalReason::Mismatched);
        }
        if bundle.pepper != self.pepper {
            return refused(RefusalReason::OtherPepper);
        }
        let proctors: Option<Vec<_>> =
            bundle.proctors.iter().map(|(proctor, pin)| Some((proctor.clone(), PinHash::from_text(pin)?))).collect();
        let Some(proctors) = proctors else { return refused(RefusalReason::Damaged) };
        let pushed = Pushed {
            exam: &bundle.exam,
            entries: &bundle.entries,
            proctors: &proctors,
            pepper: bundle.pepper,
            bundle: *wanted.whole.as_bytes(),
            peers: bundle.peers.as_ref(),
        };
        self.write(&pushed).map_err(NotApplied::Refused)
    }

    fn write(&self, pushed: &Pushed<'_>) -> Result<(), RefusalReason> {
        let (exam, failed) = (&pushed.exam.id, |error: &(dyn std::error::Error + 'static)| {
            tracing::error!(error = %WithSources(error), "a roster that was sent cannot be stored");
            RefusalReason::Storage
        });
        let name = KeyName::Exam(exam);
        let key = if self.keys.holds(name) {
            self.keys.read(name)
        } else {
            // What is left of an exam whose key was erased: nobody can open it.
            self.layout.remove(exam).map_err(|error| failed(&error))?;
            self.keys.make(name)
        };
        let key = key.map_err(|error| failed(&error))?;
        let mut roster = RosterStore::create(&self.layout.exam(exam), &key).map_err(|error| failed(&error))?;
        match roster.replace_pushed(pushed) {
            Ok(_) => Ok(()),
            Err(RosterError::Stale { .. }) => Err(RefusalReason::RolledBack),
            Err(RosterError::Conflicting { .. }) => Err(RefusalReason::Conflicting),
            Err(error @ RosterError::Database(_)) => Err(failed(&error)),
            // A bundle that was read makes sense by itself, so this one cannot be stored for another reason.
            Err(error) => {
                tracing::error!(error = %WithSources(&error), "a roster that was sent makes no sense");
                Err(RefusalReason::Damaged)
            }
        }
    }

    /// Erases an exam permanently: first what its bundle was sealed to, then its key, then its files. Returns whether that is done.
    pub(super) fn erase(&self, exam: &ExamId) -> bool {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            tracing::error!(%exam, error = %WithSources(error), "an exam cannot be erased; it is tried again");
            false
        };
        // First: once the key is gone nothing here tells any more that an exam was held.
        if let Err(error) = self.prekeys.destroy_used() {
            return failed(&error);
        }
        if let Err(error) = self.keys.erase(KeyName::Exam(exam)) {
            return failed(&error);
        }
        match self.layout.remove(exam) {
            Ok(()) => true,
            Err(error) => failed(&error),
        }
    }
}
