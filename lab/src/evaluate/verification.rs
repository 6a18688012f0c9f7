//! `evaluate verification`: embeds every image once, compares, and prints rates.
//!
//! Embeddings live only while it runs.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use examgate::domain::Embedding;
use serde::Serialize;

use super::plots;
use crate::{
    dataset::pairs::{Pair, Pairs},
    statistics::scores::{Accuracy, LabelledPair, NOT_COMPARED, Scores, accuracy},
};
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{BothWays, embed_all},
    measuring::MeasuringArgs,
    similarities::Faces,
};

/// Measures verification on labelled pairs: accuracy, FMR, FNMR and TAR at given FAR.
///
/// In each image, the face nearest to the middle is detected, aligned and embedded. Two kinds of comparison are measured. `as enrolled`:
/// both images are enrolment photos (an average of several views). `at the door`: the first image is one camera frame (one view), the
/// second an enrolment photo. Two images match if their cosine similarity is at least the threshold.
///
/// `accuracy` uses only the pairs in the file. With folds, each fold is scored at the threshold that is best on the other folds, and the
/// mean and standard deviation over the folds are printed. Without folds, it is the accuracy at the single best threshold.
///
/// All other numbers use every comparison of the images named in the file; the parent folder of an image is its person. (If the folders
/// contradict the labels, they use the pairs alone.) They are: FMR and FNMR at the manifest's `admit` threshold; TAR at the smallest
/// threshold that keeps the named FAR (tied scores are rejected together); and the shares of mated comparisons at the door that the
/// manifest's thresholds admit, refer and deny. An image without a detected face counts as a non-match.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  printf 'img1,img2,same,fold\\nada/1.jpg,ada/2.jpg,1,1\\nada/1.jpg,bob/1.jpg,0,1\\n' > pairs.csv
  examgate-lab evaluate verification --pairs pairs.csv --images people --scores scores.csv")]
pub(crate) struct Args {
    /// CSV with the columns img1,img2,same,fold: two image files, 1 for the same person or 0, and an optional fold number.
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Folder of the images. An image that is not in it is searched for next to the pairs file.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Writes histogram.svg (the scores) and det.svg (FNMR against FMR, a DET curve) into this folder.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Writes the pairs with their scores into this CSV: img1,img2,same,fold,enrolled,door. A score is empty if no face was found.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// One kind of comparison. Rates are shares, 0 to 1; `null` where there was nothing to compare.
#[derive(Debug, Serialize)]
struct Rates {
    accuracy: f64,
    /// Sample standard deviation over the folds; `null` without folds.
    accuracy_fold_sd: Option<f64>,
    comparisons_mated: usize,
    comparisons_non_mated: usize,
    fmr: Option<f64>,
    fnmr: Option<f64>,
    #[serde(rename = "tar_at_far_1e-2")]
    tar_at_far_1e2: Option<f64>,
    #[serde(rename = "tar_at_far_1e-3")]
    tar_at_far_1e3: Option<f64>,
    #[serde(rename = "tar_at_far_1e-4")]
    tar_at_far_1e4: Option<f64>,
    #[serde(rename = "tar_at_far_1e-5")]
    tar_at_far_1e5: Option<f64>,
}

impl Rates {
    fn of(accuracy: Accuracy, scores: &Scores, threshold: f32) -> Self {
        Self {
            accuracy: accuracy.get(),
            accuracy_fold_sd: match accuracy {
                Accuracy::KFold { spread, .. } => Some(spread),
                Accuracy::BestThreshold { .. } => None,
            },
            comparisons_mated: scores.mated(),
            comparisons_non_mated: scores.non_mated(),
            fmr: scores.fmr(threshold),
            fnmr: scores.fnmr(threshold),
            tar_at_far_1e2: scores.tar_at_far(1e-2),
            tar_at_far_1e3: scores.tar_at_far(1e-3),
            tar_at_far_1e4: scores.tar_at_far(1e-4),
            tar_at_far_1e5: scores.tar_at_far(1e-5),
        }
    }
}

/// One frame at the door against enrolment photos.
#[derive(Debug, Serialize)]
struct AtTheDoor {
    #[serde(flatten)]
    rates: Rates,
    /// Of the mated comparisons: at least `admit`, between `refer` and `admit`, below `refer`.
    mated_admitted: Option<f64>,
    mated_referred: Option<f64>,
    mated_denied: Option<f64>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    pairs: usize,
    #[serde(flatten)]
    enrolled: Rates,
    door: AtTheDoor,
    failures_to_detect: usize,
    threshold: f64,
    refer: f64,
    model: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let shown = args.pairs.display();
    let bytes = fs::read(&args.pairs).with_context(|| Refusal::Usage(format!("cannot read {shown}")))?;
    let refused = || Refusal::Data(format!("{shown} cannot be used"));
    let pairs = Pairs::parse(&bytes).with_context(refused)?;
    let paths = pairs.find(&args.images, args.pairs.parent().unwrap_or(Path::new(""))).with_context(refused)?;

    let models = args.measuring.load()?;
    let threads = args.measuring.threads();
    let embeddings = embed_all(&models, threads, &paths)?;

    let embedder = &models.manifest().embedder;
    let faces = |part: fn(&BothWays) -> &Embedding| {
        Faces::new(embedder.dimension, embeddings.iter().map(|both| Some(part(both.as_ref()?))))
    };
    let (templates, probes) = (faces(|both| &both.template), faces(|both| &both.probe));
    let labelled = |cosine: &dyn Fn(usize, usize) -> Option<f32>| -> Vec<LabelledPair> {
        let one = |pair: &Pair| {
            let score = cosine(pair.first, pair.second).unwrap_or(NOT_COMPARED);
            LabelledPair { score, same: pair.same, fold: pair.fold }
        };
        pairs.pairs.iter().map(one).collect()
    };
    let enrolled = labelled(&|a, b| templates.cosine(a, b));
    let door = labelled(&|a, b| probes.cosine_with(a, &templates, b));
    let (enrolled_scores, door_scores) = match pairs.identities() {
        Some(persons) => (each_pair_once(&templates, &persons), each_against_each(&probes, &templates, &persons)),
        None => {
            tracing::warn!(
                "the images' folders are not the persons of the labels: only the pairs of the file are compared"
            );
            (of_the_file(&enrolled), of_the_file(&door))
        }
    };
    let (admit, refer) = (embedder.thresholds.admit.get(), embedder.thresholds.refer.get());
    let rates = |labelled: &[LabelledPair], scores: &Scores| -> anyhow::Result<(Accuracy, Rates)> {
        let accuracy = accuracy(labelled).context("there are pairs")?;
        Ok((accuracy, Rates::of(accuracy, scores, admit)))
    };
    let (how, enrolled_rates) = rates(&enrolled, &enrolled_scores)?;
    let (_, door_rates) = rates(&door, &door_scores)?;
    let missed = |threshold| door_scores.fnmr(threshold);
    let report = Report {
        pairs: enrolled.len(),
        enrolled: enrolled_rates,
        door: AtTheDoor {
            rates: door_rates,
            mated_admitted: missed(admit).map(|missed| 1.0 - missed),
            mated_referred: missed(admit).zip(missed(refer)).map(|(admit, refer)| admit - refer),
            mated_denied: missed(refer),
        },
        failures_to_detect: embeddings.iter().filter(|embedding| embedding.is_none()).count(),
        threshold: as_written(admit)?,
        refer: as_written(refer)?,
        model: embedder.net.name.clone(),
    };
    if let Some(folder) = &args.plots {
        plots::scores(folder, &enrolled_scores, admit)
            .with_context(|| format!("cannot write the plots into {}", folder.display()))?;
    }
    if let Some(file) = &args.scores {
        write_scores(file, &pairs, &enrolled, &door).with_context(|| format!("cannot write {}", file.display()))?;
    }
    args.measuring.print(&report, |out, report| table(out, report, how))
}

/// Shortest decimal of the f32, so that 0.475 is not printed as 0.4749999940395355.
fn as_written(threshold: f32) -> anyhow::Result<f64> {
    threshold.to_string().parse().context("a number is a number")
}

fn write_scores(file: &Path, pairs: &Pairs, enrolled: &[LabelledPair], door: &[LabelledPair]) -> csv::Result<()> {
    let mut out = csv::Writer::from_path(file)?;
    out.write_record(["img1", "img2", "same", "fold", "enrolled", "door"])?;
    let score = |pair: &LabelledPair| if pair.score == NOT_COMPARED { String::new() } else { pair.score.to_string() };
    for (pair, (enrolled, door)) in pairs.pairs.iter().zip(enrolled.iter().zip(door)) {
        let fold = pair.fold.map(|fold| fold.to_string()).unwrap_or_default();
        let same = if pair.same { "1" } else { "0" };
        let [first, second] = [pair.first, pair.second].map(|at| pairs.images[at].as_str());
        out.write_record([first, second, same, &fold, &score(enrolled), &score(door)])?;
    }
    out.flush()?;
    Ok(())
}

fn table(out: &mut dyn Write, report: &Report, accuracy: Accuracy) -> io::Result<()> {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{rate:.6}"));
    let (enrolled, door) = (&report.enrolled, &report.door);
    writeln!(out, "model                  {}", report.model)?;
    writeln!(out, "pairs                  {}", report.pairs)?;
    writeln!(out, "images without face    {}  (their comparisons count as non-matches)", report.failures_to_detect)?;
    match accuracy {
        Accuracy::KFold { folds, .. } => {
            writeln!(out, "accuracy               mean over {folds} folds, each at the threshold best on the others")?;
        }
        Accuracy::BestThreshold { .. } => {
            writeln!(
                out,
                "accuracy               no folds: at the threshold best on these very pairs, which flatters a little"
            )?;
        }
    }
    writeln!(out, "\n                       as enrolled  at the door")?;
    let mut line = |name: &str, [a, b]: [String; 2]| writeln!(out, "{name:<22} {a:<12} {b}");
    let both = |get: fn(&Rates) -> Option<f64>| [rate(get(enrolled)), rate(get(&door.rates))];
    line("accuracy", both(|rates| Some(rates.accuracy)))?;
    line("  deviation over folds", both(|rates| rates.accuracy_fold_sd))?;
    line("mated comparisons", [enrolled, &door.rates].map(|rates| rates.comparisons_mated.to_string()))?;
    line("non-mated comparisons", [enrolled, &door.rates].map(|rates| rates.comparisons_non_mated.to_string()))?;
    line(&format!("FMR at {}", report.threshold), both(|rates| rates.fmr))?;
    line(&format!("FNMR at {}", report.threshold), both(|rates| rates.fnmr))?;
    line("TAR at FAR 1e-2", both(|rates| rates.tar_at_far_1e2))?;
    line("TAR at FAR 1e-3", both(|rates| rates.tar_at_far_1e3))?;
    line("TAR at FAR 1e-4", both(|rates| rates.tar_at_far_1e4))?;
    line("TAR at FAR 1e-5", both(|rates| rates.tar_at_far_1e5))?;
    line("mated admitted", [String::new(), rate(door.mated_admitted)])?;
    line("mated referred", [String::new(), rate(door.mated_referred)])?;
    line("mated denied", [String::new(), rate(door.mated_denied)])
}

/// The comparisons of the pairs file alone.
fn of_the_file(labelled: &[LabelledPair]) -> Scores {
    let (mated, non_mated): (Vec<LabelledPair>, _) = labelled.iter().partition(|pair| pair.same);
    let scores = |pairs: Vec<LabelledPair>| pairs.iter().map(|pair| pair.score).collect();
    Scores::new(scores(mated), scores(non_mated))
}

/// Every two images once, split by person.
fn each_pair_once(faces: &Faces, persons: &[usize]) -> Scores {
    let n = persons.len();
    let (mut mated, mut non_mated) = (Vec::new(), Vec::with_capacity(n * n.saturating_sub(1) / 2));
    faces.all_pairs(|a, b, cosine| {
        let to = if persons[a] == persons[b] { &mut mated } else { &mut non_mated };
        to.push(cosine.unwrap_or(NOT_COMPARED));
    });
    Scores::new(mated, non_mated)
}

/// Every image as a probe against every other as a template, split by person.
fn each_against_each(probes: &Faces, templates: &Faces, persons: &[usize]) -> Scores {
    let n = persons.len();
    let (mut mated, mut non_mated) = (Vec::new(), Vec::with_capacity(n * n.saturating_sub(1)));
    probes.against(templates, |a, b, cosine| {
        if a != b {
            let to = if persons[a] == persons[b] { &mut mated } else { &mut non_mated };
            to.push(cosine.unwrap_or(NOT_COMPARED));
        }
    });
    Scores::new(mated, non_mated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_split_by_person() {
        let at = |angle: f32| Embedding::normalised(vec![angle.cos(), angle.sin()]).unwrap();
        let embeddings = [Some(at(0.0)), Some(at(0.1)), Some(at(3.0)), None];
        let faces = Faces::new(2, embeddings.iter().map(Option::as_ref));
        let scores = each_pair_once(&faces, &[0, 0, 1, 1]);
        assert_eq!((scores.mated(), scores.non_mated()), (2, 4));
        let both_ways = each_against_each(&faces, &faces, &[0, 0, 1, 1]);
        assert_eq!((both_ways.mated(), both_ways.non_mated()), (4, 8));
        assert_eq!((both_ways.fnmr(0.9), both_ways.fmr(0.9)), (Some(0.5), Some(0.0)));
        // the person without a found face is missed; nobody else is taken for another
        assert_eq!((scores.fnmr(0.9), scores.fmr(0.9)), (Some(0.5), Some(0.0)));
    }

    #[test]
    fn keys_of_the_json_are_stable() {
        let rates = || Rates::of(Accuracy::BestThreshold { accuracy: 1.0 }, &Scores::new(vec![0.9], Vec::new()), 0.475);
        let report = Report {
            pairs: 1,
            enrolled: rates(),
            door: AtTheDoor {
                rates: rates(),
                mated_admitted: Some(1.0),
                mated_referred: Some(0.0),
                mated_denied: Some(0.0),
            },
            failures_to_detect: 0,
            threshold: as_written(0.475).unwrap(),
            refer: 0.3,
            model: "m".into(),
        };
        let rates = r#""accuracy":1.0,"accuracy_fold_sd":null,"comparisons_mated":1,"comparisons_non_mated":0,"fmr":null,"fnmr":0.0,"#
            .to_owned()
            + r#""tar_at_far_1e-2":null,"tar_at_far_1e-3":null,"tar_at_far_1e-4":null,"tar_at_far_1e-5":null,"#;
        let door = r#""mated_admitted":1.0,"mated_referred":0.0,"mated_denied":0.0"#;
        let rest = r#""failures_to_detect":0,"threshold":0.475,"refer":0.3,"model":"m""#;
        let wanted = format!(r#"{{"pairs":1,{rates}"door":{{{rates}{door}}},{rest}}}"#);
        assert_eq!(serde_json::to_string(&report).unwrap(), wanted);
    }
}
