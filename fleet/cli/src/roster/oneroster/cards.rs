//! The card office's table: cards by student number, one line a card, with whatever else it knows of the student's place.
//!
//! Lines of students who do not sit the exam are passed over: such a table is often the whole campus's.

use std::{borrow::Cow, collections::HashMap};

use examgate_enrol::{
    folder::without_zeros,
    table::{Problem, Problems, Record, Table},
};

use super::super::{
    cells,
    columns::{Column, Columns, known},
    suspects::Suspects,
};

/// The table, read.
pub(super) struct CardTable {
    /// The file's name.
    pub(super) name: String,
    columns: Columns,
    rows: Vec<Record>,
    by_student: HashMap<String, Vec<usize>>,
    by_bare: HashMap<String, usize>,
    /// What somebody should look at.
    pub(super) remarks: Vec<Problem>,
}

impl CardTable {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no table of cards.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let own = |problem: Problem| problem.of(name);
        let whole = |problems: Problems| problems.0.into_iter().map(own).collect::<Vec<_>>();
        let table = Table::parse(bytes, known).map_err(whole)?;
        let mut columns = Columns::with(&table, &[Column::StudentId, Column::Card]).map_err(whole)?;
        let mut problems = table.problems.clone();
        for record in &table.rows {
            problems.extend(table.misfit(record).map(|why| Problem::at(record.line, why)));
        }
        let column = |column| -> Vec<_> {
            table.rows.iter().map(|record| (record.line, cells::plain(columns.cell(column, record)))).collect()
        };
        let suspects = Suspects::of(&column(Column::StudentId), &column(Column::Card), &column(Column::Room));
        problems.extend(suspects.problems);
        if !problems.is_empty() {
            return Err(problems.into_iter().map(own).collect());
        }
        let remarks = std::mem::take(&mut columns.remarks).into_iter().chain(suspects.remarks).map(own).collect();
        let (mut by_student, mut by_bare) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
        for (at, record) in table.rows.iter().enumerate() {
            let student = cells::plain(columns.cell(Column::StudentId, record)).to_lowercase();
            by_bare.entry(without_zeros(&student).to_owned()).or_insert(at);
            by_student.entry(student).or_default().push(at);
        }
        Ok(Self { name: name.to_owned(), columns, rows: table.rows, by_student, by_bare, remarks })
    }

    /// A student's lines, in the order of the file.
    pub(super) fn of(&self, student: &str) -> Vec<&Record> {
        let places = self.by_student.get(&student.to_lowercase());
        places.into_iter().flatten().map(|&at| &self.rows[at]).collect()
    }

    /// Line of a student whose number has other zeros in front.
    pub(super) fn other_zeros(&self, student: &str) -> Option<u64> {
        self.by_bare.get(without_zeros(&student.to_lowercase())).map(|&at| self.rows[at].line)
    }

    /// Cells of further cards and of their standing, by their place, in one line.
    pub(super) fn more<'r>(&self, record: &'r Record) -> impl Iterator<Item = (usize, Cow<'r, str>, &'r str)> {
        self.columns.more(record)
    }

    /// A cell; empty where there is no such column.
    pub(super) fn cell<'r>(&self, column: Column, record: &'r Record) -> &'r str {
        self.columns.cell(column, record)
    }

    /// What is wrong with a cell.
    pub(super) fn problem(&self, record: &Record, column: Column, text: &str) -> Problem {
        self.problem_in(record, column.name(), text)
    }

    /// The same, of a column by its name.
    pub(super) fn problem_in(&self, record: &Record, column: &str, text: &str) -> Problem {
        Problem::at(record.line, format!("`{column}`: {text}")).of(&self.name)
    }
}
