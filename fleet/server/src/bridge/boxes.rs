//! What is known of each box, and which telemetry of it counts. Without I/O and without a clock.
//!
//! Telemetry is accepted if its place (run and number) is beyond that of what was accepted before. So a message that is sent again,
//! by anybody, is not counted twice. Its signature was verified before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use examgate::{
    domain::{DeviceId, Timestamp},
    wire::{
        state::Status,
        telemetry::{Place, Telemetry},
    },
};
use examgate_fleet_core::tally::Kept;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::sums::Sums;

/// The series of a box end after so many messages that did not come.
const MISSED: u32 = 3;

/// Longest pause between messages that a box may announce, seconds: one that is gone must not be shown for days.
const LONGEST_PAUSE: u32 = 600;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It counts.
    Accepted,
    /// The one that was accepted last, once more: a retained message, or one that was not acknowledged in time.
    Duplicate,
    /// Older than what was accepted before.
    Replayed,
    /// Of a box that is not enrolled.
    UnknownBox,
    /// Not signed by the box's key.
    Forged,
    /// Signed, but not telemetry that can be read.
    Malformed,
}

impl Outcome {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Accepted, Self::Duplicate, Self::Replayed, Self::UnknownBox, Self::Forged, Self::Malformed];

    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Replayed => "replayed",
            Self::UnknownBox => "unknown_box",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
        }
    }
}

/// The newest of a box, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Latest {
    place: Place,
    made: Timestamp,
    every: u32,
    seen: Timestamp,
    software: String,
    models: BTreeMap<String, String>,
    sums: Sums,
}

#[derive(Debug, Default)]
struct Known {
    latest: Option<Latest>,
    /// Of the runs that are over.
    finished: Sums,
    finished_is_kept: bool,
    status: Option<Status>,
    /// When it was last heard of: a message that came just now, or was made then.
    seen: Option<Timestamp>,
    told: Option<Arc<Told>>,
}

/// What is told of a box that is there.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    /// The version of its program.
    pub(super) software: String,
    /// Its models by their role.
    pub(super) models: BTreeMap<String, String>,
    /// All it has counted over its runs, and how things are now.
    pub(super) sums: Sums,
}

/// One box, as it is told of.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) device: DeviceId,
    /// When it was last heard of; `None`: never.
    pub(super) seen: Option<Timestamp>,
    /// Whether it is there; `None`: it was shut down in order, or never heard of.
    pub(super) online: Option<bool>,
    /// `None`: its series have ended.
    pub(super) told: Option<Arc<Told>>,
}

/// All boxes that were heard of.
#[derive(Debug)]
pub(super) struct Boxes {
    known: BTreeMap<DeviceId, Known>,
    /// What has changed since it was last kept.
    changed: BTreeSet<DeviceId>,
}

impl Boxes {
    /// With what was `kept`. A row that cannot be read is left out, and the sums of its box begin anew.
    pub(super) fn new(kept: Vec<Kept>) -> Self {
        let mut known = BTreeMap::new();
        for Kept { device, latest, finished } in kept {
            let latest: Option<Latest> = decode(&latest);
            let nothing = || Some(Sums::default());
            let finished = finished.filter(|bytes| !bytes.is_empty()).map_or_else(nothing, |bytes| decode(&bytes));
            let (Some(latest), Some(finished)) = (latest, finished) else {
                tracing::warn!(%device, "its row of the tally cannot be read: its sums begin anew");
                continue;
            };
            let told = Some(tell(&finished, &latest));
            let seen = Some(latest.seen);
            let one = Known { latest: Some(latest), finished, finished_is_kept: true, status: None, seen, told };
            known.insert(device, one);
        }
        Self { known, changed: BTreeSet::new() }
    }

    /// Takes in telemetry that `device` signed. `retained`: the broker had it, so it was there when it was made, and perhaps not since.
    pub(super) fn take(&mut self, telemetry: Telemetry, retained: bool, now: Timestamp) -> Outcome {
        let known = self.known.entry(telemetry.device.clone()).or_default();
        let sums = Sums::read(&telemetry.series);
        if let Some(before) = &known.latest {
            if telemetry.place <= before.place {
                let same = (telemetry.place, telemetry.made, &sums) == (before.place, before.made, &before.sums);
                return if same { Outcome::Duplicate } else { Outcome::Replayed };
            }
            if telemetry.place.run > before.place.run {
                known.finished.finish(&before.sums);
                known.finished_is_kept = false;
            }
        }
        let seen = if retained { telemetry.made.min(now) } else { now };
        let seen = known.seen.map_or(seen, |before| before.max(seen));
        known.seen = Some(seen);
        if !retained {
            known.status = Some(Status::Online);
        }
        let Telemetry { device, place, made, every, software, models, .. } = telemetry;
        let latest = Latest { place, made, every, seen, software, models, sums };
        known.told = Some(tell(&known.finished, &latest));
        known.latest = Some(latest);
        self.changed.insert(device);
        Outcome::Accepted
    }

    /// A box says that it is there, or the broker that it is gone.
    pub(super) fn state(&mut self, device: &DeviceId, status: Status, retained: bool, now: Timestamp) {
        let known = self.known.entry(device.clone()).or_default();
        known.status = Some(status);
        if status != Status::Lost && !retained {
            known.seen = Some(now);
        }
    }

    /// What is told of each of `enrolled` now.
    pub(super) fn show(&self, enrolled: Vec<DeviceId>, now: Timestamp) -> Vec<Shown> {
        let show = |device: DeviceId| {
            let Some(known) = self.known.get(&device) else {
                return Shown { device, seen: None, online: None, told: None };
            };
            let expires =
                known.latest.as_ref().zip(known.seen).map(|(latest, seen)| {
                    seen + Duration::from_secs((MISSED * latest.every.min(LONGEST_PAUSE)).into())
                });
            let is_fresh = expires.is_some_and(|expires| now < expires);
            let online = match known.status {
                Some(Status::Stopped) => None,
                Some(Status::Lost) => Some(false),
                Some(Status::Online) | None => Some(is_fresh),
            };
            let told = known.told.clone().filter(|_| online == Some(true));
            Shown { device, seen: known.seen, online, told }
        };
        enrolled.into_iter().map(show).collect()
    }

    /// What is to be kept: all that has changed since the last [`Self::kept`].
    pub(super) fn changes(&self) -> Vec<Kept> {
        let row = |device: &DeviceId| {
            let known = self.known.get(device)?;
            let latest = encode(known.latest.as_ref()?);
            let finished = (!known.finished_is_kept).then(|| encode(&known.finished));
            Some(Kept { device: device.clone(), latest, finished })
        };
        self.changed.iter().filter_map(row).collect()
    }

    /// All changes are on the disk.
    pub(super) fn kept(&mut self) {
        for device in std::mem::take(&mut self.changed) {
            if let Some(known) = self.known.get_mut(&device) {
                known.finished_is_kept = true;
            }
        }
    }
}

fn tell(finished: &Sums, latest: &Latest) -> Arc<Told> {
    let Latest { software, models, sums, .. } = latest;
    Arc::new(Told { software: software.clone(), models: models.clone(), sums: finished.with(sums) })
}

fn encode(row: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(row, &mut bytes).expect("plain data is serialisable, and memory takes it");
    bytes
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    ciborium::from_reader(bytes).ok()
}

#[cfg(test)]
mod tests;
