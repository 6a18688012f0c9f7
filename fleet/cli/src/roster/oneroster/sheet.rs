//! One table of a OneRoster export: its columns by name, its lines with their numbers.

use std::collections::HashMap;

use examgate_enrol::table::{Problem, Record, Table};

/// A table, read.
pub(super) struct Sheet {
    /// The file's name.
    pub(super) name: &'static str,
    table: Table,
    places: HashMap<String, usize>,
}

/// What is known of a table: its name, the columns that have to be there, and those that are read where they are.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

/// One line of a table.
#[derive(Clone, Copy)]
pub(super) struct Line<'s> {
    sheet: &'s Sheet,
    record: &'s Record,
}

impl Sheet {
    /// Reads a table. Columns that are not asked for are passed over: exports have many.
    ///
    /// # Errors
    /// Everything that is wrong with it as a table.
    pub(super) fn read(shape: &Shape, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let own = |problem: Problem| problem.of(shape.name);
        let known =
            |cell: &str| shape.required.iter().chain(shape.optional).any(|name| name.eq_ignore_ascii_case(cell));
        let table =
            Table::parse(bytes, known).map_err(|problems| problems.0.into_iter().map(own).collect::<Vec<_>>())?;
        let (line, header) = (table.header.line, &table.header.cells);
        let (mut places, mut problems) = (HashMap::new(), table.problems.clone());
        for (at, name) in header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if places.insert(name.to_lowercase(), at).is_some() {
                problems
                    .push(Problem::at(line, format!("column `{}` is there twice: remove one", name.escape_debug())));
            }
        }
        let lacks = |name: &&&str| !places.contains_key(&name.to_lowercase());
        let missing: Vec<_> = shape.required.iter().filter(lacks).map(|name| format!("`{name}`")).collect();
        if !missing.is_empty() {
            let found: Vec<_> = header.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
            let text = format!("missing column {}; found {}: export it again", missing.join(", "), found.join(", "));
            problems.push(Problem::at(line, text));
        }
        for record in &table.rows {
            problems.extend(table.misfit(record).map(|why| Problem::at(record.line, why)));
        }
        if problems.is_empty() {
            Ok(Self { name: shape.name, table, places })
        } else {
            Err(problems.into_iter().map(own).collect())
        }
    }

    /// All lines below the header.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.table.rows.iter().map(|record| Line { sheet: self, record })
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, column: &str) -> bool {
        self.places.contains_key(&column.to_lowercase())
    }

    /// Names of the columns that a campus added.
    pub(super) fn extensions(&self) -> Vec<&str> {
        let names = self.table.header.cells.iter().map(String::as_str);
        names.filter(|name| name.to_lowercase().starts_with("metadata.")).collect()
    }

    /// Line of the header.
    pub(super) const fn header(&self) -> u64 {
        self.table.header.line
    }
}

impl<'s> Line<'s> {
    /// A cell; empty where there is no such column.
    pub(super) fn cell(self, column: &str) -> &'s str {
        let at = self.sheet.places.get(&column.to_lowercase());
        at.and_then(|&at| self.record.cells.get(at)).map_or("", String::as_str)
    }

    /// Its number.
    pub(super) const fn number(self) -> u64 {
        self.record.line
    }

    /// What is wrong with one of its cells.
    pub(super) fn problem(self, column: &str, text: impl AsRef<str>) -> Problem {
        Problem::at(self.record.line, format!("`{column}`: {}", text.as_ref())).of(self.sheet.name)
    }
}
