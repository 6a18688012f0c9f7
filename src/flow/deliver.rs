//! Delivers the outbox to the collector. `sending` decides; this reads rows, encrypts, sends, and deletes what is receipted.
//! When a receipt shows that the collector holds another history than this box, it begins a new epoch.
//!
//! It deletes nothing on a broker's acknowledgement, and never holds an event longer than it takes to send it.

mod sending;

use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub use self::sending::{Judged, Next, Pace, Sending};
use super::trust::FleetKeysView;
use crate::{
    domain::{DeviceId, Epoch, Seq, WithSources},
    edge::{
        clock::Clock,
        mqtt::{Acked, BrokerAnswer, Line, Link, Uplink},
    },
    store::{Acknowledged, Cause, Contradiction, EventError, EventStore, Outgoing},
    wire::{
        envelope::EventEnvelope,
        keys::SigningKey,
        receipt::{Receipt, ReceiptError},
    },
};

/// How delivery stands, for the health of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no link; the link says why.
    NoLink,
    /// Events go out and receipts come in, or there is nothing to send.
    Flowing,
    /// The broker takes events, but no receipt comes: is a collector running with the right receipt key?
    NoReceipts,
    /// The broker has nobody to give events to: the collector is not connected.
    NobodyListens,
    /// No key counts now that events could be sealed to: they wait for another trust document.
    NoRecipient,
    /// The broker refuses events.
    Refused(&'static str),
    /// The outbox cannot be read or written.
    StorageFault,
    /// This event does not fit into an envelope and blocks those behind it.
    Unsendable(Seq),
}

/// How far delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How it stands.
    pub standing: Standing,
    /// The last event receipted, by its number in its epoch.
    pub receipted: Seq,
}

/// Who signs, who reads, who receipts.
#[derive(Clone, Debug)]
pub struct Parties {
    /// This box.
    pub device: DeviceId,
    /// Its signing key.
    pub key: SigningKey,
    /// Whom bodies are sealed to, and whose receipts count.
    pub fleet: FleetKeysView,
}

/// The driver of one outbox. Its own task.
pub struct Deliver {
    store: Arc<Mutex<EventStore>>,
    parties: Parties,
    uplink: Uplink,
    recorded: Arc<Notify>,
    clock: Arc<dyn Clock>,
    sending: Sending,
    line: Option<Line>,
    delivery: watch::Sender<Delivery>,
    /// On this connection it was said already that a receipt was not believed: a collector signs each with every key that counts, and a box
    /// that has not heard of the newest believes the other.
    has_doubted: bool,
}

impl Deliver {
    /// Prepares delivery. `recorded` is notified after every event stored. The receiver tells how delivery stands.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub fn new(
        store: Arc<Mutex<EventStore>>,
        parties: Parties,
        uplink: Uplink,
        recorded: Arc<Notify>,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> Result<(Self, watch::Receiver<Delivery>), EventError> {
        let receipted = store.lock().expect("nobody panics while holding it").receipted()?;
        let (delivery, delivered) = watch::channel(Delivery { standing: Standing::NoLink, receipted });
        let sending = Sending::new(pace, receipted);
        let has_doubted = false;
        Ok((Self { store, parties, uplink, recorded, clock, sending, line: None, delivery, has_doubted }, delivered))
    }

    /// Delivers until the link is closed for good.
    pub async fn run(mut self) {
        self.uplink.link.mark_changed();
        loop {
            let until = match self.sending.next(self.clock.mono()) {
                Next::Send { after, limit } => {
                    if self.send(after, limit).await {
                        continue;
                    }
                    // Storage is unwell or a row does not fit: looked at again after a pause, or when something changes.
                    Some(self.clock.mono().after(Pace::default().patience))
                }
                Next::Wait { until } => until,
            };
            let pause = async {
                match until {
                    Some(until) => tokio::time::sleep(until.since(self.clock.mono())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.uplink.link.changed() => {
                    let link = self.uplink.link.borrow_and_update().clone();
                    match link {
                        Link::Up(line) => {
                            self.sending.line_up(line.connection());
                            self.line = Some(line);
                            self.has_doubted = false;
                            self.stands(Standing::Flowing);
                        }
                        Link::Connecting { .. } | Link::Down { .. } => {
                            self.sending.line_down();
                            self.line = None;
                            self.stands(Standing::NoLink);
                        }
                        Link::Closed => return,
                    }
                    if changed.is_err() {
                        return;
                    }
                }
                Some(acked) = self.uplink.acks.recv() => self.answered(&acked),
                Some(arrived) = self.uplink.receipts.recv() => self.receipt(&arrived.payload).await,
                () = self.recorded.notified() => self.sending.recorded(),
                () = pause => {}
            }
        }
    }

    /// Sends what there is; `false` if it could not even try.
    async fn send(&mut self, after: Seq, limit: u32) -> bool {
        let Some(line) = self.line.clone() else { return false };
        let Some(collector) = self.parties.fleet.borrow().collector.clone() else {
            if self.stands(Standing::NoRecipient) {
                tracing::error!("no key of the fleet counts now that events could be sealed to: they wait");
            }
            return false;
        };
        if self.delivery.borrow().standing == Standing::NoRecipient {
            self.stands(Standing::Flowing);
        }
        let rows = match self.with_store(move |store| store.outgoing(after, limit as usize)).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(error = %WithSources(&error), "the outbox cannot be read");
                self.stands(Standing::StorageFault);
                return false;
            }
        };
        if rows.is_empty() {
            self.sending.drained();
        }
        for row in rows {
            let Outgoing { epoch, seq, event_id, prev, hash, body } = row;
            let envelope =
                EventEnvelope { device: self.parties.device.clone(), epoch, seq, event_id, prev, hash, body };
            let bytes = match envelope.encode(&self.parties.key, &collector) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::error!(%seq, %error, "an event cannot be sent and blocks those behind it");
                    self.stands(Standing::Unsendable(seq));
                    return false;
                }
            };
            if line.try_send(seq, bytes).is_err() {
                // The link will say so, too.
                self.sending.line_down();
                break;
            }
            self.sending.sent(seq, self.clock.mono());
        }
        if self.sending.is_fruitless() && self.delivery.borrow().standing == Standing::Flowing {
            tracing::warn!("events are taken by the broker, but no receipt comes from the collector");
            self.stands(Standing::NoReceipts);
        }
        true
    }

    fn answered(&mut self, acked: &Acked) {
        let taken = acked.answer == BrokerAnswer::Taken;
        self.sending.answered(acked.connection, taken, self.clock.mono());
        match acked.answer {
            BrokerAnswer::Taken => {}
            BrokerAnswer::NobodyListens => {
                self.stands(Standing::NobodyListens);
            }
            BrokerAnswer::Refused(why) => {
                if self.stands(Standing::Refused(why)) {
                    tracing::error!(why, seq = %acked.seq, "the broker refused an event");
                }
            }
        }
    }

    async fn receipt(&mut self, bytes: &[u8]) {
        let receipt = match self.believed(bytes) {
            Ok(receipt) => receipt,
            Err(error) => {
                if std::mem::replace(&mut self.has_doubted, true) {
                    tracing::debug!(%error, "a receipt was not believed");
                } else {
                    tracing::warn!(%error, "a receipt was not believed (said once per connection)");
                }
                return;
            }
        };
        let Receipt { epoch, seq, hash, .. } = receipt;
        match self.with_store(move |store| store.acknowledge(epoch, seq, hash)).await {
            Ok(Acknowledged::AnotherEpoch) => tracing::debug!(%epoch, "a receipt for another epoch of this box"),
            Ok(Acknowledged::Held(_)) => match self.sending.receipted(seq, self.clock.mono()) {
                Judged::Nothing => {}
                Judged::Progress => {
                    self.delivery.send_modify(|delivery| delivery.receipted = seq);
                    self.stands(Standing::Flowing);
                }
                Judged::Behind => {
                    tracing::warn!(%seq, "the collector has less than it receipted before: it is sent from there again");
                    self.delivery.send_modify(|delivery| delivery.receipted = seq);
                }
            },
            Ok(Acknowledged::Contradicts(how)) => self.begin_epoch(how).await,
            Err(error) => {
                tracing::error!(error = %WithSources(&error), "receipted events cannot be deleted");
                self.stands(Standing::StorageFault);
            }
        }
    }

    /// A receipt that any of the receipt keys which count now has signed.
    fn believed(&self, bytes: &[u8]) -> Result<Receipt, ReceiptError> {
        for key in &self.parties.fleet.borrow().receipts {
            match Receipt::decode(bytes, &self.parties.device, key) {
                Err(ReceiptError::NotSigned) => {}
                read => return read,
            }
        }
        Err(ReceiptError::NotSigned)
    }

    /// The collector has signed that its history of this epoch is another one: this box was set back, or its disk lost its
    /// last writes. Everything that waits travels in a new epoch. No receipt for that can exist before its events are sent, so
    /// repeated receipts begin no further epochs.
    async fn begin_epoch(&mut self, how: Contradiction) {
        let (fresh, device, at) = (Epoch(Uuid::now_v7()), self.parties.device.clone(), self.clock.wall());
        match self.with_store(move |store| store.begin_epoch(fresh, &device, Cause::SetBack, at)).await {
            Ok(resealed) => {
                tracing::error!(
                    %how, epoch = %fresh, resealed,
                    "this box was set back, or its disk lost its last writes: a new epoch begins, nothing that waits is lost; \
                     who was admitted in between is known to the collector alone"
                );
                self.sending.begin_epoch();
                self.delivery.send_modify(|delivery| delivery.receipted = Seq(0));
            }
            Err(error) => {
                tracing::error!(%how, error = %WithSources(&error), "a new epoch is needed and cannot begin");
                self.stands(Standing::StorageFault);
            }
        }
    }

    /// `true` if that is news.
    fn stands(&self, standing: Standing) -> bool {
        self.delivery.send_if_modified(|delivery| std::mem::replace(&mut delivery.standing, standing) != standing)
    }

    /// Runs `work` where it may block.
    async fn with_store<T: Send + 'static>(&self, work: impl FnOnce(&mut EventStore) -> T + Send + 'static) -> T {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&mut store.lock().expect("nobody panics while holding it")))
            .await
            .expect("the store does not panic")
    }
}
