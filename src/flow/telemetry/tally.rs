//! The counters and histograms of one run, counted up from notes. No I/O.
//!
//! Scores of faces are held back until they are those of [`FEWEST`] different students: with fewer, the difference between two messages would
//! be a student's score.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::noting::{Noted, Someone, Stage, Verified};
use crate::{
    domain::{ArtifactId, Decision, EventId, Hint, Reason, Verdict},
    session::Fault,
    wire::telemetry::{Kind, Metric, Reading, Series, metrics, token},
};

/// Students whose scores leave together. With 20, a mean or a bucket says as little about one as the small-number rules of statistical offices
/// ask for (10 persons and more; they suppress smaller cells), and a room of 30 still gives a batch.
pub(super) const FEWEST: usize = 20;

/// Answers of the box that are remembered, to tell what a ruling overrules: a morning's.
const ANSWERS: usize = 1024;

/// Similarities of one probe to others that are taken: more than a room's.
const MOST_OTHERS: usize = 1024;

/// What was counted, by metric and labels.
#[derive(Debug, Default)]
struct Counts(BTreeMap<(&'static str, Vec<String>), (&'static Metric, Reading)>);

/// Scores that are held back.
#[derive(Debug, Default)]
struct Batch {
    students: BTreeSet<Someone>,
    held: Counts,
}

/// All that one run counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
    /// By metric and model.
    batches: BTreeMap<(&'static str, String), Batch>,
    answers: VecDeque<(EventId, &'static str)>,
    broken: BTreeSet<&'static str>,
    /// Whose verification was recorded last, if they were admitted, and by which net.
    admitted: Option<(Someone, ArtifactId)>,
    /// Similarities to others that came before their verification was recorded.
    early: Option<(Someone, Vec<f32>)>,
    /// Label of the liveness net.
    liveness: String,
}

impl Counts {
    fn entry(&mut self, metric: &'static Metric, labels: &[&str]) -> &mut Reading {
        let key = (metric.name, labels.iter().map(|label| (*label).to_owned()).collect());
        let zero = || match metric.kind {
            Kind::Counter => Reading::Counter(0),
            Kind::Gauge => Reading::Gauge(0.0),
            Kind::Histogram(buckets) => Reading::Histogram { counts: vec![0; buckets.len()], sum: 0.0 },
        };
        &mut self.0.entry(key).or_insert_with(|| (metric, zero())).1
    }

    fn count(&mut self, metric: &'static Metric, labels: &[&str], by: u64) {
        if let Reading::Counter(count) = self.entry(metric, labels) {
            *count = count.saturating_add(by);
        }
    }

    fn sample(&mut self, metric: &'static Metric, labels: &[&str], sample: f64) {
        let Kind::Histogram(buckets) = metric.kind else { return };
        if !sample.is_finite() {
            return;
        }
        if let Reading::Histogram { counts, sum } = self.entry(metric, labels) {
            counts[buckets.of(sample)] += 1;
            *sum += sample;
        }
    }

    /// Adds histograms up.
    fn add(&mut self, other: Self) {
        for ((_, labels), (metric, reading)) in other.0 {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            if let (Reading::Histogram { counts, sum }, Reading::Histogram { counts: more, sum: further }) =
                (self.entry(metric, &labels), reading)
            {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
                *sum += further;
            }
        }
    }
}

/// How a reason is told: two are told as one, see [`metrics::NOT_COMPARED`].
fn told(decision: Decision) -> &'static str {
    match decision.reason() {
        None => metrics::NONE,
        Some(Reason::NoTemplate | Reason::OptedOut) => metrics::NOT_COMPARED,
        Some(reason) => reason.code(),
    }
}

const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Admit => "admit",
        Verdict::AdmitByHand => "admit_by_hand",
        Verdict::Refuse => "refuse",
    }
}

const fn hint_name(hint: Hint) -> &'static str {
    match hint {
        Hint::LookAtCamera => "look_at_camera",
        Hint::OneAtATime => "one_at_a_time",
        Hint::ComeCloser => "come_closer",
        Hint::MoveBack => "move_back",
        Hint::MoveToCentre => "move_to_centre",
        Hint::FaceForward => "face_forward",
        Hint::MoreLight => "more_light",
        Hint::LessLight => "less_light",
        Hint::HoldStill => "hold_still",
        Hint::TurnLeft => "turn_left",
        Hint::TurnRight => "turn_right",
    }
}

const fn part_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Reader => "reader",
        Fault::Camera => "camera",
        Fault::Vision => "vision",
        Fault::Store => "store",
    }
}

/// The parts of [`part_name`].
const PARTS: [&str; 4] = ["reader", "camera", "vision", "store"];

impl Tally {
    /// Nothing counted yet. Everything whose labels are known beforehand is there with 0, so that its first rise is seen. `liveness` names the
    /// liveness net.
    pub(super) fn new(liveness: &str) -> Self {
        let mut counts = Counts::default();
        for metric in metrics::ALL.iter().filter(|metric| !matches!(metric.kind, Kind::Gauge)) {
            let mut labellings = vec![Vec::new()];
            for label in metric.labels {
                let with = |before: &Vec<&'static str>| {
                    let before = before.clone();
                    label.values.iter().map(move |value| before.iter().copied().chain([*value]).collect::<Vec<_>>())
                };
                labellings = labellings.iter().flat_map(with).collect();
            }
            for labels in labellings {
                counts.entry(metric, &labels);
            }
        }
        Self { counts, liveness: token(liveness), ..Self::default() }
    }

    /// Counts one note.
    pub(super) fn take(&mut self, noted: Noted) {
        match noted {
            Noted::Verified(verified) => self.verified(&verified),
            Noted::Ruled { verdict, over } => {
                self.event("ruling");
                self.counts.count(&metrics::RULINGS, &[verdict_name(verdict)], 1);
                if let Some(over) = over {
                    let answer = self.answers.iter().find(|(event, _)| *event == over);
                    let answer = answer.map_or("unknown", |(_, outcome)| outcome);
                    self.counts.count(&metrics::OVERRIDES, &[answer, verdict_name(verdict)], 1);
                }
            }
            Noted::Undone => {
                self.event("undo");
                self.counts.count(&metrics::UNDONE, &[], 1);
            }
            Noted::Access { refused } => {
                self.event("access");
                self.counts.count(&metrics::SIGN_IN_REFUSALS, &[], refused.into());
            }
            Noted::Commanded => self.event("commanded"),
            Noted::Unrecorded => self.counts.count(&metrics::UNRECORDED, &[], 1),
            Noted::Took(stage, took) => self.took(stage, took.as_secs_f64()),
            Noted::Hinted(hint) => self.counts.count(&metrics::HINTS, &[hint_name(hint)], 1),
            Noted::Challenged => self.counts.count(&metrics::CHALLENGES, &[], 1),
            Noted::Broke(fault) => {
                if self.broken.insert(part_name(fault)) {
                    self.counts.count(&metrics::FAULTS, &[part_name(fault)], 1);
                }
            }
            Noted::Mended(fault) => drop(self.broken.remove(part_name(fault))),
            Noted::ComparedWithOthers { who, similarities } => match self.admitted {
                Some((admitted, net)) if admitted == who => self.compared(who, net, &similarities),
                Some(_) | None => self.early = Some((who, similarities)),
            },
            Noted::Stop => {}
        }
    }

    /// So many notes were lost since the run began.
    pub(super) fn lost(&mut self, notes: u64) {
        *self.counts.entry(&metrics::OVERFLOWS, &[]) = Reading::Counter(notes);
    }

    /// All series of the run, and which parts are up.
    pub(super) fn series(&self) -> Vec<Series> {
        let counted = self.counts.0.iter().map(|((_, labels), (metric, reading))| Series {
            metric,
            labels: labels.clone(),
            reading: reading.clone(),
        });
        let parts = PARTS.iter().map(|part| Series {
            metric: &metrics::UP,
            labels: vec![(*part).to_owned()],
            reading: Reading::Gauge(if self.broken.contains(part) { 0.0 } else { 1.0 }),
        });
        counted.chain(parts).collect()
    }

    fn event(&mut self, kind: &'static str) {
        self.counts.count(&metrics::EVENTS, &[kind], 1);
    }

    fn took(&mut self, stage: Stage, seconds: f64) {
        self.counts.sample(&metrics::STAGES, &[stage.name()], seconds);
    }

    fn verified(&mut self, verified: &Verified) {
        self.event("verification");
        let outcome = verified.decision.outcome();
        self.answers.push_back((verified.event, outcome));
        if self.answers.len() > ANSWERS {
            self.answers.pop_front();
        }
        self.counts.count(&metrics::SESSIONS, &[outcome, told(verified.decision)], 1);
        self.counts.count(&metrics::ATTEMPTS, &[], verified.attempts.into());
        self.counts.sample(&metrics::TAP_TO_DECISION, &[outcome], verified.since_tap.as_secs_f64());
        if let Some(judgement) = verified.since_first_usable_frame {
            self.took(Stage::Judgement, judgement.as_secs_f64());
            self.took(Stage::FirstFace, verified.since_tap.saturating_sub(judgement).as_secs_f64());
        }
        self.admitted = None;
        let Some(who) = verified.who else { return };
        if let Some(score) = verified.liveness {
            let model = self.liveness.clone();
            self.hold(&metrics::LIVENESSES, model, who, &[score]);
        }
        let Some(net) = verified.artifact else { return };
        if let Some(similarity) = verified.similarity {
            self.hold(&metrics::SIMILARITIES, net.to_string(), who, &[similarity]);
        }
        if verified.decision == Decision::Admit {
            self.admitted = Some((who, net));
            if let Some((_, similarities)) = self.early.take_if(|(early, _)| *early == who) {
                self.compared(who, net, &similarities);
            }
        }
    }

    /// Whoever was not admitted may be another student of the room: their similarity to that student would not be one to another person.
    fn compared(&mut self, who: Someone, net: ArtifactId, similarities: &[f32]) {
        self.admitted = None;
        self.hold(&metrics::NON_MATED, net.to_string(), who, &similarities[..similarities.len().min(MOST_OTHERS)]);
    }

    /// Holds scores back until enough students are among them.
    fn hold(&mut self, metric: &'static Metric, model: String, who: Someone, scores: &[f32]) {
        let batch = self.batches.entry((metric.name, model.clone())).or_default();
        for score in scores {
            batch.held.sample(metric, &[&model], f64::from(*score));
        }
        batch.students.insert(who);
        if batch.students.len() >= FEWEST {
            let whole = std::mem::take(batch);
            self.counts.add(whole.held);
        }
    }
}

#[cfg(test)]
mod tests;
