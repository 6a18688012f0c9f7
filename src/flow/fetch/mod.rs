//! Brings the rosters that the fleet pushes to this box. `plan` decides; this keeps chunks, applies, erases and reports.
//!
//! A message is acknowledged when what it says is on disk. It never touches a roster in force but to replace it whole, and
//! never judges who may write to the broker: signatures and digests do.

mod disk;
mod plan;
mod prekeys;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

use self::disk::NotApplied;
pub use self::{
    disk::Disk,
    plan::{Held, Judged, Next, Party, Plan, Wall},
    prekeys::{PrekeyError, Prekeys},
};
use super::trust::FleetKeysView;
use crate::{
    domain::{ClockTrust, DeviceId, ExamId, WithSources},
    edge::{
        clock::Clock,
        mqtt::{Arrived, Line, Link},
    },
    store::{IncomingError, LayoutError},
    wire::{
        desired::{MAX_DESIRED, Wanted},
        digest::Digest,
        keys::SigningKey,
        reported::{HeldTrust, RefusalReason},
        topic::{self, DeviceTopic},
    },
};

/// How often the wall clock is looked at for what has expired.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Most messages that wait for the disk.
pub const WAITING: usize = 64;

/// What the driver subscribes to.
#[must_use]
pub fn filters(device: &DeviceId) -> Vec<String> {
    vec![DeviceTopic::Desired.of(device), topic::chunks_of(device)]
}

/// Why rosters cannot be brought.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What came cannot be looked through.
    #[error("what the fleet sent before cannot be read")]
    Incoming(#[from] IncomingError),
    /// The rosters cannot be listed.
    #[error("the rosters held cannot be listed")]
    Rosters(#[from] LayoutError),
}

/// The line as this driver uses it.
pub struct Connected {
    /// How the link stands.
    pub link: watch::Receiver<Link>,
    /// What came on [`filters`].
    pub arrivals: mpsc::Receiver<Arrived>,
}

/// The driver of one box's rosters. Its own task.
pub struct Fetch {
    plan: Plan,
    disk: Arc<Disk>,
    device: DeviceId,
    key: SigningKey,
    connected: Connected,
    line: Option<Line>,
    clock: Arc<dyn Clock>,
    held: watch::Sender<BTreeMap<ExamId, Held>>,
    lost_cards: Option<watch::Receiver<Option<u64>>>,
    trust: Option<watch::Receiver<HeldTrust>>,
    keys: Option<FleetKeysView>,
    /// The last manifest that no key signed which counted then: looked at again when other keys count.
    unsigned: Option<Vec<u8>>,
    rotations: mpsc::Receiver<Rotation>,
}

/// Somebody wants a new prekey, and waits for whom bundles are sealed to from then on.
pub type Rotation = oneshot::Sender<Result<String, PrekeyError>>;

impl Fetch {
    /// Prepares. Reports are signed with `key`. The receiver tells what is held. Reads the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn new(
        party: Party,
        key: SigningKey,
        disk: Disk,
        connected: Connected,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, watch::Receiver<BTreeMap<ExamId, Held>>), FetchError> {
        let (held, kept, manifest) = (disk.held()?, disk.kept()?, disk.incoming.manifest()?);
        let (told, holds) = watch::channel(held.clone());
        let device = party.device.clone();
        let plan = Plan::new(party, held, kept, manifest.as_deref());
        // Nobody rotates until somebody is to.
        let (_, rotations) = mpsc::channel(1);
        Ok((
            Self {
                plan,
                disk: Arc::new(disk),
                device,
                key,
                connected,
                line: None,
                clock,
                held: told,
                lost_cards: None,
                trust: None,
                keys: None,
                unsigned: None,
                rotations,
            },
            holds,
        ))
    }

    /// Reports the serial of the list of lost cards in force, too.
    #[must_use]
    pub fn reporting(mut self, mut lost_cards: watch::Receiver<Option<u64>>) -> Self {
        self.plan.lost_cards(*lost_cards.borrow_and_update());
        Self { lost_cards: Some(lost_cards), ..self }
    }

    /// Reports which trust document is held, too.
    #[must_use]
    pub fn reporting_trust(mut self, mut held: watch::Receiver<HeldTrust>) -> Self {
        self.plan.trust(*held.borrow_and_update());
        Self { trust: Some(held), ..self }
    }

    /// Believes manifests by the roster keys that count at each time, in place of those it began with.
    #[must_use]
    pub fn believing(mut self, mut keys: FleetKeysView) -> Self {
        let count = keys.borrow_and_update().clone();
        self.plan.believe(count.roster.clone(), &count.unrevoked_roster);
        Self { keys: Some(keys), ..self }
    }

    /// Makes a new prekey whenever that is asked for on the sender.
    #[must_use]
    pub fn rotating(mut self) -> (Self, mpsc::Sender<Rotation>) {
        let (rotate, rotations) = mpsc::channel(1);
        self.rotations = rotations;
        (self, rotate)
    }

    /// The one before stays until what was pushed by it has come, as after a use.
    async fn rotate(&mut self, told: Rotation) {
        let made = self.on_disk(|disk| disk.prekeys.rotate()).await;
        if let Ok(recipient) = &made {
            tracing::info!("rosters are sealed to a new key from now on");
            self.plan.sealed_to(recipient.clone(), self.clock.mono());
        }
        // Whoever gave up waiting sees it in the report.
        let _ = told.send(made);
    }

    /// Brings rosters until the link is closed for good.
    pub async fn run(mut self) {
        self.connected.link.mark_changed();
        loop {
            let wall = Wall { shows: self.clock.wall(), is_trusted: self.clock.trust() != ClockTrust::Untrusted };
            let until = match self.plan.next(self.clock.mono(), wall) {
                Next::Wait(until) => until,
                step @ (Next::Report(_)
                | Next::Read(_)
                | Next::Apply(..)
                | Next::ApplyDifference(..)
                | Next::Erase(_)
                | Next::Retire
                | Next::Forget(_)) => {
                    self.step(step).await;
                    continue;
                }
            };
            let pause = until.map_or(LOOK_EVERY, |until| LOOK_EVERY.min(until.since(self.clock.mono())));
            tokio::select! {
                changed = self.connected.link.changed() => {
                    let link = self.connected.link.borrow_and_update().clone();
                    match link {
                        Link::Up(line) => {
                            self.line = Some(line);
                            self.plan.line_up();
                        }
                        Link::Connecting { .. } | Link::Down { .. } => {
                            self.line = None;
                            self.plan.line_down();
                        }
                        Link::Closed => return,
                    }
                    if changed.is_err() {
                        return;
                    }
                }
                Some(arrived) = self.connected.arrivals.recv() => self.arrived(&arrived).await,
                serial = next(&mut self.lost_cards) => self.plan.lost_cards(serial),
                held = next(&mut self.trust) => self.plan.trust(held),
                count = next(&mut self.keys) => {
                    self.plan.believe(count.roster.clone(), &count.unrevoked_roster);
                    if let Some(bytes) = self.unsigned.take() {
                        self.desired(&bytes).await;
                    }
                }
                Some(told) = self.rotations.recv() => self.rotate(told).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn step(&mut self, step: Next) {
        match step {
            Next::Wait(_) => {}
            Next::Report(report) => {
                let topic = DeviceTopic::Reported.of(&self.device);
                let sent = self.line.as_ref().map(|line| line.try_retain(topic, report.encode(&self.key)));
                if !matches!(sent, Some(Ok(()))) {
                    self.plan.unreported(self.clock.mono());
                }
            }
            Next::Read(digest) => match self.on_disk(move |disk| disk.chunk(&digest)).await {
                Some(bytes) => self.plan.kept(digest, &bytes, self.clock.mono()),
                None => self.plan.lost(&digest),
            },
            Next::Apply(wanted, pieces) => {
                let applying = wanted.clone();
                let done = self.on_disk(move |disk| disk.apply(&applying, &pieces)).await;
                self.applied(&wanted, done).await;
            }
            Next::ApplyDifference(wanted, pieces) => {
                let applying = wanted.clone();
                let done = self.on_disk(move |disk| disk.apply_difference(&applying, &pieces)).await;
                self.applied(&wanted, done).await;
            }
            Next::Erase(exam) => {
                let erasing = exam.clone();
                let done = self.on_disk(move |disk| disk.erase(&erasing)).await;
                if done {
                    tracing::info!(%exam, "an exam was erased with its key");
                }
                self.plan.erased(&exam, done, self.clock.mono());
                self.held.send_replace(self.plan.held().clone());
            }
            Next::Retire => self.on_disk(Disk::destroy_used_prekeys).await,
            Next::Forget(digests) => {
                let removing = digests.clone();
                self.on_disk(move |disk| {
                    for digest in removing {
                        if let Err(error) = disk.incoming.remove(&digest.to_string()) {
                            tracing::warn!(error = %WithSources(&error), "a chunk that is of no use stays");
                        }
                    }
                })
                .await;
                digests.iter().for_each(|digest| self.plan.lost(digest));
            }
        }
    }

    async fn applied(&mut self, wanted: &Wanted, done: Result<(), NotApplied>) {
        let (exam, version) = (&wanted.exam, wanted.version.0);
        let done = match done {
            Err(NotApplied::Lost(digest)) => return self.plan.lost(&digest),
            Err(NotApplied::Unfit(why)) => {
                tracing::warn!(%exam, version, why, "a difference is of no use: the whole roster is asked for");
                self.plan.unfit(exam);
                return self.report_recipient().await;
            }
            Err(NotApplied::Refused(reason)) => Err(reason),
            Ok(()) => Ok(()),
        };
        match done {
            Ok(()) => tracing::info!(%exam, version, "a roster that the fleet sent is in force"),
            Err(reason) => {
                tracing::error!(%exam, version, %reason, "alarm: a roster that the fleet sent was refused")
            }
        }
        self.plan.applied(wanted, done, self.clock.mono());
        self.report_recipient().await;
        self.held.send_replace(self.plan.held().clone());
    }

    /// What was opened may have been sealed to the newest prekey, and there is a newer one then.
    async fn report_recipient(&mut self) {
        if let Some(recipient) = self.on_disk(Disk::recipient).await {
            self.plan.sealed_to(recipient, self.clock.mono());
        }
    }

    async fn arrived(&mut self, arrived: &Arrived) {
        if let Some((device, digest)) = topic::parse_chunk(&arrived.topic)
            && device == self.device
        {
            self.chunk(digest, &arrived.payload).await;
        } else if arrived.topic == DeviceTopic::Desired.of(&self.device) {
            self.desired(&arrived.payload).await;
        }
    }

    async fn desired(&mut self, bytes: &[u8]) {
        match self.plan.desired(bytes) {
            Judged::Known => {}
            Judged::Refused(reason) => {
                tracing::error!(%reason, "alarm: a manifest was refused; what was in force before stays");
                // The trust document with its key may be on its way: what is retained comes in any order.
                if self.keys.is_some() && reason == RefusalReason::NotSigned && bytes.len() <= MAX_DESIRED {
                    self.unsigned = Some(bytes.to_vec());
                }
            }
            Judged::InForce => {
                self.unsigned = None;
                let bytes = bytes.to_vec();
                if let Err(error) = self.on_disk(move |disk| disk.incoming.set_manifest(&bytes)).await {
                    self.not_kept(&error);
                }
            }
        }
    }

    async fn chunk(&mut self, digest: Digest, bytes: &[u8]) {
        if !self.plan.wants(&digest, bytes) {
            tracing::debug!("a chunk that is of no use was dropped");
            return;
        }
        let content = bytes.to_vec();
        match self.on_disk(move |disk| disk.incoming.keep(&digest.to_string(), &content)).await {
            Ok(()) => self.plan.kept(digest, bytes, self.clock.mono()),
            Err(error) => self.not_kept(&error),
        }
    }

    fn not_kept(&mut self, error: &IncomingError) {
        tracing::error!(error = %WithSources(error), "what the fleet sent cannot be kept");
        self.plan.storage_failed(None, self.clock.mono());
    }

    /// Runs `work` where it may block.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&Disk) -> T + Send + 'static) -> T {
        let disk = Arc::clone(&self.disk);
        tokio::task::spawn_blocking(move || work(&disk)).await.expect("the disk's work does not panic")
    }
}

/// The next value; never, where none is followed.
async fn next<T: Clone>(followed: &mut Option<watch::Receiver<T>>) -> T {
    if let Some(followed) = followed
        && followed.changed().await.is_ok()
    {
        return followed.borrow_and_update().clone();
    }
    // The follower is gone, which its own end tells.
    std::future::pending().await
}
