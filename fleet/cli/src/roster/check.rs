//! `roster check`: every face of a roster against every other, for two students with one face and one student with two.
//!
//! It never opens a photo, and says no name and no card.

use std::{
    collections::HashMap,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use examgate::{
    domain::{Embedding, ExamId, MAX_LOOK_ALIKES, Roster, StudentId},
    store::{KeyName, Layout, RosterStore},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::keys::KeyArgs;
use examgate::exit::Refusal;
use examgate_enrol::{measuring::MeasuringArgs, similarities::Faces};

/// From here on two templates are of one and the same photo, perhaps saved again or scaled: photos of one person taken at different times
/// do not come as near, twins neither.
const SAME_PHOTO: f32 = 0.95;

/// Compares every face of a roster with every other, to find mix-ups and look-alikes.
///
/// The command lists pairs of students whom a box would confuse (similarity at or above the manifest's `admit` threshold): a mix-up, one
/// photo under two names, or people who look alike and need a proctor. It also lists students whose own photos do not match each other
/// (below `refer`). The exit code is 0 whatever is found: a person has to decide.
///
/// With --record, the pairs are written into the roster as its next version; push it then. A box that knows them refers both
/// students to the proctor when their faces match, and its console names the other one. They are kept when the roster is imported again.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  examgate-fleet roster check --exam MATH-UA-120-2026-12-14 --store state --keys keys
  examgate-fleet roster check --exam MATH-UA-120-2026-12-14 --store state --keys keys --record")]
pub(crate) struct Args {
    /// The exam.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ExamId::new(text))]
    exam: ExamId,
    /// The state folder with the exam's roster.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// Writes the pairs that are found into the roster, in the place of those that were recorded before.
    #[arg(long)]
    record: bool,
    /// Records only pairs of at least this similarity [default: the manifest's `admit` threshold]. With 1, none.
    #[arg(long, value_name = "SIMILARITY", requires = "record", value_parser = similarity)]
    from: Option<f32>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

fn similarity(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("{text:?} is no similarity: it is a number from 0 to 1"))
}

#[derive(Debug, PartialEq, Serialize)]
struct Pair {
    first: String,
    second: String,
    similarity: f32,
}

/// What a person has to look at, the most striking first.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Findings {
    students: usize,
    templates: usize,
    /// Templates of other embedding spaces, which cannot be compared.
    other_space: usize,
    same_photo: Vec<Pair>,
    look_alikes: Vec<Pair>,
    unlike: Vec<Pair>,
    /// The version that they were recorded in, and how many students have a look-alike there.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<(u64, usize)>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (keys, database) = (args.keys.folder()?, Layout::new(&args.store).exam(&args.exam));
    let refused = || Refusal::Usage(format!("the roster {} cannot be opened", database.display()));
    if !database.exists() {
        bail!(Refusal::Usage(format!("there is no roster {}: import it first", database.display())));
    }
    let key = keys.read(KeyName::Exam(&args.exam)).with_context(refused)?;
    let mut store = RosterStore::open(&database, &key).with_context(refused)?;
    let models = args.measuring.load()?;
    let embedder = &models.manifest().embedder;

    let mut findings = Findings::default();
    let (mut owners, mut embeddings) = (Vec::new(), Vec::new());
    for student in store.students()? {
        for template in store.templates(&student)? {
            if template.space == embedder.space {
                owners.push(findings.students);
                embeddings.push(template.embedding.clone());
            } else {
                findings.other_space += 1;
            }
        }
        findings.students += 1;
    }
    findings.templates = owners.len();
    let students = store.students()?;
    let threads = args.measuring.threads();
    let (admit, refer) = (embedder.thresholds.admit.get(), embedder.thresholds.refer.get());
    findings.compare(&students, &owners, &embeddings, threads, [admit, refer]);
    if args.record {
        findings.recorded = Some(record(&mut store, &findings.alike(args.from.unwrap_or(admit)))?);
    }

    args.measuring.print(&findings, |out, findings| findings.print(out))
}

/// Writes whom each student looks like into the roster, as its next version, unless that is what it says already. Returns the version, and how
/// many students have a look-alike.
fn record(store: &mut RosterStore, alike: &HashMap<&str, Vec<StudentId>>) -> anyhow::Result<(u64, usize)> {
    let mut exam = store.exam()?.context("the roster is empty: import it first")?;
    let (mut entries, mut has_changed) = (Vec::new(), false);
    for mut entry in store.entries()? {
        let others = alike.get(entry.student.id.as_str()).cloned().unwrap_or_default();
        has_changed |= entry.look_alikes != others;
        entry.look_alikes = others;
        let templates = store.templates(&entry.student.id)?;
        entries.push((entry, templates));
    }
    if has_changed {
        exam.version.0 += 1;
        let (version, roster) = (exam.version.0, Roster { exam, entries });
        match store.pepper()? {
            Some(pepper) => store.replace_made_with(&roster, &pepper)?,
            None => store.replace(&roster)?,
        };
        return Ok((version, alike.len()));
    }
    Ok((exam.version.0, alike.len()))
}

/// The pairs of faces that are `odd`, with a bar that shows how far it is, on a terminal only.
pub(super) fn compare_all(
    faces: &Faces,
    threads: usize,
    odd: impl Fn(usize, usize, f32) -> bool + Sync,
) -> Vec<(usize, usize, f32)> {
    let style =
        ProgressStyle::with_template("{msg} {bar:40} {percent}% {per_sec} {eta} left").expect("a valid template");
    let bar = ProgressBar::new(faces.pairs()).with_style(style).with_message("pairs of faces");
    let found = faces.wanted(threads, odd, |pairs| bar.inc(pairs));
    bar.finish_and_clear();
    found
}

impl Findings {
    fn compare(
        &mut self,
        students: &[StudentId],
        owners: &[usize],
        embeddings: &[Embedding],
        threads: usize,
        [admit, refer]: [f32; 2],
    ) {
        let dimension = embeddings.first().map_or(0, Embedding::dimension);
        let faces = Faces::new(dimension, embeddings.iter().map(Some));
        let same = |a: usize, b: usize| owners[a] == owners[b];
        let odd = |a: usize, b: usize, cosine: f32| if same(a, b) { cosine < refer } else { cosine >= admit };
        for (a, b, similarity) in compare_all(&faces, threads, odd) {
            let [first, second] = [a, b].map(|at| students[owners[at]].as_str().to_owned());
            let kind = match (same(a, b), similarity >= SAME_PHOTO) {
                (true, _) => &mut self.unlike,
                (false, true) => &mut self.same_photo,
                (false, false) => &mut self.look_alikes,
            };
            kind.push(Pair { first, second, similarity });
        }
        self.same_photo.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        self.look_alikes.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        self.unlike.sort_by(|a, b| a.similarity.total_cmp(&b.similarity));
    }

    /// Whom each student looks like, the nearest first, by pairs of at least this similarity.
    fn alike(&self, from: f32) -> HashMap<&str, Vec<StudentId>> {
        let mut alike: HashMap<&str, Vec<StudentId>> = HashMap::new();
        let pairs =
            self.same_photo.iter().chain(&self.look_alikes).filter(|pair| from < 1.0 && pair.similarity >= from);
        for Pair { first, second, .. } in pairs {
            for (one, other) in [(first, second), (second, first)] {
                let other = StudentId::new(other.as_str()).expect("it was a student's number");
                let others = alike.entry(one).or_default();
                if !others.contains(&other) && others.len() < MAX_LOOK_ALIKES {
                    others.push(other);
                }
            }
        }
        alike
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} students, {} faces compared", self.students, self.templates)?;
        if self.other_space > 0 {
            writeln!(out, "{} faces are of another embedding space: import again with these models", self.other_space)?;
        }
        for (title, pairs) in [
            ("One photo under two students: one of them is wrong", &self.same_photo),
            (
                "Two students the door would take for one another: a mix-up, or their doors need a proctor",
                &self.look_alikes,
            ),
            ("Photos of one student that do not look like one person: check for a mix-up", &self.unlike),
        ] {
            if !pairs.is_empty() {
                writeln!(out, "\n{title} ({}):", pairs.len())?;
            }
            for Pair { first, second, similarity } in pairs {
                writeln!(out, "  {first} and {second}: similarity {similarity:.3}")?;
            }
        }
        if let Some((version, students)) = self.recorded {
            writeln!(
                out,
                "\nversion {version} has a look-alike for {students} students: push it with `examgate-fleet roster push`"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_mix_up_is_told_apart() {
        let at = |angle: f32| Embedding::normalised(vec![angle.cos(), angle.sin()]).unwrap();
        let students = ["N1", "N2", "N3", "N4"].map(|number| StudentId::new(number).unwrap());
        // N1 and N2 share a photo; N3 looks like both; N4's second photo is of somebody else.
        let faces = [(0, 0.0), (1, 0.01), (2, 0.9), (3, 2.5), (3, 4.5)];
        let (owners, embeddings): (Vec<_>, Vec<_>) = faces.map(|(owner, angle)| (owner, at(angle))).into_iter().unzip();
        let mut findings = Findings::default();
        findings.compare(&students, &owners, &embeddings, 2, [0.5, 0.3]);
        let named =
            |pairs: &[Pair]| -> Vec<_> { pairs.iter().map(|pair| format!("{} {}", pair.first, pair.second)).collect() };
        assert_eq!(named(&findings.same_photo), ["N1 N2"]);
        assert_eq!(named(&findings.look_alikes), ["N2 N3", "N1 N3"]);
        assert_eq!(named(&findings.unlike), ["N4 N4"]);
        let alike = |from| {
            let mut alike: Vec<_> = findings
                .alike(from)
                .into_iter()
                .map(|(one, others)| (one, others.iter().map(|other| other.as_str().to_owned()).collect::<Vec<_>>()))
                .collect();
            alike.sort();
            alike
        };
        let names = |others: &[&str]| others.iter().map(|other| (*other).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            alike(0.5),
            [("N1", names(&["N2", "N3"])), ("N2", names(&["N1", "N3"])), ("N3", names(&["N2", "N1"]))],
            "the nearest first; photos of one student are not of two"
        );
        assert_eq!(alike(0.9), [("N1", names(&["N2"])), ("N2", names(&["N1"]))]);
        assert!(alike(1.0).is_empty());
        let mut out = Vec::new();
        findings.print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("One photo under two students") && text.contains("N1 and N2: similarity 1.000"),
            "{text}"
        );
    }
}
