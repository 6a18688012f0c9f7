//! `evaluate liveness`: every clip is one session, played through the shipped session and probe.
//!
//! It never knows what is on the clips but from the folder they lie in.

mod clips;
mod play;
mod report;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod mishaps;
#[cfg(test)]
mod staged;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clips::Clip;
use examgate::{
    domain::{Decision, Template},
    session::{Policy, Thresholds},
    vision::{Manifest, Pipeline},
};
use report::{Line, Report, Unplayable};

use crate::{
    exit::Refusal,
    models::{self, ModelArgs},
};

/// Measures presentation-attack detection on clips of live people and of attacks.
///
/// Played are clips (decoded by ffmpeg), folders of numbered frames (30 a second) and stills (shown without a change), at any depth.
/// Each is one tap, through the session and the probe that run at the door, at the clip's own time. A live person is enrolled from
/// frames that are not played; an attack is played against the live clip's person whose name one of its folders bears, else against a
/// template made from the attack itself, the worst case. An attack's kind is the outermost folder it lies in.
///
/// `undecided` is a session that asked for a challenge, which no clip can meet but by luck, or that saw too little (no face, several,
/// poor pictures). APCER and BPCER are those of presentation-attack detection alone: attacks taken for live, live people taken for
/// attacks, undecided ones not. Intervals are Clopper and Pearson's and hold for clips that are independent: other people, other days.
#[derive(clap::Args)]
#[command(after_help = "Example, with live/ada.mp4, attacks/replay/ada/phone.mp4 and attacks/print/held.mp4:
  examgate-fleet evaluate liveness --live live --attacks attacks")]
pub(crate) struct Args {
    /// Clips of live people, one person each.
    #[arg(long, value_name = "DIR")]
    live: PathBuf,
    /// Clips of attacks.
    #[arg(long, value_name = "DIR")]
    attacks: PathBuf,
    /// Prints JSON instead of Markdown.
    #[arg(long)]
    json: bool,
    /// Sessions played at once [default: one a processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    models: ModelArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (live, attacks) = (clips::find(&args.live)?, clips::find(&args.attacks)?);
    if live.iter().chain(&attacks).any(Clip::is_video) {
        clips::need_decoder()?;
    }
    let models = args.models.load()?;
    let threads = args.threads.map_or_else(models::default_threads, usize::from);
    let policy = policy(models.manifest());
    let mut unplayable = Vec::new();

    let played = models::each(&models, threads, "live clips", &live, |pipeline, clip| {
        session(pipeline, &policy, clip, play::enrol_unplayed, None)
    })?;
    let mut people = BTreeMap::new();
    let mut live_lines = Vec::new();
    for (clip, played) in live.iter().zip(played) {
        match played {
            Ok((line, templates)) => {
                people.insert(clip.name.clone(), templates);
                live_lines.push(line);
            }
            Err(why) => unplayable.push(skipped(clip, why)),
        }
    }
    let played = models::each(&models, threads, "attacks", &attacks, |pipeline, clip| {
        let victim = clip.folders.iter().find_map(|folder| people.get_key_value(folder));
        let victim = victim.filter(|(_, templates)| !templates.is_empty());
        session(pipeline, &policy, clip, play::enrol_from_itself, victim)
    })?;
    let mut attack_lines = Vec::new();
    for (clip, played) in attacks.iter().zip(played) {
        match played {
            Ok((mut line, _)) => {
                line.kind = Some(clip.folders.first().cloned().unwrap_or_else(|| "attack".into()));
                attack_lines.push(line);
            }
            Err(why) => unplayable.push(skipped(clip, why)),
        }
    }
    if live_lines.is_empty() && attack_lines.is_empty() {
        let why = unplayable.first().map(|first| format!("{}: {}", first.clip, first.why)).unwrap_or_default();
        bail!(Refusal::Data(format!("no clip could be played; {why}")));
    }
    let report = Report::new(live_lines, attack_lines, unplayable, policy.thresholds.sure);
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        out.write_all(report.markdown().as_bytes())?;
    }
    Ok(())
}

/// The rule as it ships.
fn policy(manifest: &Manifest) -> Policy {
    let (matching, liveness) = (&manifest.embedder.thresholds, &manifest.liveness);
    Policy::with(Thresholds {
        artifact: manifest.embedder.artifact(),
        admit: matching.admit,
        refer: matching.refer,
        live: liveness.threshold,
        sure: liveness.sure,
    })
}

fn skipped(clip: &Clip, why: String) -> Unplayable {
    tracing::warn!(clip = clip.name, "not played: {why}");
    Unplayable { clip: clip.name.clone(), why }
}

/// Plays `clip` against the victim's templates or, without, as the person or the attack that it shows. `Err` holds why it could not
/// be played; the outer error is of the nets.
type Played = Result<(Line, Vec<Template>), String>;

fn session(
    pipeline: &mut Pipeline,
    policy: &Policy,
    clip: &Clip,
    enrol: fn(&mut Pipeline, &clips::Frames) -> anyhow::Result<play::Enrolment>,
    victim: Option<(&String, &Vec<Template>)>,
) -> anyhow::Result<Played> {
    let frames = match clip.frames() {
        Ok(frames) => frames,
        Err(why) => return Ok(Err(why)),
    };
    let at = || format!("at {}", clip.name);
    let enrolment = match victim {
        Some((_, templates)) => play::Enrolment { templates: templates.clone(), played: frames.paths.len() },
        None => enrol(pipeline, &frames).with_context(at)?,
    };
    let ended = play::play(pipeline, policy, &clip.name, &frames, &enrolment).with_context(at)?;
    let mut remark = frames.damaged.map(|complaint| format!("damaged: {complaint}"));
    if enrolment.templates.is_empty() {
        remark = Some("no frame is fit to enrol from".into());
    }
    if let Some(remark) = &remark {
        tracing::warn!(clip = clip.name, "{remark}");
    }
    let outcome = match (ended.admitted(), ended.undecided()) {
        (true, _) => "admitted",
        (false, true) => "undecided",
        (false, false) => "refused",
    };
    let decision = match ended.decision {
        Decision::Admit => "admit".into(),
        Decision::Deny(reason) | Decision::Refer(reason) => format!("{} ({})", ended.decision.outcome(), reason.code()),
    };
    let line = Line {
        clip: clip.name.clone(),
        kind: None,
        victim: victim.map(|(name, _)| name.clone()),
        outcome,
        decision,
        challenged: ended.challenged,
        cue: ended.cue(),
        frames_used: ended.frames_used,
        decide_ms: ended.decided_in.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        remark,
        ended: Some(ended),
    };
    Ok(Ok((line, enrolment.templates)))
}
