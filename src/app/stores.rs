//! Opens the box's databases with their keys. Nothing is overwritten, whatever is wrong with them.

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use super::{office::Reading, outbox};
use crate::{
    config::Config,
    domain::{Epoch, Exam, ExamId, Pepper},
    flow::TapLookup,
    store::{Editions, EventStore, KeyFolder, KeyName, Layout, RosterStore, Secret},
    vision::VerifiedModels,
};

/// What an operator is told whose roster was made with another pepper.
pub(super) const ANOTHER_PEPPER: &str = "was made with another pepper than this box has, so no card of it would be known here: give \
     the box the fleet's pepper.key, or import the roster again with the box's";

/// The box's databases. The event store is opened once for each who uses it: to write, to look up, to
/// deliver, to show.
pub struct Stores {
    /// The exam served, as its roster has it.
    pub exam: Exam,
    /// For lookups.
    pub lookup: TapLookup,
    pub(super) writer: EventStore,
    pub(super) outbox: EventStore,
    /// For the console, if there is one.
    pub(super) reading: Option<Reading>,
}

impl Stores {
    /// Opens events, the exam's roster and the other rosters held.
    ///
    /// # Errors
    /// Names the database or key and what is wrong with it.
    pub fn open(config: &Config, keys: &KeyFolder, models: &VerifiedModels) -> Result<Self> {
        let layout = Layout::new(&config.state);
        layout.make().context("the state folder cannot be made")?;
        claim(keys);
        let pepper = Pepper::from_bytes(*keys.secret(Secret::Pepper).context("the pepper cannot be read")?).check();
        let key = |exam: &ExamId| {
            keys.read(KeyName::Exam(exam)).with_context(|| {
                format!("no key for the roster of {exam}: bring it in with `examgate-fleet roster import`")
            })
        };
        let cannot = |exam: &ExamId| format!("the roster of {exam} cannot be used");
        let current =
            || Editions::open(&layout.exam(&config.exam), key(&config.exam)?).with_context(|| cannot(&config.exam));
        let roster = current()?;
        let exam = roster.view().exam().clone();
        let other = |exam: &ExamId| RosterStore::open(&layout.exam(exam), &key(exam)?).with_context(|| cannot(exam));
        // It opened: the root key is the one that the folder's keys were made with.
        note_root(keys);
        let made_with = other(&config.exam)?.pepper().context("the roster cannot be read")?;
        if made_with.is_some_and(|made_with| made_with != pepper) {
            bail!("the roster of {} {ANOTHER_PEPPER}", config.exam);
        }
        let mut others = Vec::new();
        for held in layout.exams().context("the state folder cannot be read")? {
            if held != config.exam {
                // Another exam's roster is a help, not a need.
                match other(&held) {
                    Ok(store) => others.push(store),
                    Err(error) => tracing::warn!(exam = %held, error = format!("{error:#}"), "roster passed over"),
                }
            }
        }
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
            Some(_) => Some(Reading { roster: current()?, events: open()?, look: open()? }),
        };
        let space = models.manifest().embedder.space.clone();
        Ok(Self {
            exam,
            lookup: TapLookup { roster, others, events: reader, space, console: config.console.is_some() },
            writer,
            outbox,
            reading,
        })
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
