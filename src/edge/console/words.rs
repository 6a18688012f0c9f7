//! The console's words: every reason in plain language, and what to do next. They never accuse anybody.
//!
//! Never knows a student.

use crate::domain::{Ground, QualityDefect, Reason};

/// Why the box answered as it did.
#[must_use]
pub const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::CardUnknown => "This card is on no roster here",
        Reason::CardRevoked => "This card was replaced by a newer one",
        Reason::CardUnreadable => "The card could not be read",
        Reason::CardTooWeak => "This door asks for another kind of card",
        Reason::CardUnstable => "A phone or a card that changes its number",
        Reason::NotOnRoster => "Their exam is another one",
        Reason::WrongRoom => "Their seat is in another room",
        Reason::TooEarly => "Doors were not open yet",
        Reason::TooLate => "Doors were closed already",
        Reason::AlreadyAdmitted => "Somebody came in with this card before",
        Reason::TurnedAway => "A proctor asked them to wait before",
        Reason::NoTemplate => "No picture on the roster to compare with",
        Reason::ModelMismatch => "The roster was made for another version of the box",
        Reason::NoFace => "Nobody looked at the camera",
        Reason::SeveralFaces => "More than one person was in view",
        Reason::PoorQuality(defect) => match defect {
            QualityDefect::TooFar => "Too far from the camera",
            QualityDefect::TooClose => "Too close to the camera",
            QualityDefect::AtBorder => "Not in the middle of the picture",
            QualityDefect::TurnedAway => "The head was turned away",
            QualityDefect::TooDark => "Too dark to see well",
            QualityDefect::TooBright => "Too bright to see well",
            QualityDefect::Blurred => "The picture was blurred",
        },
        Reason::SpoofSuspected => "The camera could not get a clear live picture",
        Reason::FaceMismatch => "The camera could not match the enrolled picture",
        Reason::LockedOut => "Several tries with this card; it is pausing",
        Reason::CameraFault => "The camera had a problem",
        Reason::VisionFault => "The comparison had a problem",
        Reason::ClockUntrusted => "The box was not sure of the time",
        Reason::StorageFault => "The box could not record or read",
    }
}

/// What the proctor does next.
#[must_use]
pub const fn next_step(reason: Reason) -> &'static str {
    match reason {
        Reason::CardUnknown => "Check the ID and look them up in the roster; the card may be new.",
        Reason::CardRevoked => "Check the ID; ask for the new card.",
        Reason::CardUnreadable => "Let them hold the card still and tap again.",
        Reason::CardTooWeak | Reason::NoTemplate | Reason::ModelMismatch | Reason::LockedOut => {
            "Check the ID by eye and decide."
        }
        Reason::CardUnstable => "Ask for the plastic card, or check the ID.",
        Reason::NotOnRoster => "Help them find their exam.",
        Reason::WrongRoom => "Send them to their room, or check whether they were moved here.",
        Reason::TooEarly => "Ask them to tap again when doors open.",
        Reason::TooLate => "Decide whether they may still come in.",
        Reason::AlreadyAdmitted => "Check the ID; see in the list who came in.",
        Reason::TurnedAway => "See in the list why, and decide again.",
        Reason::NoFace => "Let them tap again and look at the camera.",
        Reason::SeveralFaces => "Let them tap again, one at a time.",
        Reason::PoorQuality(_) => "Let them tap again; help with light and distance.",
        Reason::SpoofSuspected | Reason::FaceMismatch => "Check the ID by eye and decide. Pictures and people change.",
        Reason::CameraFault | Reason::VisionFault | Reason::StorageFault => "Check IDs by eye; see the box's status.",
        Reason::ClockUntrusted => "Check IDs by eye until the box has the time.",
    }
}

/// Why a proctor decided so.
#[must_use]
pub const fn ground(ground: Ground) -> &'static str {
    match ground {
        Ground::IdChecked => "I checked the ID: this is the student",
        Ground::CardReplaced => "New or replaced card, ID checked",
        Ground::RoomChanged => "Moved to this room, ID checked",
        Ground::LateAllowed => "May come in late, ID checked",
        Ground::OptedOut => "Does not take part in matching, ID checked",
        Ground::CardMissing => "No card at hand, ID checked",
        Ground::BoxUnwell => "The box could not check, ID checked",
        Ground::IdUnclear => "The ID could not be confirmed yet",
        Ground::NotThisExam => "Another exam or another room",
        Ground::LeftRoom => "Left the room again",
        Ground::Other => "Another reason (please note it)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Verdict;

    #[test]
    fn words_never_accuse() {
        let reasons = [
            Reason::SpoofSuspected,
            Reason::FaceMismatch,
            Reason::AlreadyAdmitted,
            Reason::LockedOut,
            Reason::TurnedAway,
            Reason::CardRevoked,
        ];
        let said = reasons.into_iter().flat_map(|why| [reason(why), next_step(why)]);
        let grounds = [Verdict::Admit, Verdict::AdmitByHand, Verdict::Refuse].into_iter().flat_map(Verdict::grounds);
        for text in said.chain(grounds.map(|&why| ground(why))) {
            let text = text.to_lowercase();
            for word in ["spoof", "fake", "fraud", "impostor", "cheat", "stolen", "suspect", "attack", "wrong person"] {
                assert!(!text.contains(word), "{text:?}");
            }
        }
    }
}
