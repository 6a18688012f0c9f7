//! One student of an export, with their lines of the card table, to a row of the roster.
//!
//! No message repeats a name or a card.

use std::{borrow::Cow, collections::HashMap};

use examgate::domain::{Card, CardPseudonym, MAX_CARDS, RoomId, RosterEntry, Student, StudentId};
use examgate_enrol::table::{Problem, Record};

use super::{
    super::{
        cells,
        columns::{Column, more_name},
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

/// A card as it was found, and where: file and line.
struct Held {
    card: Card,
    file: String,
    line: u64,
}

impl Reading<'_> {
    /// Reads one student, or tells what is wrong.
    pub(super) fn student(&self, chosen: &Chosen<'_>, taken: &mut Taken, seen: &mut Seen, problems: &mut Vec<Problem>) {
        let user = chosen.user;
        let before = problems.len();
        let id = self.id(user, problems);
        let given_name = match (user.cell("givenName"), user.cell("preferredGivenName")) {
            ("", preferred) if !preferred.is_empty() => {
                judged(user, "preferredGivenName", cells::name::given(preferred), problems)
            }
            (given, _) => judged(user, "givenName", cells::name::given(given), problems),
        };
        let Some(id) = id else { return };
        if let Some(first) = seen.students.insert(id.as_str().to_lowercase(), user.number()) {
            let text = format!("student `{}` is already on line {first}", id.as_str());
            problems.push(user.problem(self.args.student_id.name(), text));
        }
        let lines = self.cards.map(|table| table.of(id.as_str())).unwrap_or_default();
        let room = self.room(chosen, &lines, problems);
        let preferred = match user.cell("preferredGivenName") {
            "" => self.said(&lines, Column::PreferredName, cells::preferred, problems).flatten(),
            preferred => judged(user, "preferredGivenName", cells::preferred(preferred), problems).flatten(),
        };
        let language = self.said(&lines, Column::Language, cells::language, problems).flatten();
        let seat = self.said(&lines, Column::Seat, cells::seat, problems).flatten();
        let matching = self.said(&lines, Column::Matching, cells::matching, problems).unwrap_or_default();
        let held = self.held(user, &id, &lines, taken, problems);
        for held in &held {
            if let Some((file, line)) = seen.cards.insert(held.card.pseudonym, (held.file.clone(), held.line)) {
                let text =
                    format!("the same card is already on line {line} of {file}: a card opens the door to one student");
                problems.push(Problem::at(held.line, text).of(&held.file));
            }
        }
        let (Some(given_name), Some(room)) = (given_name, room) else { return };
        if problems.len() > before {
            return;
        }
        let mut cards = held.into_iter().map(|held| held.card);
        let card = cards.next().unwrap_or_else(|| Card::active((self.of.none)(&id)));
        let preferred_name = preferred.filter(|preferred| *preferred != given_name);
        let entry = RosterEntry {
            student: Student { id, given_name, preferred_name, language },
            card,
            other_cards: cards.collect(),
            room,
            seat,
            matching,
            look_alikes: Vec::new(),
        };
        taken.rows.rows.push(Row { sheet: Some(USERS.name), line: user.number(), entry, photos: Vec::new() });
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
    fn room(&self, chosen: &Chosen<'_>, lines: &[&Record], problems: &mut Vec<Problem>) -> Option<RoomId> {
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

    /// What a student's lines of the card table say in a column; `None` where none says anything, or what it says is wrong.
    fn said<T>(
        &self,
        lines: &[&Record],
        column: Column,
        read: impl Fn(&str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let table = self.cards?;
        let text = |line: &Record| cells::plain(table.cell(column, line));
        let mut filled = lines.iter().filter(|line| !text(line).is_empty());
        let first = filled.next()?;
        if let Some(other) = filled.find(|line| text(line) != text(first)) {
            let why = format!("something else than on line {} for the same student", first.line);
            problems.push(table.problem(other, column, &why));
            return None;
        }
        read(table.cell(column, first)).map_err(|why| problems.push(table.problem(first, column, &why))).ok()
    }

    /// The student's cards; none when there is none, which the report says, or when one is wrong.
    fn held(
        &self,
        user: Line<'_>,
        id: &StudentId,
        lines: &[&Record],
        taken: &mut Taken,
        problems: &mut Vec<Problem>,
    ) -> Vec<Held> {
        let before = problems.len();
        let held = match self.cards {
            _ if !self.args.card_column.is_empty() => self.in_users(user, problems),
            Some(table) if lines.is_empty() => {
                let column = self.args.student_id.name();
                if let Some(at) = table.other_zeros(id.as_str()) {
                    let text = format!(
                        "`{}` is not in {}, but line {at} there has it with other zeros in front: correct the one or the other",
                        id.as_str(),
                        table.name
                    );
                    problems.push(user.problem(column, text));
                    return Vec::new();
                }
                Err(format!("`{column}` is not in column `student_id` of {}", table.name))
            }
            Some(table) => self.in_table(table, lines, problems),
            None => Ok(Vec::new()),
        };
        match held {
            Err(why) if problems.len() == before => {
                let place = Place { file: Some(USERS.name), line: user.number(), student_id: id.as_str().into() };
                taken.without_card.push(NoCard { place, why });
                Vec::new()
            }
            Err(_) => Vec::new(),
            Ok(held) => held,
        }
    }

    /// The cards in the columns of users.csv, or where they are missing.
    fn in_users(&self, user: Line<'_>, problems: &mut Vec<Problem>) -> Result<Vec<Held>, String> {
        let columns = &self.args.card_column;
        let mut held: Vec<Held> = Vec::new();
        for column in columns.iter().filter(|column| !cells::plain(user.cell(column)).is_empty()) {
            let card = judged(user, column, cells::card(user.cell(column), self.of.card), problems);
            let card = card.map(Card::active).filter(|card| held.iter().all(|held| held.card != *card));
            held.extend(card.map(|card| Held { card, file: USERS.name.into(), line: user.number() }));
        }
        if held.is_empty() {
            let names: Vec<_> = columns.iter().map(|column| format!("`{column}`")).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            return Err(format!("{} {verb} empty", names.join(", ")));
        }
        if held.len() > MAX_CARDS {
            problems.push(user.problem(&columns[0], format!("more than {MAX_CARDS} cards of one student")));
        }
        Ok(held)
    }

    /// The cards in a student's lines of the card table, or where they are missing.
    fn in_table(&self, table: &CardTable, lines: &[&Record], problems: &mut Vec<Problem>) -> Result<Vec<Held>, String> {
        let mut held: Vec<Held> = Vec::new();
        for line in lines {
            let card = Cow::Borrowed(table.cell(Column::Card, line));
            let first = (Column::Card.name().to_owned(), card, table.cell(Column::Standing, line));
            let more = table.more(line).map(|(at, card, standing)| (more_name(at), card, standing));
            for (name, text, standing) in std::iter::once(first).chain(more) {
                let standing = cells::standing(standing);
                let of_first = name == Column::Card.name();
                let its = if of_first { Column::Standing.name().to_owned() } else { format!("{name}_standing") };
                let standing = standing.map_err(|why| problems.push(table.problem_in(line, &its, &why))).ok();
                if cells::plain(&text).is_empty() {
                    continue;
                }
                let card = cells::card(&text, self.of.card);
                let card = card.map_err(|why| problems.push(table.problem_in(line, &name, &why))).ok();
                let Some((pseudonym, standing)) = card.zip(standing) else { continue };
                let card = Card { pseudonym, standing };
                match held.iter().find(|held| held.card.pseudonym == pseudonym) {
                    None => held.push(Held { card, file: table.name.clone(), line: line.line }),
                    // Once too often, and harmless.
                    Some(before) if before.card == card => {}
                    Some(before) => {
                        let why = format!("on line {} the same card of this student has another standing", before.line);
                        problems.push(table.problem_in(line, &its, &why));
                    }
                }
            }
        }
        let Some(last) = lines.last() else { return Ok(held) };
        if held.is_empty() {
            return Err(format!("`card` is empty on line {} of {}", lines[0].line, table.name));
        }
        if held.len() > MAX_CARDS {
            problems.push(table.problem(last, Column::Card, &format!("more than {MAX_CARDS} cards of one student")));
        }
        Ok(held)
    }
}

/// A cell's value, or `None` with its problem told.
fn judged<T>(line: Line<'_>, column: &str, value: Result<T, String>, problems: &mut Vec<Problem>) -> Option<T> {
    value.map_err(|why| problems.push(line.problem(column, why))).ok()
}
