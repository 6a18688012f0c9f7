//! What is said at the door: the answer, the hint, and both as they are shown.

use serde::{Deserialize, Serialize};

use super::{Decision, DeviceId, EventId, Invitation, Language, MonoTime, QualityDefect, Reason, Seat};

/// What is to be shown now. Light and screen both read it, so they cannot disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The session's answer.
    pub answer: Answer,
    /// What the student could change, while they are looked at.
    pub hint: Option<Hint>,
    /// The preferred language of the student.
    pub language: Option<Language>,
    /// When the session gave the answer.
    pub since: MonoTime,
}

impl Shown {
    /// `answer`, just given.
    #[must_use]
    pub const fn new(answer: Answer, since: MonoTime) -> Self {
        Self { answer, hint: None, language: None, since }
    }
}

/// What light and screen show to the student at the door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Please tap.
    Idle,
    /// The box cannot verify anybody now; the proctor takes over.
    Unwell(Reason),
    /// The fleet took the door out of service; the proctor takes over.
    Drained,
    /// Somebody asked which box this is.
    Identified {
        /// Its name.
        device: DeviceId,
    },
    /// Please look at the camera.
    Looking {
        /// Which capture window, from 1.
        attempt: u32,
        /// Of how many.
        of: u32,
    },
    /// A proctor may sign in at the console with this code.
    SignIn {
        /// The tap.
        event: EventId,
        /// Who, with which code.
        invitation: Invitation,
    },
    /// The recorded answer.
    Decided {
        /// Its event.
        event: EventId,
        /// What it is.
        decision: Decision,
        /// Whom to greet; only on admission.
        name: Option<String>,
        /// Where they sit; only on admission.
        seat: Option<Seat>,
    },
}

/// What the student can do to be seen better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// Nobody is in the picture.
    LookAtCamera,
    /// More than one person is.
    OneAtATime,
    /// The face is too small.
    ComeCloser,
    /// The face is too large.
    MoveBack,
    /// The face leaves the picture.
    MoveToCentre,
    /// The head is turned away.
    FaceForward,
    /// Too dark.
    MoreLight,
    /// Too bright.
    LessLight,
    /// Blurred.
    HoldStill,
    /// A challenge: turn the head to your left, the picture's right.
    TurnLeft,
    /// A challenge: turn the head to your right, the picture's left.
    TurnRight,
}

impl From<QualityDefect> for Hint {
    fn from(defect: QualityDefect) -> Self {
        match defect {
            QualityDefect::TooFar => Self::ComeCloser,
            QualityDefect::TooClose => Self::MoveBack,
            QualityDefect::AtBorder => Self::MoveToCentre,
            QualityDefect::TurnedAway => Self::FaceForward,
            QualityDefect::TooDark => Self::MoreLight,
            QualityDefect::TooBright => Self::LessLight,
            QualityDefect::Blurred => Self::HoldStill,
        }
    }
}
