//! What is wrong with a table: each problem with its line, all of them shown together.

use std::{collections::HashMap, fmt};

/// One thing wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In which of several files; absent where there is only one.
    pub sheet: Option<String>,
    /// Where; absent when it concerns the whole file.
    pub line: Option<u64>,
    /// What, and how to mend it.
    pub text: String,
}

impl Problem {
    /// Concerns the whole file.
    pub fn file(text: impl Into<String>) -> Self {
        Self { sheet: None, line: None, text: text.into() }
    }

    /// Concerns one line.
    pub fn at(line: u64, text: impl Into<String>) -> Self {
        Self { sheet: None, line: Some(line), text: text.into() }
    }

    /// The same, in this one of several files.
    #[must_use]
    pub fn of(self, sheet: &str) -> Self {
        Self { sheet: Some(sheet.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.sheet, self.line) {
            (None, Some(line)) => write!(f, "line {line}: {}", self.text),
            (None, None) => f.write_str(&self.text),
            (Some(sheet), Some(line)) => write!(f, "{sheet} line {line}: {}", self.text),
            (Some(sheet), None) => write!(f, "{sheet}: {}", self.text),
        }
    }
}

/// Everything wrong with the file. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// Different problems that are shown at a time: more than a screen nobody reads.
const SHOWN: usize = 40;
/// Lines named for one problem that many lines have.
const LINES: usize = 8;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        write!(f, "{} problems", self.0.len())?;
        let different = grouped(&self.0);
        different.iter().take(SHOWN).try_for_each(|problem| write!(f, "\n  {problem}"))?;
        match different.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more, which are shown when these are mended"),
        }
    }
}

impl std::error::Error for Problems {}

/// Problems in words, those with the same text as one with all their lines. The order is that of the first lines.
pub fn grouped(problems: &[Problem]) -> Vec<String> {
    let mut places = HashMap::new();
    let mut groups: Vec<(Vec<u64>, &Problem)> = Vec::new();
    for problem in problems {
        let at = *places.entry((&problem.sheet, problem.line.is_some(), &problem.text)).or_insert_with(|| {
            groups.push((Vec::new(), problem));
            groups.len() - 1
        });
        groups[at].0.extend(problem.line);
    }
    groups.into_iter().map(|(lines, first)| said(&lines, first)).collect()
}

fn said(lines: &[u64], first: &Problem) -> String {
    let numbers: Vec<_> = lines.iter().take(LINES).map(u64::to_string).collect();
    let where_to = match (numbers.as_slice(), lines.len().saturating_sub(LINES)) {
        ([] | [_], _) => return first.to_string(),
        ([before @ .., last], 0) => format!("lines {} and {last}", before.join(", ")),
        (before, more) => format!("lines {} and {more} more", before.join(", ")),
    };
    let sheet = first.sheet.as_ref().map_or(String::new(), |sheet| format!("{sheet} "));
    format!("{sheet}{where_to}: {}", first.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_problems_than_anybody_reads_are_counted() {
        let problems =
            |count: usize| Problems((0..count).map(|n| Problem::file(format!("problem {n}"))).collect()).to_string();
        assert_eq!(problems(2), "2 problems\n  problem 0\n  problem 1");
        assert!(problems(40).ends_with("problem 39"));
        assert!(problems(43).ends_with("problem 39\n  and 3 more, which are shown when these are mended"));
    }

    #[test]
    fn what_many_lines_have_is_said_once() {
        let problems = |lines: std::ops::Range<u64>| {
            let mut all: Vec<_> = lines.map(|line| Problem::at(line, "`room`: empty")).collect();
            all.insert(1, Problem::at(2, "`card`: empty"));
            Problems(all).to_string()
        };
        assert_eq!(problems(2..3), "2 problems\n  line 2: `room`: empty\n  line 2: `card`: empty");
        assert_eq!(problems(2..5), "4 problems\n  lines 2, 3 and 4: `room`: empty\n  line 2: `card`: empty");
        let of_sheet = |line, text| Problem::at(line, text).of("users.csv");
        let several = [of_sheet(2, "`role`: empty"), of_sheet(3, "`role`: empty"), Problem::file("odd").of("orgs.csv")];
        assert_eq!(grouped(&several), ["users.csv lines 2 and 3: `role`: empty", "orgs.csv: odd"]);
        let many = problems(2..223);
        assert!(many.contains("\n  lines 2, 3, 4, 5, 6, 7, 8, 9 and 213 more: `room`: empty\n"), "{many}");
    }
}
