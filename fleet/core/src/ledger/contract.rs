//! The contract of a ledger, run against each database for real: what a commit comes to (confirmed, forked, missing, renamed),
//! and that another reads the same; whose the lease is, and that nobody else writes.
//!
//! Over 400 lines, and still read at one sitting: one case after the other.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use examgate::{
    domain::{EventId, WithSources, chain_hash},
    rig::postgres as rig,
    store::sealed::Sealed,
};
use uuid::Uuid;

use crate::incidents::Incident;

use super::*;

#[cfg(test)]
mod lease;

use self::lease::{
    a_clock_that_was_set_back_keeps_no_lease_in_force, a_lease_that_was_given_back_is_free_at_once,
    a_restored_ledger_takes_nothing_from_the_history_it_lost, of_several_who_claim_one_is_given_the_lease,
    whoever_lost_the_lease_commits_nothing,
};

const EPOCH: Epoch = Epoch(Uuid::from_u128(1));

fn door() -> DeviceId {
    DeviceId::new("door-1").expect("valid")
}

/// Events 1..=n of one chain.
fn chain(n: u64) -> Vec<EventEnvelope> {
    let mut prev = EventHash::START;
    (1..=n)
        .map(|seq| {
            let event = envelope(EPOCH, seq, prev, &format!("event {seq}"));
            prev = event.hash;
            event
        })
        .collect()
}

fn envelope(epoch: Epoch, seq: u64, prev: EventHash, body: &str) -> EventEnvelope {
    EventEnvelope {
        device: door(),
        epoch,
        seq: Seq(seq),
        event_id: EventId(Uuid::from_u128(u128::from(seq))),
        prev,
        hash: chain_hash(epoch, Seq(seq), &prev, body.as_bytes()),
        body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
    }
}

/// A run of a collector.
fn collector(n: u128) -> Holder {
    Holder { id: Uuid::from_u128(n), name: format!("collector {n}") }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A ledger, opened by the holder of its lease.
struct Writer(Ledger, Token);

impl Writer {
    fn commit(&mut self, events: &[EventEnvelope]) -> Result<Committed, LedgerFault> {
        self.0.commit(self.1, events)
    }

    fn gaps(&mut self, patience: Duration) -> Result<Vec<Raised>, LedgerFault> {
        self.0.gaps(self.1, patience)
    }
}

impl Deref for Writer {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Ledger {
        &mut self.0
    }
}

fn held(claim: Result<Claim, LedgerFault>) -> Token {
    match claim.unwrap_or_else(|fault| panic!("{}", WithSources(&fault))) {
        Claim::Held(token) => token,
        another @ Claim::Another { .. } => panic!("{another:?}"),
    }
}

/// An empty database for a ledger.
struct Bench {
    location: Location,
    key: Key,
    at: At,
}

enum At {
    Folder(tempfile::TempDir),
    Server(Arc<rig::Postgres>, String),
}

impl Bench {
    fn sqlcipher() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let location = Location::File(folder.path().join("ledger.db"));
        Self { location, key: Key::generate().expect("random"), at: At::Folder(folder) }
    }

    fn postgresql() -> Self {
        let server = rig::Postgres::shared().unwrap_or_else(|error| panic!("{}", WithSources(&error)));
        let url = server.database().unwrap_or_else(|error| panic!("{}", WithSources(&error)));
        let location = Location::named(None, None, Some(url.clone().into())).expect("a URL");
        Self { location, key: Key::generate().expect("random"), at: At::Server(server, url) }
    }

    fn open(&self) -> Writer {
        let mut ledger = self.open_as_spare();
        let token = held(ledger.claim(&collector(1), HOUR));
        Writer(ledger, token)
    }

    fn open_as_spare(&self) -> Ledger {
        Ledger::open(&self.location, &self.key).unwrap_or_else(|fault| panic!("{}", WithSources(&fault)))
    }

    /// Somebody with the key alters the database: by this statement of SQLite, or this one of PostgreSQL.
    fn alter(&self, sqlite: &str, postgresql: &str) {
        match &self.at {
            At::Folder(folder) => {
                let sealed = Sealed::open(&folder.path().join("ledger.db"), &self.key, &sqlcipher::LEDGER);
                sealed.expect("opens").connection().execute_batch(sqlite).expect("a good statement");
            }
            At::Server(server, url) => {
                let done = server.sql(url, &format!("SET search_path = examgate_ledger; {postgresql}"));
                done.map(drop).unwrap_or_else(|error| panic!("{}", WithSources(&error)));
            }
        }
    }

    /// From here on the database does not take the event with this id.
    fn refuse(&self, id: u128) {
        let id = hex::encode(Uuid::from_u128(id).as_bytes());
        self.alter(
            &format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON recorded WHEN NEW.id = x'{id}'
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            ),
            &format!("ALTER TABLE recorded ADD CHECK (id <> '\\x{id}')"),
        );
    }
}

/// Each case against each database.
macro_rules! contract {
    ($($case:ident)*) => {
        mod on_sqlcipher {
            $(#[test] fn $case() { super::$case(&super::Bench::sqlcipher()); })*
        }
        mod on_postgresql {
            $(#[test] fn $case() { super::$case(&super::Bench::postgresql()); })*
        }
    };
}

fn outcome(fresh: usize, end: (u64, EventHash), raised: &[(u64, Incident)]) -> Committed {
    let raised =
        raised.iter().map(|&(seq, what)| Raised { device: door(), epoch: EPOCH, events: (Seq(seq), Seq(seq)), what });
    Committed {
        fresh,
        contiguous: BTreeMap::from([((door(), EPOCH), (Seq(end.0), end.1))]),
        raised: raised.collect(),
        unusable: Vec::new(),
    }
}

fn seen(ledger: &mut Ledger) -> Vec<(u128, u64, bool)> {
    let mut seen = Vec::new();
    ledger
        .each(|entry| {
            seen.push((entry.epoch.0.as_u128(), entry.seq.0, entry.confirmed));
            Ok(())
        })
        .expect("readable")
        .expect("no output to fail");
    seen
}

fn an_event_that_the_database_cannot_take_is_put_aside_and_the_others_are_kept(bench: &Bench) {
    let mut ledger = bench.open();
    let good = chain(2);
    let bad = envelope(EPOCH, u64::MAX, EventHash::START, "no place in SQLite");
    let committed = ledger.commit(&[good[0].clone(), bad.clone(), good[1].clone()]).expect("the disk is well");
    let [(device, epoch, seq, why)] = committed.unusable.as_slice() else { panic!("one: {committed:?}") };
    assert_eq!((device, *epoch, *seq), (&door(), EPOCH, bad.seq));
    assert!(!why.is_empty());
    let end = (Seq(2), good[1].hash);
    assert_eq!((committed.fresh, committed.contiguous[&(door(), EPOCH)]), (2, end));
    // Alone, too, and nothing is receipted for it.
    assert!(ledger.commit(&[bad]).expect("the disk is well").contiguous.is_empty());
    let top = ledger.commit(&[envelope(EPOCH, Seq::MAX.0, EventHash::START, "the last place")]).expect("works");
    assert_eq!((top.fresh, top.contiguous[&(door(), EPOCH)]), (1, end));
}

fn out_of_order_is_committed_and_only_the_contiguous_is_confirmed(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(4);
    let end = |n: usize| (n as u64, events[n - 1].hash);
    let nothing = (0, EventHash::START);
    assert_eq!(ledger.commit(&events[2..3]).expect("works"), outcome(1, nothing, &[]));
    assert_eq!(ledger.commit(&events[..1]).expect("works"), outcome(1, end(1), &[]));
    assert_eq!(seen(&mut ledger), [(1, 1, true), (1, 3, false)]);
    assert_eq!(ledger.commit(&events[1..2]).expect("works"), outcome(1, end(3), &[]));
    assert_eq!(ledger.commit(&events[..]).expect("works"), outcome(1, end(4), &[]), "known ones change nothing");
    assert_eq!(seen(&mut ledger), [(1, 1, true), (1, 2, true), (1, 3, true), (1, 4, true)]);
}

fn a_forked_chain_is_an_incident_and_no_event_of_it_is_lost(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(3);
    ledger.commit(&events).expect("works");
    // The box was set back to 1 and recorded three others.
    let mut prev = events[0].hash;
    let others: Vec<_> = (2..5)
        .map(|seq| {
            let event = EventEnvelope {
                event_id: EventId(Uuid::from_u128(u128::from(seq) + 100)),
                ..envelope(EPOCH, seq, prev, &format!("another {seq}"))
            };
            prev = event.hash;
            event
        })
        .collect();
    let end = (3, events[2].hash);
    let first = ledger.commit(&others[..1]).expect("works");
    assert_eq!(first, outcome(1, end, &[(2, Incident::Forked)]), "the receipt says whose chain goes on");
    assert_eq!(ledger.commit(&others).expect("works"), outcome(2, end, &[]), "said once");
    let held = ledger.incidents().expect("readable");
    assert_eq!((held.len(), held[0].what, held[0].events), (1, Incident::Forked, (Seq(2), Seq(4))));
    // The same events in a new epoch count once.
    let (epoch, mut prev) = (Epoch(Uuid::from_u128(2)), EventHash::START);
    let again: Vec<_> = events[2..3]
        .iter()
        .chain(&others)
        .zip(1..)
        .map(|(event, seq)| {
            let body = std::str::from_utf8(&event.body).expect("text");
            let event = EventEnvelope { event_id: event.event_id, ..envelope(epoch, seq, prev, body) };
            prev = event.hash;
            event
        })
        .collect();
    let committed = ledger.commit(&again).expect("works");
    assert_eq!((committed.fresh, committed.raised), (0, Vec::new()));
    assert_eq!(committed.contiguous[&(door(), epoch)], (Seq(4), prev));
    let all = seen(&mut ledger);
    assert_eq!(all, [(1, 1, true), (1, 2, true), (1, 3, true), (2, 2, true), (2, 3, true), (2, 4, true)]);
}

fn events_of_one_batch_that_touch_each_other_come_to_what_they_would_one_by_one(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(6);
    let twin = EventEnvelope {
        event_id: EventId(Uuid::from_u128(103)),
        ..envelope(EPOCH, 3, events[1].hash, "another third")
    };
    let renamed = EventEnvelope { event_id: events[0].event_id, ..envelope(EPOCH, 8, events[5].hash, "first again") };
    let pick = |n: usize| events[n - 1].clone();
    // The second comes twice, the third place is had by two, the first id is used again, and the fourth is missing.
    let batch = [pick(6), pick(1), pick(2), pick(2), twin.clone(), pick(3), pick(5), renamed];
    let end = (3, twin.hash);
    let raised = [(3, Incident::Forked), (8, Incident::NameReused)];
    assert_eq!(ledger.commit(&batch).expect("works"), outcome(7, end, &raised));
    let before = [(1, 1, true), (1, 2, true), (1, 3, true), (1, 3, false), (1, 5, false), (1, 6, false), (1, 8, false)];
    assert_eq!(seen(&mut ledger), before);
    // The fourth of the chain that came second: both chains are broken now, and nothing is lost.
    let again = ledger.commit(&[pick(4), pick(4), pick(6)]).expect("works");
    assert_eq!((again.fresh, again.contiguous[&(door(), EPOCH)]), (1, (Seq(3), twin.hash)));
    assert_eq!(seen(&mut ledger).len(), 8);
}

fn one_id_for_two_events_is_an_incident_and_both_are_kept(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(1);
    ledger.commit(&events).expect("works");
    let reused = EventEnvelope { event_id: events[0].event_id, ..envelope(EPOCH, 2, events[0].hash, "second") };
    let end = (2, reused.hash);
    assert_eq!(ledger.commit(&[reused]).expect("works"), outcome(1, end, &[(2, Incident::NameReused)]));
    assert_eq!(seen(&mut ledger), [(1, 1, true), (1, 2, true)]);
}

fn a_gap_that_stays_is_an_incident_until_it_is_filled(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(5);
    ledger.commit(&events[..1]).expect("works");
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty(), "nothing is missing");
    ledger.commit(&events[3..4]).expect("works");
    assert!(ledger.gaps(Duration::from_secs(60)).expect("works").is_empty(), "it is young");
    let raised = ledger.gaps(Duration::ZERO).expect("works");
    let gap =
        |first, last| Raised { device: door(), epoch: EPOCH, events: (Seq(first), Seq(last)), what: Incident::Gap };
    assert_eq!(raised, [gap(2, 3)]);
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty(), "said once");
    assert!(ledger.incidents().expect("readable")[0].ended_at.is_none());
    ledger.commit(&events[4..5]).expect("works");
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty(), "it is the same gap");
    ledger.commit(&events[1..3]).expect("works");
    assert!(ledger.gaps(Duration::ZERO).expect("works").is_empty());
    let filled = ledger.incidents().expect("readable");
    assert!(filled.len() == 1 && filled[0].ended_at.is_some(), "{filled:?}");
    assert!(filled[0].to_string().contains("events 2 to 3: gap"), "{}", filled[0]);
}

fn a_restored_ledger_says_what_may_be_missing_until_the_box_goes_on(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(4);
    let newer = Epoch(Uuid::from_u128(9));
    let event = |seq: u64, prev, body| EventEnvelope {
        event_id: EventId(Uuid::from_u128(u128::from(seq) + 100)),
        ..envelope(newer, seq, prev, body)
    };
    let first = event(1, EventHash::START, "in its newest epoch");
    ledger.commit(&[events[0].clone(), first.clone()]).expect("works");
    let noted = |seq| Raised { device: door(), epoch: newer, events: (Seq(seq), Seq(seq)), what: Incident::Restored };
    assert_eq!(ledger.restored().expect("works"), [noted(2)], "the newest epoch of the box alone");
    assert_eq!(ledger.restored().expect("works"), [noted(2)], "twice is no harm");
    let open = |ledger: &mut Ledger| -> Vec<_> {
        ledger.incidents().expect("readable").into_iter().filter(|held| held.ended_at.is_none()).collect()
    };
    let held = open(&mut ledger);
    assert_eq!((held.len(), held[0].what, held[0].events), (1, Incident::Restored, (Seq(2), Seq(2))));
    assert!(held[0].to_string().contains("restored from a backup"), "{}", held[0]);
    // Anybody who held the lease has to claim it anew.
    ledger.1 = self::held(ledger.claim(&collector(1), HOUR));
    // Neither what was there before nor what comes later ends it, but the event that is missing does.
    let second = event(2, first.hash, "after the restore");
    let third = event(3, second.hash, "and on");
    ledger.commit(&[first, third]).expect("works");
    assert_eq!(open(&mut ledger).len(), 1);
    ledger.commit(&[second]).expect("works");
    assert!(open(&mut ledger).is_empty(), "{:?}", ledger.incidents());
}

fn an_epoch_of_another_box_is_an_incident(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(2);
    ledger.commit(&events[..1]).expect("works");
    let renamed = EventEnvelope { device: DeviceId::new("door-2").expect("valid"), ..events[1].clone() };
    let committed = ledger.commit(std::slice::from_ref(&renamed)).expect("works");
    assert_eq!(committed.raised[0].what, Incident::OtherDevice);
    assert_eq!(committed.contiguous[&(renamed.device.clone(), EPOCH)], (Seq(0), EventHash::START));
    assert_eq!(ledger.gaps(Duration::ZERO).expect("works")[0].events, (Seq(1), Seq(1)), "and its gap stays");
}

fn an_event_that_the_database_refuses_is_put_aside_and_the_others_are_kept(bench: &Bench) {
    let mut ledger = bench.open();
    let events = chain(4);
    bench.refuse(2);
    let committed = ledger.commit(&events).expect("the database is well");
    let [(_, _, seq, why)] = committed.unusable.as_slice() else { panic!("one: {committed:?}") };
    assert!(*seq == Seq(2) && !why.is_empty(), "{why}");
    assert_eq!((committed.fresh, committed.contiguous[&(door(), EPOCH)]), (3, (Seq(1), events[0].hash)));
    assert_eq!(seen(&mut ledger), [(1, 1, true), (1, 3, false), (1, 4, false)]);
}

fn what_was_committed_is_read_by_another_as_it_was(bench: &Bench) {
    let events = chain(3);
    bench.open().commit(&events).expect("works");
    let mut reader = Ledger::open_existing(&bench.location, &bench.key).expect("it is there");
    let mut bodies = Vec::new();
    let read = reader.each(|entry| {
        assert_eq!(entry.device, "door-1");
        assert!(entry.committed_at.starts_with("20") && entry.committed_at.ends_with('Z'), "{}", entry.committed_at);
        assert_eq!(entry.committed_at.len(), "2026-01-01T00:00:00.000Z".len());
        bodies.push(entry.body);
        Ok(())
    });
    read.expect("readable").expect("no output to fail");
    assert_eq!(bodies, events.iter().map(|event| event.body.clone()).collect::<Vec<_>>());
    let ended = reader.each(|_| Err(std::io::ErrorKind::BrokenPipe.into())).expect("readable");
    assert!(ended.is_err(), "who looks may end it");
    assert_eq!(bench.open().commit(&events).expect("works").fresh, 0, "and still known");
}

fn another_key_and_no_ledger_are_refused_and_nothing_is_made(bench: &Bench) {
    let missing = Ledger::open_existing(&bench.location, &bench.key).expect_err("there is none");
    assert!(!missing.may_pass(), "{missing}");
    assert!(Ledger::open_existing(&bench.location, &bench.key).is_err(), "looking made one");
    bench.open().commit(&chain(1)).expect("works");
    let other = Key::generate().expect("random");
    for refused in [Ledger::open(&bench.location, &other), Ledger::open_existing(&bench.location, &other)] {
        let refused = refused.expect_err("another key");
        assert!(!refused.may_pass() && refused.to_string().contains("key"), "{refused}");
    }
    assert_eq!(seen(&mut bench.open()).len(), 1);
}

fn two_writers_count_each_event_once(bench: &Bench) {
    let events = chain(60);
    drop(bench.open());
    let fresh: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut ledger = bench.open();
                    events.chunks(3).map(|some| ledger.commit(some).expect("works").fresh).sum::<usize>()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
    });
    assert_eq!(fresh, 60);
    assert_eq!(seen(&mut bench.open()), (1..=60).map(|seq| (1, seq, true)).collect::<Vec<_>>());
}

contract! {
    an_event_that_the_database_cannot_take_is_put_aside_and_the_others_are_kept
    out_of_order_is_committed_and_only_the_contiguous_is_confirmed
    a_forked_chain_is_an_incident_and_no_event_of_it_is_lost
    events_of_one_batch_that_touch_each_other_come_to_what_they_would_one_by_one
    one_id_for_two_events_is_an_incident_and_both_are_kept
    a_gap_that_stays_is_an_incident_until_it_is_filled
    a_restored_ledger_says_what_may_be_missing_until_the_box_goes_on
    an_epoch_of_another_box_is_an_incident
    an_event_that_the_database_refuses_is_put_aside_and_the_others_are_kept
    what_was_committed_is_read_by_another_as_it_was
    another_key_and_no_ledger_are_refused_and_nothing_is_made
    two_writers_count_each_event_once
    whoever_lost_the_lease_commits_nothing
    a_lease_that_was_given_back_is_free_at_once
    a_clock_that_was_set_back_keeps_no_lease_in_force
    of_several_who_claim_one_is_given_the_lease
    a_restored_ledger_takes_nothing_from_the_history_it_lost
}
