//! Checks that need no face and run at the tap. The first reason that applies is the answer.
//!
//! Blocks a student who may not sit this exam here and now, and one without a usable template. It does not look at faces.

use super::{Fault, Lookup, Now, Policy, Tap, TemplateStock};
use crate::domain::{CardStanding, Decision, ExamWindow, History, Matching, Reason, RoomId, Whereabouts};

/// The reason to end this session at the tap, if there is one.
pub(super) fn refuse(
    policy: &Policy,
    (room, window): (&RoomId, ExamWindow),
    fault: Option<Fault>,
    now: Now,
    tap: &Tap,
) -> Option<Reason> {
    let credential = match &tap.credential {
        Ok(credential) => credential,
        Err(problem) => return Some(problem.reason()),
    };
    let enrolled = match &tap.lookup {
        Lookup::Unavailable => return Some(Reason::StorageFault),
        // A box whose roster does not hold the student knows the card from the box that let them in.
        Lookup::Unknown | Lookup::Elsewhere if tap.other_room.is_some() => return Some(Reason::AlreadyAdmitted),
        // A proctor is invited before it comes to this.
        Lookup::Unknown | Lookup::Proctor(_) => return Some(Reason::CardUnknown),
        // It may be their exam's time: the clock does not say.
        Lookup::Elsewhere if !now.clock.is_usable() => return Some(Reason::ClockUntrusted),
        Lookup::Elsewhere => return Some(Reason::NotOnRoster),
        // Neither is let in nor signed in on it.
        Lookup::Shared => return Some(Reason::CardShared),
        Lookup::Enrolled(enrolled) => enrolled,
    };
    if credential.profile < policy.weakest_profile {
        return Some(Reason::CardTooWeak);
    }
    match enrolled.entry.standing(&credential.pseudonym) {
        Some(CardStanding::Active) => {}
        Some(CardStanding::Revoked) => return Some(Reason::CardRevoked),
        // It was found by another card than this one.
        None => return Some(Reason::CardUnknown),
    }
    // A copied identifier is all that a blank card can offer: the card that proved itself is asked for.
    if tap.history.proven.is_some_and(|proven| credential.profile < proven) {
        return Some(Reason::CardDowngraded);
    }
    if enrolled.entry.room != *room {
        return Some(Reason::WrongRoom);
    }
    if !now.clock.is_usable() {
        return Some(Reason::ClockUntrusted);
    }
    if now.wall < window.opens {
        return Some(Reason::TooEarly);
    }
    if now.wall >= window.closes {
        return Some(Reason::TooLate);
    }
    match enrolled.whereabouts {
        Whereabouts::Outside => {}
        Whereabouts::Inside => return Some(Reason::AlreadyAdmitted),
        Whereabouts::TurnedAway => return Some(Reason::TurnedAway),
    }
    // After what this box knows by itself: another box's word never denies, and it never spares a denial of this one's roster.
    if tap.other_room.is_some() {
        return Some(Reason::AlreadyAdmitted);
    }
    // Before pauses and faults of the box: nothing is compared, so neither concerns them.
    if enrolled.entry.matching == Matching::None {
        return Some(Reason::OptedOut);
    }
    if is_locked_out(policy, &tap.history, now) {
        return Some(Reason::LockedOut);
    }
    match enrolled.templates {
        TemplateStock::None => Some(Reason::NoTemplate),
        TemplateStock::OtherSpace => Some(Reason::ModelMismatch),
        TemplateStock::Usable => fault.map(Fault::reason),
    }
}

/// Whether the card's pause still runs. A last failure that lies in the future (the clock was set back) counts as now.
fn is_locked_out(policy: &Policy, history: &History, now: Now) -> bool {
    let Some(last) = history.last_failed_at else { return false };
    match policy.pause_after(history.failed_in_a_row) {
        None => true,
        Some(pause) => {
            let elapsed = now.wall.duration_since(last);
            elapsed.unsigned_abs() < pause || elapsed.is_negative() && !pause.is_zero()
        }
    }
}

/// Whether a reason denies or refers. What the box is sure of denies; everything else is for the proctor.
pub(super) const fn answer_to(reason: Reason) -> Decision {
    match reason {
        Reason::CardUnknown
        | Reason::CardRevoked
        | Reason::WalletPass
        | Reason::NotOnRoster
        | Reason::WrongRoom
        | Reason::TooEarly
        | Reason::TooLate
        | Reason::FaceMismatch => Decision::Deny(reason),
        Reason::CardUnreadable
        | Reason::CardTooWeak
        | Reason::CardShared
        | Reason::CardDowngraded
        // It may be the student's own plastic card.
        | Reason::CardUnstable
        // A worn chip, a renewed card, a slow one: none of it says whose card it is.
        | Reason::CardUnproved
        | Reason::CardExpired
        | Reason::CardSlow
        | Reason::CardKeysMissing
        | Reason::AlreadyAdmitted
        | Reason::TurnedAway
        | Reason::NoTemplate
        | Reason::OptedOut
        | Reason::LookAlike
        | Reason::ModelMismatch
        | Reason::NoFace
        | Reason::SeveralFaces
        | Reason::PoorQuality(_)
        | Reason::SpoofSuspected
        | Reason::LockedOut
        | Reason::ReaderFault
        | Reason::CameraFault
        | Reason::VisionFault
        | Reason::ClockUntrusted
        | Reason::StorageFault => Decision::Refer(reason),
    }
}
