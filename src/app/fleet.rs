//! Rosters that the fleet pushes: keys and folders out of the configuration.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::{
    config::{self, Config},
    domain::Pepper,
    edge::{clock::Clock, mqtt},
    flow::fetch::{self, Connected, Disk, Fetch, Party, Prekeys},
    store::{Incoming, KeyFolder, Layout, Secret},
    vision::VerifiedModels,
    wire::keys::{PublicKey, SigningKey},
};

/// Subscribes to what the fleet sends and prepares the driver of rosters.
pub(super) fn prepare(
    config: &Config,
    fleet: &config::Fleet,
    keys: &KeyFolder,
    models: &VerifiedModels,
    (link, polling): (watch::Receiver<mqtt::Link>, &mut mqtt::UplinkLoop),
    clock: Arc<dyn Clock>,
) -> Result<Fetch> {
    let layout = Layout::new(&config.state);
    let prekeys = Prekeys::open(keys.clone())
        .with_context(|| format!("the keys that rosters are sealed to, in {}", keys.folder().display()))?;
    let trusted: Result<Vec<PublicKey>, _> = fleet.roster_keys.iter().map(|key| key.parse()).collect();
    let party = Party {
        device: config.device.clone(),
        keys: trusted.context("fleet.roster_keys")?,
        space: models.manifest().embedder.space.clone(),
        recipient: prekeys.recipient().context("the key that rosters are sealed to")?,
    };
    let seed = keys.secret(Secret::Device).context("the box's signing key cannot be read")?;
    layout.make().context("the state folder cannot be made")?;
    let disk = Disk {
        incoming: Incoming::open(layout.incoming()).context("there is no folder for what the fleet sends")?,
        layout,
        keys: keys.clone(),
        prekeys,
        room: config.room.clone(),
        pepper: Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check(),
    };
    let connected = Connected { link, arrivals: polling.subscribe(fetch::filters(&config.device), fetch::WAITING) };
    let (fetch, _) =
        Fetch::new(party, SigningKey::from_seed(&seed), disk, connected, clock).context("pushed rosters")?;
    Ok(fetch)
}
