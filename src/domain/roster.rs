//! Who may sit which exam, in which room, and when.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CardPseudonym, Language, Template, Timestamp};

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an identifier: 1 to 64 letters, digits, '-', '_' or '.' are allowed, starting with a letter or digit"
)]
pub struct NotAnIdentifier {
    /// The text.
    pub text: String,
}

/// Names a thing in file names and MQTT topics, hence the narrow alphabet.
fn check(text: &str) -> Result<(), NotAnIdentifier> {
    let ok = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.as_bytes()[0].is_ascii_alphanumeric();
    if ok { Ok(()) } else { Err(NotAnIdentifier { text: text.into() }) }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $debug:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the alphabet and length.
            ///
            /// # Errors
            /// When `text` is empty, longer than 64 bytes or holds anything but letters, digits, `-`, `_`, `.`.
            pub fn new(text: impl Into<String>) -> Result<Self, NotAnIdentifier> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnIdentifier;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if $debug { write!(f, concat!(stringify!($name), "({})"), self.0) } else { f.write_str(concat!(stringify!($name), "(redacted)")) }
            }
        }
    };
}

identifier!(
    /// One sitting of one exam, for instance `MATH-UA-120-2026-12-14`.
    ExamId,
    true
);
identifier!(
    /// One exam room.
    RoomId,
    true
);
identifier!(
    /// A campus or building that rooms are grouped by, for instance in a dashboard.
    SiteId,
    true
);
identifier!(
    /// One box. Also the common name of its certificate, its user name at the broker and its segment of every topic.
    DeviceId,
    true
);
identifier!(
    /// A student in the campus's own numbering. Personal data: redacted in `Debug`, no `Display`.
    StudentId,
    false
);

identifier!(
    /// A proctor in the campus's own naming, for instance a net id. Personal data: redacted in `Debug`, no `Display`.
    ProctorId,
    false
);

impl fmt::Display for ExamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Rises with every change of a roster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RosterVersion(pub u64);

/// When students are admitted: from `opens` (inclusive) to `closes` (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExamWindow {
    /// Doors open.
    pub opens: Timestamp,
    /// Nobody is admitted from here on.
    pub closes: Timestamp,
}

/// One sitting of one exam.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exam {
    /// Its name.
    pub id: ExamId,
    /// What the screen calls it, for instance "Linear Algebra, final".
    pub title: String,
    /// When students are admitted.
    pub window: ExamWindow,
    /// Which edition of the roster this is.
    pub version: RosterVersion,
}

/// Most cards of one student: the one in use, those it replaced, and the number printed on it.
pub const MAX_CARDS: usize = 8;

/// Most look-alikes of one student: the nearest are kept.
pub const MAX_LOOK_ALIKES: usize = 8;

/// Longest name of a seat, characters.
pub const LONGEST_SEAT: usize = 24;

/// A student, as far as the door needs to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Student {
    /// The campus's number.
    pub id: StudentId,
    /// The given name in the campus's books. Personal data: redacted in `Debug`.
    pub given_name: String,
    /// The name that the student goes by, where it is another one. Personal data: redacted in `Debug`.
    #[serde(default)]
    pub preferred_name: Option<String>,
    /// What the screen speaks to them, if it can.
    #[serde(default)]
    pub language: Option<Language>,
}

impl Student {
    /// A student of whom no more is known than number and name.
    #[must_use]
    pub fn new(id: StudentId, given_name: impl Into<String>) -> Self {
        Self { id, given_name: given_name.into(), preferred_name: None, language: None }
    }

    /// The name to greet with: the preferred one, or else the given one.
    #[must_use]
    pub fn called(&self) -> &str {
        self.preferred_name.as_deref().unwrap_or(&self.given_name)
    }
}

impl fmt::Debug for Student {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Student(redacted)")
    }
}

/// Whether the card is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardStanding {
    /// Good.
    Active,
    /// Reported lost or replaced.
    Revoked,
}

/// One card of a student.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Which card it is.
    pub pseudonym: CardPseudonym,
    /// Whether it is still good.
    pub standing: CardStanding,
}

impl Card {
    /// A good card.
    #[must_use]
    pub const fn active(pseudonym: CardPseudonym) -> Self {
        Self { pseudonym, standing: CardStanding::Active }
    }
}

/// A seat in an exam room as it is written on it, such as `42` or `Row C, 7`: 1 to [`LONGEST_SEAT`] characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seat(String);

/// Why a text is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seat has 1 to {LONGEST_SEAT} characters on one line, none of them a space at either end")]
pub struct NotASeat;

impl Seat {
    /// Checks the text.
    ///
    /// # Errors
    /// When it is empty, too long, starts or ends with a space, or holds a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, NotASeat> {
        let text = text.into();
        let fits = (1..=LONGEST_SEAT).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(NotASeat) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Seat {
    type Error = NotASeat;
    fn try_from(text: String) -> Result<Self, NotASeat> {
        Self::new(text)
    }
}

impl From<Seat> for String {
    fn from(seat: Seat) -> Self {
        seat.0
    }
}

/// How a student is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The face at the door is compared with the enrolled one.
    #[default]
    Face,
    /// By the proctor: the student opted out, so that there is no template and nothing is compared.
    None,
}

/// One student's place on one exam's roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The student.
    pub student: Student,
    /// Their card, or the first of several.
    pub card: Card,
    /// Their further cards, at most [`MAX_CARDS`] with the first. Each opens the same place.
    #[serde(default)]
    pub other_cards: Vec<Card>,
    /// Where they sit.
    pub room: RoomId,
    /// Their seat in that room, where seats are assigned.
    #[serde(default)]
    pub seat: Option<Seat>,
    /// How they are verified.
    #[serde(default)]
    pub matching: Matching,
    /// Students of the exam whose enrolled faces are so near to this one's that a match does not tell them apart, such as twins; the
    /// nearest first, at most [`MAX_LOOK_ALIKES`].
    #[serde(default)]
    pub look_alikes: Vec<StudentId>,
}

impl RosterEntry {
    /// A student with one good card, who is verified by face and sits anywhere in `room`.
    #[must_use]
    pub const fn new(student: Student, card: CardPseudonym, room: RoomId) -> Self {
        Self {
            student,
            card: Card::active(card),
            other_cards: Vec::new(),
            room,
            seat: None,
            matching: Matching::Face,
            look_alikes: Vec::new(),
        }
    }

    /// All cards, the first one first.
    pub fn cards(&self) -> impl Iterator<Item = &Card> {
        std::iter::once(&self.card).chain(&self.other_cards)
    }

    /// All cards, to change them.
    pub fn cards_mut(&mut self) -> impl Iterator<Item = &mut Card> {
        std::iter::once(&mut self.card).chain(&mut self.other_cards)
    }

    /// Whether one of the student's cards is good; `None`: it is not one of theirs.
    #[must_use]
    pub fn standing(&self, card: &CardPseudonym) -> Option<CardStanding> {
        self.cards().find(|held| held.pseudonym == *card).map(|held| held.standing)
    }
}

/// A whole roster, as imported or received: entries with their templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    /// The exam.
    pub exam: Exam,
    /// Who, and what they look like. A student may have several templates, or none.
    pub entries: Vec<(RosterEntry, Vec<Template>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_narrow() {
        for bad in ["", "-a", "a/b", "a b", "a#", "..", "ä", &"a".repeat(65)] {
            assert!(ExamId::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "MATH-UA-120.2026", "7_x"] {
            assert!(ExamId::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_student_is_never_shown() {
        let named = Student::new(StudentId::new("N1234").expect("valid"), "Augusta");
        let student = Student { preferred_name: Some("Ada".into()), ..named };
        let shown = format!("{student:?} {:?}", student.id);
        assert!(["N1234", "Augusta", "Ada"].iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert_eq!(student.called(), "Ada");
        assert_eq!(Student { preferred_name: None, ..student }.called(), "Augusta");
    }

    #[test]
    fn a_seat_is_a_short_line() {
        for bad in ["", " 42", "42 ", "4\n2", &"x".repeat(LONGEST_SEAT + 1)] {
            assert!(Seat::new(bad).is_err(), "{bad:?}");
        }
        for good in ["42", "Row C, 7", "é", &"座".repeat(LONGEST_SEAT)] {
            assert!(Seat::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn each_card_has_its_own_standing() {
        let [first, second, foreign] = [1, 2, 3].map(|n| CardPseudonym::from_bytes([n; 32]));
        let student = Student::new(StudentId::new("N1").expect("valid"), "Ada");
        let mut entry = RosterEntry::new(student, first, RoomId::new("R").expect("valid"));
        entry.other_cards.push(Card { pseudonym: second, standing: CardStanding::Revoked });
        let standings = [first, second, foreign].map(|card| entry.standing(&card));
        assert_eq!(standings, [Some(CardStanding::Active), Some(CardStanding::Revoked), None]);
    }
}
