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

/// A student, as far as the door needs to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Student {
    /// The campus's number.
    pub id: StudentId,
    /// The name the screen greets with. Personal data: redacted in `Debug`.
    pub given_name: String,
    /// What the screen speaks to them, if it can.
    #[serde(default)]
    pub language: Option<Language>,
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

/// One student's place on one exam's roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The student.
    pub student: Student,
    /// Which card is theirs.
    pub card: CardPseudonym,
    /// Whether it is still good.
    pub standing: CardStanding,
    /// Where they sit.
    pub room: RoomId,
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
        let student = Student { id: StudentId::new("N1234").expect("valid"), given_name: "Ada".into(), language: None };
        let shown = format!("{student:?} {:?}", student.id);
        assert!(!shown.contains("N1234") && !shown.contains("Ada"), "{shown}");
    }
}
