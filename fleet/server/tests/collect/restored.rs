//! The newest day of the ledger is lost: copied while the collector runs, set back, and filled again by the box that goes on. A file comes
//! back as `examgate-fleet restore` leaves it, a database by its own means.

use examgate::{
    domain::{Epoch, EventHash, EventId, Seq, chain_hash},
    rig::postgres::Postgres,
    store::Key,
    wire::envelope::EventEnvelope,
};
use examgate_fleet_core::ledger::{Ledger, Location};

use crate::{
    door::{Door, World, collector, device, device_key, soon},
    publish,
    rig::CollectorRig,
    takeover::{STANDS_BY, good},
};

/// Sets the ledger back to the copy, as `examgate-fleet restore` leaves it.
fn set_back(desk: &CollectorRig) {
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(desk.at(name));
    }
    std::fs::rename(desk.at("kept.db"), desk.at("ledger.db")).expect("a copy");
    let key = Key::read(&desk.at("ledger.key")).expect("its key");
    let marked = Ledger::open(&Location::File(desk.at("ledger.db")), &key).and_then(|mut ledger| ledger.restored());
    assert_eq!(marked.expect("it opens").len(), 1);
}

fn copy(desk: &CollectorRig) {
    let key = Key::read(&desk.at("ledger.key")).expect("its key");
    Ledger::copy_file(&desk.at("ledger.db"), &key, &desk.at("kept.db")).expect("copied");
}

/// Which incidents are listed, and whether they have ended.
fn incidents(desk: &CollectorRig) -> Vec<(String, u64, u64, bool)> {
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let listed = desk.printed(&["--incidents"]);
    let all = listed.iter().map(|one| {
        let kind = one["incident"].as_str().expect("a kind").to_owned();
        (kind, number(&one["first_event"]), number(&one["last_event"]), !one["ended_at"].is_null())
    });
    all.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_goes_on_fills_a_restored_ledger_again() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let running = desk.collect(&world);
    let mut door = Door::open(&world, 10).await;
    door.until_receipted(10).await;
    copy(&desk);
    (11..=30).for_each(|number| door.record_as(number));
    door.until_receipted(30).await;
    assert_eq!(door.waiting(), 0, "the box has let go of all of it");
    drop(running);
    set_back(&desk);
    assert_eq!(incidents(&desk), [("restored".to_owned(), 11, 11, false)], "it is said what is missing");
    assert_eq!(desk.committed(), (1..=10).collect::<Vec<_>>());

    let _running = desk.collect(&world);
    door.record_as(31);
    soon("the ledger is full again", async {
        while desk.committed().len() < 31 {
            door.delivery.changed().await.expect("delivery runs");
        }
    })
    .await;
    assert_eq!(desk.committed(), (1..=31).collect::<Vec<_>>());
    assert_eq!(incidents(&desk), [("restored".to_owned(), 11, 11, true)]);
    assert_eq!(door.epochs().len(), 1, "the box goes on as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restored_by_its_own_means_is_filled_again_and_a_collector_of_before_writes_nothing() {
    let (world, server) = (World::new(), good(Postgres::shared()));
    let desk = CollectorRig::on(&world, &server);
    let url = std::fs::read_to_string(desk.at("ledger.url")).expect("readable");
    let before = desk.collect_as(&world, "before.log", &["--lease", "5"]);
    let mut door = Door::open(&world, 10).await;
    door.until_receipted(10).await;
    let dump = good(server.dump(&url));
    (11..=30).for_each(|number| door.record_as(number));
    door.until_receipted(30).await;
    before.signal("STOP");
    good(server.restore(&url, &dump));
    let files = [("--ledger-url-file", "ledger.url"), ("--ledger-key", "ledger.key")];
    let noted = desk.command("ledger restored", &files).output().expect("it runs");
    let said = String::from_utf8_lossy(&noted.stdout).into_owned() + &String::from_utf8_lossy(&noted.stderr);
    assert!(noted.status.success() && said.contains("door-1  from event 11 of"), "{said}");
    assert_eq!(incidents(&desk), [("restored".to_owned(), 11, 11, false)], "it is said what is missing");

    let _after = desk.collect_as(&world, "after.log", &["--lease", "5"]);
    door.record_as(31);
    soon("the ledger is full again", async {
        while desk.committed().len() < 31 {
            door.delivery.changed().await.expect("delivery runs");
        }
    })
    .await;
    before.signal("CONT");
    desk.says("before.log", STANDS_BY).await;
    assert_eq!(desk.committed(), (1..=31).collect::<Vec<_>>());
    assert_eq!(incidents(&desk), [("restored".to_owned(), 11, 11, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_missing_after_a_restore_is_a_gap_with_its_numbers() {
    let world = World::new();
    let desk = CollectorRig::new(&world);
    let running = desk.collect_with(&world, &["--gap-after", "1"]);
    // A door that is served shows that the collector listens.
    let mut door = Door::open(&world, 1).await;
    door.until_receipted(1).await;
    door.close().await;
    let (epoch, mut prev) = (Epoch(uuid::Uuid::from_u128(77)), EventHash::START);
    let events: Vec<_> = (1..=6)
        .map(|seq| {
            let (body, seq) = (format!("{{\"n\":{seq}}}").into_bytes(), Seq(seq));
            let hash = chain_hash(epoch, seq, &prev, &body);
            let event_id = EventId(uuid::Uuid::from_u128(700 + u128::from(seq.0)));
            let envelope = EventEnvelope { device: device(), epoch, seq, event_id, prev, hash, body: body.into() };
            prev = hash;
            envelope.encode(&device_key(), &collector().recipient()).expect("short")
        })
        .collect();
    let until = async |what: &str, is: &dyn Fn() -> bool| {
        soon(what, async {
            while !is() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    publish(&world, "door-1", events[..2].to_vec()).await;
    until("they are committed", &|| desk.printed(&[]).len() == 3).await;
    copy(&desk);
    publish(&world, "door-1", events[2..5].to_vec()).await;
    until("they are committed", &|| desk.printed(&[]).len() == 6).await;
    drop(running);
    set_back(&desk);
    let _running = desk.collect_with(&world, &["--gap-after", "1"]);
    // A box that lost its disk since has its next event, and not those before.
    publish(&world, "door-1", events[5..].to_vec()).await;
    let open = [("restored".to_owned(), 3, 3, false), ("gap".to_owned(), 3, 5, false)];
    until("the gap is an incident", &|| open.iter().all(|one| incidents(&desk).contains(one))).await;
    // Somebody finds its disk.
    publish(&world, "door-1", events[2..5].to_vec()).await;
    until("it is filled", &|| incidents(&desk).iter().all(|(.., has_ended)| *has_ended)).await;
}
