//! Two collectors and one ledger: one collects, the other takes over within seconds, and nothing is lost, doubled or written by both.

use std::{fs, time::Duration};

use examgate::{
    domain::{Seq, WithSources},
    rig::postgres::Postgres,
};
use tokio::time::Instant;

use crate::{
    door::{Door, World, soon},
    rig::CollectorRig,
};

/// A spare says so.
pub(crate) const STANDS_BY: &str = "this one stands by";

/// The longest that a takeover may take with the lease as it is shipped: 10 s, a look each second, and a slow machine.
const TAKEOVER: Duration = Duration::from_secs(20);

pub(crate) fn good<T, E: std::error::Error + 'static>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{}", WithSources(&error)))
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    soon(what, waited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_collector_is_replaced_by_its_spare_in_seconds() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let mut door = Door::open(&world, 1).await;
    let active = desk.collect_as(&world, "first.log", &[]);
    door.until_receipted(1).await;
    let _spare = desk.collect_as(&world, "second.log", &[]);
    desk.says("second.log", STANDS_BY).await;
    (0..400).for_each(|_| door.record());
    door.until_receipted(20).await;
    let killed = Instant::now();
    drop(active);
    door.until_receipted(401).await;
    assert!(killed.elapsed() < TAKEOVER, "{:?}", killed.elapsed());
    assert_eq!(desk.committed(), (1..=401).collect::<Vec<_>>());
    assert!(desk.log_of("second.log").contains("took over"), "{}", desk.log_of("second.log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_killed_between_commit_and_receipt_leaves_the_receipt_to_its_spare() {
    let (world, server) = (World::new(), good(Postgres::start()));
    let desk = CollectorRig::on(&world, &server);
    let url = fs::read_to_string(desk.at("ledger.url")).expect("readable");
    let sql = |statement: &str| good(server.sql(&url, statement)).trim().to_owned();
    let mut door = Door::open(&world, 5).await;
    let active = desk.collect_as(&world, "first.log", &[]);
    door.until_receipted(5).await;
    let _spare = desk.collect_as(&world, "second.log", &[]);
    desk.says("second.log", STANDS_BY).await;
    // From here on the server confirms no commit, although it is on its disk: it waits for a replica that there is not.
    sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    sql("SELECT pg_reload_conf()");
    let hanging = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'examgate'";
    let hangs = || sql(&format!("SELECT count(*) {hanging}")) != "0";
    until("a renewal hangs", hangs).await;
    let inserted = || {
        let log = fs::read_to_string(server.folder().join("log")).expect("readable");
        log.matches("INSERT INTO place").count()
    };
    let before = inserted();
    door.record();
    while inserted() == before {
        sql(&format!("SELECT pg_cancel_backend(pid) {hanging}"));
        until("the next commit hangs", hangs).await;
    }
    let killed = Instant::now();
    drop(active);
    sql("ALTER SYSTEM RESET synchronous_standby_names");
    sql("SELECT pg_reload_conf()");
    until("it was committed", || sql("SELECT count(*) FROM examgate_ledger.place") == "6").await;
    assert_eq!(door.receipted(), Seq(5), "the receipt had not been sent");
    door.until_receipted(6).await;
    assert!(killed.elapsed() < TAKEOVER, "{:?}", killed.elapsed());
    door.record();
    door.until_receipted(7).await;
    assert_eq!(desk.committed(), (1..=7).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_collector_that_wakes_writes_nothing_and_disturbs_nobody() {
    let (world, server) = (World::new(), good(Postgres::shared()));
    let desk = CollectorRig::on(&world, &server);
    let url = fs::read_to_string(desk.at("ledger.url")).expect("readable");
    let token = || good(server.sql(&url, "SELECT token FROM examgate_ledger.lease"));
    let mut door = Door::open(&world, 1).await;
    let first = desk.collect_as(&world, "first.log", &["--lease", "5"]);
    door.until_receipted(1).await;
    let second = desk.collect_as(&world, "second.log", &["--lease", "5"]);
    desk.says("second.log", STANDS_BY).await;
    first.signal("STOP");
    // They reach the one that is paused, too, as far as its socket takes them.
    (0..5).for_each(|_| door.record());
    door.until_receipted(6).await;
    let taken = token();
    first.signal("CONT");
    desk.says("first.log", STANDS_BY).await;
    door.record();
    door.until_receipted(7).await;
    assert_eq!(desk.committed(), (1..=7).collect::<Vec<_>>());
    assert_eq!(token(), taken, "the lease has not changed hands again");
    let log = desk.log_of("second.log");
    assert!(log.contains("took over") && !log.contains("no connection to the broker"), "{log}");
    // Now it is the spare.
    drop(second);
    door.record();
    door.until_receipted(8).await;
    assert_eq!(desk.committed(), (1..=8).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_refused_once_the_lease_is_anothers() {
    let (world, server) = (World::new(), good(Postgres::shared()));
    let desk = CollectorRig::on(&world, &server);
    let url = fs::read_to_string(desk.at("ledger.url")).expect("readable");
    let mut door = Door::open(&world, 1).await;
    // It would renew the lease after 90 s only, and so does not notice before it commits.
    let mut collector = desk.collect_as(&world, "log", &["--lease", "300"]);
    door.until_receipted(1).await;
    let take = "UPDATE examgate_ledger.lease SET token = token + 1, holder = '\\x00000000000000000000000000000001', name = 'a spare',
        renewed_at = clock_timestamp(), ends_at = clock_timestamp() + interval '8 s'";
    good(server.sql(&url, take));
    door.record();
    desk.says("log", "the lease has changed hands (now: a spare)").await;
    assert_eq!((door.receipted(), desk.committed()), (Seq(1), vec![1]), "nothing was committed, nothing receipted");
    // The spare is gone again: its lease ends, and the event comes once more.
    door.until_receipted(2).await;
    assert_eq!(desk.committed(), [1, 2]);
    assert!(collector.0.try_wait().expect("ours").is_none(), "the collector still runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_ends_in_order_hands_over_at_once() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let mut door = Door::open(&world, 1).await;
    let mut active = desk.collect_as(&world, "first.log", &["--lease", "300"]);
    door.until_receipted(1).await;
    let _spare = desk.collect_as(&world, "second.log", &["--lease", "300"]);
    desk.says("second.log", STANDS_BY).await;
    active.signal("TERM");
    assert!(active.0.wait().expect("ours").success());
    door.record();
    // Long before its lease would have ended.
    door.until_receipted(2).await;
    assert_eq!(desk.committed(), [1, 2]);
}
