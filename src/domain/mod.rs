//! The words of Examgate: what a credential, a template, a roster, a decision and an event are.
//!
//! No I/O, no clock, no randomness: identifiers and times arrive from outside.

mod chain;
mod credential;
mod decision;
mod event;
mod observation;
mod pepper;
mod roster;
mod template;
mod time;

pub use chain::{EventHash, chain_hash};
pub use credential::{CardProblem, CardPseudonym, Credential, CredentialProfile};
pub use decision::{Decision, QualityDefect, Reason};
pub use event::{Epoch, Event, EventId, EventKind, History, Liveness, Measured, Seq, Verification};
pub use observation::{Continuity, Cue, FaceSeen, Observation, Pose};
pub use pepper::Pepper;
pub use roster::{
    CardStanding, DeviceId, Exam, ExamId, ExamWindow, NotAnIdentifier, RoomId, Roster, RosterEntry, RosterVersion,
    Student, StudentId,
};
pub use template::{ArtifactId, Embedding, EmbeddingError, EmbeddingSpaceId, Similarity, SpaceMismatch, Template};
pub use time::{ClockTrust, MonoTime, Timestamp};
