//! `evaluate verification`: embeds every image once, compares, and prints rates.
//!
//! Embeddings live only while it runs.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

use super::{
    metrics::{Accuracy, LabelledPair, NOT_COMPARED, Scores, accuracy},
    plots,
};
use crate::{exit::Refusal, faces::embed_all, measuring::MeasuringArgs, pairs::Pairs, similarities::Faces};

/// Measures verification on labelled pairs: accuracy, FMR, FNMR and TAR at given FAR.
///
/// Each image is looked at alone: faces are detected, the one nearest to the image's middle is aligned and embedded as an enrolment
/// photo is. A comparison matches when its cosine is at least the threshold.
///
/// `accuracy` is over the pairs of the file: with folds, each fold is judged at the threshold that is best on the other folds and the
/// mean is given; without, it is that of the single best threshold on these pairs, and the table says so. All other numbers are over
/// all comparisons of the images named, the person being the image's parent folder (over the pairs alone, if the folders contradict
/// the labels): FMR and FNMR at the manifest's `admit` threshold, TAR at the smallest threshold whose FAR is at most the one named
/// (equal scores are refused together). A comparison with an image in which no face was found counts as a non-match.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  printf 'img1,img2,same,fold\\nada/1.jpg,ada/2.jpg,1,1\\nada/1.jpg,bob/1.jpg,0,1\\n' > pairs.csv
  examgate-fleet evaluate verification --pairs pairs.csv --images people")]
pub(crate) struct Args {
    /// CSV with the columns img1,img2,same,fold: two images, 1 or 0, a number (optional).
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Where the images are; one that is not there is looked for beside the pairs file.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Writes histogram.svg and det.svg into this folder: the scores, and which errors go with which (DET).
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// What is printed. Rates are shares, 0 to 1; `null` where there was nothing to compare.
#[derive(Debug, Serialize)]
struct Report {
    pairs: usize,
    accuracy: f64,
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
    failures_to_detect: usize,
    threshold: f64,
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
    let faces = Faces::new(embedder.dimension, embeddings.iter().map(|both| Some(&both.as_ref()?.template)));
    let labelled: Vec<_> = pairs
        .pairs
        .iter()
        .map(|pair| LabelledPair {
            score: faces.cosine(pair.first, pair.second).unwrap_or(NOT_COMPARED),
            same: pair.same,
            fold: pair.fold,
        })
        .collect();
    let scores = match pairs.identities() {
        Some(persons) => all_against_all(&faces, &persons),
        None => {
            tracing::warn!(
                "the images' folders are not the persons of the labels: only the pairs of the file are compared"
            );
            let (mated, non_mated): (Vec<LabelledPair>, _) = labelled.iter().partition(|pair| pair.same);
            let scores = |pairs: Vec<LabelledPair>| pairs.iter().map(|pair| pair.score).collect();
            Scores::new(scores(mated), scores(non_mated))
        }
    };
    let accuracy = accuracy(&labelled).context("there are pairs")?;
    let threshold = embedder.thresholds.admit.get();
    let report = Report {
        pairs: labelled.len(),
        accuracy: accuracy.get(),
        comparisons_mated: scores.mated(),
        comparisons_non_mated: scores.non_mated(),
        fmr: scores.fmr(threshold),
        fnmr: scores.fnmr(threshold),
        tar_at_far_1e2: scores.tar_at_far(1e-2),
        tar_at_far_1e3: scores.tar_at_far(1e-3),
        tar_at_far_1e4: scores.tar_at_far(1e-4),
        failures_to_detect: embeddings.iter().filter(|embedding| embedding.is_none()).count(),
        // Shortest decimal of the f32, so that 0.475 is not printed as 0.4749999940395355.
        threshold: threshold.to_string().parse().context("a number is a number")?,
        model: embedder.net.name.clone(),
    };
    if let Some(folder) = &args.plots {
        plots::scores(folder, &scores, threshold)
            .with_context(|| format!("cannot write the plots into {}", folder.display()))?;
    }
    args.measuring.print(&report, |out, report| table(out, report, accuracy))
}

fn table(out: &mut dyn Write, report: &Report, accuracy: Accuracy) -> io::Result<()> {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "nothing to compare".into(), |rate| format!("{rate:.6}"));
    let how = match accuracy {
        Accuracy::KFold { folds, .. } => format!("mean over {folds} folds, each at the threshold best on the others"),
        Accuracy::BestThreshold { .. } => {
            "no folds: at the threshold best on these very pairs, a little flattering".into()
        }
    };
    writeln!(out, "model                  {}", report.model)?;
    writeln!(out, "pairs                  {}", report.pairs)?;
    writeln!(out, "accuracy               {:.4}  ({how})", report.accuracy)?;
    writeln!(out, "mated comparisons      {}", report.comparisons_mated)?;
    writeln!(out, "non-mated comparisons  {}", report.comparisons_non_mated)?;
    writeln!(out, "FMR at {:<15} {}", report.threshold, rate(report.fmr))?;
    writeln!(out, "FNMR at {:<14} {}", report.threshold, rate(report.fnmr))?;
    writeln!(out, "TAR at FAR 1e-2        {}", rate(report.tar_at_far_1e2))?;
    writeln!(out, "TAR at FAR 1e-3        {}", rate(report.tar_at_far_1e3))?;
    writeln!(out, "TAR at FAR 1e-4        {}", rate(report.tar_at_far_1e4))?;
    writeln!(out, "images without face    {}  (their comparisons count as non-matches)", report.failures_to_detect)
}

/// Every two images once, split by person.
fn all_against_all(faces: &Faces, persons: &[usize]) -> Scores {
    let n = persons.len();
    let (mut mated, mut non_mated) = (Vec::new(), Vec::with_capacity(n * n.saturating_sub(1) / 2));
    faces.all_pairs(|a, b, cosine| {
        let to = if persons[a] == persons[b] { &mut mated } else { &mut non_mated };
        to.push(cosine.unwrap_or(NOT_COMPARED));
    });
    Scores::new(mated, non_mated)
}

#[cfg(test)]
mod tests {
    use examgate::domain::Embedding;

    use super::*;

    #[test]
    fn comparisons_are_split_by_person() {
        let at = |angle: f32| Embedding::normalised(vec![angle.cos(), angle.sin()]).unwrap();
        let embeddings = [Some(at(0.0)), Some(at(0.1)), Some(at(3.0)), None];
        let scores = all_against_all(&Faces::new(2, embeddings.iter().map(Option::as_ref)), &[0, 0, 1, 1]);
        assert_eq!((scores.mated(), scores.non_mated()), (2, 4));
        // the person without a found face is missed; nobody else is taken for another
        assert_eq!((scores.fnmr(0.9), scores.fmr(0.9)), (Some(0.5), Some(0.0)));
    }

    #[test]
    fn keys_of_the_json_are_stable() {
        let report = Report {
            pairs: 1,
            accuracy: 1.0,
            comparisons_mated: 1,
            comparisons_non_mated: 0,
            fmr: None,
            fnmr: Some(0.0),
            tar_at_far_1e2: None,
            tar_at_far_1e3: None,
            tar_at_far_1e4: None,
            failures_to_detect: 0,
            threshold: 0.475,
            model: "m".into(),
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"pairs":1,"accuracy":1.0,"comparisons_mated":1,"comparisons_non_mated":0,"fmr":null,"fnmr":0.0,"#
                .to_owned()
                + r#""tar_at_far_1e-2":null,"tar_at_far_1e-3":null,"tar_at_far_1e-4":null,"failures_to_detect":0,"#
                + r#""threshold":0.475,"model":"m"}"#
        );
    }
}
