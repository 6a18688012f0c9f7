//! What goes into a session and what comes out of it. All of it serialises, so that a session can be traced and replayed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Answer, CardProblem, ClockTrust, Credential, DeviceId, Event, EventId, Exam, Hint, History, Invitation, MonoTime,
    Observation, OtherRoom, Reason, RoomId, RosterEntry, StudentId, Timestamp, Whereabouts,
};

/// The moment of an input, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Orders the session.
    pub mono: MonoTime,
    /// Judges exam windows and pauses.
    pub wall: Timestamp,
    /// How far `wall` may be believed.
    pub clock: ClockTrust,
}

/// What the session guards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Door {
    /// The door's room.
    pub room: RoomId,
    /// The exam; `None`: none is held, so nobody is verified.
    pub exam: Option<Exam>,
}

/// What happened, in the past tense.
#[expect(clippy::large_enum_variant, reason = "one is handed in at a time and none is kept")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A card was tapped and looked up.
    CardTapped(Tap),
    /// The card left the reader.
    CardRemoved,
    /// A frame captured since `StartCapture` was looked at.
    FaceObserved(Observation),
    /// The event is on disk.
    Recorded {
        /// The tap's event.
        event: EventId,
    },
    /// The event could not be put on disk.
    RecordFailed {
        /// The tap's event.
        event: EventId,
    },
    /// Something the verification needs broke.
    EdgeFault(Fault),
    /// It works again.
    EdgeRecovered(Fault),
    /// The door serves this exam, or this edition of its roster, from now on; `None`: no exam.
    RosterChanged(Option<Exam>),
    /// The fleet took the door out of service: the verification at hand goes on, and no other begins.
    Drained,
    /// The door is in service again.
    Resumed,
    /// Somebody wants to see which box this is, as soon as nobody is verified.
    IdentityAsked {
        /// The box's name.
        device: DeviceId,
        /// For how long from now it is to be seen.
        lasts: Duration,
    },
    /// A time asked for by `WakeAt` has come.
    TimerFired(WakeReason),
}

/// A tap with all that the store knows about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tap {
    /// The identifier of the event this tap will become.
    pub event: EventId,
    /// What the card proved.
    pub credential: Result<Credential, CardProblem>,
    /// How long it took for its answers, where that was measured.
    #[serde(default)]
    pub took: Option<Duration>,
    /// What the rosters say.
    pub lookup: Lookup,
    /// Failed matches of this card.
    pub history: History,
    /// Where another box of the exam says that it let this student, or this card, in.
    #[serde(default)]
    pub other_room: Option<OtherRoom>,
}

/// What the rosters on this box say about a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// No roster holds it (or it could not be read).
    Unknown,
    /// Not on this exam's roster, but on another one held here.
    Elsewhere,
    /// On this exam's roster.
    Enrolled(Enrolled),
    /// A student's of this exam, and a proctor's: whose it is cannot be told.
    Shared,
    /// A proctor's card: they may sign in at the console with the code made for this tap.
    Proctor(Invitation),
    /// The store could not be read.
    Unavailable,
}

/// A student on this exam's roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Their place on the roster.
    pub entry: RosterEntry,
    /// What there is to compare with.
    pub templates: TemplateStock,
    /// Where the events say they are.
    pub whereabouts: Whereabouts,
}

/// What there is to compare a face with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateStock {
    /// Nothing.
    None,
    /// Templates, but only of other embedding spaces.
    OtherSpace,
    /// Templates of the space in use.
    Usable,
}

/// The part that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No card can be read.
    Reader,
    /// No usable pictures.
    Camera,
    /// Inference fails.
    Vision,
    /// The store cannot be read.
    Store,
}

impl Fault {
    /// The reason a student is referred for.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Reader => Reason::ReaderFault,
            Self::Camera => Reason::CameraFault,
            Self::Vision => Reason::VisionFault,
            Self::Store => Reason::StorageFault,
        }
    }
}

/// Why the session asked to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeReason {
    /// The time of one capture window is over.
    AttemptOver {
        /// Of which tap.
        event: EventId,
        /// Of which window, from 1.
        attempt: u32,
    },
    /// The store has not answered in time.
    RecordOverdue {
        /// For which event.
        event: EventId,
    },
    /// The answer was there long enough to be read.
    ShownLongEnough {
        /// The answer to which tap.
        event: EventId,
    },
    /// The box's name was there long enough.
    IdentifiedLongEnough,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Look at frames captured at or after `since` and compare with this student's templates, with a fresh probe.
    StartCapture {
        /// Whose templates.
        student: StudentId,
        /// Older frames are not to be used.
        since: MonoTime,
    },
    /// Stop looking; forget the probe.
    StopCapture,
    /// Tell the student what to change; `None`: nothing any more.
    Guide(Option<Hint>),
    /// Put this on disk; answer with `Recorded` or `RecordFailed`.
    Record(Box<Event>),
    /// Let the light and the screen say this.
    Show(Answer),
    /// Tell the operator that the box is unwell.
    Alarm(Reason),
    /// Answer with `TimerFired` at that time.
    WakeAt(MonoTime, WakeReason),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a session only judges: whoever steps it has to act"]
pub struct Outputs(Vec<Output>);

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        self.0.push(output);
    }

    /// The outputs, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &Output> {
        self.0.iter()
    }
}

impl IntoIterator for Outputs {
    type Item = Output;
    type IntoIter = std::vec::IntoIter<Output>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
