//! The composition root: the only file that names concrete edges. Builds a box from its configuration, runs it until a
//! signal comes, and takes it down upstream first: taps, session, store, outbox, broker.
//!
//! Never judges and never transforms: it connects.

mod broker;
pub mod card;
mod commands;
pub mod doctor;
mod fleet;
pub mod machine;
mod models;
mod office;
mod outbox;
pub mod provision;
mod pulse;
pub mod renewal;
mod screen;
pub mod settings;
mod signals;
mod stores;
mod telemetry;
pub mod tune;

use std::{
    error::Error,
    path::PathBuf,
    sync::{Arc, mpsc::sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinSet,
};

use broker::Broker;
use commands::{Acting, Examined};
use fleet::Followed;
pub use models::{TuningUse, verified_models};
use office::Office;
pub use outbox::change_id;
use pulse::Parts;
#[cfg(feature = "sim")]
use settings::stream;
use settings::{camera_settings, card_reads, light_kind, mono, policy, surroundings};
use signals::Signals;
pub use stores::Stores;
use telemetry::Telemetry;

use crate::{
    config::Config,
    domain::{EmbeddingSpaceId, Pepper, Seq, Shown},
    edge::{
        camera::{Camera, CameraSettings, Opener, v4l_opener},
        card::{CardReader, PcscCardReader, ReaderView},
        clock::{Clock, SystemClock},
        light,
        screen::Follows,
        system::{Running, Service, Tail},
    },
    flow::{Acts, Happened, Observe, Record, Verify, listen, mirror, show},
    session::{Door, Policy, Session},
    store::{Credentials, KeyFolder, Secret},
    vision::{Options, Pipeline},
};

/// What reaches the verification and waits: far more than arrives while it takes one step.
const HAPPENINGS: usize = 64;

/// Events that wait for the disk before the box refers.
const RECORDS: usize = 4;

/// How long a shutdown may take before what is left is left.
const GRACE: Duration = Duration::from_secs(5);

/// How long each part may show no sign of life before the box is started again. Starting does not mend a disk, so whoever
/// reads or writes it may wait out a stall of half a minute and more: students are referred meanwhile. Whoever hands something to
/// the verification waits for it and gets longer, so that the one that hangs is named.
mod limit {
    use std::time::Duration;

    /// It waits for nobody.
    pub(super) const VERIFY: Duration = Duration::from_secs(20);
    /// The nets take milliseconds; a capture window ends by itself meanwhile.
    pub(super) const VISION: Duration = Duration::from_secs(45);
    pub(super) const TAPS: Duration = Duration::from_secs(45);
    pub(super) const LOOKUP: Duration = Duration::from_secs(120);
    pub(super) const STORE: Duration = Duration::from_secs(120);
    /// They share a thread and never block it.
    pub(super) const TASKS: Duration = Duration::from_secs(30);
    pub(super) const CONSOLE: Duration = Duration::from_secs(30);
}

/// What the process was started with, beside its configuration.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// What systemd handed over.
    pub credentials: Credentials,
    /// The file that the configuration was read from.
    pub configuration: Option<PathBuf>,
    /// The end of the log, for the console.
    pub log: Option<Tail>,
}

impl Environment {
    /// The box's keys.
    fn keys(&self, config: &Config) -> KeyFolder {
        KeyFolder::with(&config.keys, self.credentials.clone())
    }
}

/// Runs the box until SIGTERM or SIGINT.
///
/// ```no_run
/// use examgate::{
///     app::{Environment, run},
///     config::Config,
/// };
///
/// let config = Config::parse(&std::fs::read_to_string("/etc/examgate/examgate.toml")?)?;
/// run(&config, &Environment::default())?;
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// What could not be built, with its cause and how to mend it; nothing was started then.
pub fn run(config: &Config, environment: &Environment) -> Result<()> {
    let (models, tuning) = verified_models(config)?;
    match tuning {
        TuningUse::None => {}
        TuningUse::Used(choice) => tracing::info!(choice, "nets run as tuned for this machine"),
        TuningUse::Refused(why) => tracing::warn!(why, "the manifest's own choice of nets and providers holds"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("examgate-tokio")
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let Some(_running) = Running::claim(&config.state)? else {
        bail!("another examgate runs on the state folder {}: stop it first", config.state.display());
    };
    let keys = environment.keys(config);
    let edges = Edges::set(config, &keys)?;
    let (trust, counting) = fleet::trust(config, Arc::clone(&edges.clock))?;
    let (follow, lost) = fleet::lost_cards(config, counting.clone(), &keys)?;
    let mut stores = Stores::open(config, &keys, &models, (lost, Arc::clone(&edges.clock)))?;
    renewal::go_over(&config.device, &keys, &mut stores.outbox, edges.clock.wall())?;
    if let Some(shortage) = outbox::shortage(config, &stores.outbox)? {
        tracing::error!("{shortage}");
    }
    let with = (Followed { keys: counting, trust, lost: follow }, Arc::clone(&edges.clock));
    let prepare = |uplink| Broker::prepare(config, &keys, uplink, stores.exam.as_ref(), &models, with);
    let uplink = config.uplink.as_ref().map(prepare).transpose()?;
    let pipeline = Pipeline::open(&models, Options::default()).context("the nets cannot be loaded")?;
    models::log_providers(&pipeline);
    let policy = policy(&config.policy, models.manifest());
    let space = models.manifest().embedder.space.clone();
    let telemetry = telemetry::prepare(config, &keys, &models, &pipeline, edges.clock.wall())?;
    let appliance = Appliance { config, environment, policy, space, edges, stores, pipeline, telemetry };
    let outcome = runtime.block_on(appliance.serve(uplink));
    // Whatever hangs on a disk or a resolver is not waited for: the process ends.
    runtime.shutdown_background();
    outcome
}

/// The edges that a simulation may replace.
struct Edges {
    clock: Arc<dyn Clock>,
    note: Arc<dyn Fn() + Send + Sync>,
    camera: Opener,
    card: Box<dyn CardReader>,
    #[cfg(feature = "sim")]
    _followed: Option<crate::rig::strings::Followed>,
}

impl Edges {
    fn set(config: &Config, keys: &KeyFolder) -> Result<Self> {
        let pepper = Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?);
        let reads = card_reads(&config.card, keys).context("cards cannot be read as [card] says")?;
        #[cfg(feature = "sim")]
        if let Some(sim) = &config.sim {
            let puppets = crate::rig::strings::follow(sim, stream(&config.camera), reads.clone(), pepper.clone())?;
            let around = surroundings(Arc::clone(&puppets.clock));
            let card: Box<dyn CardReader> = match puppets.card {
                Some(reader) => Box::new(reader),
                None => Box::new(PcscCardReader::open(reads, pepper, around)?),
            };
            let (clock, camera) = (puppets.clock, puppets.camera);
            return Ok(Self { clock, note: Arc::new(|| {}), camera, card, _followed: Some(puppets.followed) });
        }
        let clock = Arc::new(SystemClock::with_holdover(config.state.join("clock-floor"), config.clock.holdover()));
        let noting = Arc::clone(&clock);
        let note: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            if let Err(error) = noting.note() {
                tracing::warn!(error = &error as &dyn Error, "clock");
            }
        });
        let reading = Arc::clone(&clock);
        let camera = v4l_opener(camera_settings(&config.camera), Arc::new(move || reading.both()));
        let around = surroundings(Arc::<SystemClock>::clone(&clock));
        let card = PcscCardReader::open(reads, pepper, around).context("the card reader cannot be watched")?;
        Ok(Self {
            clock,
            note,
            camera,
            card: Box::new(card),
            #[cfg(feature = "sim")]
            _followed: None,
        })
    }
}

/// Everything built; nothing running yet but the card reader's and the strings' threads.
struct Appliance<'a> {
    config: &'a Config,
    environment: &'a Environment,
    policy: Policy,
    space: EmbeddingSpaceId,
    edges: Edges,
    stores: Stores,
    pipeline: Pipeline,
    telemetry: Telemetry,
}

impl Appliance<'_> {
    async fn serve(self, broker: Option<Broker>) -> Result<()> {
        let Self { config, environment, policy, space, edges, stores, pipeline, mut telemetry } = self;
        // Before all else: a program that reads "ready" may stop the box at once, and it must stop in order.
        let signals = Signals::new()?;
        let light = light::open(&light_kind(&config.light)).context("the light cannot be used")?;
        let camera = Camera::start(edges.camera, mono(Arc::clone(&edges.clock)), CameraSettings::default())?;
        let (happened, inbox) = sync_channel(HAPPENINGS);
        let (events, to_record) = sync_channel(RECORDS);
        let (looks, wanted) = watch::channel(None);
        let door = Door { room: config.room.clone(), exam: stores.exam.clone() };
        let session = Session::new(policy, door).drained(commands::is_drained(config)?);
        let (shown, seen) = watch::channel(Shown::new(session.at_rest(), edges.clock.mono()));
        let recorded = Arc::new(Notify::new());
        let (newest, last_recorded) = watch::channel(Seq::default());
        let (frames, clock, submit) = (camera.view(), Arc::clone(&edges.clock), events.clone());
        let (parts, mut ended) = Parts::new();
        let (noting, others) = (telemetry.noting.clone(), telemetry.others.take());
        let (counting, stopping) = (noting.clone(), noting.clone());

        let (telling, looking, tapping, telling_recorded) =
            (happened.clone(), happened.clone(), happened.clone(), Arc::clone(&recorded));
        let writer = stores.writer;
        let (invitations, invited) = watch::channel(None);
        let (pictures, mirrored) = watch::channel(None);
        let (in_force, edition) = watch::channel(stores.exam.clone());
        let (plate, following) = screen::plates(config.room.clone(), edition.clone(), stores.doors.clone());
        let follows = Follows { shown: seen.clone(), plate, pictures: mirrored, clock: Arc::clone(&edges.clock) };
        let screen = screen::listen(config, follows).await?;
        // One tap at a time is looked up.
        let (queries, asked) = sync_channel(1);
        let (lookup, answers) = (stores.lookup, happened.clone());
        let (handle, card) = (Handle::current(), edges.card);
        let (readers, reader) = watch::channel(ReaderView::Starting);
        let threads = [
            parts.thread("examgate-store", limit::STORE, move |beat| {
                let (happened, recorded, alive) = (telling, telling_recorded, Box::new(move || beat.tick()));
                Record { store: writer, events: to_record, happened, recorded, newest, noting: counting, alive }.run();
                Ok(())
            })?,
            parts.thread("examgate-vision", limit::VISION, move |beat| {
                let (happened, alive) = (looking, Box::new(move || beat.tick()));
                Observe { pipeline, camera, looks: wanted, happened, others, alive }
                    .run(&handle)
                    .map_err(|fault| anyhow!("{fault}"))
            })?,
            parts.thread("examgate-verify", limit::VERIFY, move |beat| {
                let alive = Box::new(move || beat.tick());
                let acts = Acts { looks, queries, events, shown, invitations, in_force, noting, alive };
                Verify::new(session, edges.clock, acts).run(&inbox);
                Ok(())
            })?,
            parts.thread("examgate-lookup", limit::LOOKUP, move |beat| {
                lookup.run(&asked, &answers, || beat.tick());
                Ok(())
            })?,
            parts.thread("examgate-taps", limit::TAPS, move |beat| {
                listen(card, &tapping, &readers, || beat.tick()).map_err(Into::into)
            })?,
        ];

        let mut tasks = JoinSet::new();
        parts.task(&mut tasks, "the light", limit::TASKS, show(seen.clone(), light));
        if let Some(screen) = screen {
            parts.task(&mut tasks, "the screen's plate", limit::TASKS, following);
            parts.task(&mut tasks, "the mirror", limit::TASKS, mirror(seen, frames.clone(), pictures));
            parts.task(&mut tasks, "the screen", limit::TASKS, screen.run());
        }
        let (stop, closing, restart) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let acting = stores.examine.map(|look| Acting {
            happened: happened.clone(),
            events: submit.clone(),
            restart: Arc::clone(&restart),
            closing: Arc::clone(&closing),
            examined: Examined {
                config: config.clone(),
                environment: environment.clone(),
                space,
                look,
                serving: (edition.clone(), stores.doors.clone()),
                camera: frames.clone(),
                reader: reader.clone(),
            },
        });
        let follows = broker.as_ref().zip(stores.counted).map(|(broker, events)| telemetry::Followed {
            line: broker.watched(),
            in_force: edition.clone(),
            events,
            clock: Arc::clone(&clock),
        });
        let telling = telemetry.start(&parts, follows)?;
        let delivering = broker
            .map(|broker| {
                let gossip = (stores.gossip, last_recorded.clone());
                broker.start(&parts, stores.outbox, recorded, Arc::clone(&stop), acting, gossip)
            })
            .transpose()?;
        let (delivering, delivery) = delivering.unzip();
        let close = Arc::new(Notify::new());
        let console = match (&config.console, stores.reading) {
            (Some(console), Some(reading)) => {
                let office = Office {
                    in_force: edition,
                    doors: stores.doors,
                    clock,
                    reading,
                    submit,
                    invitations: invited,
                    newest: last_recorded,
                    camera: frames,
                    reader,
                    delivery,
                    log: environment.log.clone(),
                };
                let stop = Arc::clone(&close);
                Some(office.open(&parts, config, &environment.keys(config), console, stop).await?)
            }
            (Some(_) | None, None) | (None, Some(_)) => {
                // The recording thread ends when the last sender is dropped.
                drop(submit);
                None
            }
        };

        match &stores.exam {
            Some(exam) => {
                Service.ready(&format!("serving {} in {}", exam.id, config.room));
                tracing::info!(exam = %exam.id, room = %config.room, "ready");
            }
            None => {
                Service.ready(&format!("waiting for a roster in {}", config.room));
                tracing::warn!(room = %config.room, "no exam is held yet: nobody is verified until the fleet has sent a roster");
                tracing::info!(room = %config.room, "ready");
            }
        }
        let outcome = signals.serve(&mut ended, &parts, &edges.note, &restart).await;
        if let Err(cause) = &outcome {
            tracing::error!(cause = format!("{cause:#}"), "the box ends, to be started again");
        }
        Service.stopping("draining");
        tracing::info!("stopping");
        // Upstream first: no more taps, the session's last record, then what can still be delivered.
        close.notify_one();
        closing.notify_one();
        let drain = tokio::task::spawn_blocking(move || {
            // Waits where nobody takes anything any more.
            let _ = happened.send(Happened::Stop);
            drop(happened);
            join(threads.into_iter().chain(console));
            stopping.stop();
            join(telling);
        });
        let joined = tokio::time::timeout(GRACE, drain).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::warn!("not every thread ended in time");
        }
        stop.notify_one();
        if let Some(mut delivering) = delivering {
            let _ = tokio::time::timeout(GRACE, async { while delivering.join_next().await.is_some() {} }).await;
        }
        outcome
    }
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        // A panic was caught and told before.
        let _ = thread.join();
    }
}
