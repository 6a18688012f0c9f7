//! The pairs file: which two images, same person or not, which fold.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use examgate_enrol::table::{Problem, Problems, Table};

/// One line: indices into [`Pairs::images`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) same: bool,
    pub(crate) fold: Option<u32>,
}

/// All lines, and each image once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// As named in the file, in order of first appearance.
    pub(crate) images: Vec<String>,
    pub(crate) pairs: Vec<Pair>,
}

impl Pairs {
    /// Reads a CSV with the columns `img1,img2,same` (0 or 1) and, optionally, `fold` (a number).
    ///
    /// # Errors
    /// All problems of the file together.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problems> {
        let table = Table::parse(bytes, |cell| ["img1", "img2", "same", "fold"].contains(&cell))?;
        let header = &table.header;
        let column = |name: &str| header.cells.iter().position(|column| column == name);
        let (Some(first), Some(second), Some(same)) = (column("img1"), column("img2"), column("same")) else {
            return Err(Problems(vec![Problem::at(
                header.line,
                format!("the columns `img1`, `img2`, `same` are needed; found `{}`", header.cells.join("`, `")),
            )]));
        };
        let fold = column("fold");

        let mut read = Self::default();
        let mut places = HashMap::new();
        let mut problems = table.problems.clone();
        for record in &table.rows {
            let line = record.line;
            if let Some(why) = table.misfit(record) {
                problems.push(Problem::at(line, why));
                continue;
            }
            let field = |at: usize| record.cells.get(at).map_or("", String::as_str);
            let mut image = |name: &str| {
                *places.entry(name.to_owned()).or_insert_with(|| {
                    read.images.push(name.to_owned());
                    read.images.len() - 1
                })
            };
            if field(first).is_empty() || field(second).is_empty() {
                problems.push(Problem::at(line, "an image is not named"));
                continue;
            }
            let same = match field(same) {
                "1" => true,
                "0" => false,
                other => {
                    problems
                        .push(Problem::at(line, format!("`same` is `{}`: allowed are 0 and 1", other.escape_debug())));
                    continue;
                }
            };
            let fold = match fold.map(field).filter(|text| !text.is_empty()).map(str::parse) {
                None => None,
                Some(Ok(fold)) => Some(fold),
                Some(Err(_)) => {
                    problems.push(Problem::at(line, "`fold` is not a number"));
                    continue;
                }
            };
            read.pairs.push(Pair { first: image(field(first)), second: image(field(second)), same, fold });
        }
        if read.pairs.is_empty() && problems.is_empty() {
            problems.push(Problem::file("no pair: there is a header and nothing under it"));
        }
        if problems.is_empty() { Ok(read) } else { Err(Problems(problems)) }
    }

    /// Finds every image: inside `folder`, else beside the pairs file.
    ///
    /// # Errors
    /// All that are in neither place.
    pub(crate) fn find(&self, folder: &Path, beside: &Path) -> Result<Vec<PathBuf>, Problems> {
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(self.images.len());
        for name in &self.images {
            match [folder, beside].map(|place| place.join(name)).into_iter().find(|path| path.is_file()) {
                Some(path) => found.push(path),
                None => missing.push(Problem::file(format!(
                    "`{name}` is neither in {} nor beside the pairs file",
                    folder.display()
                ))),
            }
        }
        if missing.is_empty() { Ok(found) } else { Err(Problems(missing)) }
    }

    /// A number for each image's person: its parent folder. `None` where that contradicts a line of the file.
    pub(crate) fn identities(&self) -> Option<Vec<usize>> {
        let mut numbers = HashMap::new();
        let persons: Vec<usize> = self
            .images
            .iter()
            .map(|image| {
                let next = numbers.len();
                *numbers.entry(Path::new(image).parent()).or_insert(next)
            })
            .collect();
        self.pairs.iter().all(|pair| (persons[pair.first] == persons[pair.second]) == pair.same).then_some(persons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Pairs::parse(text.as_bytes()).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_image_is_listed_once() {
        let read = Pairs::parse(b"img1,img2,same,fold\na/1.jpg,a/2.jpg,1,1\nb/1.jpg,a/1.jpg,0,2\n").unwrap();
        assert_eq!(read.images, ["a/1.jpg", "a/2.jpg", "b/1.jpg"]);
        assert_eq!(read.pairs[1], Pair { first: 2, second: 0, same: false, fold: Some(2) });
        assert_eq!(read.identities(), Some(vec![0, 0, 1]));
    }

    #[test]
    fn folds_are_optional() {
        assert_eq!(Pairs::parse(b"same,img2,img1\n0,b,a\n").unwrap().pairs[0].fold, None);
        assert_eq!(Pairs::parse(b"img1,img2,same,fold\na,b,0,\n").unwrap().pairs[0].fold, None);
    }

    #[test]
    fn folders_that_contradict_the_labels_are_no_identities() {
        assert_eq!(Pairs::parse(b"img1,img2,same\na.jpg,b.jpg,0\n").unwrap().identities(), None);
        assert_eq!(Pairs::parse(b"img1,img2,same\na/1.jpg,b/1.jpg,1\n").unwrap().identities(), None);
    }

    #[test]
    fn all_problems_come_together() {
        let text = "img1,img2,same,fold\na,b,yes,1\na,,1,1\n\na,b,1\na,b,1,x\n";
        assert_eq!(
            problems(text),
            [
                "line 2: `same` is `yes`: allowed are 0 and 1",
                "line 3: an image is not named",
                "line 5: the header has 4 fields, this line 3: a separator too few, or a quote left open; Excel leaves out empty cells \
                 at the end of lines: put the column that may be empty before one that is filled",
                "line 6: `fold` is not a number",
            ]
        );
        assert_eq!(problems("a,b\n"), ["line 1: the columns `img1`, `img2`, `same` are needed; found `a`, `b`"]);
        assert_eq!(problems("img1,img2,same\n"), ["no pair: there is a header and nothing under it"]);
        assert!(problems("")[0].contains("the file is empty"));
    }
}
