//! One look of a tap: the open capture window, and the findings about the faces in it.
//!
//! A face that was looked at for long enough to be admitted, and was not, is a finding of the tap. It is kept when another face takes its
//! place, when a window ends, and when the camera breaks. A clear mismatch or a spoof ends the tap there and then: every further face
//! is a further chance. A face that was seen for less could not have been admitted, so it is nobody's attempt: somebody who walks
//! through the picture counts for nothing.

use super::{
    Case, Hint, Policy, Tries,
    challenge::{Dialogue, Progress},
    evidence::{Evidence, Finding},
};
use crate::domain::{Continuity, Decision, FaceSeen, MonoTime, Observation, Reason, Shortfall};

#[derive(Debug)]
pub(super) struct Look {
    pub(super) case: Case,
    pub(super) tries: Tries,
    /// Frames captured before this moment are not evidence.
    pub(super) since: MonoTime,
    pub(super) evidence: Evidence,
    pub(super) hint: Option<Hint>,
    /// What the student is being asked to do.
    pub(super) challenge: Option<Dialogue>,
}

impl Look {
    /// A fresh window of `case`, from `since` on.
    pub(super) fn new(case: Case, tries: Tries, since: MonoTime) -> Self {
        Self { case, tries, since, evidence: Evidence::after(tries.worst), hint: None, challenge: None }
    }

    /// Takes one frame; says what to tell the student.
    ///
    /// # Errors
    /// The decision, if the frame decides: that is no failure, but the look is over.
    pub(super) fn take(&mut self, seen: &Observation, policy: &Policy) -> Result<Option<Hint>, Decision> {
        if seen.face.as_ref().is_some_and(|face| face.continuity != Continuity::Same) {
            self.replaced(policy)?;
        }
        let unfit = self.evidence.take(seen);
        if self.evidence.frames_used() > 0 {
            self.tries.first_usable.get_or_insert(seen.captured_at);
        }
        // Only a frame that is itself evidence can admit.
        if let (None, Some(face)) = (unfit, &seen.face) {
            self.judge(face, policy)?;
        }
        Ok(unfit.or_else(|| self.challenge.as_ref()?.asked()))
    }

    /// Another face has come. What the one before it came to is kept.
    fn replaced(&mut self, policy: &Policy) -> Result<(), Decision> {
        // A person who steps in during a challenge has not met it.
        if self.challenge.is_some() {
            return Err(self.challenge_failed());
        }
        if self.settle(policy) {
            return Err(self.decision(policy));
        }
        self.evidence = Evidence::after(self.tries.worst);
        Ok(())
    }

    /// What a frame that is evidence decides, if anything.
    fn judge(&mut self, face: &FaceSeen, policy: &Policy) -> Result<(), Decision> {
        let Some(dialogue) = &mut self.challenge else {
            return if self.evidence.finding(policy) == Finding::Match { Err(Decision::Admit) } else { Ok(()) };
        };
        match dialogue.take(face) {
            Progress::Waiting | Progress::Next => Ok(()),
            Progress::Failed => Err(self.challenge_failed()),
            Progress::Met => {
                self.evidence.challenge_met();
                Err(self.decision(policy))
            }
        }
    }

    /// Goes on looking at the same face, and asks it to turn.
    pub(super) fn ask(&mut self) {
        let dialogue = Dialogue::new(self.case.event, self.evidence.yaw());
        self.tries.attempts += 1;
        self.hint = dialogue.asked();
        self.challenge = Some(dialogue);
    }

    /// The face was asked to turn and did not.
    pub(super) const fn challenge_failed(&mut self) -> Decision {
        self.evidence.challenged();
        Decision::Refer(Reason::SpoofSuspected)
    }

    /// Keeps what the present face came to. Says whether the tap is over with it.
    pub(super) fn settle(&mut self, policy: &Policy) -> bool {
        self.tries.worst = self.tries.worst.max(self.evidence.settled(policy));
        self.tries.worst.is_some_and(Shortfall::is_final)
    }

    /// The decision if nothing more comes: the worse of what this window shows and what the tap has shown before.
    pub(super) fn decision(&self, policy: &Policy) -> Decision {
        let worst = self.tries.worst;
        match self.evidence.finding(policy) {
            Finding::Match => Decision::Admit,
            Finding::Short(short) => worst.map_or(short, |worst| worst.max(short)).decision(),
            Finding::Insufficient(reason) => worst.map_or(Decision::Refer(reason), Shortfall::decision),
        }
    }

    /// The worst of the whole tap, once it has come to `decision`. Breaking a look off, for instance by covering the lens, does not undo
    /// what it showed, and does not meet a challenge.
    pub(super) fn worst(&self, decision: Decision, policy: &Policy) -> Option<Shortfall> {
        if decision == Decision::Admit {
            return self.tries.worst;
        }
        let asked = self.challenge.as_ref().map(|_| Shortfall::Unanswered);
        self.tries.worst.max(self.evidence.settled(policy)).max(asked)
    }
}
