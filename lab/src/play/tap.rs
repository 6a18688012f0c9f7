//! Plays one clip as one tap: the shipped session, the shipped probe, the clip's own time.

use std::{fs, ops::Range, time::Duration};

use examgate::{
    domain::{
        Continuity, Cue, Decision, EventId, EventKind, Hint, Liveness, MonoTime, Observation, Reason, Similarity,
        Template, Timestamp, Verification,
    },
    session::{Input, Now, Output, Outputs, Policy, Session, WakeReason},
    vision::{Image, Pipeline, Probe, decode_file},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::rule;
use crate::dataset::clips::{Clip, Frames};

/// Pictures an attack or a person is enrolled from, at most.
const ENROLLED: usize = 3;
/// Pictures looked at to find them.
const CANDIDATES: usize = 12;

/// How a session counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Admitted, with or without having been asked for a head turn.
    Admitted,
    /// Asked for a head turn, and not admitted. A clip cannot follow such a request except by chance.
    Asked,
    /// Taken for an attack or for somebody else, without having been asked for anything.
    Refused,
    /// No judgement was made: no face, several faces, or only unusable frames.
    NotLookedAt,
}

impl Outcome {
    /// As the tables print it; the JSON has underscores for the spaces.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::NotLookedAt => "not looked at",
        }
    }
}

/// What a session came to.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) decision: Decision,
    /// Whether a challenge was asked for.
    pub(crate) challenged: bool,
    pub(crate) liveness: Liveness,
    pub(crate) frames_used: u32,
    /// First usable frame to decision.
    pub(crate) decided_in: Option<Duration>,
    /// What the first window showed, fit frame by fit frame, without anything having been asked; past an admission to the window's end.
    pub(crate) watched: Vec<Moment>,
}

/// What is known after one more fit frame of the same face.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Since the first of them.
    pub(crate) at: Duration,
    pub(crate) frames: u32,
    /// Fused.
    pub(crate) liveness: f32,
    pub(crate) similarity: f32,
}

impl Ended {
    pub(crate) fn admitted(&self) -> bool {
        self.decision == Decision::Admit
    }

    /// How it counts.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.admitted() {
            Outcome::Admitted
        } else if self.challenged {
            Outcome::Asked
        } else if matches!(self.decision.reason(), Some(Reason::NoFace | Reason::SeveralFaces | Reason::PoorQuality(_)))
        {
            Outcome::NotLookedAt
        } else {
            Outcome::Refused
        }
    }

    /// Whether it was judged live, regardless of identity.
    pub(crate) fn taken_for_live(&self) -> bool {
        match self.liveness {
            Liveness::Scored { score, threshold, cue: _ } => {
                score >= threshold && self.decision != Decision::Refer(Reason::SpoofSuspected)
            }
            Liveness::NotAssessed => false,
        }
    }

    /// Whether it was taken for an attack without being asked for anything.
    pub(crate) fn taken_for_an_attack(&self) -> bool {
        self.decision == Decision::Refer(Reason::SpoofSuspected) && !self.challenged
    }

    pub(crate) fn cue(&self) -> Option<Cue> {
        match self.liveness {
            Liveness::Scored { cue, .. } => Some(cue),
            Liveness::NotAssessed => None,
        }
    }
}

/// Which frames are played, and the templates of the others.
pub(crate) struct Enrolment {
    pub(crate) templates: Vec<Template>,
    /// Frames played: from the first, so many.
    pub(crate) played: usize,
    /// The other clip that the templates come from, if not from this one.
    pub(crate) from: Option<String>,
}

/// Enrols from the last quarter of the clip, which is then not played.
pub(crate) fn enrol_unplayed(pipeline: &mut Pipeline, frames: &Frames) -> anyhow::Result<Enrolment> {
    let all = frames.paths.len();
    let played = all - all / 4;
    Ok(Enrolment { templates: enrol(pipeline, frames, played..all)?, played, from: None })
}

/// Enrols from the clip itself, all of which is played.
pub(crate) fn enrol_from_itself(pipeline: &mut Pipeline, frames: &Frames) -> anyhow::Result<Enrolment> {
    let played = frames.paths.len();
    Ok(Enrolment { templates: enrol(pipeline, frames, 0..played)?, played, from: None })
}

/// Enrols a live person from `other`, another clip of the same folder, if it shows the same face (at least `refer` alike): then all of this
/// clip is played. Otherwise from the clip's own last quarter.
pub(crate) fn enrol_live(
    pipeline: &mut Pipeline,
    frames: &Frames,
    other: Option<&Clip>,
    refer: Similarity,
) -> anyhow::Result<Enrolment> {
    let own = enrol_unplayed(pipeline, frames)?;
    let Some((other, theirs)) = other.and_then(|other| Some((other, other.frames(false).ok()?))) else {
        return Ok(own);
    };
    let templates = enrol(pipeline, &theirs, 0..theirs.paths.len())?;
    let alike = |a: &Template, b: &Template| a.similarity(b).is_ok_and(|similarity| similarity >= refer);
    if !own.templates.iter().any(|a| templates.iter().any(|b| alike(a, b))) {
        tracing::warn!(
            clip = other.name,
            "shows another face than its neighbour in the folder, which is enrolled from itself"
        );
        return Ok(own);
    }
    Ok(Enrolment { templates, played: frames.paths.len(), from: Some(other.name.clone()) })
}

/// The most frontal of the usable frames.
fn enrol(pipeline: &mut Pipeline, frames: &Frames, range: std::ops::Range<usize>) -> anyhow::Result<Vec<Template>> {
    let mut fit = Vec::new();
    let step = (range.len() / CANDIDATES).max(1);
    for path in frames.paths[range].iter().step_by(step) {
        let Some(image) = read(path) else { continue };
        let Ok(view) = image.view() else { continue };
        let mut faces = pipeline.detect(&view)?;
        // A still may be a photo with a small face: it is enrolled as a photo is.
        if faces.is_empty() && frames.paths.len() == 1 {
            faces = pipeline.detect_photo(&view)?;
        }
        let [face] = faces.as_slice() else { continue };
        let quality = pipeline.quality(&view, face)?;
        if quality.defect.is_none() || frames.paths.len() == 1 {
            let turned = quality.pose.yaw.abs() + quality.pose.pitch.abs();
            fit.push((turned, pipeline.embed_photo(&view, face)?));
        }
    }
    fit.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(fit.into_iter().take(ENROLLED).map(|(_, template)| template).collect())
}

pub(crate) fn read(path: &std::path::Path) -> Option<Image> {
    decode_file(&fs::read(path).ok()?).ok()
}

/// Plays the frames of `piece` against `templates`, until the session has decided. A still is shown for as long as it takes.
///
/// `name` is where the session's randomness comes from, so that a run can be repeated.
pub(crate) fn play(
    pipeline: &mut Pipeline,
    policy: &Policy,
    name: &str,
    frames: &Frames,
    piece: Range<usize>,
    templates: &[Template],
) -> anyhow::Result<Ended> {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let event = EventId(Uuid::from_bytes(*digest.first_chunk().expect("32 bytes hold 16")));
    let mut table = Table::new(policy, event, templates);
    for at in 0_u32.. {
        let path = match frames.paths[piece.clone()].get(at as usize) {
            Some(path) => path,
            None if frames.are_still() => &frames.paths[0],
            None => break,
        };
        let captured_at = Duration::from_secs(1) + frames.since(piece.start, at as usize);
        table.until(captured_at);
        if table.is_over(captured_at, policy) {
            break;
        }
        let Some(probe) = table.probe.as_mut().or(table.past.as_mut()) else { continue };
        // A frame that cannot be decoded is skipped, as at the door.
        let Some(image) = read(path) else { continue };
        let seen = probe.observe(pipeline, &image.view()?, MonoTime::from_start(captured_at))?;
        table.watch(captured_at, &seen);
        if table.ended.is_none() {
            table.step(captured_at, Input::FaceObserved(seen));
        }
    }
    // Nothing more is shown: what is due comes to pass.
    while table.ended.is_none() {
        let Some(due) = table.timers.iter().map(|(at, _)| at.since_start()).min() else { break };
        table.until(due);
    }
    let verification = table.ended.expect("every session ends when its time is over");
    Ok(Ended {
        decision: verification.decision,
        challenged: table.challenged,
        liveness: verification.measured.liveness,
        frames_used: verification.measured.frames_used,
        decided_in: verification.measured.since_first_usable_frame,
        watched: table.watched,
    })
}

/// A session, its timers, and what it asked for.
struct Table<'t> {
    session: Session,
    templates: &'t [Template],
    timers: Vec<(MonoTime, WakeReason)>,
    probe: Option<Probe>,
    /// The probe of the window that is over.
    past: Option<Probe>,
    windows: u32,
    challenged: bool,
    first_fit: Option<Duration>,
    watched: Vec<Moment>,
    ended: Option<Verification>,
}

impl<'t> Table<'t> {
    fn new(policy: &Policy, event: EventId, templates: &'t [Template]) -> Self {
        let session = Session::new(policy.clone(), rule::door(Timestamp::UNIX_EPOCH));
        let mut table = Self {
            session,
            templates,
            timers: Vec::new(),
            probe: None,
            past: None,
            windows: 0,
            challenged: false,
            first_fit: None,
            watched: Vec::new(),
            ended: None,
        };
        table.step(Duration::from_secs(1), Input::CardTapped(rule::card(event)));
        table
    }

    /// Whether nothing more is to be seen: it has ended, and if in an admission, the window it began in is over too.
    fn is_over(&self, at: Duration, policy: &Policy) -> bool {
        let Some(ended) = &self.ended else { return false };
        let window_over = self.first_fit.is_none_or(|first| at > first + policy.attempt_window);
        ended.decision != Decision::Admit || self.windows > 1 || self.challenged || window_over
    }

    /// Notes what the first window shows.
    fn watch(&mut self, at: Duration, seen: &Observation) {
        let Some(face) = seen.face.as_ref().filter(|face| face.defect.is_none()) else { return };
        if self.windows > 1 || self.challenged {
            return;
        }
        if face.continuity != Continuity::Same {
            self.first_fit = None;
            self.watched.clear();
        }
        let first = *self.first_fit.get_or_insert(at);
        self.watched.push(Moment {
            at: at.saturating_sub(first),
            frames: self.watched.last().map_or(0, |last| last.frames) + 1,
            liveness: face.liveness,
            similarity: face.similarity.get(),
        });
    }

    /// Lets every timer fire that is due at `at`, in order.
    fn until(&mut self, at: Duration) {
        while let Some(first) = (0..self.timers.len()).min_by_key(|&n| self.timers[n].0) {
            let (due, reason) = self.timers[first];
            if due.since_start() > at || self.ended.is_some() {
                break;
            }
            self.timers.swap_remove(first);
            self.step(due.since_start(), Input::TimerFired(reason));
        }
    }

    fn step(&mut self, at: Duration, input: Input) {
        let now = Now {
            mono: MonoTime::from_start(at),
            wall: Timestamp::UNIX_EPOCH,
            clock: examgate::domain::ClockTrust::Synchronised,
        };
        let outputs = self.session.step(now, input);
        self.act(outputs);
    }

    fn act(&mut self, outputs: Outputs) {
        for output in outputs {
            match output {
                Output::StartCapture { .. } => {
                    self.windows += 1;
                    self.past = None;
                    self.probe = Some(Probe::new(self.templates.to_vec()));
                }
                Output::StopCapture => self.past = self.probe.take(),
                Output::Guide(Some(Hint::TurnLeft | Hint::TurnRight)) => self.challenged = true,
                Output::Record(event) => {
                    if let EventKind::Verification(verification) = event.kind {
                        self.ended = Some(verification);
                    }
                }
                Output::WakeAt(at, reason) => self.timers.push((at, reason)),
                Output::Guide(_) | Output::Show(_) | Output::Alarm(_) => {}
            }
        }
    }
}
