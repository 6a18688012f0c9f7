//! The decision rule: combines the frames of one capture window into a result.
//!
//! A frame is evidence when it shows exactly one face without a defect. Evidence belongs to one continuous face: when
//! another face appears `look.rs` begins it anew, so nobody is admitted on somebody else's liveness or likeness. Blocks admission
//! on a single lucky frame; does not by itself tell a good replay from a face (that is the liveness score's part).

use std::time::Duration;

use super::{Hint, Policy, Thresholds};
use crate::domain::{Cue, Liveness, MonoTime, Observation, QualityDefect, Reason, Shortfall, Similarity};

/// The frames of one capture window, added up.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    frames: u32,
    /// Whether this face has to be asked to turn, however sure it is.
    must_ask: bool,
    /// Capture of the first and the last of them.
    span: Option<(MonoTime, MonoTime)>,
    liveness: f32,
    cue: Cue,
    /// Whether a challenge was asked for, and met.
    challenge: Option<bool>,
    /// Sum of the head's yaw over the frames, degrees.
    yaw: f32,
    similarity: Option<Similarity>,
    /// The last thing that kept a frame from being evidence.
    obstacle: Option<Obstacle>,
}

#[derive(Clone, Copy, Debug)]
enum Obstacle {
    Nobody,
    Several,
    Defect(QualityDefect),
}

/// What the evidence shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Live, and the student.
    Match,
    /// One continuous face with enough usable frames, that is not to be admitted.
    Short(Shortfall),
    /// Too few usable frames, for this reason.
    Insufficient(Reason),
}

impl Evidence {
    /// No evidence yet, in a tap whose faces so far fell short by `worst`: the next face after an unanswered challenge must
    /// be challenged too.
    pub(super) fn after(worst: Option<Shortfall>) -> Self {
        Self { must_ask: worst >= Some(Shortfall::Unanswered), ..Self::default() }
    }

    /// Takes one frame of the same face as before. The hint says why the frame is not evidence; `None`: it is.
    pub(super) fn take(&mut self, seen: &Observation) -> Option<Hint> {
        let Some(face) = &seen.face else {
            let obstacle = if seen.faces == 0 { Obstacle::Nobody } else { Obstacle::Several };
            return Some(self.stopped_by(obstacle));
        };
        if let Some(defect) = face.defect {
            return Some(self.stopped_by(Obstacle::Defect(defect)));
        }
        self.frames += 1;
        // A score that is not a number is no sign of life.
        self.liveness = if face.liveness.is_nan() { 0.0 } else { face.liveness.clamp(0.0, 1.0) };
        self.cue = face.cue;
        self.yaw += face.pose.yaw;
        self.similarity = Some(face.similarity);
        let first = self.span.map_or(seen.captured_at, |(first, _)| first);
        self.span = Some((first, seen.captured_at));
        None
    }

    fn stopped_by(&mut self, obstacle: Obstacle) -> Hint {
        self.obstacle = Some(obstacle);
        match obstacle {
            Obstacle::Nobody => Hint::LookAtCamera,
            Obstacle::Several => Hint::OneAtATime,
            Obstacle::Defect(defect) => defect.into(),
        }
    }

    /// The decision rule.
    pub(super) fn finding(&self, policy: &Policy) -> Finding {
        let thresholds = &policy.thresholds;
        let (Some(similarity), true) = (self.similarity, self.frames >= policy.min_frames) else {
            return Finding::Insufficient(match self.obstacle {
                None | Some(Obstacle::Nobody) => Reason::NoFace,
                Some(Obstacle::Several) => Reason::SeveralFaces,
                Some(Obstacle::Defect(defect)) => Reason::PoorQuality(defect),
            });
        };
        if self.liveness < thresholds.live {
            Finding::Short(Shortfall::NotLive)
        } else if similarity < thresholds.refer {
            Finding::Short(Shortfall::Mismatch)
        } else if similarity < thresholds.admit {
            Finding::Short(Shortfall::Borderline)
        } else if self.challenge == Some(true) || self.is_sure(policy) {
            Finding::Match
        } else {
            Finding::Short(Shortfall::Unanswered)
        }
    }

    /// What the face fell short by, if it was looked at for long enough to be admitted.
    pub(super) fn settled(&self, policy: &Policy) -> Option<Shortfall> {
        match self.finding(policy) {
            Finding::Short(short) if self.lasted() >= policy.min_look => Some(short),
            Finding::Short(_) | Finding::Match | Finding::Insufficient(_) => None,
        }
    }

    /// Whether nothing needs to be asked.
    fn is_sure(&self, policy: &Policy) -> bool {
        !policy.always_challenge
            && !self.must_ask
            && self.liveness >= policy.thresholds.sure
            && self.lasted() >= policy.min_look
    }

    /// From the first of the frames to the last.
    fn lasted(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }

    /// The face was asked to turn and did not.
    pub(super) const fn challenged(&mut self) {
        self.challenge = Some(false);
    }

    /// The face did what it was asked to do.
    pub(super) const fn challenge_met(&mut self) {
        self.challenge = Some(true);
    }

    /// Mean yaw of the head, degrees.
    pub(super) fn yaw(&self) -> f32 {
        self.yaw / self.frames.max(1) as f32
    }

    pub(super) const fn frames_used(&self) -> u32 {
        self.frames
    }

    pub(super) const fn similarity(&self) -> Option<Similarity> {
        self.similarity
    }

    /// The verdict for the event.
    pub(super) const fn liveness(&self, thresholds: &Thresholds) -> Liveness {
        if self.frames == 0 {
            return Liveness::NotAssessed;
        }
        let (threshold, cue) = match self.challenge {
            // Who is challenged needs no more than to pass for live.
            Some(_) => (thresholds.live, Cue::Challenge),
            None => (thresholds.sure, self.cue),
        };
        Liveness::Scored { score: self.liveness, threshold, cue }
    }
}
