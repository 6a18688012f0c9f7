//! Looks up cards, on a thread of its own: a disk that hangs must not hang the verification. Follows the rosters that are held, exam by
//! exam and edition by edition.
//!
//! A tap is answered out of one edition: entry, templates and the exam's window together, read once. Never judges.

use std::{
    error::Error,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Happened, Rosters,
    gossip::{Gathering, OtherRooms},
    lost::LostView,
};
use crate::{
    domain::{
        CardPseudonym, CardStanding, Credential, Doors, EmbeddingSpaceId, EventId, Exam, History, Invitation,
        OtherRoom, SignInCode, Template,
    },
    edge::clock::Clock,
    session::{Enrolled, Lookup, TemplateStock},
    store::{Editions, EventError, EventStore, RosterError},
};

/// How often it is looked which exam is to be served, in which edition, while nobody taps. A tap looks too.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same while a roster is being read: it is to be served as soon as it was.
const LOOK_WHILE_READING: Duration = Duration::from_millis(50);

/// A lookup failed.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// In a roster.
    #[error("the roster cannot be read")]
    Roster(#[from] RosterError),
    /// Among the events.
    #[error("the events cannot be read")]
    Events(#[from] EventError),
    /// For a code.
    #[error("the operating system gives no random numbers")]
    Randomness(#[source] getrandom::Error),
}

/// A card to be looked up.
#[derive(Clone, Debug)]
pub struct LookupRequest {
    /// The tap.
    pub event: EventId,
    /// The card.
    pub credential: Credential,
}

/// All that a tap needs to know.
#[derive(Debug)]
pub struct LookedUp {
    /// The edition it was answered out of; `None`: no exam is held.
    pub exam: Option<Exam>,
    /// Who has the card.
    pub lookup: Lookup,
    /// What happened with it before.
    pub history: History,
    /// The student's templates of the space in use. Wiped with it.
    pub templates: Vec<Template>,
    /// Where another box of the exam says that it let this student, or this card, in.
    pub other_room: Option<OtherRoom>,
}

/// What is looked up at a tap: who has this card, what happened with it before.
pub struct TapLookup {
    /// The exam being served, and others held on this box: their students are students, only not of this exam.
    pub rosters: Rosters,
    /// By which doors open.
    pub clock: Arc<dyn Clock>,
    /// Told how the doors stand.
    pub doors: watch::Sender<Doors>,
    /// To read only.
    pub events: EventStore,
    /// Which templates can be compared with.
    pub space: EmbeddingSpaceId,
    /// Cards that open no door.
    pub lost: LostView,
    /// Told which exam is served, and which other boxes there are of it.
    pub gathering: watch::Sender<Option<Arc<Gathering>>>,
    /// Whom those let in.
    pub other_rooms: watch::Receiver<OtherRooms>,
    /// Whether proctors can sign in at a console. Without one their cards are cards that nobody knows.
    pub console: bool,
}

impl TapLookup {
    /// Answers queries until nobody asks or listens any more. Tells at every turn that it is `alive`.
    pub fn run(mut self, queries: &Receiver<LookupRequest>, happened: &SyncSender<Happened>, alive: impl Fn()) {
        self.gather();
        loop {
            alive();
            let patience = if self.rosters.is_reading() { LOOK_WHILE_READING } else { LOOK_EVERY };
            let answer = match queries.recv_timeout(patience) {
                Ok(LookupRequest { event, credential }) => {
                    if self.refresh() {
                        self.gather();
                    }
                    Happened::LookedUp(event, Box::new(self.answer(&credential)))
                }
                Err(RecvTimeoutError::Timeout) => {
                    let has_moved = self.refresh();
                    self.gather();
                    if !has_moved {
                        continue;
                    }
                    Happened::Roster(self.exam())
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if happened.send(answer).is_err() {
                return;
            }
        }
    }

    /// Moves to what is to be served now. Says whether that is something else.
    fn refresh(&mut self) -> bool {
        let before = self.exam();
        self.rosters.refresh(self.clock.wall(), self.clock.trust());
        let now = &self.rosters.serving().doors;
        let have_changed = self.doors.send_if_modified(|doors| {
            let have_changed = doors != now;
            doors.clone_from(now);
            have_changed
        });
        let exam = self.exam();
        let name = exam.as_ref().map(|exam| exam.id.as_str());
        match now {
            Doors::Open { .. } if have_changed => tracing::info!(exam = name, "doors are open"),
            Doors::Closed { next, .. } if have_changed => {
                tracing::info!(exam = name, next = next.map(|next| next.to_string()), "doors are closed");
            }
            Doors::Open { .. } | Doors::Closed { .. } | Doors::Unknown | Doors::NothingHeld => {}
        }
        exam != before
    }

    /// Says which other boxes there are of what is served. They may become others in one edition, so this is looked at while nobody taps.
    fn gather(&self) {
        let read = || -> Result<_, RosterError> {
            let Some(served) = self.rosters.served() else { return Ok(None) };
            let peers = served.view().roster().peers()?;
            Ok(peers.map(|peers| Gathering { exam: served.view().exam().clone(), peers }))
        };
        match read() {
            Ok(now) => {
                self.gathering.send_if_modified(|known| {
                    let is_news = known.as_deref() != now.as_ref();
                    if is_news {
                        *known = now.map(Arc::new);
                    }
                    is_news
                });
            }
            Err(error) => tracing::error!(error = &error as &dyn Error, "the other boxes of the exam cannot be read"),
        }
    }

    fn exam(&self) -> Option<Exam> {
        self.rosters.serving().exam.clone()
    }

    fn answer(&self, credential: &Credential) -> LookedUp {
        self.look_up(credential).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn Error, "the card cannot be looked up");
            self.told(Lookup::Unavailable, History::default())
        })
    }

    fn told(&self, lookup: Lookup, history: History) -> LookedUp {
        LookedUp { exam: self.exam(), lookup, history, templates: Vec::new(), other_room: None }
    }

    /// What is told of a card that is not on this roster. A lost one is nobody's.
    fn of_no_place(&self, served: &Editions, card: &CardPseudonym, lookup: Lookup, history: History) -> LookedUp {
        let is_lost = self.lost.borrow().contains(card);
        let known = || self.other_rooms.borrow().find(&served.view().exam().id, None, [card]);
        LookedUp { other_room: if is_lost { None } else { known() }, ..self.told(lookup, history) }
    }

    fn look_up(&self, credential: &Credential) -> Result<LookedUp, LookupError> {
        let card = &credential.pseudonym;
        let history = self.events.history(&[*card])?;
        let Some(served) = self.rosters.served() else { return Ok(self.told(Lookup::Unknown, history)) };
        let view = served.view();
        let Some(found) = view.roster().find(card)? else {
            if let Some(invitation) = self.invitation(served, card)? {
                return Ok(self.told(Lookup::Proctor(invitation), history));
            }
            for other in self.rosters.others() {
                if other.find(card)?.is_some() {
                    return Ok(self.of_no_place(served, card, Lookup::Elsewhere, history));
                }
            }
            return Ok(self.of_no_place(served, card, Lookup::Unknown, history));
        };
        if served.live().find_proctor(card)?.is_some() {
            return Ok(self.told(Lookup::Shared, history));
        }
        let mut entry = found.entry;
        {
            let lost = self.lost.borrow();
            entry.cards_mut().filter(|card| lost.contains(&card.pseudonym)).for_each(|card| {
                card.standing = CardStanding::Revoked;
            });
        }
        // A student has as many attempts with several cards as with one.
        let history = if entry.other_cards.is_empty() {
            history
        } else {
            let cards: Vec<_> = entry.cards().map(|card| card.pseudonym).collect();
            // What proved itself and was then lost or replaced is asked for no more.
            let good: Vec<_> =
                entry.cards().filter(|card| card.standing == CardStanding::Active).map(|card| card.pseudonym).collect();
            History { proven: self.events.proven(&good)?, ..self.events.history(&cards)? }
        };
        let student = &entry.student.id;
        let templates = view.roster().templates_of(student, &self.space)?;
        let stock = match (found.templates, templates.len()) {
            (0, _) => TemplateStock::None,
            (_, 0) => TemplateStock::OtherSpace,
            _ => TemplateStock::Usable,
        };
        let whereabouts = self.events.whereabouts(&view.exam().id, student)?;
        let cards = entry.cards().map(|card| &card.pseudonym);
        let other_room = self.other_rooms.borrow().find(&view.exam().id, Some(student), cards);
        let enrolled = Enrolled { entry, templates: stock, whereabouts };
        Ok(LookedUp { templates, other_room, ..self.told(Lookup::Enrolled(enrolled), history) })
    }

    /// A new code, if the card is a proctor's and not lost, and there is a console to use it at.
    fn invitation(&self, served: &Editions, card: &CardPseudonym) -> Result<Option<Invitation>, LookupError> {
        if !self.console || self.lost.borrow().contains(card) {
            return Ok(None);
        }
        let Some(proctor) = served.live().find_proctor(card)? else { return Ok(None) };
        let code = SignInCode::from_random(getrandom::u64().map_err(LookupError::Randomness)?);
        Ok(Some(Invitation { proctor: proctor.id, code }))
    }
}

#[cfg(test)]
mod tests;
