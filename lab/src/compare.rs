//! `compare`: two photos, one similarity, and what it means at the door.
//!
//! Never calls a similarity a probability.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use examgate::vision::{MatchThresholds, Pipeline};
use serde::Serialize;

use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{Enrolled, PhotoDefect, enrol, turn_code, turn_words},
    models::{self, ModelArgs},
};

/// Compares the faces in two photos and says what the box would decide.
///
/// The similarity is a cosine from -1 to 1, not a probability. The box fuses several camera frames, so the result for two photos is
/// only an estimate. Defects of the photos are printed too: the similarity of a poor photo is not reliable.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  examgate-lab compare card.jpg door.jpg")]
pub(crate) struct Args {
    /// The first photo (JPEG or PNG) of one person.
    #[arg(value_name = "A.jpg")]
    a: PathBuf,
    /// The second photo.
    #[arg(value_name = "B.jpg")]
    b: PathBuf,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// What the door would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Admit,
    Refer,
    Deny,
}

impl Verdict {
    fn of(similarity: f32, thresholds: &MatchThresholds) -> Self {
        if similarity >= thresholds.admit.get() {
            Self::Admit
        } else if similarity >= thresholds.refer.get() {
            Self::Refer
        } else {
            Self::Deny
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Admit => "alike: the door takes them for the same person",
            Self::Refer => "uncertain: not alike enough to admit, too alike to deny; the proctor decides",
            Self::Deny => "unlike: the door takes them for different persons",
        }
    }
}

#[derive(Serialize)]
struct Comparison<'a> {
    similarity: f32,
    verdict: Verdict,
    meaning: &'a str,
    admit: f32,
    refer: f32,
    model: &'a str,
    space: &'a str,
    photos: [Photo<'a>; 2],
}

/// What is to be said of one photo.
#[derive(Serialize)]
struct Photo<'a> {
    photo: String,
    defect: Option<PhotoDefect>,
    /// The defect in words.
    words: Option<&'a str>,
    eyes_may_be_closed: bool,
    /// How it was turned to be upright.
    turned: Option<&'a str>,
}

impl Photo<'_> {
    fn new(path: &Path, enrolled: &Enrolled) -> Self {
        Self {
            photo: path.display().to_string(),
            defect: enrolled.defect,
            words: enrolled.defect.map(PhotoDefect::words),
            eyes_may_be_closed: enrolled.look_at_eyes,
            turned: enrolled.turned.map(turn_code),
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let models = args.models.load()?;
    let mut pipeline = models::open(&models)?;
    let (a, b) = (face(&mut pipeline, &args.a)?, face(&mut pipeline, &args.b)?);
    let similarity = a.template.similarity(&b.template).context("one net made both")?.get();
    let embedder = &models.manifest().embedder;
    let verdict = Verdict::of(similarity, &embedder.thresholds);
    let (admit, refer) = (embedder.thresholds.admit.get(), embedder.thresholds.refer.get());
    let mut out = io::stdout().lock();
    if args.json {
        let answer = Comparison {
            similarity,
            verdict,
            meaning: verdict.words(),
            admit,
            refer,
            model: &embedder.net.name,
            space: embedder.space.as_str(),
            photos: [Photo::new(&args.a, &a), Photo::new(&args.b, &b)],
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
    } else {
        writeln!(out, "similarity {similarity:.3}\n{}", verdict.words())?;
        writeln!(out, "(cosine, -1 to 1; admit from {admit:.3}, refer from {refer:.3}; {})", embedder.net.name)?;
        for (path, enrolled) in [(&args.a, &a), (&args.b, &b)] {
            for remark in remarks(enrolled) {
                writeln!(out, "{}: {remark}", path.display())?;
            }
        }
    }
    Ok(())
}

/// What a person should know of a photo.
fn remarks(enrolled: &Enrolled) -> impl Iterator<Item = String> + use<> {
    let turned = enrolled.turned.map(|turn| format!("it was not upright and was {}", turn_words(turn)));
    let poor = enrolled.defect.map(|defect| format!("a poor photo: {}", defect.words()));
    let eyes =
        enrolled.look_at_eyes.then(|| "the eyes may be closed: look, and take another photo if they are".to_owned());
    turned.into_iter().chain(poor).chain(eyes)
}

fn face(pipeline: &mut Pipeline, path: &Path) -> anyhow::Result<Enrolled> {
    enrol(pipeline, path)
        .map_err(|fault| Refusal::Data(format!("{}: {fault}; {}", path.display(), fault.mend())).into())
}

#[cfg(test)]
mod tests {
    use examgate::domain::Similarity;

    use super::*;

    #[test]
    fn thresholds_belong_to_the_better_verdict() {
        let thresholds = MatchThresholds {
            admit: Similarity::new(0.5),
            refer: Similarity::new(0.25),
            same_face: Similarity::new(0.5),
            unsure: None,
            source: String::new(),
        };
        for (similarity, wanted) in [
            (1.0, Verdict::Admit),
            (0.5, Verdict::Admit),
            (0.499, Verdict::Refer),
            (0.25, Verdict::Refer),
            (0.249, Verdict::Deny),
            (-1.0, Verdict::Deny),
        ] {
            assert_eq!(Verdict::of(similarity, &thresholds), wanted, "{similarity}");
        }
    }
}
