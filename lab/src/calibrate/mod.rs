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

/// Finds thresholds for the decision rule from labelled pictures, with confidence intervals.
///
/// A folder inside DIR is a person; a picture is looked at alone, as by `evaluate verification`. Printed are: the similarity at
/// false match rates of 1e-2, 1e-3 and 1e-4 over all comparisons of two people, each with the 95 % interval of a bootstrap over
/// people; the false accept rate of whole taps, played through the shipped rule with every person at every other's place; the people
/// most often taken for others; and, where groups are given, the false match rate inside each group, since an impostor borrows the card
/// of somebody like them.
///
/// A rate is refused when there is too little data for it, and the number of people needed is printed: at least 30 pairs of people must
/// be expected to match falsely (the rule of 30 of ISO/IEC 19795-1), and the upper end of the interval must be below twice the rate.
///
/// A similarity is no probability: 0.5 does not mean half sure.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  examgate-lab calibrate --images people --report calibration --write thresholds.toml")]
pub(crate) struct Args {
    /// Where the pictures are: one folder a person.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Only the pictures that this CSV names (columns img1,img2,same).
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// CSV with the columns person,group; a person is a folder's name.
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// The substitute embedder used at the door (for instance the 8-bit one); photos are embedded by the manifest's embedder.
    #[arg(long, value_name = "NET")]
    probe: Option<String>,
    /// False accept rate of a whole tap that `admit` must keep.
    #[arg(long, value_name = "RATE", default_value_t = 1e-4, value_parser = rate)]
    accept_rate: f64,
    /// False match rate of one comparison from which on the proctor decides.
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = rate)]
    refer_rate: f64,
    /// Writes calibration.json and calibration.md into this folder.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Writes thresholds for the model manifest, with what they belong to and where they come from; refused if there is too little data.
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
        std::iter::once("examgate-fleet".to_owned()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ");

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
