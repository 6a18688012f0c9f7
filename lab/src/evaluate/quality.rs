//! `evaluate quality`: the distribution of the quality measures, and whether they predict false non-matches.
//!
//! Embeddings live only while it runs.

mod plot;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use examgate::{
    domain::QualityDefect,
    vision::{Best, Component, Face, ImageView, Pipeline, VisionError},
};
use serde::Serialize;

use super::{
    discard::{Comparison, Curve, JUDGED_AT, SHARES, Verdict, curve},
    gate::{Gate, gate},
};
use crate::{dataset::labelled::Labelled, statistics::bootstrap::Draws};
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{BothWays, each_central},
    measuring::MeasuringArgs,
};

/// Measures image quality, and whether it predicts false non-matches.
///
/// The command prints the distribution of each quality measure over the pictures, in its unit, and the number of pictures with each
/// defect, by the limits for camera frames.
///
/// If the subfolders of DIR are people with several pictures each, it also prints an error-versus-discard curve for each measure, and for
/// the weight that the box gives a frame: the false non-match rate at the manifest's `admit` threshold after the worst pictures by that
/// measure are discarded. Every picture is compared, as a camera frame, with every other picture of the same person, as an enrolment
/// photo. `foretells` means that discarding the worst fifth lowers the error rate, with 95 % confidence over people. `silent` means that
/// the data do not show a change.
///
/// Last comes the limit for the length of the embedding, below which an enrolment photo is called poor. The limit is chosen on one half of
/// the people and tested on the other half.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  examgate-lab evaluate quality --images people --plots plots")]
pub(crate) struct Args {
    /// Folder of pictures, with one subfolder per person. Without subfolders the people are unknown, and only the distributions are
    /// printed.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Writes distributions.svg and error-versus-discard.svg into this folder.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// One property over all pictures.
#[derive(Debug, Serialize)]
pub(super) struct Distribution {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) range: [f32; 2],
    /// `high`, or the value that is best.
    best: String,
    least: f32,
    p5: f32,
    p25: f32,
    pub(super) p50: f32,
    p75: f32,
    p95: f32,
    most: f32,
    #[serde(skip)]
    pub(super) values: Vec<f32>,
}

/// Whether the measures foretell failure.
#[derive(Debug, Serialize)]
struct Discard {
    threshold: f64,
    people: usize,
    comparisons_mated: usize,
    fnmr: Option<f64>,
    /// Shares of the pictures left out: where the curves' values stand.
    discarded: [f64; SHARES.len()],
    curves: Vec<Curve>,
    /// Of the embedding's length, for enrolment photos.
    gate: Option<Gate>,
}

#[derive(Debug, Serialize)]
struct Report {
    images: usize,
    failures_to_detect: usize,
    model: String,
    components: Vec<Distribution>,
    defects: BTreeMap<QualityDefect, usize>,
    /// `null` where no person has two pictures with a face.
    error_versus_discard: Option<Discard>,
}

struct Judged {
    both: BothWays,
    measures: Vec<Component>,
    defect: Option<QualityDefect>,
}

fn judge(pipeline: &mut Pipeline, view: &ImageView<'_>, face: &Face) -> Result<Judged, VisionError> {
    let quality = pipeline.photo_quality(view, face)?;
    let both = BothWays::of(pipeline, view, face)?;
    let whole = |name, range, value| Component { name, unit: "", range, best: Best::High, value };
    let mut measures = vec![whole("quality", [0.0, 1.0], quality.score())];
    measures.extend(quality.components());
    // Not of the picture but of the net's answer: reported, since such lengths are known to follow quality.
    measures.push(whole("embedding_length", [0.0, f32::MAX], both.weight));
    Ok(Judged { measures, defect: quality.defect, both })
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let labelled = Labelled::folders_or_folder(&args.images)?;
    if labelled.paths.is_empty() {
        let shown = args.images.display();
        return Err(Refusal::Data(format!("{shown} has no pictures: JPEG or PNG, one folder a person")).into());
    }
    let models = args.measuring.load()?;
    let threads = args.measuring.threads();
    let judged = each_central(&models, threads, &labelled.paths, judge)?;
    let embedder = &models.manifest().embedder;
    let admit = embedder.thresholds.admit;

    let found: Vec<(usize, &Judged)> =
        labelled.persons.iter().zip(&judged).filter_map(|(&person, judged)| Some((person, judged.as_ref()?))).collect();
    let components = distributions(&found);
    let comparisons = mated(&found, |probe, template| probe.probe.similarity(&template.template) < admit);
    let error_versus_discard = (!comparisons.is_empty()).then(|| {
        let draws = Draws::new(labelled.names.len());
        let curves: Vec<_> = (0..components.len())
            .map(|at| {
                let goodness: Vec<_> = found.iter().map(|(_, judged)| judged.measures[at].goodness()).collect();
                curve(components[at].name, &goodness, &comparisons, &draws, labelled.names.len())
            })
            .collect();
        let lengths: Vec<_> = found.iter().map(|&(person, judged)| (person, judged.both.weight)).collect();
        let mut people: Vec<_> = comparisons.iter().map(|comparison| comparison.person).collect();
        people.dedup();
        Discard {
            // Shortest decimal of the f32.
            threshold: admit.get().to_string().parse().expect("a number is a number"),
            people: people.len(),
            comparisons_mated: comparisons.len(),
            fnmr: curves.first().and_then(|curve| curve.fnmr[0]),
            discarded: SHARES,
            curves,
            gate: gate(&lengths, &comparisons, labelled.names.len(), &draws),
        }
    });
    let mut defects = BTreeMap::new();
    for defect in found.iter().filter_map(|(_, judged)| judged.defect) {
        *defects.entry(defect).or_default() += 1;
    }
    let report = Report {
        images: labelled.paths.len(),
        failures_to_detect: judged.iter().filter(|judged| judged.is_none()).count(),
        model: embedder.net.name.clone(),
        components,
        defects,
        error_versus_discard,
    };
    if let Some(folder) = &args.plots {
        let curves = report.error_versus_discard.as_ref().map_or(&[][..], |discard| &discard.curves);
        plot::quality(folder, &report.components, curves)
            .with_context(|| format!("cannot write the plots into {}", folder.display()))?;
    }
    args.measuring.print(&report, table)
}

fn distributions(found: &[(usize, &Judged)]) -> Vec<Distribution> {
    let Some((_, first)) = found.first() else { return Vec::new() };
    let distribution = |(at, measure): (usize, &Component)| {
        let mut values: Vec<_> = found.iter().map(|(_, judged)| judged.measures[at].value).collect();
        values.sort_unstable_by(f32::total_cmp);
        let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Distribution {
            name: measure.name,
            unit: measure.unit,
            range: measure.range,
            best: match measure.best {
                Best::High => "high".into(),
                Best::Near(value) => value.to_string(),
            },
            least: quantile(0.0),
            p5: quantile(0.05),
            p25: quantile(0.25),
            p50: quantile(0.5),
            p75: quantile(0.75),
            p95: quantile(0.95),
            most: quantile(1.0),
            values,
        }
    };
    first.measures.iter().enumerate().map(distribution).collect()
}

/// Every picture as a probe against every other of the same person.
fn mated(found: &[(usize, &Judged)], missed: impl Fn(&BothWays, &BothWays) -> bool) -> Vec<Comparison> {
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    found.iter().enumerate().for_each(|(at, (person, _))| of.entry(*person).or_default().push(at));
    let mut comparisons = Vec::new();
    for (person, pictures) in of {
        for &a in &pictures {
            for &b in pictures.iter().filter(|&&b| b != a) {
                let missed = missed(&found[a].1.both, &found[b].1.both);
                comparisons.push(Comparison { pictures: [a, b], person, missed });
            }
        }
    }
    comparisons
}

fn table(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(out, "model                {}", report.model)?;
    writeln!(out, "pictures             {}", report.images)?;
    writeln!(out, "without face         {}", report.failures_to_detect)?;
    writeln!(out, "\n{:<17}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}", "", "best", "5 %", "25 %", "50 %", "75 %", "95 %")?;
    for d in &report.components {
        let [p5, p25, p50, p75, p95] = [d.p5, d.p25, d.p50, d.p75, d.p95].map(|value| format!("{value:.2}"));
        writeln!(out, "{:<17}{:>9}{p5:>10}{p25:>10}{p50:>10}{p75:>10}{p95:>10}  {}", d.name, d.best, d.unit)?;
    }
    writeln!(out, "\ndefects, by the limits for frames")?;
    if report.defects.is_empty() {
        writeln!(out, "  none")?;
    }
    for (defect, count) in &report.defects {
        writeln!(out, "  {:<15}{count:>9}", format!("{defect:?}"))?;
    }
    let Some(discard) = &report.error_versus_discard else {
        return writeln!(out, "\nnobody has two pictures: whether quality foretells failure cannot be told");
    };
    let Discard { people, comparisons_mated, threshold, .. } = discard;
    writeln!(out, "\nFNMR at {threshold} over {comparisons_mated} comparisons of {people} people, without the worst")?;
    let shares = SHARES.map(|share| format!("{:>8}", format!("{:.0} %", share * 100.0))).concat();
    writeln!(out, "{:<17}{shares}   without the worst {:.0} % to all", "", JUDGED_AT * 100.0)?;
    for curve in &discard.curves {
        let rate = |rate: &Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{:.2}", rate * 100.0));
        let rates: String = curve.fnmr.iter().map(|fnmr| format!("{:>8}", rate(fnmr))).collect();
        let words = match curve.verdict {
            Verdict::Foretells => "foretells",
            Verdict::Silent => "silent",
            Verdict::Misleads => "misleads",
        };
        let [lower, upper] = curve.interval.unwrap_or([f64::NAN; 2]);
        let ratio = curve.ratio.unwrap_or(f64::NAN);
        writeln!(out, "{:<17}{rates}   {ratio:.2} ({lower:.2} to {upper:.2})  {words}", curve.measure)?;
    }
    if let Some(gate) = &discard.gate {
        let Gate { limit, people, photos, below, fnmr_below, fnmr_below_interval, fnmr_others, fnmr_others_interval } =
            gate;
        let rate = |rate: Option<f64>, interval: Option<[f64; 2]>| match (rate.map(|rate| rate * 100.0), interval) {
            (None, _) => "no such photo".to_owned(),
            (Some(rate), None) => format!("{rate:.1} %"),
            (Some(rate), Some([low, high])) => format!("{rate:.1} % ({:.1} to {:.1})", low * 100.0, high * 100.0),
        };
        writeln!(
            out,
            "\nenrolment photos: embedding_length below {limit:.2}, the shortest 5 % of every other person's"
        )?;
        writeln!(
            out,
            "of the {photos} photos of the people between them {below} are; FNMR with such a photo enrolled and with another, of those {people} \
             who have two"
        )?;
        writeln!(out, "  below   {}", rate(*fnmr_below, *fnmr_below_interval))?;
        writeln!(out, "  others  {}", rate(*fnmr_others, *fnmr_others_interval))?;
    }
    Ok(())
}
