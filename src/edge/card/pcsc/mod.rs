//! Real readers over PC/SC: one thread watches all of them and their coming and going, others read cards.
//!
//! It outlives a restart of the PC/SC service, a service that hangs (`pulse.rs` notices), readers that are unplugged, and cards
//! that never answer. It never waits for a card itself (`reading.rs` does, with a watchdog), and never sees an identifier.

mod desk;
mod pulse;
mod reading;
mod sam;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    ffi::{CStr, CString},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use ::pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};

pub use desk::{Laid, Timed, readers, time_proofs, wait_for_cards};
pub use sam::{SamFault, SamSeen, look_at_sam};

use self::{
    pulse::{GivenUp, Pulse, Watch},
    reading::Reading,
};
use super::{
    CardError, CardEvent, CardReader, CardReads, Slot, Surroundings,
    asking::{Asked, Naming},
    queue::{Abandoned, Events, Feed, queue},
};
use crate::domain::{CardProblem, Pepper};

/// How long one wait for changes lasts: bounds how late a dropped reader's thread ends.
const TICK: Duration = Duration::from_millis(500);

/// Pauses between attempts to reach the PC/SC service: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// All readers of the machine's PC/SC service.
#[derive(Debug)]
pub struct PcscCardReader {
    events: Events,
    pulse: Arc<Pulse>,
    watch: Watch,
    /// Slots whose card was reported and not yet its removal.
    held: BTreeSet<Slot>,
    /// What is to be told before the next event: what follows from a service that hangs.
    due: VecDeque<Result<CardEvent, CardError>>,
    /// Nothing is ever sent: dropping it stops the thread. It is not waited for, as the service may hang.
    _running: SyncSender<Infallible>,
}

impl PcscCardReader {
    /// Starts to watch; cards are read as `reads` says. The service and the readers may come later: the first event or error says how
    /// things are.
    ///
    /// # Errors
    /// [`CardError::StartThread`].
    pub fn open(reads: impl Into<CardReads>, pepper: Pepper, surroundings: Surroundings) -> Result<Self, CardError> {
        let (feed, events) = queue();
        let (running, stopped) = sync_channel(0);
        let naming = Arc::new(Naming { reads: reads.into(), pepper, surroundings });
        let reading = Reading::over_pcsc(Arc::clone(&naming));
        let pulse = Arc::<Pulse>::default();
        let watcher = Watcher {
            feed,
            stopped,
            naming,
            reading,
            pulse: Arc::clone(&pulse),
            places: BTreeMap::new(),
            health: Health::Unknown,
        };
        thread::Builder::new()
            .name("examgate-card".into())
            .spawn(move || watcher.run())
            .map_err(|source| CardError::StartThread { source })?;
        let (watch, held, due) = (Watch::default(), BTreeSet::new(), VecDeque::new());
        Ok(Self { events, pulse, watch, held, due, _running: running })
    }

    /// What follows when the service hangs: every card is gone, for whoever listens, and the outage is told.
    fn hang(&mut self, waited: Duration) {
        let gone = std::mem::take(&mut self.held).into_iter().map(|slot| Ok(CardEvent::Removed { slot }));
        self.due.extend(gone.chain([Err(CardError::Hung { waited })]));
    }
}

impl CardReader for PcscCardReader {
    fn next(&mut self, patience: Duration) -> Result<Option<CardEvent>, CardError> {
        let mut left = patience;
        loop {
            if let Some(due) = self.due.pop_front() {
                return due.map(Some);
            }
            let wait = left.min(pulse::LOOK_EVERY);
            if let Some(event) = self.events.next(wait)? {
                match &event {
                    CardEvent::Tapped { slot, .. } => drop(self.held.insert(*slot)),
                    CardEvent::Removed { slot } => drop(self.held.remove(slot)),
                    CardEvent::Ready { .. } => {}
                }
                return Ok(Some(event));
            }
            if let Some(waited) = self.watch.look(&self.pulse, wait) {
                self.hang(waited);
                continue;
            }
            left -= wait;
            if left.is_zero() {
                return Ok(None);
            }
        }
    }
}

/// What was reported last about the readers as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Unknown,
    Ready,
    NoReader,
    NoService,
    /// It hung: this was reported by the side that takes the events.
    Hung,
}

/// One reader, present or not.
#[derive(Debug)]
struct Place {
    slot: Slot,
    /// The reader's event count when its card arrived.
    card: Option<u32>,
}

/// Why watching ended.
enum End {
    /// Nobody wants the events any more.
    Stopped,
    /// A call came back that was given up: everything is looked at anew.
    Hung,
    Service(Error),
    Fatal(CardError),
}

impl From<GivenUp> for End {
    fn from(_: GivenUp) -> Self {
        Self::Hung
    }
}

impl From<Abandoned> for End {
    fn from(_: Abandoned) -> Self {
        Self::Stopped
    }
}

struct Watcher {
    feed: Feed,
    stopped: Receiver<Infallible>,
    naming: Arc<Naming>,
    reading: Reading,
    pulse: Arc<Pulse>,
    places: BTreeMap<CString, Place>,
    health: Health,
}

impl Watcher {
    fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let end = match self.pulse.during(|| Context::establish(Scope::System)) {
                (_, Err(given_up)) => given_up.into(),
                (Ok(context), Ok(())) => self.watch(&context, &mut pause),
                (Err(error), Ok(())) => End::Service(error),
            };
            let reported = match end {
                End::Stopped => return,
                End::Hung => {
                    self.come_back();
                    Ok(())
                }
                End::Service(source) => self.outage(Health::NoService, CardError::Service { source }),
                End::Fatal(error) => {
                    // Whoever listens learns it; if nobody does, there is nobody to tell.
                    let _ = self.feed.tell(Err(error));
                    return;
                }
            };
            if reported.is_err() {
                return;
            }
            match self.stopped.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(PAUSES.1),
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(never) => match never {},
            }
        }
    }

    /// Watches until the service fails. Sets `pause` back once the service has answered.
    fn watch(&mut self, context: &Context, pause: &mut Duration) -> End {
        let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
        loop {
            match self.turn(context, &mut states) {
                Ok(()) => *pause = PAUSES.0,
                Err(end) => return end,
            }
        }
    }

    /// Waits for one change and reports what it means.
    fn turn(&mut self, context: &Context, states: &mut Vec<ReaderState>) -> Result<(), End> {
        match self.stopped.try_recv() {
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(End::Stopped),
            Ok(never) => match never {},
        }
        self.feed.confess()?;
        let (listed, kept) = self.pulse.during(|| context.list_readers_owned());
        kept?;
        let readers = match listed {
            Ok(mut readers) => {
                readers.retain(|reader| !sam::is_sam(&self.naming.reads, reader));
                readers
            }
            Err(Error::NoReadersAvailable) => Vec::new(),
            Err(error) => return Err(End::Service(error)),
        };
        self.reconcile(&readers, states)?;
        let (changed, kept) = self.pulse.during(|| context.get_status_change(TICK, states));
        kept?;
        match changed {
            Ok(()) => {}
            // Nothing happened, or a reader went between the two calls: the next turn lists again.
            Err(Error::Timeout | Error::UnknownReader) => return Ok(()),
            Err(error) => return Err(End::Service(error)),
        }
        for state in states {
            if state.name() != PNP_NOTIFICATION() && state.event_state().contains(State::CHANGED) {
                self.look(state)?;
            }
            state.sync_current_state();
        }
        Ok(())
    }

    /// Makes `states` hold exactly `readers` (and the notification of new ones).
    fn reconcile(&mut self, readers: &[CString], states: &mut Vec<ReaderState>) -> Result<(), Abandoned> {
        let known = |name: &CStr| readers.iter().any(|r| r.as_c_str() == name);
        states.retain(|state| state.name() == PNP_NOTIFICATION() || known(state.name()));
        for (name, place) in &mut self.places {
            if !known(name) && place.card.take().is_some() {
                self.feed.give(CardEvent::Removed { slot: place.slot })?;
            }
        }
        for reader in readers {
            if !states.iter().any(|state| state.name() == reader.as_c_str()) {
                states.push(ReaderState::new(reader.clone(), State::UNAWARE));
                let slot = Slot(u16::try_from(self.places.len()).unwrap_or(u16::MAX));
                let place = self.places.entry(reader.clone()).or_insert(Place { slot, card: None });
                tracing::info!(reader = %reader.to_string_lossy(), slot = %place.slot, "card reader attached");
            }
        }
        if readers.is_empty() {
            self.outage(Health::NoReader, CardError::NoReader)
        } else if self.health != Health::Ready {
            self.health = Health::Ready;
            self.feed.tell(Ok(CardEvent::Ready { slots: readers.len() }))
        } else {
            Ok(())
        }
    }

    /// Begins anew after a call that was given up: whoever listens has been told of the outage and holds no card any more.
    fn come_back(&mut self) {
        tracing::info!("the call to the PC/SC service has returned");
        self.health = Health::Hung;
        for place in self.places.values_mut() {
            place.card = None;
        }
    }

    /// Reports an outage, once, after the removal of every card.
    fn outage(&mut self, health: Health, error: CardError) -> Result<(), Abandoned> {
        if self.health == health {
            return Ok(());
        }
        self.health = health;
        for place in self.places.values_mut() {
            if place.card.take().is_some() {
                self.feed.give(CardEvent::Removed { slot: place.slot })?;
            }
        }
        self.feed.tell(Err(error))
    }

    /// Reports what the changed `state` of a reader means.
    fn look(&mut self, state: &ReaderState) -> Result<(), End> {
        let place = self.places.get_mut(state.name()).expect("every watched reader has a place");
        let present = state.event_state().contains(State::PRESENT);
        let count = state.event_count();
        // The count tells a card that was exchanged between two looks; other changes leave it alone.
        if place.card.is_some_and(|arrived| !present || arrived != count) {
            place.card = None;
            self.feed.give(CardEvent::Removed { slot: place.slot })?;
        }
        if present && place.card.is_none() {
            place.card = Some(count);
            let Asked { read, took } = if state.event_state().contains(State::MUTE) {
                CardProblem::Unreadable.into()
            } else {
                self.reading.read(state.name(), &self.stopped).map_err(End::Fatal)?
            };
            self.feed.give(CardEvent::Tapped { slot: place.slot, read, took })?;
        }
        Ok(())
    }
}
