//! The arithmetic of verification: error rates at a threshold, thresholds at an error rate, k-fold accuracy.
//!
//! Two rules hold throughout. A comparison is a match when its score is **at least** the threshold. A comparison that could
//! not be made (no face found) has the score [`NOT_COMPARED`]: a non-match at every threshold, and it stays in the denominator.
//!
//! Scores in, numbers out.

/// Score of a comparison that could not be made: below every cosine.
pub(crate) const NOT_COMPARED: f32 = f32::NEG_INFINITY;

/// Scores of comparisons of the same person (mated) and of different persons (non-mated), each sorted upwards.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scores {
    mated: Vec<f32>,
    non_mated: Vec<f32>,
}

impl Scores {
    /// Sorts both. Scores are cosines or [`NOT_COMPARED`], never NaN.
    pub(crate) fn new(mut mated: Vec<f32>, mut non_mated: Vec<f32>) -> Self {
        mated.sort_unstable_by(f32::total_cmp);
        non_mated.sort_unstable_by(f32::total_cmp);
        Self { mated, non_mated }
    }

    /// The scores of mated comparisons, upwards.
    pub(crate) fn mated_scores(&self) -> &[f32] {
        &self.mated
    }

    /// The scores of non-mated comparisons, upwards.
    pub(crate) fn non_mated_scores(&self) -> &[f32] {
        &self.non_mated
    }

    /// Mated comparisons.
    pub(crate) fn mated(&self) -> usize {
        self.mated.len()
    }

    /// Non-mated comparisons.
    pub(crate) fn non_mated(&self) -> usize {
        self.non_mated.len()
    }

    /// False match rate: the share of non-mated comparisons that match. `None` without any (ISO/IEC 19795-1).
    pub(crate) fn fmr(&self, threshold: f32) -> Option<f64> {
        share(at_least(&self.non_mated, threshold), self.non_mated.len())
    }

    /// False non-match rate: the share of mated comparisons that do not match. `None` without any (ISO/IEC 19795-1).
    pub(crate) fn fnmr(&self, threshold: f32) -> Option<f64> {
        share(self.mated.len() - at_least(&self.mated, threshold), self.mated.len())
    }

    /// True accept rate at the smallest threshold whose false accept rate is at most `target` (0..=1).
    pub(crate) fn tar_at_far(&self, target: f64) -> Option<f64> {
        let threshold = self.threshold_at_far(target)?;
        share(at_least(&self.mated, threshold), self.mated.len())
    }

    /// The smallest threshold with FAR at most `target`: the number just above the highest score that must be refused.
    ///
    /// Ties are refused together: if that score occurs several times, all of them are, and the FAR stays below the target.
    pub(crate) fn threshold_at_far(&self, target: f64) -> Option<f32> {
        let n = self.non_mated.len();
        let mut accepts = ((target * n as f64) as usize).min(n);
        // The product is rounded (0.29 * 100 < 29): the quotient decides.
        while accepts < n && (accepts + 1) as f64 / n as f64 <= target {
            accepts += 1;
        }
        if n == 0 {
            return None;
        }
        Some(match n.checked_sub(accepts + 1) {
            Some(refused) => self.non_mated[refused].next_up(),
            None => f32::NEG_INFINITY,
        })
    }
}

/// How many of `sorted` (upwards) are at least `threshold`; never counts [`NOT_COMPARED`].
fn at_least(sorted: &[f32], threshold: f32) -> usize {
    sorted.len() - sorted.partition_point(|&score| score < threshold || score == NOT_COMPARED)
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// One labelled pair: its score, whether it is the same person, and the fold it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LabelledPair {
    pub(crate) score: f32,
    pub(crate) same: bool,
    pub(crate) fold: Option<u32>,
}

impl LabelledPair {
    fn is_right_at(self, threshold: f32) -> bool {
        (self.score >= threshold && self.score != NOT_COMPARED) == self.same
    }
}

/// How an accuracy was obtained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Accuracy {
    /// Mean over folds; each fold judged at the threshold that is best on the other folds.
    KFold {
        /// Mean of the folds' accuracies, 0..=1.
        mean: f64,
        /// Sample standard deviation of the folds' accuracies.
        spread: f64,
        /// Number of folds.
        folds: usize,
    },
    /// No folds: the accuracy of the single threshold best on these very pairs, so a little flattering.
    BestThreshold {
        /// 0..=1.
        accuracy: f64,
    },
}

impl Accuracy {
    /// Accuracy, 0..=1.
    pub(crate) const fn get(self) -> f64 {
        match self {
            Self::KFold { mean, .. } => mean,
            Self::BestThreshold { accuracy } => accuracy,
        }
    }
}

/// Accuracy of telling same from different. `None` without pairs. Folds count only where every pair has one and there are two or more.
pub(crate) fn accuracy(pairs: &[LabelledPair]) -> Option<Accuracy> {
    if pairs.is_empty() {
        return None;
    }
    let mut folds: Vec<_> = pairs.iter().map(|pair| pair.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    if folds.len() < 2 || folds.contains(&None) {
        return Some(Accuracy::BestThreshold { accuracy: accuracy_at(pairs, best_threshold(pairs)) });
    }
    let each: Vec<f64> = folds
        .iter()
        .map(|fold| {
            let (held_out, others): (Vec<_>, Vec<_>) = pairs.iter().partition(|pair| pair.fold == *fold);
            accuracy_at(&held_out, best_threshold(&others))
        })
        .collect();
    let n = each.len() as f64;
    let mean = each.iter().sum::<f64>() / n;
    let spread = (each.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    Some(Accuracy::KFold { mean, spread, folds: folds.len() })
}

fn accuracy_at(pairs: &[LabelledPair], threshold: f32) -> f64 {
    pairs.iter().filter(|pair| pair.is_right_at(threshold)).count() as f64 / pairs.len() as f64
}

/// The threshold that gets most pairs right: halfway between two neighbouring scores. Of equally good ones, the lowest.
fn best_threshold(pairs: &[LabelledPair]) -> f32 {
    let mut sorted: Vec<_> = pairs.iter().filter(|pair| pair.score != NOT_COMPARED).collect();
    sorted.sort_unstable_by(|a, b| a.score.total_cmp(&b.score));
    // Below all scores every pair that could be compared matches; each step upwards refuses one score more.
    let mut right = sorted.iter().filter(|pair| pair.same).count();
    let (mut best, mut threshold) = (right, sorted.first().map_or(0.0, |lowest| lowest.score));
    for (at, pair) in sorted.iter().enumerate() {
        right = if pair.same { right - 1 } else { right + 1 };
        let next = sorted.get(at + 1).map_or(f32::INFINITY, |next| next.score);
        if right > best && next > pair.score {
            best = right;
            threshold = if next.is_finite() { between(pair.score, next) } else { pair.score.next_up() };
        }
    }
    threshold
}

/// A number above `low`, at most `high`, as near the middle as f32 allows.
fn between(low: f32, high: f32) -> f32 {
    let middle = low + (high - low) / 2.0;
    if middle > low { middle } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten non-mated scores 0.0 .. 0.9 and four mated ones.
    fn scores() -> Scores {
        Scores::new(vec![0.95, 0.3, 0.85, 0.75], (0..10_u8).rev().map(|i| f32::from(i) / 10.0).collect())
    }

    #[test]
    fn rates_at_a_threshold() {
        // (threshold, FMR, FNMR); a score equal to the threshold matches
        for (threshold, fmr, fnmr) in
            [(-1.0, 1.0, 0.0), (0.3, 0.7, 0.0), (0.5, 0.5, 0.25), (0.75, 0.2, 0.25), (0.9, 0.1, 0.75), (1.0, 0.0, 1.0)]
        {
            let scores = scores();
            assert_eq!((scores.fmr(threshold), scores.fnmr(threshold)), (Some(fmr), Some(fnmr)), "{threshold}");
        }
    }

    #[test]
    fn thresholds_at_a_rate() {
        // (FAR allowed, threshold, TAR): FAR 0.1 lets one of ten in, so 0.8 is the highest that must be refused
        for (target, threshold, tar) in [
            (0.0, 0.9_f32.next_up(), 0.25),
            (0.05, 0.9_f32.next_up(), 0.25),
            (0.1, 0.8_f32.next_up(), 0.5),
            (0.19, 0.8_f32.next_up(), 0.5),
            (0.2, 0.7_f32.next_up(), 0.75),
            (0.7, 0.2_f32.next_up(), 1.0),
            (1.0, f32::NEG_INFINITY, 1.0),
        ] {
            let scores = scores();
            assert_eq!(scores.threshold_at_far(target), Some(threshold), "{target}");
            assert_eq!(scores.tar_at_far(target), Some(tar), "{target}");
            assert!(scores.fmr(threshold).unwrap() <= target);
        }
    }

    #[test]
    fn a_rounded_product_does_not_cost_an_accept() {
        let scores = Scores::new(vec![1.0], (0..100_u8).map(f32::from).collect());
        // 0.29 * 100 is 28.999…
        assert_eq!(scores.fmr(scores.threshold_at_far(0.29).unwrap()), Some(0.29));
    }

    #[test]
    fn ties_are_refused_together() {
        let scores = Scores::new(vec![0.5, 0.6], vec![0.1, 0.5, 0.5, 0.5]);
        // one of four may pass, but the three at 0.5 stand or fall together
        assert_eq!(scores.threshold_at_far(0.25), Some(0.5_f32.next_up()));
        assert_eq!(scores.tar_at_far(0.25), Some(0.5));
        assert_eq!(scores.tar_at_far(0.75), Some(1.0));
    }

    #[test]
    fn what_could_not_be_compared_never_matches() {
        let scores = Scores::new(vec![NOT_COMPARED, 0.9], vec![NOT_COMPARED, 0.1]);
        assert_eq!((scores.fmr(f32::NEG_INFINITY), scores.fnmr(f32::NEG_INFINITY)), (Some(0.5), Some(0.5)));
        assert_eq!(scores.tar_at_far(1.0), Some(0.5));
        assert_eq!((scores.mated(), scores.non_mated()), (2, 2));
    }

    #[test]
    fn nothing_compared_gives_no_rate() {
        let none = Scores::default();
        assert_eq!((none.fmr(0.5), none.fnmr(0.5), none.tar_at_far(0.1)), (None, None, None));
        assert_eq!(accuracy(&[]), None);
    }

    fn pairs(table: &[(f32, bool, Option<u32>)]) -> Vec<LabelledPair> {
        table.iter().map(|&(score, same, fold)| LabelledPair { score, same, fold }).collect()
    }

    #[test]
    fn without_folds_the_best_single_threshold_counts() {
        for (table, wanted) in [
            (&[(0.9, true, None), (0.1, false, None)][..], 1.0),
            (&[(0.1, true, None), (0.9, false, None)], 0.5),
            (&[(0.9, true, None), (0.5, false, None), (0.4, true, None), (0.1, false, None)], 0.75),
            // the tie at 0.5 cannot be split
            (&[(0.5, true, None), (0.5, false, None), (0.5, false, None)], 2.0 / 3.0),
            // a mated pair without a face is wrong, a non-mated one right
            (&[(NOT_COMPARED, true, None), (NOT_COMPARED, false, None), (0.9, true, None), (0.1, false, None)], 0.75),
            (&[(NOT_COMPARED, true, None)], 0.0),
            // one fold is no fold
            (&[(0.9, true, Some(1)), (0.1, false, Some(1))], 1.0),
            // nor are folds that some pairs lack
            (&[(0.9, true, Some(1)), (0.1, false, None)], 1.0),
        ] {
            assert_eq!(accuracy(&pairs(table)), Some(Accuracy::BestThreshold { accuracy: wanted }), "{table:?}");
        }
    }

    #[test]
    fn each_fold_is_judged_at_the_others_threshold() {
        // Fold 1 alone would choose 0.5 (all right), fold 2 alone 0.25 (all right).
        // Fold 1 at 0.25: 0.4 non-mated matches, 3 of 4 right. Fold 2 at 0.5: 0.45 mated is missed, 3 of 4 right.
        let table = pairs(&[
            (0.6, true, Some(1)),
            (0.7, true, Some(1)),
            (0.4, false, Some(1)),
            (0.1, false, Some(1)),
            (0.45, true, Some(2)),
            (0.8, true, Some(2)),
            (0.05, false, Some(2)),
            (0.05, false, Some(2)),
        ]);
        assert_eq!(accuracy(&table), Some(Accuracy::KFold { mean: 0.75, spread: 0.0, folds: 2 }));
        // Fold 1 all right, fold 2 half: 0.25 to either side of the mean.
        let table = pairs(&[
            (0.9, true, Some(1)),
            (0.1, false, Some(1)),
            (0.9, true, Some(2)),
            (0.2, true, Some(2)),
            (0.1, false, Some(2)),
            (0.8, false, Some(2)),
        ]);
        let Some(Accuracy::KFold { mean, spread, folds: 2 }) = accuracy(&table) else { panic!("two folds") };
        assert!(spread > 0.0 && mean < 1.0, "{mean} {spread}");
    }

    proptest::proptest! {
        #[test]
        fn the_threshold_is_the_smallest_that_holds(scores in proptest::collection::vec(0..40_u8, 1..200), target in 0.0..=1.0_f64) {
            let scores = Scores::new(vec![1.0], scores.into_iter().map(|s| f32::from(s) / 40.0).collect());
            let threshold = scores.threshold_at_far(target).expect("there are scores");
            proptest::prop_assert!(scores.fmr(threshold).expect("there are scores") <= target);
            if threshold.is_finite() {
                proptest::prop_assert!(scores.fmr(threshold.next_down()).expect("there are scores") > target);
            }
        }

        #[test]
        fn the_best_threshold_is_best(table in proptest::collection::vec((0..20_u8, proptest::bool::ANY), 1..60)) {
            let pairs: Vec<_> = table.iter().map(|&(s, same)| LabelledPair { score: f32::from(s), same, fold: None }).collect();
            let found = accuracy(&pairs).expect("there are pairs").get();
            let best = (0..=21_u8).map(|t| accuracy_at(&pairs, f32::from(t))).fold(0.0, f64::max);
            proptest::prop_assert_eq!(found, best);
        }
    }
}
