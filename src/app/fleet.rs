//! What the fleet sends to the box: its trust document, rosters and the list of lost cards. Keys and folders out of the configuration.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::{
    config::{self, Config},
    domain::{Pepper, PepperCheck},
    edge::{clock::Clock, mqtt},
    flow::{
        fetch::{self, Connected, Disk, Fetch, Party, Prekeys},
        gossip,
        lost::{FollowLost, LostView},
        trust::{Commander, FleetKeys, FleetKeysView, FollowTrust},
    },
    store::{Incoming, KeyFolder, Layout, Secret},
    vision::VerifiedModels,
    wire::{
        keys::{PublicKey, SigningKey},
        seal::Recipient,
        trust::MAX_TRUST,
    },
};

/// What of the fleet's is followed, beside rosters and commands.
pub(super) struct Followed {
    /// Which keys count.
    pub(super) keys: FleetKeysView,
    pub(super) trust: Option<FollowTrust>,
    pub(super) lost: Option<FollowLost>,
}

/// Which of the fleet's keys count: those of the trust document where a root is configured, and otherwise those of the configuration.
pub(super) fn trust(config: &Config, clock: Arc<dyn Clock>) -> Result<(Option<FollowTrust>, FleetKeysView)> {
    let fleet = config.fleet.as_ref();
    let Some(root) = fleet.and_then(|fleet| fleet.root.as_ref()) else {
        return Ok((None, configured(config)?.unchanging()));
    };
    let root: PublicKey = root.parse().context("fleet.root")?;
    let enrolled = fleet.and_then(|fleet| fleet.trust.as_deref()).and_then(|path| {
        // The one that came last is as good, or a newer one comes.
        enrolled(path).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "the trust document of the enrolment cannot be used");
            None
        })
    });
    let layout = Layout::new(&config.state);
    layout.make().context("the state folder cannot be made")?;
    let incoming = Incoming::open(layout.incoming()).context("there is no folder for what the fleet sends")?;
    let (follow, view) =
        FollowTrust::new(root, enrolled.as_deref(), incoming, clock).context("the trust document cannot be read")?;
    Ok((Some(follow), view))
}

/// The document that came at enrolment; `None`: it is not there, and the box has the one that came last, or waits for it.
pub(super) fn enrolled(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        // More is no document, and reading it may take all memory.
        Ok(found) if found.len() > MAX_TRUST as u64 => anyhow::bail!(
            "fleet.trust {} is longer than a trust document: name the trust.cose that `examgate provision` wrote",
            path.display()
        ),
        Ok(_) => fs::read(path).map(Some).with_context(|| format!("cannot read fleet.trust {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), "the trust document of the enrolment is not there");
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read fleet.trust {}", path.display())),
    }
}

/// The keys that the configuration names.
pub(super) fn configured(config: &Config) -> Result<FleetKeys> {
    let fleet = config.fleet.as_ref();
    let rosters = fleet.iter().flat_map(|fleet| &fleet.roster_keys).map(|key| key.parse::<PublicKey>());
    let rosters: Vec<_> = rosters.collect::<Result<_, _>>().context("fleet.roster_keys")?;
    let commander = |entry: &config::CommandKey| {
        let key = entry.key.parse::<PublicKey>().context("fleet.command_keys")?;
        Ok(Commander { key, name: entry.name.clone(), may: entry.may.clone() })
    };
    let commanders = fleet.iter().flat_map(|fleet| &fleet.command_keys).map(commander);
    let (mut receipts, mut collector) = (Vec::new(), None);
    if let Some(named) = config.uplink.as_ref().and_then(|uplink| uplink.collector.as_ref()) {
        collector = Some(named.recipient.parse::<Recipient>().context("uplink.collector.recipient")?);
        receipts.push(named.receipt_key.parse::<PublicKey>().context("uplink.collector.receipt_key")?);
    }
    let mut keys = FleetKeys {
        unrevoked_roster: rosters.clone(),
        roster: rosters,
        commanders: commanders.collect::<Result<_>>()?,
        receipts,
        collector,
        unrevoked_lists: Vec::new(),
    };
    keys.unrevoked_lists = keys.lists();
    Ok(keys)
}

/// Subscribes to what the fleet sends and prepares the driver of rosters.
pub(super) fn prepare(
    config: &Config,
    counting: FleetKeysView,
    keys: &KeyFolder,
    models: &VerifiedModels,
    (link, polling): (watch::Receiver<mqtt::Link>, &mut mqtt::UplinkLoop),
    clock: Arc<dyn Clock>,
) -> Result<Fetch> {
    let layout = Layout::new(&config.state);
    let prekeys = Prekeys::open(keys.clone())
        .with_context(|| format!("the keys that rosters are sealed to, in {}", keys.folder().display()))?;
    let party = Party {
        device: config.device.clone(),
        // The manifest on disk was believed when it came.
        keys: counting.borrow().unrevoked_roster.clone(),
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
    Ok(fetch.believing(counting))
}

/// Prepares to tell the other boxes of an exam whom this one lets in, and to hear of theirs.
pub(super) fn gossip(
    config: &Config,
    keys: &KeyFolder,
    (link, polling): (watch::Receiver<mqtt::Link>, &mut mqtt::UplinkLoop),
) -> Result<(gossip::Party, gossip::Connected)> {
    let seed = keys.signing_seed().context("the box's signing key cannot be read")?;
    let (device, layout) = (config.device.clone(), Layout::new(&config.state));
    let (filters, followed) = watch::channel(Vec::new());
    let connected = gossip::Connected { link, filters, arrivals: polling.follow(followed, gossip::WAITING) };
    Ok((gossip::Party { device, key: SigningKey::from_seed(&seed), layout }, connected))
}

/// The list of lost cards as it was at the last stop, and its driver, where somebody's lists count or may come to count.
pub(super) fn lost_cards(
    config: &Config,
    counting: FleetKeysView,
    keys: &KeyFolder,
) -> Result<(Option<FollowLost>, LostView)> {
    let has_root = config.fleet.as_ref().is_some_and(|fleet| fleet.root.is_some());
    if !has_root && counting.borrow().lists().is_empty() {
        return Ok((None, watch::channel(Arc::default()).1));
    }
    let layout = Layout::new(&config.state);
    layout.make().context("the state folder cannot be made")?;
    let incoming = Incoming::open(layout.incoming()).context("there is no folder for what the fleet sends")?;
    let (follow, view) =
        FollowLost::new(counting, pepper(keys)?, incoming).context("the list of lost cards cannot be read")?;
    Ok((Some(follow), view))
}

fn pepper(keys: &KeyFolder) -> Result<PepperCheck> {
    Ok(Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check())
}
