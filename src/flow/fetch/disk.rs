//! Rosters on disk: stores incoming chunks, and turns them into the roster in force. Blocking I/O.
//!
//! A roster comes into force in one transaction, and only if everything about it is as the manifest says. A key is made for it
//! here and erased with it.

use std::collections::{BTreeMap, BTreeSet};

use super::{plan::Held, prekeys::Prekeys};
use crate::{
    domain::{ExamId, PepperCheck, RoomId, WithSources},
    store::{
        Incoming, IncomingError, KeyFolder, KeyName, Layout, LayoutError, PinHash, Pushed, RosterError, RosterStore,
    },
    wire::{
        bundle::{Bundle, BundleError},
        chunk,
        desired::Wanted,
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
        let refused = |reason| Err(NotApplied::Refused(reason));
        let mut read = Vec::with_capacity(pieces.len());
        for digest in pieces {
            read.push(self.chunk(digest).ok_or(NotApplied::Lost(*digest))?);
        }
        let damaged = NotApplied::Refused(RefusalReason::Damaged);
        let sealed = chunk::assemble(&read, wanted.whole, wanted.size).map_err(|_| damaged)?;
        drop(read);
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
