//! The domain types: credential, template, roster, decision, event.
//!
//! No I/O, no clock, no randomness: identifiers and times arrive from outside.

mod answer;
mod attendance;
mod chain;
mod command;
mod credential;
mod decision;
mod event;
mod language;
mod observation;
mod packing;
mod peers;
mod pepper;
mod proctor;
mod roster;
mod ruling;
#[cfg(any(test, feature = "sim"))]
pub mod sample;
mod serving;
mod sources;
mod template;
mod time;

pub use answer::{Answer, Hint, Shown};
pub use attendance::{Passage, Whereabouts};
pub use chain::{EventHash, chain_hash};
pub use command::{Command, CommandId, CommandOutcome, CommandRefusal, Commanded, LONGEST_WORD, NotACommand, Right};
pub use credential::{CardProblem, CardPseudonym, Credential, CredentialProfile};
pub use decision::{Decision, QualityDefect, Reason, Shortfall};
pub use event::{Epoch, Event, EventId, EventKind, History, Liveness, Measured, Seq, Verification};
pub use language::{Language, NotALanguage};
pub use observation::{Continuity, Cue, FaceSeen, Observation, Pose};
pub use packing::TemplateForm;
pub use peers::{AdmissionPseudonym, MAX_PEERS, OtherRoom, Peer, PeerKey, Peers};
pub use pepper::{Pepper, PepperCheck};
pub use proctor::{Invitation, Proctor, SignInCode};
pub use roster::{
    Card, CardStanding, DeviceId, Exam, ExamId, ExamWindow, LONGEST_SEAT, MAX_CARDS, MAX_LOOK_ALIKES, Matching,
    NotASeat, NotAnIdentifier, ProctorId, RoomId, Roster, RosterEntry, RosterVersion, Seat, SiteId, Student, StudentId,
};
pub use ruling::{
    Access, AccessStep, Ground, LONGEST_NOTE, NotANote, NotUndoable, Note, Ruling, UNDO_WITHIN, Undo, Unfounded,
    Verdict,
};
pub use serving::{Doors, Serving};
pub use sources::WithSources;
pub use template::{ArtifactId, Embedding, EmbeddingError, EmbeddingSpaceId, Similarity, SpaceMismatch, Template};
pub use time::{ClockTrust, MonoTime, Timestamp};
