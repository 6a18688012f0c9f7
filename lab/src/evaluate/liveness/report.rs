//! What a run of sessions adds up to: counts, rates with exact intervals, and one line a clip; `markdown` puts it in words.

use std::{collections::BTreeMap, time::Duration};

use examgate::session::Policy;
use serde::Serialize;

use crate::{
    dataset::clips::Cut,
    play::tap::{Ended, Outcome},
};

use super::{
    curve::{Moment, curve},
    rates::{Among, Rate, Tally},
};

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
    /// The other clip of the same person that the templates come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enrolled_from: Option<String>,
    pub(crate) outcome: Outcome,
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
    /// `live` or `attacks`.
    pub(super) among: &'static str,
    pub(super) clip: String,
    pub(super) why: String,
}

/// How one kind of attack fared.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    #[serde(flatten)]
    pub(super) tally: Tally,
    /// Of those that were judged: the presentation-attack detection alone took them for live.
    pub(super) apcer: Rate,
    /// Of those that were looked at: the whole system admitted them.
    pub(super) admission: Rate,
}

/// How the pieces of one live clip fared.
#[derive(Debug, Serialize)]
pub(super) struct Pieces {
    #[serde(flatten)]
    pub(super) tally: Tally,
    pub(super) decide_ms_p50: Option<u64>,
    pub(super) decide_ms_max: Option<u64>,
}

impl Pieces {
    fn of(lines: &[&Line]) -> Self {
        let decided = admitted_in(lines.iter().copied());
        Self {
            tally: Tally::of(lines.iter().copied()),
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
    pub(super) live_asked: u64,
    pub(super) live_refused: u64,
    pub(super) live_not_looked_at: u64,
    /// Of the live sessions that were looked at, the share that was asked for a head turn, admitted after it or not.
    pub(super) ask_rate: Option<f64>,
    pub(super) attack_sessions: u64,
    pub(super) attacks_admitted: u64,
    pub(super) attacks_asked: u64,
    pub(super) attacks_refused: u64,
    pub(super) attacks_not_looked_at: u64,
    /// Of the attacks that were judged (admitted or refused), the share taken for live.
    pub(super) apcer: Option<f64>,
    /// Of the live sessions that were judged, the share taken for an attack.
    pub(super) bpcer: Option<f64>,
    pub(super) decide_ms_p50: Option<u64>,
    pub(super) decide_ms_p95: Option<u64>,
    /// Seconds of the pieces that the clips were cut into. Then sessions share people, and the intervals are `null`.
    pub(super) piece_s: Option<f64>,
    /// Seconds from where one of them begins to where the next does.
    pub(super) every_s: Option<f64>,
    pub(super) ask_rate_interval_95: Option<[f64; 2]>,
    pub(super) apcer_interval_95: Option<[f64; 2]>,
    pub(super) bpcer_interval_95: Option<[f64; 2]>,
    /// Of those that were looked at.
    pub(super) live_admitted_interval_95: Option<[f64; 2]>,
    /// Of those that were looked at.
    pub(super) attacks_admitted_interval_95: Option<[f64; 2]>,
    pub(super) attacks: BTreeMap<String, Kind>,
    /// Of attacks that lie in KIND/PICTURE/MOVEMENT.
    pub(super) attacks_by_movement: BTreeMap<String, Kind>,
    /// By live clip, if they are cut.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) live_pieces: BTreeMap<String, Pieces>,
    pub(super) curve: Vec<Moment>,
    /// Clips that gave no session. They count in no rate.
    pub(super) unplayable: Vec<Unplayable>,
    #[serde(skip)]
    pub(super) live_tally: Tally,
    #[serde(skip)]
    pub(super) attack_tally: Tally,
    /// Admitted live sessions, of those looked at.
    #[serde(skip)]
    pub(super) live_admission: Rate,
    /// Admitted attacks, of those looked at.
    #[serde(skip)]
    pub(super) attack_admission: Rate,
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
        if movements.values().all(|kind| kind.tally.sessions < 2) {
            movements.clear();
        }
        let rate = |lines, among, is: fn(&Ended) -> bool| Rate::of(lines, among, independent, is);
        let live_in = rate(&live, Among::LookedAt, Ended::admitted);
        let attacks_in = rate(&attacks, Among::LookedAt, Ended::admitted);
        let asked = rate(&live, Among::LookedAt, |ended| ended.challenged);
        let apcer = rate(&attacks, Among::Judged, Ended::taken_for_live);
        let bpcer = rate(&live, Among::Judged, Ended::taken_for_an_attack);
        let (live_tally, attack_tally) = (Tally::of(&live), Tally::of(&attacks));
        let mut clips: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in live.iter().filter(|line| line.from_s.is_some()) {
            clips.entry(line.clip.clone()).or_default().push(line);
        }
        let live_pieces = clips.into_iter().map(|(clip, lines)| (clip, Pieces::of(&lines))).collect();
        let decided = admitted_in(&live);
        Self {
            live_sessions: live_tally.sessions,
            live_admitted: live_tally.admitted,
            live_asked: live_tally.asked,
            live_refused: live_tally.refused,
            live_not_looked_at: live_tally.not_looked_at,
            ask_rate: asked.rate,
            attack_sessions: attack_tally.sessions,
            attacks_admitted: attack_tally.admitted,
            attacks_asked: attack_tally.asked,
            attacks_refused: attack_tally.refused,
            attacks_not_looked_at: attack_tally.not_looked_at,
            apcer: apcer.rate,
            bpcer: bpcer.rate,
            decide_ms_p50: quantile(&decided, 50),
            decide_ms_p95: quantile(&decided, 95),
            ask_rate_interval_95: asked.interval_95,
            apcer_interval_95: apcer.interval_95,
            bpcer_interval_95: bpcer.interval_95,
            live_admitted_interval_95: live_in.interval_95,
            attacks_admitted_interval_95: attacks_in.interval_95,
            live_tally,
            attack_tally,
            live_admission: live_in,
            attack_admission: attacks_in,
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
        let rate = |among, is: fn(&Ended) -> bool| Rate::of(lines.iter().copied(), among, independent, is);
        Kind {
            tally: Tally::of(lines.iter().copied()),
            apcer: rate(Among::Judged, Ended::taken_for_live),
            admission: rate(Among::LookedAt, Ended::admitted),
        }
    };
    groups.into_iter().map(|(name, lines)| (name, kind(lines))).collect()
}

/// How an attack is moved, where it lies as `examgate-lab attacks` lays it: KIND/PICTURE/MOVEMENT.
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
            enrolled_from: None,
            outcome: ended.outcome(),
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
            waved("eve", line(Decision::Refer(Reason::SeveralFaces), false, 0.95)),
        ];
        let report = Report::new(live, attacks, Vec::new(), &policy(), None);
        let json = serde_json::to_value(&report).unwrap();
        for (key, wanted) in [
            ("live_sessions", 4.0),
            ("live_admitted", 1.0),
            ("live_asked", 1.0),
            ("live_refused", 1.0),
            ("live_not_looked_at", 1.0),
            ("attack_sessions", 3.0),
            ("attacks_admitted", 0.0),
            ("attacks_asked", 1.0),
            ("attacks_refused", 1.0),
            ("attacks_not_looked_at", 1.0),
            // One of the three that were looked at.
            ("ask_rate", 1.0 / 3.0),
            // Of the one attack that was judged the PAD alone took one for live: its face was somebody else's.
            ("apcer", 1.0),
            // One of the two that were judged.
            ("bpcer", 0.5),
            ("decide_ms_p50", 700.0),
            ("decide_ms_p95", 700.0),
        ] {
            assert_eq!(json[key].as_f64(), Some(wanted), "{key} in {json:#}");
        }
        let markdown = markdown(&report);
        for wanted in [
            "| attacks | 3 | 0 | 1 | 1 | 1 | 0 | 0.0 % | 0.0 to 84.2 % |",
            "| replay | 3 | 0 | 1 | 1 | 1 | 100.0 % | 2.5 to 100.0 % |",
            "| waved | 3 | 0 | 1 | 1 | 1 | 100.0 % | 2.5 to 100.0 % |",
        ] {
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
            "| ada | 3 | 2 | 1 | 0 | 0 | 700 ms | 700 ms |",
            "| ben | 1 | 0 | 0 | 1 | 0 | - | - |",
            "| ada | admitted |",
            "| ada from 0.27 s | admitted |",
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
