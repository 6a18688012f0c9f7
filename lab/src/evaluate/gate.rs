//! Whether an enrolment photo with a short embedding is poor: chooses the limit on one half of the people and tests it on the other.
//!
//! Pure arithmetic: lengths and comparisons in, rates out.

use serde::Serialize;

use super::discard::Comparison;
use crate::statistics::bootstrap::Draws;

/// Share of the photos that are called poor: so few that somebody looks at them.
const SHARE: f64 = 0.05;

/// The limit, and what it does to people it was not chosen on.
#[derive(Debug, Serialize)]
pub(super) struct Gate {
    /// Length below which the shortest twentieth of one half's photos lies.
    pub(super) limit: f32,
    /// Of the other half: people with comparisons, photos, and how many are below.
    pub(super) people: usize,
    pub(super) photos: usize,
    pub(super) below: usize,
    /// False non-match rate where the enrolment photo is below, and where it is not; with 95 % intervals over people.
    pub(super) fnmr_below: Option<f64>,
    pub(super) fnmr_below_interval: Option<[f64; 2]>,
    pub(super) fnmr_others: Option<f64>,
    pub(super) fnmr_others_interval: Option<[f64; 2]>,
}

/// `photos` are each photo's person and length. A comparison's second picture is the enrolment photo. `None` without comparisons in the
/// half that is judged.
pub(super) fn gate(photos: &[(usize, f32)], comparisons: &[Comparison], people: usize, draws: &Draws) -> Option<Gate> {
    let is_judged = |person: usize| person % 2 == 1;
    let mut lengths: Vec<f32> =
        photos.iter().filter(|(person, _)| !is_judged(*person)).map(|&(_, length)| length).collect();
    lengths.sort_unstable_by(f32::total_cmp);
    let limit = *lengths.get((lengths.len() as f64 * SHARE) as usize)?;
    let below = |photo: usize| photos[photo].1 < limit;
    let judged: Vec<_> = comparisons.iter().filter(|comparison| is_judged(comparison.person)).collect();
    let fnmr = |want: bool, times: &[f64]| {
        let (mut missed, mut all) = (0.0, 0.0);
        for comparison in judged.iter().filter(|comparison| below(comparison.pictures[1]) == want) {
            all += times[comparison.person];
            missed += if comparison.missed { times[comparison.person] } else { 0.0 };
        }
        (all > 0.0).then(|| missed / all)
    };
    let once = vec![1.0; people];
    let mut compared: Vec<_> = judged.iter().map(|comparison| comparison.person).collect();
    compared.dedup();
    let mine = || (0..photos.len()).filter(|&photo| is_judged(photos[photo].0));
    (!judged.is_empty()).then(|| Gate {
        limit,
        people: compared.len(),
        photos: mine().count(),
        below: mine().filter(|&photo| below(photo)).count(),
        fnmr_below: fnmr(true, &once),
        fnmr_below_interval: draws.interval(|times| fnmr(true, times)),
        fnmr_others: fnmr(false, &once),
        fnmr_others_interval: draws.interval(|times| fnmr(false, times)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_of_one_half_and_the_rates_of_the_other() {
        // Forty people with two photos each, the even ones' lengths 1 to 40; of the odd ones' two are short, and fail as enrolment photos.
        let photos: Vec<_> = (0..80_usize)
            .map(|photo| {
                let person = photo / 2;
                let length = if person % 2 == 0 {
                    photo as f32
                } else if photo == 2 || photo == 7 {
                    0.5
                } else {
                    90.0
                };
                (person, length)
            })
            .collect();
        let comparisons: Vec<_> = (0..40)
            .flat_map(|person| {
                [[2 * person, 2 * person + 1], [2 * person + 1, 2 * person]].map(|pictures| (person, pictures))
            })
            .map(|(person, pictures)| Comparison {
                pictures,
                person,
                missed: person % 2 == 0 || photos[pictures[1]].1 < 1.0,
            })
            .collect();
        let found = gate(&photos, &comparisons, 40, &Draws::new(40)).unwrap();
        assert_eq!((found.limit, found.people, found.photos, found.below), (4.0, 20, 40, 2));
        assert_eq!((found.fnmr_below, found.fnmr_others), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn nobody_in_the_half_that_is_judged_says_nothing() {
        let comparisons = [Comparison { pictures: [0, 1], person: 0, missed: false }];
        assert!(gate(&[(0, 1.0), (0, 2.0)], &comparisons, 1, &Draws::new(1)).is_none());
    }
}
