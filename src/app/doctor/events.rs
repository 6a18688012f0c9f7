//! The events, their outbox, and whom they are delivered to.
//!
//! Makes no event store: a box makes it at its first start.

use std::time::Duration;

use super::{super::outbox, PartHealth, State, finding};
use crate::{
    config::Config,
    domain::{Timestamp, WithSources},
    store::{Began, Cause, EpochInfo, EventError, EventStore, Headroom, KeyFolder, KeyName, Layout, sealed::Fault},
    wire::{
        keys::{PublicKey, SigningKey},
        seal::Recipient,
    },
};

/// The event store as it lies there.
pub(super) fn look(config: &Config, keys: &KeyFolder, now: Timestamp, findings: &mut Vec<PartHealth>) {
    let (layout, name) = (Layout::new(&config.state), KeyName::Events);
    let there = match layout.events().try_exists() {
        Ok(there) => there,
        Err(error) => {
            let found = format!("cannot see {}: {error}; see `state`", layout.events().display());
            findings.push(finding("events", State::Unwell, found));
            return;
        }
    };
    if let Err(error) = outbox::check_disk(config) {
        findings.push(finding("outbox", State::Unwell, format!("{error:#}")));
    }
    let mut further = Vec::new();
    findings.push(match (there, keys.holds(name)) {
        (false, false) => finding("events", State::Well, "none yet: their store is made at the first start"),
        (false, true) => {
            let found = format!(
                "the store {} is gone, but not its key: move {} aside too if events are to begin anew",
                layout.events().display(),
                keys.path(name).display()
            );
            finding("events", State::Impaired, found)
        }
        (true, _) => match keys.read(name) {
            Err(error) => finding(
                "events",
                State::Unwell,
                format!("the key of the event store cannot be had: {}", WithSources(&error)),
            ),
            Ok(key) => match EventStore::look(&layout.events(), &key, outbox::limits(config)) {
                Err(error @ EventError::Database(Fault::Older { .. })) => {
                    finding("events", State::Well, format!("{}: not looked at", WithSources(&error)))
                }
                Err(error @ EventError::Database(Fault::Unsettled { .. })) => {
                    finding("events", State::Impaired, WithSources(&error).to_string())
                }
                Err(error) => finding("events", State::Unwell, WithSources(&error).to_string()),
                Ok(events) => {
                    further.extend(set_back(&events, now));
                    further.extend(room(config, &events));
                    whose(config, &events).unwrap_or_else(|| stored(&events))
                }
            },
        },
    });
    findings.append(&mut further);
}

/// Whether the free disk holds the outbox that is configured.
fn room(config: &Config, events: &EventStore) -> Option<PartHealth> {
    match outbox::shortage(config, events) {
        Ok(shortage) => shortage.map(|found| finding("outbox", State::Impaired, found)),
        Err(error) => Some(finding("outbox", State::Unwell, format!("{error:#}"))),
    }
}

/// Whether the events are another box's.
fn whose(config: &Config, events: &EventStore) -> Option<PartHealth> {
    let epochs = match events.epochs() {
        Ok(epochs) => epochs,
        Err(error) => return Some(finding("events", State::Unwell, WithSources(&error).to_string())),
    };
    let held = epochs.last().map(|epoch| epoch.device.as_str()).filter(|held| *held != config.device.as_str())?;
    let error = EventError::OtherDevice { held: held.to_owned(), configured: config.device.clone() };
    Some(finding("events", State::Unwell, WithSources(&error).to_string()))
}

/// The events and their outbox, and whether their chain is whole.
fn stored(events: &EventStore) -> PartHealth {
    match events.verify_chain() {
        Err(error) => finding("events", State::Unwell, WithSources(&error).to_string()),
        Ok(_) => {
            let recorded = recorded(events);
            PartHealth { found: format!("their chain is whole; {}", recorded.found), ..recorded }
        }
    }
}

/// The events and their outbox.
pub(in crate::app) fn recorded(events: &EventStore) -> PartHealth {
    let look = || Ok::<_, crate::store::EventError>((events.ends()?.last, events.outbox_len()?, events.room()?));
    match look() {
        Err(error) => finding("events", State::Unwell, WithSources(&error).to_string()),
        Ok((last, waiting, room)) => {
            let found = format!("{last} recorded, {waiting} wait for a receipt");
            match room {
                Headroom::Plenty => finding("events", State::Well, found),
                Headroom::Low => finding(
                    "events",
                    State::Impaired,
                    format!("{found}; room runs low: bring the broker back or free the disk"),
                ),
                Headroom::Exhausted => finding(
                    "events",
                    State::Unwell,
                    format!("{found}; no room is left: bring the broker back or free the disk"),
                ),
            }
        }
    }
}

/// How long a box that was set back is named: until somebody has surely looked.
const NAME_SET_BACK: Duration = Duration::from_hours(7 * 24);

/// Whether the collector held another history of this box than the box itself, lately or with events that still wait.
pub(in crate::app) fn set_back(events: &EventStore, now: Timestamp) -> Option<PartHealth> {
    let look = || Ok::<_, crate::store::EventError>((events.epochs()?, events.outbox_len()?));
    let (epochs, waiting) = match look() {
        Err(error) => return Some(finding("epoch", State::Unwell, WithSources(&error).to_string())),
        Ok(found) => found,
    };
    let EpochInfo { epoch, began, .. } = epochs.last()?;
    let Began { cause: Cause::SetBack, at, resealed } = (*began)? else { return None };
    let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    (age < NAME_SET_BACK || waiting > 0).then(|| {
        let found = format!(
            "this box was set back to an older state, or its disk lost its last writes: epoch {epoch} began {at}, {resealed} \
             events were sent again in it and none is lost; who was admitted in between the collector alone knows: compare \
             `examgate-fleet events` with the list here, and look into the disk if nobody restored the box"
        );
        finding("epoch", State::Impaired, found)
    })
}

/// Whether events can be sealed and signed, and receipts be read: that their keys are keys.
pub(super) fn collector(config: &Config, keys: &KeyFolder, findings: &mut Vec<PartHealth>) {
    let Some(uplink) = &config.uplink else { return };
    let mut faults = Vec::new();
    // Beside a root these have no effect: the part `trust` says which keys count.
    let has_root = config.fleet.as_ref().is_some_and(|fleet| fleet.root.is_some());
    if let Some(collector) = uplink.collector.as_ref().filter(|_| !has_root) {
        if let Err(error) = collector.recipient.parse::<Recipient>() {
            faults.push(format!(
                "uplink.collector.recipient is no age recipient ({error}): copy it from the collector's age1… line"
            ));
        }
        if let Err(error) = collector.receipt_key.parse::<PublicKey>() {
            faults.push(format!(
                "uplink.collector.receipt_key is no Ed25519 public key ({error}): copy the 64 digits of the collector's receipt key"
            ));
        }
    }
    let signs = match keys.signing_seed() {
        Ok(seed) => SigningKey::from_seed(&seed).public().to_string(),
        Err(error) => {
            faults.push(format!("events cannot be signed: {}", WithSources(&error)));
            String::new()
        }
    };
    findings.push(if faults.is_empty() {
        let found = format!(
            "its keys are as they should be; this box signs events as {signs}: the collector's list of devices needs that public key"
        );
        finding("collector", State::Well, found)
    } else {
        finding("collector", State::Unwell, faults.join("; "))
    });
}
