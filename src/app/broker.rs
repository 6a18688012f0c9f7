//! The line to the broker: certificates, keys and who is trusted, out of the configuration; then polling and delivering.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use super::{
    commands::{self, Acting, Commands},
    fleet::{self, Followed},
    limit,
    pulse::Parts,
    renewal::{self, Held, Renewals},
};
use crate::{
    config::{self, Config},
    domain::{Exam, Seq, WithSources},
    edge::{clock::Clock, mqtt, system::BootId},
    flow::{
        deliver::{Deliver, Delivery, Pace as DeliveryPace, Parties},
        fetch::Fetch,
        gossip::{self, Gossip},
        lost::{self, FollowLost},
        trust::{self, FollowTrust},
    },
    mqtt::Authorities,
    store::{EventStore, KeyFolder},
    vision::VerifiedModels,
    wire::{
        keys::SigningKey,
        state::{DeviceState, Status, Versions},
        topic::{LOST_CARDS, TRUST},
    },
};

/// The line to the broker, prepared.
pub(super) struct Broker {
    line: mqtt::Uplink,
    polling: mqtt::UplinkLoop,
    parties: Parties,
    fetch: Option<Fetch>,
    commands: Option<Commands>,
    lost: Option<(FollowLost, mpsc::Receiver<mqtt::Arrived>)>,
    gossip: Option<(gossip::Party, gossip::Connected)>,
    renewals: Option<Renewals>,
    trust: Option<(FollowTrust, mpsc::Receiver<mqtt::Arrived>)>,
    clock: Arc<dyn Clock>,
}

impl Broker {
    /// Where and as whom to connect, with the newest certificate of all that the box may use.
    pub(super) fn settings(
        config: &Config,
        keys: &KeyFolder,
        uplink: &config::Uplink,
        exam: Option<&Exam>,
        models: &VerifiedModels,
    ) -> Result<(mqtt::Settings, Vec<Held>)> {
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let versions = Versions {
            software: env!("CARGO_PKG_VERSION").into(),
            models: [("embedder".to_owned(), models.manifest().embedder.artifact().to_string())].into(),
            rosters: exam.map(|exam| (exam.id.clone(), exam.version)).into_iter().collect(),
        };
        let authority = read(&uplink.ca)?;
        Authorities::read(&authority).with_context(|| format!("uplink.ca {} cannot be used", uplink.ca.display()))?;
        let boot = BootId::read().context("this boot has no name")?;
        let held = renewal::held(keys, uplink)?;
        let newest = held.first().context("the box has no certificate for the broker")?;
        let settings = mqtt::Settings {
            host: uplink.host.clone(),
            port: uplink.port,
            device: config.device.clone(),
            tls: renewal::tls(&authority, &newest.pair),
            state: DeviceState::new(Status::Online, boot.0, versions),
            patience: mqtt::Patience::default(),
        };
        Ok((settings, held))
    }

    pub(super) fn prepare(
        config: &Config,
        keys: &KeyFolder,
        uplink: &config::Uplink,
        exam: Option<&Exam>,
        models: &VerifiedModels,
        (followed, clock): (Followed, Arc<dyn Clock>),
    ) -> Result<Self> {
        let seed = keys.signing_seed().context("the box's signing key cannot be read")?;
        let Followed { keys: counting, trust, lost } = followed;
        let (device, key) = (config.device.clone(), SigningKey::from_seed(&seed));
        let parties = Parties { device, key, fleet: counting.clone() };
        let (settings, held) = Self::settings(config, keys, uplink, exam, models)?;
        let authority = settings.tls.authority.clone();
        let (line, mut polling) =
            mqtt::uplink(settings, Arc::clone(&clock)).context("the uplink cannot be prepared")?;
        for older in held.iter().skip(1) {
            if let Err(error) = polling.fall_back(&renewal::tls(&authority, &older.pair)) {
                tracing::warn!(error = %WithSources(&error), "a certificate of before cannot be used");
            }
        }
        let (own, of) = ((&config.device, parties.key.clone()), (&authority[..], &held[..]));
        let renewing = renewal::prepare(own, uplink, keys, of, &mut polling, Arc::clone(&clock))?;
        let (renewals, renew) = renewing.unzip();
        let (mut fetch, mut commands, mut gossip) = (None, None, None);
        if config.fleet.is_some() {
            let connected = (line.link.clone(), &mut polling);
            let rosters = fleet::prepare(config, counting.clone(), keys, models, connected, Arc::clone(&clock))?;
            let (rosters, rotate) = rosters.rotating();
            let rosters = match &lost {
                Some(follow) => rosters.reporting(follow.serial()),
                None => rosters,
            };
            let rosters = match &trust {
                Some(follow) => rosters.reporting_trust(follow.held()),
                None => rosters,
            };
            if commands::are_wanted(config) {
                let connected = (line.link.clone(), &mut polling);
                commands =
                    Some(Commands::prepare(config, counting, keys, connected, (rotate, renew), Arc::clone(&clock))?);
            }
            fetch = Some(rosters);
            gossip = Some(fleet::gossip(config, keys, (line.link.clone(), &mut polling))?);
        }
        let lost = lost.map(|follow| (follow, polling.subscribe(vec![LOST_CARDS.into()], lost::WAITING)));
        let trust = trust.map(|follow| (follow, polling.subscribe(vec![TRUST.into()], trust::WAITING)));
        Ok(Self { line, polling, parties, fetch, commands, lost, gossip, renewals, trust, clock })
    }

    /// The link, and the certificate it is made with.
    pub(super) fn watched(&self) -> (watch::Receiver<mqtt::Link>, watch::Receiver<mqtt::InUse>) {
        (self.line.link.clone(), self.polling.certificate())
    }

    /// Starts polling and delivering, until `stop`. Commands act on `acting`; the other boxes of an exam hear of the newest events in `ends`.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub(super) fn start(
        self,
        parts: &Parts,
        outbox: EventStore,
        recorded: Arc<Notify>,
        stop: Arc<Notify>,
        acting: Option<Acting>,
        (ends, newest): (Option<gossip::Ends>, watch::Receiver<Seq>),
    ) -> Result<(JoinSet<()>, watch::Receiver<Delivery>)> {
        let outbox = Arc::new(Mutex::new(outbox));
        let (deliver, mut stands) = Deliver::new(
            Arc::clone(&outbox),
            self.parties,
            self.line,
            recorded,
            Arc::clone(&self.clock),
            DeliveryPace::default(),
        )
        .context("the outbox cannot be read")?;
        let delivery = stands.clone();
        let restart = acting.as_ref().map(|acting| Arc::clone(&acting.restart));
        let mut tasks = JoinSet::new();
        let polling = self.polling.run(async move { stop.notified().await });
        parts.task(&mut tasks, "the line to the broker", limit::TASKS, polling);
        parts.task(&mut tasks, "the delivery", limit::TASKS, deliver.run());
        if let Some(fetch) = self.fetch {
            parts.task(&mut tasks, "the pushed rosters", limit::TASKS, fetch.run());
        }
        if let (Some(commands), Some(acting)) = (self.commands, acting) {
            commands.start(parts, &mut tasks, acting, delivery.clone());
        }
        if let Some((follow, arrivals)) = self.lost {
            parts.task(&mut tasks, "the lost cards", limit::TASKS, follow.run(arrivals));
        }
        if let (Some((party, connected)), Some(ends)) = (self.gossip, ends) {
            let gossip = Gossip::new(party, ends, newest, connected, self.clock);
            parts.task(&mut tasks, "the word of the other boxes", limit::TASKS, gossip.run());
        }
        if let Some(Renewals { renew, orders }) = self.renewals {
            let leave = move || {
                if let Some(restart) = &restart {
                    restart.notify_one();
                }
            };
            parts.task(&mut tasks, "the renewals", limit::TASKS, renew.run(orders, outbox, leave));
        }
        if let Some((follow, arrivals)) = self.trust {
            parts.task(&mut tasks, "the trust document", limit::TASKS, follow.run(arrivals));
        }
        parts.task(&mut tasks, "the delivery's log", limit::TASKS, async move {
            while stands.changed().await.is_ok() {
                let Delivery { standing, receipted } = *stands.borrow_and_update();
                tracing::info!(?standing, receipted = receipted.0, "delivery");
            }
        });
        Ok((tasks, delivery))
    }
}
