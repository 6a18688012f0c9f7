//! The roster's CSV: text in, rows out, or every problem of the file at once with its line.
//!
//! A card's text is turned into its pseudonym by the caller's function.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    path::{Component, Path, PathBuf},
};

use examgate::domain::{CardPseudonym, CardStanding, Language, RoomId, Student, StudentId};

/// Columns that must be there, in any order.
pub(crate) const REQUIRED: [&str; 5] = ["student_id", "given_name", "card", "room", "photos"];
/// Column that may be there: `active` (also when empty) or `revoked`.
pub(crate) const STANDING: &str = "card_standing";
/// Column that may be there: a language tag, or nothing.
pub(crate) const LANGUAGE: &str = "language";
/// Longest given name, characters: what the screen can greet with on two lines.
const LONGEST_NAME: usize = 80;

/// One student's line.
#[derive(Debug)]
pub(crate) struct Row {
    /// Line of the file, the header being line 1.
    pub(crate) line: u64,
    pub(crate) student: Student,
    pub(crate) card: CardPseudonym,
    pub(crate) standing: CardStanding,
    pub(crate) room: RoomId,
    /// Photos named by the line, inside the photo folder; empty: by the file names' convention.
    pub(crate) photos: Vec<PathBuf>,
}

/// One thing wrong with the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where; absent when it concerns the whole file.
    pub(crate) line: Option<u64>,
    /// What, and how to mend it.
    pub(crate) text: String,
}

impl Problem {
    /// Concerns the whole file.
    pub(crate) fn file(text: impl Into<String>) -> Self {
        Self { line: None, text: text.into() }
    }

    /// Concerns one line.
    pub(crate) fn at(line: u64, text: impl Into<String>) -> Self {
        Self { line: Some(line), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Everything wrong with the file. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

/// Problems that are shown at a time: more than a screen nobody reads.
const SHOWN: usize = 40;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => only.fmt(f),
            many => {
                write!(f, "{} problems", many.len())?;
                many.iter().take(SHOWN).try_for_each(|problem| write!(f, "\n  {problem}"))?;
                match many.len().saturating_sub(SHOWN) {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more, which are shown when these are mended"),
                }
            }
        }
    }
}

impl std::error::Error for Problems {}

/// Makes text of a CSV's bytes: UTF-8, a byte-order mark tolerated.
///
/// # Errors
/// Empty, UTF-16, or not UTF-8 (with line and byte of the first bad one).
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problems> {
    let one = |text: String| Problems(vec![Problem::file(text)]);
    let utf16 = "the file is UTF-16 (Excel's \"Unicode Text\"): save it as \"CSV UTF-8\"";
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(one(utf16.into()));
    }
    // Without its mark, UTF-16 of a header in ASCII has a NUL in every other byte.
    if let [first, second, ..] = bytes
        && (*first == 0) != (*second == 0)
    {
        return Err(one(utf16.into()));
    }
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(body).map_err(|bad| {
        let before = &body[..bad.valid_up_to()];
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|&&b| b != b'\n').count();
        let offset = bytes.len() - body.len() + bad.valid_up_to();
        one(format!(
            "line {line}: byte {column} of the line (0x{:02X}, byte {offset} of the file) is not UTF-8; the file may be \
             Windows-1252 or Latin-1: save it as \"CSV UTF-8\"",
            body[bad.valid_up_to()],
        ))
    })?;
    if text.trim().is_empty() {
        return Err(one(format!(
            "the file is empty: a header `{}` and one line a student are needed",
            REQUIRED.join(",")
        )));
    }
    Ok(text)
}

/// Reads all rows. `pseudonym` turns a card's text into its pseudonym, or says what is wrong with it.
///
/// # Errors
/// All problems of the file together; then no row is returned.
pub(crate) fn rows(
    bytes: &[u8],
    pseudonym: impl Fn(&str) -> Result<CardPseudonym, String>,
) -> Result<Vec<Row>, Problems> {
    let text = text(bytes)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| Problems(vec![Problem::at(1, e.to_string())]))?.clone();
    let columns = Columns::of(&header)?;

    let mut problems = Vec::new();
    let mut seen = Seen::default();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                problems.push(Problem::file(e.to_string()));
                continue;
            }
        };
        // Trailing rows that a spreadsheet leaves behind.
        if record.iter().all(str::is_empty) {
            continue;
        }
        let line = first_line(text, &record);
        if record.len() != header.len() {
            problems.push(Problem::at(
                line,
                format!(
                    "the header has {} fields, this line {}: a comma too many or too few, or a quote left open",
                    header.len(),
                    record.len()
                ),
            ));
            continue;
        }
        let found = problems.len();
        let row = columns.row(line, &record, &pseudonym, &mut problems);
        seen.check(line, &columns, &record, row.as_ref(), &mut problems);
        if let Some(row) = row
            && problems.len() == found
        {
            rows.push(row);
        }
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push(Problem::file("no student: there is a header and nothing under it"));
    }
    if problems.is_empty() { Ok(rows) } else { Err(Problems(problems)) }
}

/// Line on which a record begins. The reader's own position still counts blank lines before the record as part of it.
pub(crate) fn first_line(text: &str, record: &csv::StringRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let blank = text.as_bytes().get(start..).unwrap_or_default().iter().take_while(|b| matches!(b, b'\r' | b'\n'));
    position.line() + blank.filter(|&&b| b == b'\n').count() as u64
}

/// Where each column is.
struct Columns {
    required: [usize; REQUIRED.len()],
    standing: Option<usize>,
    language: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let place = |name: &str| header.iter().position(|column| column == name);
        let missing: Vec<_> = REQUIRED.into_iter().filter(|name| place(name).is_none()).collect();
        if !missing.is_empty() {
            let hint = match header.iter().next() {
                Some(only) if header.len() == 1 && only.contains([';', '\t']) => {
                    "; the columns seem to be separated by something other than commas"
                }
                _ => "",
            };
            problems.push(Problem::at(
                1,
                format!(
                    "missing {} {}; found {}{hint}",
                    if missing.len() == 1 { "column" } else { "columns" },
                    quoted(missing.into_iter()),
                    quoted(header.iter()),
                ),
            ));
        } else {
            // An unknown column may be a misspelt `card_standing`: taking a revoked card for a good one is worse than asking.
            let unknown: Vec<_> =
                header.iter().filter(|name| !REQUIRED.contains(name) && ![STANDING, LANGUAGE].contains(name)).collect();
            if !unknown.is_empty() {
                problems.push(Problem::at(
                    1,
                    format!(
                        "unknown {} {}: remove what a roster does not need; known are {} and optionally `{STANDING}` and `{LANGUAGE}`",
                        if unknown.len() == 1 { "column" } else { "columns" },
                        quoted(unknown.into_iter()),
                        quoted(REQUIRED.into_iter()),
                    ),
                ));
            }
        }
        for (at, name) in header.iter().enumerate() {
            if place(name) != Some(at) {
                problems.push(Problem::at(1, format!("column `{name}` is there twice")));
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            required: REQUIRED.map(|name| place(name).expect("missing columns were refused")),
            standing: place(STANDING),
            language: place(LANGUAGE),
        })
    }

    fn fields<'r>(&self, record: &'r csv::StringRecord) -> [&'r str; REQUIRED.len()] {
        self.required.map(|at| record.get(at).unwrap_or_default())
    }

    fn row(
        &self,
        line: u64,
        record: &csv::StringRecord,
        pseudonym: impl Fn(&str) -> Result<CardPseudonym, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<Row> {
        let [student, name, card, room, photos] = self.fields(record);
        let mut wrong = |column: &str, why: String| problems.push(Problem::at(line, format!("`{column}`: {why}")));

        let student =
            if student.is_empty() { Err("empty".into()) } else { StudentId::new(student).map_err(|e| e.to_string()) };
        let room = if room.is_empty() { Err("empty".into()) } else { RoomId::new(room).map_err(|e| e.to_string()) };
        let card =
            if card.is_empty() { Err("empty".into()) } else { pseudonym(card).map_err(|why| spreadsheet(card, why)) };
        let standing = match self.standing.and_then(|at| record.get(at)).unwrap_or_default() {
            "" | "active" => Ok(CardStanding::Active),
            "revoked" => Ok(CardStanding::Revoked),
            other => Err(format!("`{other}` is neither `active` nor `revoked`")),
        };
        let language = self.language.and_then(|at| record.get(at)).filter(|tag| !tag.is_empty());
        let language = language.map(Language::new).transpose().map_err(|e| e.to_string());
        let name = name_of(name);
        let photos: Result<Vec<_>, _> = photos.split(';').map(str::trim).filter(|p| !p.is_empty()).map(photo).collect();

        // Each column is judged on its own, so that one run names all that is wrong with the line.
        macro_rules! judge {
            ($column:literal, $value:ident) => {
                match $value {
                    Ok(value) => Some(value),
                    Err(why) => {
                        wrong($column, why);
                        None
                    }
                }
            };
        }
        let (id, given_name) = (judge!("student_id", student), judge!("given_name", name));
        let (card, room) = (judge!("card", card), judge!("room", room));
        let (photos, standing) = (judge!("photos", photos), judge!("card_standing", standing));
        let language = judge!("language", language);
        Some(Row {
            line,
            student: Student { id: id?, given_name: given_name?, language: language? },
            card: card?,
            standing: standing?,
            room: room?,
            photos: photos?,
        })
    }
}

/// What earlier lines hold, to name both lines of a duplicate.
#[derive(Default)]
struct Seen {
    students: HashMap<String, u64>,
    cards: HashMap<CardPseudonym, u64>,
    photos: HashMap<PathBuf, u64>,
}

impl Seen {
    fn check(
        &mut self,
        line: u64,
        columns: &Columns,
        record: &csv::StringRecord,
        row: Option<&Row>,
        problems: &mut Vec<Problem>,
    ) {
        let mut twice = |first: Option<u64>, what: &str| {
            if let Some(first) = first {
                problems.push(Problem::at(line, format!("{what} is already on line {first}")));
            }
        };
        let [student, ..] = columns.fields(record);
        if !student.is_empty() {
            twice(before(self.students.entry(student.into()), line), &format!("student `{student}`"));
        }
        let Some(row) = row else { return };
        twice(before(self.cards.entry(row.card), line), "the same card");
        for photo in &row.photos {
            twice(before(self.photos.entry(photo.clone()), line), &format!("photo `{}`", photo.display()));
        }
    }
}

fn before<K>(entry: Entry<'_, K, u64>, line: u64) -> Option<u64> {
    match entry {
        Entry::Occupied(first) => Some(*first.get()),
        Entry::Vacant(free) => {
            free.insert(line);
            None
        }
    }
}

fn name_of(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("empty: the screen greets with it".into())
    } else if text.chars().any(char::is_control) {
        Err("a line break or other control character inside: is a quote left open?".into())
    } else if text.chars().count() > LONGEST_NAME {
        Err(format!("longer than {LONGEST_NAME} characters"))
    } else {
        Ok(text.into())
    }
}

/// A photo's name, held inside the photo folder.
fn photo(name: &str) -> Result<PathBuf, String> {
    let path = Path::new(name);
    if path.components().all(|part| matches!(part, Component::Normal(_))) && !name.contains(char::is_control) {
        Ok(path.into())
    } else {
        Err(format!("`{}` is not a file name inside the photo folder", name.escape_debug()))
    }
}

/// Adds the usual cause when a card's number went through a spreadsheet.
fn spreadsheet(card: &str, why: String) -> String {
    let number = card.contains(['E', 'e']) && card.contains(['+', '.', ',']);
    if number {
        format!("{why} (a spreadsheet made a number of it: format the column as text before pasting)")
    } else {
        why
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
