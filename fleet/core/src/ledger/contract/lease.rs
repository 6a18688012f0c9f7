//! The lease in a database: whose it is, and that nobody else writes.

use super::*;

pub(super) fn whoever_lost_the_lease_commits_nothing(bench: &Bench) {
    let events = chain(3);
    let mut first = bench.open();
    first.commit(&events[..1]).expect("it holds the lease");
    let mut spare = bench.open_as_spare();
    let Ok(Claim::Another { name, left }) = spare.claim(&collector(2), HOUR) else { panic!("it is taken") };
    assert!(name == "collector 1" && left <= HOUR && left > HOUR / 2, "{name} {left:?}");
    assert_eq!(held(first.claim(&collector(1), HOUR)), first.1, "renewed");
    // The lease is over; nobody else has it yet.
    first.claim(&collector(1), Duration::ZERO).expect("works");
    first.commit(&events[1..2]).expect("nobody else wrote");
    let token = held(spare.claim(&collector(2), HOUR));
    assert!(token > first.1);
    for refused in [first.commit(&events[2..]).map(drop), first.gaps(Duration::ZERO).map(drop)] {
        let fault = refused.expect_err("the lease is another's");
        assert!(matches!(&fault, LedgerFault::Fenced { by } if by == "collector 2") && fault.may_pass(), "{fault}");
    }
    assert_eq!(seen(&mut spare).len(), 2);
    first.0.release(first.1).expect("gives back nothing");
    assert!(matches!(first.claim(&collector(1), HOUR), Ok(Claim::Another { .. })));
    assert_eq!(spare.commit(token, &events).expect("it holds the lease").fresh, 1);
}

pub(super) fn a_lease_that_was_given_back_is_free_at_once(bench: &Bench) {
    let mut first = bench.open();
    first.0.release(first.1).expect("works");
    let token = held(bench.open_as_spare().claim(&collector(2), HOUR));
    assert!(token > first.1);
}

pub(super) fn a_clock_that_was_set_back_keeps_no_lease_in_force(bench: &Bench) {
    let first = bench.open();
    // As if the lease had been renewed an hour later.
    bench.alter(
        "UPDATE lease SET renewed_at = renewed_at + 3600000, ends_at = ends_at + 3600000",
        "UPDATE lease SET renewed_at = renewed_at + interval '1 hour', ends_at = ends_at + interval '1 hour'",
    );
    assert!(held(bench.open_as_spare().claim(&collector(2), HOUR)) > first.1);
}

pub(super) fn of_several_who_claim_one_is_given_the_lease(bench: &Bench) {
    drop(bench.open_as_spare());
    let given: Vec<_> = std::thread::scope(|scope| {
        let claimants: Vec<_> =
            (1..=4).map(|n| scope.spawn(move || bench.open_as_spare().claim(&collector(n), HOUR))).collect();
        claimants.into_iter().map(|claimant| claimant.join().expect("no panic").expect("works")).collect()
    });
    assert_eq!(given.iter().filter(|claim| matches!(claim, Claim::Held(_))).count(), 1, "{given:?}");
}

/// A backup of a moment between two tenures is brought back by the database's own means, while a collector of the lost history is paused.
pub(super) fn a_restored_ledger_takes_nothing_from_the_history_it_lost(bench: &Bench) {
    let events = chain(4);
    let mut first = bench.open();
    first.commit(&events[..1]).expect("it holds the lease");
    first.0.release(first.1).expect("works");
    let mut lost = bench.open_as_spare();
    let paused = held(lost.claim(&collector(2), HOUR));
    lost.commit(paused, &events[..2]).expect("it holds the lease");
    // Set back to when the first had given the lease back, as far as the lease goes.
    bench.alter(
        "UPDATE lease SET token = 1, holder = x'00000000000000000000000000000001', name = 'collector 1', ends_at = renewed_at",
        "UPDATE lease SET token = 1, holder = '\\x00000000000000000000000000000001', name = 'collector 1', ends_at = renewed_at",
    );
    let mut next = bench.open_as_spare();
    let token = held(next.claim(&collector(3), HOUR));
    assert_eq!(token.number(), paused.number(), "the number is given out a second time");
    let fault = lost.commit(paused, &events[2..]).expect_err("it is of another history");
    assert!(matches!(&fault, LedgerFault::Fenced { by } if by == "collector 3"), "{fault}");

    // Somebody notes that it was restored: nobody of before writes, not even the newest holder, until it has claimed the lease anew.
    next.restored().expect("works");
    for (ledger, token) in [(&mut next, token), (&mut lost, paused), (&mut first.0, first.1)] {
        let fault = ledger.commit(token, &events[2..]).expect_err("its tenure has ended");
        assert!(matches!(&fault, LedgerFault::Fenced { by } if by.contains("restored")), "{fault}");
    }
    let anew = held(lost.claim(&collector(2), HOUR));
    assert!(anew.number() > token.number());
    assert_eq!(lost.commit(anew, &events).expect("it holds the lease").fresh, 2);
}
