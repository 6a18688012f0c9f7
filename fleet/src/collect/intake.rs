//! From messages to receipts: verify, commit together, then acknowledge and receipt. Its own thread.
//!
//! What cannot be believed is logged once for each box and cause, counted, acknowledged to the broker (or it would come
//! for ever) and never receipted. It never goes on when the ledger fails.

use std::{
    collections::HashMap,
    mem,
    sync::mpsc::{Receiver, TryRecvError},
};

use anyhow::{Context, Result};
use examgate::{
    domain::DeviceId,
    wire::{
        envelope::{EnvelopeError, EventEnvelope},
        keys::SigningKey,
        receipt::Receipt,
        seal::Identity,
        topic::DeviceTopic,
    },
};

use super::{broker::Message, devices::Devices, ledger::Ledger};

/// Most events in one transaction.
const BATCH: usize = 128;

/// Most different refusals remembered; a flood of made-up ids must not fill the memory.
const REFUSALS: usize = 4096;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("not an event topic")]
    Topic,
    #[error("the box is not enrolled: add it to the list of devices")]
    Unknown,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// Refusals of one box for one cause.
type RefusalKind = (Option<DeviceId>, mem::Discriminant<Refusal>, Option<mem::Discriminant<EnvelopeError>>);

/// Takes messages in.
pub(super) struct Intake {
    devices: Devices,
    identity: Identity,
    ledger: Ledger,
    receipts: SigningKey,
    refused: HashMap<RefusalKind, u64>,
}

impl Intake {
    /// `receipts` signs them.
    pub(super) fn new(devices: Devices, identity: Identity, ledger: Ledger, receipts: SigningKey) -> Self {
        Self { devices, identity, ledger, receipts, refused: HashMap::new() }
    }

    /// Runs until the other end of `messages` is gone.
    pub(super) fn run(mut self, messages: &Receiver<Message>) -> Result<()> {
        while let Ok(first) = messages.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH {
                match messages.try_recv() {
                    Ok(message) => batch.push(message),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.take(&batch)?;
        }
        for ((device, ..), count) in &self.refused {
            tracing::info!(device = device.as_ref().map(DeviceId::as_str), count, "messages were not taken");
        }
        Ok(())
    }

    fn take(&mut self, batch: &[Message]) -> Result<()> {
        let mut events = Vec::with_capacity(batch.len());
        for message in batch {
            match self.read(message) {
                Ok(event) => events.push(event),
                Err((device, refusal)) => self.refuse(device, refusal),
            }
        }
        let committed = self.ledger.commit(&events).context("nothing more is taken until the ledger is mended")?;
        for (device, epoch, seq, alarm) in &committed.alarms {
            tracing::error!(%device, %epoch, %seq, alarm = alarm.name(), "a box contradicts itself: it must be examined");
        }
        tracing::debug!(fresh = committed.fresh, of = batch.len(), "committed");
        // Committed: from here on the box may forget, and the broker, too.
        let Some(line) = batch.last() else { return Ok(()) };
        for ((device, epoch), seq) in committed.contiguous {
            if seq.0 > 0 {
                let topic = DeviceTopic::Receipt.of(&device);
                line.reply(topic, Receipt { device, epoch, seq }.encode(&self.receipts));
            }
        }
        batch.iter().for_each(Message::acknowledge);
        Ok(())
    }

    fn read(&self, message: &Message) -> Result<EventEnvelope, (Option<DeviceId>, Refusal)> {
        let Some((device, DeviceTopic::Event)) = DeviceTopic::parse(message.topic()) else {
            return Err((None, Refusal::Topic));
        };
        let Some(key) = self.devices.key(&device) else {
            return Err((Some(device), Refusal::Unknown));
        };
        EventEnvelope::decode(message.payload(), &device, key, &self.identity)
            .map_err(|error| (Some(device), error.into()))
    }

    fn refuse(&mut self, device: Option<DeviceId>, refusal: Refusal) {
        let cause = match &refusal {
            Refusal::Topic | Refusal::Unknown => None,
            Refusal::Envelope(error) => Some(mem::discriminant(error)),
        };
        let kind = (device, mem::discriminant(&refusal), cause);
        if let Some(count) = self.refused.get_mut(&kind) {
            *count += 1;
        } else if self.refused.len() < REFUSALS {
            let device = kind.0.as_ref().map(DeviceId::as_str);
            tracing::warn!(device, %refusal, "a message was not taken (said once)");
            self.refused.insert(kind, 1);
        }
    }
}
