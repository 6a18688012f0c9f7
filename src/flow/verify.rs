//! Drives the session: passes inputs in, and carries out its outputs. One thread, one loop, no decisions.
//!
//! It never waits for a disk: cards are looked up by the lookup and events recorded by the recorder, each on its own thread, and what
//! they do not answer in time refers the student.
//!
//! Persist, then act, then tell: an answer reaches light and screen only because the session said `Show`, and it says so
//! only after the record was confirmed.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    By, CaptureWindow, Happened, LookedUp, LookupRequest, Submitted,
    obey::ToDoor,
    telemetry::{Noted, Noting, Stage},
};
use crate::{
    domain::{
        Answer, CardProblem, Credential, Decision, Event, EventId, EventKind, Exam, Hint, History, Invitation,
        MonoTime, Reason, Shown, Template,
    },
    edge::clock::Clock,
    session::{Input, Lookup, Now, Output, Session, Tap, WakeReason},
};

/// What is due, and when.
type Timers = Vec<(MonoTime, WakeReason)>;

/// The loop around one [`Session`].
pub struct Verify {
    session: Session,
    clock: Arc<dyn Clock>,
    acts: Acts,
    /// The tap whose card is being looked up, and until when that may take.
    asked: Option<(LookupRequest, MonoTime)>,
    /// How long that card took for its answers.
    took: Option<Duration>,
    /// The templates of the student who is looked at: read once a tap, of the edition the tap is judged by.
    templates: Vec<Template>,
    /// What is being recorded, to be told once it is.
    pending: Option<Event>,
    /// Since when.
    submitted: MonoTime,
    /// Whether the student was asked to turn.
    challenged: bool,
    /// Who waits until nobody is verified.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Where outputs go.
pub struct Acts {
    /// What to look at; `None`: nothing.
    pub looks: watch::Sender<Option<Arc<CaptureWindow>>>,
    /// Whose card is to be looked up.
    pub queries: SyncSender<LookupRequest>,
    /// What to record.
    pub events: SyncSender<Submitted>,
    /// What light and screen show.
    pub shown: watch::Sender<Shown>,
    /// Who may sign in at the console, since when: whoever tapped last.
    pub invitations: watch::Sender<Option<(Invitation, MonoTime)>>,
    /// Which exam the door serves, by which edition of its roster.
    pub in_force: watch::Sender<Option<Exam>>,
    /// Counts.
    pub noting: Noting,
    /// Told at every turn that the verification is alive.
    pub alive: Box<dyn Fn() + Send>,
}

/// How long the loop waits when nothing is due: how often it tells that it is alive.
const IDLE: Duration = Duration::from_secs(1);

/// How long a card may be looked up: it takes well under a millisecond, unless the disk hangs.
const LOOKUP_WITHIN: Duration = Duration::from_secs(2);

impl Verify {
    /// A verification for the exam of `session`'s door.
    #[must_use]
    pub fn new(session: Session, clock: Arc<dyn Clock>, acts: Acts) -> Self {
        Self {
            session,
            clock,
            acts,
            asked: None,
            took: None,
            templates: Vec::new(),
            pending: None,
            submitted: MonoTime::default(),
            challenged: false,
            waiting: Vec::new(),
        }
    }

    /// Runs until told to stop, or until nobody can tell it anything any more.
    pub fn run(mut self, happened: &Receiver<Happened>) {
        let mut timers: Timers = Vec::new();
        loop {
            (self.acts.alive)();
            if self.session.is_at_rest() && self.asked.is_none() {
                // Whoever gave up waiting does not want to know.
                for waits in self.waiting.drain(..) {
                    let _ = waits.send(());
                }
            }
            let mono = self.clock.mono();
            if let Some(due) = timers.iter().position(|(at, _)| *at <= mono) {
                let (_, reason) = timers.swap_remove(due);
                self.step(Input::TimerFired(reason), &mut timers);
                continue;
            }
            if self.asked.as_ref().is_some_and(|(_, until)| *until <= mono) {
                tracing::error!("the lookup does not answer: the card cannot be looked up");
                self.unanswered(&mut timers);
                continue;
            }
            let due = timers.iter().map(|(at, _)| at).chain(self.asked.iter().map(|(_, until)| until));
            let wait = due.map(|at| at.since(mono)).min().unwrap_or(IDLE).min(IDLE);
            match happened.recv_timeout(wait) {
                Ok(Happened::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(happened) => self.take(happened, &mut timers),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn take(&mut self, happened: Happened, timers: &mut Timers) {
        let input = match happened {
            Happened::Nothing | Happened::Stop => return,
            Happened::Tapped { read, took } => return self.tapped(read, took, timers),
            Happened::LookedUp(event, found) => return self.looked_up(event, *found, timers),
            Happened::CardRemoved => Input::CardRemoved,
            Happened::Seen(observation) => {
                self.stage_over(Stage::Frame, observation.captured_at);
                Input::FaceObserved(observation)
            }
            Happened::Recorded(event) => {
                self.stage_over(Stage::Record, self.submitted);
                Input::Recorded { event }
            }
            Happened::RecordFailed(event) => Input::RecordFailed { event },
            Happened::Broke(fault) => {
                self.acts.noting.note(Noted::Broke(fault));
                Input::EdgeFault(fault)
            }
            Happened::Mended(fault) => {
                self.acts.noting.note(Noted::Mended(fault));
                Input::EdgeRecovered(fault)
            }
            Happened::Roster(exam) => Input::RosterChanged(exam),
            Happened::RestAwaited(waits) => return self.waiting.push(waits),
            Happened::Told(what, told) => {
                let input = match what {
                    ToDoor::Identify { device, lasts } => Input::IdentityAsked { device, lasts },
                    ToDoor::Drain => Input::Drained,
                    ToDoor::Resume => Input::Resumed,
                };
                self.step(input, timers);
                // Whoever gave up waiting needs no answer.
                let _ = told.send(!self.session.takes_taps() || self.asked.is_some());
                return;
            }
        };
        self.step(input, timers);
    }

    /// A card that can be taken is looked up first. What the events say about it is read only then, so that nothing that is still being
    /// recorded is missed.
    fn tapped(&mut self, read: Result<Credential, CardProblem>, took: Option<Duration>, timers: &mut Timers) {
        if self.asked.is_some() {
            return;
        }
        self.took = took;
        let event = new_event_id(&*self.clock);
        let (credential, lookup) = match read {
            Ok(credential) if self.session.takes_taps() => {
                let query = LookupRequest { event, credential };
                let until = self.clock.mono().after(LOOKUP_WITHIN);
                self.asked = Some((query.clone(), until));
                if self.acts.queries.try_send(query).is_err() {
                    tracing::error!("the lookup does not keep up: the card cannot be looked up");
                    self.unanswered(timers);
                }
                return;
            }
            // Only that somebody tapped is of interest.
            Ok(credential) => (Ok(credential), Lookup::Unavailable),
            Err(problem) => (Err(problem), Lookup::Unknown),
        };
        let history = History::default();
        self.step(Input::CardTapped(Tap { event, credential, took, lookup, history, other_room: None }), timers);
    }

    fn looked_up(&mut self, event: EventId, found: LookedUp, timers: &mut Timers) {
        // An answer that came too late is to a tap that was decided without it.
        let Some((LookupRequest { credential, .. }, until)) = self.asked.take_if(|(query, _)| query.event == event)
        else {
            return;
        };
        let took = LOOKUP_WITHIN.saturating_sub(until.since(self.clock.mono()));
        self.acts.noting.note(Noted::Took(Stage::Lookup, took));
        let LookedUp { exam, lookup, history, templates, other_room } = found;
        if exam.as_ref() != self.session.exam() {
            self.step(Input::RosterChanged(exam), timers);
        }
        self.templates = templates;
        let tap = Tap { event, credential: Ok(credential), took: self.took, lookup, history, other_room };
        self.step(Input::CardTapped(tap), timers);
    }

    /// Nobody says whose card it is.
    fn unanswered(&mut self, timers: &mut Timers) {
        let Some((LookupRequest { event, credential }, _)) = self.asked.take() else { return };
        let (lookup, history) = (Lookup::Unavailable, History::default());
        let tap = Tap { event, credential: Ok(credential), took: self.took, lookup, history, other_room: None };
        self.step(Input::CardTapped(tap), timers);
    }

    /// A stage of the tap that is over now.
    fn stage_over(&self, stage: Stage, since: MonoTime) {
        self.acts.noting.note(Noted::Took(stage, self.clock.mono().since(since)));
    }

    fn guided(&mut self, hint: Hint) {
        self.acts.noting.note(Noted::Hinted(hint));
        if matches!(hint, Hint::TurnLeft | Hint::TurnRight) && !std::mem::replace(&mut self.challenged, true) {
            self.acts.noting.note(Noted::Challenged);
        }
    }

    fn step(&mut self, input: Input, timers: &mut Timers) {
        let now = Now { mono: self.clock.mono(), wall: self.clock.wall(), clock: self.clock.trust() };
        for output in self.session.step(now, input) {
            match output {
                // The student is the one whose card was looked up with the templates.
                Output::StartCapture { student, since } => {
                    let look = CaptureWindow { student, templates: self.templates.clone(), since };
                    self.acts.looks.send_replace(Some(Arc::new(look)));
                }
                Output::StopCapture => drop(self.acts.looks.send_replace(None)),
                Output::Guide(hint) => {
                    self.acts.shown.send_modify(|shown| shown.hint = hint);
                    if let Some(hint) = hint {
                        self.guided(hint);
                    }
                }
                Output::Record(event) => {
                    let id = event.id;
                    (self.submitted, self.challenged) = (now.mono, false);
                    self.templates.clear();
                    self.pending = Some((*event).clone());
                    if self.acts.events.try_send(Submitted { event: *event, by: By::Session }).is_err() {
                        tracing::error!(event = %id, "the store does not keep up");
                        self.step(Input::RecordFailed { event: id }, timers);
                    }
                }
                Output::Show(answer) => {
                    if let (Answer::Decided { decision, .. }, Some(event)) = (&answer, self.pending.take()) {
                        say(&event, *decision);
                    }
                    if let Answer::SignIn { invitation, .. } = &answer {
                        self.acts.invitations.send_replace(Some((invitation.clone(), now.mono)));
                    }
                    let language = self.session.language().cloned();
                    self.acts.shown.send_replace(Shown { language, ..Shown::new(answer, now.mono) });
                }
                Output::Alarm(reason) => tracing::error!(%reason, "alarm: the box is unwell; students are referred"),
                Output::WakeAt(at, reason) => timers.push((at, reason)),
            }
        }
        let exam = self.session.exam();
        let has_moved = self.acts.in_force.send_if_modified(|in_force| {
            let is_new = in_force.as_ref() != exam;
            if is_new {
                *in_force = exam.cloned();
            }
            is_new
        });
        match exam {
            Some(Exam { id, version, window, .. }) if has_moved => {
                tracing::info!(exam = %id, version = version.0, opens = %window.opens, closes = %window.closes, "this edition of the roster is served from now on");
            }
            None if has_moved => tracing::warn!("no exam is held any more: nobody is verified"),
            Some(_) | None => {}
        }
    }
}

/// A new event's name, by the box's clock.
pub(super) fn new_event_id(clock: &dyn Clock) -> EventId {
    let wall = clock.wall();
    let seconds = u64::try_from(wall.as_second()).unwrap_or(0);
    let nanos = u32::try_from(wall.subsec_nanosecond()).unwrap_or(0);
    EventId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
}

/// The one line a decision leaves in the log, once it is recorded: no name, no number, no card.
fn say(event: &Event, decision: Decision) {
    let EventKind::Verification(verification) = &event.kind else { return };
    let measured = &verification.measured;
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        target: "examgate::decision",
        event = %event.id,
        decision = decision.outcome(),
        reason = decision.reason().map(Reason::code),
        since_tap_ms = millis(measured.since_tap),
        since_first_usable_frame_ms = measured.since_first_usable_frame.map(millis),
        attempts = measured.attempts,
        frames = measured.frames_used,
        "decided"
    );
}

#[cfg(test)]
mod tests;
