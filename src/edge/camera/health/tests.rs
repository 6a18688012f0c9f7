//! The judgement over tables of shots.

use super::*;
use crate::edge::camera::Torn;

/// A 16 x 2 picture whose luma is `level`, give or take `swing`.
fn frame(sequence: u64, captured_ms: u64, level: u8, swing: u8) -> Frame {
    let mut bytes = vec![128_u8; 64];
    for (i, luma) in bytes.iter_mut().step_by(2).enumerate() {
        *luma = level + if i % 2 == 0 { swing } else { 0 };
    }
    bytes[1..9].iter_mut().step_by(2).zip(sequence.to_le_bytes()).for_each(|(chroma, n)| *chroma = n); // a sensor never repeats
    Frame {
        format: PixelFormat::Yuyv,
        width: 16,
        height: 2,
        bytes: bytes.into(),
        captured_at: at(captured_ms),
        sequence,
    }
}

fn at(ms: u64) -> MonoTime {
    MonoTime::from_start(Duration::from_millis(10_000 + ms))
}

/// What a shot read `ms` after the start is worth, without the picture.
fn worth(health: &mut Health, shot: Shot, ms: u64) -> Result<bool, Ailment> {
    match health.judge(shot, at(ms)) {
        Verdict::Good(_) => Ok(true),
        Verdict::Refused => Ok(false),
        Verdict::Ill(ailment) => Err(ailment),
    }
}

fn judge(health: &mut Health, frame: Frame, ms: u64) -> Result<bool, Ailment> {
    worth(health, Shot::Picture(frame), ms)
}

const GOOD: Result<bool, Ailment> = Ok(true);
const REFUSED: Result<bool, Ailment> = Ok(false);

#[test]
fn a_live_stream_is_well() {
    let mut health = Health::default();
    for i in 0..200 {
        assert_eq!(judge(&mut health, frame(i, i * 33, 90, 40), i * 33 + 5), GOOD, "frame {i}");
    }
}

#[test]
fn repeated_pictures_are_seen_by_nobody_and_frozen_after_two_seconds() {
    // Rings of one picture up to as many as a driver has buffers, at 30 a second and at 10.
    for (ring, interval) in [(1, 33), (2, 33), (4, 33), (16, 33), (32, 33), (4, 100), (16, 100)] {
        let mut health = Health::default();
        let old = |i: u64| frame(i % ring, 0, 90, 40).bytes;
        let mut frozen = None;
        for i in 0..ring + 4000 / interval {
            let repeat = Frame { bytes: old(i), ..frame(i, i * interval, 90, 40) };
            let wanted = if i < ring { GOOD } else { REFUSED };
            match judge(&mut health, repeat, i * interval) {
                Err(Ailment::Frozen) => frozen = frozen.or(Some((i - ring + 1) * interval)),
                seen => assert_eq!(seen, wanted, "picture {i} of a ring of {ring}"),
            }
        }
        let frozen = frozen.expect("a ring is frozen");
        assert!((2000..2200).contains(&frozen), "ring {ring}: after {frozen} ms");
        // It does so also when it is opened again, and mends with the first new picture.
        health.start_over();
        let again = Frame { bytes: old(3), ..frame(0, 9000, 90, 40) };
        assert_eq!(judge(&mut health, again, 9000), REFUSED, "ring {ring}, opened again");
        assert_eq!(judge(&mut health, frame(999, 9033, 90, 40), 9033), GOOD);
    }
}

#[test]
fn a_picture_given_twice_now_and_then_is_no_fault() {
    let mut health = Health::default();
    for i in 0..300_u64 {
        let twice = Frame { bytes: frame(i / 6, 0, 90, 40).bytes, ..frame(i, i * 33, 90, 40) };
        assert_eq!(judge(&mut health, twice, i * 33), if i % 6 == 0 { GOOD } else { REFUSED }, "{i}");
    }
}

#[test]
fn a_clip_that_is_longer_than_any_driver_s_buffers_may_begin_anew() {
    let mut health = Health::default();
    for i in 0..200_u64 {
        let looped = Frame { bytes: frame(i % 40, 0, 90, 40).bytes, ..frame(i, i * 33, 90, 40) };
        assert_eq!(judge(&mut health, looped, i * 33), GOOD, "{i}");
    }
}

#[test]
fn late_early_and_disordered_frames_are_refused() {
    let cases = [
        ("fresh", 2, 100, 130, GOOD, None),
        ("late", 2, 100, 1100, REFUSED, Some(Ailment::Old)),
        ("yet to come", 2, 100, 99, REFUSED, Some(Ailment::Old)),
        ("same moment as the last", 2, 0, 30, REFUSED, Some(Ailment::Disordered)),
        ("same number as the last", 1, 33, 33, REFUSED, Some(Ailment::Disordered)),
        ("a number of before", 0, 33, 33, REFUSED, Some(Ailment::Disordered)),
        ("numbers were lost", 9, 33, 33, GOOD, None),
    ];
    for (name, sequence, captured, now, wanted, ailment) in cases {
        let mut health = Health::default();
        assert_eq!(judge(&mut health, frame(1, 0, 90, 40), 0), GOOD);
        assert_eq!(judge(&mut health, frame(sequence, captured, 90, 40), now), wanted, "{name}");
        // For ever, it is an ailment within two seconds, told by its name.
        let Some(ailment) = ailment else { continue };
        let mut told = None;
        for i in 1..60_u64 {
            let ms = i * 33;
            let (sequence, captured) =
                if ailment == Ailment::Old { (sequence + i, captured + ms) } else { (sequence, captured) };
            if let Err(seen) = judge(&mut health, frame(sequence, captured, 90, 40), now + ms) {
                told = told.or(Some((seen, ms)));
            }
        }
        let (seen, after) = told.expect(name);
        assert!(after < 2000, "{name}: after {after} ms");
        assert_eq!(seen, ailment, "{name}");
    }
}

#[test]
fn a_run_of_torn_buffers_is_an_ailment_within_two_seconds_and_ends_with_the_first_picture() {
    let kinds = [
        Torn::Empty,
        Torn::Flagged,
        Torn::Cut { used: 9000 },
        Torn::Short { used: 9000, whole: 614_400 },
        Torn::Overlong { used: 9000, room: 4096 },
    ];
    for kind in kinds {
        for interval in [16, 33, 100, 400] {
            let mut health = Health::default();
            assert_eq!(judge(&mut health, frame(0, 0, 90, 40), 0), GOOD);
            let ill = (1..20).find(|i| worth(&mut health, Shot::Torn(kind), i * interval) == Err(Ailment::Torn));
            let after = ill.expect("a run is an ailment") * interval;
            assert!(after < 2000, "{kind:?} every {interval} ms: after {after} ms");
            assert_eq!(judge(&mut health, frame(99, after + 10, 90, 40), after + 10), GOOD, "{kind:?}");
        }
    }
}

#[test]
fn one_torn_buffer_in_ten_is_no_ailment() {
    let mut health = Health::default();
    for i in 0..300_u64 {
        let torn = i % 10 == 9;
        let shot = if torn { Shot::Torn(Torn::Flagged) } else { Shot::Picture(frame(i, i * 33, 90, 40)) };
        assert_eq!(worth(&mut health, shot, i * 33), if torn { REFUSED } else { GOOD }, "{i}");
    }
}

#[test]
fn torn_and_repeated_in_turn_are_no_way_around() {
    let mut health = Health::default();
    let old = frame(0, 0, 90, 40);
    let mut told = None;
    for i in 0..100_u64 {
        let shot = match i % 2 {
            0 => Shot::Picture(Frame { captured_at: at(i * 33), sequence: i, ..old.clone() }),
            _ => Shot::Torn(Torn::Empty),
        };
        let seen = worth(&mut health, shot, i * 33);
        assert!(i == 0 || seen != GOOD, "{i}");
        told = told.or(seen.err().map(|ailment| (ailment, i * 33)));
    }
    let (ailment, after) = told.expect("an ailment");
    assert!(ailment == Ailment::Torn && after < 2000, "{ailment:?} after {after} ms");
}

#[test]
fn a_picture_that_cannot_be_decoded_is_torn() {
    let mut health = Health::default();
    let torn = |i| Frame { format: PixelFormat::Mjpeg, ..frame(i, i * 33, 90, 40) };
    let seen: Vec<_> = (0..6).map(|i| judge(&mut health, torn(i), i * 33)).collect();
    assert_eq!(seen[..4], [REFUSED; 4]);
    assert_eq!(seen[4], Err(Ailment::Torn));
    assert_eq!(judge(&mut health, frame(7, 231, 90, 40), 231), GOOD);
}

#[test]
fn black_is_seen_in_time_and_ends_with_the_first_picture() {
    for repeats in [false, true] {
        let mut health = Health::default();
        assert_eq!(judge(&mut health, frame(0, 0, 90, 40), 0), GOOD);
        let dark =
            |i: u64| Frame { bytes: frame(if repeats { 1 } else { i }, 0, 16, 1).bytes, ..frame(i, i * 33, 16, 1) };
        let seen = (1..60_u64).map(|i| (i * 33, judge(&mut health, dark(i), i * 33)));
        let (after, ailment) =
            seen.filter_map(|(ms, seen)| Some((ms, seen.err()?))).next().expect("black is an ailment");
        assert!(ailment == Ailment::Black && after < 1600, "{ailment:?} after {after} ms");
        assert_eq!(judge(&mut health, frame(61, 2013, 90, 40), 2013), GOOD);
    }
}

#[test]
fn a_dim_room_is_not_black() {
    let mut health = Health::default();
    assert_eq!(judge(&mut health, frame(0, 0, 20, 12), 0), GOOD);
    assert_eq!(judge(&mut health, frame(1, 1900, 20, 12), 1900), GOOD);
}
