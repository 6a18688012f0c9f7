//! Decides what to do about the rosters that the fleet wants this box to hold. No I/O: it gets what arrived and what is on disk, and
//! returns which chunks to ask for and which rosters to apply or erase.
//!
//! A manifest is trusted because of its signature, a chunk because of its digest, no matter who sent them. Versions only rise.
//! What is refused is reported, and the roster in force stays. After a restart only the list of requested chunks is lost.
//! It never opens a bundle: the code that applies one reports what is wrong with it. Where the manifest names a difference from the very
//! edition that is held, its pieces are asked for and no others; if it does not lead to the edition that is wanted, the whole bundle is.
//!
//! Over 400 lines, and still read at one sitting: what can happen first, then what to do, in one order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    domain::{DeviceId, EmbeddingSpaceId, ExamId, MonoTime, RosterVersion, Timestamp},
    wire::{
        bundle, chunk,
        desired::{Desired, DesiredError, Wanted, WantedDifference},
        digest::Digest,
        keys::PublicKey,
        reported::{HeldExam, HeldTrust, MAX_ASKED, RefusalReason, Refused, Reported},
    },
};

/// How long chunks that were asked for may stay away before they are asked for again; doubled while none comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest interval between two requests for the same chunks.
const LONGEST: Duration = Duration::from_secs(300);

/// The pause after the disk failed.
const STORAGE_PAUSE: Duration = Duration::from_secs(30);

/// The pause after the line took no report.
const QUIET_PAUSE: Duration = Duration::from_secs(1);

/// How long prekeys that were used are kept at least: what was pushed by the report of before comes within that time.
const KEEP_PREKEYS: Duration = Duration::from_secs(600);

/// Who this box is to the fleet.
#[derive(Clone, Debug)]
pub struct Party {
    /// The box.
    pub device: DeviceId,
    /// Whose manifests count.
    pub keys: Vec<PublicKey>,
    /// The embedding space of its net.
    pub space: EmbeddingSpaceId,
    /// Whom bundles for it are sealed to.
    pub recipient: String,
}

/// One exam's roster, as the box holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its version.
    pub version: RosterVersion,
    /// The digest of the sealed bundle it came in; `None`: imported on the box.
    pub whole: Option<Digest>,
}

/// The wall clock, and whether it may be believed.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// What it shows.
    pub shows: Timestamp,
    /// Without this nothing is refused or erased for its age.
    pub is_trusted: bool,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Publish this, retained.
    Report(Box<Reported>),
    /// Read this chunk, an index, and tell with [`Plan::kept`], or [`Plan::lost`] if it is damaged.
    Read(Digest),
    /// Put these pieces together, open, check and apply, then tell with [`Plan::applied`].
    Apply(Box<Wanted>, Vec<Digest>),
    /// The same with the pieces of its difference from the edition held, then tell with [`Plan::applied`], or [`Plan::unfit`] when it does
    /// not lead to the edition that is wanted.
    ApplyDifference(Box<Wanted>, Vec<Digest>),
    /// Erase the exam with its key, then tell with [`Plan::erased`].
    Erase(ExamId),
    /// Destroy all prekeys but the newest.
    Retire,
    /// Remove these chunks, then tell with [`Plan::lost`].
    Forget(Vec<Digest>),
    /// Wait for something to happen, at most until then.
    Wait(Option<MonoTime>),
}

/// What to do with a manifest that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is in force from now on: keep it on disk before it is acknowledged.
    InForce,
    /// It was in force before, or says nothing.
    Known,
    /// Refused; the one before stays in force.
    Refused(RefusalReason),
}

/// The state of one box's rosters.
#[derive(Clone, Debug)]
pub struct Plan {
    party: Party,
    desired: Option<Desired>,
    /// The manifest in force as it came, to be judged again when other keys count.
    signed: Vec<u8>,
    /// The manifest came over the line, not from the disk.
    is_fresh: bool,
    held: BTreeMap<ExamId, Held>,
    kept: BTreeSet<Digest>,
    indices: BTreeMap<Digest, Vec<Digest>>,
    /// Exams of the manifest in force that are refused or erased: nothing more is done about them.
    settled: BTreeSet<ExamId>,
    /// Exams of the manifest in force whose difference is of no use.
    unfit: BTreeSet<ExamId>,
    refused: Option<Refused>,
    is_up: bool,
    /// There is something to report.
    news: bool,
    asked: BTreeSet<Digest>,
    due: Option<MonoTime>,
    fruitless: u32,
    paused: Option<MonoTime>,
    quiet: Option<MonoTime>,
    /// There may be prekeys that were used.
    has_used: bool,
    /// Since when the newest is another one, or this is looked at.
    replaced: Option<MonoTime>,
    /// The serial of the list of lost cards in force.
    lost_cards: Option<u64>,
    /// The trust document held, where one is followed.
    trust: Option<HeldTrust>,
}

impl Plan {
    /// With what the disk holds: rosters, chunks, and the manifest that was in force.
    #[must_use]
    pub fn new(party: Party, held: BTreeMap<ExamId, Held>, kept: BTreeSet<Digest>, manifest: Option<&[u8]>) -> Self {
        // One that does not verify any more, as after a change of keys, is as good as none: the retained one comes again.
        let desired = manifest.and_then(|bytes| Desired::decode(bytes, &party.device, &party.keys).ok());
        Self {
            party,
            desired,
            signed: manifest.unwrap_or_default().to_vec(),
            is_fresh: false,
            held,
            kept,
            indices: BTreeMap::new(),
            settled: BTreeSet::new(),
            unfit: BTreeSet::new(),
            refused: None,
            is_up: false,
            news: true,
            asked: BTreeSet::new(),
            due: None,
            fruitless: 0,
            paused: None,
            quiet: None,
            has_used: true,
            replaced: None,
            lost_cards: None,
            trust: None,
        }
    }

    /// The list of lost cards of this serial is in force; `None`: there is none.
    pub fn lost_cards(&mut self, serial: Option<u64>) {
        self.news |= self.lost_cards != serial;
        self.lost_cards = serial;
    }

    /// This trust document is held.
    pub fn trust(&mut self, held: HeldTrust) {
        self.news |= self.trust != Some(held);
        self.trust = Some(held);
    }

    /// Manifests count from now on if one of `keys` signed them. The one in force stays if one of `unrevoked` did: a key that only came to its
    /// end takes nothing back, since rosters must still be erased by that manifest.
    pub fn believe(&mut self, keys: Vec<PublicKey>, unrevoked: &[PublicKey]) {
        self.party.keys = keys;
        if self.desired.is_some() && Desired::decode(&self.signed, &self.party.device, unrevoked).is_err() {
            self.desired = None;
            self.asked.clear();
            self.news = true;
        }
    }

    /// A connection stands.
    pub fn line_up(&mut self) {
        self.is_up = true;
        self.quiet = None;
        self.news = true;
        self.fruitless = 0;
        self.asked.clear();
    }

    /// The connection is gone.
    pub fn line_down(&mut self) {
        self.is_up = false;
    }

    /// The report could not be handed over: it is still news, after a pause or on another connection.
    pub fn unreported(&mut self, now: MonoTime) {
        self.quiet = Some(now.after(QUIET_PAUSE));
        self.news = true;
    }

    /// A manifest came.
    pub fn desired(&mut self, bytes: &[u8]) -> Judged {
        // A retained message that was cleared.
        if bytes.is_empty() {
            return Judged::Known;
        }
        let desired = match Desired::decode(bytes, &self.party.device, &self.party.keys) {
            Ok(desired) => desired,
            Err(DesiredError::NotSigned) => return self.refuse_manifest(RefusalReason::NotSigned),
            Err(DesiredError::OtherDevice) => return self.refuse_manifest(RefusalReason::OtherDevice),
            Err(DesiredError::TooLong | DesiredError::Malformed) => {
                return self.refuse_manifest(RefusalReason::Malformed);
            }
        };
        if let Some(in_force) = &self.desired {
            if *in_force == desired {
                return Judged::Known;
            }
            if desired.serial <= in_force.serial {
                return self.refuse_manifest(RefusalReason::Replayed);
            }
        }
        self.desired = Some(desired);
        self.signed = bytes.to_vec();
        self.is_fresh = true;
        self.settled.clear();
        self.unfit.clear();
        self.refused = None;
        self.asked.clear();
        self.fruitless = 0;
        self.paused = None;
        self.news = true;
        Judged::InForce
    }

    fn refuse_manifest(&mut self, reason: RefusalReason) -> Judged {
        self.tell(Refused { exam: None, version: None, reason });
        Judged::Refused(reason)
    }

    /// Whether to keep a chunk that came: it has its digest, and is of use.
    #[must_use]
    pub fn wants(&self, digest: &Digest, bytes: &[u8]) -> bool {
        bytes.len() <= chunk::MAX_CHUNK && self.missing().contains(digest) && Digest::of(bytes) == *digest
    }

    /// The disk holds this chunk, with these bytes.
    pub fn kept(&mut self, digest: Digest, bytes: &[u8], now: MonoTime) {
        self.kept.insert(digest);
        if self.asked.remove(&digest) {
            self.fruitless = 0;
            self.due = (!self.asked.is_empty()).then(|| now.after(PATIENCE));
        }
        let named = self.pending().find_map(|wanted| {
            let way = self.ways(wanted).find(|way| way.index == digest)?;
            Some((wanted.clone(), way))
        });
        let Some((wanted, way)) = named else { return };
        match chunk::index(bytes, way.size) {
            Ok(listed) => drop(self.indices.insert(digest, listed)),
            Err(_) if way.is_difference => self.unfit(&wanted.exam),
            Err(_) => self.settle(&wanted, RefusalReason::Damaged),
        }
    }

    /// The disk does not hold this chunk any more, or holds it damaged.
    pub fn lost(&mut self, digest: &Digest) {
        self.kept.remove(digest);
        self.indices.remove(digest);
    }

    /// A roster was applied, or why not.
    pub fn applied(&mut self, wanted: &Wanted, done: Result<(), RefusalReason>, now: MonoTime) {
        match done {
            Ok(()) => {
                self.held.insert(wanted.exam.clone(), Held { version: wanted.version, whole: Some(wanted.whole) });
                self.news = true;
            }
            Err(RefusalReason::Storage) => self.storage_failed(Some(wanted), now),
            Err(reason) => self.settle(wanted, reason),
        }
    }

    /// The difference of this exam does not lead to the edition that is wanted: the whole bundle is asked for.
    pub fn unfit(&mut self, exam: &ExamId) {
        self.unfit.insert(exam.clone());
        self.asked.clear();
    }

    /// Bundles are to be sealed to this recipient from `now` on.
    pub fn sealed_to(&mut self, recipient: String, now: MonoTime) {
        if self.party.recipient != recipient {
            (self.party.recipient, self.news) = (recipient, true);
            (self.has_used, self.replaced) = (true, Some(now));
        }
    }

    /// Whether used prekeys have served their time: they are kept for a while, and as long as a roster is on its way.
    fn retires(&mut self, now: MonoTime) -> bool {
        if !self.has_used {
            return false;
        }
        let since = *self.replaced.get_or_insert(now);
        let is_over = now.since(since) >= KEEP_PREKEYS && self.pending().next().is_none();
        self.has_used = !is_over;
        is_over
    }

    /// An exam was erased, or not: then it is tried again after a pause.
    pub fn erased(&mut self, exam: &ExamId, done: bool, now: MonoTime) {
        if !done {
            return self.storage_failed(None, now);
        }
        self.held.remove(exam);
        self.settled.insert(exam.clone());
        self.news = true;
    }

    /// The disk does not take what should be kept: nothing is asked for until a pause is over.
    pub fn storage_failed(&mut self, wanted: Option<&Wanted>, now: MonoTime) {
        self.paused = Some(now.after(STORAGE_PAUSE));
        self.asked.clear();
        let (exam, version) = wanted.map(|wanted| (wanted.exam.clone(), wanted.version)).unzip();
        self.tell(Refused { exam, version, reason: RefusalReason::Storage });
    }

    /// What is held.
    #[must_use]
    pub const fn held(&self) -> &BTreeMap<ExamId, Held> {
        &self.held
    }

    /// The last refusal since the manifest in force came.
    #[must_use]
    pub const fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// What to do now.
    pub fn next(&mut self, now: MonoTime, wall: Wall) -> Next {
        self.paused = self.paused.filter(|&until| until > now);
        if self.paused.is_none() {
            if let Some(step) = self.judge(wall) {
                return step;
            }
            if self.retires(now) {
                return Next::Retire;
            }
            let of_no_use: Vec<Digest> = self.of_no_use();
            if !of_no_use.is_empty() {
                return Next::Forget(of_no_use);
            }
        }
        self.quiet = self.quiet.filter(|&until| until > now);
        if !self.is_up || self.quiet.is_some() {
            return Next::Wait(self.paused.into_iter().chain(self.quiet).min());
        }
        let missing = if self.paused.is_some() { Vec::new() } else { self.missing_in_order() };
        let is_overdue = self.due.is_some_and(|due| due <= now) && !self.asked.is_empty();
        if is_overdue {
            self.fruitless += 1;
        }
        if self.news || is_overdue || (self.asked.is_empty() && !missing.is_empty()) {
            self.news = false;
            self.asked = missing.iter().copied().collect();
            let interval = LONGEST.min(PATIENCE.saturating_mul(1 << self.fruitless.min(16)));
            self.due = (!missing.is_empty()).then(|| now.after(interval));
            return Next::Report(Box::new(self.report(wall.shows, missing)));
        }
        Next::Wait(self.due.into_iter().chain(self.paused).min())
    }

    /// The first thing to do about an exam, if there is anything but to ask.
    fn judge(&mut self, wall: Wall) -> Option<Next> {
        let desired = self.desired.clone()?;
        if let Some(exam) = desired.erase.iter().find(|exam| self.held.contains_key(exam)) {
            return Some(Next::Erase(exam.clone()));
        }
        for wanted in &desired.exams {
            if self.settled.contains(&wanted.exam) {
                continue;
            }
            let held = self.held.get(&wanted.exam).copied();
            if wall.is_trusted && wall.shows >= wanted.expires {
                if held.is_some_and(|held| held.version <= wanted.version) {
                    return Some(Next::Erase(wanted.exam.clone()));
                }
                // What was erased before a restart is not refused after it.
                if self.is_fresh {
                    self.settle(wanted, RefusalReason::Expired);
                } else {
                    self.settled.insert(wanted.exam.clone());
                }
                continue;
            }
            if held.is_some_and(|held| is_it(held, wanted)) {
                continue;
            }
            let refusal = match held {
                Some(held) if held.version > wanted.version => Some(RefusalReason::RolledBack),
                Some(held) if held.version == wanted.version => Some(RefusalReason::Conflicting),
                Some(_) | None => (wanted.space != self.party.space).then_some(RefusalReason::OtherSpace),
            };
            if let Some(reason) = refusal {
                self.settle(wanted, reason);
                continue;
            }
            // Of either way, so that no piece of it is forgotten.
            let unread = |way: &Way| self.kept.contains(&way.index) && !self.indices.contains_key(&way.index);
            if let Some(way) = self.ways(wanted).find(unread) {
                return Some(Next::Read(way.index));
            }
            let way = self.way(wanted);
            let listed = self.indices.get(&way.index);
            if let Some(listed) = listed.filter(|listed| listed.iter().all(|digest| self.kept.contains(digest))) {
                let (wanted, pieces) = (Box::new(wanted.clone()), listed.clone());
                let apply = if way.is_difference { Next::ApplyDifference } else { Next::Apply };
                return Some(apply(wanted, pieces));
            }
        }
        None
    }

    fn settle(&mut self, wanted: &Wanted, reason: RefusalReason) {
        self.settled.insert(wanted.exam.clone());
        self.tell(Refused { exam: Some(wanted.exam.clone()), version: Some(wanted.version), reason });
    }

    fn tell(&mut self, refused: Refused) {
        self.news |= self.refused.as_ref() != Some(&refused);
        self.refused = Some(refused);
    }

    /// The exams of the manifest that are neither held nor settled.
    fn pending(&self) -> impl Iterator<Item = &Wanted> {
        let exams = self.desired.iter().flat_map(|desired| &desired.exams);
        exams.filter(|wanted| {
            !self.settled.contains(&wanted.exam)
                && !self.held.get(&wanted.exam).is_some_and(|&held| is_it(held, wanted))
        })
    }

    /// The difference of this exam, if the edition that it starts from is the one held.
    fn difference<'w>(&self, wanted: &'w Wanted) -> Option<&'w WantedDifference> {
        let (difference, held) = (wanted.difference.as_ref()?, self.held.get(&wanted.exam)?);
        let is_base = held.version == difference.base && held.whole == Some(difference.from);
        (is_base && !self.unfit.contains(&wanted.exam)).then_some(difference)
    }

    /// The ways to this exam's edition, the shortest first.
    fn ways(&self, wanted: &Wanted) -> impl Iterator<Item = Way> + use<> {
        let shorter = self.difference(wanted);
        let shorter = shorter.map(|shorter| Way { index: shorter.index, size: shorter.size, is_difference: true });
        shorter.into_iter().chain([Way { index: wanted.index, size: wanted.size, is_difference: false }])
    }

    fn way(&self, wanted: &Wanted) -> Way {
        self.ways(wanted).next().expect("there is always the whole bundle")
    }

    /// Its index, then its pieces as far as they are known.
    fn pieces(&self, way: Way) -> impl Iterator<Item = Digest> {
        std::iter::once(way.index).chain(self.indices.get(&way.index).into_iter().flatten().copied())
    }

    /// What pending exams need, in order.
    fn needed(&self) -> impl Iterator<Item = Digest> {
        self.pending().flat_map(|wanted| self.pieces(self.way(wanted)))
    }

    fn missing(&self) -> BTreeSet<Digest> {
        self.needed().filter(|digest| !self.kept.contains(digest)).collect()
    }

    fn missing_in_order(&self) -> Vec<Digest> {
        let mut seen = BTreeSet::new();
        self.needed().filter(|digest| !self.kept.contains(digest) && seen.insert(*digest)).take(MAX_ASKED).collect()
    }

    fn of_no_use(&self) -> Vec<Digest> {
        // A whole bundle that is half here stays while its difference is tried.
        let of_use: BTreeSet<Digest> =
            self.pending().flat_map(|wanted| self.ways(wanted).flat_map(|way| self.pieces(way))).collect();
        self.kept.difference(&of_use).copied().collect()
    }

    fn report(&self, at: Timestamp, missing: Vec<Digest>) -> Reported {
        let held =
            |(exam, held): (&ExamId, &Held)| HeldExam { exam: exam.clone(), version: held.version, whole: held.whole };
        Reported {
            device: self.party.device.clone(),
            at,
            serial: self.desired.as_ref().map_or(0, |desired| desired.serial),
            recipient: self.party.recipient.clone(),
            space: self.party.space.clone(),
            held: self.held.iter().map(held).collect(),
            missing,
            refused: self.refused.clone(),
            lost_cards: self.lost_cards,
            trust: self.trust,
            reads: Some(bundle::NEWEST),
        }
    }
}

/// The pieces by which one edition may come.
#[derive(Clone, Copy, Debug)]
struct Way {
    index: Digest,
    size: u64,
    is_difference: bool,
}

fn is_it(held: Held, wanted: &Wanted) -> bool {
    held.version == wanted.version && held.whole == Some(wanted.whole)
}

#[cfg(test)]
mod tests;
