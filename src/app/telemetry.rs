//! Telemetry out of the configuration: who tells, what is looked at for each message, and its threads.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::{limit, outbox, pulse::Parts};
use crate::{
    config::Config,
    domain::{ClockTrust, EmbeddingSpaceId, Exam, Pepper, Timestamp, WithSources},
    edge::{
        clock::Clock,
        enrolment::validity,
        mqtt::{InUse, Link},
        system::{BootId, Memory, free_space, temperatures},
    },
    flow::{
        Shelf,
        telemetry::{CompareWithOthers, Noted, Noting, Probed, Tell, Teller, probes},
    },
    store::{EventStore, KeyFolder, Layout, Secret, next_run},
    vision::{Pipeline, ProviderReport, VerifiedModels},
    wire::{
        keys::SigningKey,
        telemetry::{Metric, Reading, Series, metrics, token},
    },
};

/// What telemetry follows of a running box.
pub(super) struct Followed {
    /// The link to the broker, and the certificate (PEM) it is made with.
    pub(super) line: (watch::Receiver<Link>, watch::Receiver<InUse>),
    /// The exam served.
    pub(super) in_force: watch::Receiver<Option<Exam>>,
    /// For the number of events that wait.
    pub(super) events: EventStore,
    /// By which clock.
    pub(super) clock: Arc<dyn Clock>,
}

/// Telemetry, prepared; without `[telemetry]` it takes no notes and tells nothing.
pub(super) struct Telemetry {
    pub(super) noting: Noting,
    /// Takes the probes of looks, where they are to be compared with others.
    pub(super) others: Option<SyncSender<Probed>>,
    tells: Option<Tells>,
}

struct Tells {
    notes: Receiver<Noted>,
    teller: Teller,
    providers: Vec<Series>,
    comparing: Option<(Receiver<Probed>, Shelf)>,
    space: EmbeddingSpaceId,
    state: PathBuf,
    most: u64,
}

/// Says who tells. A run begins here.
///
/// # Errors
/// When a key cannot be read, or the state folder not be written.
pub(super) fn prepare(
    config: &Config,
    keys: &KeyFolder,
    models: &VerifiedModels,
    pipeline: &Pipeline,
    now: Timestamp,
) -> Result<Telemetry> {
    let Some(telemetry) = &config.telemetry else {
        return Ok(Telemetry { noting: Noting::default(), others: None, tells: None });
    };
    let seed = keys.signing_seed().context("the box's signing key cannot be read")?;
    let layout = Layout::new(&config.state);
    let manifest = models.manifest();
    let role = |role: &str, id: &str| (role.to_owned(), token(id));
    let teller = Teller {
        device: config.device.clone(),
        key: SigningKey::from_seed(&seed),
        boot_id: BootId::read().context("this boot has no name")?.0,
        run: next_run(&layout, now)?,
        since: now,
        every: telemetry.every(),
        software: token(env!("CARGO_PKG_VERSION")),
        models: [
            role("embedder", &manifest.embedder.artifact().to_string()),
            role("liveness", &manifest.liveness.net.name),
        ]
        .into(),
    };
    let provider = |report: &ProviderReport| {
        gauge(&metrics::PROVIDERS, &[&token(&report.net), &token(&report.used.to_string())], 1.0)
    };
    let (mut others, mut comparing) = (None, None);
    if telemetry.non_mated_scores {
        let pepper = Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check();
        let (to, from) = probes();
        (others, comparing) = (Some(to), Some((from, Shelf { layout, keys: keys.clone(), pepper })));
    }
    let (noting, notes) = Noting::new();
    let tells = Tells {
        notes,
        teller,
        providers: pipeline.providers().iter().map(provider).collect(),
        comparing,
        space: manifest.embedder.space.clone(),
        state: config.state.clone(),
        most: outbox::limits(config).rows,
    };
    Ok(Telemetry { noting, others, tells: Some(tells) })
}

impl Telemetry {
    /// Starts the threads. They end when the noting is stopped and no more probes come.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub(super) fn start(self, parts: &Parts, followed: Option<Followed>) -> Result<Vec<JoinHandle<()>>> {
        let Self { noting, tells: Some(tells), .. } = self else { return Ok(Vec::new()) };
        let Some(Followed { line: (link, certificate), in_force, events, clock }) = followed else {
            return Ok(Vec::new());
        };
        let Tells { notes, teller, providers, comparing, space, state, most } = tells;
        let mut threads = Vec::new();
        if let Some((probes, shelf)) = comparing {
            let (in_force, noting) = (in_force.clone(), noting.clone());
            threads.push(parts.thread("examgate-others", limit::STORE, move |beat| {
                let alive = Box::new(move || beat.tick());
                CompareWithOthers { probes, shelf, in_force, space, noting, alive }.run();
                Ok(())
            })?);
        }
        let (since, watched) = (teller.since, (link.clone(), Arc::clone(&clock)));
        let vitals = Vitals { state, events, most, certificate, in_force, watched, since, providers };
        threads.push(parts.thread("examgate-tell", limit::STORE, move |beat| {
            let (measure, alive) = (Box::new(move || vitals.measure()), Box::new(move || beat.tick()));
            Tell { teller, notes, noting, link, clock, measure, alive }.run();
            Ok(())
        })?);
        Ok(threads)
    }
}

/// How the box is, for each message.
struct Vitals {
    state: PathBuf,
    events: EventStore,
    most: u64,
    certificate: watch::Receiver<InUse>,
    in_force: watch::Receiver<Option<Exam>>,
    watched: (watch::Receiver<Link>, Arc<dyn Clock>),
    since: Timestamp,
    providers: Vec<Series>,
}

impl Vitals {
    /// What cannot be told is left out, and the message goes.
    fn measure(&self) -> Vec<Series> {
        let mut all = self.providers.clone();
        let mut tell = |metric, labels: &[&str], value: f64| all.push(gauge(metric, labels, value));
        match self.events.outbox_len() {
            Ok(waiting) => tell(&metrics::OUTBOX, &[], waiting as f64),
            Err(error) => tracing::warn!(error = %WithSources(&error), "the outbox cannot be counted"),
        }
        tell(&metrics::OUTBOX_LIMIT, &[], self.most as f64);
        if let Link::Up(line) = &*self.watched.0.borrow() {
            tell(&metrics::QUEUES, &["line"], line.waiting() as f64);
        }
        for (zone, temperature) in temperatures() {
            tell(&metrics::TEMPERATURES, &[&token(&zone)], temperature);
        }
        let Memory { total, available, resident } = Memory::read();
        for (metric, labels, bytes) in [
            (&metrics::MEMORY, &["total"][..], total),
            (&metrics::MEMORY, &["available"], available),
            (&metrics::RESIDENT, &[], resident),
        ] {
            if let Some(bytes) = bytes {
                tell(metric, labels, bytes as f64);
            }
        }
        if let Ok(space) = free_space(&self.state) {
            tell(&metrics::DISK, &["total"], space.total as f64);
            tell(&metrics::DISK, &["available"], space.available as f64);
        }
        let trust = self.watched.1.trust();
        for (state, is) in [
            ("synchronised", ClockTrust::Synchronised),
            ("holdover", ClockTrust::Holdover),
            ("untrusted", ClockTrust::Untrusted),
        ] {
            tell(&metrics::CLOCK, &[state], if trust == is { 1.0 } else { 0.0 });
        }
        let certificate = self.certificate.borrow().clone();
        if let Some(validity) = certificate.and_then(|certificate| validity(&certificate)) {
            tell(&metrics::CERTIFICATE, &[], validity.until.as_second() as f64);
        }
        let exam = self.in_force.borrow().clone();
        tell(&metrics::ROSTER_VERSION, &[], exam.as_ref().map_or(0.0, |exam| exam.version.0 as f64));
        if let Some(exam) = exam {
            tell(&metrics::ROSTER, &[], exam.window.closes.as_second() as f64);
        }
        tell(&metrics::STARTED, &[], self.since.as_second() as f64);
        all
    }
}

fn gauge(metric: &'static Metric, labels: &[&str], value: f64) -> Series {
    Series { metric, labels: labels.iter().map(|label| (*label).into()).collect(), reading: Reading::Gauge(value) }
}
