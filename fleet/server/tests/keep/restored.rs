//! What the keeper hears: which boxes are there; and a stock that was set back, which gives out no number twice.

use examgate::wire::{lost::LostCards, topic::LOST_CARDS};
use examgate_fleet_core::stock::Stock;

use super::*;

fn stock(world: &World) -> Stock {
    Stock::open(&world.at("stock")).expect("a stock")
}

fn list(bytes: &[u8]) -> LostCards {
    LostCards::decode(bytes, &[SigningKey::from_seed(&COMMAND_SEED).public()]).expect("the fleet's own")
}

fn lose(world: &World, card: &str) -> Output {
    if !world.at("pepper.key").exists() {
        secret(&world.at("pepper.key"), &PEPPER);
    }
    let files =
        [("--stock", "stock"), ("--command-key", "command.key"), ("--keys", "keys"), ("--pepper", "pepper.key")];
    world.fleet(&["card", "lost", "--card", card], &files)
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the broker retains a list of this serial.
async fn until_retained(world: &World, serial: u64) {
    // Any box may read it.
    let (client, polled) = world.client("door-2");
    let mut nosy = Nosy { client, polled, heard: VecDeque::new() };
    nosy.subscribe(LOST_CARDS).await;
    loop {
        while let Some(message) = nosy.heard.pop_front() {
            if list(&message.payload).serial == serial {
                return;
            }
        }
        nosy.turn().await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Sets the stock back to the copy, as `examgate-fleet restore` leaves it.
fn set_back(world: &World) {
    fs::remove_dir_all(world.at("stock")).expect("it was there");
    fs::rename(world.at("kept"), world.at("stock")).expect("a copy");
    stock(world).mark_restored().expect("marked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_that_was_set_back_takes_the_newest_list_and_pushes_above_what_boxes_hold() {
    let world = World::new();
    let keeper = world.keep();
    let mut door = world.introduce("door-1", "R-1").await;
    world.import(1, 5);
    world.push(&["door-1:R-1"], &[]);
    door.holds(1).await;
    done(&lose(&world, "04A2B3C4"));
    copy(&world.at("stock"), &world.at("kept"));
    // The day that is lost.
    world.import(2, 6);
    world.push(&["door-1:R-1"], &[]);
    door.holds(2).await;
    world.until_reported("door-1", "version 2", |report| version(report) == 2).await;
    done(&lose(&world, "04A2B3C5"));
    until_retained(&world, 2).await;
    drop(keeper);
    set_back(&world);

    // Nothing is made before it is known what was given out.
    let refused = world.try_push(&["door-1:R-1"], &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(64) && said.contains("was not heard since"), "{said}");
    let refused = lose(&world, "04A2B3C6");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(64) && said.contains("restored from a backup"), "{said}");
    assert_eq!(list(&stock(&world).lost_cards().expect("readable").expect("a list")).serial, 1);

    let _keeper = world.keep();
    until("the broker's list is taken over", || !stock(&world).awaits_lost_cards()).await;
    let taken = list(&stock(&world).lost_cards().expect("readable").expect("a list"));
    assert_eq!((taken.serial, taken.cards.len()), (2, 2), "no card that was lost since opens a door");
    until("the box is heard", || !stock(&world).awaits(&id("door-1"))).await;
    done(&lose(&world, "04A2B3C6"));
    until_retained(&world, 3).await;
    world.import(3, 7);
    let said = world.push(&["door-1:R-1"], &[]);
    assert!(said.contains("manifest 3"), "above the serial that the box holds: {said}");
    door.holds(3).await;
    world.until_reported("door-1", "no refusal", |report| version(report) == 3 && refusal(report).is_none()).await;
    assert!(!fs::read_to_string(world.at("log")).expect("a log").contains("refused"), "no older manifest was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_list_counts_when_the_broker_has_none() {
    let mut world = World::new();
    done(&lose(&world, "04A2B3C4"));
    copy(&world.at("stock"), &world.at("kept"));
    set_back(&world);
    world.broker.restart(true).expect("it starts again");
    let _keeper = world.keep();
    until_retained(&world, 1).await;
    assert!(!stock(&world).awaits_lost_cards());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_noted_which_boxes_are_there() {
    let world = World::new();
    let _keeper = world.keep();
    let door = world.introduce("door-1", "R-1").await;
    let status = || stock(&world).live(&id("door-1")).ok().flatten().map(|live| live.state.status);
    until("it is online", || status() == Some(Status::Online)).await;
    drop(door.kill().await);
    until("it is lost", || status() == Some(Status::Lost)).await;
    assert_eq!(stock(&world).live(&id("door-2")).expect("readable"), None);
    assert!(stock(&world).heard().expect("readable").is_some());
}
