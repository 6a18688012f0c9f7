//! What a scrape says of boxes, in each format.

use examgate::wire::telemetry::metrics::{LIVENESSES, TAP_TO_DECISION};
use prometheus_client::{
    encoding::{
        prometheus_protobuf::{self, prometheus_data_model::Histogram},
        prometheus_text,
    },
    registry::Registry,
};

use super::*;

/// A histogram that is told beside a classic one.
#[derive(Debug)]
struct One(&'static Metric, Vec<u64>);

impl Collector for One {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(self.0.name, self.0.help, None, MetricType::Histogram)?;
        let value = Value::Spread { counts: self.1.clone(), sum: 2.5 };
        one(family.encode_family(&vec![("device", "door-1")])?, self.0, &value)
    }
}

fn told(metric: &'static Metric, counts: Vec<u64>) -> (Histogram, String) {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(One(metric, counts)));
    let mut families = prometheus_protobuf::encode(&registry).unwrap();
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).unwrap();
    (families.remove(0).metric.remove(0).histogram.unwrap(), text)
}

fn buckets(metric: &Metric) -> Buckets {
    let Kind::Histogram(buckets) = metric.kind else { panic!("a histogram") };
    buckets
}

#[test]
fn a_native_histogram_has_the_counts_of_the_classic_one() {
    let length = buckets(&TAP_TO_DECISION).len();
    let counts: Vec<u64> = (0..u64::try_from(length).unwrap()).map(|n| n * n % 7).collect();
    let (histogram, text) = told(&TAP_TO_DECISION, counts.clone());
    assert_eq!(histogram.sample_count, counts.iter().sum::<u64>());
    assert_eq!((histogram.bucket.len(), histogram.bucket[0].upper_bound), (length, 0.125));
    assert_eq!((histogram.schema, histogram.zero_threshold, histogram.zero_count), (2, 0.125, counts[0]));
    // 2^(-3) is the lowest bound, so the next bucket of schema 2 has the index -11.
    let [span] = &histogram.positive_span[..] else { panic!("one span") };
    assert_eq!((span.offset, span.length), (-11, u32::try_from(length - 1).unwrap()));
    let mut count = 0;
    let native = histogram.positive_delta.iter().map(|delta| {
        count += delta;
        u64::try_from(count).unwrap()
    });
    assert_eq!(native.collect::<Vec<_>>(), counts[1..]);
    assert!(text.contains("le=\"+Inf\"") && text.contains("le=\"0.125\""), "{text}");
}

#[test]
fn scores_are_classic_alone() {
    let counts = vec![1; buckets(&LIVENESSES).len()];
    let (histogram, _) = told(&LIVENESSES, counts.clone());
    assert_eq!(histogram.sample_count, counts.iter().sum::<u64>());
    assert!(histogram.positive_span.is_empty() && histogram.bucket.len() == counts.len());
}

#[test]
fn deltas_add_up_to_the_counts() {
    assert_eq!(deltas(&[3, 3, 0, 7]), [3, 0, -3, 7]);
    assert_eq!(deltas(&[u64::MAX, 0]), [i64::MAX, -i64::MAX]);
    assert!(deltas(&[]).is_empty());
}
