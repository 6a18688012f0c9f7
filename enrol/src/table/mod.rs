//! Tables as offices send them: bytes to a header and records, each with its true line, or every quote and byte that hinders it.
//!
//! The caller says which names of columns it knows.

mod lines;
pub mod problems;
mod quotes;
mod text;

use self::lines::Lines;
pub use self::problems::{Problem, Problems, grouped};

/// What parts cells: a comma, the semicolon of European spreadsheets, the tab of Excel's "Unicode Text", a bar.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records among which the header is looked for: there may be titles above it.
const HEADER_WITHIN: usize = 20;

/// One record. Its cells are trimmed and rid of what spreadsheets put around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Line of the file on which it begins, counted from 1.
    pub line: u64,
    /// Its cells, in the order of the file.
    pub cells: Vec<String>,
}

impl Record {
    fn is_empty(&self) -> bool {
        self.cells.iter().all(String::is_empty)
    }

    /// Number of cells up to the last one that is filled.
    fn filled(&self) -> usize {
        self.cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1)
    }
}

/// A whole file.
#[derive(Debug)]
pub struct Table {
    /// The first record with the most known names; the first one of all if there is none.
    pub header: Record,
    /// How many of the header's names are known.
    pub known: usize,
    /// Lines of the records above the header.
    pub above: Vec<u64>,
    /// Records under the header, without empty ones and without those that a stray quote spoils.
    pub rows: Vec<Record>,
    /// Stray quotes.
    pub problems: Vec<Problem>,
}

impl Table {
    /// Reads a table. `known` says whether a cell is the name of a column.
    ///
    /// # Errors
    /// When the bytes are no text, or a stray quote spoils the header.
    pub fn parse(bytes: &[u8], known: impl Fn(&str) -> bool) -> Result<Self, Problems> {
        let text = text::decode(bytes)?;
        let lines = Lines::of(text.as_bytes());
        let (start, stated) = stated(&text);
        let body = &text[start..];
        let names = |record: &Record| record.cells.iter().filter(|cell| known(cell)).count();
        // Of equals the last one is taken: the comma goes first.
        let most = |separator: &u8| records(body, *separator).take(HEADER_WITHIN).map(|(_, r)| names(&r)).max();
        let separator = stated.or_else(|| SEPARATORS.into_iter().rev().max_by_key(most)).unwrap_or(b',');

        let faults = quotes::faults(body, separator);
        let mut spoilt = Vec::new();
        let mut read = Vec::new();
        let mut all = records(body, separator).peekable();
        while let Some((at, mut record)) = all.next() {
            let end = all.peek().map_or(body.len(), |(next, _)| *next);
            record.line = lines.at(start + at);
            if faults.iter().any(|fault| (at..end).contains(&fault.opens)) {
                spoilt.push(record);
            } else if !record.is_empty() {
                read.push(record);
            }
        }
        let mut problems: Vec<_> = faults.into_iter().map(|fault| said(fault, start, &lines)).collect();
        if read.is_empty() && problems.is_empty() {
            problems.push(text::empty());
        }

        let found = read.iter().take(HEADER_WITHIN).map(names).max().unwrap_or(0);
        let at = read.iter().position(|record| names(record) == found).unwrap_or(0);
        if spoilt.iter().any(|record| names(record) > found) || (found == 0 && !problems.is_empty()) || read.is_empty()
        {
            return Err(Problems(problems));
        }
        let rows = read.split_off(at + 1);
        let header = read.pop().expect("the records end with the header");
        Ok(Self { header, known: found, above: read.iter().map(|record| record.line).collect(), rows, problems })
    }

    /// Columns up to the last one with a name. Spreadsheets leave empty ones behind it.
    pub fn width(&self) -> usize {
        self.header.filled()
    }

    /// What is wrong with a record's number of cells. Empty cells too many are none.
    pub fn misfit(&self, record: &Record) -> Option<String> {
        let (wanted, cells) = (self.width(), record.cells.len());
        if cells >= wanted && record.filled() <= wanted {
            return None;
        }
        let apart = |separator: &&u8| record.cells.iter().any(|cell| cell.contains(char::from(**separator)));
        let strange = SEPARATORS.iter().filter(|_| cells == 1).find(apart).copied();
        let why = match strange {
            Some(separator) => format!("this line is parted by {}, the header is not", spelt(separator)),
            None if record.cells.iter().any(|cell| cell.contains(['"', '“', '”', '„'])) => {
                "a quote must be straight (\") and the first character of its cell".into()
            }
            None if cells < wanted => {
                "a separator too few, or a quote left open; Excel leaves out empty cells at the end of lines: put the column that may be \
                 empty before one that is filled"
                    .into()
            }
            None => "a separator too many: a cell that holds one must stand in quotes".into(),
        };
        Some(format!(
            "the header has {wanted} fields, this line {}: {why}",
            if cells < wanted { cells } else { record.filled() }
        ))
    }
}

/// The separator that Excel's first line `sep=;` states, and where the text behind it begins.
fn stated(text: &str) -> (usize, Option<u8>) {
    let end = text.find(['\r', '\n']).unwrap_or(text.len());
    let first = text[..end].trim_matches(['"', ' ']);
    let stated = first.split_at_checked(4).filter(|(start, _)| start.eq_ignore_ascii_case("sep="));
    match stated.map(|(_, rest)| rest.as_bytes()) {
        Some(&[separator]) if separator.is_ascii_punctuation() || separator == b'\t' => (end, Some(separator)),
        Some(_) | None => (0, None),
    }
}

/// All records with the bytes at which they begin. Their lines are not known yet.
fn records(body: &str, separator: u8) -> impl Iterator<Item = (usize, Record)> {
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).delimiter(separator).from_reader(body.as_bytes());
    // Text cannot fail to be read as text.
    reader.into_records().map_while(Result::ok).map(move |record| {
        let reported = record.position().map_or(0, |position| position.byte() as usize);
        // The reader counts blank lines before a record as part of it.
        let blank = body.as_bytes().get(reported..).unwrap_or_default();
        let at = reported + blank.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        (at, Record { line: 0, cells: record.iter().map(|cell| tidy(cell).to_owned()).collect() })
    })
}

/// A cell without white space and invisible characters around it, and without the `="…"` that keeps a spreadsheet from making a number of it.
fn tidy(cell: &str) -> &str {
    let blank = |c: char| {
        c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2060}' | '\u{AD}')
    };
    let cell = cell.trim_matches(blank);
    let inner = cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).map_or(cell, |inner| inner.trim_matches(blank))
}

fn said(quotes::Fault { opens, cell, closes }: quotes::Fault, start: usize, lines: &Lines) -> Problem {
    let line = lines.at(start + opens);
    let text = match closes.map(|at| lines.at(start + at)) {
        None => format!(
            "the quote that opens in cell {cell} is never closed, and takes in the rest of the file: close or remove it"
        ),
        Some(end) if end == line => {
            format!(
                "cell {cell} goes on behind the quote that closes it: a quote inside a quoted cell is written twice (\"\")"
            )
        }
        Some(end) => format!(
            "the quote that opens in cell {cell} closes on line {end} only, amid another cell: close it on line {line}, or remove it"
        ),
    };
    Problem::at(line, text)
}

/// A separator in words.
fn spelt(separator: u8) -> String {
    if separator == b'\t' { "tabs".into() } else { format!("`{}`", char::from(separator)) }
}

#[cfg(test)]
mod tests;
