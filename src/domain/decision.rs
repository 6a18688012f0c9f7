//! The three answers of the box and every reason it may give.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a frame lacks for a fair comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityDefect {
    /// The face fills too little of the picture.
    TooFar,
    /// The face fills too much of the picture.
    TooClose,
    /// Part of the face is outside the picture.
    AtBorder,
    /// The head is turned away.
    TurnedAway,
    /// Too little light.
    TooDark,
    /// Too much light.
    TooBright,
    /// Too blurred.
    Blurred,
}

/// Why the box answered as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "code", content = "detail")]
pub enum Reason {
    /// No roster this box holds knows the card.
    CardUnknown,
    /// The card was reported lost or replaced.
    CardRevoked,
    /// The card gave no usable answer.
    CardUnreadable,
    /// Policy wants a card that proves itself, this one only has a number.
    CardTooWeak,
    /// The card is a student's and a proctor's of one exam.
    CardShared,
    /// A card of this student proved itself here in a stronger way than this one does now: it may be a copy.
    CardDowngraded,
    /// The card makes up a number at every tap, and the reader reads no other: a plastic card whose number lies deeper, or a phone.
    CardUnstable,
    /// A pass in a phone's or watch's wallet.
    WalletPass,
    /// The card has an application that proves it, and the proof is not good.
    CardUnproved,
    /// The card's certificate has expired, or is not valid yet.
    CardExpired,
    /// The card took longer to prove itself than the site allows.
    CardSlow,
    /// The box has no key for the card, or the SAM that holds it does not answer.
    CardKeysMissing,
    /// A student, but not of this exam.
    NotOnRoster,
    /// Of this exam, but in another room.
    WrongRoom,
    /// Doors are not open yet.
    TooEarly,
    /// Doors are closed.
    TooLate,
    /// This student is already inside.
    AlreadyAdmitted,
    /// A proctor said no before.
    TurnedAway,
    /// The roster holds no picture of this student.
    NoTemplate,
    /// The student opted out of face matching: the proctor looks, and nothing is compared.
    OptedOut,
    /// The face matches, and another student of the exam looks like this one: the proctor tells them apart.
    LookAlike,
    /// The roster's templates were made for another embedding space.
    ModelMismatch,
    /// Nobody looked at the camera.
    NoFace,
    /// More than one person was in view.
    SeveralFaces,
    /// No frame was good enough for a fair comparison.
    PoorQuality(QualityDefect),
    /// What was seen may not be a live face.
    SpoofSuspected,
    /// The face is not like the enrolled pictures (or not enough like them to be sure).
    FaceMismatch,
    /// Too many failed attempts for this card; a pause is running.
    LockedOut,
    /// No card can be read: the reader or its service is gone or hangs.
    ReaderFault,
    /// The camera gives no usable picture.
    CameraFault,
    /// The inference runtime failed.
    VisionFault,
    /// The clock cannot be believed, so the exam's window cannot be judged.
    ClockUntrusted,
    /// The store cannot be read or written.
    StorageFault,
}

impl Reason {
    /// The stable name in events, messages and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CardUnknown => "card_unknown",
            Self::CardRevoked => "card_revoked",
            Self::CardUnreadable => "card_unreadable",
            Self::CardTooWeak => "card_too_weak",
            Self::CardShared => "card_shared",
            Self::CardDowngraded => "card_downgraded",
            Self::CardUnstable => "card_unstable",
            Self::WalletPass => "wallet_pass",
            Self::CardUnproved => "card_unproved",
            Self::CardExpired => "card_expired",
            Self::CardSlow => "card_slow",
            Self::CardKeysMissing => "card_keys_missing",
            Self::NotOnRoster => "not_on_roster",
            Self::WrongRoom => "wrong_room",
            Self::TooEarly => "too_early",
            Self::TooLate => "too_late",
            Self::AlreadyAdmitted => "already_admitted",
            Self::TurnedAway => "turned_away",
            Self::NoTemplate => "no_template",
            Self::OptedOut => "opted_out",
            Self::LookAlike => "look_alike",
            Self::ModelMismatch => "model_mismatch",
            Self::NoFace => "no_face",
            Self::SeveralFaces => "several_faces",
            Self::PoorQuality(_) => "poor_quality",
            Self::SpoofSuspected => "spoof_suspected",
            Self::FaceMismatch => "face_mismatch",
            Self::LockedOut => "locked_out",
            Self::ReaderFault => "reader_fault",
            Self::CameraFault => "camera_fault",
            Self::VisionFault => "vision_fault",
            Self::ClockUntrusted => "clock_untrusted",
            Self::StorageFault => "storage_fault",
        }
    }

    /// Whether this reason is a failed attempt to match, and so counts towards the lock-out of a card.
    #[must_use]
    pub const fn is_failed_match(self) -> bool {
        matches!(self, Self::FaceMismatch | Self::SpoofSuspected)
    }

    /// Whether the box, not the person, is the cause. Such a reason raises an alarm.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(
            self,
            Self::CardKeysMissing
                | Self::ReaderFault
                | Self::CameraFault
                | Self::VisionFault
                | Self::ClockUntrusted
                | Self::StorageFault
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The answer of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum Decision {
    /// Come in.
    Admit,
    /// Not with this card, not now, or not this person.
    Deny(Reason),
    /// The proctor decides.
    Refer(Reason),
}

impl Decision {
    /// The reason, where there is one.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Admit => None,
            Self::Deny(reason) | Self::Refer(reason) => Some(reason),
        }
    }

    /// The stable name of the outcome.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Deny(_) => "deny",
            Self::Refer(_) => "refer",
        }
    }
}

/// What a face in a tap fell short by, though it was looked at for long enough to be admitted; the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortfall {
    /// Live, and too close to call.
    Borderline,
    /// The student's by its likeness; the doubt whether it is live was not answered by the turns that are asked for.
    Unanswered,
    /// Live, and clearly somebody else's.
    Mismatch,
    /// Not live enough.
    NotLive,
}

impl Shortfall {
    /// The decision of a tap in which nothing worse was seen.
    #[must_use]
    pub const fn decision(self) -> Decision {
        match self {
            Self::Borderline => Decision::Refer(Reason::FaceMismatch),
            Self::Mismatch => Decision::Deny(Reason::FaceMismatch),
            Self::Unanswered | Self::NotLive => Decision::Refer(Reason::SpoofSuspected),
        }
    }

    /// Whether no further face of this tap is looked at.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Mismatch | Self::NotLive)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            None => f.write_str(self.outcome()),
            Some(reason) => write!(f, "{} ({reason})", self.outcome()),
        }
    }
}
