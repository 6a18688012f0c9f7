//! The numbers a decision rests on. Defaults follow NIST SP 800-63B-4 (sec. 3.2.3: limited consecutive failures, growing
//! delays) and the FIDO Biometric Component Requirements (at most a few attempts in one transaction).

use std::time::Duration;

use crate::domain::{ArtifactId, CredentialProfile, Similarity};

/// Where a similarity and a liveness score start to count. They belong to one embedding space, one probe artifact and
/// this rule, and come from the model manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// What computes the probes.
    pub artifact: ArtifactId,
    /// From here on the face is the student's.
    pub admit: Similarity,
    /// From here to `admit` the proctor decides; below, it is another face.
    pub refer: Similarity,
    /// Below it the face is taken for a spoof; the fused liveness, 0..=1.
    pub live: f32,
    /// From here on it is believed to be live; from `live` to here it is challenged. At least `live`.
    pub sure: f32,
}

/// How a student is verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Similarity and liveness.
    pub thresholds: Thresholds,
    /// Usable frames of one continuous face that a decision needs.
    pub min_frames: u32,
    /// How long the frames must reach: a lucky moment is no evidence of life.
    pub min_look: Duration,
    /// Whether everybody is challenged, not only whom the passive evidence leaves unsure.
    pub always_challenge: bool,
    /// How long a challenge may take.
    pub challenge_window: Duration,
    /// Capture windows in one tap.
    pub attempts: u32,
    /// How long one capture window is open.
    pub attempt_window: Duration,
    /// How long the store may take before the student is referred.
    pub record_within: Duration,
    /// How long an answer stays.
    pub show_for: Duration,
    /// How long a proctor's code stays, unless somebody taps.
    pub show_code_for: Duration,
    /// The weakest card accepted.
    pub weakest_profile: CredentialProfile,
    /// Failed matches in a row without a pause.
    pub free_failures: u32,
    /// The first pause; it doubles with every further failed match, up to an hour.
    pub first_pause: Duration,
    /// Failed matches in a row after which only the proctor helps.
    pub max_failures: u32,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

impl Policy {
    /// The defaults, with the manifest's thresholds.
    #[must_use]
    pub const fn with(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            min_frames: 5,
            min_look: Duration::from_millis(700),
            always_challenge: false,
            challenge_window: Duration::from_secs(10),
            attempts: 3,
            attempt_window: Duration::from_millis(2500),
            record_within: Duration::from_secs(2),
            show_for: Duration::from_secs(4),
            show_code_for: Duration::from_secs(60),
            weakest_profile: CredentialProfile::Uid,
            free_failures: 2,
            first_pause: Duration::from_secs(30),
            max_failures: 10,
        }
    }

    /// The rule in words: what else than the thresholds the error rates of a whole tap depend on. `fused` frames at most make one probe.
    /// Thresholds are calibrated for one rule and mean nothing with another.
    #[must_use]
    pub fn rule(&self, fused: usize) -> String {
        format!(
            "weighted mean of the best {fused} frames, at least {} over {} ms, admits at the first that suffices; nearest template; {} attempts of \
             {} ms, none after a clear mismatch",
            self.min_frames,
            self.min_look.as_millis(),
            self.attempts,
            self.attempt_window.as_millis(),
        )
    }

    /// How long a card pauses after its `failures`-th failed match in a row; `None`: until it is admitted by the proctor.
    #[must_use]
    pub fn pause_after(&self, failures: u32) -> Option<Duration> {
        if failures >= self.max_failures {
            return None;
        }
        let Some(doublings) = failures.checked_sub(self.free_failures + 1) else { return Some(Duration::ZERO) };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        Some(self.first_pause.saturating_mul(factor).min(LONGEST_PAUSE))
    }
}
