//! Rosters that the fleet pushes: keys and folders out of the configuration, and the first roster of a box that has none yet.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::interval,
};

use super::broker::Broker;
use crate::{
    config::{self, Config},
    domain::{ExamId, Pepper},
    edge::{clock::Clock, mqtt, system::Service},
    flow::fetch::{self, Connected, Disk, Fetch, Held, Party},
    store::{Incoming, KeyFolder, Layout, Secret},
    vision::VerifiedModels,
    wire::{
        keys::{PublicKey, SigningKey},
        seal::Identity,
    },
};

/// How often systemd hears that a box without a roster is alive.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Subscribes to what the fleet sends and prepares the driver of rosters.
pub(super) fn prepare(
    config: &Config,
    fleet: &config::Fleet,
    keys: &KeyFolder,
    models: &VerifiedModels,
    (link, polling): (watch::Receiver<mqtt::Link>, &mut mqtt::UplinkLoop),
    clock: Arc<dyn Clock>,
) -> Result<(Fetch, watch::Receiver<BTreeMap<ExamId, Held>>)> {
    let layout = Layout::new(&config.state);
    let made = keys.prekey(|| Identity::generate().to_text()).context("the key that rosters are sealed to")?;
    let identity: Identity = std::str::from_utf8(&made).ok().and_then(|text| text.parse().ok()).with_context(|| {
        format!("prekey.age in {} is no age identity: remove it, and the box makes another", keys.folder().display())
    })?;
    let trusted: Result<Vec<PublicKey>, _> = fleet.roster_keys.iter().map(|key| key.parse()).collect();
    let party = Party {
        device: config.device.clone(),
        keys: trusted.context("fleet.roster_keys")?,
        space: models.manifest().embedder.space.clone(),
        recipient: identity.recipient().to_string(),
    };
    let seed = keys.secret(Secret::Device).context("the box's signing key cannot be read")?;
    layout.make().context("the state folder cannot be made")?;
    let disk = Disk {
        incoming: Incoming::open(layout.incoming()).context("there is no folder for what the fleet sends")?,
        layout,
        keys: keys.clone(),
        identity,
        room: config.room.clone(),
        pepper: Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check(),
    };
    let connected = Connected { link, arrivals: polling.subscribe(fetch::filters(&config.device), fetch::WAITING) };
    Fetch::new(party, SigningKey::from_seed(&seed), disk, connected, clock).context("pushed rosters")
}

/// Waits for the roster of the exam that this box serves, if it has none: nothing is served until then. `false`: it was told to stop.
pub(super) async fn first_roster(
    config: &Config,
    keys: &KeyFolder,
    models: &VerifiedModels,
    clock: Arc<dyn Clock>,
) -> Result<bool> {
    let (Some(fleet), Some(uplink)) = (&config.fleet, &config.uplink) else { return Ok(true) };
    if Layout::new(&config.state).exam(&config.exam).exists() {
        return Ok(true);
    }
    let wait_for = |kind| signal(kind).context("signals cannot be waited for");
    let (mut terminate, mut interrupt) = (wait_for(SignalKind::terminate())?, wait_for(SignalKind::interrupt())?);
    let settings = Broker::settings(config, keys, uplink, None, models)?;
    let (near, mut polling) = mqtt::uplink(settings, Arc::clone(&clock)).context("the uplink cannot be prepared")?;
    let (fetch, mut held) = prepare(config, fleet, keys, models, (near.link.clone(), &mut polling), clock)?;
    tracing::warn!(exam = %config.exam, "there is no roster yet: the box waits for the fleet to push it and serves nobody");
    Service.ready(&format!("waiting for the roster of {}", config.exam));
    let mut tasks = JoinSet::new();
    tasks.spawn(polling.run(std::future::pending()));
    tasks.spawn(fetch.run());
    let mut beats = interval(BEAT_EVERY);
    let is_held = async { held.wait_for(|held| held.contains_key(&config.exam)).await.map(drop) };
    let mut is_held = std::pin::pin!(is_held);
    loop {
        tokio::select! {
            held = is_held.as_mut() => {
                held.context("pushed rosters have ended")?;
                // Dropped with the connection, which says nothing: the box connects again at once.
                tasks.shutdown().await;
                return Ok(true);
            }
            Some(ended) = tasks.join_next() => {
                ended.context("a part of the line to the fleet panicked")?;
                bail!("a part of the line to the fleet has ended, and nobody told it to");
            }
            _ = terminate.recv() => return Ok(false),
            _ = interrupt.recv() => return Ok(false),
            _ = beats.tick() => Service.beat(),
        }
    }
}
