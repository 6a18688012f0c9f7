//! What notes add up to, and that scores leave in batches of different students only.

use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::{super::noting::Noting, *};
use crate::domain::{Event, EventKind, Liveness, QualityDefect, Similarity, StudentId, sample::verified};

const NET: [u8; 32] = [0xab; 32];

/// A verification of the student `N{student}` with scores.
fn scored(number: u64, student: u8, decision: Decision, similarity: f32) -> Event {
    let mut event = verified(number, "MATH-1", Some(student), decision);
    let EventKind::Verification(said) = &mut event.kind else { unreachable!("a verification") };
    said.measured.similarity = Some(Similarity::new(similarity));
    said.measured.liveness = Liveness::Scored { score: 0.9, threshold: 0.5, cue: Default::default() };
    said.measured.artifact = Some(ArtifactId::from_bytes(NET));
    said.measured.since_first_usable_frame = Some(Duration::from_millis(400));
    event
}

/// The tally of these events.
fn tally(events: &[Event]) -> Tally {
    let (noting, notes) = Noting::new();
    let mut tally = Tally::new("fas net/1");
    for event in events {
        noting.recorded(event);
        notes.try_iter().for_each(|noted| tally.take(noted));
    }
    tally
}

fn count(tally: &Tally, metric: &Metric, labels: &[&str]) -> Option<u64> {
    let found = tally.series().into_iter().find(|series| series.metric.name == metric.name && series.labels == labels);
    found.map(|series| match series.reading {
        Reading::Counter(count) => count,
        Reading::Histogram { counts, .. } => counts.iter().sum(),
        Reading::Gauge(value) => value as u64,
    })
}

fn samples(tally: &Tally, metric: &Metric) -> u64 {
    let of_it = tally.series().into_iter().filter(|series| series.metric.name == metric.name);
    of_it
        .map(|series| match series.reading {
            Reading::Histogram { counts, .. } => counts.iter().sum(),
            Reading::Counter(_) | Reading::Gauge(_) => 0,
        })
        .sum()
}

#[test]
fn everything_with_known_labels_is_there_with_nothing_from_the_start() {
    let tally = tally(&[]);
    assert_eq!(count(&tally, &metrics::CHALLENGES, &[]), Some(0));
    assert_eq!(count(&tally, &metrics::OVERRIDES, &["refer", "admit"]), Some(0));
    assert_eq!(count(&tally, &metrics::TAP_TO_DECISION, &["admit"]), Some(0));
    assert_eq!(count(&tally, &metrics::UP, &["camera"]), Some(1));
    assert!(tally.series().iter().all(|series| series.labels.len() == series.metric.labels.len()));
}

#[test]
fn sessions_are_counted_by_decision_and_reason() {
    let refer = Decision::Refer;
    let tally = tally(&[
        verified(1, "A", Some(1), Decision::Admit),
        verified(2, "A", Some(2), Decision::Admit),
        verified(3, "A", None, Decision::Deny(Reason::CardUnknown)),
        verified(4, "A", Some(3), refer(Reason::PoorQuality(QualityDefect::TooDark))),
        verified(5, "A", Some(4), refer(Reason::OptedOut)),
        verified(6, "A", Some(5), refer(Reason::NoTemplate)),
    ]);
    for (labels, times) in [
        (["admit", "none"], Some(2)),
        (["deny", "card_unknown"], Some(1)),
        (["refer", "poor_quality"], Some(1)),
        // Students who opted out and students without a picture have one label.
        (["refer", "not_compared"], Some(2)),
        (["refer", "opted_out"], None),
        (["refer", "no_template"], None),
    ] {
        assert_eq!(count(&tally, &metrics::SESSIONS, &labels), times, "{labels:?}");
    }
    assert_eq!(count(&tally, &metrics::EVENTS, &["verification"]), Some(6));
    assert_eq!(count(&tally, &metrics::ATTEMPTS, &[]), Some(6));
    assert_eq!(count(&tally, &metrics::TAP_TO_DECISION, &["refer"]), Some(3));
}

#[test]
fn a_ruling_says_what_it_overrules() {
    let mut tally = tally(&[verified(7, "A", Some(1), Decision::Deny(Reason::TooLate))]);
    let ruled = |over| Noted::Ruled { verdict: Verdict::Admit, over };
    tally.take(ruled(Some(EventId(Uuid::from_u128(7)))));
    tally.take(ruled(Some(EventId(Uuid::from_u128(8)))));
    tally.take(ruled(None));
    assert_eq!(count(&tally, &metrics::OVERRIDES, &["deny", "admit"]), Some(1));
    assert_eq!(count(&tally, &metrics::OVERRIDES, &["unknown", "admit"]), Some(1));
    assert_eq!(count(&tally, &metrics::RULINGS, &["admit"]), Some(3));
}

#[test]
fn an_outage_is_counted_once_and_the_part_is_down_until_it_is_mended() {
    let mut tally = tally(&[]);
    for (noted, faults, up) in [
        (Noted::Mended(Fault::Camera), 0, 1),
        (Noted::Broke(Fault::Camera), 1, 0),
        (Noted::Broke(Fault::Camera), 1, 0),
        (Noted::Mended(Fault::Camera), 1, 1),
        (Noted::Broke(Fault::Camera), 2, 0),
    ] {
        tally.take(noted);
        assert_eq!(count(&tally, &metrics::FAULTS, &["camera"]), Some(faults));
        assert_eq!(count(&tally, &metrics::UP, &["camera"]), Some(up));
    }
    assert_eq!(count(&tally, &metrics::UP, &["reader"]), Some(1));
}

#[test]
fn scores_leave_when_they_are_those_of_enough_different_students() {
    let fewest = u8::try_from(FEWEST).unwrap();
    let tap = |number: u64, student| scored(number, student, Decision::Admit, 0.6);
    // One student who taps often is no crowd.
    let mut events: Vec<_> = (0..100).map(|number| tap(number, 0)).collect();
    events.extend((1..fewest - 1).map(|student| tap(200 + u64::from(student), student)));
    let held = tally(&events);
    assert_eq!((samples(&held, &metrics::SIMILARITIES), samples(&held, &metrics::LIVENESSES)), (0, 0));
    assert_eq!(count(&held, &metrics::SESSIONS, &["admit", "none"]), Some(events.len() as u64));
    events.push(tap(300, fewest));
    let told = tally(&events);
    let net = "ab".repeat(6);
    assert_eq!(count(&told, &metrics::SIMILARITIES, &[&net]), Some(events.len() as u64));
    assert_eq!(count(&told, &metrics::LIVENESSES, &["fas_net_1"]), Some(events.len() as u64));
    // The next batch starts from nobody.
    events.push(tap(301, fewest + 1));
    assert_eq!(samples(&tally(&events), &metrics::SIMILARITIES), events.len() as u64 - 1);
}

#[test]
fn comparisons_with_others_count_for_who_was_admitted_whichever_comes_first() {
    let (noting, notes) = Noting::new();
    let student = |n: u8| noting.someone(&StudentId::new(format!("N{n}")).unwrap()).unwrap();
    let compared = |n| Noted::ComparedWithOthers { who: student(n), similarities: vec![0.1, 0.2] };
    let mut tally = Tally::new("fas");
    let told = |tally: &mut Tally, n: u8, decision, is_late: bool| {
        if !is_late {
            tally.take(compared(n));
        }
        noting.recorded(&scored(n.into(), n, decision, 0.6));
        notes.try_iter().for_each(|noted| tally.take(noted));
        if is_late {
            tally.take(compared(n));
        }
    };
    // Whoever was not admitted may be somebody else of the room.
    for n in 100..140 {
        told(&mut tally, n, Decision::Refer(Reason::FaceMismatch), n % 2 == 0);
    }
    for n in 0..19 {
        told(&mut tally, n, Decision::Admit, n % 2 == 0);
    }
    assert_eq!(samples(&tally, &metrics::NON_MATED), 0);
    // A second comparison of one admission is none.
    tally.take(compared(18));
    told(&mut tally, 19, Decision::Admit, true);
    assert_eq!(samples(&tally, &metrics::NON_MATED), 40);
}

proptest! {
    /// Whatever is tapped, each release of scores holds those of as many students as it must, and none is lost but those held back.
    #[test]
    fn no_release_is_of_few_students(taps in proptest::collection::vec(0u8..40, 0..300)) {
        let (noting, notes) = Noting::new();
        let mut tally = Tally::new("fas");
        let (mut told, mut since) = (0, BTreeSet::new());
        for (number, student) in (0..).zip(&taps) {
            noting.recorded(&scored(number, *student, Decision::Admit, 0.5));
            notes.try_iter().for_each(|noted| tally.take(noted));
            since.insert(*student);
            let now = samples(&tally, &metrics::SIMILARITIES);
            if now != told {
                prop_assert!(since.len() >= FEWEST);
                prop_assert_eq!(now, number + 1);
                told = now;
                since.clear();
            } else {
                prop_assert!(since.len() < FEWEST);
            }
        }
    }
}
