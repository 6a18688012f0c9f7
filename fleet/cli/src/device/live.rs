//! What the keeper noted of each box: whether it is there, what it runs and what it holds. `device list --stock` shows it.
//!
//! Whether a box is there is as the broker says it, unsigned; what it holds is signed by the box.

use std::{path::Path, time::Duration};

use anyhow::Result;
use examgate::{
    domain::Timestamp,
    wire::{
        reported::{HeldTrust, Reported},
        state::Status,
    },
};
use examgate_fleet_core::{
    registry::Device,
    stock::{Live, Stock},
};
use serde_json::{Value, json};

/// The keeper notes every ten seconds that it listens; after so long without that, its notes may be old.
const SILENT: Duration = Duration::from_secs(60);

/// What was noted.
pub(super) struct Notes {
    stock: Stock,
    /// The version of the fleet's trust document.
    newest: Option<u64>,
}

/// What was noted of one box.
pub(super) struct Noted {
    live: Option<Live>,
    reported: Option<Reported>,
    newest: Option<u64>,
}

impl Notes {
    /// Those in this stock, which must be there, of a fleet whose trust document has the version `newest`.
    pub(super) fn open(stock: &Path, newest: Option<u64>) -> Result<Self> {
        Ok(Self { stock: Stock::open_existing(stock)?, newest })
    }

    /// Of one box. A report that its key did not sign says nothing.
    pub(super) fn of(&self, device: &Device) -> Result<Noted> {
        let bytes = self.stock.report(&device.id)?;
        let reported =
            bytes.zip(device.signing_key).and_then(|(bytes, key)| Reported::decode(&bytes, &device.id, &key).ok());
        Ok(Noted { live: self.stock.live(&device.id)?, reported, newest: self.newest })
    }

    /// Why these notes may be old; `None`: the keeper listens.
    pub(super) fn doubt(&self, now: Timestamp) -> Result<Option<String>> {
        Ok(match self.stock.heard()? {
            Some(heard) if now.duration_since(heard).unsigned_abs() <= SILENT => None,
            Some(heard) => Some(format!(
                "`examgate-fleetd keep` last listened to the broker at {}: which boxes are there may be different now",
                heard.strftime("%F %H:%M:%S UTC")
            )),
            None => Some("`examgate-fleetd keep` has noted nothing yet: let it run with this stock".into()),
        })
    }
}

/// The heads of [`Noted::cells`].
pub(super) const HEADS: [&str; 5] = ["there", "software", "rosters", "lost cards", "trust"];

const fn status(status: Status) -> &'static str {
    match status {
        Status::Online => "online",
        Status::Stopped => "stopped",
        Status::Lost => "lost",
    }
}

impl Noted {
    /// For the table.
    pub(super) fn cells(&self) -> [String; 5] {
        let dash = || "-".to_owned();
        let live = self.live.as_ref();
        let rosters = self.reported.as_ref().map(|reported| {
            let held = reported.held.iter().map(|held| format!("{} v{}", held.exam, held.version.0));
            held.collect::<Vec<_>>().join(", ")
        });
        let list = self.reported.as_ref().and_then(|reported| reported.lost_cards);
        [
            live.map_or_else(dash, |live| {
                format!("{} since {}", status(live.state.status), live.since.strftime("%F %H:%M UTC"))
            }),
            live.map_or_else(dash, |live| live.state.versions.software.clone()),
            rosters.filter(|text| !text.is_empty()).unwrap_or_else(dash),
            list.map_or_else(dash, |serial| format!("list {serial}")),
            self.trust().map_or_else(dash, |held| {
                let behind = if self.is_behind() { ", behind" } else { "" };
                let refused = held.refused.map_or(String::new(), |why| format!(", refused another: {why}"));
                format!("document {}{behind}{refused}", held.version)
            }),
        ]
    }

    fn trust(&self) -> Option<HeldTrust> {
        self.reported.as_ref().and_then(|reported| reported.trust)
    }

    /// The fleet has a newer trust document than the box.
    fn is_behind(&self) -> bool {
        self.trust().zip(self.newest).is_some_and(|(held, newest)| held.version < newest)
    }

    /// As JSON.
    pub(super) fn as_json(&self) -> Value {
        let live = self.live.as_ref().map(|Live { since, state }| {
            json!({ "status": state.status, "since": since, "boot_id": state.boot_id, "versions": state.versions })
        });
        let reported = self.reported.as_ref().map(|reported| {
            json!({
                "at": reported.at, "manifest": reported.serial, "held": reported.held, "refused": reported.refused,
                "lost_cards": reported.lost_cards,
                "trust": reported.trust.map(|held| {
                    json!({ "version": held.version, "refused": held.refused, "behind": self.is_behind() })
                }),
            })
        });
        json!({ "live": live, "reported": reported })
    }
}
