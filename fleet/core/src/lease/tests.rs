//! Tables: what a collector does about each thing that happens to its lease.

use super::*;

const TIMING: Timing =
    Timing { lasts: Duration::from_secs(10), renew_every: Duration::from_secs(3), look_every: Duration::from_secs(1) };

fn holder(n: u128) -> Holder {
    Holder { id: Uuid::from_u128(n), name: format!("collector {n}") }
}

/// A tenure of collector 1.
fn token(number: u64) -> Token {
    Token::new(number, &holder(1))
}

/// Seconds of a collector's own clock.
fn at(seconds: u64) -> MonoTime {
    MonoTime::from_start(Duration::from_secs(seconds))
}

fn active(lease: &mut Lease, seconds: u64) {
    assert_eq!(lease.step(at(seconds), Input::Woken), Some(Output::Claim));
    let begun = lease.step(at(seconds), Input::Claimed(Claim::Held(token(1))));
    assert_eq!((begun, lease.step(at(seconds), Input::Woken)), (Some(Output::Begin(token(1))), None));
}

#[test]
fn it_renews_in_time_and_counts_from_when_it_asked() {
    let mut lease = Lease::new(TIMING);
    active(&mut lease, 5);
    assert_eq!((lease.next(), lease.until()), (at(8), Some(at(15))));
    assert_eq!(lease.step(at(8), Input::Woken), Some(Output::Claim));
    assert_eq!(lease.step(at(11), Input::Claimed(Claim::Held(token(1)))), None);
    assert_eq!((lease.next(), lease.until(), lease.token()), (at(11), Some(at(18)), Some(token(1))));
}

#[test]
fn whatever_takes_the_lease_from_it_ends_its_tenure() {
    let another = Claim::Another { name: "other".into(), left: Duration::from_secs(9) };
    for (seconds, input) in [
        (8, Input::Claimed(another)),
        // It was another's in between.
        (8, Input::Claimed(Claim::Held(token(3)))),
        (8, Input::Failed),
        (8, Input::Fenced),
        // It slept over its end; the answer was there in time.
        (30, Input::Claimed(Claim::Held(token(1)))),
        (30, Input::Woken),
    ] {
        let mut lease = Lease::new(TIMING);
        active(&mut lease, 5);
        assert_eq!(lease.step(at(8), Input::Woken), Some(Output::Claim));
        assert_eq!(lease.step(at(seconds), input.clone()), Some(Output::End), "{input:?}");
        assert_eq!((lease.token(), lease.until()), (None, None));
    }
}

#[test]
fn an_orderly_end_gives_the_lease_back_and_nothing_follows() {
    let mut lease = Lease::new(TIMING);
    assert_eq!(lease.step(at(0), Input::Stopped), None, "there is nothing to give back");
    let mut lease = Lease::new(TIMING);
    active(&mut lease, 5);
    assert_eq!(lease.step(at(6), Input::Stopped), Some(Output::Release(token(1))));
    for input in [Input::Woken, Input::Claimed(Claim::Held(token(1))), Input::Failed] {
        assert_eq!(lease.step(at(99), input), None);
    }
}

#[test]
fn a_claim_is_granted_when_the_lease_is_free_over_or_its_own() {
    let row = |age, left| Row { number: 7, holder: holder(1), age, left };
    let next = Token::new(8, &holder(2));
    assert_eq!(judge(None, &holder(1)), Claim::Held(token(1)));
    for (age, left, claim) in [
        (0, 10_000, None),
        (9_999, 1, None),
        (10_000, 0, Some(next)),
        (99_000, -89_000, Some(next)),
        // The database's clock went back by less than a second, and by an hour.
        (-900, 10_900, None),
        (-3_600_000, 3_610_000, Some(next)),
    ] {
        let left_then = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let other = Claim::Another { name: "collector 1".into(), left: left_then };
        assert_eq!(judge(Some(&row(age, left)), &holder(2)), claim.map_or(other, Claim::Held), "{age} {left}");
        assert_eq!(judge(Some(&row(age, left)), &holder(1)), Claim::Held(token(7)), "its own");
    }
    assert_eq!(admits(Some(&row(0, -1)), token(7)), Ok(()), "over, and nobody else has it");
    // The last is of another history, which a restore took back: the same number, and another holder.
    for token in [token(6), token(8), Token::new(7, &holder(2))] {
        assert_eq!(admits(Some(&row(0, 1)), token), Err("collector 1".into()));
    }
    assert!(admits(None, token(1)).is_err());
}
