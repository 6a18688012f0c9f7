//! Error versus discard (Grother and Tabassi, "Performance of biometric quality measures", IEEE PAMI 29(4), 2007): if the pictures that
//! a measure calls worst are left out, how many mated comparisons still fail? A measure that predicts failure lowers the rate; one that
//! does not leaves it as it was.
//!
//! Goodness in, rates out.

use crate::statistics::bootstrap::Draws;

/// Shares of the pictures left out, the worst first.
pub(super) const SHARES: [f64; 8] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5];
/// The share at which a verdict is given: rates further out rest on few comparisons.
pub(super) const JUDGED_AT: f64 = 0.2;

/// A comparison of two pictures of one person.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    pub(super) pictures: [usize; 2],
    pub(super) person: usize,
    /// Whether the rule called it another person.
    pub(super) missed: bool,
}

/// What leaving out does to the false non-match rate.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Fewer comparisons fail, with 95 % confidence.
    Foretells,
    /// It cannot be told.
    Silent,
    /// More fail, with 95 % confidence: the measure means something else.
    Misleads,
}

/// One measure's curve.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Curve {
    pub(super) measure: String,
    /// For each of [`SHARES`]; `null` where no comparison is left.
    pub(super) fnmr: Vec<Option<f64>>,
    /// FNMR without the worst fifth over FNMR with all, and its 95 % interval over people.
    pub(super) ratio: Option<f64>,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) verdict: Verdict,
}

/// The curve of the measure that gave each picture its `goodness`.
pub(super) fn curve(
    measure: &str,
    goodness: &[f32],
    comparisons: &[Comparison],
    draws: &Draws,
    people: usize,
) -> Curve {
    // Of each comparison, at which place in the order its worse picture stands.
    let mut order: Vec<usize> = (0..goodness.len()).collect();
    order.sort_by(|&a, &b| goodness[a].total_cmp(&goodness[b]));
    let mut place = vec![0; goodness.len()];
    order.iter().enumerate().for_each(|(at, &picture)| place[picture] = at);
    let worse: Vec<usize> = comparisons.iter().map(|c| place[c.pictures[0]].min(place[c.pictures[1]])).collect();
    let fnmr = |share: f64, times: &[f64]| {
        let first = (share * goodness.len() as f64) as usize;
        let (mut missed, mut all) = (0.0, 0.0);
        for (comparison, _) in comparisons.iter().zip(&worse).filter(|(_, worse)| **worse >= first) {
            all += times[comparison.person];
            missed += if comparison.missed { times[comparison.person] } else { 0.0 };
        }
        (all > 0.0).then(|| missed / all)
    };
    let ratio = |times: &[f64]| Some(fnmr(JUDGED_AT, times)? / fnmr(0.0, times).filter(|&rate| rate > 0.0)?);
    let once = vec![1.0; people];
    let interval = draws.interval(ratio);
    Curve {
        measure: measure.to_owned(),
        fnmr: SHARES.into_iter().map(|share| fnmr(share, &once)).collect(),
        ratio: ratio(&once),
        interval,
        verdict: match interval {
            Some([_, upper]) if upper < 1.0 => Verdict::Foretells,
            Some([lower, _]) if lower > 1.0 => Verdict::Misleads,
            Some(_) | None => Verdict::Silent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forty people with three pictures each; of every fourth the first picture is bad, and fails against the others.
    fn bad_pictures() -> (Vec<bool>, Vec<Comparison>) {
        let bad: Vec<bool> = (0..120).map(|picture| picture % 12 == 0).collect();
        let comparisons = (0..40)
            .flat_map(|person| [[0, 1], [0, 2], [1, 2]].map(|pair| (person, pair.map(|which| 3 * person + which))))
            .map(|(person, pictures)| Comparison { pictures, person, missed: pictures.iter().any(|&at| bad[at]) })
            .collect();
        (bad, comparisons)
    }

    #[test]
    fn a_measure_is_told_from_noise_and_from_a_misleading_one() {
        let (bad, comparisons) = bad_pictures();
        let draws = Draws::new(40);
        let good = |at: usize| f32::from(u8::from(!bad[at]));
        for (name, goodness, verdict) in [
            ("knows", (0..120).map(good).collect::<Vec<_>>(), Verdict::Foretells),
            ("knows nothing", (0..120).map(|at| (at * 7919 % 101) as f32).collect(), Verdict::Silent),
            (
                "calls those worst who never fail",
                (0..120).map(|at| f32::from(u8::from(at % 12 < 3))).collect(),
                Verdict::Misleads,
            ),
        ] {
            let curve = curve(name, &goodness, &comparisons, &draws, 40);
            assert_eq!(curve.verdict, verdict, "{curve:?}");
            assert_eq!(curve.fnmr[0], Some(20.0 / 120.0), "{name}");
        }
        let all_known = curve("knows", &(0..120).map(good).collect::<Vec<_>>(), &comparisons, &draws, 40);
        assert_eq!(all_known.fnmr[4], Some(0.0), "a tenth of the pictures is bad, a tenth is left out");
    }

    #[test]
    fn without_comparisons_nothing_is_said() {
        let curve = curve("any", &[1.0, 2.0], &[], &Draws::new(1), 1);
        assert_eq!((curve.fnmr[0], curve.ratio, curve.verdict), (None, None, Verdict::Silent));
    }
}
