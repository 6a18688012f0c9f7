//! A roster's rows out of a table: what is right, everything that is wrong, and what somebody should look at.
//!
//! A card's text is turned into its pseudonym by the caller's function.

use std::collections::{HashMap, hash_map::Entry};

use examgate::domain::{CardPseudonym, CardStanding, RoomId, Student};
use examgate_enrol::table::{Problem, Problems, Record, Table};

use super::{
    cells,
    columns::{Column, Columns, known},
    suspects::{Cell, Suspects},
};

/// One student's line.
#[derive(Debug)]
pub(crate) struct Row {
    /// In which of several files; absent where there is only one.
    pub(crate) sheet: Option<&'static str>,
    /// Line of the file, counted from 1.
    pub(crate) line: u64,
    pub(crate) student: Student,
    pub(crate) card: CardPseudonym,
    pub(crate) standing: CardStanding,
    pub(crate) room: RoomId,
    /// Photos as the line names them; empty: by the file names' convention.
    pub(crate) photos: Vec<String>,
}

impl Row {
    /// Something about this line.
    pub(crate) fn problem(&self, text: impl Into<String>) -> Problem {
        Problem { sheet: self.sheet.map(Into::into), ..Problem::at(self.line, text) }
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Rows without a problem.
    pub(crate) rows: Vec<Row>,
    /// Everything that is wrong. Nothing may be imported unless it is empty.
    pub(crate) problems: Vec<Problem>,
    /// What may be wrong, and what was read in a way that somebody should know of.
    pub(crate) remarks: Vec<Problem>,
}

/// Reads all rows. `pseudonym` turns a card's text into its pseudonym, or says what is wrong with it.
///
/// # Errors
/// When the file is no table, or its header is not a roster's: then no row can be judged.
pub(crate) fn read(bytes: &[u8], pseudonym: impl Fn(&str) -> Result<CardPseudonym, String>) -> Result<Rows, Problems> {
    let table = Table::parse(bytes, known)?;
    let mut columns = Columns::of(&table)?;
    let mut read =
        Rows { rows: Vec::new(), remarks: std::mem::take(&mut columns.remarks), problems: table.problems.clone() };
    let mut seen = Seen::default();
    let mut whole: [Vec<Cell>; 3] = Default::default();
    for record in &table.rows {
        if let Some(why) = astray(&table, &columns, record) {
            read.problems.push(Problem::at(record.line, why));
            continue;
        }
        let cell = |column| columns.cell(column, record);
        for (cells, column) in whole.iter_mut().zip([Column::StudentId, Column::Card, Column::Room]) {
            cells.push((record.line, cells::plain(cell(column))));
        }
        let found = read.problems.len();
        let row = row(record.line, &columns, record, &pseudonym, &mut read.problems);
        seen.check(record.line, &cells::plain(cell(Column::StudentId)), row.as_ref(), &mut read.problems);
        read.rows.extend(row.filter(|_| read.problems.len() == found));
    }
    let [students, cards, rooms] = &whole;
    let suspects = Suspects::of(students, cards, rooms);
    read.problems.extend(suspects.problems);
    read.remarks.extend(suspects.remarks);
    if read.rows.is_empty() && read.problems.is_empty() {
        read.problems.push(Problem::file("no student: there is a header and nothing under it"));
    }
    read.problems.sort_by_key(|problem| problem.line);
    read.remarks.sort_by_key(|remark| remark.line);
    Ok(read)
}

/// Why a record is no student's, whatever its cells hold.
fn astray(table: &Table, columns: &Columns, record: &Record) -> Option<String> {
    if record.cells.iter().filter(|cell| known(cell)).count() > 1 {
        return Some("a header once more: are two tables under one another? Remove this line".into());
    }
    if let Some(why) = table.misfit(record) {
        return Some(why);
    }
    if let Some(cell) = columns.astray(record) {
        return Some(format!("cell {cell} stands under no column's name: empty it, or remove its column"));
    }
    let empty = |column| columns.cell(column, record).is_empty();
    (empty(Column::Card) && empty(Column::Room))
        .then(|| "neither a card nor a room: fill them in, or remove the line if it is a total or a note".into())
}

fn row(
    line: u64,
    columns: &Columns,
    record: &Record,
    pseudonym: impl Fn(&str) -> Result<CardPseudonym, String>,
    problems: &mut Vec<Problem>,
) -> Option<Row> {
    let cell = |column| columns.cell(column, record);
    // Each cell is judged on its own, so that one run names all that is wrong with the line.
    let mut judge = Judge { line, problems };
    let id = judge.of(Column::StudentId, cells::student(cell(Column::StudentId)));
    let name = if columns.whole_names { cells::name::out_of_whole } else { cells::name::given };
    let given_name = judge.of(Column::GivenName, name(cell(Column::GivenName)));
    let card = judge.of(Column::Card, cells::card(cell(Column::Card), pseudonym));
    let room = judge.of(Column::Room, cells::room(cell(Column::Room)));
    let photos = judge.of(Column::Photos, cells::photos(cell(Column::Photos)));
    let standing = judge.of(Column::Standing, cells::standing(cell(Column::Standing)));
    let language = judge.of(Column::Language, cells::language(cell(Column::Language)));
    Some(Row {
        sheet: None,
        line,
        student: Student { id: id?, given_name: given_name?, language: language? },
        card: card?,
        standing: standing?,
        room: room?,
        photos: photos?,
    })
}

/// Where a row's problems go.
struct Judge<'p> {
    line: u64,
    problems: &'p mut Vec<Problem>,
}

impl Judge<'_> {
    fn of<T>(&mut self, column: Column, cell: Result<T, String>) -> Option<T> {
        cell.map_err(|why| self.problems.push(Problem::at(self.line, format!("`{}`: {why}", column.name())))).ok()
    }
}

/// What earlier lines hold, to name both lines of a duplicate.
#[derive(Default)]
struct Seen {
    students: HashMap<String, (u64, String)>,
    cards: HashMap<CardPseudonym, u64>,
}

impl Seen {
    fn check(&mut self, line: u64, student: &str, row: Option<&Row>, problems: &mut Vec<Problem>) {
        if !student.is_empty() {
            match self.students.entry(student.to_lowercase()) {
                Entry::Vacant(free) => {
                    free.insert((line, student.to_owned()));
                }
                Entry::Occupied(first) => {
                    let (before, spelt) = first.get();
                    let how = if spelt == student { String::new() } else { format!(" as `{}`", spelt.escape_debug()) };
                    let what = format!("student `{}` is already on line {before}{how}", student.escape_debug());
                    problems.push(Problem::at(line, what));
                }
            }
        }
        let Some(row) = row else { return };
        match self.cards.entry(row.card) {
            Entry::Vacant(free) => {
                free.insert(line);
            }
            Entry::Occupied(first) => {
                problems.push(Problem::at(line, format!("the same card is already on line {}", first.get())));
            }
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
