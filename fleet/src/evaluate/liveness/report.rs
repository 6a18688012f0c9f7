//! What a run of sessions adds up to: counts, rates with exact intervals, and one line a clip.
//!
//! It never knows a picture.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use super::play::Ended;
use crate::exact::clopper_pearson;

/// Of the intervals.
const CONFIDENCE: f64 = 0.95;

/// One clip and what became of it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) clip: String,
    /// The folder that an attack lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    /// Whose template it was played against, if not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) victim: Option<String>,
    /// `admitted`, `undecided` or `refused`.
    pub(super) outcome: &'static str,
    pub(super) decision: String,
    pub(super) challenged: bool,
    /// The cue that the liveness verdict hung on.
    pub(super) cue: Option<examgate::domain::Cue>,
    pub(super) frames_used: u32,
    pub(super) decide_ms: Option<u64>,
    /// What was wrong with the clip, though it was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remark: Option<String>,
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
    pub(super) interval_95: [f64; 2],
}

impl Rate {
    fn of<'l>(lines: impl IntoIterator<Item = &'l Line>, is: impl Fn(&Ended) -> bool) -> Self {
        let (mut events, mut of) = (0, 0);
        for ended in lines.into_iter().filter_map(|line| line.ended.as_ref()) {
            of += 1;
            events += u64::from(is(ended));
        }
        Self {
            events,
            of,
            rate: (of > 0).then(|| events as f64 / of as f64),
            interval_95: clopper_pearson(events, of, CONFIDENCE),
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

/// How long a passive look lasts, and what it lets pass.
#[derive(Debug, Serialize)]
pub(super) struct Moment {
    look_ms: u64,
    /// Live clips whose passive evidence suffices at some moment from then to the end of the look.
    live: f64,
    /// Attacks of which the same holds.
    attacks: f64,
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
    apcer_interval_95: [f64; 2],
    bpcer_interval_95: [f64; 2],
    live_admitted_interval_95: [f64; 2],
    attacks_admitted_interval_95: [f64; 2],
    attacks: BTreeMap<String, Kind>,
    curve: Vec<Moment>,
    pub(super) unplayable: Vec<Unplayable>,
    live_clips: Vec<Line>,
    attack_clips: Vec<Line>,
}

impl Report {
    pub(super) fn new(live: Vec<Line>, attacks: Vec<Line>, unplayable: Vec<Unplayable>, sure: f32) -> Self {
        let mut kinds: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in &attacks {
            kinds.entry(line.kind.clone().unwrap_or_default()).or_default().push(line);
        }
        let kinds = kinds
            .into_iter()
            .map(|(name, lines)| {
                let rate = |is: fn(&Ended) -> bool| Rate::of(lines.iter().copied(), is);
                let kind = Kind {
                    apcer: rate(Ended::taken_for_live),
                    admitted: rate(Ended::admitted),
                    undecided: rate(Ended::undecided),
                };
                (name, kind)
            })
            .collect();
        let (live_in, attacks_in) = (Rate::of(&live, Ended::admitted), Rate::of(&attacks, Ended::admitted));
        let apcer = Rate::of(&attacks, Ended::taken_for_live);
        let bpcer = Rate::of(&live, Ended::taken_for_an_attack);
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
            live_undecided: Rate::of(&live, Ended::undecided).events,
            attack_sessions: attacks_in.of,
            attacks_admitted: attacks_in.events,
            attacks_undecided: Rate::of(&attacks, Ended::undecided).events,
            apcer: apcer.rate,
            bpcer: bpcer.rate,
            decide_ms_p50: quantile(&decided, 50),
            decide_ms_p95: quantile(&decided, 95),
            apcer_interval_95: apcer.interval_95,
            bpcer_interval_95: bpcer.interval_95,
            live_admitted_interval_95: live_in.interval_95,
            attacks_admitted_interval_95: attacks_in.interval_95,
            attacks: kinds,
            curve: curve(&live, &attacks, sure),
            unplayable,
            live_clips: live,
            attack_clips: attacks,
        }
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes everything");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let per_cent = |rate: Option<f64>| rate.map_or_else(|| "-".into(), |rate| format!("{:.1} %", rate * 100.0));
        let range = |[low, high]: [f64; 2]| format!("{:.1} to {:.1} %", low * 100.0, high * 100.0);
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let ms = |ms: Option<u64>| ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms"));
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
        writeln!(out, "\n| passive look of at least | live clips sure | attacks sure |\n|---|---|---|")?;
        for Moment { look_ms, live, attacks } in &self.curve {
            writeln!(out, "| {look_ms} ms | {} | {} |", per_cent(Some(*live)), per_cent(Some(*attacks)))?;
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

/// Share of clips that passive evidence alone would admit, over the least length of a look.
fn curve(live: &[Line], attacks: &[Line], sure: f32) -> Vec<Moment> {
    let share = |lines: &[Line], least: Duration| {
        let clips: Vec<_> = lines.iter().filter_map(|line| line.ended.as_ref()).collect();
        let pass = |ended: &&&Ended| ended.passive.iter().any(|&(at, score)| at >= least && score >= sure);
        clips.iter().filter(pass).count() as f64 / clips.len().max(1) as f64
    };
    (0..=10)
        .map(|n| {
            let least = Duration::from_millis(200) * n;
            Moment { look_ms: u64::from(n) * 200, live: share(live, least), attacks: share(attacks, least) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use examgate::domain::{Cue, Decision, Liveness, Reason};

    use super::*;

    fn line(decision: Decision, challenged: bool, score: f32) -> Line {
        let liveness = Liveness::Scored { score, threshold: 0.9, cue: Cue::Net };
        let ended = Ended {
            decision,
            challenged,
            liveness,
            frames_used: 20,
            decided_in: Some(Duration::from_millis(700)),
            passive: vec![(Duration::from_millis(100), 0.5), (Duration::from_millis(700), score)],
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
        let report = Report::new(live, attacks, Vec::new(), 0.9);
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
