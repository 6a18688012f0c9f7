//! Renews the certificate that the box shows to the broker, long before it ends, and hands over to another signing key. Its own task.
//!
//! ```text
//! two thirds of its life ──► new key ──► the fleet signs ──► one file on disk ──► connect with it ──► erase those before
//! ```
//!
//! Certificate and key are one file, so a crash at any point leaves a pair that works: the newest that is whole, and those before it until
//! a connection came up with the newest. The request is signed with the key that signs events, so a certificate that has ended
//! meanwhile is renewed like any other. While the clock is not believed nothing is asked: it cannot tell what is due.
//!
//! A hand-over is ordered, and the fleet must have allowed it. It is noted before it is asked for. Once the fleet has answered, the box
//! starts again, and before anything is sent a new epoch begins, with all that waits, signed by the new key. Asked in vain it is asked
//! again, since the fleet may believe the new key already.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    domain::{DeviceId, Epoch, MonoTime, Timestamp, WithSources},
    edge::{
        clock::Clock,
        enrolment::{Endpoint, EnrolmentFault, Pair, PairError, validity},
        mqtt::{Renewing, Tls},
    },
    store::{EventError, EventStore, HandOverNote, KeyError, KeyFolder},
    wire::{
        keys::{PublicKey, SigningKey},
        renewal::HandOver,
    },
};

/// What the keys of renewed certificates are locked for, see [`KeyFolder::passphrase`].
pub const PURPOSE: &str = "tls";

/// How often it is looked whether a certificate is due.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long the line stays as it is after a command asked for another certificate, so that the answer goes out on it.
const ANSWER_FIRST: Duration = Duration::from_secs(1);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum RenewalFault {
    /// The fleet gave none.
    #[error("the fleet gave no new certificate")]
    Ask(#[from] EnrolmentFault),
    /// Its key cannot be locked.
    #[error("the new certificate cannot be put into a file")]
    Lock(#[from] PairError),
    /// The disk.
    #[error("the new certificate or key cannot be kept")]
    Keep(#[from] KeyError),
    /// The events.
    #[error("the newest event cannot be read")]
    Events(#[from] EventError),
}

/// What came of an order.
#[derive(Debug)]
pub struct Renewed {
    /// When the new certificate ends.
    pub until: Timestamp,
    /// The signing key that the box goes over to when it starts again, or why it keeps the one it has.
    pub signing: Result<PublicKey, RenewalFault>,
}

/// Somebody wants new keys at once, and waits for what came of it, or why there is no new certificate.
pub type Order = oneshot::Sender<Result<Renewed, RenewalFault>>;

/// Pauses after a fault: doubled from the first to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_secs(60), longest: Duration::from_secs(6 * 60 * 60) }
    }
}

/// Who asks, and whom it believes.
pub struct Party {
    /// This box.
    pub device: DeviceId,
    /// Its signing key.
    pub own: SigningKey,
    /// The authorities that may issue its certificate (PEM).
    pub authorities: Vec<u8>,
}

/// The newest certificate that the box has.
pub struct Newest {
    /// Its number among those that were renewed; `None`: the box was enrolled with it.
    pub number: Option<u32>,
    /// The certificate (PEM).
    pub certificate: Vec<u8>,
}

/// The driver of renewals.
pub struct Renew {
    party: Arc<Party>,
    endpoint: Endpoint,
    keys: KeyFolder,
    newest: Newest,
    line: Renewing,
    clock: Arc<dyn Clock>,
    pauses: Pauses,
    /// After a fault: how long the next pause is, and until when this one lasts.
    pause: Duration,
    until: MonoTime,
    /// A hand-over was asked for and not answered.
    unanswered: bool,
}

impl Renew {
    /// Prepares renewals at `endpoint`.
    #[must_use]
    pub fn new(
        party: Party,
        (endpoint, keys): (Endpoint, KeyFolder),
        newest: Newest,
        line: Renewing,
        clock: Arc<dyn Clock>,
        pauses: Pauses,
    ) -> Self {
        let (pause, until) = (pauses.first, clock.mono());
        let unanswered = matches!(keys.hand_over(), Ok(Some(HandOverNote { accepted: false, .. })));
        Self { party: Arc::new(party), endpoint, keys, newest, line, clock, pauses, pause, until, unanswered }
    }

    /// Renews what is due and what is ordered, for as long as it is polled. Hand-overs name the newest event of `events`; once one that nobody
    /// waits for was accepted, `restart` is told.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>, events: Arc<Mutex<EventStore>>, restart: impl Fn()) {
        let mut line_lives = true;
        loop {
            let rest = self.rest();
            tokio::select! {
                changed = self.line.used.changed(), if line_lives => {
                    line_lives = changed.is_ok();
                    self.forget().await;
                }
                Some(order) = orders.recv() => {
                    let (told, tls) = self.both(&events).await;
                    // Who asked starts the box again after a hand-over, but may be gone.
                    if let Err(Ok(Renewed { signing: Ok(_), .. })) = order.send(told) {
                        restart();
                    }
                    if let Some(tls) = tls {
                        tokio::time::sleep(ANSWER_FIRST).await;
                        self.connect(tls).await;
                    }
                }
                () = tokio::time::sleep(rest) => {
                    if self.rest().is_zero() {
                        self.due(&events, &restart).await;
                    }
                }
            }
        }
    }

    /// Another signing key and certificate, or, where the fleet does not allow the first, the second alone.
    async fn both(&mut self, events: &Arc<Mutex<EventStore>>) -> (Result<Renewed, RenewalFault>, Option<Tls>) {
        let refused = match self.hand_over(events).await {
            Ok((next, until, tls)) => return (Ok(Renewed { until, signing: Ok(next) }), Some(tls)),
            Err(fault) => fault,
        };
        match self.renew().await {
            Ok((until, tls)) => (Ok(Renewed { until, signing: Err(refused) }), Some(tls)),
            Err(fault) => (Err(fault), None),
        }
    }

    /// How long there is nothing to do.
    fn rest(&self) -> Duration {
        let (now, mono) = (self.clock.wall(), self.clock.mono());
        let Some(validity) = validity(&self.newest.certificate).filter(|_| self.clock.trust().is_usable()) else {
            return LOOK_EVERY;
        };
        let due = match self.unanswered {
            true => Duration::ZERO,
            false => Duration::try_from(validity.renew_at().duration_since(now)).unwrap_or_default(),
        };
        due.max(self.until.since(mono)).min(LOOK_EVERY)
    }

    /// Does what is due, and waits longer after every fault.
    async fn due(&mut self, events: &Arc<Mutex<EventStore>>, restart: &impl Fn()) {
        let done = match self.unanswered {
            true => self.hand_over(events).await.map(|(_, until, tls)| (until, tls, true)),
            false => self.renew().await.map(|(until, tls)| (until, tls, false)),
        };
        match done {
            Ok((until, tls, hands_over)) => {
                self.pause = self.pauses.first;
                tracing::info!(%until, "the certificate for the broker was renewed");
                self.connect(tls).await;
                if hands_over {
                    restart();
                }
            }
            Err(fault) => {
                self.until = self.clock.mono().after(self.pause);
                tracing::warn!(fault = %WithSources(&fault), retry_in = ?self.pause, "new keys are due and did not come");
                self.pause = self.pauses.longest.min(self.pause * 2);
            }
        }
    }

    /// Gets a new certificate and puts it on the disk.
    async fn renew(&mut self) -> Result<(Timestamp, Tls), RenewalFault> {
        let (party, endpoint, keys) = (Arc::clone(&self.party), self.endpoint.clone(), self.keys.clone());
        let asked = blocking(move || {
            let pair = endpoint.renew(&party.device, &party.own, &party.authorities)?;
            keep(&keys, pair)
        });
        let kept = asked.await?;
        Ok(self.took(kept))
    }

    /// Hands over to the next signing key. The note on the disk says what was asked for, so that it is asked for in the same words.
    async fn hand_over(
        &mut self,
        events: &Arc<Mutex<EventStore>>,
    ) -> Result<(PublicKey, Timestamp, Tls), RenewalFault> {
        let (party, endpoint, keys) = (Arc::clone(&self.party), self.endpoint.clone(), self.keys.clone());
        let events = Arc::clone(events);
        let asked = blocking(move || {
            let (number, seed) = keys.next_signing_seed()?;
            let next = SigningKey::from_seed(&seed);
            let note = match keys.hand_over()?.filter(|note| note.number == number) {
                Some(note) => note,
                None => {
                    let (ends, last, hash) = events.lock().unwrap_or_else(PoisonError::into_inner).place()?;
                    let begins = Epoch(Uuid::now_v7());
                    let note = HandOverNote { number, ends, last, hash, begins, accepted: false };
                    keys.note_hand_over(&note)?;
                    note
                }
            };
            let HandOverNote { ends, last, hash, begins, .. } = note;
            let (device, takes) = (party.device.clone(), next.public());
            let what = |csr| HandOver { device, next: takes, ends, last, hash, begins, csr };
            let pair = endpoint.hand_over(what, &party.device, (&party.own, &next), &party.authorities)?;
            // From here on the fleet believes the new key alone, and the box goes over at its next start.
            keys.note_hand_over(&HandOverNote { accepted: true, ..note })?;
            Ok::<_, RenewalFault>((takes, keep(&keys, pair)?))
        });
        let asked = asked.await;
        // A refusal is an answer; it is asked again at the next start or order, since anybody between could have given it.
        self.unanswered = !matches!(asked, Ok(_) | Err(RenewalFault::Ask(EnrolmentFault::Refused { status: 403, .. })));
        let (next, kept) = asked?;
        let (until, tls) = self.took(kept);
        tracing::warn!(%next, "the fleet believes the new signing key: the box goes over to it at its next start");
        Ok((next, until, tls))
    }

    /// The box has another certificate.
    fn took(&mut self, (number, Pair { certificate, key }): (u32, Pair)) -> (Timestamp, Tls) {
        let until = validity(&certificate).map_or(Timestamp::UNIX_EPOCH, |validity| validity.until);
        self.newest = Newest { number: Some(number), certificate: certificate.clone() };
        (until, Tls { authority: self.party.authorities.clone(), certificate, key })
    }

    async fn connect(&self, tls: Tls) {
        if self.line.to.send(tls).await.is_err() {
            tracing::debug!("the line is closed: the new certificate is used at the next start");
        }
    }

    /// Erases what came before the newest certificate, once the broker has taken that.
    async fn forget(&mut self) {
        let is_used = self.line.used.borrow_and_update().as_deref() == Some(&self.newest.certificate[..]);
        let (Some(number), true) = (self.newest.number, is_used) else { return };
        let keys = self.keys.clone();
        match blocking(move || keys.erase_renewed_below(number)).await {
            Ok(0) => {}
            Ok(erased) => {
                tracing::info!(erased, "the broker takes the new certificate; keys of those before were erased")
            }
            Err(error) => tracing::error!(error = %WithSources(&error), "keys of former certificates cannot be erased"),
        }
    }
}

/// Puts a new pair on the disk, and gives its number.
fn keep(keys: &KeyFolder, pair: Pair) -> Result<(u32, Pair), RenewalFault> {
    let number = keys.add_renewed(&pair.lock(&keys.passphrase(PURPOSE)?)?)?;
    Ok((number, pair))
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
