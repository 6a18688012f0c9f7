//! One student of an export, with their line of the card table, to a row of the roster.
//!
//! No message repeats a name or a card.

use std::collections::HashMap;

use examgate::domain::{CardPseudonym, CardStanding, RoomId, Student, StudentId};
use examgate_enrol::table::Problem;

use super::{
    super::{
        cells,
        columns::Column,
        report::{NoCard, Place},
        rows::Row,
    },
    OneRoster, Pseudonyms, Taken, USERS,
    cards::CardTable,
    choice::Chosen,
    sheet::Line,
};

/// What earlier lines hold, to name both lines of a duplicate.
#[derive(Default)]
pub(super) struct Seen {
    students: HashMap<String, u64>,
    cards: HashMap<CardPseudonym, (String, u64)>,
}

/// How one student is read.
pub(super) struct Reading<'a> {
    pub(super) args: &'a OneRoster,
    pub(super) cards: Option<&'a CardTable>,
    pub(super) of: &'a Pseudonyms<'a>,
}

/// A card as it was found: its pseudonym and standing, and where: file and line.
struct Held {
    card: CardPseudonym,
    standing: CardStanding,
    file: String,
    line: u64,
}

impl Reading<'_> {
    /// Reads one student, or tells what is wrong.
    pub(super) fn student(&self, chosen: &Chosen<'_>, taken: &mut Taken, seen: &mut Seen, problems: &mut Vec<Problem>) {
        let user = chosen.user;
        let before = problems.len();
        let id = self.id(user, problems);
        let name = match user.cell("preferredGivenName") {
            "" => judged(user, "givenName", cells::name::given(user.cell("givenName")), problems),
            preferred => judged(user, "preferredGivenName", cells::name::given(preferred), problems),
        };
        let Some(id) = id else { return };
        if let Some(first) = seen.students.insert(id.as_str().to_lowercase(), user.number()) {
            let text = format!("student `{}` is already on line {first}", id.as_str());
            problems.push(user.problem(self.args.student_id.name(), text));
        }
        let lines = self.cards.map(|table| table.of(id.as_str())).unwrap_or_default();
        let room = self.room(chosen, &lines, problems);
        let language = self.language(&lines, problems);
        let held = self.card(user, &id, &lines, taken, problems);
        if let Some(held) = &held
            && let Some((file, line)) = seen.cards.insert(held.card, (held.file.clone(), held.line))
        {
            let text =
                format!("the same card is already on line {line} of {file}: a card opens the door to one student");
            problems.push(Problem::at(held.line, text).of(&held.file));
        }
        let (Some(given_name), Some(room)) = (name, room) else { return };
        if problems.len() > before {
            return;
        }
        let (card, standing) =
            held.map_or_else(|| ((self.of.none)(&id), CardStanding::Active), |held| (held.card, held.standing));
        taken.rows.rows.push(Row {
            sheet: Some(USERS.name),
            line: user.number(),
            student: Student { id, given_name, language },
            card,
            standing,
            room,
            photos: Vec::new(),
        });
    }

    fn id(&self, user: Line<'_>, problems: &mut Vec<Problem>) -> Option<StudentId> {
        let column = self.args.student_id.name();
        let text = user.cell(column);
        if cells::plain(text).is_empty() {
            let text = "empty, and students go by it: fill it in, or choose another column with --student-id (identifier, username or sourcedId)";
            problems.push(user.problem(column, text));
            return None;
        }
        let other =
            |why: String| format!("{why}; another column may serve: --student-id identifier, username or sourcedId");
        judged(user, column, cells::student(text).map_err(other), problems)
    }

    /// The card table's room, else --room, else that of the student's classes.
    fn room(
        &self,
        chosen: &Chosen<'_>,
        lines: &[&examgate_enrol::table::Record],
        problems: &mut Vec<Problem>,
    ) -> Option<RoomId> {
        if let Some(table) = self.cards {
            let rooms: Vec<_> = lines.iter().filter(|line| !table.cell(Column::Room, line).is_empty()).collect();
            if let Some(first) = rooms.first() {
                let text = table.cell(Column::Room, first);
                if let Some(other) = rooms.iter().find(|line| table.cell(Column::Room, line) != text) {
                    let why = format!("another room than on line {} for the same student", first.line);
                    problems.push(table.problem(other, Column::Room, &why));
                }
                return cells::room(text).map_err(|why| problems.push(table.problem(first, Column::Room, &why))).ok();
            }
        }
        if let Some(room) = &self.args.room {
            return Some(room.clone());
        }
        let first = *chosen.classes.first()?;
        let location = first.cell("location");
        if location.is_empty() {
            problems.push(
                first.problem("location", "empty: say the exam room with --room, or in the card table's column `room`"),
            );
            return None;
        }
        if let Some(other) = chosen.classes.iter().find(|class| class.cell("location") != location) {
            let text = format!(
                "another room than on line {}, and students are in both classes: say the exam room with --room, or in the card table's column \
                 `room`",
                first.number()
            );
            problems.push(other.problem("location", text));
            return None;
        }
        let more =
            |why: String| format!("{why}; or say the exam room with --room, or in the card table's column `room`");
        judged(first, "location", cells::room(location).map_err(more), problems)
    }

    fn language(
        &self,
        lines: &[&examgate_enrol::table::Record],
        problems: &mut Vec<Problem>,
    ) -> Option<examgate::domain::Language> {
        let table = self.cards?;
        let line = lines.iter().find(|line| !table.cell(Column::Language, line).is_empty())?;
        let read = cells::language(table.cell(Column::Language, line));
        read.map_err(|why| problems.push(table.problem(line, Column::Language, &why))).ok().flatten()
    }

    /// The student's card; `None` when there is none, which the report says, or when it is wrong.
    fn card(
        &self,
        user: Line<'_>,
        id: &StudentId,
        lines: &[&examgate_enrol::table::Record],
        taken: &mut Taken,
        problems: &mut Vec<Problem>,
    ) -> Option<Held> {
        let place = || Place { file: Some(USERS.name), line: user.number(), student_id: id.as_str().into() };
        if let Some(column) = &self.args.card_column {
            let text = user.cell(column);
            if cells::plain(text).is_empty() {
                let why = format!("`{column}` is empty");
                taken.without_card.push(NoCard { place: place(), why });
                return None;
            }
            let card = judged(user, column, cells::card(text, self.of.card), problems)?;
            return Some(Held { card, standing: CardStanding::Active, file: USERS.name.into(), line: user.number() });
        }
        let table = self.cards?;
        let [line, more @ ..] = lines else {
            let column = self.args.student_id.name();
            if let Some(at) = table.other_zeros(id.as_str()) {
                let text = format!(
                    "`{}` is not in {}, but line {at} there has it with other zeros in front: correct the one or the other",
                    id.as_str(),
                    table.name
                );
                problems.push(user.problem(column, text));
            } else {
                let why = format!("`{column}` is not in column `student_id` of {}", table.name);
                taken.without_card.push(NoCard { place: place(), why });
            }
            return None;
        };
        if let Some(other) = more.first() {
            let text = format!(
                "a second line of this student; the first is line {}: keep the one of the card in use",
                line.line
            );
            problems.push(table.problem(other, Column::StudentId, &text));
        }
        let text = table.cell(Column::Card, line);
        let standing = cells::standing(table.cell(Column::Standing, line));
        let standing = standing.map_err(|why| problems.push(table.problem(line, Column::Standing, &why))).ok();
        if cells::plain(text).is_empty() {
            let why = format!("`card` is empty on line {} of {}", line.line, table.name);
            taken.without_card.push(NoCard { place: place(), why });
            return None;
        }
        let card =
            cells::card(text, self.of.card).map_err(|why| problems.push(table.problem(line, Column::Card, &why))).ok();
        Some(Held { card: card?, standing: standing?, file: table.name.clone(), line: line.line })
    }
}

/// A cell's value, or `None` with its problem told.
fn judged<T>(line: Line<'_>, column: &str, value: Result<T, String>, problems: &mut Vec<Problem>) -> Option<T> {
    value.map_err(|why| problems.push(line.problem(column, why))).ok()
}
