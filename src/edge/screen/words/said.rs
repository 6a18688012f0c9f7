//! One text for each hint and each reason.

use serde::Deserialize;

use crate::domain::{Hint, Reason};

/// What a student could change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hints {
    look_at_camera: String,
    one_at_a_time: String,
    come_closer: String,
    move_back: String,
    move_to_centre: String,
    face_forward: String,
    more_light: String,
    less_light: String,
    hold_still: String,
    turn_left: String,
    turn_right: String,
}

impl Hints {
    pub(super) const fn of(&self, hint: Hint) -> &String {
        match hint {
            Hint::LookAtCamera => &self.look_at_camera,
            Hint::OneAtATime => &self.one_at_a_time,
            Hint::ComeCloser => &self.come_closer,
            Hint::MoveBack => &self.move_back,
            Hint::MoveToCentre => &self.move_to_centre,
            Hint::FaceForward => &self.face_forward,
            Hint::MoreLight => &self.more_light,
            Hint::LessLight => &self.less_light,
            Hint::HoldStill => &self.hold_still,
            Hint::TurnLeft => &self.turn_left,
            Hint::TurnRight => &self.turn_right,
        }
    }
}

/// What is said about one reason; without a title of its own it is that of the proctor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    pub(super) title: Option<String>,
    pub(super) detail: String,
}

/// Why the box answered as it did, in the student's words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reasons {
    card_unknown: Said,
    card_revoked: Said,
    card_unreadable: Said,
    card_too_weak: Said,
    card_shared: Said,
    card_downgraded: Said,
    card_unstable: Said,
    wallet_pass: Said,
    card_unproved: Said,
    card_expired: Said,
    card_slow: Said,
    card_keys_missing: Said,
    not_on_roster: Said,
    wrong_room: Said,
    too_early: Said,
    too_late: Said,
    already_admitted: Said,
    turned_away: Said,
    no_template: Said,
    opted_out: Said,
    look_alike: Said,
    model_mismatch: Said,
    no_face: Said,
    several_faces: Said,
    poor_quality: Said,
    spoof_suspected: Said,
    face_mismatch: Said,
    locked_out: Said,
    reader_fault: Said,
    camera_fault: Said,
    vision_fault: Said,
    clock_untrusted: Said,
    storage_fault: Said,
}

impl Reasons {
    pub(super) const fn of(&self, reason: Reason) -> &Said {
        match reason {
            Reason::CardUnknown => &self.card_unknown,
            Reason::CardRevoked => &self.card_revoked,
            Reason::CardUnreadable => &self.card_unreadable,
            Reason::CardTooWeak => &self.card_too_weak,
            Reason::CardShared => &self.card_shared,
            Reason::CardDowngraded => &self.card_downgraded,
            Reason::CardUnstable => &self.card_unstable,
            Reason::WalletPass => &self.wallet_pass,
            Reason::CardUnproved => &self.card_unproved,
            Reason::CardExpired => &self.card_expired,
            Reason::CardSlow => &self.card_slow,
            Reason::CardKeysMissing => &self.card_keys_missing,
            Reason::NotOnRoster => &self.not_on_roster,
            Reason::WrongRoom => &self.wrong_room,
            Reason::TooEarly => &self.too_early,
            Reason::TooLate => &self.too_late,
            Reason::AlreadyAdmitted => &self.already_admitted,
            Reason::TurnedAway => &self.turned_away,
            Reason::NoTemplate => &self.no_template,
            Reason::OptedOut => &self.opted_out,
            Reason::LookAlike => &self.look_alike,
            Reason::ModelMismatch => &self.model_mismatch,
            Reason::NoFace => &self.no_face,
            Reason::SeveralFaces => &self.several_faces,
            Reason::PoorQuality(_) => &self.poor_quality,
            Reason::SpoofSuspected => &self.spoof_suspected,
            Reason::FaceMismatch => &self.face_mismatch,
            Reason::LockedOut => &self.locked_out,
            Reason::ReaderFault => &self.reader_fault,
            Reason::CameraFault => &self.camera_fault,
            Reason::VisionFault => &self.vision_fault,
            Reason::ClockUntrusted => &self.clock_untrusted,
            Reason::StorageFault => &self.storage_fault,
        }
    }
}
