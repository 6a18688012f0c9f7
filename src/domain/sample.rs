//! Events and reasons to try things on: what a door records of one tap, and all that it may say. For tests and benches; never in a release.

use std::time::Duration;

use uuid::Uuid;

use super::{
    CardPseudonym, ClockTrust, Decision, Event, EventId, EventKind, ExamId, Liveness, Measured, QualityDefect, Reason,
    RoomId, RosterVersion, Similarity, StudentId, Timestamp, Verification,
};

/// Event `number`, as many seconds into 2027-01-15 08:00 UTC: the student `N{student}`, whose card is named by 32 times that byte, was
/// answered so. `None`: a card nobody could read.
///
/// # Panics
/// When `exam` is no identifier.
#[must_use]
pub fn verified(number: u64, exam: &str, student: Option<u8>, decision: Decision) -> Event {
    Event {
        id: EventId(Uuid::from_u128(u128::from(number))),
        at: Timestamp::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + number),
        clock: ClockTrust::Synchronised,
        room: RoomId::new("room-1").expect("an identifier"),
        kind: EventKind::Verification(Verification {
            exam: ExamId::new(exam).expect("an identifier"),
            roster: RosterVersion(1),
            card: student.map(|n| CardPseudonym::from_bytes([n; 32])),
            profile: None,
            student: student.map(|n| StudentId::new(format!("N{n}")).expect("an identifier")),
            decision,
            measured: Measured {
                similarity: None,
                threshold: Similarity::new(0.4),
                liveness: Liveness::NotAssessed,
                artifact: None,
                frames_used: 5,
                attempts: 1,
                worst: None,
                since_tap: Duration::from_millis(900),
                since_first_usable_frame: None,
            },
            card_took: None,
            other_room: None,
        }),
    }
}

/// Every reason there is.
pub fn reasons() -> impl Iterator<Item = Reason> {
    std::iter::successors(Some(Reason::CardUnknown), |reason| after(*reason))
}

/// The one after `reason`: a new one cannot be forgotten.
const fn after(reason: Reason) -> Option<Reason> {
    Some(match reason {
        Reason::CardUnknown => Reason::CardRevoked,
        Reason::CardRevoked => Reason::CardUnreadable,
        Reason::CardUnreadable => Reason::CardTooWeak,
        Reason::CardTooWeak => Reason::CardShared,
        Reason::CardShared => Reason::CardDowngraded,
        Reason::CardDowngraded => Reason::CardUnstable,
        Reason::CardUnstable => Reason::WalletPass,
        Reason::WalletPass => Reason::CardUnproved,
        Reason::CardUnproved => Reason::CardExpired,
        Reason::CardExpired => Reason::CardSlow,
        Reason::CardSlow => Reason::CardKeysMissing,
        Reason::CardKeysMissing => Reason::NotOnRoster,
        Reason::NotOnRoster => Reason::WrongRoom,
        Reason::WrongRoom => Reason::TooEarly,
        Reason::TooEarly => Reason::TooLate,
        Reason::TooLate => Reason::AlreadyAdmitted,
        Reason::AlreadyAdmitted => Reason::TurnedAway,
        Reason::TurnedAway => Reason::NoTemplate,
        Reason::NoTemplate => Reason::OptedOut,
        Reason::OptedOut => Reason::LookAlike,
        Reason::LookAlike => Reason::ModelMismatch,
        Reason::ModelMismatch => Reason::NoFace,
        Reason::NoFace => Reason::SeveralFaces,
        Reason::SeveralFaces => Reason::PoorQuality(QualityDefect::TooFar),
        Reason::PoorQuality(QualityDefect::TooFar) => Reason::PoorQuality(QualityDefect::TooClose),
        Reason::PoorQuality(QualityDefect::TooClose) => Reason::PoorQuality(QualityDefect::AtBorder),
        Reason::PoorQuality(QualityDefect::AtBorder) => Reason::PoorQuality(QualityDefect::TurnedAway),
        Reason::PoorQuality(QualityDefect::TurnedAway) => Reason::PoorQuality(QualityDefect::TooDark),
        Reason::PoorQuality(QualityDefect::TooDark) => Reason::PoorQuality(QualityDefect::TooBright),
        Reason::PoorQuality(QualityDefect::TooBright) => Reason::PoorQuality(QualityDefect::Blurred),
        Reason::PoorQuality(QualityDefect::Blurred) => Reason::SpoofSuspected,
        Reason::SpoofSuspected => Reason::FaceMismatch,
        Reason::FaceMismatch => Reason::LockedOut,
        Reason::LockedOut => Reason::ReaderFault,
        Reason::ReaderFault => Reason::CameraFault,
        Reason::CameraFault => Reason::VisionFault,
        Reason::VisionFault => Reason::ClockUntrusted,
        Reason::ClockUntrusted => Reason::StorageFault,
        Reason::StorageFault => return None,
    })
}
