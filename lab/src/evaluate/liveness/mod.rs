//! `evaluate liveness`: every clip is one session, played through the shipped session and probe.

mod curve;
mod markdown;
mod plot;
mod rates;
mod report;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod mishaps;
#[cfg(test)]
mod staged;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, bail};
use examgate::{
    domain::{Decision, Template},
    session::{Policy, Thresholds},
    vision::{Manifest, Pipeline},
};
pub(crate) use report::Line;
use report::{Report, Unplayable};

use examgate::exit::Refusal;
use examgate_enrol::{measuring::MeasuringArgs, models};

use crate::{
    dataset::clips::{self, Clip, Cut, Frames},
    play::tap::{self as play, Ended},
};

/// Measures presentation-attack detection on clips of live people and of attacks.
///
/// Input files may be video clips (decoded by ffmpeg), folders of numbered frames (played in order, 30 per second) and stills (repeated
/// without change), in subfolders of any depth. Each one is played as one tap through the same session and nets as in the box, with the
/// timestamps of the video container.
///
/// Enrolment: live clips in one subfolder of DIR belong to one person. Each is compared with a template from another clip of that folder,
/// if both show the same face. A person with a single clip is enrolled from its last quarter, and only the rest is played. An attack is
/// played against the live person whose name (of the clip or its folder) is the name of one of the attack's folders. Without such a
/// person, it is played against a template made from the attack itself, which is the worst case. The outermost folder of an attack is its
/// kind.
///
/// Each session has one result. `admitted`. `asked`: the box asked for a head turn and did not admit; a recorded clip can follow the
/// request only by chance. `refused`: judged an attack or another person, without being asked. `not looked at`: no face, several faces,
/// or only unusable frames. Clips that cannot be decoded are `unplayable` and do not count as sessions.
///
/// APCER (attacks judged live) and BPCER (live people judged attacks) rate presentation-attack detection alone, over the sessions that
/// were admitted or refused. The ask rate is the share of live sessions that were asked for a head turn, over those that were looked at.
///
/// Intervals are exact (Clopper-Pearson) and hold only if the clips are independent: different people, different days. `--piece` makes
/// more sessions from the same people, so no intervals are printed. With `--every` the pieces overlap, and a table shows how much the
/// result depends on the moment at which a look begins.
///
/// The error over time is given for two rules: the rule of the box (who has been admitted by that time), and a rule that looks for at
/// least that long (who would be admitted on passive evidence at some moment from then to the end of the window). The second shows how
/// many attacks a shorter look would admit, and how many live people a longer look would lose.
#[derive(clap::Args)]
#[command(after_help = "Example, with live/ada.mp4, attacks/replay/ada/phone.mp4 and attacks/print/held.mp4:
  examgate-lab evaluate liveness --live live --attacks attacks
Looks of 2.5 seconds that begin at every fourth frame:
  examgate-lab evaluate liveness --live live --attacks attacks --piece 2.5 --every 0.1333")]
pub(crate) struct Args {
    /// Folder of clips of live people. All clips in one subfolder are of one person.
    #[arg(long, value_name = "DIR")]
    live: PathBuf,
    /// Folder of attack clips.
    #[arg(long, value_name = "DIR")]
    attacks: PathBuf,
    /// Cuts each clip into pieces of this length; each piece is one session.
    #[arg(long, value_name = "SECONDS", value_parser = piece)]
    piece: Option<f64>,
    /// Starts a piece every SECONDS seconds, so that pieces overlap [default: where the piece before ends].
    #[arg(long, value_name = "SECONDS", requires = "piece", value_parser = every)]
    every: Option<f64>,
    /// Writes error-against-time.svg into this folder.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

fn piece(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (1.0..=18.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("a piece is of 1 to 18 seconds".into()),
    }
}

fn every(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=60.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("pieces begin 0.01 to 60 seconds apart".into()),
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (live, attacks) = (clips::find(&args.live)?, clips::find(&args.attacks)?);
    if live.iter().chain(&attacks).any(Clip::is_video) {
        clips::need_decoder()?;
    }
    let models = args.measuring.load()?;
    let threads = args.measuring.threads();
    let policy = policy(models.manifest());
    let cut = args.piece.map(|piece| Cut { piece, every: args.every.unwrap_or(piece) });
    let mut unplayable = Vec::new();

    let played = models::each(&models, threads, "live clips", &live, |pipeline, clip| {
        let enrol = |pipeline: &mut Pipeline, frames: &Frames| {
            play::enrol_live(pipeline, frames, clips::neighbour(&live, clip), policy.thresholds.refer)
        };
        sessions(pipeline, &policy, clip, enrol, None, cut)
    })?;
    let mut people = BTreeMap::new();
    let mut live_lines = Vec::new();
    for (clip, played) in live.iter().zip(played) {
        match played {
            Ok((lines, templates)) => {
                if let Some(folder) = clip.folders.last() {
                    people.entry(folder.clone()).or_insert_with(|| templates.clone());
                }
                people.insert(clip.name.clone(), templates);
                live_lines.extend(lines);
            }
            Err(why) => unplayable.push(skipped("live", clip, why)),
        }
    }
    let played = models::each(&models, threads, "attacks", &attacks, |pipeline, clip| {
        let victim = clip.folders.iter().find_map(|folder| people.get_key_value(folder));
        let victim = victim.filter(|(_, templates)| !templates.is_empty());
        sessions(pipeline, &policy, clip, play::enrol_from_itself, victim, cut)
    })?;
    let mut attack_lines = Vec::new();
    for (clip, played) in attacks.iter().zip(played) {
        match played {
            Ok((lines, _)) => {
                let kind = clip.folders.first().cloned().unwrap_or_else(|| "attack".into());
                attack_lines.extend(lines.into_iter().map(|line| Line { kind: Some(kind.clone()), ..line }));
            }
            Err(why) => unplayable.push(skipped("attacks", clip, why)),
        }
    }
    if live_lines.is_empty() && attack_lines.is_empty() {
        let why = unplayable.first().map(|first| format!("{}: {}", first.clip, first.why)).unwrap_or_default();
        bail!(Refusal::Data(format!("no clip could be played; {why}")));
    }
    let report = Report::new(live_lines, attack_lines, unplayable, &policy, cut);
    if let Some(folder) = &args.plots {
        plot::error_against_time(folder, &report.curve, policy.min_look)
            .with_context(|| format!("cannot write the plot into {}", folder.display()))?;
    }
    args.measuring.print(&report, |out, report| out.write_all(markdown::markdown(report).as_bytes()))
}

/// What the door decides by, with the manifest's thresholds.
pub(crate) fn policy(manifest: &Manifest) -> Policy {
    let (matching, liveness) = (&manifest.embedder.thresholds, &manifest.liveness);
    Policy::with(Thresholds {
        artifact: manifest.embedder.artifact(),
        admit: matching.admit,
        refer: matching.refer,
        live: liveness.threshold,
        sure: liveness.sure,
    })
}

/// Plays `clip` as one tap at the place of somebody with these templates. `Err` holds why it could not be played.
pub(crate) fn against(
    pipeline: &mut Pipeline,
    policy: &Policy,
    clip: &Clip,
    victim: (&String, &Vec<Template>),
) -> anyhow::Result<Result<Line, String>> {
    let played = sessions(pipeline, policy, clip, play::enrol_from_itself, Some(victim), None)?;
    Ok(played.map(|(mut lines, _)| lines.pop().expect("a clip that is not cut is one session")))
}

fn skipped(among: &'static str, clip: &Clip, why: String) -> Unplayable {
    tracing::warn!(clip = clip.name, "not played: {why}");
    Unplayable { among, clip: clip.name.clone(), why }
}

type Played = Result<(Vec<Line>, Vec<Template>), String>;

/// Plays `clip`, or its pieces, against the victim's templates or, without, as the person or the attack that it shows. `Err` holds why
/// it could not be played; the outer error is of the nets.
fn sessions(
    pipeline: &mut Pipeline,
    policy: &Policy,
    clip: &Clip,
    enrol: impl FnOnce(&mut Pipeline, &Frames) -> anyhow::Result<play::Enrolment>,
    victim: Option<(&String, &Vec<Template>)>,
    cut: Option<Cut>,
) -> anyhow::Result<Played> {
    let frames = match clip.frames(cut.is_some()) {
        Ok(frames) => frames,
        Err(why) => return Ok(Err(why)),
    };
    let at = || format!("at {}", clip.name);
    let enrolment = match victim {
        Some((_, templates)) => {
            play::Enrolment { templates: templates.clone(), played: frames.paths.len(), from: None }
        }
        None => enrol(pipeline, &frames).with_context(at)?,
    };
    let mut remark = frames.damaged.as_ref().map(|complaint| format!("damaged: {complaint}"));
    if enrolment.templates.is_empty() {
        remark = Some("no frame is fit to enrol from".into());
    }
    if let Some(remark) = &remark {
        tracing::warn!(clip = clip.name, "{remark}");
    }
    let mut lines = Vec::new();
    for part in frames.pieces(enrolment.played, cut) {
        let from_s = cut.map(|_| frames.since(0, part.start).as_secs_f64());
        let name = name(&clip.name, from_s);
        let ended = play::play(pipeline, policy, &name, &frames, part, &enrolment.templates).with_context(at)?;
        let (victim, enrolled_from) = (victim.map(|(name, _)| name.clone()), enrolment.from.clone());
        lines.push(Line { victim, enrolled_from, remark: remark.clone(), ..line(clip.name.clone(), from_s, ended) });
    }
    Ok(Ok((lines, enrolment.templates)))
}

/// Of a piece that begins at `from_s`.
fn name(clip: &str, from_s: Option<f64>) -> String {
    match from_s {
        Some(from) if from > 0.0 => format!("{clip} from {from:.2} s"),
        Some(_) | None => clip.to_owned(),
    }
}

fn line(clip: String, from_s: Option<f64>, ended: Ended) -> Line {
    let decision = match ended.decision {
        Decision::Admit => "admit".into(),
        Decision::Deny(reason) | Decision::Refer(reason) => format!("{} ({})", ended.decision.outcome(), reason.code()),
    };
    Line {
        clip,
        from_s,
        kind: None,
        victim: None,
        enrolled_from: None,
        outcome: ended.outcome(),
        decision,
        challenged: ended.challenged,
        cue: ended.cue(),
        frames_used: ended.frames_used,
        decide_ms: ended.decided_in.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        remark: None,
        ended: Some(ended),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn pieces_are_asked_for_sensibly() {
        for (words, taken) in [
            ("", true),
            ("--piece 2.5", true),
            ("--piece 2.5 --every 0.1333", true),
            ("--piece 1 --every 5", true),
            ("--every 0.1333", false),
            ("--piece 1 --every 0", false),
            ("--piece 1 --every -1", false),
            ("--piece 1 --every NaN", false),
            ("--piece 0.5", false),
        ] {
            let all = ["liveness", "--live", "l", "--attacks", "a"].into_iter().chain(words.split_whitespace());
            let parsed = Args::augment_args(clap::Command::new("liveness")).try_get_matches_from(all);
            assert_eq!(parsed.is_ok(), taken, "{words}: {parsed:?}");
        }
    }
}
