//! A roster's rows out of a table: what is right, everything that is wrong, and what somebody should look at.
//!
//! A card's text is turned into its pseudonym by the caller's function.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use examgate::domain::{Card, CardPseudonym, MAX_CARDS, Matching, RoomId, RosterEntry, Seat, Student};
use examgate_enrol::table::{Problem, Problems, Record, Table};

use super::{
    cells,
    columns::{Column, Columns, known, more_name, unmarked},
    suspects::{Cell, Suspects},
};

/// One student's line.
#[derive(Debug)]
pub(crate) struct Row {
    /// In which of several files; absent where there is only one.
    pub(crate) sheet: Option<&'static str>,
    /// Line of the file, counted from 1.
    pub(crate) line: u64,
    pub(crate) entry: RosterEntry,
    /// Photos as the line names them; empty: by the file names' convention.
    pub(crate) photos: Vec<String>,
}

impl Row {
    /// Whether the student opted out of face matching, so that no photo is looked at.
    pub(crate) fn opted_out(&self) -> bool {
        self.entry.matching == Matching::None
    }

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
    let mut more: BTreeMap<usize, Vec<Cell>> = BTreeMap::new();
    for record in &table.rows {
        if let Some(why) = astray(&table, &columns, record) {
            read.problems.push(Problem::at(record.line, why));
            continue;
        }
        let cell = |column| columns.cell(column, record);
        for (cells, column) in whole.iter_mut().zip([Column::StudentId, Column::Card, Column::Room]) {
            cells.push((record.line, cells::plain(cell(column))));
        }
        for (card, text, _) in columns.more(record) {
            more.entry(card).or_default().push((record.line, cells::plain(unmarked(&text))));
        }
        let found = read.problems.len();
        let row = row(record.line, &columns, record, &pseudonym, &mut read.problems);
        seen.check(record.line, &cells::plain(cell(Column::StudentId)), row.as_ref(), &mut read);
        read.rows.extend(row.filter(|_| read.problems.len() == found));
    }
    let [students, cards, rooms] = &whole;
    let suspects = Suspects::of(students, cards, rooms);
    read.problems.extend(suspects.problems);
    read.remarks.extend(suspects.remarks);
    for (card, cells) in &more {
        let suspects = Suspects::of(&[], cells, &[]).renamed("card", &more_name(*card));
        read.problems.extend(suspects.problems);
        read.remarks.extend(suspects.remarks);
    }
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
    (empty(Column::Card) && empty(Column::Room) && !columns.has_number(record))
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
    // Nothing is missing where another column names the card.
    let by_number = cells::plain(cell(Column::Card)).is_empty() && columns.has_number(record);
    let first = if by_number {
        Some(None)
    } else {
        judge.of(Column::Card, cells::card(cell(Column::Card), &pseudonym)).map(Some)
    };
    let room = judge.of(Column::Room, cells::room(cell(Column::Room)));
    let photos = judge.of(Column::Photos, cells::photos(cell(Column::Photos)));
    let standing = judge.of(Column::Standing, cells::standing(cell(Column::Standing)));
    let language = judge.of(Column::Language, cells::language(cell(Column::Language)));
    let preferred = judge.of(Column::PreferredName, cells::preferred(cell(Column::PreferredName)));
    let seat = judge.of(Column::Seat, cells::seat(cell(Column::Seat)));
    let matching = judge.of(Column::Matching, cells::matching(cell(Column::Matching)));
    let most = MAX_CARDS - usize::from(!by_number);
    let other_cards = more_cards(&mut judge, columns, record, most, &pseudonym);
    let given_name = given_name?;
    let preferred_name = preferred?.filter(|preferred| *preferred != given_name);
    let (first, standing, other_cards) = (first?, standing?, other_cards?);
    let mut cards = first.map(|pseudonym| Card { pseudonym, standing }).into_iter().chain(other_cards);
    let entry = RosterEntry {
        student: Student { id: id?, given_name, preferred_name, language: language? },
        card: cards.next()?,
        other_cards: cards.collect(),
        room: room?,
        seat: seat?,
        matching: matching?,
        look_alikes: Vec::new(),
    };
    Some(Row { sheet: None, line, entry, photos: photos? })
}

/// The cards of `card_2` and so on, and of the columns of other numbers, at `most` so many. An empty cell is none.
fn more_cards(
    judge: &mut Judge<'_>,
    columns: &Columns,
    record: &Record,
    most: usize,
    pseudonym: impl Fn(&str) -> Result<CardPseudonym, String>,
) -> Option<Vec<Card>> {
    let mut cards = Some(Vec::new());
    for (place, text, standing) in columns.more(record) {
        let card = if !cells::plain(&text).is_empty() {
            let name = more_name(place);
            let pseudonym = judge.named(&name, cells::card(&text, &pseudonym));
            let standing = judge.named(&format!("{name}_standing"), cells::standing(standing));
            pseudonym.zip(standing).map(|(pseudonym, standing)| Card { pseudonym, standing })
        } else if cells::plain(standing).is_empty() {
            continue;
        } else {
            let why = format!("filled in, and `{}` is empty", more_name(place));
            judge.named(&format!("{}_standing", more_name(place)), Err(why))
        };
        cards = cards.zip(card).map(|(mut cards, card)| {
            cards.push(card);
            cards
        });
    }
    if cards.as_ref().is_some_and(|cards| cards.len() > most) {
        return judge.of(Column::Card, Err(format!("more than {MAX_CARDS} cards of one student")));
    }
    cards
}

/// Where a row's problems go.
struct Judge<'p> {
    line: u64,
    problems: &'p mut Vec<Problem>,
}

impl Judge<'_> {
    fn of<T>(&mut self, column: Column, cell: Result<T, String>) -> Option<T> {
        self.named(column.name(), cell)
    }

    fn named<T>(&mut self, column: &str, cell: Result<T, String>) -> Option<T> {
        cell.map_err(|why| self.problems.push(Problem::at(self.line, format!("`{column}`: {why}")))).ok()
    }
}

/// What earlier lines hold, to name both lines of a duplicate.
#[derive(Default)]
struct Seen {
    students: HashMap<String, (u64, String)>,
    cards: HashMap<CardPseudonym, u64>,
    seats: HashMap<(RoomId, Seat), u64>,
}

impl Seen {
    fn check(&mut self, line: u64, student: &str, row: Option<&Row>, read: &mut Rows) {
        let problems = &mut read.problems;
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
        let Some(Row { entry, .. }) = row else { return };
        for card in entry.cards() {
            match self.cards.entry(card.pseudonym) {
                Entry::Vacant(free) => {
                    free.insert(line);
                }
                Entry::Occupied(first) if *first.get() == line => {
                    problems.push(Problem::at(line, "the same card is on this line twice: empty one of the two cells"));
                }
                Entry::Occupied(first) => {
                    problems.push(Problem::at(line, format!("the same card is already on line {}", first.get())));
                }
            }
        }
        let Some(seat) = &entry.seat else { return };
        if let Some(first) = self.seats.insert((entry.room.clone(), seat.clone()), line) {
            let text = format!("`seat`: the same seat of the same room is on line {first} too");
            read.remarks.push(Problem::at(line, text));
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
