//! Opens the box's databases with their keys. Nothing is overwritten, whatever is wrong with them.

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use std::sync::Arc;

use tokio::sync::watch;

use super::{commands, office::Reading, outbox};
use crate::{
    config::Config,
    domain::{Doors, Epoch, Exam, ExamId, Pepper},
    edge::clock::Clock,
    flow::{
        PassedOver, Rosters, Shelf, TapLookup,
        gossip::{self, OtherRooms},
        lost::LostView,
    },
    store::{Editions, EventStore, KeyFolder, KeyName, Layout, Secret},
    vision::VerifiedModels,
};

/// What an operator is told whose roster was made with another pepper.
pub(super) const ANOTHER_PEPPER: &str = "was made with another pepper than this box has, so no card of it would be known here: give \
     the box the fleet's pepper.key, or import the roster again with the box's";

/// The box's databases. The event store is opened once for each who uses it: to write, to look up, to
/// deliver, to show.
pub struct Stores {
    /// The exam served at first, as its roster has it; `None`: none is held.
    pub exam: Option<Exam>,
    /// How the doors stand.
    pub(super) doors: watch::Receiver<Doors>,
    /// For lookups.
    pub lookup: TapLookup,
    pub(super) writer: EventStore,
    pub(super) outbox: EventStore,
    /// For the console, if there is one.
    pub(super) reading: Option<Reading>,
    /// To be looked at by a command, if any may come.
    pub(super) examine: Option<EventStore>,
    /// To be counted for telemetry, if there is any.
    pub(super) counted: Option<EventStore>,
    /// To tell the other boxes of an exam, if rosters come from the fleet.
    pub(super) gossip: Option<gossip::Ends>,
}

impl Stores {
    /// Opens events and the rosters held. Lookups follow the `lost` cards.
    ///
    /// # Errors
    /// Names the database or key and what is wrong with it.
    pub fn open(
        config: &Config,
        keys: &KeyFolder,
        models: &VerifiedModels,
        (lost, clock): (LostView, Arc<dyn Clock>),
    ) -> Result<Self> {
        let layout = Layout::new(&config.state);
        layout.make().context("the state folder cannot be made")?;
        claim(keys);
        let pepper = Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check();
        let shelf = Shelf { layout: layout.clone(), keys: keys.clone(), pepper };
        let mut rosters = Rosters::new(shelf.clone(), config.exam.clone());
        if let Some(exam) = &config.exam
            && (config.fleet.is_none() || layout.exam(exam).exists())
        {
            rosters = rosters.serving_first(named(config, &shelf, exam)?);
        }
        rosters.settle(clock.wall(), clock.trust());
        let exam = rosters.serving().exam.clone();
        if exam.is_some() {
            // It opened: the root key is the one that the folder's keys were made with.
            note_root(keys);
        }
        let (doors, told) = watch::channel(rosters.serving().doors.clone());
        outbox::check_disk(config)?;
        // A key is made for a new store only: events whose key is gone are not to be shadowed.
        let is_new = !layout.events().exists() && !keys.holds(KeyName::Events);
        let key = if is_new { keys.make(KeyName::Events) } else { keys.read(KeyName::Events) }
            .context("the key of the event store cannot be had")?;
        let epoch = Epoch(Uuid::now_v7());
        let limits = outbox::limits(config);
        let open = || {
            EventStore::open(&layout.events(), &key, &config.device, epoch, limits)
                .context("the event store cannot be used")
        };
        let (writer, reader, outbox) = (open()?, open()?, open()?);
        let reading = match config.console {
            None => None,
            Some(_) => Some(Reading { shelf, events: open()?, look: open()? }),
        };
        let examine = commands::are_wanted(config).then(open).transpose()?;
        let counted = config.telemetry.is_some().then(open).transpose()?;
        let ((gathering, gathered), (rooms, other_rooms)) =
            (watch::channel(None), watch::channel(OtherRooms::default()));
        let gossip = match (&config.fleet, &config.uplink) {
            (Some(_), Some(_)) => Some(gossip::Ends { events: open()?, gathering: gathered, other_rooms: rooms }),
            (Some(_), None) | (None, _) => None,
        };
        let space = models.manifest().embedder.space.clone();
        let console = config.console.is_some();
        Ok(Self {
            exam,
            doors: told,
            lookup: TapLookup { rosters, clock, doors, events: reader, space, lost, gathering, other_rooms, console },
            writer,
            outbox,
            reading,
            examine,
            counted,
            gossip,
        })
    }
}

/// The roster of the exam that the configuration names.
fn named(config: &Config, shelf: &Shelf, exam: &ExamId) -> Result<Editions> {
    match shelf.editions(exam) {
        Err(error @ PassedOver::Key(_)) => Err(error).with_context(|| {
            let bring = match config.fleet {
                None => "bring it in with `examgate-fleet roster import`",
                Some(_) => {
                    "remove what is left of it with `examgate-fleet roster erase`, and send it again with `examgate-fleet roster push --again`"
                }
            };
            format!("no key for the roster of {exam}: {bring}")
        }),
        Err(PassedOver::OtherPepper) => bail!("the roster of {exam} {ANOTHER_PEPPER}"),
        editions => editions.with_context(|| format!("the roster of {exam} cannot be used")),
    }
}

/// A box whose root key is a credential claims a key folder in which nothing was made yet: an import without the credential is then
/// refused instead of making a second root key beside.
fn claim(keys: &KeyFolder) {
    if matches!(keys.has_shares(), Ok(false)) && keys.folder().is_dir() && matches!(keys.lacks_root(), Ok(false)) {
        note_root(keys);
    }
}

fn note_root(keys: &KeyFolder) {
    if let Err(error) = keys.bind() {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the key folder does not say which root key it belongs to"
        );
    }
}
