//! The format of telemetry: its golden message, what is refused, what is passed over, and that anything is survived.

use proptest::prelude::*;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/telemetry-v1.cose");

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

fn counter(metric: &'static Metric, labels: &[&str], count: u64) -> Series {
    Series { metric, labels: labels.iter().map(|label| (*label).into()).collect(), reading: Reading::Counter(count) }
}

fn telemetry() -> Telemetry {
    let mut counts = vec![0; 34];
    counts[10] = 3;
    counts[33] = 1;
    let histogram = Reading::Histogram { counts, sum: 36.5 };
    let gauge =
        |metric, label: &str, value| Series { metric, labels: vec![label.into()], reading: Reading::Gauge(value) };
    Telemetry {
        device: door(),
        boot_id: Uuid::from_u128(1),
        place: Place { run: 1_797_235_200, seq: 12 },
        made: "2026-12-14T08:00:01.5Z".parse().expect("a time"),
        since: "2026-12-14T07:00:00Z".parse().expect("a time"),
        every: 15,
        clock: ClockTrust::Synchronised,
        software: "0.1.0".into(),
        models: BTreeMap::from([("embedder".into(), "ab".repeat(32))]),
        series: vec![
            counter(&metrics::ATTEMPTS, &[], 7),
            gauge(&metrics::CLOCK, "synchronised", 1.0),
            counter(&metrics::SESSIONS, &["admit", "none"], 3),
            counter(&metrics::SESSIONS, &["refer", "face_mismatch"], 1),
            Series { metric: &metrics::TAP_TO_DECISION, labels: vec!["admit".into()], reading: histogram },
            gauge(&metrics::TEMPERATURES, "cpu-thermal", 51.25),
        ],
    }
}

fn read(bytes: &[u8]) -> Result<Taken, TelemetryError> {
    Telemetry::decode(bytes, &door(), &key().public())
}

/// A signed message whose content is the golden one's after `change`.
fn changed(change: impl FnOnce(&mut Vec<(Item, Item)>)) -> Vec<u8> {
    let content = signed::verify(PURPOSE, &key().public(), &telemetry().encode(&key())).expect("signed");
    let Item::Map(mut fields) = ciborium::from_reader(&content[..]).expect("CBOR") else { panic!("a map") };
    change(&mut fields);
    signed::sign(PURPOSE, &key(), cbor::to_vec(&Item::Map(fields)))
}

fn with(field: &str, value: impl Into<Item>) -> Vec<u8> {
    changed(|fields| {
        let place = fields.iter_mut().find(|(name, _)| name.as_text() == Some(field)).expect("a field");
        place.1 = value.into();
    })
}

fn with_family(name: &str, series: Item) -> Vec<u8> {
    changed(|fields| {
        let families = fields.iter_mut().find(|(name, _)| name.as_text() == Some("families")).expect("a field");
        families.1.as_map_mut().expect("a map").push((Item::from(name), series));
    })
}

#[test]
fn golden_telemetry() {
    assert_eq!(hex::encode(telemetry().encode(&key())), hex::encode(GOLDEN));
    assert_eq!(read(GOLDEN), Ok(Taken { telemetry: telemetry(), passed_over: 0 }));
}

#[test]
fn what_is_not_as_it_should_be_is_refused() {
    let other = Telemetry { device: DeviceId::new("door-2").expect("valid"), ..telemetry() };
    let many: Vec<_> = (0..=MAX_MODELS).map(|n| (Item::from(format!("m{n}")), Item::from("x"))).collect();
    for (name, bytes, error) in [
        ("another box", other.encode(&key()), TelemetryError::OtherDevice),
        ("another key", telemetry().encode(&SigningKey::from_seed(&[8; 32])), TelemetryError::NotSigned),
        ("another purpose", signed::sign("examgate/reported/v1", &key(), vec![]), TelemetryError::NotSigned),
        ("cut short", GOLDEN[..60].to_vec(), TelemetryError::NotSigned),
        ("too long", vec![0; MAX_TELEMETRY + 1], TelemetryError::TooLong),
        ("version 2", with("v", 2), TelemetryError::Malformed),
        ("no place", with("seq", 0), TelemetryError::Malformed),
        ("never due", with("every", 0), TelemetryError::Malformed),
        ("no time", with("made", i64::MAX), TelemetryError::Malformed),
        ("a sentence as version", with("software", "hello world"), TelemetryError::Malformed),
        ("many models", with("models", Item::Map(many)), TelemetryError::Malformed),
        ("no families", with("families", Item::Null), TelemetryError::Malformed),
    ] {
        assert_eq!(read(&bytes), Err(error), "{name}");
    }
}

#[test]
fn fields_and_names_of_newer_boxes_are_passed_over() {
    let newer = changed(|fields| fields.push((Item::from("weather"), Item::from("fair"))));
    assert_eq!(read(&newer), Ok(Taken { telemetry: telemetry(), passed_over: 0 }));
    let array = |items: Vec<Item>| Item::Array(items);
    let count = || Item::from(1);
    let words = |words: &[&str]| words.iter().map(|word| Item::from(*word)).chain([count()]).collect::<Vec<_>>();
    let buckets =
        |len: usize| array(vec![Item::from("frame"), array(vec![array(vec![count(); len]), Item::Float(1.0)])]);
    let stages = metrics::STAGES.name;
    for (name, family, series, passed_over) in [
        ("an unknown name", "weather", array(vec![array(vec![count()])]), 1),
        ("no list", "challenges", Item::Null, 1),
        ("a label too many", "challenges", array(vec![array(words(&["x"]))]), 1),
        ("a label missing", "hints", array(vec![array(words(&[]))]), 1),
        ("a label that is a sentence", "hints", array(vec![array(words(&["John was here"]))]), 1),
        ("a negative count", "challenges", array(vec![array(vec![Item::from(-1)])]), 1),
        ("no number", "outbox_events", array(vec![array(vec![Item::Float(f64::NAN)])]), 1),
        ("buckets missing", stages, array(vec![buckets(29)]), 1),
        ("buckets too many", stages, array(vec![buckets(31)]), 1),
        ("too many series", "undone", array(vec![array(words(&[])); 3]), 2),
    ] {
        let taken = read(&with_family(family, series)).expect(name);
        assert_eq!(taken.passed_over, passed_over, "{name}");
        let kept = taken.telemetry.series.len() - telemetry().series.len();
        assert_eq!(kept, usize::from(family == "undone"), "{name}");
    }
    let taken = read(&with_family(stages, array(vec![buckets(30)]))).expect("whole");
    assert_eq!((taken.passed_over, taken.telemetry.series.len()), (0, telemetry().series.len() + 1));
    // A newer box may know more reasons.
    let taken = read(&with_family("hints", array(vec![array(words(&["lift_chin"]))]))).expect("whole");
    assert_eq!(taken.passed_over, 0);
}

#[test]
fn a_later_run_is_newer_than_any_message_of_the_one_before() {
    let place = |run, seq| Place { run, seq };
    assert!(place(2, 1) > place(1, 900) && place(1, 2) > place(1, 1));
}

#[test]
fn what_becomes_a_label_is_one() {
    for (text, is) in [("cpu-thermal", "cpu-thermal"), ("x86 pkg/0", "x86_pkg_0"), ("", "none"), ("Zoé", "Zo_")] {
        assert_eq!(token(text), is);
        assert!(is_token(is));
    }
    assert_eq!(token(&"é".repeat(300)), "_".repeat(MAX_TOKEN));
}

#[test]
fn all_that_a_box_can_say_fits() {
    let mut series = Vec::new();
    for metric in metrics::ALL {
        let most = metric.labels.iter().map(|label| label.values.len()).product::<usize>();
        // A label without a list, as the reason, has all that may stand there, and so have models.
        let most = if most == 0 { metric.most.min(64) } else { most };
        for n in 0..most {
            let reading = match metric.kind {
                Kind::Counter => Reading::Counter(u64::from(u32::MAX)),
                Kind::Gauge => Reading::Gauge(0.1),
                Kind::Histogram(buckets) => {
                    Reading::Histogram { counts: vec![u64::from(u16::MAX); buckets.len()], sum: 0.1 }
                }
            };
            let labels = metric.labels.iter().map(|_| format!("{n:024}")).collect();
            series.push(Series { metric, labels, reading });
        }
    }
    let longest = Telemetry {
        device: DeviceId::new("d".repeat(64)).expect("valid"),
        place: Place { run: u64::MAX, seq: u64::MAX },
        software: "s".repeat(MAX_TOKEN),
        models: (0..MAX_MODELS).map(|n| (format!("{n:064}"), "m".repeat(MAX_TOKEN))).collect(),
        series,
        ..telemetry()
    };
    let bytes = longest.encode(&key());
    let taken = Telemetry::decode(&bytes, &longest.device, &key().public());
    let taken = taken.unwrap_or_else(|error| panic!("{error}: {} bytes", bytes.len()));
    assert_eq!((taken.telemetry.series.len(), taken.passed_over), (longest.series.len(), 0));
}

fn any_series() -> impl Strategy<Value = Series> {
    (0..metrics::ALL.len(), "[a-z_]{1,20}", any::<u32>(), -1e9..1e9f64).prop_map(|(at, word, count, value)| {
        let metric = metrics::ALL[at];
        let reading = match metric.kind {
            Kind::Counter => Reading::Counter(count.into()),
            Kind::Gauge => Reading::Gauge(value),
            Kind::Histogram(buckets) => Reading::Histogram {
                counts: (0..buckets.len() as u64).map(|n| n * u64::from(count)).collect(),
                sum: value,
            },
        };
        Series { metric, labels: vec![word; metric.labels.len()], reading }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(mut series in proptest::collection::vec(any_series(), 0..40), run in any::<u64>(), seq in 1..u64::MAX) {
        series.sort_by_key(|series| (series.metric.name, series.labels.clone()));
        series.dedup_by_key(|series| series.metric.name);
        let said = Telemetry { series, place: Place { run, seq }, ..telemetry() };
        prop_assert_eq!(read(&said.encode(&key())), Ok(Taken { telemetry: said, passed_over: 0 }));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), is_signed in any::<bool>()) {
        let bytes = if is_signed { signed::sign(PURPOSE, &key(), bytes) } else { bytes };
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_token_made_is_one(text in ".{0,80}") {
        prop_assert!(is_token(&token(&text)));
    }
}
