//! `evaluate templates`: what the templates of photos lose when their components are written in fewer bytes.
//!
//! Embeddings live only while it runs.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::bail;
use examgate::domain::{Embedding, TemplateForm};
use serde::Serialize;

use crate::{
    dataset::labelled::Labelled,
    statistics::scores::{NOT_COMPARED, Scores},
};
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{BothWays, embed_all},
    measuring::MeasuringArgs,
    similarities::Faces,
};

/// All forms; the first one is what the others are compared with.
const FORMS: [TemplateForm; 3] = [TemplateForm::F32, TemplateForm::F16, TemplateForm::I8];

/// False match rates at which the true accept rates are compared.
const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// Measures how much accuracy templates lose in 16-bit floats and in 8-bit integers.
///
/// Every picture is a camera frame and is compared with every other picture as an enrolment photo, whose template was written in each
/// form and read again, as in a bundle. For each form the command prints: bytes of a template; how much the similarity changes; how
/// many comparisons end in another decision at the manifest's thresholds (admit, refer, deny); and the true accept rate at fixed false
/// match rates, where each form has its own threshold.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on:
  examgate-lab evaluate templates --images people")]
pub(crate) struct Args {
    /// Folder of pictures, with one subfolder per person.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// What a comparison ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Admit,
    Refer,
    Deny,
}

/// One form against whole floats.
#[derive(Debug, Serialize)]
struct Form {
    form: TemplateForm,
    bytes: usize,
    /// How much similarities differ, without their sign: mean and most.
    change_mean: f64,
    change_most: f32,
    /// Comparisons that end otherwise.
    mated_changed: usize,
    non_mated_changed: usize,
    /// Of them, those that are admitted with this form only.
    mated_admitted_more: usize,
    non_mated_admitted_more: usize,
    #[serde(rename = "tar_at_fmr_1e-2")]
    tar_at_fmr_1e2: Option<f64>,
    #[serde(rename = "tar_at_fmr_1e-3")]
    tar_at_fmr_1e3: Option<f64>,
    #[serde(rename = "tar_at_fmr_1e-4")]
    tar_at_fmr_1e4: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    people: usize,
    pictures: usize,
    comparisons_mated: usize,
    comparisons_non_mated: usize,
    forms: Vec<Form>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let labelled = Labelled::folders(&args.images)?;
    let models = args.measuring.load()?;
    let faces = embed_all(&models, args.measuring.threads(), &labelled.paths)?;
    let embedder = &models.manifest().embedder;
    let [admit, refer] = [embedder.thresholds.admit.get(), embedder.thresholds.refer.get()];
    let ends = |cosine: f32| match cosine {
        cosine if cosine >= admit => Ends::Admit,
        cosine if cosine >= refer => Ends::Refer,
        _ => Ends::Deny,
    };
    let found: Vec<(usize, &BothWays)> =
        labelled.persons.iter().zip(&faces).filter_map(|(&person, face)| Some((person, face.as_ref()?))).collect();
    let persons: Vec<usize> = found.iter().map(|(person, _)| *person).collect();
    let probes = Faces::new(embedder.dimension, found.iter().map(|(_, face)| Some(&face.probe)));
    let compare = |form: TemplateForm| {
        let read: Vec<Option<Embedding>> =
            found.iter().map(|(_, face)| form.unpack(&form.pack(&face.template))).collect();
        let templates = Faces::new(embedder.dimension, read.iter().map(Option::as_ref));
        let mut cosines = Cosines::default();
        probes.against(&templates, |a, b, cosine| {
            if a != b {
                let to = if persons[a] == persons[b] { &mut cosines.mated } else { &mut cosines.non_mated };
                to.push(cosine.unwrap_or(NOT_COMPARED));
            }
        });
        cosines
    };
    let whole = compare(FORMS[0]);
    if whole.mated.is_empty() || whole.non_mated.is_empty() {
        bail!(Refusal::Data(format!(
            "{} has too few pictures with a face: people with several pictures are needed, one folder a person",
            args.images.display()
        )));
    }
    let forms = FORMS.into_iter().map(|form| against(form, embedder.dimension, &whole, compare(form), ends)).collect();
    let report = Report {
        model: embedder.net.name.clone(),
        people: labelled.names.len(),
        pictures: found.len(),
        comparisons_mated: whole.mated.len(),
        comparisons_non_mated: whole.non_mated.len(),
        forms,
    };
    args.measuring.print(&report, table)
}

/// In the order in which they were compared.
#[derive(Debug, Default)]
struct Cosines {
    mated: Vec<f32>,
    non_mated: Vec<f32>,
}

fn against(
    form: TemplateForm,
    dimension: usize,
    whole: &Cosines,
    cosines: Cosines,
    ends: impl Fn(f32) -> Ends,
) -> Form {
    let pairs = || {
        let mated = whole.mated.iter().zip(&cosines.mated);
        mated.chain(whole.non_mated.iter().zip(&cosines.non_mated)).map(|(a, b)| (a - b).abs())
    };
    let count = whole.mated.len() + whole.non_mated.len();
    let changed = |before: &[f32], after: &[f32]| {
        let ends = before.iter().zip(after).map(|(&before, &after)| (ends(before), ends(after)));
        let otherwise: Vec<_> = ends.filter(|(before, after)| before != after).collect();
        [otherwise.len(), otherwise.iter().filter(|(_, after)| *after == Ends::Admit).count()]
    };
    let [mated_changed, mated_admitted_more] = changed(&whole.mated, &cosines.mated);
    let [non_mated_changed, non_mated_admitted_more] = changed(&whole.non_mated, &cosines.non_mated);
    let (change_mean, change_most) =
        (pairs().map(f64::from).sum::<f64>() / count.max(1) as f64, pairs().fold(0.0, f32::max));
    let scores = Scores::new(cosines.mated, cosines.non_mated);
    let [tar_at_fmr_1e2, tar_at_fmr_1e3, tar_at_fmr_1e4] = RATES.map(|rate| scores.tar_at_far(rate));
    Form {
        form,
        bytes: dimension * form.width(),
        change_mean,
        change_most,
        mated_changed,
        non_mated_changed,
        mated_admitted_more,
        non_mated_admitted_more,
        tar_at_fmr_1e2,
        tar_at_fmr_1e3,
        tar_at_fmr_1e4,
    }
}

fn table(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { model, people, pictures, comparisons_mated, comparisons_non_mated, forms } = report;
    writeln!(
        out,
        "{model}: {pictures} pictures of {people} people, {comparisons_mated} mated and {comparisons_non_mated} non-mated comparisons"
    )?;
    writeln!(
        out,
        "\nform  bytes  similarity: mean and most change  other decisions: mated, non-mated (newly admitted)  TAR at FMR 1e-2  1e-3      1e-4"
    )?;
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{rate:.6}"));
    for form in forms {
        let Form { mated_changed, mated_admitted_more, non_mated_changed, non_mated_admitted_more, .. } = form;
        let name = match form.form {
            TemplateForm::F32 => "f32",
            TemplateForm::F16 => "f16",
            TemplateForm::I8 => "int8",
        };
        let decisions =
            format!("{mated_changed} ({mated_admitted_more}), {non_mated_changed} ({non_mated_admitted_more})");
        let [a, b, c] = [form.tar_at_fmr_1e2, form.tar_at_fmr_1e3, form.tar_at_fmr_1e4].map(rate);
        writeln!(
            out,
            "{name:<5} {:>5}  {:<16.7} {:<16.7} {decisions:<56} {a:<16} {b:<9} {c}",
            form.bytes, form.change_mean, form.change_most
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_otherwise_is_counted() {
        let ends = |cosine: f32| match cosine {
            cosine if cosine >= 0.5 => Ends::Admit,
            cosine if cosine >= 0.3 => Ends::Refer,
            _ => Ends::Deny,
        };
        let whole = Cosines { mated: vec![0.9, 0.5, 0.31, 0.2], non_mated: vec![0.1, 0.49, NOT_COMPARED] };
        let other = Cosines { mated: vec![0.8, 0.499, 0.29, 0.2], non_mated: vec![0.1, 0.5, 0.0] };
        let form = against(TemplateForm::I8, 4, &whole, other, ends);
        assert_eq!((form.bytes, form.mated_changed, form.non_mated_changed), (4, 2, 1));
        assert_eq!((form.mated_admitted_more, form.non_mated_admitted_more), (0, 1));
        assert_eq!(form.tar_at_fmr_1e2, Some(0.25));
    }
}
