//! Turns the session's crank: what happened goes in, what it says is done. One thread, one loop, no decisions.
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

use tokio::sync::watch;
use uuid::Uuid;

use super::{By, CaptureWindow, Happened, Submitted};
use crate::{
    domain::{
        Answer, CardProblem, CardPseudonym, Credential, Decision, EmbeddingSpaceId, Event, EventId, EventKind, ExamId,
        History, Invitation, MonoTime, Reason, Shown, SignInCode, StudentId, Template,
    },
    edge::clock::Clock,
    session::{Enrolled, Fault, Input, Lookup, Now, Output, Session, Tap, TemplateStock, WakeReason},
    store::{EventError, EventStore, RosterError, RosterStore},
};

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

/// What is looked up at a tap: who has this card, what happened with it before.
pub struct TapLookup {
    /// The exam being served.
    pub roster: RosterStore,
    /// Other exams held on this box: their students are students, only not of this exam.
    pub others: Vec<RosterStore>,
    /// To read only.
    pub events: EventStore,
    /// Which templates can be compared with.
    pub space: EmbeddingSpaceId,
    /// Whether proctors can sign in at a console. Without one their cards are cards that nobody knows.
    pub console: bool,
}

impl TapLookup {
    fn look_up(&self, exam: &ExamId, credential: &Credential) -> Result<(Lookup, History), LookupError> {
        let card = &credential.pseudonym;
        let history = self.events.history(card)?;
        let Some(found) = self.roster.find(card)? else {
            if let Some(invitation) = self.invitation(card)? {
                return Ok((Lookup::Proctor(invitation), history));
            }
            for other in &self.others {
                if other.find(card)?.is_some() {
                    return Ok((Lookup::Elsewhere, history));
                }
            }
            return Ok((Lookup::Unknown, history));
        };
        let templates = match (found.templates, self.templates(&found.entry.student.id)?.len()) {
            (0, _) => TemplateStock::None,
            (_, 0) => TemplateStock::OtherSpace,
            _ => TemplateStock::Usable,
        };
        let whereabouts = self.events.whereabouts(exam, &found.entry.student.id)?;
        Ok((Lookup::Enrolled(Enrolled { entry: found.entry, templates, whereabouts }), history))
    }

    /// A new code, if the card is a proctor's and there is a console to use it at.
    fn invitation(&self, card: &CardPseudonym) -> Result<Option<Invitation>, LookupError> {
        if !self.console {
            return Ok(None);
        }
        let Some(proctor) = self.roster.find_proctor(card)? else { return Ok(None) };
        let code = SignInCode::from_random(getrandom::u64().map_err(LookupError::Randomness)?);
        Ok(Some(Invitation { proctor: proctor.id, code }))
    }

    /// The student's templates of the space in use.
    fn templates(&self, student: &StudentId) -> Result<Vec<Template>, RosterError> {
        let mut templates = self.roster.templates(student)?;
        templates.retain(|template| template.space == self.space);
        Ok(templates)
    }
}

/// The loop around one [`Session`].
pub struct Verify {
    session: Session,
    clock: Arc<dyn Clock>,
    lookup: TapLookup,
    acts: Acts,
    /// What is being recorded, to be told once it is.
    pending: Option<Event>,
}

/// Where outputs go.
pub struct Acts {
    /// What to look at; `None`: nothing.
    pub looks: watch::Sender<Option<Arc<CaptureWindow>>>,
    /// What to record.
    pub events: SyncSender<Submitted>,
    /// What light and screen show.
    pub shown: watch::Sender<Shown>,
    /// Who may sign in at the console, since when: whoever tapped last.
    pub invitations: watch::Sender<Option<(Invitation, MonoTime)>>,
    /// Told at every turn that the verification is alive.
    pub alive: Box<dyn Fn() + Send>,
}

/// How long the loop waits when nothing is due: how often it tells that it is alive.
const IDLE: Duration = Duration::from_secs(1);

impl Verify {
    /// A verification for the exam of `session`'s door.
    #[must_use]
    pub fn new(session: Session, clock: Arc<dyn Clock>, lookup: TapLookup, acts: Acts) -> Self {
        Self { session, clock, lookup, acts, pending: None }
    }

    /// Runs until told to stop, or until nobody can tell it anything any more.
    pub fn run(mut self, happened: &Receiver<Happened>) {
        let mut timers: Vec<(MonoTime, WakeReason)> = Vec::new();
        loop {
            (self.acts.alive)();
            let mono = self.clock.mono();
            if let Some(due) = timers.iter().position(|(at, _)| *at <= mono) {
                let (_, reason) = timers.swap_remove(due);
                self.step(Input::TimerFired(reason), &mut timers);
                continue;
            }
            let wait = timers.iter().map(|(at, _)| at.since(mono)).min().unwrap_or(IDLE).min(IDLE);
            match happened.recv_timeout(wait) {
                Ok(Happened::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(happened) => {
                    if let Some(input) = self.input(happened) {
                        self.step(input, &mut timers);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn input(&mut self, happened: Happened) -> Option<Input> {
        Some(match happened {
            Happened::Nothing | Happened::Stop => return None,
            Happened::Tapped(read) => Input::CardTapped(self.tap(read)),
            Happened::CardRemoved => Input::CardRemoved,
            Happened::Seen(observation) => Input::FaceObserved(observation),
            Happened::Recorded(event) => Input::Recorded { event },
            Happened::RecordFailed(event) => Input::RecordFailed { event },
            Happened::Broke(fault) => Input::EdgeFault(fault),
            Happened::Mended(fault) => Input::EdgeRecovered(fault),
            Happened::Roster(exam) => Input::RosterChanged(exam),
        })
    }

    fn tap(&self, credential: Result<Credential, CardProblem>) -> Tap {
        let (lookup, history) = match &credential {
            Err(_) => (Lookup::Unknown, History::default()),
            Ok(credential) => self.lookup.look_up(&self.session.exam().id, credential).unwrap_or_else(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "the card cannot be looked up");
                (Lookup::Unavailable, History::default())
            }),
        };
        Tap { event: new_event_id(&*self.clock), credential, lookup, history }
    }

    fn step(&mut self, input: Input, timers: &mut Vec<(MonoTime, WakeReason)>) {
        let now = Now { mono: self.clock.mono(), wall: self.clock.wall(), clock: self.clock.trust() };
        for output in self.session.step(now, input) {
            match output {
                Output::StartCapture { student, since } => self.start_capture(&student, since, timers),
                Output::StopCapture => drop(self.acts.looks.send_replace(None)),
                Output::Guide(hint) => self.acts.shown.send_modify(|shown| shown.hint = hint),
                Output::Record(event) => {
                    let id = event.id;
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
    }

    fn start_capture(&mut self, student: &StudentId, since: MonoTime, timers: &mut Vec<(MonoTime, WakeReason)>) {
        match self.lookup.templates(student) {
            Ok(templates) => drop(self.acts.looks.send_replace(Some(Arc::new(CaptureWindow { templates, since })))),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the templates cannot be read");
                self.step(Input::EdgeFault(Fault::Store), timers);
                // The next tap tries again.
                self.step(Input::EdgeRecovered(Fault::Store), timers);
            }
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
