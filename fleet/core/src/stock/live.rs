//! Which boxes are there, as the keeper hears it from the broker. Nothing here is signed: nobody is let in and nothing is deleted on it.

use std::fs;

use anyhow::{Context as _, Result};
use examgate::{
    domain::{DeviceId, Timestamp},
    wire::state::{DeviceState, MAX_STATE},
};
use serde::{Deserialize, Serialize};

use super::{Stock, read, write};

/// What was last heard of a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Since when it has this status in this boot, by the keeper's clock.
    pub since: Timestamp,
    /// What it says of itself, or the broker for it.
    pub state: DeviceState,
}

impl Stock {
    /// Notes the state of a box, heard `now`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_state(&self, device: &DeviceId, state: &DeviceState, now: Timestamp) -> Result<()> {
        let folder = self.root.join("state");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lasts = |before: &Live| (before.state.status, before.state.boot_id) == (state.status, state.boot_id);
        // One that cannot be read is replaced.
        let before = self.live(device).ok().flatten().filter(lasts);
        let live = Live { since: before.map_or(now, |before| before.since), state: state.clone() };
        write(&folder.join(format!("{device}.json")), &serde_json::to_vec(&live)?)
    }

    /// What was last heard of a box; `None` when nothing ever was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn live(&self, device: &DeviceId) -> Result<Option<Live>> {
        let path = self.root.join(format!("state/{device}.json"));
        let Some(bytes) = read(&path, 2 * MAX_STATE)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).with_context(|| format!("{} is not of the stock", path.display()))
    }

    /// Notes that the keeper listens to the broker `now`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_heard(&self, now: Timestamp) -> Result<()> {
        write(&self.root.join("heard"), now.to_string().as_bytes())
    }

    /// When the keeper last listened to the broker; `None`: never.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn heard(&self) -> Result<Option<Timestamp>> {
        let path = self.root.join("heard");
        let Some(bytes) = read(&path, 64)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        text.parse().map(Some).with_context(|| format!("{} is not of the stock", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use examgate::wire::state::{Status, Versions};

    use super::*;

    #[test]
    fn a_state_is_dated_from_its_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Stock::open(folder.path()).unwrap();
        let door = DeviceId::new("door-1").unwrap();
        let at = |second: i64| Timestamp::from_second(1_795_000_000 + second).unwrap();
        assert_eq!((stock.live(&door).unwrap(), stock.heard().unwrap()), (None, None));
        let online = DeviceState::new(Status::Online, uuid::Uuid::from_u128(1), Versions::default());
        let mut newer = online.clone();
        newer.versions.software = "0.2.0".into();
        let lost = online.with_status(Status::Lost);
        for (second, state, since) in
            [(0, &online, 0), (5, &online, 0), (9, &newer, 0), (12, &lost, 12), (20, &online, 20)]
        {
            stock.set_state(&door, state, at(second)).unwrap();
            assert_eq!(stock.live(&door).unwrap(), Some(Live { since: at(since), state: state.clone() }));
        }
        stock.set_heard(at(3)).unwrap();
        assert_eq!(stock.heard().unwrap(), Some(at(3)));
        std::fs::write(folder.path().join("state/door-1.json"), "x").unwrap();
        assert!(stock.live(&door).is_err());
        stock.set_state(&door, &online, at(30)).unwrap();
    }
}
