//! What a box has counted, added up over the runs of its program. A box counts from nothing in each run; Prometheus is told the sum of all runs.

use std::collections::BTreeMap;

use examgate::wire::telemetry::{Reading, Series};
use serde::{Deserialize, Serialize};

/// The values of the labels of one series, in the metric's order. Site, room and device are not among them.
pub(super) type Labels = Vec<String>;

/// Most series kept of the finished runs of one box. What a box sends at once is bounded by the format; this bounds what comes together over
/// runs with one model after the other.
const MOST: usize = 1024;

/// The value of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Value {
    /// How often something happened.
    Count(u64),
    /// How much there is of something now.
    Level(f64),
    /// How often values fell into each bucket, the last that without an upper bound; and the sum of the values.
    Spread { counts: Vec<u64>, sum: f64 },
}

/// Values by the name of their metric and their labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums(BTreeMap<String, BTreeMap<Labels, Value>>);

impl Sums {
    /// What one message says.
    pub(super) fn read(series: &[Series]) -> Self {
        let mut sums = Self::default();
        for Series { metric, labels, reading } in series {
            let value = match reading {
                Reading::Counter(count) => Value::Count(*count),
                Reading::Gauge(level) => Value::Level(*level),
                Reading::Histogram { counts, sum } => Value::Spread { counts: counts.clone(), sum: *sum },
            };
            sums.0.entry(metric.name.to_owned()).or_default().insert(labels.clone(), value);
        }
        sums
    }

    /// All series of one metric.
    pub(super) fn of(&self, metric: &str) -> Option<&BTreeMap<Labels, Value>> {
        self.0.get(metric)
    }

    /// Adds what a run that is over had counted. Levels are of their moment and end with it.
    pub(super) fn finish(&mut self, run: &Self) {
        let mut room = MOST.saturating_sub(self.0.values().map(BTreeMap::len).sum());
        for (metric, series) in &run.0 {
            for (labels, value) in series {
                if matches!(value, Value::Level(_)) {
                    continue;
                }
                let known = self.0.get(metric).is_some_and(|series| series.contains_key(labels));
                if !known && room == 0 {
                    continue;
                }
                room -= usize::from(!known);
                let sum = self.0.entry(metric.clone()).or_default().entry(labels.clone());
                let sum = sum.or_insert_with(|| value.nothing());
                *sum = value.plus(Some(sum));
            }
        }
    }

    /// What a box has counted in all, in these finished runs and in `run`, which goes on.
    pub(super) fn with(&self, run: &Self) -> Self {
        let mut all = self.clone();
        for (metric, series) in &run.0 {
            let sums = all.0.entry(metric.clone()).or_default();
            for (labels, value) in series {
                let sum = value.plus(sums.get(labels));
                sums.insert(labels.clone(), sum);
            }
        }
        all
    }
}

impl Value {
    fn nothing(&self) -> Self {
        match self {
            Self::Count(_) => Self::Count(0),
            Self::Level(_) => Self::Level(0.0),
            Self::Spread { counts, .. } => Self::Spread { counts: vec![0; counts.len()], sum: 0.0 },
        }
    }

    /// This added to what was `before`. One of another kind or with other buckets, of other software, is not added to: the series begins anew.
    fn plus(&self, before: Option<&Self>) -> Self {
        match (self, before) {
            (Self::Count(now), Some(Self::Count(before))) => Self::Count(now.saturating_add(*before)),
            (Self::Spread { counts, sum }, Some(Self::Spread { counts: before, sum: sum_before }))
                if counts.len() == before.len() =>
            {
                let counts = counts.iter().zip(before).map(|(now, before)| now.saturating_add(*before)).collect();
                Self::Spread { counts, sum: sum + sum_before }
            }
            (now, _) => now.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(metric: &str, label: &str, value: Value) -> Sums {
        Sums(BTreeMap::from([(metric.to_owned(), BTreeMap::from([(vec![label.to_owned()], value)]))]))
    }

    fn spread(counts: &[u64], sum: f64) -> Value {
        Value::Spread { counts: counts.to_vec(), sum }
    }

    #[test]
    fn runs_add_up_and_levels_do_not() {
        let mut finished = Sums::default();
        for run in [one("sessions", "a", Value::Count(3)), one("sessions", "b", Value::Count(4))] {
            finished.finish(&run);
        }
        finished.finish(&one("outbox", "x", Value::Level(9.0)));
        finished.finish(&one("taps", "t", spread(&[1, 0, 2], 1.5)));
        assert_eq!(finished.of("outbox"), None);
        let mut now = one("sessions", "a", Value::Count(1));
        now.0.extend(one("outbox", "x", Value::Level(2.0)).0);
        now.0.extend(one("taps", "t", spread(&[0, 1, 0], 0.5)).0);
        let all = finished.with(&now);
        let value = |metric: &str, label: &str| all.of(metric).unwrap()[&vec![label.to_owned()]].clone();
        assert_eq!((value("sessions", "a"), value("sessions", "b")), (Value::Count(4), Value::Count(4)));
        assert_eq!(value("taps", "t"), spread(&[1, 1, 2], 2.0));
        assert_eq!(value("outbox", "x"), Value::Level(2.0));
    }

    #[test]
    fn other_buckets_begin_anew() {
        let mut finished = one("taps", "t", spread(&[1, 1], 1.0));
        let newer = one("taps", "t", spread(&[0, 0, 5], 9.0));
        assert_eq!(finished.with(&newer), newer);
        finished.finish(&newer);
        assert_eq!(finished, newer);
    }

    #[test]
    fn what_comes_together_is_bounded_and_nothing_overflows() {
        let mut finished = Sums::default();
        for run in 0..2 * MOST {
            finished.finish(&one("sessions", &run.to_string(), Value::Count(u64::MAX)));
        }
        finished.finish(&one("sessions", "0", Value::Count(u64::MAX)));
        let series = finished.of("sessions").unwrap();
        assert_eq!((series.len(), &series[&vec!["0".to_owned()]]), (MOST, &Value::Count(u64::MAX)));
    }
}
