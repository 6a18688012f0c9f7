//! What the console shows, and what it asks of the box.
//!
//! What happened and why is named by codes, for which the page has words in the proctor's language (`messages/`). Nothing here is
//! ever logged.

use serde::{Serialize, Serializer};

use crate::domain::{
    Access, AccessStep, EventId, Ground, NotUndoable, Note, ProctorId, Reason, StudentId, Timestamp, Unfounded,
    Verdict, Whereabouts,
};

/// What the box knows and does. Every call may wait for the disk.
pub trait Office: Send + Sync {
    /// Everything on the live list and the roster, as of now.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn board(&self) -> Result<Board, OfficeError>;

    /// Students of the exam one of whose names or whose number holds `text`, at most 20.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn search(&self, text: &str) -> Result<Vec<Person>, OfficeError>;

    /// The proctor as they are, if `pin` is theirs. Takes some 30 ms of one core.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn check_pin(&self, proctor: &ProctorId, pin: &str) -> Result<Option<Proctorship>, OfficeError>;

    /// The mark of the proctor as they are now; `None`: no proctor any more. Asked at every request: it must be quick.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn mark(&self, proctor: &ProctorId) -> Result<Option<Mark>, OfficeError>;

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

    /// Whose codes were spoilt by wrong PINs since they last signed in.
    ///
    /// # Errors
    /// [`OfficeError::Store`].
    fn wrong_pins(&self) -> Result<Vec<WrongPins>, OfficeError>;

    /// How the box is.
    fn status(&self) -> Status;
}

/// A proctor, as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proctorship {
    /// What colleagues call them.
    pub name: String,
    /// Another one as soon as anything about them changes.
    pub mark: Mark,
}

/// Tells whether a proctor is still who signed in: it changes with their name, card or PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub [u8; 32]);

/// Codes of one proctor in a row that a wrong PIN was typed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongPins {
    /// Whose.
    pub proctor: ProctorId,
    /// How many times in a row.
    pub times: u32,
    /// When the last was.
    pub last: Timestamp,
}

/// A ruling as a proctor asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Over whom.
    pub student: StudentId,
    /// What the proctor decided.
    pub verdict: Verdict,
    /// The proctor's ground for it.
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

impl OfficeError {
    /// The key of its words.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoStudent => "no_student",
            Self::Unfounded(Unfounded::Ground) => "ground",
            Self::Unfounded(Unfounded::Note) => "note",
            Self::NotUndoable(NotUndoable::NoRuling) => "no_ruling",
            Self::NotUndoable(NotUndoable::Already) => "undone",
            Self::NotUndoable(NotUndoable::TooLate) => "too_late",
            Self::Late => "late",
            Self::Store(_) => "store",
        }
    }
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
pub enum EntryStyle {
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

/// What an entry of the live list says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The box admitted.
    Admitted,
    /// The box did not.
    NotAdmitted,
    /// The box left it to the proctor.
    ForYou,
    /// A proctor overruled the box.
    AdmittedByProctor,
    /// A proctor admitted on the manual path.
    AdmittedByHand,
    /// A proctor did not admit.
    AskedToWait,
    /// A proctor's ruling was undone.
    TakenBack,
}

/// Why it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Card and face match.
    Match,
    /// The box's reason.
    Reason(Reason),
    /// Another box of the exam let the student in; where and when stands beside it.
    OtherRoom,
    /// The proctor's.
    Ground(Ground),
}

/// As the key of its words: `match`, `reason.no_face`, `reason.poor_quality.too_dark`, `ground.id_checked`.
impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Match => serializer.serialize_str("match"),
            Self::OtherRoom => serializer.serialize_str("reason.other_room"),
            Self::Reason(Reason::PoorQuality(defect)) => {
                serializer.collect_str(&format_args!("reason.poor_quality.{}", word(defect)))
            }
            Self::Reason(reason) => serializer.collect_str(&format_args!("reason.{reason}")),
            Self::Ground(ground) => serializer.collect_str(&format_args!("ground.{}", word(ground))),
        }
    }
}

/// An enumerator as it is written on the wire.
fn word(code: &impl Serialize) -> String {
    let value = serde_json::to_value(code).expect("a code is JSON");
    value.as_str().expect("a code is a word").to_owned()
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
    pub look: EntryStyle,
    /// What happened.
    pub what: What,
    /// The reason given.
    pub why: Why,
    /// The room in which another box let the student in, and when, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_room: Option<(String, i64)>,
    /// The proctor who did it, if one did.
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
    /// The name that the student goes by.
    pub name: String,
    /// The given name in the campus's books, where that is another one: it stands on the ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub official: Option<String>,
    /// The seat, where seats are assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    /// Students whom they look like, by name and number where this box knows the name, or else by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<String>,
    /// Where they are.
    pub whereabouts: Whereabouts,
    /// Whether they sit in this room.
    pub here: bool,
}

/// A ruling that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Undoable {
    /// The ruling's event.
    pub ruling: EventId,
    /// Until when, milliseconds since 1970.
    pub until: i64,
}

/// How the box is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Its parts.
    pub findings: Vec<PartStatus>,
    /// What was counted: the key of its words, and the number.
    pub counters: Vec<(&'static str, u64)>,
    /// The last faults, newest first.
    pub faults: Vec<Line>,
    /// The end of the log, newest first.
    pub log: Vec<Line>,
    /// Who came to the console, newest first.
    pub access: Vec<Visit>,
}

/// Somebody at the console's door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Which proctor, where that is known.
    pub who: Option<String>,
    /// From which address.
    pub from: String,
    /// What the proctor did.
    pub step: AccessStep,
}

/// One part of the box.
#[derive(Clone, Debug, Serialize)]
pub struct PartStatus {
    /// The part of the box.
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
