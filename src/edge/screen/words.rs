//! The texts of the screen in each configured language, read from message files.
//!
//! Each hint and each reason has a field here: a file that lacks one is refused, and a new reason without
//! a text does not compile. The page gets final text.

mod files;
mod said;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use self::said::{Hints, Reasons};
use super::Plate;
use crate::domain::{Answer, Decision, Hint, Reason, RoomId, Shown, Timestamp};

/// Why a language cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// There are no such messages.
    #[error(
        "there are no messages for it: the screen comes with {spoken}, and [screen] messages may name a folder of others"
    )]
    Unknown {
        /// What there is.
        spoken: String,
    },
    /// A file is not as it should be.
    #[error("its messages are not complete and correct")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A text lacks what the box fills in.
    #[error("its {key} lacks {{{holder}}}")]
    Placeholder {
        /// The message's key.
        key: &'static str,
        /// What is missing.
        holder: &'static str,
    },
}

/// What words depend on besides what is shown.
pub(super) struct Door<'a> {
    pub(super) plate: &'a Plate,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
    pub(super) sound: bool,
}

/// A title and what is said below it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) title: String,
    pub(super) detail: String,
}

/// Which way a language is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Ltr,
    Rtl,
}

/// The words of one language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    #[serde(skip)]
    tag: String,
    dir: Direction,
    clock: String,
    /// A time of another day.
    day: String,
    plate: PlateWords,
    idle: IdleWords,
    looking: LookingWords,
    hints: Hints,
    admitted: AdmittedWords,
    proctor: ProctorWords,
    reasons: Reasons,
    sign_in: SignInWords,
    unwell: Pair,
    drained: Pair,
    identified: IdentifiedWords,
    waiting: Pair,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlateWords {
    room: String,
    picture: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdleWords {
    title: String,
    detail: String,
    early: String,
    closed: String,
    /// Closed, and doors open again later.
    again: String,
    /// Instead of the title and the detail, where no exam is held.
    nothing: Pair,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LookingWords {
    title: String,
    detail: String,
    /// Instead of the detail, while a turn of the head is asked for.
    turn: String,
    progress: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdmittedWords {
    title: String,
    nameless: String,
    detail: String,
    /// Instead of the detail, where the student has a seat.
    seat: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProctorWords {
    title: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignInWords {
    detail: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentifiedWords {
    detail: String,
}

impl Words {
    /// Reads the message file of the language `tag` (BCP 47).
    ///
    /// # Errors
    /// When it is not TOML of the right shape, or a text lacks what the box fills in.
    pub fn parse(tag: &str, text: &str) -> Result<Self, WordsError> {
        let read: Self = toml::from_str(text).map_err(|error| WordsError::Syntax(Box::new(error)))?;
        let words = Self { tag: tag.into(), ..read };
        for (key, text, holder) in [
            ("plate.room", &words.plate.room, "room"),
            ("idle.early", &words.idle.early, "opens"),
            ("idle.again", &words.idle.again, "opens"),
            ("looking.progress", &words.looking.progress, "attempt"),
            ("looking.progress", &words.looking.progress, "of"),
            ("admitted.title", &words.admitted.title, "name"),
            ("admitted.seat", &words.admitted.seat, "seat"),
        ] {
            if !text.contains(&format!("{{{holder}}}")) {
                return Err(WordsError::Placeholder { key, holder });
            }
        }
        Ok(words)
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    pub(super) const fn direction(&self) -> Direction {
        self.dir
    }

    pub(super) const fn waiting(&self) -> &Pair {
        &self.waiting
    }

    pub(super) fn picture(&self) -> &str {
        &self.plate.picture
    }

    pub(super) fn room(&self, room: &RoomId) -> String {
        self.plate.room.replace("{room}", room.as_str())
    }

    pub(super) fn progress(&self, attempt: u32, of: u32) -> String {
        self.looking.progress.replace("{attempt}", &attempt.to_string()).replace("{of}", &of.to_string())
    }

    pub(super) fn time(&self, at: Timestamp, zone: &TimeZone) -> String {
        at.to_zoned_datetime(zone.clone()).strftime(&self.clock).to_string()
    }

    /// What is said.
    pub(super) fn say(&self, shown: &Shown, door: &Door<'_>) -> Pair {
        match &shown.answer {
            Answer::Idle => self.invitation(door),
            Answer::Unwell(_) => self.unwell.clone(),
            Answer::Drained => self.drained.clone(),
            Answer::Identified { device } => Pair { title: device.to_string(), detail: self.identified.detail.clone() },
            // In two halves, as people read six digits out.
            Answer::SignIn { invitation, .. } => {
                let digits = invitation.code.digits();
                let (left, right) = digits.split_at_checked(3).unwrap_or((digits, ""));
                Pair { title: format!("{left} {right}"), detail: self.sign_in.detail.clone() }
            }
            Answer::Looking { .. } => {
                let LookingWords { title, detail, turn, .. } = &self.looking;
                let turning = matches!(shown.hint, Some(Hint::TurnLeft | Hint::TurnRight));
                Pair {
                    title: shown.hint.map_or(title, |hint| self.hints.of(hint)).clone(),
                    detail: if turning { turn } else { detail }.clone(),
                }
            }
            Answer::Decided { decision: Decision::Admit, name, seat, .. } => {
                let AdmittedWords { title, nameless, detail, seat: seated } = &self.admitted;
                Pair {
                    title: name.as_ref().map_or_else(|| nameless.clone(), |name| title.replace("{name}", name.trim())),
                    detail: seat
                        .as_ref()
                        .map_or_else(|| detail.clone(), |seat| seated.replace("{seat}", seat.as_str())),
                }
            }
            Answer::Decided { decision: Decision::Deny(reason) | Decision::Refer(reason), .. } => {
                self.reason(*reason, door)
            }
        }
    }

    fn invitation(&self, door: &Door<'_>) -> Pair {
        let idle = &self.idle;
        let Some(window) = door.plate.window else { return idle.nothing.clone() };
        let detail = if door.now < window.opens {
            idle.early.replace("{opens}", &self.opening(window.opens, door))
        } else if door.now < window.closes {
            idle.detail.clone()
        } else {
            match door.plate.next.filter(|next| *next > door.now) {
                Some(next) => idle.again.replace("{opens}", &self.opening(next, door)),
                None => idle.closed.clone(),
            }
        };
        Pair { title: idle.title.clone(), detail }
    }

    fn reason(&self, reason: Reason, door: &Door<'_>) -> Pair {
        let said = self.reasons.of(reason);
        let opens = door.plate.window.map(|window| self.opening(window.opens, door)).unwrap_or_default();
        Pair {
            title: said.title.as_ref().unwrap_or(&self.proctor.title).clone(),
            detail: said.detail.replace("{opens}", &opens),
        }
    }

    /// A time of today as the clock says it, one of another day with its day.
    fn opening(&self, at: Timestamp, door: &Door<'_>) -> String {
        let day = |at: Timestamp| at.to_zoned_datetime(door.zone.clone()).date();
        if day(at) == day(door.now) {
            return self.time(at, door.zone);
        }
        at.to_zoned_datetime(door.zone.clone()).strftime(&self.day).to_string()
    }
}

#[cfg(test)]
mod tests;
