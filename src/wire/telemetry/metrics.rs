//! Every number a box tells the fleet: its name, unit, meaning, kind, labels and bucket bounds. Box and bridge read the same list.
//!
//! The bounds and labels of a name never change: whoever needs others defines another name. A name is never used again.

/// What a number is, and how it behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises within one run of the box's program; a count of things that happened.
    Counter,
    /// Rises and falls: how something is now.
    Gauge,
    /// How many samples fell into each bucket, and their sum; only rises within one run.
    Histogram(Buckets),
}

/// The buckets of a histogram. A sample belongs to the first bucket whose bound is not below it; beyond the last bound there is one more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buckets {
    /// Upper bounds, inclusive, rising, finite.
    pub bounds: &'static [f64],
    /// Where the bounds are those of a native histogram of Prometheus; `None`: they are not.
    pub native: Option<Native>,
}

/// Bounds that are powers of `2^(2^-schema)` without a gap, so that each bucket is one bucket of a native histogram of this schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    /// The schema: factor `2^(2^-schema)` from bound to bound.
    pub schema: i8,
    /// The first bound is the factor to this power: the index of its bucket.
    pub first: i32,
}

impl Buckets {
    /// Buckets there are: one more than bounds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bounds.len() + 1
    }

    /// Never: there is always the bucket beyond the last bound.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The bucket of `sample`; one that is no number goes beyond the last bound.
    #[must_use]
    pub fn of(&self, sample: f64) -> usize {
        self.bounds.iter().position(|bound| sample <= *bound).unwrap_or(self.bounds.len())
    }
}

/// A label of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The values that this version writes; empty: any token, such as the id of a model. A reader takes any token, since a newer box may
    /// know more.
    pub values: &'static [&'static str],
}

/// A number that a box tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name in the message, with its unit where it has one. The bridge puts `examgate_` before it, and `_total` behind a counter's.
    pub name: &'static str,
    /// What it counts or measures, for whoever reads a dashboard.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels, in the order in which their values are written.
    pub labels: &'static [Label],
    /// Most series of it in one message: a reader passes over more.
    pub most: usize,
}

impl Metric {
    /// The metric of this name; `None`: this version knows none.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|metric| metric.name == name)
    }
}

const fn counter(name: &'static str, help: &'static str, labels: &'static [Label], most: usize) -> Metric {
    Metric { name, help, kind: Kind::Counter, labels, most }
}

const fn gauge(name: &'static str, help: &'static str, labels: &'static [Label], most: usize) -> Metric {
    Metric { name, help, kind: Kind::Gauge, labels, most }
}

const fn histogram(
    name: &'static str,
    help: &'static str,
    buckets: Buckets,
    labels: &'static [Label],
    most: usize,
) -> Metric {
    Metric { name, help, kind: Kind::Histogram(buckets), labels, most }
}

const fn label(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values }
}

/// `2^(quarters/4)`, as Prometheus rounds the bounds of its native histograms (client_golang, `nativeHistogramBounds` of schema 2).
const fn power(quarters: i32) -> f64 {
    let fractions = [1.0, 1.189_207_115_002_721, std::f64::consts::SQRT_2, 1.681_792_830_507_429];
    let mut value = fractions[quarters.rem_euclid(4) as usize];
    let mut octaves = quarters.div_euclid(4);
    while octaves > 0 {
        value *= 2.0;
        octaves -= 1;
    }
    while octaves < 0 {
        value /= 2.0;
        octaves += 1;
    }
    value
}

const fn powers<const N: usize>(first: i32, step: i32) -> [f64; N] {
    let mut bounds = [0.0; N];
    let mut at = 0;
    while at < N {
        bounds[at] = power(first + step * at as i32);
        at += 1;
    }
    bounds
}

const fn fortieths<const N: usize>(first: i32) -> [f64; N] {
    let mut bounds = [0.0; N];
    let mut at = 0;
    while at < N {
        bounds[at] = (first + at as i32) as f64 / 40.0;
        at += 1;
    }
    bounds
}

/// 1/8 s to 32 s, four buckets an octave: a tap.
const TAP: Buckets = Buckets { bounds: &powers::<33>(-12, 1), native: Some(Native { schema: 2, first: -12 }) };

/// 1 ms (2^-10 s) to 16 s, two buckets an octave: one stage of a tap.
const STAGE: Buckets = Buckets { bounds: &powers::<29>(-40, 2), native: Some(Native { schema: 1, first: -20 }) };

/// Similarities, -0.2 to 0.95 in steps of 0.025: finer than the distance between the thresholds of any net of the manifest.
const SIMILARITY: Buckets = Buckets { bounds: &fortieths::<47>(-8), native: None };

/// Liveness, 0.025 to 0.975 in steps of 0.025.
const LIVENESS: Buckets = Buckets { bounds: &fortieths::<39>(1), native: None };

const DECISION: Label = label("decision", &["admit", "deny", "refer"]);
const MODEL: Label = label("model", &[]);
const VERDICT: Label = label("verdict", &["admit", "admit_by_hand", "refuse"]);
const PART: Label = label("part", &["reader", "camera", "vision", "store"]);

/// The reason that stands for several: the roster holds no picture, or the student does not take part in matching. Who does not take part is
/// treated at the door as one whose picture is missing, so the fleet's numbers do not tell them apart either.
pub const NOT_COMPARED: &str = "not_compared";

/// The value of a label where there is nothing to say.
pub const NONE: &str = "none";

/// Verifications recorded.
pub const SESSIONS: Metric = counter(
    "sessions",
    "Verifications at the door, by the box's decision and its reason. `none`: admitted. `not_compared`: no picture to compare with.",
    &[DECISION, label("reason", &[])],
    128,
);
/// Capture windows opened.
pub const ATTEMPTS: Metric = counter("attempts", "Capture windows opened in recorded verifications.", &[], 1);
/// Challenges asked.
pub const CHALLENGES: Metric = counter("challenges", "Verifications in which the student was asked to turn.", &[], 1);
/// Hints given.
pub const HINTS: Metric = counter(
    "hints",
    "Hints shown to students so that they are seen better.",
    &[label(
        "hint",
        &[
            "look_at_camera",
            "one_at_a_time",
            "come_closer",
            "move_back",
            "move_to_centre",
            "face_forward",
            "more_light",
            "less_light",
            "hold_still",
            "turn_left",
            "turn_right",
        ],
    )],
    32,
);
/// Rulings of proctors.
pub const RULINGS: Metric = counter("rulings", "Rulings of proctors, by verdict.", &[VERDICT], 8);
/// Rulings that overrule the box.
pub const OVERRIDES: Metric = counter(
    "overrides",
    "Rulings over an answer of the box, by that answer and the verdict. `unknown`: the answer is too long ago.",
    &[label("decision", &["admit", "deny", "refer", "unknown"]), VERDICT],
    24,
);
/// Rulings taken back.
pub const UNDONE: Metric = counter("undone", "Rulings that a proctor took back.", &[], 1);
/// Refused sign-ins at the console.
pub const SIGN_IN_REFUSALS: Metric = counter("sign_in_refusals", "Refused sign-ins at the console.", &[], 1);
/// Events recorded, of any kind.
pub const EVENTS: Metric = counter(
    "events",
    "Events put on the box's disk, by kind.",
    &[label("kind", &["verification", "ruling", "undo", "access", "commanded"])],
    16,
);
/// Events not recorded.
pub const UNRECORDED: Metric = counter("events_failed", "Events that could not be put on the box's disk.", &[], 1);
/// Outages of parts.
pub const FAULTS: Metric = counter("faults", "Outages of a part of the box, counted when they begin.", &[PART], 16);
/// What telemetry itself lost.
pub const OVERFLOWS: Metric = counter(
    "telemetry_overflows",
    "Happenings that are missing in these numbers, since they came faster than they were counted.",
    &[],
    1,
);

/// From tap to decision.
pub const TAP_TO_DECISION: Metric =
    histogram("tap_to_decision_seconds", "From the tap to the decision.", TAP, &[DECISION], 4);
/// Each stage of a tap.
pub const STAGES: Metric = histogram(
    "stage_seconds",
    "How long one stage took: looking up the card, tap to the first usable face, that face to the decision, recording, one frame through the nets.",
    STAGE,
    &[label("stage", &["lookup", "first_face", "judgement", "record", "frame"])],
    16,
);
/// Similarity to the student's own templates.
pub const SIMILARITIES: Metric = histogram(
    "similarity_ratio",
    "Similarity to the templates of the student whose card was tapped. Leaves the box in batches of at least 20 students.",
    SIMILARITY,
    &[MODEL],
    4,
);
/// Similarity to others of the room.
pub const NON_MATED: Metric = histogram(
    "non_mated_similarity_ratio",
    "Similarity to templates of other students of the room, where policy allows it. Leaves the box in batches of at least 20 students.",
    SIMILARITY,
    &[MODEL],
    4,
);
/// Liveness.
pub const LIVENESSES: Metric = histogram(
    "liveness_ratio",
    "Liveness score of a verification. Leaves the box in batches of at least 20 students.",
    LIVENESS,
    &[MODEL],
    4,
);

/// Events that wait for the collector's receipt.
pub const OUTBOX: Metric = gauge("outbox_events", "Events that wait for the collector's receipt.", &[], 1);
/// How many may wait.
pub const OUTBOX_LIMIT: Metric =
    gauge("outbox_limit_events", "Events that may wait before students are referred.", &[], 1);
/// Queues.
pub const QUEUES: Metric =
    gauge("queue_depth", "Messages that wait in a queue of the box.", &[label("queue", &["line", "telemetry"])], 16);
/// The provider each net runs on.
pub const PROVIDERS: Metric =
    gauge("provider_info", "1 for the provider that a net runs on.", &[label("net", &[]), label("provider", &[])], 16);
/// Temperatures.
pub const TEMPERATURES: Metric =
    gauge("temperature_celsius", "Temperature, by the kernel's zone.", &[label("zone", &[])], 16);
/// Memory of the machine.
pub const MEMORY: Metric =
    gauge("memory_bytes", "Memory of the machine.", &[label("state", &["total", "available"])], 4);
/// Memory of the program.
pub const RESIDENT: Metric = gauge("resident_bytes", "Memory of the box's program that is in RAM.", &[], 1);
/// The state folder's disk.
pub const DISK: Metric =
    gauge("disk_bytes", "Space of the file system of the state folder.", &[label("state", &["total", "available"])], 4);
/// Parts that work.
pub const UP: Metric = gauge("part_up", "1: the part works; 0: it does not, and students are referred.", &[PART], 16);
/// The clock.
pub const CLOCK: Metric = gauge(
    "clock_state",
    "1 for how far the box's clock can be believed, 0 for the others.",
    &[label("state", &["synchronised", "holdover", "untrusted"])],
    8,
);
/// The box's certificate.
pub const CERTIFICATE: Metric =
    gauge("certificate_expiry_timestamp_seconds", "When the box's certificate for the broker ends.", &[], 1);
/// The roster served.
pub const ROSTER: Metric =
    gauge("roster_expiry_timestamp_seconds", "When the doors of the exam whose roster is served close.", &[], 1);
/// Its edition.
pub const ROSTER_VERSION: Metric = gauge("roster_version", "Version of the roster served; 0: none.", &[], 1);
/// When the run began.
pub const STARTED: Metric = gauge("start_timestamp_seconds", "When the box's program started, by its clock.", &[], 1);

/// All of them.
pub const ALL: &[&Metric] = &[
    &SESSIONS,
    &ATTEMPTS,
    &CHALLENGES,
    &HINTS,
    &RULINGS,
    &OVERRIDES,
    &UNDONE,
    &SIGN_IN_REFUSALS,
    &EVENTS,
    &UNRECORDED,
    &FAULTS,
    &OVERFLOWS,
    &TAP_TO_DECISION,
    &STAGES,
    &SIMILARITIES,
    &NON_MATED,
    &LIVENESSES,
    &OUTBOX,
    &OUTBOX_LIMIT,
    &QUEUES,
    &PROVIDERS,
    &TEMPERATURES,
    &MEMORY,
    &RESIDENT,
    &DISK,
    &UP,
    &CLOCK,
    &CERTIFICATE,
    &ROSTER,
    &ROSTER_VERSION,
    &STARTED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_unit() {
        for (at, metric) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|before| before.name != metric.name), "{}", metric.name);
            assert_eq!(Metric::named(metric.name), Some(*metric));
            let is_name = |name: &str| {
                name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
                    && name.len() <= super::super::MAX_TOKEN
            };
            assert!(is_name(metric.name) && metric.labels.iter().all(|label| is_name(label.name)), "{}", metric.name);
            assert!(metric.help.ends_with('.') && metric.most > 0, "{}", metric.name);
            // The bridge appends it.
            assert!(!metric.name.ends_with("_total"), "{}", metric.name);
            let combinations: usize = metric.labels.iter().map(|label| label.values.len().max(1)).product();
            assert!(combinations <= metric.most, "{}", metric.name);
        }
        assert_eq!(Metric::named("students"), None);
    }

    #[test]
    fn bounds_rise_and_are_those_of_native_histograms() {
        for metric in ALL {
            let Kind::Histogram(buckets) = metric.kind else { continue };
            assert!(buckets.bounds.windows(2).all(|pair| pair[0] < pair[1]), "{}", metric.name);
            let Some(Native { schema, first }) = buckets.native else { continue };
            for (at, bound) in buckets.bounds.iter().enumerate() {
                let power = f64::from(first + i32::try_from(at).unwrap()) / f64::from(1 << schema);
                assert!((bound / power.exp2() - 1.0).abs() < 1e-14, "{} {bound}", metric.name);
            }
        }
        assert_eq!((TAP.bounds[0], TAP.bounds[12], TAP.bounds[32]), (0.125, 1.0, 32.0));
        assert_eq!((STAGE.bounds[0], STAGE.bounds[28]), (1.0 / 1024.0, 16.0));
        assert_eq!((SIMILARITY.bounds[0], SIMILARITY.bounds[46]), (-0.2, 0.95));
        assert_eq!((LIVENESS.bounds[0], LIVENESS.bounds[38]), (0.025, 0.975));
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        for (sample, bucket) in [(0.0, 0), (0.125, 0), (0.126, 1), (32.0, 32), (32.1, 33), (f64::NAN, 33), (-1.0, 0)] {
            assert_eq!(TAP.of(sample), bucket, "{sample}");
        }
    }
}
