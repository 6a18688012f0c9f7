//! Rosters that the fleet pushes, and its list of lost cards: keys and folders out of the configuration.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::{
    config::{self, Config},
    domain::{Pepper, PepperCheck, Right},
    edge::{clock::Clock, mqtt},
    flow::{
        fetch::{self, Connected, Disk, Fetch, Party, Prekeys},
        gossip,
        lost::{FollowLost, LostView},
    },
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
    let seed = keys.signing_seed().context("the box's signing key cannot be read")?;
    layout.make().context("the state folder cannot be made")?;
    let disk = Disk {
        incoming: Incoming::open(layout.incoming()).context("there is no folder for what the fleet sends")?,
        layout,
        keys: keys.clone(),
        prekeys,
        room: config.room.clone(),
        pepper: pepper(keys)?,
    };
    let connected = Connected { link, arrivals: polling.subscribe(fetch::filters(&config.device), fetch::WAITING) };
    let (fetch, _) =
        Fetch::new(party, SigningKey::from_seed(&seed), disk, connected, clock).context("pushed rosters")?;
    Ok(fetch)
}

/// Prepares to tell the other boxes of an exam whom this one lets in, and to hear of theirs.
pub(super) fn gossip(
    config: &Config,
    keys: &KeyFolder,
    (link, polling): (watch::Receiver<mqtt::Link>, &mut mqtt::UplinkLoop),
) -> Result<(gossip::Party, gossip::Connected)> {
    let seed = keys.secret(Secret::Device).context("the box's signing key cannot be read")?;
    let (device, layout) = (config.device.clone(), Layout::new(&config.state));
    let (filters, followed) = watch::channel(Vec::new());
    let connected = gossip::Connected { link, filters, arrivals: polling.follow(followed, gossip::WAITING) };
    Ok((gossip::Party { device, key: SigningKey::from_seed(&seed), layout }, connected))
}

/// The list of lost cards as it was at the last stop, and its driver, where the configuration names whose lists count.
pub(super) fn lost_cards(config: &Config, keys: &KeyFolder) -> Result<(Option<FollowLost>, LostView)> {
    let may_list = config.fleet.iter().flat_map(|fleet| &fleet.command_keys).filter(|key| key.has(Right::LostCards));
    let trusted: Result<Vec<PublicKey>, _> = may_list.map(|entry| entry.key.parse()).collect();
    let trusted = trusted.context("fleet.command_keys")?;
    if trusted.is_empty() {
        return Ok((None, watch::channel(Arc::default()).1));
    }
    let layout = Layout::new(&config.state);
    layout.make().context("the state folder cannot be made")?;
    let incoming = Incoming::open(layout.incoming()).context("there is no folder for what the fleet sends")?;
    let (follow, view) =
        FollowLost::new(trusted, pepper(keys)?, incoming).context("the list of lost cards cannot be read")?;
    Ok((Some(follow), view))
}

fn pepper(keys: &KeyFolder) -> Result<PepperCheck> {
    Ok(Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check())
}
