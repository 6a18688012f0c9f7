//! `evaluate precision`: what a substitute embedder (for instance in 8-bit integers) loses against the manifest's embedder.
//!
//! Embeddings live only while it runs.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use examgate::vision::Loss;
use serde::Serialize;

use crate::{calibrate::measure::compare, dataset::labelled::Labelled, statistics::bootstrap::Draws};
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{BothWays, embed_all, mixed},
    measuring::MeasuringArgs,
};

/// False match rates at which both are compared.
const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// Measures how much accuracy a faster alternative embedder (for instance 8-bit) loses.
///
/// Every picture is a camera frame, embedded by both nets, and is compared with every other picture as an enrolment photo, embedded by
/// the manifest's embedder. At each false match rate each net gets its own threshold, and the false non-match rates are compared. The
/// interval of the difference comes from a paired bootstrap over people: each resample is used for both nets. The lines printed for the
/// manifest belong to the false match rate at which the upper end of the difference is highest.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  examgate-lab evaluate precision --images people --candidate mobilefacenet-int8")]
pub(crate) struct Args {
    /// Folder of pictures, with one subfolder per person.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Name of the alternative embedder in the manifest.
    #[arg(long, value_name = "NET")]
    candidate: String,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// Both nets at one false match rate.
#[derive(Debug, Serialize)]
struct At {
    fmr: f64,
    /// Threshold and false non-match rate: of the net stood for, of the stand-in.
    threshold: [f32; 2],
    fnmr: [Option<f64>; 2],
    /// How much higher the stand-in's is, and the 95 % interval of that.
    difference: Option<f64>,
    interval: Option<[f64; 2]>,
}

#[derive(Debug, Serialize)]
struct Report {
    reference: String,
    candidate: String,
    people: usize,
    pictures: usize,
    comparisons_mated: usize,
    /// Mean and least cosine between both nets' embeddings of one face.
    cosine_mean: f64,
    cosine_least: f32,
    at: Vec<At>,
    /// The worst of them, as it goes into the manifest, and whether that is no relevant loss.
    loss: Option<[f32; 2]>,
    small: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let labelled = Labelled::folders(&args.images)?;
    let models = args.measuring.load()?;
    let stand_in = args.measuring.load_with(&args.candidate)?;
    let threads = args.measuring.threads();
    let reference = embed_all(&models, threads, &labelled.paths)?;
    let looked = embed_all(&stand_in, threads, &labelled.paths)?;
    let alike: Vec<f32> = reference
        .iter()
        .zip(&looked)
        .filter_map(|(a, b)| Some(a.as_ref()?.probe.similarity(&b.as_ref()?.probe).get()))
        .collect();
    // The reference's templates serve both.
    let candidate = mixed(reference.clone(), looked);

    let dimension = models.manifest().embedder.dimension;
    let of = |faces: &[Option<BothWays>]| {
        let found: Vec<(usize, &BothWays)> =
            labelled.persons.iter().zip(faces).filter_map(|(&person, face)| Some((person, face.as_ref()?))).collect();
        let mut people: Vec<Vec<&BothWays>> = vec![Vec::new(); labelled.names.len()];
        found.iter().for_each(|&(person, face)| people[person].push(face));
        compare(&found, &people, dimension)
    };
    let both = [of(&reference), of(&candidate)];
    let draws = Draws::new(labelled.names.len());
    let once = vec![1.0; labelled.names.len()];
    let at_rate = |rate: f64| {
        let fnmr = |which: usize, times: &[f64]| {
            let (mated, non_mated) = &both[which];
            mated.fnmr(non_mated.threshold(rate, times)?, times)
        };
        let difference = |times: &[f64]| Some(fnmr(1, times)? - fnmr(0, times)?);
        Some(At {
            fmr: rate,
            threshold: [both[0].1.threshold(rate, &once)?, both[1].1.threshold(rate, &once)?],
            fnmr: [fnmr(0, &once), fnmr(1, &once)],
            difference: difference(&once),
            interval: draws.interval(difference),
        })
    };
    let at: Vec<At> = RATES.into_iter().filter_map(at_rate).collect();
    let losses = at.iter().filter_map(|at| Some([at.difference? as f32, at.interval?[1] as f32]));
    let loss = losses.max_by(|a, b| a[1].total_cmp(&b[1]));
    let report = Report {
        reference: models.manifest().embedder.net.name.clone(),
        candidate: args.candidate.clone(),
        people: labelled.names.len(),
        pictures: alike.len(),
        comparisons_mated: both[0].0.0.len(),
        cosine_mean: alike.iter().copied().map(f64::from).sum::<f64>() / alike.len().max(1) as f64,
        cosine_least: alike.iter().copied().reduce(f32::min).with_context(|| {
            Refusal::Data(format!("{} has no pictures with a face: one folder a person", args.images.display()))
        })?,
        at,
        loss,
        small: loss.is_some_and(|[fnmr, upper]| Loss { fnmr, upper }.is_small()),
    };
    args.measuring.print(&report, table)
}

fn table(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { reference, candidate, people, pictures, comparisons_mated, .. } = report;
    writeln!(
        out,
        "{candidate} against {reference}: {pictures} pictures of {people} people, {comparisons_mated} mated"
    )?;
    writeln!(out, "cosine between both: mean {:.4}, least {:.4}", report.cosine_mean, report.cosine_least)?;
    writeln!(out, "\nFMR     thresholds       FNMR in %        more, in percentage points (95 %)")?;
    let percent = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{:.2}", rate * 100.0));
    for at in &report.at {
        let [a, b] = at.threshold;
        let [lower, upper] = at.interval.map_or([None, None], |ends| ends.map(Some)).map(percent);
        let [before, after, more] = [at.fnmr[0], at.fnmr[1], at.difference].map(percent);
        writeln!(
            out,
            "{:<7} {a:.3} -> {b:.3}   {before} -> {after}     {more} ({lower} to {upper})",
            format!("{:.0e}", at.fmr)
        )?;
    }
    match report.loss {
        None => writeln!(out, "\nthese pictures cannot say what is lost: people with several pictures are needed"),
        Some([fnmr, upper]) => {
            let verdict = if report.small { "no relevant loss" } else { "a relevant loss: it will not be used" };
            writeln!(
                out,
                "\n{verdict}; for the manifest:\n[model.{candidate}.loss]\nfnmr = {fnmr:.4}\nupper = {upper:.4}"
            )
        }
    }
}
