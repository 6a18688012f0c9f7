//! The fleet's commands: whose count, and what they act on.

use std::sync::{Arc, Mutex, atomic::AtomicBool, mpsc::SyncSender};

use anyhow::{Context, Result};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use super::{Environment, doctor, limit, office::Pulse, pulse::Parts};
use crate::{
    config::Config,
    domain::{Doors, EmbeddingSpaceId, Exam},
    edge::{camera::CameraView, card::ReaderView, clock::Clock, mqtt},
    flow::{
        Happened, Submitted,
        deliver::Delivery,
        fetch::Rotation,
        obey::{self, Connected, Deeds, Obey, Party},
        renew::Order,
        trust::FleetKeysView,
    },
    store::{DrainMark, EventStore, KeyFolder, Layout},
    wire::{command::MAX_DETAIL, keys::SigningKey, topic::DeviceTopic},
};

/// Longest text of one finding in an answer, characters.
const LONGEST_FINDING: usize = 600;

/// The driver of commands, prepared.
pub(super) struct Commands {
    party: Party,
    connected: Connected,
    rotate: mpsc::Sender<Rotation>,
    renew: Option<mpsc::Sender<Order>>,
    clock: Arc<dyn Clock>,
}

/// What of a running box commands act on.
pub(super) struct Acting {
    pub(super) happened: SyncSender<Happened>,
    pub(super) events: SyncSender<Submitted>,
    /// Ends the box, to be started again.
    pub(super) restart: Arc<Notify>,
    /// Ends the driver, so that no more events are submitted.
    pub(super) closing: Arc<Notify>,
    pub(super) examined: Examined,
}

/// What is examined without disturbing anything.
pub(super) struct Examined {
    pub(super) config: Config,
    pub(super) environment: Environment,
    pub(super) space: EmbeddingSpaceId,
    pub(super) look: EventStore,
    pub(super) serving: (watch::Receiver<Option<Exam>>, watch::Receiver<Doors>),
    pub(super) camera: watch::Receiver<CameraView>,
    pub(super) reader: watch::Receiver<ReaderView>,
}

/// Whether commands come at all.
pub(super) fn are_wanted(config: &Config) -> bool {
    config.fleet.as_ref().is_some_and(|fleet| fleet.root.is_some() || !fleet.command_keys.is_empty())
}

/// Whether the box was taken out of service before it started.
///
/// # Errors
/// When that cannot be seen.
pub(super) fn is_drained(config: &Config) -> Result<bool> {
    let mark = DrainMark::new(&Layout::new(&config.state)).text()?;
    if let Some(text) = &mark {
        tracing::warn!(why = text, "the box is out of service: nobody is verified until the fleet commands `resume`");
    }
    Ok(mark.is_some())
}

impl Commands {
    /// Subscribes to commands.
    ///
    /// # Errors
    /// When a key cannot be used.
    pub(super) fn prepare(
        config: &Config,
        fleet: FleetKeysView,
        keys: &KeyFolder,
        (link, polling): (watch::Receiver<mqtt::Link>, &mut mqtt::UplinkLoop),
        (rotate, renew): (mpsc::Sender<Rotation>, Option<mpsc::Sender<Order>>),
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let seed = keys.signing_seed().context("the box's signing key cannot be read")?;
        let party = Party {
            device: config.device.clone(),
            room: config.room.clone(),
            key: SigningKey::from_seed(&seed),
            fleet,
        };
        let filters = vec![DeviceTopic::Command.of(&config.device)];
        let connected = Connected { link, arrivals: polling.subscribe(filters, obey::WAITING) };
        Ok(Self { party, connected, rotate, renew, clock })
    }

    /// Obeys as one of the box's `tasks`.
    pub(super) fn start(
        self,
        parts: &Parts,
        tasks: &mut JoinSet<()>,
        acting: Acting,
        delivery: watch::Receiver<Delivery>,
    ) {
        let Acting { happened, events, restart, closing, examined } = acting;
        let rehearsed = examined.environment.configuration.clone();
        let deeds = Deeds {
            happened,
            drained: DrainMark::new(&Layout::new(&examined.config.state)),
            doctor: examined.doctor(Arc::clone(&self.clock), delivery),
            rehearse: Arc::new(move || rehearsed.as_deref().map_or(Ok(()), rehearse)),
            restart,
            rotate: self.rotate,
            renew: self.renew,
            leaves: AtomicBool::new(false),
        };
        let obey = Obey::new(self.party, self.connected, self.clock, events, deeds);
        parts.task(tasks, "the commands", limit::TASKS, obey.run(closing));
    }
}

/// Whether the box would accept the configuration that is on disk now.
fn rehearse(path: &std::path::Path) -> Result<(), String> {
    let read = || -> Result<Config> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Config::parse(&text).with_context(|| format!("{} would be refused", path.display()))
    };
    read().map(drop).map_err(|error| format!("{error:#}"))
}

impl Examined {
    fn doctor(
        self,
        clock: Arc<dyn Clock>,
        delivery: watch::Receiver<Delivery>,
    ) -> Arc<dyn Fn() -> String + Send + Sync> {
        let Self { config, environment, space, look, serving, camera, reader } = self;
        let pulse = Pulse {
            clock: Arc::clone(&clock),
            serving,
            state: config.state.clone(),
            look: Mutex::new(look),
            camera,
            reader,
            delivery: Some(delivery),
            log: None,
        };
        Arc::new(move || {
            let mut findings = pulse.findings();
            findings.extend(doctor::examine_running(&config, &environment, &space, clock.wall()));
            as_short_json(findings)
        })
    }
}

/// A JSON array that fits into an answer: long texts are cut, and of too many findings those that are well are left out.
fn as_short_json(mut findings: Vec<doctor::PartHealth>) -> String {
    for finding in &mut findings {
        if let Some((end, _)) = finding.found.char_indices().nth(LONGEST_FINDING) {
            finding.found.truncate(end);
            finding.found.push('…');
        }
    }
    let json = |findings: &[doctor::PartHealth]| serde_json::to_string(findings).expect("texts are JSON");
    if json(&findings).len() > MAX_DETAIL {
        findings.retain(|finding| finding.state != doctor::State::Well);
    }
    while json(&findings).len() > MAX_DETAIL {
        findings.pop();
    }
    json(&findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::{PartHealth, State};

    #[test]
    fn findings_fit_into_an_answer_and_what_is_not_well_goes_first() {
        let finding = |state, found: &str| PartHealth { part: "roster".into(), state, found: found.into() };
        let short = vec![finding(State::Well, "fine"), finding(State::Unwell, "gone")];
        let read = |text: &str| -> Vec<serde_json::Value> { serde_json::from_str(text).expect("JSON") };
        assert_eq!(read(&as_short_json(short)).len(), 2);
        let long = "ü".repeat(5000);
        let mut many = vec![finding(State::Well, &long); 100];
        many.push(finding(State::Impaired, &long));
        let found = read(&as_short_json(many));
        assert_eq!((found.len(), &found[0]["state"]), (1, &"impaired".into()));
        assert_eq!(found[0]["found"].as_str().map(|text| text.chars().count()), Some(LONGEST_FINDING + 1));
        let worse = as_short_json(vec![finding(State::Unwell, &long); 100]);
        assert!(worse.len() <= MAX_DETAIL && read(&worse).len() > 5, "{} bytes", worse.len());
    }

    #[test]
    fn a_configuration_that_would_be_refused_is_told_before_the_box_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("door.toml");
        assert!(rehearse(&path).is_err_and(|why| why.contains("cannot read")));
        std::fs::write(&path, "device = 3").expect("written");
        assert!(rehearse(&path).is_err_and(|why| why.contains("would be refused")));
    }
}
