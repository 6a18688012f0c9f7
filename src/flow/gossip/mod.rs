//! Tells the other boxes of the exam whom this one let in, and hears whom they did. `telling` folds the one out of the events, `hearing` judges
//! the other; this reads, sends and keeps.
//!
//! It is best effort: an event is on disk before it is told, nothing waits for an answer, and without the network each box goes on alone.
//! All pages are retained, so a box that comes back reads what happened meanwhile, and each box tells all of its own after every reconnect. What
//! was heard is kept on disk until the exam is erased.

mod hearing;
mod telling;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

pub use self::hearing::{OtherRooms, Refused};
use self::{
    hearing::{Hearing, Moment},
    telling::Telling,
};
use crate::{
    domain::{ClockTrust, DeviceId, Event, Exam, ExamId, MonoTime, Peers, Seq, WithSources},
    edge::{
        clock::Clock,
        mqtt::{Arrived, Line, Link},
    },
    store::{AdmittedPages, EventError, EventStore, IncomingError, Layout},
    wire::{keys::SigningKey, topic},
};

/// Most pages that wait to be judged: as many as the broker sends without an answer.
pub const WAITING: usize = 64;

/// The pause after the line had no room for a page.
const AGAIN: Duration = Duration::from_millis(20);

/// How long after the doors close the broker still keeps pages: late students come, and proctors rule over them.
const KEPT_AFTER: Duration = Duration::from_secs(3600);

/// The shortest time that the broker keeps a page.
const KEPT_AT_LEAST: Duration = Duration::from_secs(60);

/// The shortest interval between two alarms about refused pages.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// The exam that the door serves, with the other boxes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// The exam.
    pub exam: Exam,
    /// The other boxes.
    pub peers: Peers,
}

/// What the driver follows and feeds beside the line.
pub struct Ends {
    /// To read only.
    pub events: EventStore,
    /// What is served; `None`: no exam, or one without other boxes.
    pub gathering: watch::Receiver<Option<Arc<Gathering>>>,
    /// For the lookup of cards.
    pub other_rooms: watch::Sender<OtherRooms>,
}

/// The line as this driver uses it.
pub struct Connected {
    /// How the link stands.
    pub link: watch::Receiver<Link>,
    /// Told what to subscribe to.
    pub filters: watch::Sender<Vec<String>>,
    /// What came.
    pub arrivals: mpsc::Receiver<Arrived>,
}

/// Who tells, and where what is heard is kept.
pub struct Party {
    /// The box.
    pub device: DeviceId,
    /// What it signs with.
    pub key: SigningKey,
    /// The state folder.
    pub layout: Layout,
}

/// The driver. Its own task.
pub struct Gossip {
    party: Party,
    events: Arc<Mutex<EventStore>>,
    gathering: watch::Receiver<Option<Arc<Gathering>>>,
    other_rooms: watch::Sender<OtherRooms>,
    /// The newest event on disk.
    newest: watch::Receiver<Seq>,
    connected: Connected,
    clock: Arc<dyn Clock>,
    line: Option<Line>,
    at: Option<At>,
    /// Refused pages since the last alarm, and when that was.
    refused: (u64, Option<MonoTime>),
}

/// The exam that is served.
struct At {
    gathering: Arc<Gathering>,
    telling: Telling,
    hearing: Hearing,
    pages: AdmittedPages,
}

impl Gossip {
    /// Prepares. `newest` tells of every event that is put on disk.
    #[must_use]
    pub fn new(
        party: Party,
        ends: Ends,
        newest: watch::Receiver<Seq>,
        connected: Connected,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let Ends { events, mut gathering, other_rooms } = ends;
        gathering.mark_changed();
        let events = Arc::new(Mutex::new(events));
        Self {
            party,
            events,
            gathering,
            other_rooms,
            newest,
            connected,
            clock,
            line: None,
            at: None,
            refused: (0, None),
        }
    }

    /// Tells and hears until the link is closed for good.
    pub async fn run(mut self) {
        self.connected.link.mark_changed();
        loop {
            let is_delayed = !self.tell();
            let again =
                async { if is_delayed { tokio::time::sleep(AGAIN).await } else { std::future::pending().await } };
            tokio::select! {
                changed = self.connected.link.changed() => {
                    let link = self.connected.link.borrow_and_update().clone();
                    match link {
                        Link::Up(line) => {
                            self.line = Some(line);
                            if let Some(at) = &mut self.at {
                                at.telling.tell_all();
                            }
                        }
                        Link::Connecting { .. } | Link::Down { .. } => self.line = None,
                        Link::Closed => return,
                    }
                    if changed.is_err() {
                        return;
                    }
                }
                Ok(()) = self.gathering.changed() => self.serve().await,
                Ok(()) = self.newest.changed() => self.catch_up().await,
                Some(arrived) = self.connected.arrivals.recv() => self.arrived(&arrived).await,
                () = again => {}
            }
        }
    }

    /// Hands over what is to be told. Says whether nothing is left that could be.
    fn tell(&mut self) -> bool {
        let (Some(line), Some(At { gathering, telling, .. })) = (&self.line, &mut self.at) else { return true };
        let wall = self.clock.wall();
        while let Some(page) = telling.next(wall) {
            let closes = gathering.exam.window.closes;
            let until = closes.saturating_add(KEPT_AFTER).unwrap_or(closes);
            let lasts = Duration::try_from(until.duration_since(wall)).unwrap_or_default().max(KEPT_AT_LEAST);
            let topic = topic::admitted_of(&page.exam, &page.device, page.page);
            if line.try_retain_for(topic, page.encode(&self.party.key), lasts).is_err() {
                return false;
            }
            telling.told(page.page);
        }
        true
    }

    /// Moves to the exam that is served now, with what was heard of it before.
    async fn serve(&mut self) {
        let gathering = self.gathering.borrow_and_update().clone();
        let Some(gathering) = gathering else {
            self.at = None;
            self.other_rooms.send_replace(OtherRooms::default());
            self.connected.filters.send_replace(Vec::new());
            return;
        };
        let Gathering { exam, peers } = &*gathering;
        let (hearing, view) = Hearing::new(exam.clone(), peers, self.clock.mono());
        self.other_rooms.send_replace(view);
        let telling = Telling::new(exam.id.clone(), self.party.device.clone(), peers.key.clone());
        let pages = AdmittedPages::new(self.party.layout.admitted(&exam.id));
        let filter = topic::all_admitted_of(&exam.id);
        tracing::info!(exam = %exam.id, boxes = peers.boxes.len(), "the other boxes of the exam are told who is let in here, and heard");
        self.at = Some(At { gathering: Arc::clone(&gathering), telling, hearing, pages });
        self.recall().await;
        self.catch_up().await;
        self.connected.filters.send_replace(vec![filter]);
    }

    /// Takes what was kept of the exam: judged as when it came, since the boxes of the exam may be others now.
    async fn recall(&mut self) {
        let Some(at) = &self.at else { return };
        let pages = at.pages.clone();
        let kept = blocking(move || pages.all()).await.unwrap_or_else(|error| {
            tracing::error!(error = %WithSources(&error), "what other boxes told cannot be read");
            Vec::new()
        });
        for (device, page, bytes) in kept {
            if let Err(refused) = self.judge(&device, page, &bytes) {
                tracing::warn!(device = %device, page, %refused, "a kept page of another box does not count any more");
                self.on_pages(move |pages| pages.remove(&device, page)).await;
            }
        }
    }

    /// Reads the events that were recorded since.
    async fn catch_up(&mut self) {
        let Some(At { gathering, telling, .. }) = &mut self.at else { return };
        let (events, exam, after) = (Arc::clone(&self.events), gathering.exam.id.clone(), telling.read);
        match blocking(move || read(&events, &exam, after)).await {
            Ok((read, events)) => {
                telling.read = read;
                events.into_iter().for_each(|event| telling.take(event));
            }
            Err(error) => {
                tracing::error!(error = %WithSources(&error), "the other boxes cannot be told who was let in: the events cannot be read");
            }
        }
    }

    async fn arrived(&mut self, arrived: &Arrived) {
        let Some((exam, device, page)) = topic::parse_admitted(&arrived.topic) else { return };
        let is_served = self.at.as_ref().is_some_and(|at| at.gathering.exam.id == exam);
        // One's own pages come back, and an empty payload is a page that the broker let go.
        if !is_served || device == self.party.device || arrived.payload.is_empty() {
            return;
        }
        match self.judge(&device, page, &arrived.payload) {
            Ok(false) => {}
            Ok(true) => {
                let bytes = arrived.payload.clone();
                self.on_pages(move |pages| pages.keep(&device, page, &bytes)).await;
            }
            Err(refused @ Refused::TooMany { .. }) => {
                tracing::error!(device = %device, %refused, "alarm: another box of the exam is not believed any more");
                self.on_pages(move |pages| {
                    let kept = pages.all()?.into_iter().filter(|(from, ..)| *from == device);
                    kept.into_iter().try_for_each(|(device, page, _)| pages.remove(&device, page))
                })
                .await;
            }
            // A broker that comes back with an older memory says what was so before, and who is not believed was named when that began.
            Err(refused @ (Refused::NotNewer | Refused::Disregarded)) => {
                tracing::debug!(device = %device, page, %refused, "a page was passed over");
            }
            Err(refused @ (Refused::NotAPeer | Refused::Page(_) | Refused::FromTheFuture | Refused::TooOften)) => {
                self.alarm(&device, refused)
            }
        }
    }

    /// One line a minute, however many come.
    fn alarm(&mut self, device: &DeviceId, refused: Refused) {
        let now = self.clock.mono();
        self.refused.0 += 1;
        if self.refused.1.is_some_and(|last| now.since(last) < ALARM_EVERY) {
            return;
        }
        let pages = std::mem::take(&mut self.refused.0);
        self.refused.1 = Some(now);
        tracing::error!(device = %device, pages, %refused, "alarm: what came in another box's name was refused");
    }

    fn judge(&mut self, device: &DeviceId, page: u32, bytes: &[u8]) -> Result<bool, Refused> {
        let Some(At { hearing, .. }) = &mut self.at else { return Err(Refused::NotAPeer) };
        let is_trusted = self.clock.trust() != ClockTrust::Untrusted;
        let now = Moment { mono: self.clock.mono(), wall: self.clock.wall(), is_trusted };
        let mut judged = Err(Refused::NotAPeer);
        self.other_rooms.send_modify(|view| judged = hearing.take((device, page), bytes, now, view));
        judged
    }

    /// Runs `work` where it may block.
    async fn on_pages(&self, work: impl FnOnce(&AdmittedPages) -> Result<(), IncomingError> + Send + 'static) {
        let Some(at) = &self.at else { return };
        let pages = at.pages.clone();
        if let Err(error) = blocking(move || work(&pages)).await {
            tracing::error!(error = %WithSources(&error), "what other boxes tell cannot be kept");
        }
    }
}

/// The events of an exam after `after`, and up to where that is. One of a newer kind is passed over.
fn read(events: &Mutex<EventStore>, exam: &ExamId, after: Seq) -> Result<(Seq, Vec<Event>), EventError> {
    let rows = events.lock().expect("nobody panics while holding it").of_exam(exam, after)?;
    let last = rows.last().map_or(after, |row| row.seq);
    Ok((last, rows.iter().filter_map(|row| row.event().ok()).collect()))
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
