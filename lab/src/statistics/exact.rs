//! Exact binomial intervals, for trials that are truly independent: nobody takes part in two of them.
//!
//! Comparisons that share people are not independent: those get a bootstrap over people.

/// Two-sided Clopper-Pearson interval (Biometrika 26(4), 1934) of the rate behind `events` in `trials`, at `confidence` (0..1).
/// Without trials it is 0 to 1: nothing is known.
pub(crate) fn clopper_pearson(events: u64, trials: u64, confidence: f64) -> [f64; 2] {
    let tail = (1.0 - confidence) / 2.0;
    let lower = if events == 0 { 0.0 } else { rate_where(|rate| 1.0 - at_most(events - 1, trials, rate) >= tail) };
    let upper = if events >= trials { 1.0 } else { rate_where(|rate| at_most(events, trials, rate) <= tail) };
    [lower, upper]
}

/// The smallest rate from which `holds`, by bisection.
fn rate_where(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // Each step halves the doubt: 60 are beyond what an f64 near 1 can tell apart.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// Probability of at most `events` in `trials` at `rate`, 0 < rate < 1; summed as logarithms, so that large numbers do not vanish.
fn at_most(events: u64, trials: u64, rate: f64) -> f64 {
    let odds = (rate / (1.0 - rate)).ln();
    let mut term = trials as f64 * (-rate).ln_1p();
    let mut sum = term.exp();
    for event in 1..=events.min(trials) {
        term += ((trials - event + 1) as f64 / event as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_intervals() {
        // Closed forms: none of n gives 1 - (a/2)^(1/n); all of n gives (a/2)^(1/n). The others are R's binom.test.
        for (events, trials, confidence, wanted) in [
            (0, 3, 0.95, [0.0, 1.0 - 0.025_f64.powf(1.0 / 3.0)]),
            (0, 3, 0.90, [0.0, 1.0 - 0.05_f64.powf(1.0 / 3.0)]),
            (3, 3, 0.95, [0.025_f64.powf(1.0 / 3.0), 1.0]),
            (1, 10, 0.95, [0.002_528_579, 0.445_016_1]),
            (5, 10, 0.95, [0.187_086_0, 0.812_914_0]),
            (0, 3000, 0.95, [0.0, 1.0 - 0.025_f64.powf(1.0 / 3000.0)]),
            (0, 0, 0.95, [0.0, 1.0]),
        ] {
            let got = clopper_pearson(events, trials, confidence);
            for (got, wanted) in got.into_iter().zip(wanted) {
                assert!((got - wanted).abs() < 1e-6, "{events} of {trials}: {got} is not {wanted}");
            }
        }
        assert!((clopper_pearson(0, 3, 0.95)[1] - 0.7076).abs() < 1e-4, "0 of 3 attacks proves at most 71 %");
    }
}
