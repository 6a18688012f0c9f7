//! A OneRoster export (1.1 or 1.2, CSV) to the rows of a roster: who sits the exam comes from the export, cards from the card office.
//!
//! What the export lacks is never guessed: a student without a card is on the roster without one, and the report says so.

mod cards;
mod choice;
mod package;
mod reading;
mod sheet;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use examgate::{
    domain::{CardPseudonym, RoomId, StudentId},
    exit::Refusal,
};
use examgate_enrol::table::{Problem, Problems};

use super::{
    cells,
    report::{LeftOut, NoCard},
    rows::Rows,
    suspects::Suspects,
};
use cards::CardTable;
use package::Package;
use reading::{Reading, Seen};
use sheet::{Shape, Sheet};

/// Which students of an export, and where their cards come from.
#[derive(clap::Args)]
pub(super) struct OneRoster {
    /// Instead of --csv: a OneRoster 1.1 or 1.2 export, the folder or the ZIP archive.
    #[arg(long, value_name = "DIR|ZIP", conflicts_with = "csv")]
    pub(super) oneroster: Option<PathBuf>,
    /// A class that sits the exam, by its sourcedId, title or classCode; may be repeated.
    #[arg(long, value_name = "CLASS", requires = "oneroster", conflicts_with = "csv")]
    class: Vec<String>,
    /// A course of which all classes sit the exam, by its sourcedId, title or courseCode; may be repeated.
    #[arg(long, value_name = "COURSE", requires = "oneroster", conflicts_with = "csv")]
    course: Vec<String>,
    /// Which column of users.csv is the student's number. Photos and the card table go by it.
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t = IdColumn::Identifier, requires = "oneroster", conflicts_with = "csv")]
    student_id: IdColumn,
    /// The card office's table: student_id and card, one line a card, and optionally card_standing, card_2 and so on, pacs, desfire, piv,
    /// preferred_name, room, seat, language and matching.
    #[arg(long, value_name = "FILE", requires = "oneroster", conflicts_with_all = ["csv", "card_column"])]
    pub(super) cards: Option<PathBuf>,
    /// A column of users.csv with a card's number, such as metadata.cardNumber; may be repeated, for several cards of one student.
    #[arg(long, value_name = "COLUMN", requires = "oneroster", conflicts_with = "csv")]
    card_column: Vec<String>,
    /// The exam room of everybody whose room the card table does not say [default: the class's location].
    #[arg(long, value_name = "ROOM", requires = "oneroster", conflicts_with = "csv", value_parser = |text: &str| RoomId::new(text))]
    room: Option<RoomId>,
}

/// What names a student in an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum IdColumn {
    /// What the campus prints on cards and lists.
    Identifier,
    /// What the student signs in with.
    Username,
    /// The exporting system's own key.
    #[value(name = "sourcedId", alias = "sourcedid", alias = "sourced-id")]
    SourcedId,
}

impl IdColumn {
    const fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Username => "username",
            Self::SourcedId => "sourcedId",
        }
    }
}

/// The tables of an export.
struct Export {
    users: Sheet,
    classes: Sheet,
    enrollments: Sheet,
    courses: Option<Sheet>,
}

const MANIFEST: Shape = Shape { name: "manifest.csv", required: &["propertyName", "value"], optional: &[] };
const USERS: Shape = Shape {
    name: "users.csv",
    required: &["sourcedId", "givenName"],
    optional: &["status", "enabledUser", "role", "username", "familyName", "identifier", "preferredGivenName", "email"],
};
const CLASSES: Shape = Shape {
    name: "classes.csv",
    required: &["sourcedId", "title"],
    optional: &["status", "courseSourcedId", "classCode", "location", "schoolSourcedId", "termSourcedIds"],
};
const ENROLLMENTS: Shape = Shape {
    name: "enrollments.csv",
    required: &["classSourcedId", "userSourcedId", "role"],
    optional: &["sourcedId", "status", "schoolSourcedId", "primary", "beginDate", "endDate"],
};
const COURSES: Shape = Shape {
    name: "courses.csv",
    required: &["sourcedId", "title"],
    optional: &["status", "courseCode", "orgSourcedId"],
};

/// Releases of OneRoster whose CSV is read.
const RELEASES: [&str; 2] = ["1.1", "1.2"];

/// How a card's text becomes its pseudonym, and what a student has who has no card.
pub(super) struct Pseudonyms<'a> {
    pub(super) card: &'a dyn Fn(&str) -> Result<CardPseudonym, String>,
    pub(super) none: &'a dyn Fn(&StudentId) -> CardPseudonym,
}

/// What came of an export.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) rows: Rows,
    pub(super) left_out: LeftOut,
    pub(super) without_card: Vec<NoCard>,
}

/// Reads the chosen students out of an export. `card_table` are the bytes of --cards.
///
/// # Errors
/// When it cannot be read, or is no whole export.
pub(super) fn read(args: &OneRoster, path: &Path, card_table: Option<&[u8]>, of: &Pseudonyms<'_>) -> Result<Taken> {
    if args.cards.is_none() && args.card_column.is_empty() {
        bail!(Refusal::Usage(
            "OneRoster has no column for cards: say --cards FILE with the card office's table, or --card-column metadata.NAME".into()
        ));
    }
    let package = Package::open(path)?;
    let export = open(&package)?;
    let mut taken = Taken::default();
    let mut problems = Vec::new();
    let cards = match (&args.cards, card_table) {
        (Some(path), Some(bytes)) => {
            let name = path.file_name().map_or_else(|| "cards".into(), |name| name.to_string_lossy());
            CardTable::read(&name, bytes).map(Some).map_err(Problems)?
        }
        _ => None,
    };
    for column in args.card_column.iter().filter(|column| !export.users.has(column)) {
        let there = export.users.extensions();
        let there = if there.is_empty() { "no metadata columns".into() } else { there.join(", ") };
        let text = format!("there is no column `{}` (--card-column); there are {there}", column.escape_debug());
        problems.push(Problem::at(export.users.header(), text).of(export.users.name));
    }
    let classes = choice::classes(&export, &args.class, &args.course, &mut taken.left_out, &mut problems);
    let students = choice::students(&export, &classes, &mut taken.left_out, &mut problems);
    if students.is_empty() && problems.is_empty() {
        let text = format!("no student is enrolled in what was asked for; left out were {}", taken.left_out);
        problems.push(Problem::file(text).of(export.enrollments.name));
    }
    let reading = Reading { args, cards: cards.as_ref(), of };
    let mut seen = Seen::default();
    for student in &students {
        reading.student(student, &mut taken, &mut seen, &mut problems);
    }
    let column = args.student_id.name();
    let numbers: Vec<_> =
        students.iter().map(|student| (student.user.number(), cells::plain(student.user.cell(column)))).collect();
    let suspects = Suspects::of(&numbers, &[], &[]);
    let own = |problem: Problem| {
        let text = problem.text.replace("`student_id`", &format!("`{column}`"));
        Problem { text, ..problem }.of(export.users.name)
    };
    problems.extend(suspects.problems.into_iter().map(own));
    taken.rows.remarks.extend(cards.map(|cards| cards.remarks).unwrap_or_default());
    taken.rows.remarks.extend(suspects.remarks.into_iter().map(own));
    // Whatever concerns a class comes once for each of its students.
    let mut seen = HashSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
    taken.rows.problems = problems;
    Ok(taken)
}

/// Reads the manifest, then the tables that it says are whole.
fn open(package: &Package) -> Result<Export> {
    let mut problems = Vec::new();
    let Some(bytes) = package.table(MANIFEST.name)? else {
        bail!(Refusal::Data(
            "manifest.csv is not there, which says what the export holds: export it again as OneRoster CSV".into()
        ));
    };
    let manifest = Sheet::read(&MANIFEST, &bytes).map_err(Problems)?;
    let value = |property: &str| manifest.lines().find(|line| line.cell("propertyName").eq_ignore_ascii_case(property));
    match value("oneroster.version") {
        Some(line) if RELEASES.contains(&line.cell("value")) => {}
        Some(line) => {
            let text = format!(
                "OneRoster `{}` is not read, only {}",
                line.cell("value").escape_debug(),
                RELEASES.join(" and ")
            );
            problems.push(line.problem("value", text));
        }
        None => {
            let text = "no line `oneroster.version`: is this a OneRoster export?";
            problems.push(Problem::file(text).of(MANIFEST.name));
        }
    }
    let mut sheet = |shape: &Shape, needed: bool| -> Result<Option<Sheet>> {
        let property = format!("file.{}", shape.name.trim_end_matches(".csv"));
        let mode = value(&property);
        match mode.map(|line| (line, line.cell("value").to_lowercase())) {
            Some((line, mode)) if mode == "delta" => {
                let text = format!("`{property}` is delta: it holds only what changed; export it as bulk");
                problems.push(line.problem("value", text));
                return Ok(None);
            }
            Some((line, mode)) if mode == "absent" => {
                if needed {
                    problems.push(line.problem("value", format!("`{property}` is absent: export it as bulk")));
                }
                return Ok(None);
            }
            Some((line, mode)) if mode != "bulk" => {
                let text = format!("`{}` is not known: it is bulk, delta or absent", mode.escape_debug());
                problems.push(line.problem("value", text));
                return Ok(None);
            }
            Some(_) | None => {}
        }
        match package.table(shape.name)? {
            Some(bytes) => match Sheet::read(shape, &bytes) {
                Ok(sheet) => return Ok(Some(sheet)),
                Err(more) => problems.extend(more),
            },
            None if needed || mode.is_some() => {
                problems
                    .push(Problem::file("the file is not there: export it again with all its tables").of(shape.name));
            }
            None => {}
        }
        Ok(None)
    };
    let users = sheet(&USERS, true)?;
    let classes = sheet(&CLASSES, true)?;
    let enrollments = sheet(&ENROLLMENTS, true)?;
    let courses = sheet(&COURSES, false)?;
    match (users, classes, enrollments) {
        (Some(users), Some(classes), Some(enrollments)) if problems.is_empty() => {
            Ok(Export { users, classes, enrollments, courses })
        }
        _ => bail!(Problems(problems)),
    }
}

#[cfg(test)]
mod tests;
