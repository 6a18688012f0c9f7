//! The verification session: a state machine that judges and does nothing.
//!
//! Inputs are in the past tense (what happened), outputs in the imperative (what to do). Time, identifiers and what the
//! roster says arrive with the inputs; pixels and embeddings never do, so a trace of a session holds no biometrics and
//! can be replayed.
//!
//! ```text
//!            CardTapped                 evidence or deadline            Recorded
//!   Idle ────────────────► Looking ──────────────────────► Recording ────────────► Showing ──► Idle
//!     └── refused at the tap ────────────────────────────────►┘
//! ```
//!
//! Where the window shows the student but leaves unsure whether alive, `Looking` goes on with a challenge.
//!
//! A tap keeps the worst that a face in it fell short by (`look.rs`): another face does not wash it away.
//!
//! Persist, then tell: a decision is shown only after its event was recorded. If recording fails, the student is
//! referred and an alarm is raised, whatever the decision was.

mod case;
mod challenge;
mod evidence;
mod gate;
mod io;
mod look;
mod policy;
mod service;

#[cfg(test)]
mod cards;
#[cfg(test)]
mod editions;
#[cfg(test)]
mod place;
#[cfg(test)]
mod proctors;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod shortfalls;
#[cfg(test)]
mod spoken;
#[cfg(test)]
mod tables;

use std::collections::BTreeSet;

use case::Case;
use evidence::{Evidence, Finding};
pub use io::{Door, Enrolled, Fault, Input, Lookup, Now, Output, Outputs, Tap, TemplateStock, WakeReason};
use look::Look;
pub use policy::{Policy, Thresholds};
use service::Told;

use crate::domain::{
    Answer, Decision, Event, EventId, EventKind, Exam, Hint, Invitation, Language, Measured, MonoTime, Observation,
    Reason, Shortfall, Verification,
};

/// Verifies one student after the other at one door.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    door: Door,
    /// What is served once the tap that is being judged has come to its end, by the edition that it began with.
    next: Option<Option<Exam>>,
    faults: BTreeSet<Fault>,
    told: Told,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Looking(Look),
    Recording { case: Case, decision: Decision },
    Showing { event: EventId, language: Option<Language> },
}

/// What the capture windows of one tap came to so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    /// Windows opened.
    attempts: u32,
    first_usable: Option<MonoTime>,
    /// The worst that a face fell short by.
    worst: Option<Shortfall>,
}

impl Session {
    /// A session for `door`, idle.
    #[must_use]
    pub const fn new(policy: Policy, door: Door) -> Self {
        Self { policy, door, next: None, faults: BTreeSet::new(), told: Told::NOTHING, state: State::Idle }
    }

    /// Takes one input at `now`; says what is to be done.
    #[doc = include_str!("step.md")]
    pub fn step(&mut self, now: Now, input: Input) -> Outputs {
        let mut out = Outputs::default();
        match input {
            Input::CardTapped(tap) => self.card_tapped(now, tap, &mut out),
            // A contactless card is tapped and taken away: its absence says nothing.
            Input::CardRemoved => {}
            Input::FaceObserved(observation) => self.face_observed(now, observation, &mut out),
            Input::Recorded { event } => self.recorded(now, event, &mut out),
            Input::RecordFailed { event } => self.record_failed(now, event, &mut out),
            Input::EdgeFault(fault) => self.edge_fault(now, fault, &mut out),
            Input::EdgeRecovered(fault) => self.edge_recovered(fault, &mut out),
            Input::RosterChanged(exam) => self.roster_changed(exam),
            Input::Drained => self.set_drained(true, &mut out),
            Input::Resumed => self.set_drained(false, &mut out),
            Input::IdentityAsked { device, lasts } => self.identity_asked(now, device, lasts, &mut out),
            Input::TimerFired(reason) => self.timer_fired(now, reason, &mut out),
        }
        out
    }

    /// The exam the door serves, if there is one.
    #[must_use]
    pub const fn exam(&self) -> Option<&Exam> {
        self.door.exam.as_ref()
    }

    /// Whether a tap would be accepted now. A student who taps earlier must tap again.
    #[must_use]
    pub const fn takes_taps(&self) -> bool {
        matches!(self.state, State::Idle | State::Showing { .. })
    }

    fn roster_changed(&mut self, exam: Option<Exam>) {
        if self.takes_taps() { self.door.exam = exam } else { self.next = Some(exam) }
    }

    /// The preferred language of the student at the door.
    #[must_use]
    pub fn language(&self) -> Option<&Language> {
        match &self.state {
            State::Idle => None,
            State::Showing { language, .. } => language.as_ref(),
            State::Looking(Look { case, .. }) | State::Recording { case, .. } => {
                case.student.as_ref()?.language.as_ref()
            }
        }
    }

    fn card_tapped(&mut self, now: Now, tap: Tap, out: &mut Outputs) {
        match &mut self.state {
            // One student at a time: a tap in between is ignored, and the student taps again when the light is idle. The next frame may say more.
            State::Looking(look) => {
                look.hint = Some(Hint::OneAtATime);
                out.push(Output::Guide(look.hint));
            }
            State::Recording { .. } => {}
            State::Idle | State::Showing { .. } => {
                if let Lookup::Proctor(invitation) = tap.lookup {
                    return self.invite(now, tap.event, invitation, out);
                }
                // There is nothing to judge by, nor to record: no exam is held, or the door is out of service. The screen says so.
                let Some(exam) = self.door.exam.as_ref().filter(|_| !self.told.is_drained) else {
                    self.state = State::Idle;
                    return out.push(Output::Show(self.at_rest()));
                };
                let place = (&self.door.room, exam.window);
                let refused = gate::refuse(&self.policy, place, self.faults.first().copied(), now, &tap);
                let case = Case::new(now, exam, tap);
                match refused {
                    Some(reason) => {
                        self.decide(now, case, &Evidence::default(), Tries::default(), gate::answer_to(reason), out);
                    }
                    None => self.look(now, case, Tries { attempts: 1, ..Tries::default() }, out),
                }
            }
        }
    }

    /// A proctor's code is shown also when the box is unwell: then it is needed most. The tap itself opens nothing, so there is
    /// nothing to record; the sign-in is.
    fn invite(&mut self, now: Now, event: EventId, invitation: Invitation, out: &mut Outputs) {
        out.push(Output::Show(Answer::SignIn { event, invitation }));
        out.push(Output::WakeAt(now.mono.after(self.policy.show_code_for), WakeReason::ShownLongEnough { event }));
        self.state = State::Showing { event, language: None };
    }

    fn look(&mut self, now: Now, case: Case, tries: Tries, out: &mut Outputs) {
        let Some(student) = &case.student else { return };
        let attempt = tries.attempts;
        out.push(Output::StartCapture { student: student.id.clone(), since: now.mono });
        out.push(Output::Show(Answer::Looking { attempt, of: self.policy.attempts }));
        out.push(Output::WakeAt(
            now.mono.after(self.policy.attempt_window),
            WakeReason::AttemptOver { event: case.event, attempt },
        ));
        self.state = State::Looking(Look::new(case, tries, now.mono));
    }

    fn face_observed(&mut self, now: Now, seen: Observation, out: &mut Outputs) {
        let State::Looking(look) = &mut self.state else { return };
        if seen.captured_at < look.since {
            return;
        }
        let hint = match look.take(&seen, &self.policy) {
            Ok(hint) => hint,
            Err(decision) => return self.end_look(now, decision, out),
        };
        if hint != look.hint {
            look.hint = hint;
            out.push(Output::Guide(hint));
        }
    }

    /// The attempt's time is over: what did it show?
    fn attempt_over(&mut self, now: Now, out: &mut Outputs) {
        let State::Looking(look) = &mut self.state else { return };
        if look.challenge.is_some() {
            // Not met in time.
            let decision = look.challenge_failed();
            return self.end_look(now, decision, out);
        }
        if look.evidence.finding(&self.policy) == Finding::Short(Shortfall::Unanswered) {
            return self.challenge(now, out);
        }
        let settled = look.settle(&self.policy);
        if settled || look.tries.attempts >= self.policy.attempts {
            let decision = look.decision(&self.policy);
            return self.end_look(now, decision, out);
        }
        let State::Looking(look) = std::mem::replace(&mut self.state, State::Idle) else { return };
        out.push(Output::StopCapture);
        let tries = Tries { attempts: look.tries.attempts + 1, ..look.tries };
        self.look(now, look.case, tries, out);
    }

    /// Goes on looking at the same face, and asks it to turn.
    fn challenge(&mut self, now: Now, out: &mut Outputs) {
        let State::Looking(look) = &mut self.state else { return };
        look.ask();
        out.push(Output::Guide(look.hint));
        out.push(Output::WakeAt(
            now.mono.after(self.policy.challenge_window),
            WakeReason::AttemptOver { event: look.case.event, attempt: look.tries.attempts },
        ));
    }

    fn end_look(&mut self, now: Now, decision: Decision, out: &mut Outputs) {
        let State::Looking(look) = std::mem::replace(&mut self.state, State::Idle) else { return };
        out.push(Output::StopCapture);
        let tries = Tries { worst: look.worst(decision, &self.policy), ..look.tries };
        let decision = look.case.judged(decision);
        self.decide(now, look.case, &look.evidence, tries, decision, out);
    }

    fn decide(
        &mut self,
        now: Now,
        case: Case,
        evidence: &Evidence,
        tries: Tries,
        decision: Decision,
        out: &mut Outputs,
    ) {
        if let Some(reason) = decision.reason().filter(|reason| reason.is_fault()) {
            out.push(Output::Alarm(reason));
        }
        let thresholds = &self.policy.thresholds;
        let verification = Verification {
            exam: case.exam.0.clone(),
            roster: case.exam.1,
            card: case.credential.as_ref().map(|c| c.pseudonym),
            profile: case.credential.as_ref().map(|c| c.profile),
            student: case.student.as_ref().map(|s| s.id.clone()),
            decision,
            measured: Measured {
                similarity: evidence.similarity(),
                threshold: thresholds.admit,
                liveness: evidence.liveness(thresholds),
                artifact: (evidence.frames_used() > 0).then_some(thresholds.artifact),
                frames_used: evidence.frames_used(),
                attempts: tries.attempts,
                worst: tries.worst,
                since_tap: now.mono.since(case.tapped_at),
                since_first_usable_frame: tries.first_usable.map(|at| now.mono.since(at)),
            },
            card_took: case.took,
            other_room: case.other_room.clone().filter(|_| decision.reason() == Some(Reason::AlreadyAdmitted)),
        };
        out.push(Output::Record(Box::new(Event {
            id: case.event,
            at: now.wall,
            clock: now.clock,
            room: self.door.room.clone(),
            kind: EventKind::Verification(verification),
        })));
        out.push(Output::WakeAt(
            now.mono.after(self.policy.record_within),
            WakeReason::RecordOverdue { event: case.event },
        ));
        self.state = State::Recording { case, decision };
    }

    fn recorded(&mut self, now: Now, event: EventId, out: &mut Outputs) {
        if let Some((case, decision)) = self.finish_recording(event) {
            self.show(now, case, decision, out);
        }
    }

    fn record_failed(&mut self, now: Now, event: EventId, out: &mut Outputs) {
        if let Some((case, _)) = self.finish_recording(event) {
            out.push(Output::Alarm(Reason::StorageFault));
            self.show(now, case, Decision::Refer(Reason::StorageFault), out);
        }
    }

    /// Leaves `Recording` if it is `event` that was waited for.
    fn finish_recording(&mut self, event: EventId) -> Option<(Case, Decision)> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Recording { case, decision } if case.event == event => Some((case, decision)),
            other @ (State::Idle | State::Looking(_) | State::Recording { .. } | State::Showing { .. }) => {
                self.state = other;
                None
            }
        }
    }

    fn show(&mut self, now: Now, case: Case, decision: Decision, out: &mut Outputs) {
        let event = case.event;
        let (name, language) = case.student.map(|student| (student.called().to_owned(), student.language)).unzip();
        let (name, seat) = if decision == Decision::Admit { (name, case.seat) } else { (None, None) };
        out.push(Output::Show(Answer::Decided { event, decision, name, seat }));
        out.push(Output::WakeAt(now.mono.after(self.policy.show_for), WakeReason::ShownLongEnough { event }));
        self.state = State::Showing { event, language: language.flatten() };
        if let Some(exam) = self.next.take() {
            self.door.exam = exam;
        }
    }

    fn edge_fault(&mut self, now: Now, fault: Fault, out: &mut Outputs) {
        let is_new = self.faults.insert(fault);
        match self.state {
            State::Looking(_) => self.end_look(now, Decision::Refer(fault.reason()), out),
            State::Idle if is_new => {
                out.push(Output::Alarm(fault.reason()));
                out.push(Output::Show(self.at_rest()));
            }
            State::Idle | State::Recording { .. } | State::Showing { .. } => {}
        }
    }

    fn edge_recovered(&mut self, fault: Fault, out: &mut Outputs) {
        if self.faults.remove(&fault) && matches!(self.state, State::Idle) {
            out.push(Output::Show(self.at_rest()));
        }
    }

    fn timer_fired(&mut self, now: Now, reason: WakeReason, out: &mut Outputs) {
        match (&self.state, reason) {
            (State::Looking(look), WakeReason::AttemptOver { event, attempt })
                if look.case.event == event && look.tries.attempts == attempt =>
            {
                self.attempt_over(now, out);
            }
            (State::Recording { .. }, WakeReason::RecordOverdue { event }) => self.record_failed(now, event, out),
            (State::Showing { event: shown, .. }, WakeReason::ShownLongEnough { event }) if *shown == event => {
                self.state = State::Idle;
                out.push(Output::Show(self.at_rest()));
            }
            (_, WakeReason::IdentifiedLongEnough) => self.identified_long_enough(now, out),
            // A timer of something that is over.
            (
                State::Idle | State::Looking(_) | State::Recording { .. } | State::Showing { .. },
                WakeReason::AttemptOver { .. } | WakeReason::RecordOverdue { .. } | WakeReason::ShownLongEnough { .. },
            ) => {}
        }
    }

    /// What is shown when nobody is being verified.
    #[must_use]
    pub fn at_rest(&self) -> Answer {
        let unwell = || self.faults.first().map(|fault| Answer::Unwell(fault.reason()));
        self.told.shown().or_else(unwell).unwrap_or(Answer::Idle)
    }
}
