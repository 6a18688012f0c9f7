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
//! Persist, then tell: a decision is shown only after its event was recorded. If recording fails, the student is
//! referred and an alarm is raised, whatever the decision was.

mod challenge;
mod evidence;
mod gate;
mod io;
mod policy;

#[cfg(test)]
mod proctors;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod spoken;
#[cfg(test)]
mod tables;

use std::collections::BTreeSet;

use challenge::{Dialogue, Progress};
use evidence::{Evidence, Finding};
pub use io::{Door, Enrolled, Fault, Input, Lookup, Now, Output, Outputs, Tap, TemplateStock, WakeReason};
pub use policy::{Policy, Thresholds};

use crate::domain::{
    Answer, Continuity, Credential, Decision, Event, EventId, EventKind, Exam, FaceSeen, Hint, Invitation, Language,
    Measured, MonoTime, Observation, Reason, Student, Verification,
};

/// Verifies one student after the other at one door.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    door: Door,
    faults: BTreeSet<Fault>,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Looking(Look),
    Recording { case: Case, decision: Decision },
    Showing { event: EventId, language: Option<Language> },
}

/// One tap, from its first moment to its event.
#[derive(Debug)]
struct Case {
    event: EventId,
    tapped_at: MonoTime,
    credential: Option<Credential>,
    student: Option<Student>,
}

#[derive(Debug)]
struct Look {
    case: Case,
    attempt: u32,
    /// Frames captured before this moment are not evidence.
    since: MonoTime,
    evidence: Evidence,
    first_usable: Option<MonoTime>,
    hint: Option<Hint>,
    /// What the student is being asked to do.
    challenge: Option<Dialogue>,
}

impl Session {
    /// A session for `door`, idle.
    #[must_use]
    pub const fn new(policy: Policy, door: Door) -> Self {
        Self { policy, door, faults: BTreeSet::new(), state: State::Idle }
    }

    /// Takes one input at `now`; says what is to be done.
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
            Input::RosterChanged(exam) => self.door.exam = exam,
            Input::TimerFired(reason) => self.timer_fired(now, reason, &mut out),
        }
        out
    }

    /// The exam the door serves.
    #[must_use]
    pub const fn exam(&self) -> &Exam {
        &self.door.exam
    }

    /// What whoever stands at the door prefers to hear.
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
            // One at a time: whoever taps meanwhile taps again when the light is back to idle. The next frame may say more.
            State::Looking(look) => {
                look.hint = Some(Hint::OneAtATime);
                out.push(Output::Guide(look.hint));
            }
            State::Recording { .. } => {}
            State::Idle | State::Showing { .. } => {
                if let Lookup::Proctor(invitation) = tap.lookup {
                    return self.invite(now, tap.event, invitation, out);
                }
                let refused = gate::refuse(&self.policy, &self.door, self.faults.first().copied(), now, &tap);
                let case = Case::new(now, tap);
                match refused {
                    Some(reason) => self.decide(now, case, &Evidence::default(), 0, None, gate::answer_to(reason), out),
                    None => self.look(now, case, 1, None, out),
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

    fn look(&mut self, now: Now, case: Case, attempt: u32, first_usable: Option<MonoTime>, out: &mut Outputs) {
        let Some(student) = &case.student else { return };
        out.push(Output::StartCapture { student: student.id.clone(), since: now.mono });
        out.push(Output::Show(Answer::Looking { attempt, of: self.policy.attempts }));
        out.push(Output::WakeAt(
            now.mono.after(self.policy.attempt_window),
            WakeReason::AttemptOver { event: case.event, attempt },
        ));
        self.state = State::Looking(Look {
            case,
            attempt,
            since: now.mono,
            evidence: Evidence::default(),
            first_usable,
            hint: None,
            challenge: None,
        });
    }

    fn face_observed(&mut self, now: Now, seen: Observation, out: &mut Outputs) {
        let State::Looking(look) = &mut self.state else { return };
        if seen.captured_at < look.since {
            return;
        }
        let unfit = look.evidence.take(&seen);
        if look.evidence.frames_used() > 0 && look.first_usable.is_none() {
            look.first_usable = Some(seen.captured_at);
        }
        // Only a frame that is itself evidence can admit.
        let decision = match (unfit, &seen.face) {
            (None, Some(face)) => look.judge(face, &self.policy),
            (Some(_), _) | (None, None) => None,
        };
        if let Some(decision) = decision {
            return self.end_look(now, decision, out);
        }
        let hint = unfit.or_else(|| look.challenge.as_ref()?.asked());
        if hint != look.hint {
            look.hint = hint;
            out.push(Output::Guide(hint));
        }
    }

    /// The attempt's time is over: what did it show?
    fn attempt_over(&mut self, now: Now, out: &mut Outputs) {
        let State::Looking(look) = &mut self.state else { return };
        let finding = look.evidence.finding(&self.policy);
        if look.challenge.is_some() {
            // Not met in time.
            look.evidence.challenged();
            return self.end_look(now, Decision::Refer(Reason::SpoofSuspected), out);
        }
        if finding == Finding::Unsure {
            return self.challenge(now, out);
        }
        // What is clearly another face, or no live one, is not looked at again: every further look is a further chance.
        let settled = matches!(finding, Finding::Mismatch | Finding::NotLive);
        let again = look.attempt < self.policy.attempts && !settled;
        if !again {
            return self.end_look(now, finding.decision(), out);
        }
        let State::Looking(look) = std::mem::replace(&mut self.state, State::Idle) else { return };
        out.push(Output::StopCapture);
        self.look(now, look.case, look.attempt + 1, look.first_usable, out);
    }

    /// Goes on looking at the same face, and asks it to turn.
    fn challenge(&mut self, now: Now, out: &mut Outputs) {
        let State::Looking(look) = &mut self.state else { return };
        let dialogue = Dialogue::new(look.case.event, look.evidence.yaw());
        look.attempt += 1;
        look.hint = dialogue.asked();
        out.push(Output::Guide(look.hint));
        out.push(Output::WakeAt(
            now.mono.after(self.policy.challenge_window),
            WakeReason::AttemptOver { event: look.case.event, attempt: look.attempt },
        ));
        look.challenge = Some(dialogue);
    }

    fn end_look(&mut self, now: Now, decision: Decision, out: &mut Outputs) {
        let State::Looking(look) = std::mem::replace(&mut self.state, State::Idle) else { return };
        out.push(Output::StopCapture);
        self.decide(now, look.case, &look.evidence, look.attempt, look.first_usable, decision, out);
    }

    #[expect(clippy::too_many_arguments, reason = "everything an event rests on, named once")]
    fn decide(
        &mut self,
        now: Now,
        case: Case,
        evidence: &Evidence,
        attempts: u32,
        first_usable: Option<MonoTime>,
        decision: Decision,
        out: &mut Outputs,
    ) {
        if let Some(reason) = decision.reason().filter(|reason| reason.is_fault()) {
            out.push(Output::Alarm(reason));
        }
        let thresholds = &self.policy.thresholds;
        let verification = Verification {
            exam: self.door.exam.id.clone(),
            roster: self.door.exam.version,
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
                attempts,
                since_tap: now.mono.since(case.tapped_at),
                since_first_usable_frame: first_usable.map(|at| now.mono.since(at)),
            },
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
        let (name, language) = case.student.map(|student| (student.given_name, student.language)).unzip();
        let given_name = name.filter(|_| decision == Decision::Admit);
        out.push(Output::Show(Answer::Decided { event, decision, given_name }));
        out.push(Output::WakeAt(now.mono.after(self.policy.show_for), WakeReason::ShownLongEnough { event }));
        self.state = State::Showing { event, language: language.flatten() };
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
                if look.case.event == event && look.attempt == attempt =>
            {
                self.attempt_over(now, out);
            }
            (State::Recording { .. }, WakeReason::RecordOverdue { event }) => self.record_failed(now, event, out),
            (State::Showing { event: shown, .. }, WakeReason::ShownLongEnough { event }) if *shown == event => {
                self.state = State::Idle;
                out.push(Output::Show(self.at_rest()));
            }
            // A timer of something that is over.
            (
                State::Idle | State::Looking(_) | State::Recording { .. } | State::Showing { .. },
                WakeReason::AttemptOver { .. } | WakeReason::RecordOverdue { .. } | WakeReason::ShownLongEnough { .. },
            ) => {}
        }
    }

    /// What is shown when nobody is being verified.
    fn at_rest(&self) -> Answer {
        match self.faults.first() {
            None => Answer::Idle,
            Some(fault) => Answer::Unwell(fault.reason()),
        }
    }
}

impl Look {
    /// What a frame that is evidence decides, if anything.
    fn judge(&mut self, face: &FaceSeen, policy: &Policy) -> Option<Decision> {
        if let Some(dialogue) = &mut self.challenge {
            // Whoever steps in while it is being met has not met it: the evidence is new, and so is the doubt.
            let progress = if face.continuity == Continuity::Same { dialogue.take(face) } else { Progress::Failed };
            match progress {
                Progress::Waiting | Progress::Next => return None,
                Progress::Failed => {
                    self.evidence.challenged();
                    return Some(Decision::Refer(Reason::SpoofSuspected));
                }
                Progress::Met => self.evidence.challenge_met(),
            }
            return Some(self.evidence.finding(policy).decision());
        }
        (self.evidence.finding(policy) == Finding::Match).then_some(Decision::Admit)
    }
}

impl Case {
    fn new(now: Now, tap: Tap) -> Self {
        let student = match tap.lookup {
            Lookup::Enrolled(enrolled) => Some(enrolled.entry.student),
            Lookup::Unknown | Lookup::Elsewhere | Lookup::Proctor(_) | Lookup::Unavailable => None,
        };
        Self { event: tap.event, tapped_at: now.mono, credential: tap.credential.ok(), student }
    }
}
