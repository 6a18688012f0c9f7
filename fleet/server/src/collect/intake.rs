//! From messages to receipts: verify, commit together, then acknowledge and receipt. Its own thread, and others that verify one batch while
//! the one before is committed.
//!
//! A receipt always names the link up to which it confirms: to an event that the ledger rejects, too, so that a box whose
//! history is another one sees that.
//!
//! What cannot be verified is logged once for each box and cause, counted, acknowledged to the broker (otherwise the broker
//! sends it again and again) and never receipted. It ends when the ledger fails or the lease is another's: nothing of what it held then
//! is acknowledged or receipted, and all of it comes again.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use examgate::{
    domain::{DeviceId, Seq},
    wire::{
        envelope::{EnvelopeError, EventEnvelope},
        keys::{PublicKey, SigningKey},
        receipt::Receipt,
        seal::OpenError,
        topic::DeviceTopic,
    },
};

use examgate_fleet_core::{
    incidents::Raised,
    lease::Token,
    ledger::{Ledger, LedgerFault},
};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

use super::{
    broker::Answer,
    hold::Hold,
    metrics::Metrics,
    opening::beside,
    trusted::{Trusted, TrustedView},
    waiting::{Message, Waiting},
};

/// Most events in one transaction.
const BATCH: usize = 128;

/// How often gaps are looked for when nothing comes.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Most different refusals remembered; a flood of made-up ids must not fill the memory.
const REFUSALS: usize = 4096;

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("not an event topic")]
    Topic,
    #[error("the box is not enrolled: add it to the list of devices")]
    Unknown,
    #[error(
        "signed by a key that does not count there: the box handed over to another one. It sends such events again"
    )]
    HandedOver,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("the ledger cannot hold event {seq} of this box ({why}): the box must be examined; others are not touched")]
    Unusable { seq: Seq, why: String },
}

/// Refusals of one box for one cause.
type RefusalKind = (Option<DeviceId>, mem::Discriminant<Refusal>, Option<mem::Discriminant<EnvelopeError>>);

/// Why no more is taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// Nothing more will come.
    All,
    /// The lease is over.
    Over,
}

/// Messages, and what each came to.
struct Batch {
    messages: Vec<Message>,
    read: Vec<Result<EventEnvelope, (Option<DeviceId>, Refusal)>>,
}

/// Takes messages in.
pub(super) struct Intake {
    trusted: TrustedView,
    committer: Committer,
    gap_after: Duration,
}

/// Commits events, and tells box and broker.
struct Committer {
    refused: HashMap<RefusalKind, u64>,
    answers: UnboundedSender<Answer>,
    metrics: Metrics,
}

impl Intake {
    /// Boxes and keys are those of `trusted`; receipts and acknowledgements go to `answers`. A gap that stays for `gap_after` becomes an incident.
    pub(super) fn new(
        trusted: TrustedView,
        gap_after: Duration,
        answers: UnboundedSender<Answer>,
        metrics: Metrics,
    ) -> Self {
        let committer = Committer { refused: HashMap::new(), answers, metrics };
        Self { trusted, committer, gap_after }
    }

    /// Takes messages into `ledger` until `waiting` is closed and empty, or the lease is over.
    pub(super) fn serve(
        &mut self,
        ledger: &mut Ledger,
        waiting: &Waiting,
        hold: &mut Hold,
    ) -> Result<Served, LedgerFault> {
        let Self { trusted, committer, gap_after } = self;
        let look_every = LOOK_EVERY.min(*gap_after);
        let mut looked: Option<Instant> = None;
        // Verified, and not committed yet.
        let mut ahead: Option<Batch> = None;
        loop {
            let Some(token) = hold.keep(ledger)? else { return Ok(Served::Over) };
            let since = looked.map_or(look_every, |looked| looked.elapsed());
            let patience = match ahead {
                Some(_) => Duration::ZERO,
                None => look_every.saturating_sub(since).min(hold.rest()),
            };
            let messages = match (waiting.take(BATCH, patience), &ahead) {
                (Some(messages), _) => messages,
                (None, Some(_)) => Vec::new(),
                (None, None) => break,
            };
            let before = ahead.take();
            let trusted = Arc::clone(&trusted.borrow());
            let (read, committed) = beside(
                &messages,
                |message| read(message, &trusted),
                || before.map(|batch| committer.commit(ledger, token, batch, &trusted.receipts)),
            );
            committed.transpose()?;
            ahead = (!messages.is_empty()).then_some(Batch { messages, read });
            if since >= look_every {
                ledger.gaps(token, *gap_after)?.iter().for_each(say);
                looked = Some(Instant::now());
            }
        }
        for ((device, ..), count) in &committer.refused {
            tracing::info!(device = device.as_ref().map(DeviceId::as_str), count, "messages were not taken");
        }
        Ok(Served::All)
    }
}

impl Committer {
    fn commit(
        &mut self,
        ledger: &mut Ledger,
        token: Token,
        batch: Batch,
        receipts: &[SigningKey],
    ) -> Result<(), LedgerFault> {
        let Batch { messages, read } = batch;
        let mut events = Vec::with_capacity(read.len());
        for read in read {
            match read {
                Ok(event) => events.push(event),
                Err((device, refusal)) => self.refuse(device, refusal),
            }
        }
        let committed = ledger.commit(token, &events)?;
        if !events.is_empty() {
            self.metrics.committed(committed.fresh);
        }
        committed.raised.iter().for_each(say);
        for (device, epoch, seq, why) in committed.unusable {
            tracing::debug!(%device, %epoch, %seq, why, "an event that the ledger does not take");
            self.refuse(Some(device), Refusal::Unusable { seq, why });
        }
        tracing::debug!(fresh = committed.fresh, of = messages.len(), "committed");
        // Committed: from here on the box may forget, and the broker, too.
        for ((device, epoch), (seq, hash)) in committed.contiguous {
            let topic = DeviceTopic::Receipt.of(&device);
            let receipt = Receipt { device, epoch, seq, hash };
            for key in receipts {
                self.answer(Answer::Receipt { topic: topic.clone(), receipt: receipt.encode(key) });
            }
        }
        for place in messages.iter().filter_map(|message| message.place) {
            self.answer(Answer::Acknowledge(place));
        }
        Ok(())
    }

    fn answer(&self, answer: Answer) {
        // Nobody listens only when the collector is stopping.
        let _ = self.answers.send(answer);
    }

    fn refuse(&mut self, device: Option<DeviceId>, refusal: Refusal) {
        self.metrics.refused.inc();
        let cause = match &refusal {
            Refusal::Topic | Refusal::Unknown | Refusal::HandedOver | Refusal::Unusable { .. } => None,
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

fn read(message: &Message, trusted: &Trusted) -> Result<EventEnvelope, (Option<DeviceId>, Refusal)> {
    let Some((device, DeviceTopic::Event)) = DeviceTopic::parse(&message.topic) else {
        return Err((None, Refusal::Topic));
    };
    let Some(key) = trusted.devices.key(&device) else {
        return Err((Some(device), Refusal::Unknown));
    };
    let Some(former) = trusted.devices.former(&device) else {
        return open(message, &device, &key, trusted).map_err(|error| (Some(device), error.into()));
    };
    // The former key signs what was sent before the hand-over, its successor everything else: no event counts by either.
    let (event, may_sign) = match open(message, &device, &key, trusted) {
        Err(EnvelopeError::NotSigned) => {
            let event = open(message, &device, &former.public_key, trusted);
            let in_its_place = |event: &EventEnvelope| event.epoch == former.epoch && event.seq <= former.last;
            let may_sign = event.as_ref().is_ok_and(in_its_place);
            (event, may_sign)
        }
        event => {
            let may_sign = event.as_ref().is_ok_and(|event| event.epoch != former.epoch);
            (event, may_sign)
        }
    };
    match event {
        Err(error) => Err((Some(device), error.into())),
        Ok(event) if may_sign => Ok(event),
        Ok(_) => Err((Some(device), Refusal::HandedOver)),
    }
}

/// Verifies it with `key` and opens it. What was sealed before the recipient changed opens with one of the identities before.
fn open(
    message: &Message,
    device: &DeviceId,
    key: &PublicKey,
    trusted: &Trusted,
) -> Result<EventEnvelope, EnvelopeError> {
    let closed = EnvelopeError::Open(OpenError::Closed);
    let mut read = Err(closed);
    for identity in &trusted.identities {
        read = EventEnvelope::decode(&message.payload, device, key, identity);
        if read.as_ref().err() != Some(&closed) {
            break;
        }
    }
    read
}

/// Says an incident, once.
fn say(incident: &Raised) {
    let Raised { device, epoch, events: (first, last), what } = incident;
    tracing::error!(%device, %epoch, %first, %last, incident = what.name(), "{}", what.advice());
}

#[cfg(test)]
mod tests;
