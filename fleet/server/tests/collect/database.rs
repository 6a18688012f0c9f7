//! A ledger in PostgreSQL: the same way of an event, and a server that dies on the way.

use std::process::Stdio;

use examgate::{domain::Seq, domain::WithSources, rig::postgres::Postgres};

use crate::{
    BAD, bad_event,
    door::{Door, World, soon},
    publish,
    rig::CollectorRig,
};

fn server() -> Postgres {
    Postgres::start().unwrap_or_else(|error| panic!("{}", WithSources(&error)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_deleted_when_postgresql_holds_it() {
    let (world, server) = (World::new(), server());
    let desk = CollectorRig::on(&world, &server);
    let mut door = Door::open(&world, 200).await;
    let mut collector = desk.collect(&world);
    door.until_receipted(200).await;
    assert_eq!(door.waiting(), 0);
    assert_eq!(desk.committed(), (1..=200).collect::<Vec<_>>());
    // What no database can hold ends nothing and delays nobody.
    for seq in [u64::MAX, 1 << 63, i64::MAX as u64] {
        publish(&world, BAD, vec![bad_event(seq); 3]).await;
        door.record();
    }
    door.until_receipted(203).await;
    assert_eq!(desk.log().matches("the box must be examined").count(), 1, "{}", desk.log());
    assert!(collector.0.try_wait().expect("ours").is_none(), "the collector still runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_receipted_while_the_database_is_dead_and_nothing_is_lost() {
    let (world, mut server) = (World::new(), server());
    let desk = CollectorRig::on(&world, &server);
    let mut door = Door::open(&world, 50).await;
    let mut collector = desk.collect(&world);
    door.until_receipted(50).await;
    server.kill9();
    door.record();
    soon("the fault is said", async {
        while !desk.log().contains("the ledger does not work") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (0..20).for_each(|_| door.record());
    assert_eq!(door.receipted(), Seq(50));
    server.restart().unwrap_or_else(|error| panic!("{}", WithSources(&error)));
    door.until_receipted(71).await;
    assert_eq!(desk.committed(), (1..=71).collect::<Vec<_>>());
    assert!(desk.log().contains("the ledger works again"), "{}", desk.log());
    assert!(collector.0.try_wait().expect("ours").is_none(), "one process all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_starts_before_its_database_waits_for_it() {
    let (world, mut server) = (World::new(), server());
    let desk = CollectorRig::on(&world, &server);
    server.kill9();
    let _collector = desk.collect(&world);
    soon("the fault is said", async {
        while !desk.log().contains("the ledger does not work") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.restart().unwrap_or_else(|error| panic!("{}", WithSources(&error)));
    let mut door = Door::open(&world, 3).await;
    door.until_receipted(3).await;
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_examgate-fleetd"));
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let files = ["ca.pem", "collector.pem", "collector.key", "ledger.key", "receipt.key", "age.key", "devices.toml"];
    let flags = ["--ca", "--cert", "--key", "--ledger-key", "--receipt-key", "--age-identity", "--devices"];
    command.args(["collect", "--broker", "127.0.0.1:1"]);
    for (flag, file) in flags.iter().zip(files) {
        command.arg(flag).arg(desk.at(file));
    }
    command.args(["--ledger", "postgres://examgate:geheim@127.0.0.1/examgate"]);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("--ledger-url-file") && !said.contains("geheim"), "{said}");
}
