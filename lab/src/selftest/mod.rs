//! `selftest`: a test with an operator's own people and cameras, from a plan of what to record to a report with exact intervals.
//!
//! It keeps no embedding, and its report contains no similarity of a named person.

mod plan;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use examgate::{
    domain::Template,
    session::Policy,
    vision::{Pipeline, VerifiedModels},
};
use report::{Attack, Photo, Report, TapRow};

use crate::{
    dataset::clips::{Clip, find, need_decoder},
    evaluate::{
        fusion::{Seen, fuse, see},
        liveness,
    },
};
use examgate::exit::Refusal;
use examgate_enrol::{
    faces::{enrol, turn_words},
    folder,
    measuring::MeasuringArgs,
    models,
};

/// Tests face recognition with your own people, cameras and light, and reports exact confidence intervals.
///
/// `plan` creates the folders and a page that says what to record; `run` plays the recordings through the decision rule of the box.
/// The folders:
///
///   people/<who>/photo/   ID photos, as the campus has them
///   people/<who>/look/    recordings of the box's camera, a few seconds each: clips or folders of frames
///   attacks/<kind>/<who>/ attempts to impersonate <who>: a print, a phone, …
#[derive(clap::Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Command {
    Plan(plan::Args),
    Run(Args),
}

/// Plays the recordings and reports: photo and frame quality, who is admitted at the first look, false accepts, and which attacks pass.
///
/// Every recording is played twice through the session, nets and thresholds of the box: as a tap with the person's own card, and as a tap
/// with the card of the next person in the list (an impostor attempt). Rates have exact (Clopper-Pearson) intervals over independent
/// samples: the first look of each person, and the first attack of each kind on each person. A run without errors does not prove an error
/// rate of zero; the report gives the upper bound.
#[derive(clap::Args)]
#[command(after_help = "Example:
  examgate-lab selftest plan --people 30 our-door
  # record what our-door/PLAN.md says, then
  examgate-lab selftest run our-door")]
pub(crate) struct Args {
    /// The folder that `plan` made.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Plan(args) => plan::make(args),
        Command::Run(args) => measure(args),
    }
}

/// What there is of one person.
struct Person {
    name: String,
    photos: Vec<PathBuf>,
    looks: Vec<Clip>,
}

fn measure(args: &Args) -> anyhow::Result<()> {
    let people = people(&args.folder)?;
    let attacks = attacks(&args.folder)?;
    if people.iter().flat_map(|person| &person.looks).chain(attacks.iter().map(|(_, clip)| clip)).any(Clip::is_video) {
        need_decoder()?;
    }
    let models = args.measuring.load()?;
    let threads = args.measuring.threads();
    let policy = liveness::policy(models.manifest());
    let mut report = Report::default();

    let templates = enrol_all(&models, threads, &people, &mut report)?;
    let fit: Vec<usize> =
        (0..people.len()).filter(|&at| !templates[at].is_empty() && !people[at].looks.is_empty()).collect();
    for (person, templates) in people.iter().zip(&templates) {
        if templates.is_empty() {
            report.missing.push(format!("{} has no usable photo", person.name));
        } else if person.looks.is_empty() {
            report.missing.push(format!("{} has no look", person.name));
        }
    }
    if fit.is_empty() {
        bail!(Refusal::Data(format!(
            "nobody in {} has both a usable photo and a look; {}",
            args.folder.display(),
            report.missing.first().map_or("`examgate-lab selftest plan` says what to record", String::as_str)
        )));
    }
    report.people = fit.len();
    look_all(&models, threads, &policy, &people, &templates, &fit, &mut report)?;
    attack_all(&models, threads, &policy, &people, &templates, &attacks, &mut report)?;
    args.measuring.print(&report, |out, report| report.write(out))
}

/// The folders below `folder`, by name; none where it is not there.
fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

fn people(folder: &Path) -> anyhow::Result<Vec<Person>> {
    let listed = || Refusal::Usage(format!("cannot list the people in {}", folder.display()));
    let mut people = Vec::new();
    for (name, path) in folders(&folder.join("people")).with_context(listed)? {
        let (photo, look) = (path.join("photo"), path.join("look"));
        let photos = if photo.exists() { folder::list(&photo).with_context(listed)? } else { Vec::new() };
        let looks = if look.exists() { clips(&look)? } else { Vec::new() };
        people.push(Person { name, photos: photos.into_iter().map(|name| photo.join(name)).collect(), looks });
    }
    if people.is_empty() {
        bail!(Refusal::Usage(format!(
            "{} has no people/<who>/ in it: `examgate-lab selftest plan --help` says how to begin",
            folder.display()
        )));
    }
    Ok(people)
}

/// Attacks with their kinds.
fn attacks(folder: &Path) -> anyhow::Result<Vec<(String, Clip)>> {
    let listed = || Refusal::Usage(format!("cannot list the attacks in {}", folder.display()));
    let mut attacks = Vec::new();
    for (kind, path) in folders(&folder.join("attacks")).with_context(listed)? {
        attacks.extend(clips(&path)?.into_iter().map(|clip| (kind.clone(), clip)));
    }
    Ok(attacks)
}

/// The clips below a folder, which may be empty.
fn clips(folder: &Path) -> anyhow::Result<Vec<Clip>> {
    let mut entries =
        fs::read_dir(folder).with_context(|| Refusal::Usage(format!("cannot list {}", folder.display())))?;
    match entries.next() {
        None => Ok(Vec::new()),
        Some(_) => find(folder),
    }
}

/// Templates of each person's photos.
fn enrol_all(
    models: &VerifiedModels,
    threads: usize,
    people: &[Person],
    report: &mut Report,
) -> anyhow::Result<Vec<Vec<Template>>> {
    let all: Vec<(usize, &Path)> = people
        .iter()
        .enumerate()
        .flat_map(|(at, person)| person.photos.iter().map(move |photo| (at, photo.as_path())))
        .collect();
    let enrolled = models::each(models, threads, "photos", &all, |pipeline, (_, photo)| Ok(enrol(pipeline, photo)))?;
    let mut templates = vec![Vec::new(); people.len()];
    for ((person, path), enrolled) in all.iter().zip(enrolled) {
        let photo = format!("{}/{}", people[*person].name, path.file_name().unwrap_or_default().to_string_lossy());
        let wrong = match enrolled {
            Ok(enrolled) => {
                templates[*person].push(enrolled.template);
                let eyes = || {
                    enrolled.look_at_eyes.then(|| "the eyes may be closed: look, and take another if they are".into())
                };
                let turned = || enrolled.turned.map(|turn| format!("it was not upright and was {}", turn_words(turn)));
                enrolled.defect.map(|defect| format!("poor: {}", defect.words())).or_else(turned).or_else(eyes)
            }
            Err(fault) => Some(format!("not used: {fault}; {}", fault.mend())),
        };
        report.photos.push(Photo { photo, wrong });
    }
    Ok(templates)
}

/// What one look showed: to its own person's photos, to a neighbour's, and its frames.
struct Looked {
    own: Result<liveness::Line, String>,
    neighbour: Option<Result<liveness::Line, String>>,
    seen: Seen,
}

fn look_all(
    models: &VerifiedModels,
    threads: usize,
    policy: &Policy,
    people: &[Person],
    templates: &[Vec<Template>],
    fit: &[usize],
    report: &mut Report,
) -> anyhow::Result<()> {
    // Each at the place of the next: nobody takes part in more than two of these taps.
    let next = |place: usize| fit[(place + 1) % fit.len()];
    let all: Vec<(usize, usize, &Clip)> = fit
        .iter()
        .enumerate()
        .flat_map(|(place, &at)| people[at].looks.iter().enumerate().map(move |(n, clip)| (place, n, clip)))
        .collect();
    let looked = models::each(models, threads, "looks", &all, |pipeline, &(place, n, clip)| {
        let against = |pipeline: &mut Pipeline, at: usize| {
            liveness::against(pipeline, policy, clip, (&people[at].name, &templates[at]))
        };
        let own = against(pipeline, fit[place])?;
        let neighbour = (n == 0 && fit.len() > 1).then(|| against(pipeline, next(place))).transpose()?;
        let seen = match clip.frames(false) {
            Ok(frames) => see(pipeline, &frames, 0..frames.paths.len())?,
            Err(_) => Seen::default(),
        };
        Ok(Looked { own, neighbour, seen })
    })?;
    for (&(place, n, clip), Looked { own, neighbour, seen }) in all.iter().zip(looked) {
        let name = format!("{}/{}", people[fit[place]].name, clip.name);
        report.frames.add(&seen);
        match own {
            Ok(line) => report.looks.push(TapRow::new(name.clone(), n == 0, &line)),
            Err(why) => report.missing.push(format!("{name} cannot be played: {why}")),
        }
        if let Some(Ok(line)) = neighbour {
            report.neighbours.push(TapRow::new(format!("{name} as {}", people[next(place)].name), true, &line));
        }
        if n == 0 && !seen.fit.is_empty() {
            let probe = fuse(seen.fit.iter())?;
            for &other in fit.iter().filter(|&&other| other != fit[place]) {
                let cosines = templates[other].iter().map(|template| probe.similarity(&template.embedding));
                report.comparisons += 1;
                if cosines.into_iter().any(|cosine| cosine >= policy.thresholds.admit) {
                    report.taken_for.push(format!("{} for {}", people[fit[place]].name, people[other].name));
                }
            }
        }
    }
    Ok(())
}

fn attack_all(
    models: &VerifiedModels,
    threads: usize,
    policy: &Policy,
    people: &[Person],
    templates: &[Vec<Template>],
    attacks: &[(String, Clip)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let victim = |clip: &Clip| {
        let named = |name: &str| people.iter().position(|person| person.name == name);
        // A folder that is one clip bears the victim's name itself, or lies in a folder that does.
        clip.folders.iter().map(String::as_str).chain([clip.name.as_str()]).find_map(named)
    };
    let played = models::each(models, threads, "attacks", attacks, |pipeline, (_, clip)| match victim(clip) {
        Some(at) if !templates[at].is_empty() => {
            liveness::against(pipeline, policy, clip, (&people[at].name, &templates[at]))
        }
        Some(_) => Ok(Err("its victim has no usable photo".into())),
        None => Ok(Err("it lies in no folder with the name of a person".into())),
    })?;
    let mut kinds: BTreeMap<&str, Attack> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for ((kind, clip), played) in attacks.iter().zip(played) {
        match played {
            Ok(line) => {
                let first = seen.insert((kind, victim(clip)));
                kinds.entry(kind).or_default().add(TapRow::new(format!("{kind}/{}", clip.name), first, &line));
            }
            Err(why) => report.missing.push(format!("attack {kind}/{} is not played: {why}", clip.name)),
        }
    }
    report.attacks = kinds.into_iter().map(|(kind, attack)| (kind.to_owned(), attack)).collect();
    Ok(())
}
