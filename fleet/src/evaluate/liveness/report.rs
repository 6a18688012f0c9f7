//! What a run of sessions adds up to: counts, rates with exact intervals, and one line a clip; `markdown` puts it in words.

use std::{collections::BTreeMap, time::Duration};

use examgate::session::Policy;
use serde::Serialize;

use super::{
    clips::Cut,
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
    /// Where in the clip it begins, if that is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from_s: Option<f64>,
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
    pub(super) apcer: Rate,
    /// The whole system let it in.
    pub(super) admitted: Rate,
    /// It was asked for a challenge, or too little was seen.
    pub(super) undecided: Rate,
}

/// How the pieces of one live clip fared.
#[derive(Debug, Serialize)]
pub(super) struct Pieces {
    pub(super) sessions: u64,
    pub(super) admitted: u64,
    pub(super) undecided: u64,
    pub(super) decide_ms_p50: Option<u64>,
    pub(super) decide_ms_max: Option<u64>,
}

impl Pieces {
    fn of(lines: &[&Line]) -> Self {
        let rate = |is: fn(&Ended) -> bool| Rate::of(lines.iter().copied(), false, is);
        let (admitted, decided) = (rate(Ended::admitted), admitted_in(lines.iter().copied()));
        Self {
            sessions: admitted.of,
            admitted: admitted.events,
            undecided: rate(Ended::undecided).events,
            decide_ms_p50: quantile(&decided, 50),
            decide_ms_max: quantile(&decided, 100),
        }
    }
}

/// What is printed. Rates are shares, 0 to 1; `null` where nothing was played.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) live_sessions: u64,
    pub(super) live_admitted: u64,
    pub(super) live_undecided: u64,
    pub(super) attack_sessions: u64,
    pub(super) attacks_admitted: u64,
    pub(super) attacks_undecided: u64,
    pub(super) apcer: Option<f64>,
    pub(super) bpcer: Option<f64>,
    pub(super) decide_ms_p50: Option<u64>,
    pub(super) decide_ms_p95: Option<u64>,
    /// Seconds of the pieces that the clips were cut into. Then sessions share people, and the intervals are `null`.
    pub(super) piece_s: Option<f64>,
    /// Seconds from where one of them begins to where the next does.
    pub(super) every_s: Option<f64>,
    pub(super) apcer_interval_95: Option<[f64; 2]>,
    pub(super) bpcer_interval_95: Option<[f64; 2]>,
    pub(super) live_admitted_interval_95: Option<[f64; 2]>,
    pub(super) attacks_admitted_interval_95: Option<[f64; 2]>,
    pub(super) attacks: BTreeMap<String, Kind>,
    /// Of attacks that lie in KIND/PICTURE/MOVEMENT.
    pub(super) attacks_by_movement: BTreeMap<String, Kind>,
    /// By live clip, if they are cut.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) live_pieces: BTreeMap<String, Pieces>,
    pub(super) curve: Vec<Moment>,
    pub(super) unplayable: Vec<Unplayable>,
    pub(super) live_clips: Vec<Line>,
    pub(super) attack_clips: Vec<Line>,
}

impl Report {
    pub(super) fn new(
        live: Vec<Line>,
        attacks: Vec<Line>,
        unplayable: Vec<Unplayable>,
        policy: &Policy,
        cut: Option<Cut>,
    ) -> Self {
        let independent = cut.is_none();
        let kinds = grouped(&attacks, independent, |line| Some(line.kind.clone().unwrap_or_default()));
        let mut movements = grouped(&attacks, independent, |line| movement(&line.clip).map(str::to_owned));
        // Where no two attacks share their last name, it names no movement.
        if movements.values().all(|kind| kind.apcer.of < 2) {
            movements.clear();
        }
        let (live_in, attacks_in) =
            (Rate::of(&live, independent, Ended::admitted), Rate::of(&attacks, independent, Ended::admitted));
        let apcer = Rate::of(&attacks, independent, Ended::taken_for_live);
        let bpcer = Rate::of(&live, independent, Ended::taken_for_an_attack);
        let mut clips: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in live.iter().filter(|line| line.from_s.is_some()) {
            clips.entry(line.clip.clone()).or_default().push(line);
        }
        let live_pieces = clips.into_iter().map(|(clip, lines)| (clip, Pieces::of(&lines))).collect();
        let decided = admitted_in(&live);
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
            attacks_by_movement: movements,
            piece_s: cut.map(|cut| cut.piece),
            every_s: cut.map(|cut| cut.every),
            live_pieces,
            curve: curve(&live, &attacks, policy),
            unplayable,
            live_clips: live,
            attack_clips: attacks,
        }
    }
}

/// How the attacks of each group fared; those of none are left out.
fn grouped(attacks: &[Line], independent: bool, group: impl Fn(&Line) -> Option<String>) -> BTreeMap<String, Kind> {
    let mut groups: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for line in attacks {
        if let Some(name) = group(line) {
            groups.entry(name).or_default().push(line);
        }
    }
    let kind = |lines: Vec<&Line>| {
        let rate = |is: fn(&Ended) -> bool| Rate::of(lines.iter().copied(), independent, is);
        Kind { apcer: rate(Ended::taken_for_live), admitted: rate(Ended::admitted), undecided: rate(Ended::undecided) }
    };
    groups.into_iter().map(|(name, lines)| (name, kind(lines))).collect()
}

/// How an attack is moved, where it lies as `examgate attacks` lays it: KIND/PICTURE/MOVEMENT.
fn movement(clip: &str) -> Option<&str> {
    match clip.split('/').collect::<Vec<_>>()[..] {
        [_, _, movement] => Some(movement),
        _ => None,
    }
}

/// First usable frame to admission, of those who were; ascending.
fn admitted_in<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Vec<Duration> {
    let ended = lines.into_iter().filter_map(|line| line.ended.as_ref());
    let mut decided: Vec<_> = ended.filter(|ended| ended.admitted()).filter_map(|ended| ended.decided_in).collect();
    decided.sort_unstable();
    decided
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

    use super::{
        super::{markdown::markdown, play},
        *,
    };

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
            from_s: None,
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
        let waved = |whose: &str, line| Line { clip: format!("replay/{whose}/waved"), ..line };
        let attacks = vec![
            waved("ada", line(spoof, true, 0.6)),
            waved("ben", line(Decision::Deny(Reason::FaceMismatch), false, 0.95)),
        ];
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
        let markdown = markdown(&report);
        for wanted in
            ["| replay | 2 | 0 | 1 | 50.0 % | 1.3 to 98.7 % |", "| waved | 2 | 0 | 1 | 50.0 % | 1.3 to 98.7 % |"]
        {
            assert!(markdown.contains(wanted), "{markdown}");
        }
    }

    #[test]
    fn names_that_nothing_shares_are_no_movements() {
        let phone =
            Line { clip: "replay/ada/phone".into(), ..line(Decision::Refer(Reason::SpoofSuspected), true, 0.6) };
        let report = Report::new(Vec::new(), vec![phone], Vec::new(), &policy(), None);
        assert!(report.attacks_by_movement.is_empty());
    }

    #[test]
    fn pieces_are_summed_up_by_clip() {
        let spoof = Decision::Refer(Reason::SpoofSuspected);
        let piece = |clip: &str, from: f64, decision, challenged| Line {
            clip: clip.into(),
            from_s: Some(from),
            ..line(decision, challenged, 0.95)
        };
        let live = vec![
            piece("ada", 0.0, Decision::Admit, false),
            piece("ada", 0.1333, spoof, true),
            piece("ada", 0.2666, Decision::Admit, false),
            piece("ben", 0.0, spoof, false),
        ];
        let cut = Cut { piece: 1.0, every: 0.1333 };
        let report = Report::new(live, Vec::new(), Vec::new(), &policy(), Some(cut));
        assert_eq!((report.piece_s, report.every_s), (Some(1.0), Some(0.1333)));
        assert_eq!(report.live_admitted_interval_95, None, "pieces are not independent");
        let markdown = markdown(&report);
        for wanted in [
            "pieces of 1 s, one beginning every 0.1333 s",
            "| ada | 3 | 2 | 1 | 700 ms | 700 ms |",
            "| ben | 1 | 0 | 0 | - | - |",
            "| ada | refused |",
            "| ada from 0.27 s | refused |",
        ] {
            assert!(markdown.contains(wanted), "{wanted} in {markdown}");
        }
    }

    #[test]
    fn ranks() {
        let times: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!((quantile(&times, 50), quantile(&times, 95), quantile(&[], 50)), (Some(10), Some(19), None));
    }
}
