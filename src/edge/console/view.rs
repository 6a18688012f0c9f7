//! What the console shows, and what it asks of the box.
//!
//! Texts are finished; the page knows no words of its own about students. Nothing here is ever logged.

use serde::Serialize;

use crate::domain::{
    Access, EventId, Ground, NotUndoable, Note, ProctorId, StudentId, Unfounded, Verdict, Whereabouts,
};

/// What the box knows and does. Every call may wait for the disk.
pub trait Office: Send + Sync {
    /// Everything on the live list and the roster, as of now.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn board(&self) -> Result<Board, OfficeError>;

    /// Students of the exam whose name or number holds `text`, at most 20.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn search(&self, text: &str) -> Result<Vec<Person>, OfficeError>;

    /// The proctor's name, if `pin` is theirs. Takes some 30 ms of one core.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn check_pin(&self, proctor: &ProctorId, pin: &str) -> Result<Option<String>, OfficeError>;

    /// Records a ruling; returns when it is on disk.
    ///
    /// # Errors
    /// Any; nothing was recorded then, but [`OfficeError::Late`] leaves it open.
    fn rule(&self, by: &ProctorId, call: Call) -> Result<(), OfficeError>;

    /// Records that `ruling` is taken back; returns when it is on disk.
    ///
    /// # Errors
    /// As [`Office::rule`].
    fn undo(&self, by: &ProctorId, ruling: EventId) -> Result<(), OfficeError>;

    /// Records who came to the console; returns when it is on disk.
    ///
    /// # Errors
    /// As [`Office::rule`].
    fn note(&self, access: Access) -> Result<(), OfficeError>;

    /// How the box is.
    fn status(&self) -> Status;
}

/// A ruling as a proctor asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Over whom.
    pub student: StudentId,
    /// What.
    pub verdict: Verdict,
    /// Why.
    pub ground: Ground,
    /// More about why.
    pub note: Option<Note>,
    /// The answer of the box that it overrules.
    pub answer: Option<EventId>,
}

/// Why the box did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// Not on this exam's roster.
    #[error("that student is not on this exam's roster")]
    NoStudent,
    /// Ground and verdict do not go together.
    #[error(transparent)]
    Unfounded(#[from] Unfounded),
    /// Not undoable.
    #[error(transparent)]
    NotUndoable(#[from] NotUndoable),
    /// The disk does not answer. It may still come to it.
    #[error("the box is slow to record this; look at the list before you try again")]
    Late,
    /// The store failed.
    #[error("the box could not record or read this; see its status")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The live list and the roster.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Board {
    /// The exam's title.
    pub exam: String,
    /// The room.
    pub room: String,
    /// Doors open, milliseconds since 1970.
    pub opens: i64,
    /// Doors close, milliseconds since 1970.
    pub closes: i64,
    /// What happened, newest first.
    pub entries: Vec<Entry>,
    /// The students of this room, in order of their names.
    pub people: Vec<Person>,
}

/// How an entry looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Admitted.
    Admitted,
    /// Not admitted by the box.
    Denied,
    /// For the proctor.
    Referred,
    /// Turned away by a proctor.
    Refused,
    /// Taken back.
    Undone,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its event.
    pub id: EventId,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Whom it is about, if they are known.
    pub who: Option<Person>,
    /// How it looks.
    pub look: Look,
    /// What happened, in two or three words.
    pub title: &'static str,
    /// Why, in plain words.
    pub why: String,
    /// What to do next; empty: nothing.
    pub next: &'static str,
    /// Which proctor.
    pub by: Option<String>,
    /// What they wrote.
    pub note: Option<String>,
    /// Until when it can be undone.
    pub undo: Option<Undoable>,
}

/// A student.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The campus's number.
    pub student: String,
    /// Given name.
    pub name: String,
    /// Where they are.
    pub whereabouts: Whereabouts,
    /// Whether they sit in this room.
    pub here: bool,
}

/// A ruling that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Undoable {
    /// Which.
    pub ruling: EventId,
    /// Until when, milliseconds since 1970.
    pub until: i64,
}

/// How the box is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Its parts.
    pub findings: Vec<Finding>,
    /// What was counted: name and number.
    pub counters: Vec<(&'static str, u64)>,
    /// The last faults, newest first.
    pub faults: Vec<Line>,
    /// The end of the log, newest first.
    pub log: Vec<Line>,
    /// Who came to the console, newest first.
    pub access: Vec<Line>,
}

/// One part of the box.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub part: String,
    /// `well`, `impaired` or `unwell`.
    pub state: &'static str,
    /// What was found.
    pub found: String,
}

/// One line with its time.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The text: no personal data.
    pub text: String,
}
