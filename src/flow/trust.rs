//! Follows the fleet's trust document: keeps the newest one on disk, and tells every part of the box which keys of the fleet count now.
//!
//! A document counts when the box's root signed it, its version is higher and its date not earlier than that of the one held. Anything
//! else is refused with an alarm and reported, and the one held stays. Keys begin and end by their dates without a new document. What a
//! part does with a key is its own affair.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::interval,
};

use crate::{
    domain::{ClockTrust, Right, Timestamp, WithSources},
    edge::{clock::Clock, mqtt::Arrived},
    store::{Incoming, IncomingError},
    wire::{
        keys::PublicKey,
        reported::HeldTrust,
        seal::Recipient,
        trust::{Purpose, TrustDocument, TrustError, TrustedKey},
    },
};

/// Most documents that wait for the disk.
pub const WAITING: usize = 4;

/// How often it is looked which keys have begun or ended.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Somebody whose commands count, known by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commander {
    /// Signs the commands.
    pub key: PublicKey,
    /// What events call it.
    pub name: Option<String>,
    /// What it may do; `None`: everything.
    pub may: Option<Vec<Right>>,
}

impl Commander {
    /// Whether it has this right.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.may.as_ref().is_none_or(|may| may.contains(&right))
    }
}

/// The fleet's keys that count for this box now. Without any, nobody is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetKeys {
    /// Whose manifests count.
    pub roster: Vec<PublicKey>,
    /// Whose commands and lists of lost cards count.
    pub commanders: Vec<Commander>,
    /// Whose receipts count.
    pub receipts: Vec<PublicKey>,
    /// Whom events are sealed to; `None`: to nobody, so they wait.
    pub collector: Option<Recipient>,
    /// Whose manifest stays in force once it is: keys that are not revoked, whatever their dates.
    pub unrevoked_roster: Vec<PublicKey>,
    /// Whose list of lost cards is read from the disk: keys that are not revoked, whatever their dates.
    pub unrevoked_lists: Vec<PublicKey>,
}

/// The keys that count, as every part of the box follows them.
pub type FleetKeysView = watch::Receiver<Arc<FleetKeys>>;

fn parsed<'a>(keys: impl IntoIterator<Item = &'a TrustedKey>) -> Vec<PublicKey> {
    // A document with a key that is none was refused.
    keys.into_iter().filter_map(|key| key.key.parse().ok()).collect()
}

fn commander(key: &TrustedKey) -> Option<Commander> {
    Some(Commander { key: key.key.parse().ok()?, name: key.name.clone(), may: key.may.clone() })
}

fn signs_lists(commander: &Commander) -> bool {
    commander.may(Right::LostCards)
}

impl FleetKeys {
    /// What `document` says at the time `now`. Of several recipients the one that counts longest is the newest.
    #[must_use]
    pub fn of(document: &TrustDocument, now: Timestamp) -> Self {
        let unrevoked = |purpose| {
            let stays = move |key: &&TrustedKey| key.purpose == purpose && !document.revoked.contains(&key.id());
            document.keys.iter().filter(stays)
        };
        let commanders = |keys: Vec<&TrustedKey>| keys.into_iter().filter_map(commander).collect::<Vec<_>>();
        let lists = commanders(unrevoked(Purpose::Command).collect());
        Self {
            roster: parsed(document.current(Purpose::Roster, now)),
            commanders: commanders(document.current(Purpose::Command, now)),
            receipts: parsed(document.current(Purpose::Receipt, now)),
            collector: document.current(Purpose::Events, now).first().and_then(|key| key.key.parse().ok()),
            unrevoked_roster: parsed(unrevoked(Purpose::Roster)),
            unrevoked_lists: lists.iter().filter(|one| signs_lists(one)).map(|one| one.key).collect(),
        }
    }

    /// Whose lists of lost cards count.
    #[must_use]
    pub fn lists(&self) -> Vec<PublicKey> {
        self.commanders.iter().filter(|one| signs_lists(one)).map(|one| one.key).collect()
    }

    /// These keys, for as long as the box runs.
    #[must_use]
    pub fn unchanging(self) -> FleetKeysView {
        watch::channel(Arc::new(self)).1
    }
}

/// Waits until other keys count. Never ends where they do not change.
pub async fn changed(keys: &mut FleetKeysView) {
    if keys.changed().await.is_err() {
        std::future::pending().await
    }
}

/// The time by which keys of `document` are judged. It was signed in the past: a clock before that is wrong. A clock that is not believed
/// begins and ends no key.
#[must_use]
pub fn time_for(document: &TrustDocument, clock: &dyn Clock) -> Timestamp {
    let issued = Timestamp::from_second(document.issued).unwrap_or(Timestamp::UNIX_EPOCH);
    if clock.trust() == ClockTrust::Untrusted { issued } else { issued.max(clock.wall()) }
}

/// The newest of the documents that a box has by itself: the one that came at enrolment, and the one that came last. What is wrong with
/// either is told to `refused`.
#[must_use]
pub fn newest(
    root: &PublicKey,
    enrolled: Option<&[u8]>,
    kept: Option<&[u8]>,
    mut refused: impl FnMut(&'static str, TrustError),
) -> Option<TrustDocument> {
    let mut held: Option<TrustDocument> = None;
    for (which, bytes) in [("that came last", kept), ("that came at enrolment", enrolled)] {
        match bytes.map(|bytes| TrustDocument::accept(bytes, root, held.as_ref())) {
            None | Some(Err(TrustError::Older { .. })) => {}
            Some(Ok(document)) => held = Some(document),
            Some(Err(error)) => refused(which, error),
        }
    }
    held
}

/// The driver of one box's trust document. Its own task.
pub struct FollowTrust {
    root: PublicKey,
    incoming: Arc<Incoming>,
    clock: Arc<dyn Clock>,
    held: Option<TrustDocument>,
    /// The document held, where the disk did not take it.
    unkept: Option<Vec<u8>>,
    told: watch::Sender<Arc<FleetKeys>>,
    report: watch::Sender<HeldTrust>,
}

impl FollowTrust {
    /// Reads the document on disk; `enrolled` is the one that came at enrolment. The receiver tells which keys count.
    ///
    /// # Errors
    /// When the disk cannot be read. A document that cannot be used is an alarm, and no error: the fleet's comes over the line.
    pub fn new(
        root: PublicKey,
        enrolled: Option<&[u8]>,
        incoming: Incoming,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, FleetKeysView), IncomingError> {
        let kept = incoming.trust()?;
        let held = newest(&root, enrolled, kept.as_deref(), |which, error| {
            tracing::error!(%error, "alarm: the trust document {which} cannot be used");
        });
        if held.is_none() {
            tracing::error!(%root, "no trust document is held: no roster, command or receipt counts until the fleet's comes");
        }
        let (told, view) = watch::channel(Arc::default());
        let version = held.as_ref().map_or(0, |document| document.version);
        let (report, _) = watch::channel(HeldTrust { version, refused: None });
        let follow = Self { root, incoming: Arc::new(incoming), clock, held, unkept: None, told, report };
        follow.count();
        Ok((follow, view))
    }

    /// Which document is held, as it changes. For the box's report.
    #[must_use]
    pub fn held(&self) -> watch::Receiver<HeldTrust> {
        self.report.subscribe()
    }

    /// Follows until nothing can come any more.
    pub async fn run(mut self, mut arrivals: mpsc::Receiver<Arrived>) {
        let mut looks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                arrived = arrivals.recv() => match arrived {
                    Some(arrived) => self.arrived(&arrived.payload).await,
                    None => return,
                },
                _ = looks.tick() => {
                    self.count();
                    self.keep().await;
                }
            }
        }
    }

    async fn arrived(&mut self, bytes: &[u8]) {
        // An empty payload clears the retained message at the broker. The document held stays.
        if bytes.is_empty() {
            return;
        }
        let document = match TrustDocument::accept(bytes, &self.root, self.held.as_ref()) {
            Ok(document) => document,
            Err(error) => {
                tracing::error!(%error, "alarm: a trust document was refused; the one before stays in force");
                self.report.send_modify(|held| held.refused = Some(error.into()));
                return;
            }
        };
        let version = document.version;
        self.report.send_if_modified(|held| {
            let now = HeldTrust { version, refused: None };
            std::mem::replace(held, now) != now
        });
        if self.held.as_ref() == Some(&document) {
            return;
        }
        self.held = Some(document);
        // It counts at once. A disk that fails makes the box forget it at its next start, and the broker says it again.
        self.count();
        tracing::info!(version, "a trust document of the fleet is in force");
        self.unkept = Some(bytes.to_vec());
        self.keep().await;
    }

    /// Tells which keys count now, if they are others than before.
    fn count(&self) {
        let Some(document) = &self.held else { return };
        let keys = FleetKeys::of(document, time_for(document, &*self.clock));
        let has_changed = self.told.send_if_modified(|told| {
            let is_other = **told != keys;
            if is_other {
                *told = Arc::new(keys);
            }
            is_other
        });
        if has_changed {
            let keys = self.told.borrow();
            let (roster, command, receipt) = (keys.roster.len(), keys.commanders.len(), keys.receipts.len());
            tracing::info!(version = document.version, roster, command, receipt, "these keys of the fleet count now");
        }
    }

    /// Puts what the disk does not have yet on it.
    async fn keep(&mut self) {
        let Some(bytes) = self.unkept.take() else { return };
        let (incoming, writing) = (Arc::clone(&self.incoming), bytes.clone());
        match tokio::task::spawn_blocking(move || incoming.set_trust(&writing)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %WithSources(&error), "the trust document cannot be kept; it is tried again");
                self.unkept = Some(bytes);
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests;
