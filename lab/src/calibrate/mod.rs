//! `calibrate`: labelled pictures in; thresholds with intervals out, or the number of people that would be needed.
//!
//! Embeddings live only while it runs. Nothing it says about one face is a probability.

pub(crate) mod measure;
mod report;
mod taps;

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use examgate::domain::Timestamp;

use examgate::exit::Refusal;
use examgate_enrol::{faces, measuring::MeasuringArgs};

use crate::dataset::labelled::Labelled;

/// Calibrates the thresholds of the decision rule on labelled pictures, with confidence intervals.
///
/// Each folder inside DIR holds the pictures of one person. Each picture is one sample, as in `evaluate verification`. The command prints:
///
/// - the similarity at false match rates (FMR) of 1e-2, 1e-3 and 1e-4 over all comparisons of two different people, each with a 95 %
///   interval from a bootstrap over people;
///
/// - the false accept rate of whole taps: the decision rule of the box is run with every person as an impostor for every other person;
///
/// - the people who are falsely matched most often;
///
/// - with --groups, the false match rate inside each group. An impostor will borrow the card of somebody who looks like them, so this
///   rate matters more than the overall rate.
///
/// If there is too little data for a rate, no threshold is given for it, and the number of people needed is printed. At least 30 pairs of
/// people must be expected to match falsely (the rule of 30 of ISO/IEC 19795-1), and the upper end of the interval must be below twice
/// the rate.
///
/// A similarity is not a probability: 0.5 does not mean 50 % certain.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  examgate-lab calibrate --images people --report calibration --write thresholds.toml")]
pub(crate) struct Args {
    /// Folder of pictures, with one subfolder per person.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Uses only the pictures named in this CSV (columns img1,img2,same).
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// CSV with the columns person,group, where person is the name of a subfolder.
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// Alternative embedder for camera frames, for instance the 8-bit one. Photos always use the manifest's embedder.
    #[arg(long, value_name = "NET")]
    probe: Option<String>,
    /// Highest false accept rate of a whole tap; the `admit` threshold is chosen to meet it.
    #[arg(long, value_name = "RATE", default_value_t = 1e-4, value_parser = rate)]
    accept_rate: f64,
    /// Highest false match rate of one comparison; the `refer` threshold is chosen to meet it. Below it a tap is denied.
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = rate)]
    refer_rate: f64,
    /// Writes calibration.json and calibration.md into this folder.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Writes the thresholds in the format of the model manifest, with the nets they apply to and their origin. Refused if there is too
    /// little data.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 0.1 => Ok(rate),
        Ok(_) | Err(_) => Err("a rate is above 0 and at most 0.1, for instance 1e-4".into()),
    }
}

pub(crate) fn run(args: &Args, now: Timestamp) -> anyhow::Result<()> {
    let labelled = match &args.pairs {
        Some(file) => Labelled::pairs(file, &args.images)?,
        None => Labelled::folders(&args.images)?,
    };
    if labelled.names.len() < 2 {
        bail!(Refusal::Data(format!(
            "{} has the pictures of {} persons: at least two are needed, one folder a person",
            args.images.display(),
            labelled.names.len()
        )));
    }
    let groups = args.groups.as_deref().map(|file| labelled.groups(file)).transpose()?;
    let models = args.measuring.load()?;
    let threads = args.measuring.threads();
    let mut embeddings = faces::embed_all(&models, threads, &labelled.paths)?;
    let mut looking = models.manifest().embedder.clone();
    if let Some(name) = &args.probe {
        let models = args.measuring.load_with(name)?;
        embeddings = faces::mixed(embeddings, faces::embed_all(&models, threads, &labelled.paths)?);
        looking = models.manifest().embedder.clone();
    }
    let enrolling = models.manifest().embedder.photo_artifact();
    let asked = measure::Asked { accept_rate: args.accept_rate, refer_rate: args.refer_rate };
    let mut report = measure::measure(&labelled, &embeddings, groups.as_ref(), (&looking, enrolling), &asked)?;
    // The day is precise enough.
    report.date = now.to_string().chars().take_while(|&c| c != 'T').collect();
    report.command =
        std::iter::once("examgate-lab".to_owned()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ");

    if let Some(folder) = &args.report {
        let failed = || format!("cannot write the report into {}", folder.display());
        fs::create_dir_all(folder).with_context(failed)?;
        fs::write(folder.join("calibration.json"), serde_json::to_string_pretty(&report)? + "\n")
            .with_context(failed)?;
        fs::write(folder.join("calibration.md"), report.markdown()).with_context(failed)?;
    }
    args.measuring.print(&report, |out, report| out.write_all(report.markdown().as_bytes()))?;
    if let Some(path) = &args.write {
        let text = report.thresholds().map_err(|why| {
            Refusal::Data(format!("{} was not written, since the data cannot carry it: {why}", path.display()))
        })?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
