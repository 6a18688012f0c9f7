//! What can go wrong with rosters, told apart.

use crate::{
    domain::{ExamId, MAX_CARDS, RosterVersion, StudentId},
    store::sealed::Fault,
};

/// Why a roster cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The database.
    #[error(transparent)]
    Database(#[from] Fault),
    /// An older edition than the one held.
    #[error("roster version {} is older than version {} held: raise the version", offered.0, held.0)]
    Stale {
        /// The version held.
        held: RosterVersion,
        /// The version offered.
        offered: RosterVersion,
    },
    /// The edition held, with other content.
    #[error("version {} of this roster is held already, with other content: raise the version", version.0)]
    Conflicting {
        /// The version.
        version: RosterVersion,
    },
    /// The database is another exam's.
    #[error("this database holds {held}, not {offered}")]
    AnotherExam {
        /// The exam held.
        held: ExamId,
        /// The exam offered.
        offered: ExamId,
    },
    /// An edition whose cards were made into pseudonyms with another pepper: none of them would be known.
    #[error(
        "it was made with another pepper than this box has, so no card of it would be known: import it again with the box's pepper.key"
    )]
    AnotherPepper,
    /// A student twice on one roster. `Display` names the student: it is for the tool that builds rosters.
    #[error("student {} is on the roster twice", student.as_str())]
    DuplicateStudent {
        /// The student.
        student: StudentId,
    },
    /// One card for two students. `Display` names them: it is for the tool that builds rosters.
    #[error("students {} and {} have the same card", holder.as_str(), student.as_str())]
    DuplicateCard {
        /// Who came first.
        holder: StudentId,
        /// Who came second.
        student: StudentId,
    },
    /// A proctor's card is somebody else's on this roster.
    #[error("a student or another proctor has this card: give the proctor another one")]
    CardTaken,
    /// A student's card is a proctor's of this exam. `Display` names the student: it is for the tool that builds rosters.
    #[error("student {} has the card of a proctor of this exam: give one of them another card", student.as_str())]
    ProctorsCard {
        /// The student.
        student: StudentId,
    },
    /// Nothing was imported yet, or all of it is gone.
    #[error("the roster is empty: import or push it first")]
    Empty,
    /// More templates than a student can have. `Display` names the student: it is for the tool that builds rosters.
    #[error("student {} has {count} templates, 256 are allowed", student.as_str())]
    TooManyTemplates {
        /// The student.
        student: StudentId,
        /// How many.
        count: usize,
    },
    /// More cards than a student can have. `Display` names the student: it is for the tool that builds rosters.
    #[error("student {} has {count} cards, {MAX_CARDS} are allowed", student.as_str())]
    TooManyCards {
        /// The student.
        student: StudentId,
        /// How many.
        count: usize,
    },
    /// A template of somebody who opted out. `Display` names the student: it is for the tool that builds rosters.
    #[error("student {} opted out of face matching, and there is a template of them: leave it out", student.as_str())]
    OptedOut {
        /// The student.
        student: StudentId,
    },
    /// A key cannot be made.
    #[error("the operating system gives no random numbers")]
    Randomness(#[source] getrandom::Error),
    /// No thread to read it on, or the thread failed.
    #[error("what was written over the roster cannot be read")]
    Unread(#[source] std::io::Error),
    /// What is stored does not make sense.
    #[error("the roster holds a value that makes no sense ({what}): push it again with a higher version")]
    Nonsense {
        /// The kind of entry.
        what: &'static str,
    },
}
