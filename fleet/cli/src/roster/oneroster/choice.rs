//! Which students of an export sit the exam: classes or courses by identifier or title, then their enrolments, then the people.
//!
//! It knows no card and no room but what the export says of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use examgate_enrol::table::Problem;

use super::{
    super::report::LeftOut,
    Export,
    sheet::{Line, Sheet},
};

/// Classes named in an error at most.
const NAMED: usize = 20;

/// One student of the chosen classes.
pub(super) struct Chosen<'s> {
    /// In `users.csv`.
    pub(super) user: Line<'s>,
    /// In `classes.csv`, in its order.
    pub(super) classes: Vec<Line<'s>>,
}

/// Whether a record is in force. Bulk exports leave the status empty; `inactive` is of OneRoster 1.0.
fn is_active(line: Line<'_>, problems: &mut Vec<Problem>) -> bool {
    match line.cell("status").to_lowercase().as_str() {
        "" | "active" => true,
        "tobedeleted" | "inactive" => false,
        other => {
            problems.push(line.problem(
                "status",
                format!("`{}` is not known: it is empty, active or tobedeleted", other.escape_debug()),
            ));
            false
        }
    }
}

/// A title as people compare it.
fn same(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn id(line: Line<'_>) -> &str {
    line.cell("sourcedId")
}

/// The lines meant by what somebody typed: the one with that `sourcedId`, or else the only one with that title or code.
fn named<'s>(sheet: &'s Sheet, typed: &str, option: &str, code: &str) -> Result<Line<'s>, Problem> {
    if let Some(line) = sheet.lines().find(|line| id(*line) == typed) {
        return Ok(line);
    }
    let wanted = same(typed);
    let alike: Vec<_> =
        sheet.lines().filter(|line| same(line.cell("title")) == wanted || same(line.cell(code)) == wanted).collect();
    let typed = typed.escape_debug();
    match alike.as_slice() {
        [only] => Ok(*only),
        [] => Err(Problem::file(format!(
            "{option} `{typed}`: none has this `sourcedId`, `title` or `{code}`; there are {}",
            listed(&sheet.lines().collect::<Vec<_>>())
        ))
        .of(sheet.name)),
        several => Err(Problem::file(format!(
            "{option} `{typed}`: {} have this title: say which by its sourcedId: {}",
            several.len(),
            listed(several)
        ))
        .of(sheet.name)),
    }
}

/// Some lines by identifier and title.
fn listed(lines: &[Line<'_>]) -> String {
    let name = |line: &Line<'_>| format!("`{}` ({})", id(*line).escape_debug(), line.cell("title").escape_debug());
    let some: Vec<_> = lines.iter().take(NAMED).map(name).collect();
    match lines.len().saturating_sub(NAMED) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

/// The classes that were asked for; all of a course's.
pub(super) fn classes<'s>(
    export: &'s Export,
    classes: &[String],
    courses: &[String],
    left_out: &mut LeftOut,
    problems: &mut Vec<Problem>,
) -> Vec<Line<'s>> {
    let sheet = &export.classes;
    let mut chosen = BTreeMap::new();
    let mut take = |line: Line<'s>, problems: &mut Vec<Problem>| {
        if is_active(line, problems) {
            chosen.insert(line.number(), line);
        } else {
            left_out.classes += 1;
        }
    };
    for typed in classes {
        match named(sheet, typed, "--class", "classCode") {
            Ok(line) => take(line, problems),
            Err(problem) => problems.push(problem),
        }
    }
    for typed in courses {
        // Without its table a course is known by its classes only.
        let course = match &export.courses {
            Some(courses) => named(courses, typed, "--course", "courseCode").map(id),
            None => Ok(typed.as_str()),
        };
        let course = match course {
            Ok(course) => course,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let of_course: Vec<_> = sheet.lines().filter(|line| line.cell("courseSourcedId") == course).collect();
        if of_course.is_empty() {
            let text = format!("--course `{}`: no class has this `courseSourcedId`", course.escape_debug());
            problems.push(Problem::file(text).of(sheet.name));
        }
        of_course.into_iter().for_each(|line| take(line, problems));
    }
    if classes.is_empty() && courses.is_empty() {
        let all: Vec<_> = sheet.lines().collect();
        match all.as_slice() {
            [only] => take(*only, problems),
            several => {
                let text = format!("which class sits the exam? Say --class or --course: {}", listed(several));
                problems.push(Problem::file(text).of(sheet.name));
            }
        }
    }
    if chosen.is_empty() && problems.is_empty() {
        let text =
            "the class that was asked for is marked tobedeleted or inactive: ask whoever exports for the new one";
        problems.push(Problem::file(text).of(sheet.name));
    }
    chosen.into_values().collect()
}

/// The students of these classes, in the order of `users.csv`.
pub(super) fn students<'s>(
    export: &'s Export,
    classes: &[Line<'s>],
    left_out: &mut LeftOut,
    problems: &mut Vec<Problem>,
) -> Vec<Chosen<'s>> {
    let by_id: HashMap<&str, Line<'s>> = classes.iter().map(|line| (id(*line), *line)).collect();
    let mut people: HashMap<&str, Line<'s>> = HashMap::new();
    let mut twice = HashMap::new();
    for line in export.users.lines() {
        if let Some(first) = people.insert(id(line), line) {
            twice.insert(id(line), first.number());
        }
    }
    let mut chosen: BTreeMap<u64, Chosen<'s>> = BTreeMap::new();
    let (mut missing, mut gone) = (HashSet::new(), HashSet::new());
    for line in export.enrollments.lines() {
        let Some(class) = by_id.get(line.cell("classSourcedId")) else { continue };
        if !line.cell("role").eq_ignore_ascii_case("student") {
            left_out.other_roles += 1;
            continue;
        }
        if !is_active(line, problems) {
            left_out.enrollments += 1;
            continue;
        }
        let person = line.cell("userSourcedId");
        let Some(&user) = people.get(person) else {
            if missing.insert(person) {
                let text = format!("`{}` is not in users.csv: export both together", person.escape_debug());
                problems.push(line.problem("userSourcedId", text));
            }
            continue;
        };
        if let Some(first) = twice.remove(person) {
            problems.push(user.problem("sourcedId", format!("`{}` is already on line {first}", person.escape_debug())));
        }
        if !is_active(user, problems) {
            left_out.users += usize::from(gone.insert(person));
            continue;
        }
        let held = chosen.entry(user.number()).or_insert_with(|| Chosen { user, classes: Vec::new() });
        if !held.classes.iter().any(|held| held.number() == class.number()) {
            held.classes.push(*class);
        }
    }
    chosen.into_values().collect()
}
