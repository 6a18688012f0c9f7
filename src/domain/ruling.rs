//! What proctors do: rulings over the box's answers, their undoing, and coming and going at the console.
//!
//! Who is inside by them is told in `attendance.rs`.

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{CardPseudonym, EventId, ExamId, ProctorId, StudentId, Timestamp};

/// How long a ruling can be undone: long enough to notice a slip, too short to rewrite the morning. Afterwards another ruling
/// says it anew.
pub const UNDO_WITHIN: Duration = Duration::from_secs(60);

/// Longest note, characters.
pub const LONGEST_NOTE: usize = 200;

/// What a proctor decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Come in, whatever the box answered.
    Admit,
    /// Come in by the manual path: the ID was checked by eye, nothing was matched.
    AdmitByHand,
    /// Not now, whatever the box answered.
    Refuse,
}

impl Verdict {
    /// Whether the student is inside by it.
    #[must_use]
    pub const fn admits(self) -> bool {
        matches!(self, Self::Admit | Self::AdmitByHand)
    }

    /// The grounds that can be given for it, in the order they are offered.
    #[must_use]
    pub const fn grounds(self) -> &'static [Ground] {
        use Ground::{
            BoxUnwell, CardMissing, CardReplaced, IdChecked, IdUnclear, LateAllowed, LeftRoom, NotThisExam, OptedOut,
            Other, RoomChanged,
        };
        match self {
            Self::Admit => &[IdChecked, CardReplaced, RoomChanged, LateAllowed, OptedOut, Other],
            Self::AdmitByHand => &[OptedOut, CardMissing, BoxUnwell, LateAllowed, Other],
            Self::Refuse => &[IdUnclear, NotThisExam, LeftRoom, Other],
        }
    }
}

/// Why a proctor decided so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The ID was checked: this is the student.
    IdChecked,
    /// The card is new, or another one than the roster's.
    CardReplaced,
    /// The student was given a seat in this room.
    RoomChanged,
    /// Coming at this time was allowed.
    LateAllowed,
    /// The student does not take part in matching.
    OptedOut,
    /// The card was forgotten or lost.
    CardMissing,
    /// The box could not verify anybody.
    BoxUnwell,
    /// The ID could not be confirmed yet.
    IdUnclear,
    /// The student sits another exam or another room.
    NotThisExam,
    /// The student left again.
    LeftRoom,
    /// As the note says.
    Other,
}

/// What a proctor wrote: 1 to [`LONGEST_NOTE`] characters, none of them a control character. May hold personal data: redacted
/// in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Note(String);

/// Why a text is not a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a note has 1 to {LONGEST_NOTE} characters on one line")]
pub struct NotANote;

impl Note {
    /// Trims and checks.
    ///
    /// # Errors
    /// When the text is empty, too long, or holds a control character.
    pub fn new(text: &str) -> Result<Self, NotANote> {
        let text = text.trim();
        let fits = (1..=LONGEST_NOTE).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(NotANote) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Note {
    type Error = NotANote;

    fn try_from(text: String) -> Result<Self, NotANote> {
        Self::new(&text)
    }
}

impl From<Note> for String {
    fn from(note: Note) -> Self {
        note.0
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Note(redacted)")
    }
}

/// A proctor's ruling over one student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ruling {
    /// For which exam.
    pub exam: ExamId,
    /// Over whom.
    pub student: StudentId,
    /// The student's card, the first of several. An admission ends the pauses of all.
    pub card: CardPseudonym,
    /// By whom.
    pub proctor: ProctorId,
    /// What the proctor decided.
    pub verdict: Verdict,
    /// The proctor's ground for it.
    pub ground: Ground,
    /// More about why; always there with [`Ground::Other`].
    pub note: Option<Note>,
    /// The answer of the box that it overrules, if it had one.
    pub answer: Option<EventId>,
}

/// Why a ruling makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfounded {
    /// That ground is for another verdict.
    #[error("that reason does not go with that decision")]
    Ground,
    /// Another reason has to be written down.
    #[error("another reason needs a note that says which")]
    Note,
}

impl Ruling {
    /// Whether ground and note go with the verdict.
    ///
    /// # Errors
    /// Which does not.
    pub fn check(&self) -> Result<(), Unfounded> {
        if !self.verdict.grounds().contains(&self.ground) {
            return Err(Unfounded::Ground);
        }
        if self.ground == Ground::Other && self.note.is_none() {
            return Err(Unfounded::Note);
        }
        Ok(())
    }
}

/// A ruling taken back: it counts as never made. Both stay recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// For which exam.
    pub exam: ExamId,
    /// By whom.
    pub proctor: ProctorId,
    /// The ruling's event.
    pub ruling: EventId,
}

/// Why an event cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUndoable {
    /// There is no such ruling.
    #[error("only a proctor's ruling can be undone, and there is none of that name")]
    NoRuling,
    /// It was undone before.
    #[error("it has been undone already")]
    Already,
    /// The time for that is over, or the clock was set back.
    #[error("more than a minute has passed: make another ruling instead")]
    TooLate,
}

impl Undo {
    /// Whether a ruling made at `ruled` may be undone at `now`.
    ///
    /// # Errors
    /// Says why the ruling can no longer be undone.
    pub fn check(ruled: Timestamp, now: Timestamp, undone: bool) -> Result<(), NotUndoable> {
        let passed = now.duration_since(ruled);
        if undone {
            Err(NotUndoable::Already)
        } else if passed.is_negative() || passed.unsigned_abs() > UNDO_WITHIN {
            Err(NotUndoable::TooLate)
        } else {
            Ok(())
        }
    }
}

/// Somebody at the console's door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Who, where that is known.
    pub proctor: Option<ProctorId>,
    /// From which address.
    pub from: IpAddr,
    /// What the proctor did.
    pub step: AccessStep,
}

/// What somebody did at the console's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessStep {
    /// Signed in, with card, code and PIN.
    SignedIn,
    /// Signed out.
    SignedOut,
    /// Was refused.
    Refused {
        /// How often since the last such event: refusals that come in a flood are counted, not recorded one by one.
        times: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_short_and_on_one_line() {
        for bad in ["", "  ", "two\nlines", "\u{7}", &"x".repeat(LONGEST_NOTE + 1)] {
            assert_eq!(Note::new(bad), Err(NotANote), "{bad:?}");
        }
        assert_eq!(Note::new(" passport seen ").expect("fine").as_str(), "passport seen");
        assert!(Note::new(&"é".repeat(LONGEST_NOTE)).is_ok(), "characters are counted, not bytes");
        assert!(serde_json::from_str::<Note>("\"a\\u0000b\"").is_err());
        assert_eq!(format!("{:?}", Note::new("passport").expect("fine")), "Note(redacted)");
    }

    #[test]
    fn undone_once_and_within_a_minute() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("in range");
        for (now, undone, expected) in [
            (0, false, Ok(())),
            (60, false, Ok(())),
            (61, false, Err(NotUndoable::TooLate)),
            (-1, false, Err(NotUndoable::TooLate)),
            (5, true, Err(NotUndoable::Already)),
        ] {
            assert_eq!(Undo::check(at(0), at(now), undone), expected, "after {now} s");
        }
    }

    #[test]
    fn every_ground_serves_a_verdict_and_other_needs_a_note() {
        let ruling = |verdict, ground, note: Option<&str>| Ruling {
            exam: ExamId::new("A").expect("valid"),
            student: StudentId::new("N1").expect("valid"),
            card: CardPseudonym::from_bytes([1; 32]),
            proctor: ProctorId::new("okafor").expect("valid"),
            verdict,
            ground,
            note: note.map(|note| Note::new(note).expect("a note")),
            answer: None,
        };
        for (verdict, ground, note, expected) in [
            (Verdict::Admit, Ground::IdChecked, None, Ok(())),
            (Verdict::Admit, Ground::LeftRoom, None, Err(Unfounded::Ground)),
            (Verdict::Refuse, Ground::IdChecked, None, Err(Unfounded::Ground)),
            (Verdict::Refuse, Ground::Other, None, Err(Unfounded::Note)),
            (Verdict::AdmitByHand, Ground::Other, Some("arm in a cast"), Ok(())),
        ] {
            assert_eq!(ruling(verdict, ground, note).check(), expected, "{verdict:?} {ground:?}");
        }
    }
}
