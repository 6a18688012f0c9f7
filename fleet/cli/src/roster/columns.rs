//! Which cell of a row is what: the header's names, as this program, spreadsheets and campus systems spell them.

mod numbers;

use std::borrow::Cow;

use examgate::domain::MAX_CARDS;
use unicode_normalization::UnicodeNormalization;

use examgate_enrol::table::{Problem, Problems, Record, Table};

use numbers::{FURTHER, MORE, NUMBERS, numbers};
pub(crate) use numbers::{PACS_MARK, unmarked};

/// A column of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    StudentId,
    GivenName,
    Card,
    Room,
    Photos,
    Standing,
    Language,
    PreferredName,
    Seat,
    Matching,
}

impl Column {
    const ALL: [Self; 10] = [
        Self::StudentId,
        Self::GivenName,
        Self::Card,
        Self::Room,
        Self::Photos,
        Self::Standing,
        Self::Language,
        Self::PreferredName,
        Self::Seat,
        Self::Matching,
    ];
    /// What a roster cannot do without.
    const REQUIRED: [Self; 5] = [Self::StudentId, Self::GivenName, Self::Card, Self::Room, Self::Photos];

    /// The name in this program's own words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StudentId => "student_id",
            Self::GivenName => "given_name",
            Self::Card => "card",
            Self::Room => "room",
            Self::Photos => "photos",
            Self::Standing => "card_standing",
            Self::Language => "language",
            Self::PreferredName => "preferred_name",
            Self::Seat => "seat",
            Self::Matching => "matching",
        }
    }

    /// The names in other systems' words, as [`key`] makes them: of Banner (`SPRIDEN_ID`), PeopleSoft (`EMPLID`), Canvas (`SIS User ID`,
    /// `Student`) and of people.
    const fn others(self) -> &'static [&'static str] {
        match self {
            Self::StudentId => &[
                "studentnumber",
                "studentno",
                "sid",
                "id",
                "idnumber",
                "emplid",
                "sisuserid",
                "sisid",
                "bannerid",
                "spridenid",
                "universityid",
                "campusid",
                "netid",
            ],
            Self::GivenName => &["given", "firstname", "first", "forename", "spridenfirstname"],
            Self::Card => &["card1", "cardnumber", "cardno", "cardid", "carduid", "uid", "csn", "cardserialnumber"],
            Self::Room => &["examroom", "roomid", "roomnumber", "roomno", "facilityid"],
            Self::Photos => {
                &["photo", "picture", "pictures", "image", "images", "photofile", "photofiles", "photoname", "idphoto"]
            }
            Self::Standing => &["cardstatus"],
            Self::Language => &["lang", "preferredlanguage", "locale"],
            Self::PreferredName => &["preferredfirstname", "preferredgivenname", "chosenname", "nameinuse"],
            Self::Seat => &["seatnumber", "seatno", "seatid", "place"],
            Self::Matching => &[],
        }
    }
}

/// Names of columns that hold a whole name as "Last, First": the given name is what stands behind the comma.
const WHOLE_NAMES: [&str; 8] =
    ["name", "fullname", "studentname", "student", "lastfirst", "lastnamefirstname", "lastcommafirst", "sortablename"];

/// What a column's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// In this program's words, however spaced and capitalised.
    Own(Column),
    /// In another system's words.
    Other(Column),
    /// A name as "Last, First".
    WholeName,
    /// A further card by its place among them, or that card's standing.
    More { card: usize, standing: bool },
}

/// A column of a further card, such as `card2` or `card3standing`.
fn more(key: &str) -> Option<Meaning> {
    for (at, numbers) in NUMBERS.iter().enumerate() {
        let card = FURTHER + at;
        match key.strip_prefix(numbers.name) {
            Some("standing" | "status") => return Some(Meaning::More { card, standing: true }),
            Some(rest) if rest.is_empty() || numbers.others.contains(&rest) => {
                return Some(Meaning::More { card, standing: false });
            }
            Some(_) | None => {}
        }
    }
    let rest = key.strip_prefix("card")?;
    let rest = rest.strip_prefix("number").unwrap_or(rest);
    let (number, what) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let card = number.parse::<usize>().ok()?.checked_sub(2).filter(|card| *card < FURTHER)?;
    match what {
        "" => Some(Meaning::More { card, standing: false }),
        "standing" | "status" => Some(Meaning::More { card, standing: true }),
        _ => None,
    }
}

/// The name of a further card's column.
pub(crate) fn more_name(at: usize) -> String {
    numbers(at).map_or_else(|| format!("card_{}", at + 2), |numbers| numbers.name.into())
}

fn meaning(name: &str) -> Option<Meaning> {
    let key = key(name);
    if let Some(meaning) = more(&key) {
        return Some(meaning);
    }
    let own = Column::ALL.into_iter().find(|column| column.name().replace('_', "") == key).map(Meaning::Own);
    let whole = || WHOLE_NAMES.contains(&key.as_str()).then_some(Meaning::WholeName);
    let other = || Column::ALL.into_iter().find(|column| column.others().contains(&key.as_str())).map(Meaning::Other);
    own.or_else(whole).or_else(other)
}

/// A name without what people and programs write differently: capitals, spaces, underscores, hyphens, full-width letters, marks that cannot
/// be seen.
fn key(name: &str) -> String {
    name.nfkc().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a cell is the name of a column.
pub(crate) fn known(cell: &str) -> bool {
    meaning(cell).is_some()
}

/// Where each column is.
#[derive(Debug)]
pub(crate) struct Columns {
    places: [Option<usize>; Column::ALL.len()],
    /// Of further cards: where the card is, and its standing.
    more: [[Option<usize>; 2]; MORE],
    /// Whether the name's column holds "Last, First".
    pub(crate) whole_names: bool,
    /// Columns without a name between those that have one. Nothing may stand in them.
    nameless: Vec<usize>,
    /// What somebody should look at.
    pub(crate) remarks: Vec<Problem>,
}

impl Columns {
    /// The columns of a roster.
    ///
    /// # Errors
    /// Columns that are missing, unknown or there twice.
    pub(crate) fn of(table: &Table) -> Result<Self, Problems> {
        Self::with(table, &Column::REQUIRED)
    }

    /// The columns of a table in which these have to be there.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn with(table: &Table, required: &[Column]) -> Result<Self, Problems> {
        let (line, header) = (table.header.line, &table.header.cells);
        if table.known == 0 {
            return Err(Problems(vec![Problem::at(
                line,
                format!("no header: a line with {} is needed{}", names(required), in_quotes(header)),
            )]));
        }
        let mut columns = Self {
            places: [None; Column::ALL.len()],
            more: [[None; 2]; MORE],
            whole_names: false,
            nameless: Vec::new(),
            remarks: Vec::new(),
        };
        let (mut problems, mut unknown) = (Vec::new(), Vec::new());
        for (at, name) in header.iter().enumerate().take(table.width()) {
            let column = match meaning(name) {
                Some(Meaning::Own(column)) => column,
                Some(Meaning::Other(column)) => {
                    columns
                        .remarks
                        .push(Problem::at(line, format!("column {} is read as `{}`", quoted(name), column.name())));
                    column
                }
                Some(Meaning::WholeName) => {
                    columns.remarks.push(Problem::at(
                        line,
                        format!(
                            "column {} is read as \"Last, First\": what stands behind the comma is the `given_name`",
                            quoted(name)
                        ),
                    ));
                    columns.whole_names = true;
                    Column::GivenName
                }
                Some(Meaning::More { card, standing }) => {
                    if columns.more[card][usize::from(standing)].replace(at).is_some() {
                        let text = format!("column {} is there twice: remove one", quoted(name));
                        problems.push(Problem::at(line, text));
                    }
                    continue;
                }
                None if name.is_empty() => {
                    columns.nameless.push(at);
                    continue;
                }
                None => {
                    unknown.push(quoted(name));
                    continue;
                }
            };
            match columns.places[column as usize].replace(at) {
                Some(first) if header[first] == *name => {
                    problems.push(Problem::at(line, format!("column {} is there twice: remove one", quoted(name))));
                }
                Some(first) => problems.push(Problem::at(
                    line,
                    format!(
                        "columns {} and {} are both read as `{}`: remove one",
                        quoted(&header[first]),
                        quoted(name),
                        column.name()
                    ),
                )),
                None => {}
            }
        }
        // Some systems export no other name: then it is the given one.
        if columns.at(Column::GivenName).is_none()
            && let Some(at) = columns.places[Column::PreferredName as usize].take()
        {
            columns.places[Column::GivenName as usize] = Some(at);
            columns.remarks.push(Problem::at(
                line,
                format!("column {} is read as `given_name`: there is no other", quoted(&header[at])),
            ));
        }
        for (card, [at, standing]) in columns.more.iter().enumerate() {
            if let (None, Some(standing)) = (at, standing) {
                let (name, card) = (quoted(&header[*standing]), more_name(card));
                problems.push(Problem::at(line, format!("column {name} is there, but no column `{card}`")));
            }
        }
        let missing: Vec<_> = required
            .iter()
            .filter(|column| columns.at(**column).is_none())
            // One of them names a card.
            .filter(|column| **column != Column::Card || columns.more[FURTHER..].iter().all(|[at, _]| at.is_none()))
            .map(|column| quoted(column.name()))
            .collect();
        if !missing.is_empty() {
            let found: Vec<_> = header.iter().take(table.width()).map(|name| quoted(name)).collect();
            let missing = plural("column", &missing);
            problems.push(Problem::at(line, format!("missing {missing}; found {}", found.join(", "))));
        } else if !unknown.is_empty() {
            // An unknown column may be a misspelt `card_standing`: taking a revoked card for a good one is worse than asking.
            problems.push(Problem::at(
                line,
                format!(
                    "unknown {}: remove what a roster does not need; known are {}, `pacs`, `desfire`, `piv`, and `card_2` to `card_{MAX_CARDS}` with `card_2_standing` to \
                     `card_{MAX_CARDS}_standing`",
                    plural("column", &unknown),
                    names(&Column::ALL),
                ),
            ));
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        if let (Some(first), Some(last)) = (table.above.first(), table.above.last()) {
            let above = if first == last { format!("line {first} is") } else { format!("lines {first} to {last} are") };
            columns.remarks.push(Problem::at(line, format!("the header is here: {above} passed over")));
        }
        Ok(columns)
    }

    fn at(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// A row's cell; empty where the column is not there.
    pub(crate) fn cell<'r>(&self, column: Column, record: &'r Record) -> &'r str {
        self.at(column).and_then(|at| record.cells.get(at)).map_or("", String::as_str)
    }

    /// Further cards of a row: the card's place among them, its cell and that of its standing, for each column that is there. What a column
    /// in [`NUMBERS`] holds comes after its mark.
    pub(crate) fn more<'r>(&self, record: &'r Record) -> impl Iterator<Item = (usize, Cow<'r, str>, &'r str)> {
        let cell = move |at: Option<usize>| at.and_then(|at| record.cells.get(at)).map_or("", String::as_str);
        let there = self.more.into_iter().enumerate().filter(|(_, [at, _])| at.is_some());
        there.map(move |(card, [at, standing])| {
            let text = numbers(card).map_or(Cow::Borrowed(cell(at)), |numbers| numbers.marked(cell(at)));
            (card, text, cell(standing))
        })
    }

    /// Whether a row names a card in a column of other numbers than identifiers.
    pub(crate) fn has_number(&self, record: &Record) -> bool {
        let cells = self.more[FURTHER..].iter().filter_map(|[at, _]| record.cells.get((*at)?));
        cells.into_iter().any(|text| !text.trim().is_empty())
    }

    /// Number of a filled cell under no column's name, counted from 1.
    pub(crate) fn astray(&self, record: &Record) -> Option<usize> {
        self.nameless.iter().find(|&&at| record.cells.get(at).is_some_and(|cell| !cell.is_empty())).map(|at| at + 1)
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| quoted(column.name())).collect::<Vec<_>>().join(", ")
}

/// The hint for lines that are one cell each, in quotes.
fn in_quotes(header: &[String]) -> &'static str {
    match header {
        [only] if only.split([',', ';', '\t']).filter(|name| known(name)).count() > 1 => {
            "; each line stands in quotes as a whole: remove the outer ones"
        }
        _ => "",
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}

fn plural(what: &str, names: &[String]) -> String {
    format!("{what}{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

#[cfg(test)]
mod tests;
