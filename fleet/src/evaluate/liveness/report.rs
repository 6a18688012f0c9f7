//! What a run of sessions adds up to: counts, rates with exact intervals, and one line a clip.
//!
//! It never knows a picture.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use examgate::session::Policy;
use serde::Serialize;

use super::{
    curve::{Moment, curve},
    play::Ended,
};
use crate::exact::clopper_pearson;

/// Of the intervals.
const CONFIDENCE: f64 = 0.95;

/// One clip and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) clip: String,
    /// The folder that an attack lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Whose template it was played against, if not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) victim: Option<String>,
    /// `admitted`, `undecided` or `refused`.
    pub(crate) outcome: &'static str,
    pub(crate) decision: String,
    pub(crate) challenged: bool,
    /// The cue that the liveness verdict hung on.
    pub(crate) cue: Option<examgate::domain::Cue>,
    pub(crate) frames_used: u32,
    pub(crate) decide_ms: Option<u64>,
    /// What was wrong with the clip, though it was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remark: Option<String>,
    #[serde(skip)]
    pub(super) ended: Option<Ended>,
}

/// A clip that could not be played.
#[derive(Debug, Serialize)]
pub(super) struct Unplayable {
    pub(super) clip: String,
    pub(super) why: String,
}

/// A share of independent clips, with its Clopper-Pearson interval.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    pub(super) events: u64,
    pub(super) of: u64,
    pub(super) rate: Option<f64>,
    pub(super) interval_95: Option<[f64; 2]>,
}

impl Rate {
    fn of<'l>(lines: impl IntoIterator<Item = &'l Line>, are_independent: bool, is: impl Fn(&Ended) -> bool) -> Self {
        let (mut events, mut of) = (0, 0);
        for ended in lines.into_iter().filter_map(|line| line.ended.as_ref()) {
            of += 1;
            events += u64::from(is(ended));
        }
        Self {
            events,
            of,
            rate: (of > 0).then(|| events as f64 / of as f64),
            interval_95: are_independent.then(|| clopper_pearson(events, of, CONFIDENCE)),
        }
    }
}

/// How one kind of attack fared.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    /// The presentation-attack detection alone took it for live.
    apcer: Rate,
    /// The whole system let it in.
    admitted: Rate,
    /// It was asked for a challenge, or too little was seen.
    undecided: Rate,
}

/// What is printed. Rates are shares, 0 to 1; `null` where nothing was played.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    live_sessions: u64,
    live_admitted: u64,
    live_undecided: u64,
    attack_sessions: u64,
    attacks_admitted: u64,
    attacks_undecided: u64,
    apcer: Option<f64>,
    bpcer: Option<f64>,
    decide_ms_p50: Option<u64>,
    decide_ms_p95: Option<u64>,
    /// Seconds of the pieces that the clips were cut into. Then sessions share people, and the intervals are `null`.
    piece_s: Option<f64>,
    apcer_interval_95: Option<[f64; 2]>,
    bpcer_interval_95: Option<[f64; 2]>,
    live_admitted_interval_95: Option<[f64; 2]>,
    attacks_admitted_interval_95: Option<[f64; 2]>,
    attacks: BTreeMap<String, Kind>,
    curve: Vec<Moment>,
    pub(super) unplayable: Vec<Unplayable>,
    live_clips: Vec<Line>,
    attack_clips: Vec<Line>,
}

impl Report {
    pub(super) fn new(
        live: Vec<Line>,
        attacks: Vec<Line>,
        unplayable: Vec<Unplayable>,
        policy: &Policy,
        piece_s: Option<f64>,
    ) -> Self {
        let independent = piece_s.is_none();
        let mut kinds: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in &attacks {
            kinds.entry(line.kind.clone().unwrap_or_default()).or_default().push(line);
        }
        let kinds = kinds
            .into_iter()
            .map(|(name, lines)| {
                let rate = |is: fn(&Ended) -> bool| Rate::of(lines.iter().copied(), independent, is);
                let kind = Kind {
                    apcer: rate(Ended::taken_for_live),
                    admitted: rate(Ended::admitted),
                    undecided: rate(Ended::undecided),
                };
                (name, kind)
            })
            .collect();
        let (live_in, attacks_in) =
            (Rate::of(&live, independent, Ended::admitted), Rate::of(&attacks, independent, Ended::admitted));
        let apcer = Rate::of(&attacks, independent, Ended::taken_for_live);
        let bpcer = Rate::of(&live, independent, Ended::taken_for_an_attack);
        let mut decided: Vec<Duration> = live
            .iter()
            .filter_map(|line| line.ended.as_ref())
            .filter(|ended| ended.admitted())
            .filter_map(|ended| ended.decided_in)
            .collect();
        decided.sort_unstable();
        Self {
            live_sessions: live_in.of,
            live_admitted: live_in.events,
            live_undecided: Rate::of(&live, independent, Ended::undecided).events,
            attack_sessions: attacks_in.of,
            attacks_admitted: attacks_in.events,
            attacks_undecided: Rate::of(&attacks, independent, Ended::undecided).events,
            apcer: apcer.rate,
            bpcer: bpcer.rate,
            decide_ms_p50: quantile(&decided, 50),
            decide_ms_p95: quantile(&decided, 95),
            apcer_interval_95: apcer.interval_95,
            bpcer_interval_95: bpcer.interval_95,
            live_admitted_interval_95: live_in.interval_95,
            attacks_admitted_interval_95: attacks_in.interval_95,
            attacks: kinds,
            piece_s,
            curve: curve(&live, &attacks, policy),
            unplayable,
            live_clips: live,
            attack_clips: attacks,
        }
    }

    /// The error over the time.
    pub(super) fn curve(&self) -> &[Moment] {
        &self.curve
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes everything");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let per_cent = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{:.1} %", rate * 100.0));
        let range = |interval: Option<[f64; 2]>| {
            interval.map_or_else(|| "-".into(), |[low, high]| format!("{:.1} to {:.1} %", low * 100.0, high * 100.0))
        };
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let ms = |ms: Option<u64>| ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms"));
        if let Some(seconds) = self.piece_s {
            writeln!(
                out,
                "Clips cut into pieces of {seconds} s, each one session. Pieces of one clip show one person and one scene: they are not \
                 independent, so there are no intervals.\n"
            )?;
        }
        writeln!(out, "| | sessions | admitted | undecided | admitted, 95 % |\n|---|---|---|---|---|")?;
        for (name, [of, admitted, undecided], interval) in [
            ("live", [self.live_sessions, self.live_admitted, self.live_undecided], self.live_admitted_interval_95),
            (
                "attacks",
                [self.attack_sessions, self.attacks_admitted, self.attacks_undecided],
                self.attacks_admitted_interval_95,
            ),
        ] {
            let rate = per_cent(share(admitted, of));
            writeln!(out, "| {name} | {of} | {admitted} ({rate}) | {undecided} | {} |", range(interval))?;
        }
        writeln!(
            out,
            "\nPAD alone: APCER {} ({}), BPCER {} ({}). Live, first usable frame to admission: p50 {}, p95 {}.\n",
            per_cent(self.apcer),
            range(self.apcer_interval_95),
            per_cent(self.bpcer),
            range(self.bpcer_interval_95),
            ms(self.decide_ms_p50),
            ms(self.decide_ms_p95),
        )?;
        writeln!(
            out,
            "| kind of attack | sessions | admitted | undecided | APCER | APCER, 95 % |\n|---|---|---|---|---|---|"
        )?;
        for (name, kind) in &self.attacks {
            let Kind { apcer, admitted, undecided } = kind;
            let (rate, interval) = (per_cent(apcer.rate), range(apcer.interval_95));
            writeln!(
                out,
                "| {name} | {} | {} | {} | {rate} | {interval} |",
                apcer.of, admitted.events, undecided.events
            )?;
        }
        writeln!(
            out,
            "\n| since the first usable frame | live admitted by then | attacks | live alike enough then | live admitted, if a look lasts so long at \
             least and nothing is asked | attacks |\n|---|---|---|---|---|---|"
        )?;
        for moment in &self.curve {
            let Moment { ms, live_admitted, attacks_admitted, live_alike, live_if_least, attacks_if_least } = *moment;
            let [a, b, c, d, e] = [live_admitted, attacks_admitted, live_alike, live_if_least, attacks_if_least]
                .map(|rate| per_cent(Some(rate)));
            writeln!(out, "| {ms} ms | {a} | {b} | {c} | {d} | {e} |")?;
        }
        writeln!(
            out,
            "\n| clip | outcome | decision | cue | frames | first usable frame to decision |\n|---|---|---|---|---|---|"
        )?;
        for line in self.live_clips.iter().chain(&self.attack_clips) {
            let cue = line.cue.map_or_else(|| "-".into(), |cue| format!("{cue:?}").to_lowercase());
            let Line { clip, outcome, decision, frames_used, decide_ms, .. } = line;
            writeln!(out, "| {clip} | {outcome} | {decision} | {cue} | {frames_used} | {} |", ms(*decide_ms))?;
        }
        for Unplayable { clip, why } in &self.unplayable {
            writeln!(out, "| {clip} | not played | {why} | - | - | - |")?;
        }
        Ok(())
    }
}

/// Nearest rank of `sorted`, milliseconds.
fn quantile(sorted: &[Duration], per_cent: usize) -> Option<u64> {
    let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(super) mod tests {
    use examgate::{
        domain::{ArtifactId, Cue, Decision, Liveness, Reason, Similarity},
        session::Thresholds,
    };

    use super::{super::play, *};

    pub(in super::super) fn policy() -> Policy {
        Policy::with(Thresholds {
            artifact: ArtifactId::from_bytes([0; 32]),
            admit: Similarity::new(0.5),
            refer: Similarity::new(0.3),
            live: 0.4,
            sure: 0.9,
        })
    }

    pub(in super::super) fn line(decision: Decision, challenged: bool, score: f32) -> Line {
        let liveness = Liveness::Scored { score, threshold: 0.9, cue: Cue::Net };
        let ended = Ended {
            decision,
            challenged,
            liveness,
            frames_used: 20,
            decided_in: Some(Duration::from_millis(700)),
            watched: [(100, 0.5), (700, score), (900, 0.5)]
                .into_iter()
                .zip(6..)
                .map(|((ms, liveness), frames)| play::Moment {
                    at: Duration::from_millis(ms),
                    frames,
                    liveness,
                    similarity: 0.8,
                })
                .collect(),
        };
        Line {
            clip: "c".into(),
            kind: Some("replay".into()),
            victim: None,
            outcome: "refused",
            decision: String::new(),
            challenged,
            cue: None,
            frames_used: 20,
            decide_ms: None,
            remark: None,
            ended: Some(ended),
        }
    }

    #[test]
    fn outcomes_are_counted_apart() {
        let spoof = Decision::Refer(Reason::SpoofSuspected);
        let live = vec![
            line(Decision::Admit, false, 0.95),
            line(spoof, true, 0.6),
            line(spoof, false, 0.1),
            line(Decision::Refer(Reason::NoFace), false, 0.1),
        ];
        let attacks = vec![line(spoof, true, 0.6), line(Decision::Deny(Reason::FaceMismatch), false, 0.95)];
        let report = Report::new(live, attacks, Vec::new(), &policy(), None);
        let json = serde_json::to_value(&report).unwrap();
        for (key, wanted) in [
            ("live_sessions", 4.0),
            ("live_admitted", 1.0),
            ("live_undecided", 2.0),
            ("attack_sessions", 2.0),
            ("attacks_admitted", 0.0),
            ("attacks_undecided", 1.0),
            // the PAD alone took one attack for live, though its face was somebody else's
            ("apcer", 0.5),
            ("bpcer", 0.25),
            ("decide_ms_p50", 700.0),
            ("decide_ms_p95", 700.0),
        ] {
            assert_eq!(json[key].as_f64(), Some(wanted), "{key} in {json:#}");
        }
        let markdown = report.markdown();
        assert!(markdown.contains("| replay | 2 | 0 | 1 | 50.0 % | 1.3 to 98.7 % |"), "{markdown}");
    }

    #[test]
    fn ranks() {
        let times: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!((quantile(&times, 50), quantile(&times, 95), quantile(&[], 50)), (Some(10), Some(19), None));
    }
}
