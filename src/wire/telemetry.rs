//! What a box counts and measures, version 1: retained on its `telemetry` topic, signed by the box's signing key.
//!
//! COSE_Sign1 over a CBOR map `{v, device, boot_id, run, seq, made, since, every, clock, software, models, families}`. A family is the name
//! of a [`Metric`] and its series: each an array of the values of its labels and of what was counted (a counter: an unsigned integer; a
//! gauge: a float; a histogram: `[counts, sum]`, one count for each bucket).
//!
//! Everything is cumulative within one `run`, so a message that is lost takes nothing with it. A reader ignores fields and names that it does
//! not know. It names no student, no card and no proctor.

use std::collections::BTreeMap;

use ciborium::Value as Item;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    cbor,
    keys::{PublicKey, SigningKey},
    signed,
};
use crate::domain::{ClockTrust, DeviceId, Timestamp};

pub mod metrics;

pub use metrics::{Buckets, Kind, Label, Metric, Native};

/// What the signature is for.
const PURPOSE: &str = "examgate/telemetry/v1";

/// Longest message, bytes: all series that a box has, and the signature.
pub const MAX_TELEMETRY: usize = 48 * 1024;

/// Most series in one message.
pub const MAX_SERIES: usize = 512;

/// Longest name and longest value of a label, characters: the 64 hexadecimal digits of a model's id.
pub const MAX_TOKEN: usize = 64;

/// Most models in one message.
pub const MAX_MODELS: usize = 16;

/// Why bytes are not telemetry of this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// Longer than any message.
    #[error("longer than the {MAX_TELEMETRY} bytes of telemetry")]
    TooLong,
    /// Not signed by this box's enrolled key for this purpose; nothing in it is believed.
    #[error("not signed as telemetry by this box's enrolled key; if the box was set up anew, enrol its new key")]
    NotSigned,
    /// Signed, but not of this shape.
    #[error("signed by the box, but not telemetry of version 1; is the box's software newer than the fleet's?")]
    Malformed,
    /// The box signed another name than the topic's.
    #[error("the telemetry names another box than its topic")]
    OtherDevice,
}

/// Which message of a box: of two, the greater one is the newer one.
///
/// A reader keeps the greatest that it has taken of each box. The same again is a repetition, which brokers make (retained, QoS 1); a lesser
/// one was replayed, or overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Which run of the box's program. Rises with every start: seconds since 1970 by the box's clock, or one more than the run before where
    /// that is more. So it rises also when the clock was set back, and when the state folder was lost; a box that lost its state while its
    /// clock is behind is taken again when its clock is right.
    pub run: u64,
    /// Which message of that run, from 1.
    pub seq: u64,
}

/// What was counted or measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// So often since the run began.
    Counter(u64),
    /// Finite.
    Gauge(f64),
    /// Since the run began.
    Histogram {
        /// Samples in each bucket (not cumulative); [`Buckets::len`] of them.
        counts: Vec<u64>,
        /// The sum of the samples, finite.
        sum: f64,
    },
}

/// One number of a box.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is.
    pub metric: &'static Metric,
    /// The values of its labels, in the metric's order. Each 1 to [`MAX_TOKEN`] letters, digits, `_`, `-`, `.` or `:`.
    pub labels: Vec<String>,
    /// Of the metric's kind.
    pub reading: Reading,
}

/// All numbers of a box at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// The box.
    pub device: DeviceId,
    /// Which boot of the machine, as the box's state says it.
    pub boot_id: Uuid,
    /// Which message.
    pub place: Place,
    /// When it was made, by the box's clock, to the millisecond.
    pub made: Timestamp,
    /// When the run began and all counters were 0, by the box's clock, to the millisecond.
    pub since: Timestamp,
    /// Seconds after which the next message is due, at least 1.
    pub every: u32,
    /// How far that clock can be believed.
    pub clock: ClockTrust,
    /// The program's version.
    pub software: String,
    /// Ids of models by their role, such as `embedder`; at most [`MAX_MODELS`].
    pub models: BTreeMap<String, String>,
    /// At most [`MAX_SERIES`], each labelling of a metric once.
    pub series: Vec<Series>,
}

/// What a reader made of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// What it understood.
    pub telemetry: Telemetry,
    /// Series and names that it passed over: of a newer box, or not of the metric's shape.
    pub passed_over: u32,
}

#[derive(Serialize, Deserialize)]
struct Payload<F> {
    v: u8,
    device: DeviceId,
    boot_id: Uuid,
    run: u64,
    seq: u64,
    /// Milliseconds since 1970.
    made: i64,
    /// Milliseconds since 1970.
    since: i64,
    every: u32,
    clock: ClockTrust,
    software: String,
    models: BTreeMap<String, String>,
    families: BTreeMap<String, F>,
}

/// Whether `text` may be the value of a label: what a metrics system takes without escaping, and too little to write a sentence with.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(allowed)
}

/// `text` as a label's value: other characters become `_`, and what is too long is cut.
#[must_use]
pub fn token(text: &str) -> String {
    let kept = |letter: char| if is_token(letter.encode_utf8(&mut [0; 4])) { letter } else { '_' };
    let token: String = text.chars().take(MAX_TOKEN).map(kept).collect();
    if token.is_empty() { metrics::NONE.into() } else { token }
}

impl Reading {
    fn item(&self) -> Item {
        match self {
            Self::Counter(count) => Item::from(*count),
            Self::Gauge(value) => Item::Float(*value),
            Self::Histogram { counts, sum } => Item::Array(vec![
                Item::Array(counts.iter().map(|count| Item::from(*count)).collect()),
                Item::Float(*sum),
            ]),
        }
    }

    fn read(item: &Item, kind: Kind) -> Option<Self> {
        let count = |item: &Item| item.as_integer().and_then(|count| u64::try_from(count).ok());
        let finite = |item: &Item| item.as_float().filter(|value| value.is_finite());
        match kind {
            Kind::Counter => count(item).map(Self::Counter),
            Kind::Gauge => finite(item).map(Self::Gauge),
            Kind::Histogram(buckets) => {
                let [counts, sum] = item.as_array()?.as_slice() else { return None };
                let counts: Vec<u64> = counts.as_array()?.iter().map(count).collect::<Option<_>>()?;
                // What is added up must not wrap.
                counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count))?;
                (counts.len() == buckets.len()).then_some(())?;
                Some(Self::Histogram { counts, sum: finite(sum)? })
            }
        }
    }
}

impl Series {
    fn item(&self) -> Item {
        Item::Array(self.labels.iter().map(|label| Item::Text(label.clone())).chain([self.reading.item()]).collect())
    }

    fn read(metric: &'static Metric, item: &Item) -> Option<Self> {
        let (reading, labels) = item.as_array()?.split_last()?;
        (labels.len() == metric.labels.len()).then_some(())?;
        let token = |label: &Item| label.as_text().filter(|text| is_token(text)).map(ToOwned::to_owned);
        let labels = labels.iter().map(token).collect::<Option<_>>()?;
        Some(Self { metric, labels, reading: Reading::read(reading, metric.kind)? })
    }
}

impl Telemetry {
    /// Signs the message.
    #[must_use]
    pub fn encode(&self, key: &SigningKey) -> Vec<u8> {
        let mut families = BTreeMap::<String, Vec<Item>>::new();
        for series in &self.series {
            families.entry(series.metric.name.into()).or_default().push(series.item());
        }
        let Self { device, boot_id, place: Place { run, seq }, made, since, every, clock, software, models, .. } = self;
        signed::sign(
            PURPOSE,
            key,
            cbor::to_vec(&Payload {
                v: 1,
                device: device.clone(),
                boot_id: *boot_id,
                run: *run,
                seq: *seq,
                made: made.as_millisecond(),
                since: since.as_millisecond(),
                every: *every,
                clock: *clock,
                software: software.clone(),
                models: models.clone(),
                families,
            }),
        )
    }

    /// Reads telemetry of `device`, signed by its enrolled `key`. Whether it is newer than what was taken before is for the reader to judge.
    ///
    /// # Errors
    /// When the message as a whole is not as [`Self::encode`] makes it, or is of another box.
    pub fn decode(bytes: &[u8], device: &DeviceId, key: &PublicKey) -> Result<Taken, TelemetryError> {
        if bytes.len() > MAX_TELEMETRY {
            return Err(TelemetryError::TooLong);
        }
        let content = signed::verify(PURPOSE, key, bytes).ok_or(TelemetryError::NotSigned)?;
        let payload: Payload<Item> = cbor::from_slice(&content).ok_or(TelemetryError::Malformed)?;
        let Payload { v, run, seq, every, software, models, families, .. } = payload;
        let are_tokens = is_token(&software)
            && models.len() <= MAX_MODELS
            && models.iter().all(|(role, model)| is_token(role) && is_token(model));
        if v != 1 || !are_tokens || every == 0 || seq == 0 {
            return Err(TelemetryError::Malformed);
        }
        if payload.device != *device {
            return Err(TelemetryError::OtherDevice);
        }
        let time = |millis| Timestamp::from_millisecond(millis).map_err(|_| TelemetryError::Malformed);
        let (series, passed_over) = read(&families);
        let telemetry = Self {
            device: payload.device,
            boot_id: payload.boot_id,
            place: Place { run, seq },
            made: time(payload.made)?,
            since: time(payload.since)?,
            every,
            clock: payload.clock,
            software,
            models,
            series,
        };
        Ok(Taken { telemetry, passed_over })
    }
}

/// The series that are understood, and how many are not.
fn read(families: &BTreeMap<String, Item>) -> (Vec<Series>, u32) {
    let (mut all, mut passed_over) = (Vec::<Series>::new(), 0u32);
    for (name, written) in families {
        let (Some(metric), Some(written)) = (Metric::named(name), written.as_array()) else {
            passed_over = passed_over.saturating_add(1);
            continue;
        };
        let first = all.len();
        for item in written {
            let series = Series::read(metric, item)
                .filter(|_| all.len() - first < metric.most && all.len() < MAX_SERIES)
                .filter(|series| all[first..].iter().all(|before| before.labels != series.labels));
            match series {
                Some(series) => all.push(series),
                None => passed_over = passed_over.saturating_add(1),
            }
        }
    }
    (all, passed_over)
}

#[cfg(test)]
mod tests;
