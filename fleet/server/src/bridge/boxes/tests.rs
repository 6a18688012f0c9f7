//! Which telemetry counts, what is added up, and when the series of a box end.

use examgate::{
    domain::ClockTrust,
    wire::telemetry::{Reading, Series, metrics},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{super::sums::Value, *};

fn door() -> DeviceId {
    DeviceId::new("door-1").unwrap()
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + at).unwrap()
}

/// Telemetry with a message every 20 s, so the series end after 60 s.
fn telemetry(run: u64, seq: u64, at: i64, attempts: u64) -> Telemetry {
    Telemetry {
        device: door(),
        boot_id: Uuid::from_u128(run.into()),
        place: Place { run, seq },
        made: second(at),
        since: second(0),
        every: 20,
        clock: ClockTrust::Synchronised,
        software: "0.1.0".into(),
        models: BTreeMap::from([("embedder".into(), "abc".into())]),
        series: vec![Series { metric: &metrics::ATTEMPTS, labels: Vec::new(), reading: Reading::Counter(attempts) }],
    }
}

fn empty() -> Boxes {
    Boxes::new(Vec::new())
}

fn take(boxes: &mut Boxes, telemetry: Telemetry) -> Outcome {
    let now = telemetry.made;
    boxes.take(telemetry, false, now)
}

fn shown(boxes: &Boxes, at: i64) -> Shown {
    boxes.show(vec![door()], second(at)).remove(0)
}

/// The attempts that are told of the door; `None`: its series have ended.
fn attempts(boxes: &Boxes, at: i64) -> Option<u64> {
    let told = shown(boxes, at).told?;
    let Value::Count(count) = told.sums.of("attempts")?[&Vec::new()] else { panic!("a count") };
    Some(count)
}

#[test]
fn runs_add_up() {
    let mut boxes = empty();
    for (run, seq, at, counted, all) in
        [(1, 1, 0, 3, 3), (1, 2, 10, 5, 5), (2, 1, 20, 0, 5), (2, 4, 30, 2, 7), (9, 1, 40, 1, 8)]
    {
        assert_eq!(take(&mut boxes, telemetry(run, seq, at, counted)), Outcome::Accepted);
        assert_eq!(attempts(&boxes, at), Some(all), "run {run}, number {seq}");
    }
}

#[test]
fn what_comes_again_or_late_counts_for_nothing() {
    let mut boxes = empty();
    assert_eq!(take(&mut boxes, telemetry(1, 5, 50, 5)), Outcome::Accepted);
    assert_eq!(take(&mut boxes, telemetry(3, 3, 90, 2)), Outcome::Accepted);
    for (what, late, outcome) in [
        ("the newest once more", telemetry(3, 3, 90, 2), Outcome::Duplicate),
        ("its number with another content", telemetry(3, 3, 90, 9), Outcome::Replayed),
        ("an older one of this run", telemetry(3, 2, 80, 1), Outcome::Replayed),
        ("one of the run before", telemetry(1, 6, 60, 6), Outcome::Replayed),
        ("one of the run before, dated anew", telemetry(1, 6, 95, 6), Outcome::Replayed),
        ("a run that was never seen, from before", telemetry(2, 1, 70, 8), Outcome::Replayed),
    ] {
        assert_eq!(boxes.take(late, false, second(90)), outcome, "{what}");
        assert_eq!(attempts(&boxes, 90), Some(7), "{what}");
    }
    assert_eq!(take(&mut boxes, telemetry(3, 4, 91, 3)), Outcome::Accepted);
    assert_eq!(attempts(&boxes, 91), Some(8));
}

#[test]
fn the_series_end_with_the_will_and_come_back_with_the_box() {
    let mut boxes = empty();
    take(&mut boxes, telemetry(1, 1, 0, 3));
    assert_eq!((shown(&boxes, 1).online, attempts(&boxes, 1)), (Some(true), Some(3)));
    boxes.state(&door(), Status::Lost, false, second(5));
    let gone = shown(&boxes, 6);
    assert_eq!((gone.online, gone.told, gone.seen), (Some(false), None, Some(second(0))));
    // What the broker still has says nothing of now.
    assert_eq!(boxes.take(telemetry(1, 2, 4, 4), true, second(7)), Outcome::Accepted);
    assert_eq!((shown(&boxes, 7).online, shown(&boxes, 7).seen), (Some(false), Some(second(4))));
    boxes.state(&door(), Status::Online, false, second(8));
    assert_eq!(attempts(&boxes, 8), Some(4));
    boxes.state(&door(), Status::Stopped, false, second(9));
    assert_eq!((shown(&boxes, 9).online, attempts(&boxes, 9)), (None, None), "shut down in order: nobody is alarmed");
    take(&mut boxes, telemetry(2, 1, 20, 1));
    assert_eq!(attempts(&boxes, 20), Some(5), "telemetry says that it is there");
}

#[test]
fn the_series_of_a_silent_box_expire_and_last_seen_stays() {
    let mut boxes = empty();
    take(&mut boxes, telemetry(1, 1, 0, 3));
    assert_eq!(attempts(&boxes, 59), Some(3));
    let silent = shown(&boxes, 60);
    assert_eq!((silent.online, silent.told, silent.seen), (Some(false), None, Some(second(0))));
    boxes.take(telemetry(1, 2, 1, 4), true, second(500));
    assert_eq!((attempts(&boxes, 500), shown(&boxes, 500).seen), (None, Some(second(1))), "retained since long ago");
    let never = boxes.show(vec![DeviceId::new("door-2").unwrap()], second(0)).remove(0);
    assert_eq!((never.online, never.seen), (None, None));
    assert!(boxes.show(Vec::new(), second(0)).is_empty(), "nothing is told of a box that is not enrolled any more");
    let slow = Telemetry { every: u32::MAX, ..telemetry(2, 1, 1000, 1) };
    take(&mut boxes, slow);
    assert_eq!((attempts(&boxes, 2799), attempts(&boxes, 2800)), (Some(5), None), "half an hour at most");
}

#[test]
fn a_restart_forgets_nothing_that_was_kept() {
    let mut boxes = empty();
    let mut disk = BTreeMap::new();
    let mut restart = |boxes: &mut Boxes| {
        for Kept { device, latest, finished } in boxes.changes() {
            let before = disk.get(&device).map_or_else(Vec::new, |kept: &Kept| kept.finished.clone().unwrap());
            let finished = Some(finished.unwrap_or(before));
            disk.insert(device.clone(), Kept { device, latest, finished });
        }
        boxes.kept();
        assert!(boxes.changes().is_empty());
        *boxes = Boxes::new(disk.values().cloned().collect());
    };
    take(&mut boxes, telemetry(1, 5, 0, 3));
    restart(&mut boxes);
    assert_eq!(attempts(&boxes, 1), Some(3));
    assert_eq!(take(&mut boxes, telemetry(1, 5, 0, 3)), Outcome::Duplicate);
    take(&mut boxes, telemetry(2, 1, 10, 1));
    restart(&mut boxes);
    take(&mut boxes, telemetry(2, 2, 11, 2));
    assert!(boxes.changes()[0].finished.is_none(), "the sums did not change");
    restart(&mut boxes);
    assert_eq!(attempts(&boxes, 11), Some(5));
    assert_eq!(take(&mut boxes, telemetry(1, 6, 12, 9)), Outcome::Replayed);
    let damaged = Kept { device: door(), latest: vec![1, 2, 3], finished: Some(Vec::new()) };
    assert_eq!(attempts(&Boxes::new(vec![damaged]), 0), None);
}

proptest! {
    /// Whatever is sent again, in whatever order: what is told is the sum over runs of what each had counted when it was last heard, and it never falls.
    #[test]
    fn nothing_is_counted_twice(again in proptest::collection::vec(0usize..12, 1..60)) {
        // Three runs of four messages; each message counts one more.
        let all: Vec<Telemetry> = (0..12u64)
            .map(|n| telemetry(n / 4 + 1, n % 4 + 1, i64::try_from(n).unwrap(), n % 4 + 1))
            .collect();
        let mut boxes = empty();
        let (mut newest, mut told) = (BTreeMap::new(), 0);
        for at in again {
            let place = all[at].place;
            if boxes.take(all[at].clone(), false, second(20)) == Outcome::Accepted {
                newest.insert(place.run, place.seq);
            }
            let sum = attempts(&boxes, 20).unwrap();
            prop_assert_eq!(sum, newest.values().sum::<u64>());
            prop_assert!(sum >= told);
            told = sum;
        }
    }
}
