//! Which cell of a row is what: the header's names, as this program, spreadsheets and campus systems spell them.

use unicode_normalization::UnicodeNormalization;

use examgate_enrol::table::{Problem, Problems, Record, Table};

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
}

impl Column {
    const ALL: [Self; 7] =
        [Self::StudentId, Self::GivenName, Self::Card, Self::Room, Self::Photos, Self::Standing, Self::Language];
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
            Self::GivenName => {
                &["given", "firstname", "first", "forename", "preferredname", "preferredfirstname", "spridenfirstname"]
            }
            Self::Card => &["cardnumber", "cardno", "cardid", "carduid", "uid", "csn", "cardserialnumber"],
            Self::Room => &["examroom", "roomid", "roomnumber", "roomno", "facilityid"],
            Self::Photos => {
                &["photo", "picture", "pictures", "image", "images", "photofile", "photofiles", "photoname", "idphoto"]
            }
            Self::Standing => &["cardstatus"],
            Self::Language => &["lang", "preferredlanguage", "locale"],
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
}

fn meaning(name: &str) -> Option<Meaning> {
    let key = key(name);
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
        let mut columns =
            Self { places: [None; Column::ALL.len()], whole_names: false, nameless: Vec::new(), remarks: Vec::new() };
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
        let missing: Vec<_> = required
            .iter()
            .filter(|column| columns.at(**column).is_none())
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
                    "unknown {}: remove what a roster does not need; known are {}",
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
mod tests {
    use super::*;

    fn columns(text: &str) -> Result<Columns, String> {
        let table = Table::parse(text.as_bytes(), known).map_err(|problems| problems.to_string())?;
        Columns::of(&table).map_err(|problems| problems.to_string())
    }

    #[test]
    fn names_are_read_however_they_are_spelt() {
        for (header, remarks) in [
            ("student_id,given_name,card,room,photos", 0),
            ("Student ID,GIVEN NAME,Card,ROOM,Photos,Card Standing,Language", 0),
            ("student\u{a0}id,given-name,\u{feff}card,ｒｏｏｍ,photos", 0),
            ("EMPLID,First Name,Card Number,Room,Photo", 4),
            ("SIS User ID,Preferred Name,CSN,Exam Room,Photo File,Card Status,Preferred Language", 7),
            ("SPRIDEN_ID,SPRIDEN_FIRST_NAME,card,room,photos", 2),
            ("ID,Student Name,card,room,photos", 2),
            ("NetID,\"Last, First\",card,room,photos", 2),
            ("SIS User ID,Student,card,room,photos", 2),
        ] {
            let columns = columns(header).unwrap_or_else(|why| panic!("{header}: {why}"));
            assert_eq!(columns.remarks.len(), remarks, "{header}: {:?}", columns.remarks);
        }
    }

    #[test]
    fn what_is_unclear_is_refused_and_no_row_is_taken_for_a_header() {
        for (text, wanted) in [
            (
                "student_id,given_name,card,room\n",
                "line 1: missing column `photos`; found `student_id`, `given_name`, `card`, `room`",
            ),
            ("id;first name\n", "line 1: missing columns `card`, `room`, `photos`; found `id`, `first name`"),
            ("student_id,given_name,card,room,photos,card lost\n", "line 1: unknown column `card lost`: remove what"),
            (
                "student_id,given_name,card,room,photos,Room\n",
                "line 1: columns `room` and `Room` are both read as `room`: remove one",
            ),
            ("student_id,given_name,card,room,photos,room\n", "line 1: column `room` is there twice"),
            (
                "EMPLID,NetID,given_name,card,room,photos\n",
                "columns `EMPLID` and `NetID` are both read as `student_id`",
            ),
            ("Name,First Name,id,card,room,photos\n", "columns `Name` and `First Name` are both read as `given_name`"),
            ("\"student_id,given_name,card,room,photos\"\n", "each line stands in quotes as a whole"),
        ] {
            let said = columns(text).unwrap_err();
            assert!(said.contains(wanted), "{text:?}: {said} lacks {wanted:?}");
        }
        let said = columns("N1,Ada,04A2B3C4,R1,a.jpg\n").unwrap_err();
        assert!(said.starts_with("line 1: no header: a line with `student_id`, ") && !said.contains("Ada"), "{said}");
    }
}
