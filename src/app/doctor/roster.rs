//! The exam's roster as this door will use it: whether it opens, whether its doors open now, and whether anybody on it can come in here.
//!
//! Says how many, never who. Opens nothing for writing.

mod spelling;

use super::{super::stores::ANOTHER_PEPPER, PartHealth, State, finding};
use crate::{
    config::Config,
    domain::{ClockTrust, Doors, EmbeddingSpaceId, Exam, ExamId, Pepper, Serving, Timestamp, WithSources},
    store::{KeyFolder, KeyName, Layout, RosterError, RosterStore, Seats, Secret, sealed::Fault},
};

/// Doors that open later than this, in hours, may be those of another year.
const SOON: i64 = 7 * 24;

/// Rosters of exams that closed longer ago than this, in hours, should be erased.
const OVER: i64 = 30 * 24;

/// How many names are listed.
const NAMED: usize = 5;

/// What roster and configuration mean for this door at `now`. `space` is that of the box's embedder, where it is known. The worst comes first.
pub(super) fn look(
    config: &Config,
    keys: &KeyFolder,
    space: Option<&EmbeddingSpaceId>,
    now: Timestamp,
    findings: &mut Vec<PartHealth>,
) {
    let layout = Layout::new(&config.state);
    let mut found = Vec::new();
    let mut say = |state, words: String| found.push(finding("roster", state, words));
    let served = served(config, &layout, keys, now, &mut say);
    match served.as_ref().map(|exam| (exam, open(config, &layout, keys, exam))) {
        None => {}
        Some((exam, Err(_))) if config.fleet.is_some() && !layout.exam(exam).exists() => {
            let words = format!(
                "the roster of {exam} has not come yet: nobody is verified until the fleet pushes it (`examgate-fleet roster push`; `examgate-fleet \
                 roster status` says what holds it up)"
            );
            say(State::Impaired, words);
        }
        Some((_, Err((state, words)))) => say(state, words),
        Some((exam, Ok(roster))) => match examined(config, keys, (exam, &roster), space, now, &mut say) {
            Ok(()) => {}
            Err(error) => say(State::Unwell, WithSources(&error).to_string()),
        },
    }
    // Stable: of one state the first said comes first.
    found.sort_by_key(|finding| match finding.state {
        State::Unwell => 0,
        State::Impaired => 1,
        State::Well => 2,
    });
    findings.append(&mut found);
    others(config, served.as_ref(), &layout, keys, now, findings);
}

/// The exam that is looked at: the one that the configuration names, or else the one that the box serves at `now`.
fn served(
    config: &Config,
    layout: &Layout,
    keys: &KeyFolder,
    now: Timestamp,
    say: &mut impl FnMut(State, String),
) -> Option<ExamId> {
    if config.exam.is_some() {
        return config.exam.clone();
    }
    let held = layout.exams().unwrap_or_default();
    let readable = held.iter().filter_map(|exam| open(config, layout, keys, exam).ok()?.exam().ok().flatten());
    let readable: Vec<Exam> = readable.collect();
    // How far the clock may be believed is told of by itself.
    let Serving { exam, doors } = Serving::choose(&readable, None, now, ClockTrust::Synchronised);
    match doors {
        Doors::Open { beside } if !beside.is_empty() => {
            let words = format!(
                "doors of several exams are open here: the one that opened last is served, and not {}: send its students to another room, or \
                 have the times mended",
                beside.iter().map(ExamId::as_str).collect::<Vec<_>>().join(", ")
            );
            say(State::Unwell, words);
        }
        Doors::Closed { next: Some(next), .. } => {
            say(State::Well, format!("doors are closed; they open next at {next}"))
        }
        Doors::Closed { next: None, last } => {
            let last = last.map_or(String::new(), |last| format!(" since {last}"));
            let words = format!(
                "doors are closed{last}, and no later exam is held: `examgate-fleet roster push` sends the next one"
            );
            say(State::Impaired, words);
        }
        Doors::NothingHeld => {
            let words = "no exam is held: nobody is verified until the fleet has pushed a roster (`examgate-fleet roster push`)";
            say(State::Impaired, words.into());
        }
        Doors::Open { .. } | Doors::Unknown => {}
    }
    exam.map(|exam| exam.id)
}

/// How this box comes by another edition of its roster.
fn again(config: &Config) -> &'static str {
    match config.fleet {
        Some(_) => "import it again at the manager's desk, and send it with `examgate-fleet roster push`",
        None => "import it again with `examgate-fleet roster import`",
    }
}

fn open(config: &Config, layout: &Layout, keys: &KeyFolder, exam: &ExamId) -> Result<RosterStore, (State, String)> {
    if !keys.holds(KeyName::Exam(exam)) {
        let held = layout.exams().unwrap_or_default();
        let held: Vec<_> = held.iter().map(ExamId::as_str).filter(|held| *held != exam.as_str()).collect();
        let others = match spelling::closest(exam.as_str(), &held) {
            near if near.is_empty() => "no other exam's roster is here".into(),
            near => format!("here are {}{}: or mend `exam` in the configuration", first(&near), more(&near)),
        };
        let key = keys.path(KeyName::Exam(exam));
        let words = match config.fleet {
            Some(_) => format!(
                "no key for the roster of {exam} ({}): remove what is left of it with `examgate-fleet roster erase`, and send it again \
                 with `examgate-fleet roster push --again`; {others}",
                key.display()
            ),
            None => format!(
                "no key for the roster of {exam} ({}): bring it in with `examgate-fleet roster import`; {others}",
                key.display()
            ),
        };
        return Err((State::Unwell, words));
    }
    let key = keys.read(KeyName::Exam(exam)).map_err(|error| {
        (State::Unwell, format!("the key of the roster of {exam} cannot be had: {}", WithSources(&error)))
    })?;
    RosterStore::look(&layout.exam(exam), &key).map_err(|error| {
        let state = if matches!(error, RosterError::Database(Fault::Unsettled { .. })) { State::Impaired } else { State::Unwell };
        let words = if matches!(error, RosterError::Database(Fault::Missing { .. })) {
            again(config)
        } else if matches!(error, RosterError::Database(Fault::WrongKey { .. })) {
            "if the root key is a credential, it may have been imported without: erase it, and import it with `examgate-with-keys`"
        } else {
            ""
        };
        (state, format!("the roster of {exam} cannot be used: {}; {words}", WithSources(&error)).trim_end_matches("; ").to_owned())
    })
}

fn examined(
    config: &Config,
    keys: &KeyFolder,
    (name, roster): (&ExamId, &RosterStore),
    space: Option<&EmbeddingSpaceId>,
    now: Timestamp,
    say: &mut impl FnMut(State, String),
) -> Result<(), RosterError> {
    let again = again(config);
    let Some(exam) = roster.exam()? else {
        say(State::Unwell, format!("the roster of {name} is empty: {again}"));
        return Ok(());
    };
    let seats = roster.seats(space)?;
    let students: u64 = seats.iter().map(|seats| seats.students).sum();
    let (opens, closes) = (exam.window.opens, exam.window.closes);
    let held =
        format!("{}, version {}, {}, doors open {opens} to {closes}", exam.id, exam.version.0, counted(students));
    say(State::Well, held);
    // Without a name the box moves to the next exam by itself.
    if config.exam.is_some() {
        window(&exam, now, again, say);
    }
    if students == 0 {
        say(State::Unwell, format!("nobody is on it: every card would be unknown; {again}"));
    } else {
        match seats.iter().find(|seats| seats.room == config.room) {
            None => nobody(config, &seats, students, say),
            Some(here) => room(here, students, roster, space, again, say)?,
        }
    }
    pepper(config, keys, roster, say)?;
    // A roster of before there were proctors has no such table, and is brought up at the next start.
    if config.console.is_some() && roster.proctors().is_ok_and(|proctors| proctors.is_empty()) {
        say(
            State::Impaired,
            "nobody can sign in at the console: name who may with `examgate-fleet proctor add`".into(),
        );
    }
    Ok(())
}

/// Whether its doors open, and soon.
fn window(exam: &Exam, now: Timestamp, again: &str, say: &mut impl FnMut(State, String)) {
    let (opens, closes) = (exam.window.opens, exam.window.closes);
    if now >= closes {
        let ago = span(hours(closes, now));
        let mend =
            format!("set `exam` to the next one; or, with the right times, {again} (by the box's clock it is {now})");
        say(State::Unwell, format!("its doors closed {ago} ago, at {closes}: every tap is too late; {mend}"));
    } else if hours(now, opens) > SOON {
        let words = format!(
            "its doors open only in {}, at {opens}: right for an exam that far away; if not, with the right times {again} (by the box's clock it \
             is {now})",
            span(hours(now, opens))
        );
        say(State::Impaired, words);
    }
}

fn nobody(config: &Config, seats: &[Seats], students: u64, say: &mut impl FnMut(State, String)) {
    let rooms: Vec<_> = seats.iter().map(|seats| seats.room.as_str()).collect();
    let near = spelling::closest(config.room.as_str(), &rooms);
    let count = |room: &str| seats.iter().find(|seats| seats.room.as_str() == room).map_or(0, |seats| seats.students);
    let named: Vec<_> = near.iter().take(NAMED).map(|room| format!("{room} ({})", counted(count(room)))).collect();
    let twin = near.first().filter(|room| spelling::is_same(room, config.room.as_str()));
    let hint = twin.map_or(String::new(), |room| {
        format!(" {room} is {} written otherwise: spreadsheets drop zeros at the start.", config.room)
    });
    let words = format!(
        "nobody on it sits in room {}: none of {}, so every one would be sent to another room. It knows {}{}.{hint} Mend `room` \
         in the configuration, or the column in the CSV and {}",
        config.room,
        counted(students),
        named.join(", "),
        more(&near),
        again(config)
    );
    say(State::Unwell, words);
}

/// Who sits here, and whether they can be verified.
fn room(
    here: &Seats,
    students: u64,
    roster: &RosterStore,
    space: Option<&EmbeddingSpaceId>,
    again: &str,
    say: &mut impl FnMut(State, String),
) -> Result<(), RosterError> {
    let &Seats { ref room, students: sit, active, opted_out, with_template, comparable } = here;
    let opted = if opted_out == 0 { String::new() } else { format!(", {opted_out} opted out of face matching") };
    say(
        State::Well,
        format!("{sit} of {} sit in {room}, {with_template} of them with a face{opted}", counted(students)),
    );
    // Those who opted out have none, and need none.
    let wanted = sit - opted_out;
    if active == 0 {
        say(State::Unwell, format!("every card of {room} is revoked: nobody would be let in; {again}"));
    }
    if with_template == 0 && wanted > 0 {
        let words = format!(
            "nobody of {room} has a usable picture: everybody would be sent to the proctor; with photos, {again}"
        );
        say(State::Unwell, words);
    } else if with_template * 2 < wanted {
        let words = format!(
            "{} of {sit} students of {room} have no usable picture and would be sent to the proctor: with theirs, {again}",
            wanted - with_template
        );
        say(State::Impaired, words);
    }
    if comparable < with_template {
        let spaces: Vec<_> = roster.spaces()?.iter().map(|space| space.as_str().to_owned()).collect();
        let words = format!(
            "{} of {with_template} faces of {room} are of another embedding space than this box's nets compare in ({}, here {}): those students would \
             be sent to the proctor; with this box's models, {again}",
            with_template - comparable,
            spaces.join(", "),
            space.map_or("unknown", EmbeddingSpaceId::as_str)
        );
        say(if comparable == 0 { State::Unwell } else { State::Impaired }, words);
    }
    Ok(())
}

fn pepper(
    config: &Config,
    keys: &KeyFolder,
    roster: &RosterStore,
    say: &mut impl FnMut(State, String),
) -> Result<(), RosterError> {
    // A pepper that cannot be read is told of among the keys.
    let Ok(pepper) = keys.secret(Secret::Pepper) else { return Ok(()) };
    match roster.pepper()? {
        Some(made_with) if made_with == Pepper::from_bytes(*pepper).check() => {}
        Some(_) => say(State::Unwell, format!("it {ANOTHER_PEPPER}")),
        None => {
            let words = format!(
                "it does not say which pepper its cards were made with (it is of an earlier version), so it is not known whether cards will be \
                 found: {}",
                again(config)
            );
            say(State::Impaired, words);
        }
    }
    Ok(())
}

/// Rosters of other exams that lie here.
fn others(
    config: &Config,
    served: Option<&ExamId>,
    layout: &Layout,
    keys: &KeyFolder,
    now: Timestamp,
    findings: &mut Vec<PartHealth>,
) {
    for exam in layout.exams().unwrap_or_default().iter().filter(|exam| Some(*exam) != served) {
        let held = match open(config, layout, keys, exam) {
            Err((_, words)) => Err(words),
            Ok(roster) => roster.exam().map_err(|error| WithSources(&error).to_string()),
        };
        let told = match held {
            Err(words) => format!("{words}; or erase it with `examgate-fleet roster erase --exam {exam}`"),
            Ok(Some(held)) if hours(held.window.closes, now) > OVER => {
                let ago = span(hours(held.window.closes, now));
                format!(
                    "the doors of {exam} closed {ago} ago: erase it with `examgate-fleet roster erase --exam {exam}`"
                )
            }
            Ok(Some(_) | None) => continue,
        };
        findings.push(finding("other rosters", State::Impaired, told));
    }
}

/// Whole hours from one time to another.
fn hours(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()) / 3600
}

fn span(hours: i64) -> String {
    let count = |number: i64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    if hours < 48 { count(hours, "hour") } else { count(hours / 24, "day") }
}

fn counted(students: u64) -> String {
    format!("{students} student{}", if students == 1 { "" } else { "s" })
}

fn first(names: &[&str]) -> String {
    names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ")
}

fn more(names: &[&str]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}
