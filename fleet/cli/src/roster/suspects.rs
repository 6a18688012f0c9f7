//! What only a whole column shows: numbers that a spreadsheet rounded, zeros that it took off, one room spelt in two ways.
//!
//! No message repeats a card.

use std::collections::{BTreeMap, HashMap, HashSet};

use examgate_enrol::table::Problem;

use super::cells::spreadsheet::{grouped, iso_date, whole_with_decimals};

/// A cell with its line, as [`super::cells::plain`] makes it.
pub(super) type Cell = (u64, String);

/// Digits that a spreadsheet keeps of a number (IEEE 754 doubles, as Excel shows them).
const KEPT: usize = 15;
/// Zeros in the place of lost digits, over all numbers of a column, from which on chance is ruled out: one in 1000.
const NO_CHANCE: usize = 3;
/// As many in one number are none by themselves: one in 10 000.
const NO_CHANCE_ALONE: usize = 4;

/// Bits of a whole number that a floating-point number keeps (IEEE 754 doubles): pandas, JavaScript and JSON readers.
const KEPT_BITS: u32 = 53;
/// Bits that agree with such a number, over all numbers of a column, from which on chance is ruled out: one in 8192.
const NO_CHANCE_BITS: u32 = 13;

/// What is wrong with the columns, and what somebody should look at.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    pub(super) problems: Vec<Problem>,
    pub(super) remarks: Vec<Problem>,
}

impl Suspects {
    /// The same, of a column by another name.
    pub(super) fn renamed(self, column: &str, name: &str) -> Self {
        let (from, to) = (format!("`{column}`"), format!("`{name}`"));
        let renamed = |problems: Vec<Problem>| {
            problems.into_iter().map(|problem| Problem { text: problem.text.replace(&from, &to), ..problem }).collect()
        };
        Self { problems: renamed(self.problems), remarks: renamed(self.remarks) }
    }

    /// Looks through the columns of student numbers, cards and rooms.
    pub(super) fn of(students: &[Cell], cards: &[Cell], rooms: &[Cell]) -> Self {
        let mut found = Self::default();
        found.rounded("student_id", students);
        found.rounded("card", cards);
        found.floating("student_id", students);
        found.floating("card", cards);
        found.dates("student_id", students);
        found.dates("room", rooms);
        found.decimals(rooms);
        found.thousands(students);
        found.short(students);
        found.spelt(rooms);
        found
    }

    /// Numbers of more than 15 digits that end in zeros from the 16th on: one may by chance, most of a column do not.
    fn rounded(&mut self, column: &str, cells: &[Cell]) {
        let long: Vec<_> = cells.iter().filter(|(_, text)| digits(text) && text.len() > KEPT).collect();
        let lost = |text: &str| if text[KEPT..].bytes().all(|b| b == b'0') { text.len() - KEPT } else { 0 };
        let zeros: usize = long.iter().map(|(_, text)| lost(text)).sum();
        let rounded = long.iter().filter(|(_, text)| lost(text) > 0).count();
        let most = 2 * rounded > long.len();
        let what = format!(
            "`{column}`: the number has zeros from its 16th digit on, as {rounded} of {} such numbers in this column: a spreadsheet \
             keeps 15 digits",
            long.len()
        );
        for (line, text) in long.iter().filter(|(_, text)| lost(text) > 0) {
            if lost(text) >= NO_CHANCE_ALONE || (most && zeros >= NO_CHANCE) {
                let mend = "and has lost the rest: export it again, and import it into the spreadsheet with this column as text";
                self.problems.push(Problem::at(*line, format!("{what} {mend}")));
            } else if most {
                self.remarks.push(Problem::at(*line, format!("{what}; check that the others are not lost")));
            }
        }
    }

    /// Numbers beyond 2^53 that are as a program prints floating-point numbers: not zeros, but the nearest number that it can keep.
    fn floating(&mut self, column: &str, cells: &[Cell]) {
        let long: Vec<_> = cells.iter().filter_map(|cell| Some((cell, bits_lost(&cell.1)?))).collect();
        let (printed, others): (Vec<_>, Vec<_>) = long.iter().partition(|((_, text), _)| printed_by_doubles(text));
        // Each is printed in two ways, so one bit less tells. Where some are not printed so, any of the others may be by chance.
        let told: u32 = printed.iter().map(|(_, lost)| lost - 1).sum();
        let doubt = if others.is_empty() { 0 } else { u32::try_from(long.len()).unwrap_or(u32::MAX) };
        if told < NO_CHANCE_BITS.saturating_add(doubt) {
            return;
        }
        let what = format!(
            "`{column}`: the number is one of those that a program prints which keeps 53 bits of a number, as {} of {} such numbers in this \
             column: it has lost the rest; export it again, with this column as text",
            printed.len(),
            long.len()
        );
        // Those that end in zeros have been told of.
        let of_column = self.problems.iter().filter(|problem| problem.text.starts_with(&format!("`{column}`")));
        let told_before: HashSet<_> = of_column.filter_map(|problem| problem.line).collect();
        let rest = printed.iter().map(|((line, _), _)| *line).filter(|line| !told_before.contains(line));
        self.problems.extend(rest.map(|line| Problem::at(line, what.as_str())));
    }

    /// Days of a calendar, where not all cells are: a spreadsheet has made them of `11-12`.
    fn dates(&mut self, column: &str, cells: &[Cell]) {
        if cells.iter().all(|(_, text)| iso_date(text)) {
            return;
        }
        for (line, text) in cells.iter().filter(|(_, text)| iso_date(text)) {
            let what = format!(
                "`{column}`: `{text}` is a date, which a spreadsheet has made of something like 11-12, and others are none"
            );
            self.problems
                .push(Problem::at(*line, format!("{what}: export it again, and import it with this column as text")));
        }
    }

    /// `101.0`, where all numbers end so.
    fn decimals(&mut self, rooms: &[Cell]) {
        let numbers = || rooms.iter().filter(|(_, text)| text.split('.').all(digits));
        if numbers().all(|(_, text)| whole_with_decimals(text)) {
            self.problems.extend(numbers().map(|(line, text)| {
                let what =
                    format!("`room`: `{text}` is a number with decimals, which a program has appended to all of them");
                Problem::at(*line, format!("{what}: export it again as text"))
            }));
        }
    }

    /// `12.345.678`: some campuses write their numbers so, and some spreadsheets all numbers.
    fn thousands(&mut self, students: &[Cell]) {
        for (line, _) in students.iter().filter(|(_, text)| grouped(text)) {
            self.remarks.push(Problem::at(
                *line,
                "`student_id`: the number is written in groups; check that the campus writes it so",
            ));
        }
    }

    /// Numbers that are shorter than nearly all others: zeros in front may be lost.
    fn short(&mut self, students: &[Cell]) {
        let numbers: Vec<_> = students.iter().filter(|(_, text)| digits(text)).collect();
        let mut lengths = BTreeMap::new();
        for (_, text) in &numbers {
            *lengths.entry(text.len()).or_insert(0_usize) += 1;
        }
        let Some((&usual, &count)) = lengths.iter().max_by_key(|(_, count)| **count) else { return };
        let zeros_kept = numbers.iter().any(|(_, text)| text.len() == usual && text.starts_with('0'));
        if 5 * count < 4 * numbers.len() && !(zeros_kept && 2 * count > numbers.len()) {
            return;
        }
        for (line, _) in numbers.iter().filter(|(_, text)| text.len() < usual && !text.starts_with('0')) {
            let what = format!("`student_id`: the number is shorter than the {usual} digits of most");
            self.remarks
                .push(Problem::at(*line, format!("{what}: check that a spreadsheet has not taken off zeros in front")));
        }
    }

    /// Rooms that differ only by capitals or zeros in front: one of them is a door at which nobody is expected.
    fn spelt(&mut self, rooms: &[Cell]) {
        let mut spellings: HashMap<String, BTreeMap<&str, Vec<u64>>> = HashMap::new();
        for (line, text) in rooms {
            spellings.entry(room_key(text)).or_default().entry(text).or_default().push(*line);
        }
        let mut found: Vec<_> = spellings.into_values().filter(|ways| ways.len() > 1).collect();
        found.sort();
        for ways in found {
            let (usual, _) = ways.iter().max_by_key(|(_, lines)| lines.len()).expect("more than one");
            for (way, lines) in ways.iter().filter(|(way, _)| way != &usual) {
                let text = format!("`room`: `{way}` here and `{usual}` elsewhere may be one room: spell it in one way");
                self.remarks.extend(lines.iter().map(|line| Problem::at(*line, text.as_str())));
            }
        }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// How many bits of a whole number a double does not keep; `None` where it keeps all.
fn bits_lost(text: &str) -> Option<u32> {
    let number: u128 = if digits(text) { text.parse().ok()? } else { return None };
    (number.checked_ilog2()? + 1).checked_sub(KEPT_BITS).filter(|&lost| lost > 0)
}

/// Whether a program prints this text for a double: its exact value, or the shortest number that stands for it with zeros behind.
fn printed_by_doubles(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| text == number.to_string() || text == format!("{number:.0}"))
}

/// A room in small letters, without zeros before its numbers.
fn room_key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for c in text.chars() {
        // In 1.05 the zero is not in front.
        let in_front = |zero: &str| !zero.ends_with(|before: char| before.is_ascii_digit() || before == '.');
        if c.is_ascii_digit() && key.strip_suffix('0').is_some_and(in_front) {
            key.pop();
        }
        key.extend(c.to_lowercase());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(texts: &[&str]) -> Vec<Cell> {
        (2..).zip(texts.iter().map(|text| (*text).to_owned())).collect()
    }

    fn said(found: &[Problem]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    fn lines(found: &[Problem]) -> Vec<u64> {
        found.iter().filter_map(|problem| problem.line).collect()
    }

    #[test]
    fn numbers_that_lost_their_end_are_found_by_their_zeros() {
        for (texts, problems, remarks) in [
            (
                &["1304792892040830", "1327188722232190", "1265614166680700", "1337669904526680"][..],
                &[2, 3, 4, 5][..],
                &[][..],
            ),
            (&["20240017300100100", "20240017300200400"], &[2, 3], &[]),
            // One of ten ends so by chance.
            (&["1304792892040830"], &[], &[2]),
            (&["1304792892040830", "1327188722232191", "1265614166680702"], &[], &[]),
            (&["1304792892040830", "1327188722232190", "1265614166680710", "1265614166680701"], &[2, 3, 4], &[]),
            // Ten bytes: one alone is enough.
            (&["1208925819614620000000000", "1208925819614629174706175", "1208925819614629174706174"], &[2], &[]),
            (&["130479289204080", "04A2B3C4000000000000"], &[], &[]),
        ] {
            let found = Suspects::of(&column(&[]), &column(texts), &column(&[]));
            assert_eq!(
                (lines(&found.problems).as_slice(), lines(&found.remarks).as_slice()),
                (problems, remarks),
                "{texts:?}"
            );
            for text in texts {
                assert!(!format!("{found:?}").contains(text), "{text} is repeated");
            }
        }
        let found = Suspects::of(&column(&["20240017300100100", "20240017300200400"]), &column(&[]), &column(&[]));
        assert!(
            said(&found.problems)[0]
                .starts_with("line 2: `student_id`: the number has zeros from its 16th digit on, as 2 of 2"),
            "{found:?}"
        );
    }

    #[test]
    fn numbers_that_went_through_floating_point_are_found() {
        // E00401… of eight bytes, and 20240017300100123 …: exact, then as JavaScript, pandas and Python print them.
        let exact = [0xE004_0100_5A3B_7C11_u64, 0xE004_0100_5A3B_7D2E, 0xE004_0100_9F00_1235];
        let students: Vec<u64> = (0..20).map(|n| 20_240_017_300_100_123 + 371 * n).collect();
        let texts = |numbers: &[u64], printed: &dyn Fn(u64) -> String| -> Vec<String> {
            numbers.iter().map(|number| printed(*number)).collect()
        };
        let shortest = |number: u64| (number as f64).to_string();
        let value = |number: u64| (number as f64 as u128).to_string();
        for (numbers, printed, wanted) in [
            (&exact[..], &(|number: u64| number.to_string()) as &dyn Fn(u64) -> String, 0),
            (&exact[..], &shortest, 3),
            (&exact[..], &value, 3),
            // One alone may be so by chance: one in 1024.
            (&exact[..1], &value, 0),
            (&students[..], &|number| number.to_string(), 0),
            (&students[..], &shortest, 20),
            (&students[..], &value, 20),
            (&students[..5], &value, 0),
        ] {
            let texts = texts(numbers, printed);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = Suspects::of(&column(&[]), &column(&texts), &column(&[]));
            let mut lines = lines(&found.problems);
            lines.dedup();
            assert_eq!(lines.len(), wanted, "{texts:?}: {:?}", said(&found.problems));
        }
        // Some that somebody typed by hand do not hide the others.
        let mut mixed = texts(&exact, &value);
        mixed.push("16141044212345678901".into());
        let mixed: Vec<&str> = mixed.iter().map(String::as_str).collect();
        let found = Suspects::of(&column(&mixed), &column(&[]), &column(&[]));
        assert_eq!(lines(&found.problems), [2, 3, 4], "{:?}", said(&found.problems));
        assert!(said(&found.problems)[0].contains("as 3 of 4"), "{found:?}");
    }

    #[test]
    fn dates_and_decimals_show_in_a_column() {
        let found =
            Suspects::of(&column(&["2026-11-12", "2026-00017"]), &column(&[]), &column(&["101.0", "102.0", "Hall"]));
        assert_eq!(lines(&found.problems), [2, 2, 3], "{found:?}");
        let found =
            Suspects::of(&column(&["2019-11-12", "2019-12-01"]), &column(&[]), &column(&["1.10", "1.0", "1.20"]));
        assert!(found.problems.is_empty(), "{found:?}");
    }

    #[test]
    fn short_numbers_are_remarked_where_most_are_longer() {
        for (texts, wanted) in [
            (&["12345", "23456", "34567", "45678", "567"][..], &[6][..]),
            (&["02345", "23456", "3456"], &[4]),
            (&["12345", "23456", "3456", "456"], &[]),
            (&["N123", "N1234", "12"], &[]),
            (&["1", "12", "123"], &[]),
        ] {
            let found = Suspects::of(&column(texts), &column(&[]), &column(&[]));
            assert_eq!(lines(&found.remarks), wanted, "{texts:?}");
        }
    }

    #[test]
    fn one_room_in_two_spellings_is_remarked() {
        let found = Suspects::of(
            &column(&[]),
            &column(&[]),
            &column(&["007", "7", "7", "R1", "r1", "R1", "R01", "107", "100", "0", "1.05", "1.5"]),
        );
        assert_eq!(
            said(&found.remarks),
            [
                "line 2: `room`: `007` here and `7` elsewhere may be one room: spell it in one way",
                "line 8: `room`: `R01` here and `R1` elsewhere may be one room: spell it in one way",
                "line 6: `room`: `r1` here and `R1` elsewhere may be one room: spell it in one way",
            ]
        );
    }
}
