//! `evaluate fusion`: how much fusing frames and a second enrolment photo reduce the error rate.
//!
//! Embeddings live only while it runs.

mod plot;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    ops::Range,
    path::PathBuf,
};

use anyhow::{Context, bail};
use examgate::{
    domain::{Embedding, EmbeddingError, QualityDefect, Similarity},
    vision::{Fusion, Pipeline},
};
use serde::Serialize;

use crate::{
    dataset::{
        clips::{Clip, Frames, find, need_decoder},
        labelled::Labelled,
    },
    play::tap::{enrol_unplayed, read},
    statistics::bootstrap::{Draws, Mated},
};
use examgate::exit::Refusal;
use examgate_enrol::{faces::embed_all, measuring::MeasuringArgs, models};

/// Enrolment photos that are tried.
const PHOTOS: [usize; 2] = [1, 2];
/// Fused frames that are tried.
const FRAMES: [usize; 5] = [1, 2, 3, 5, 8];
/// Pictures that people have at least: two to enrol, the others to fuse. More frames, fewer people.
const PICTURES_AT_LEAST: [usize; 3] = [3, 5, 10];
/// Frames per second that are taken from a clip: what a small box looks at.
const RATE: f64 = 10.0;
/// People below whom an interval over them says nothing.
const FEW: usize = 20;

/// Measures how much fusing several frames, and a second enrolment photo, reduce the error rate.
///
/// Frames are fused into one probe by a weighted mean, as in the box. A probe is compared with a person's photos, and the highest
/// similarity counts. With `--images`, a person's first two pictures are the enrolment photos, and the other pictures are the frames;
/// people with too few pictures are left out. With `--clips`, each clip is one person: the enrolment photos are the most frontal frames of
/// the last quarter, and the frames come from the part before it, ten per second.
///
/// All lines of one block use the same people and the same probes, so they can be compared with each other. The gain is relative to one
/// photo and one frame, with a 95 % interval from a bootstrap over people if there are enough of them. Both kinds of data are biased:
/// press photos of one person differ more than camera frames do, so fusing them gains more than in a real exam; and the frames of a clip
/// are taken within a minute of its photo, so a clip shows fewer errors.
#[derive(clap::Args)]
#[command(after_help = "Example, with people/ada/1.jpg and so on, and clips/bob.mp4:
  examgate-lab evaluate fusion --images people --clips clips --plots plots")]
pub(crate) struct Args {
    /// Folder of pictures, with one subfolder per person.
    #[arg(long, value_name = "DIR", required_unless_present = "clips")]
    images: Option<PathBuf>,
    /// Folder of clips, one person per clip. May be repeated.
    #[arg(long, value_name = "DIR")]
    clips: Vec<PathBuf>,
    /// Writes error-by-frames.svg into this folder.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// One person: photos to enrol from, frames with their weights.
struct Person {
    photos: Vec<Embedding>,
    frames: Vec<(Embedding, f32)>,
}

/// So many photos and so many frames.
#[derive(Debug, Serialize)]
struct Line {
    source: String,
    people: usize,
    photos: usize,
    frames: usize,
    probes: usize,
    mated_mean: f64,
    /// Nineteen of twenty mated probes are above.
    mated_p5: f32,
    /// One in a thousand non-mated probes is above.
    non_mated_p999: f32,
    /// At `admit`.
    fnmr: f64,
    interval: Option<[f64; 2]>,
    /// How much lower than with one photo and one frame.
    less: f64,
    less_interval: Option<[f64; 2]>,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    threshold: f64,
    lines: Vec<Line>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let models = args.measuring.load()?;
    let embedder = &models.manifest().embedder;
    let (threads, admit) = (args.measuring.threads(), embedder.thresholds.admit);
    let mut lines = Vec::new();
    if let Some(images) = &args.images {
        let labelled = Labelled::folders(images)?;
        let mut people: Vec<Vec<_>> = vec![Vec::new(); labelled.names.len()];
        for (&person, both) in labelled.persons.iter().zip(embed_all(&models, threads, &labelled.paths)?) {
            people[person].extend(both);
        }
        for least in PICTURES_AT_LEAST {
            let fit = people.iter().filter(|pictures| pictures.len() >= least);
            let fit: Vec<_> = fit
                .map(|pictures| Person {
                    photos: pictures[..2].iter().map(|both| both.template.clone()).collect(),
                    frames: pictures[2..].iter().map(|both| (both.probe.clone(), both.weight)).collect(),
                })
                .collect();
            lines.extend(block(&format!("{least} and more pictures"), &fit, least - 2, admit)?);
        }
    }
    if !args.clips.is_empty() {
        let mut clips = Vec::new();
        for folder in &args.clips {
            clips.extend(find(folder)?);
        }
        if clips.iter().any(Clip::is_video) {
            need_decoder()?;
        }
        let people = models::each(&models, threads, "clips", &clips, |pipeline, clip| match clip.frames(true) {
            Ok(frames) => of_clip(pipeline, &frames).with_context(|| format!("at {}", clip.name)).map(Some),
            Err(why) => {
                tracing::warn!(clip = clip.name, "not used: {why}");
                Ok(None)
            }
        })?;
        let fit: Vec<_> =
            people.into_iter().flatten().filter(|one| one.photos.len() >= 2 && one.frames.len() >= FRAMES[4]).collect();
        lines.extend(block("clips", &fit, FRAMES[4], admit)?);
    }
    if lines.is_empty() {
        bail!(Refusal::Data("two people with three and more pictures, or two clips with a face, are needed".into()));
    }
    if let Some(folder) = &args.plots {
        plot::error_by_frames(folder, &curves(&lines))
            .with_context(|| format!("cannot write the plot into {}", folder.display()))?;
    }
    // Shortest decimal of the f32.
    let threshold = admit.get().to_string().parse().context("a number is a number")?;
    args.measuring.print(&Report { model: embedder.net.name.clone(), threshold, lines }, table)
}

/// The lines of which there are several numbers of frames.
fn curves(lines: &[Line]) -> Vec<plot::Curve> {
    let alike = lines.chunk_by(|a, b| (&a.source, a.photos) == (&b.source, b.photos)).filter(|lines| lines.len() > 1);
    alike
        .map(|lines| plot::Curve {
            source: lines[0].source.clone(),
            people: lines[0].people,
            photos: lines[0].photos,
            points: lines.iter().map(|line| (line.frames, line.fnmr)).collect(),
        })
        .collect()
}

/// What the frames of a clip show, ten a second.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) looked_at: usize,
    pub(crate) without_face: usize,
    pub(crate) several_faces: usize,
    /// The worst of each frame with one face.
    pub(crate) defects: BTreeMap<QualityDefect, usize>,
    /// Those without a defect, with their weights.
    pub(crate) fit: Vec<(Embedding, f32)>,
}

/// Looks at the frames of `range`. One that cannot be decoded is skipped.
pub(crate) fn see(pipeline: &mut Pipeline, frames: &Frames, range: Range<usize>) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let step = (frames.rate / RATE).round().max(1.0) as usize;
    for path in frames.paths[range].iter().step_by(step) {
        let Some(image) = read(path) else { continue };
        let view = image.view()?;
        seen.looked_at += 1;
        match pipeline.detect(&view)?.as_slice() {
            [] => seen.without_face += 1,
            [face] => match pipeline.quality(&view, face)?.defect {
                Some(defect) => *seen.defects.entry(defect).or_default() += 1,
                None => {
                    let frame = pipeline.embedder().embed_aligned()?.embedding.clone();
                    seen.fit.push((frame, pipeline.embedder().length()));
                }
            },
            [_, _, ..] => seen.several_faces += 1,
        }
    }
    Ok(seen)
}

/// Photos from the last quarter, fit frames from before.
fn of_clip(pipeline: &mut Pipeline, frames: &Frames) -> anyhow::Result<Person> {
    let enrolment = enrol_unplayed(pipeline, frames)?;
    let fit = see(pipeline, frames, 0..enrolment.played)?.fit;
    let photos = enrolment.templates.iter().take(2).map(|template| template.embedding.clone()).collect();
    Ok(Person { photos, frames: fit })
}

/// All lines over the same `people`, with up to `most` frames fused. None for fewer than two people.
fn block(source: &str, people: &[Person], most: usize, admit: Similarity) -> Result<Vec<Line>, EmbeddingError> {
    if people.len() < 2 {
        return Ok(Vec::new());
    }
    let draws = Draws::new(people.len());
    let once = vec![1.0; people.len()];
    let mut base: Option<Mated> = None;
    let mut lines = Vec::new();
    for photos in PHOTOS {
        for frames in FRAMES.into_iter().filter(|&frames| frames <= most) {
            let (mated, mut non_mated) = compare(people, photos, frames)?;
            let scores = mated.0.iter().map(|&(score, _)| f64::from(score));
            let mut sorted: Vec<_> = mated.0.iter().map(|&(score, _)| score).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            non_mated.sort_unstable_by(f32::total_cmp);
            let fnmr = |mated: &Mated, times: &[f64]| mated.fnmr(admit.get(), times);
            let gain = |times: &[f64]| Some(fnmr(base.as_ref().unwrap_or(&mated), times)? - fnmr(&mated, times)?);
            let enough = people.len() >= FEW;
            lines.push(Line {
                source: source.to_owned(),
                people: people.len(),
                photos,
                frames,
                probes: mated.0.len(),
                mated_mean: scores.sum::<f64>() / mated.0.len() as f64,
                mated_p5: at(&sorted, 0.05),
                non_mated_p999: at(&non_mated, 0.999),
                fnmr: fnmr(&mated, &once).unwrap_or_default(),
                interval: draws.interval(|times| fnmr(&mated, times)).filter(|_| enough),
                less: gain(&once).unwrap_or_default(),
                less_interval: draws.interval(gain).filter(|_| enough),
            });
            base.get_or_insert(mated);
        }
    }
    Ok(lines)
}

fn at(sorted: &[f32], share: f64) -> f32 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Probes of so many fused `frames` against so many `photos`: of the same person, with who it is, and of all others.
fn compare(people: &[Person], photos: usize, frames: usize) -> Result<(Mated, Vec<f32>), EmbeddingError> {
    let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
    for (person, own) in (0..).zip(people) {
        for first in 0..own.frames.len() {
            // Neighbours; after the last comes the first, so that there are as many probes whatever is fused.
            let probe = fuse(own.frames.iter().cycle().skip(first).take(frames))?;
            for (other, theirs) in (0_u32..).zip(people) {
                let cosines = theirs.photos[..photos].iter().map(|photo| probe.similarity(photo).get());
                let nearest = cosines.fold(-1.0, f32::max);
                if other == person { mated.push((nearest, person)) } else { non_mated.push(nearest) }
            }
        }
    }
    Ok((Mated(mated), non_mated))
}

/// As at the door, but all frames are known to show one face.
pub(crate) fn fuse<'f>(frames: impl Iterator<Item = &'f (Embedding, f32)>) -> Result<Embedding, EmbeddingError> {
    let mut fusion = Fusion::default();
    for (frame, weight) in frames {
        fusion.add(frame.clone(), *weight, Similarity::new(-1.0))?;
    }
    Ok(fusion.embedding().expect("a frame was added").clone())
}

fn table(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let per_cent = |rate: f64| format!("{:.2} %", rate * 100.0);
    let within = |interval: Option<[f64; 2]>| {
        interval.map_or_else(|| "–".into(), |[low, high]| format!("{:.2} to {:.2}", low * 100.0, high * 100.0))
    };
    writeln!(out, "{}, admit {}\n", report.model, report.threshold)?;
    writeln!(
        out,
        "| people | photos | frames | probes | mated: mean | 95 % above | others: 0.1 % above | FNMR at admit | interval | less, in percentage points |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    )?;
    for line in &report.lines {
        let Line { source, people, photos, frames, probes, mated_mean, mated_p5, non_mated_p999, .. } = line;
        writeln!(
            out,
            "| {people}: {source} | {photos} | {frames} | {probes} | {mated_mean:.3} | {mated_p5:.3} | {non_mated_p999:.3} | {} | {} | {:.2} ({}) |",
            per_cent(line.fnmr),
            within(line.interval),
            line.less * 100.0,
            within(line.less_interval),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(components: &[f32]) -> Embedding {
        Embedding::normalised(components.to_vec()).unwrap()
    }

    /// Faces in two planes, each frame off its person by as much to one side as the next to the other.
    fn people() -> Vec<Person> {
        let person = |face: [f32; 3]| Person {
            photos: vec![unit(&[face[0], face[1], -0.8]), unit(&face)],
            frames: [0.8, -0.8].map(|off| (unit(&[face[0], face[1], off]), 1.0)).to_vec(),
        };
        vec![person([1.0, 0.0, 0.0]), person([0.0, 1.0, 0.0])]
    }

    #[test]
    fn fusing_and_a_second_photo_are_told_apart() {
        let lines = block("two", &people(), 2, Similarity::new(0.7)).unwrap();
        let told: Vec<_> = lines.iter().map(|line| (line.photos, line.frames, line.fnmr, line.less)).collect();
        assert_eq!(told, [(1, 1, 0.5, 0.0), (1, 2, 0.0, 0.5), (2, 1, 0.0, 0.5), (2, 2, 0.0, 0.5)]);
        assert!(lines.iter().all(|line| line.probes == 4 && line.interval.is_none()), "{lines:?}");
        assert!((lines[3].mated_mean - 1.0).abs() < 1e-6, "the errors of both frames cancel");
    }

    #[test]
    fn nobody_is_compared_with_themselves_alone() {
        assert!(block("one", &people()[..1], 2, Similarity::new(0.7)).unwrap().is_empty());
    }
}
