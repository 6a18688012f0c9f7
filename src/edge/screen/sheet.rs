//! The sheet: everything that the page shows at one moment, as final text.

use serde::Serialize;

use super::words::{Direction, Door, Pair, Words};
use crate::domain::{Answer, Decision, Hint, Shown};

/// How the page looks: its ground, its shape, its motion. One for each pattern of the light, and one for the proctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// Please tap.
    Idle,
    /// The box is unwell or out of service; the proctor takes over.
    Unwell,
    /// Please look at the camera.
    Looking,
    /// A proctor's code, or the box's name.
    SignIn,
    /// Come in.
    Admitted,
    /// Not with this card, or not now.
    Denied,
    /// The proctor decides.
    Referred,
}

impl Appearance {
    /// How `answer` looks.
    #[must_use]
    pub const fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Idle => Self::Idle,
            // The proctor takes over, whether the box is unwell or out of service.
            Answer::Unwell(_) | Answer::Drained => Self::Unwell,
            // A few letters that staff read.
            Answer::Identified { .. } => Self::SignIn,
            Answer::Looking { .. } => Self::Looking,
            Answer::SignIn { .. } => Self::SignIn,
            Answer::Decided { decision: Decision::Admit, .. } => Self::Admitted,
            Answer::Decided { decision: Decision::Deny(_), .. } => Self::Denied,
            Answer::Decided { decision: Decision::Refer(_), .. } => Self::Referred,
        }
    }
}

/// What is said, in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Line<'a> {
    lang: &'a str,
    dir: Direction,
    title: String,
    detail: String,
}

/// Which capture window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Progress {
    attempt: u32,
    of: u32,
    text: String,
}

/// All that a page shows. The first line's language is the door's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sheet<'a> {
    look: Appearance,
    lines: Vec<Line<'a>>,
    /// What is said when the box cannot be reached.
    waiting: Vec<Line<'a>>,
    /// What the guide around the face turns to.
    hint: Option<Hint>,
    progress: Option<Progress>,
    exam: &'a str,
    room: String,
    clock: String,
    /// Text alternative of the live picture, for screen readers.
    picture: &'a str,
    sound: bool,
    /// The box's monotonic milliseconds at which the answer was given.
    since: f64,
    /// Which program says it: a page of another one loads itself again.
    program: &'static str,
}

/// Lines that the page has room for.
const LINES: usize = 3;

/// The box's languages in display order: the student's preferred language comes first, also if it is only in `more`.
fn order<'a>(words: &'a [Words], more: &'a [Words], shown: &Shown) -> Vec<&'a Words> {
    let all: Vec<_> = words.iter().chain(more).collect();
    let preferred = shown.language.as_ref().and_then(|language| language.among(all.iter().map(|words| words.tag())));
    let first = all[preferred.unwrap_or(0)];
    let others = words.iter().filter(|words| words.tag() != first.tag());
    [first].into_iter().chain(others).take(LINES).collect()
}

impl<'a> Sheet<'a> {
    /// Puts `shown` into words. `words` is never empty.
    pub(super) fn write(words: &'a [Words], more: &'a [Words], shown: &Shown, door: &Door<'a>) -> Self {
        let words = order(words, more, shown);
        let own = *words.first().expect("the configuration names a language");
        let progress = match shown.answer {
            Answer::Looking { attempt, of } => Some(Progress { attempt, of, text: own.progress(attempt, of) }),
            Answer::Idle
            | Answer::Unwell(_)
            | Answer::Drained
            | Answer::Identified { .. }
            | Answer::SignIn { .. }
            | Answer::Decided { .. } => None,
        };
        // A code or a name is the same in every language.
        let spoken =
            if matches!(shown.answer, Answer::SignIn { .. } | Answer::Identified { .. }) { 1 } else { words.len() };
        let line = |words: &'a Words, Pair { title, detail }: Pair| Line {
            lang: words.tag(),
            dir: words.direction(),
            title,
            detail,
        };
        Self {
            look: Appearance::of(&shown.answer),
            lines: words[..spoken].iter().map(|&words| line(words, words.say(shown, door))).collect(),
            waiting: words.iter().map(|&words| line(words, words.waiting().clone())).collect(),
            hint: shown.hint.filter(|_| progress.is_some()),
            progress,
            exam: &door.plate.exam,
            room: own.room(&door.plate.room),
            clock: own.time(door.now, door.zone),
            picture: own.picture(),
            sound: door.sound,
            since: shown.since.since_start().as_secs_f64() * 1e3,
            program: env!("CARGO_PKG_VERSION"),
        }
    }
}
