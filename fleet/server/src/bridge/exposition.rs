//! What Prometheus is told of the boxes, at each scrape: series by metric, from what is known at that moment. It holds no lock while it writes,
//! so a slow scrape keeps no telemetry waiting.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use examgate::{
    domain::{DeviceId, RoomId, SiteId, Timestamp},
    wire::telemetry::{Buckets, Kind, Metric, metrics},
};
use examgate_fleet_core::devices::{Devices, Whereabouts};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NativeHistogram, NativeHistogramBuckets, NoLabelSet},
    metrics::MetricType,
};

use super::{
    boxes::{Boxes, Shown},
    shard::Shard,
    sums::{Labels, Value},
};

/// A bound and how many values fell below it and above the one before.
type Bucket = (f64, u64);

/// All boxes that the bridge serves, for writer and reader. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) boxes: Arc<Mutex<Boxes>>,
    pub(super) enrolled: Arc<Devices>,
    pub(super) shard: Shard,
    /// Where time is read.
    pub(super) now: fn() -> Timestamp,
}

/// The labels of every series of one box.
struct Place {
    site: String,
    room: String,
    device: String,
}

impl Panel {
    pub(super) fn boxes(&self) -> MutexGuard<'_, Boxes> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of each box that is served.
    fn show(&self) -> Vec<(Place, Shown)> {
        let mut served = self.enrolled.ids();
        served.retain(|device| self.shard.holds(device));
        let shown = self.boxes().show(served, (self.now)());
        shown.into_iter().map(|shown| (self.place(&shown.device), shown)).collect()
    }

    fn place(&self, device: &DeviceId) -> Place {
        let Whereabouts { room, site } = self.enrolled.whereabouts(device).unwrap_or_default();
        Place {
            site: site.as_ref().map_or_else(String::new, SiteId::to_string),
            room: room.as_ref().map_or_else(String::new, RoomId::to_string),
            device: device.to_string(),
        }
    }
}

impl Place {
    /// With further labels of one series.
    fn with<'a>(&'a self, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
        let place = [("site", &*self.site), ("room", &self.room), ("device", &self.device)];
        place.into_iter().chain(more).collect()
    }
}

impl Collector for Panel {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = self.show();
        presence(&mut encoder, &shown)?;
        versions(&mut encoder, &shown)?;
        metrics::ALL.iter().try_for_each(|metric| family(&mut encoder, metric, &shown))
    }
}

/// Whether a box is there, and since when not. These series stay.
fn presence(encoder: &mut DescriptorEncoder<'_>, shown: &[(Place, Shown)]) -> fmt::Result {
    let help = "When the box was last heard of. Stays when its other series end.";
    let mut seen = encoder.encode_descriptor("last_seen_timestamp_seconds", help, None, MetricType::Gauge)?;
    for (place, shown) in shown {
        if let Some(at) = shown.seen {
            seen.encode_family(&place.with([]))?.encode_gauge(&at.as_second())?;
        }
    }
    let help = "1: the box is there; 0: it is gone without a word, and its other series have ended. None: it was shut down in order, or never heard of.";
    let mut online = encoder.encode_descriptor("box_online", help, None, MetricType::Gauge)?;
    for (place, shown) in shown {
        if let Some(is_online) = shown.online {
            online.encode_family(&place.with([]))?.encode_gauge(&i64::from(is_online))?;
        }
    }
    Ok(())
}

/// What the boxes run.
fn versions(encoder: &mut DescriptorEncoder<'_>, shown: &[(Place, Shown)]) -> fmt::Result {
    let help = "1, with the version of the box's software.";
    let mut software = encoder.encode_descriptor("box_info", help, None, MetricType::Gauge)?;
    for (place, told) in there(shown) {
        software.encode_family(&place.with([("software", told.software.as_str())]))?.encode_gauge(&1i64)?;
    }
    let help = "1, with the id of the model that the box runs in each role.";
    let mut models = encoder.encode_descriptor("model_info", help, None, MetricType::Gauge)?;
    for (place, told) in there(shown) {
        for (role, model) in &told.models {
            let labels = place.with([("role", role.as_str()), ("model", model.as_str())]);
            models.encode_family(&labels)?.encode_gauge(&1i64)?;
        }
    }
    Ok(())
}

fn there(shown: &[(Place, Shown)]) -> impl Iterator<Item = (&Place, &super::boxes::Told)> {
    shown.iter().filter_map(|(place, shown)| Some((place, shown.told.as_deref()?)))
}

/// One metric of all boxes; nothing at all if none tells it.
fn family(encoder: &mut DescriptorEncoder<'_>, metric: &Metric, shown: &[(Place, Shown)]) -> fmt::Result {
    let series: Vec<(&Place, &BTreeMap<Labels, Value>)> =
        there(shown).filter_map(|(place, told)| Some((place, told.sums.of(metric.name)?))).collect();
    if series.is_empty() {
        return Ok(());
    }
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram(_) => MetricType::Histogram,
    };
    // prometheus-client puts the full stop behind it where there is none.
    let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
    for (place, series) in series {
        for (values, value) in series {
            // Of a metric whose labels were others when it was kept.
            if values.len() != metric.labels.len() {
                continue;
            }
            let labels = metric.labels.iter().map(|label| label.name).zip(values.iter().map(String::as_str));
            one(family.encode_family(&place.with(labels))?, metric, value)?;
        }
    }
    Ok(())
}

fn one(mut encoder: MetricEncoder<'_>, metric: &Metric, value: &Value) -> fmt::Result {
    match (metric.kind, value) {
        (Kind::Counter, Value::Count(count)) => encoder.encode_counter::<NoLabelSet, u64, u64>(count, None),
        (Kind::Gauge, Value::Level(level)) => encoder.encode_gauge(level),
        (Kind::Histogram(buckets), Value::Spread { counts, sum }) if counts.len() == buckets.len() => {
            histogram(&mut encoder, &buckets, counts, *sum)
        }
        // Kept by another version, in which the metric was of another kind.
        (Kind::Counter | Kind::Gauge | Kind::Histogram(_), _) => Ok(()),
    }
}

/// As a classic histogram, and as a native one where the bounds are those of one: then its buckets hold the same counts. Everything up to the
/// lowest bound is in the zero bucket, whose threshold is that bound. What is above the highest goes into the bucket after it, which is the only place
/// where a native histogram says more than is known.
fn histogram(encoder: &mut MetricEncoder<'_>, buckets: &Buckets, counts: &[u64], sum: f64) -> fmt::Result {
    let count = counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
    let classic: Vec<Bucket> = bounds.zip(counts.iter().copied()).collect();
    let (Some(native), Some(zero_threshold), [zero_count, above @ ..]) =
        (buckets.native, buckets.bounds.first(), counts)
    else {
        return encoder.encode_histogram::<NoLabelSet>(sum, count, &classic, None);
    };
    let length = u32::try_from(above.len()).map_err(|_| fmt::Error)?;
    let spans = [(native.first + 1, length)];
    let nothing = NativeHistogramBuckets { spans: &[], deltas: &[] };
    let native = NativeHistogram {
        schema: native.schema.into(),
        zero_threshold: *zero_threshold,
        zero_count: *zero_count,
        negative: nothing,
        positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas(above) },
        created: None,
    };
    encoder.encode_histogram_with_native::<NoLabelSet>(sum, count, &classic, None, native)
}

/// The differences from bucket to bucket, as the format has them. A count beyond i64 is told as the largest.
fn deltas(counts: &[u64]) -> Vec<i64> {
    let mut before = 0;
    let difference = |count: &u64| {
        let now = i64::try_from(*count).unwrap_or(i64::MAX);
        let delta = now - before;
        before = now;
        delta
    };
    counts.iter().map(difference).collect()
}

#[cfg(test)]
mod tests;
