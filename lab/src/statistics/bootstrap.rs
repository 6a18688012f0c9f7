//! Confidence intervals by a bootstrap that draws persons, not comparisons.
//!
//! Comparisons share people and pictures: two million of them among a thousand persons are far from two million independent trials.
//! So each replicate draws as many persons as there are, with replacement, and a comparison of two persons counts as often as both
//! were drawn, one count times the other (the pigeonhole bootstrap of Owen, Annals of Applied Statistics 1(2), 2007; for one side the
//! subsets bootstrap of Bolle, Ratha and Pankanti, CVIU 93(1), 2004). A person drawn twice is never compared with themselves.
//!
//! Persons are numbers, comparisons are scores.

/// Replicates: the ends of a 95 % interval then rest on 25 of them.
pub(crate) const REPLICATES: usize = 1000;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same draws in every run.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is above 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        // The remainder favours low numbers by limit / 2^64, which is negligible.
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    /// Puts `items` into another order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// How often each person was drawn, once as they are (all once) and then replicate after replicate.
pub(crate) struct Draws(Vec<Vec<f64>>);

impl Draws {
    /// Of `persons` persons.
    pub(crate) fn new(persons: usize) -> Self {
        let mut random = Random(0x45_78_61_6d);
        let replicate = |_| {
            let mut times = vec![0.0; persons];
            (0..persons).for_each(|_| times[random.below(persons)] += 1.0);
            times
        };
        Self((0..REPLICATES).map(replicate).collect())
    }

    /// `statistic` of every replicate that has one, sorted upwards.
    pub(crate) fn replicates(&self, statistic: impl Fn(&[f64]) -> Option<f64>) -> Vec<f64> {
        let mut values: Vec<_> = self.0.iter().filter_map(|times| statistic(times)).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    /// The 95 % percentile interval of `statistic`. `None` when most replicates have no value.
    pub(crate) fn interval(&self, statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<[f64; 2]> {
        let values = self.replicates(statistic);
        (values.len() * 2 > self.0.len()).then(|| [0.025, 0.975].map(|share| quantile(&values, share)))
    }
}

/// The value below which `share` of the values lie; `sorted` is not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// A comparison of one person's probe with another's template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    pub(crate) score: f32,
    pub(crate) persons: [u32; 2],
}

impl Scored {
    fn weight(&self, times: &[f64]) -> f64 {
        let [a, b] = self.persons.map(|person| times[person as usize]);
        a * b
    }
}

/// The non-mated comparisons: all are counted, only the highest are kept.
pub(crate) struct NonMated {
    /// Pictures of each person.
    pictures: Vec<f64>,
    /// The highest scores, downwards.
    highest: Vec<Scored>,
}

impl NonMated {
    /// `highest` are all comparisons above some score, in any order.
    pub(crate) fn new(pictures: &[usize], mut highest: Vec<Scored>) -> Self {
        highest.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        Self { pictures: pictures.iter().map(|&n| n as f64).collect(), highest }
    }

    /// How many comparisons there are, of persons drawn so many `times`.
    pub(crate) fn total(&self, times: &[f64]) -> f64 {
        let weights = || self.pictures.iter().zip(times).map(|(pictures, times)| pictures * times);
        let (sum, squares) = (weights().sum::<f64>(), weights().map(|w| w * w).sum::<f64>());
        sum * sum - squares
    }

    /// The comparisons with at least `threshold`. Right only down to the lowest score that was kept.
    pub(crate) fn matches(&self, threshold: f32) -> &[Scored] {
        &self.highest[..self.highest.partition_point(|one| one.score >= threshold)]
    }

    /// False match rate at `threshold`.
    pub(crate) fn fmr(&self, threshold: f32, times: &[f64]) -> Option<f64> {
        let (total, matches) = (self.total(times), self.matches(threshold));
        (total > 0.0).then(|| matches.iter().map(|one| one.weight(times)).sum::<f64>() / total)
    }

    /// The smallest threshold with a false match rate of at most `target`.
    pub(crate) fn threshold(&self, target: f64, times: &[f64]) -> Option<f32> {
        let allowed = target * self.total(times);
        let mut sum = 0.0;
        let refused = self.highest.iter().find(|one| {
            sum += one.weight(times);
            sum > allowed
        });
        refused.or(self.highest.last()).map(|one| one.score.next_up())
    }
}

/// The mated comparisons: score and person.
pub(crate) struct Mated(pub(crate) Vec<(f32, u32)>);

impl Mated {
    /// False non-match rate at `threshold`.
    pub(crate) fn fnmr(&self, threshold: f32, times: &[f64]) -> Option<f64> {
        let (mut missed, mut all) = (0.0, 0.0);
        for &(score, person) in &self.0 {
            let weight = times[person as usize];
            all += weight;
            missed += if score < threshold { weight } else { 0.0 };
        }
        (all > 0.0).then(|| missed / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(score: f32, a: u32, b: u32) -> Scored {
        Scored { score, persons: [a, b] }
    }

    #[test]
    fn a_comparison_counts_as_often_as_both_were_drawn() {
        // Three persons with two, one and one pictures: 2 + 2 + 1 comparisons, and as many the other way round.
        let all = NonMated::new(&[2, 1, 1], vec![scored(0.4, 0, 1), scored(0.6, 0, 2), scored(0.5, 1, 2)]);
        for (times, total, fmr) in [
            ([1.0, 1.0, 1.0], 10.0, Some(2.0 / 10.0)),
            // the first person twice, the second once
            ([2.0, 1.0, 0.0], 8.0, Some(0.0)),
            ([0.0, 1.0, 2.0], 4.0, Some(0.5)),
            // only one person: nobody to compare with
            ([3.0, 0.0, 0.0], 0.0, None),
        ] {
            assert_eq!(all.total(&times), total, "{times:?}");
            assert_eq!(all.fmr(0.5, &times), fmr, "{times:?}");
        }
        let once = [1.0; 3];
        assert_eq!(all.threshold(0.2, &once), Some(0.4_f32.next_up()));
        assert_eq!(all.threshold(0.19, &once), Some(0.5_f32.next_up()));
        assert_eq!(all.threshold(0.0, &once), Some(0.6_f32.next_up()));
    }

    #[test]
    fn people_who_look_alike_widen_the_interval() {
        // The same number of matches: once spread over all persons, once all with one of them.
        let n = 60_u32;
        let spread = (0..n).map(|a| scored(0.9, a, (a + 1) % n)).collect();
        let alone = (1..n).map(|a| scored(0.9, 0, a)).collect();
        let draws = Draws::new(n as usize);
        let width = |highest: Vec<Scored>| {
            let all = NonMated::new(&[1; 60], highest);
            let [low, high] = draws.interval(|times| all.fmr(0.5, times)).unwrap();
            high - low
        };
        let (spread, alone): (f64, f64) = (width(spread), width(alone));
        assert!(alone > 2.0 * spread, "{alone} {spread}");
    }

    #[test]
    fn draws_are_of_all_persons_and_the_same_in_every_run() {
        let draws = Draws::new(40);
        assert!(draws.0.iter().all(|times| times.iter().sum::<f64>() == 40.0));
        assert!(draws.0[0] != draws.0[1] && draws.0 == Draws::new(40).0);
        let [low, high] = draws.interval(|times| Some(times[0])).unwrap();
        assert!(low == 0.0 && (2.0..=5.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn missed_are_weighted_by_person() {
        let mated = Mated(vec![(0.2, 0), (0.8, 0), (0.9, 1)]);
        assert_eq!(mated.fnmr(0.5, &[1.0, 1.0]), Some(1.0 / 3.0));
        assert_eq!(mated.fnmr(0.5, &[2.0, 0.0]), Some(0.5));
        assert_eq!(mated.fnmr(0.5, &[0.0, 0.0]), None);
    }
}
