//! What is recorded: append-only, never altered. Who is inside is a projection of all events.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Access, ArtifactId, CardPseudonym, ClockTrust, Commanded, CredentialProfile, Cue, Decision, ExamId, OtherRoom,
    RoomId, RosterVersion, Ruling, Shortfall, Similarity, StudentId, Timestamp, Undo,
};

/// UUIDv7: unique across restarts and lost state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One epoch of a box's events: a new one begins when its state was lost or set back, or when its id changed; on the wire
/// numbers start again at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Uuid);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of an event, given by the store: 1, 2, 3 … without a gap. On the wire it counts within the epoch; in the store
/// it counts all events of the box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The greatest place that a database can hold: SQLite's integers are signed. A box that records one event per
    /// millisecond reaches it in 292 million years, so a greater number is never honest.
    pub const MAX: Self = Self(i64::MAX as u64);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The liveness verdict behind a decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "assessed")]
pub enum Liveness {
    /// Probability of a live face, fused over the frames used, 0..=1.
    Scored {
        /// After the last frame.
        score: f32,
        /// What it had to reach.
        threshold: f32,
        /// What decided; events of older boxes do not say.
        #[serde(default)]
        cue: Cue,
    },
    /// No frame reached the net, or it was scripted by a simulation.
    NotAssessed,
}

/// What was measured on the way to a decision. No pixels, no embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Similarity of the fused probe to the student's templates.
    pub similarity: Option<Similarity>,
    /// What the similarity had to reach.
    pub threshold: Similarity,
    /// The liveness verdict.
    pub liveness: Liveness,
    /// What computed the probe.
    pub artifact: Option<ArtifactId>,
    /// Frames with exactly one usable face.
    pub frames_used: u32,
    /// Capture windows opened in this tap.
    pub attempts: u32,
    /// The worst that a face in this tap fell short by, whatever the decision; older events do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Shortfall>,
    /// Tap to decision.
    pub since_tap: Duration,
    /// First usable frame to decision, if there was one.
    pub since_first_usable_frame: Option<Duration>,
}

/// One verification at the door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The exam the door was serving.
    pub exam: ExamId,
    /// The edition of its roster.
    pub roster: RosterVersion,
    /// Which card, if it could be read.
    pub card: Option<CardPseudonym>,
    /// How it was read.
    pub profile: Option<CredentialProfile>,
    /// Which student, if the card is on a roster.
    pub student: Option<StudentId>,
    /// The answer.
    pub decision: Decision,
    /// What it rests on.
    pub measured: Measured,
    /// How long the card took for its answers to the box's challenge, or, where its profile has none, for all its answers; on the wire
    /// whole milliseconds. `None`: no profile named it, or an older box recorded the tap.
    #[serde(default, rename = "card_ms", with = "millis", skip_serializing_if = "Option::is_none")]
    pub card_took: Option<Duration>,
    /// Where another box of the exam let the student in; only with [`Reason::AlreadyAdmitted`](super::Reason::AlreadyAdmitted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_room: Option<OtherRoom>,
}

impl Verification {
    /// Whether this was a failed attempt to match, which counts towards the lock-out of the card: by its reason, or because a face fell
    /// short before the tap ended in another way, as when the lens was covered.
    #[must_use]
    pub fn is_failed_match(&self) -> bool {
        self.decision.reason().is_some_and(|reason| reason.is_failed_match() || self.measured.worst.is_some())
    }
}

/// Failed matches of one card in a row, over all exams of this box: a projection of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Since the card was last admitted.
    pub failed_in_a_row: u32,
    /// When the last of them was, by the wall clock.
    pub last_failed_at: Option<Timestamp>,
    /// The strongest way in which a card of the student that is still good was read here, where they have several.
    #[serde(default)]
    pub proven: Option<CredentialProfile>,
}

/// What was recorded: one variant per kind of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EventKind {
    /// A student was verified.
    Verification(Verification),
    /// A proctor decided.
    Ruling(Ruling),
    /// A ruling was taken back.
    Undo(Undo),
    /// Somebody came to the console, or went.
    Access(Access),
    /// The fleet commanded the box.
    Commanded(Commanded),
}

/// A duration as whole milliseconds, as far as 32 bits go: 49 days.
mod millis {
    use super::{Deserialize, Duration};

    pub(super) fn serialize<S: serde::Serializer>(took: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        let millis = took.map(|took| u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
        serde::Serialize::serialize(&millis, to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u32>::deserialize(from)?.map(|millis| Duration::from_millis(millis.into())))
    }
}

/// One recorded event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its unique id.
    pub id: EventId,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// How far that clock could be believed.
    pub clock: ClockTrust,
    /// The door's room.
    pub room: RoomId,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

#[cfg(test)]
mod tests {
    use super::super::{Reason, sample};
    use super::*;

    #[test]
    fn the_time_of_a_card_is_told_in_milliseconds_and_may_be_missing() {
        let mut event = sample::verified(1, "A", Some(1), Decision::Refer(Reason::CardSlow));
        let without = serde_json::to_value(&event).unwrap();
        assert!(without.get("card_ms").is_none(), "{without}");
        assert_eq!(serde_json::from_value::<Event>(without).unwrap(), event);
        for (took, told) in [(Duration::from_micros(412_900), 412_u32), (Duration::MAX, u32::MAX)] {
            let EventKind::Verification(verification) = &mut event.kind else { panic!("{event:?}") };
            verification.card_took = Some(took);
            let value = serde_json::to_value(&event).unwrap();
            assert_eq!(value["card_ms"], told);
            let EventKind::Verification(read) = serde_json::from_value::<Event>(value).unwrap().kind else { panic!() };
            assert_eq!(read.card_took, Some(Duration::from_millis(told.into())));
        }
    }
}
