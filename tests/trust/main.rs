//! The fleet's keys are rotated and revoked while a whole box, a keeper and a collector run over the real broker: nobody edits a file of the
//! box and nothing is started again, events go on, and what a revoked key signs is refused.

mod fleet;

use examgate::wire::{desired::Desired, receipt::Receipt, reported::RefusalReason, topic::DeviceTopic};

use self::fleet::{Client, DEVICE, EXAM, Fleet, until};

/// What a box that believed the document of this version reports, and holds.
fn until_held(fleet: &Fleet, trust: u64, roster: u64) {
    until(&format!("the box reports document {trust} and roster {roster}"), || {
        let reported = fleet.reported()?;
        let holds = reported.held.iter().any(|held| held.version.0 == roster);
        (holds && reported.trust.is_some_and(|held| held.version == trust && held.refused.is_none())).then_some(())
    });
}

#[test]
fn keys_are_rotated_and_revoked_while_everything_runs() {
    let mut fleet = Fleet::found();
    fleet.keep();
    fleet.collect();
    let door = fleet.stage.start_door().expect("the box starts");
    let first = fleet.counting();
    until("the box reports whom to seal to", || fleet.reported());
    fleet.import(1);
    fleet.push("roster.key").expect("pushed");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", fleet.stage.door_log()));
    let mut taps = 0;
    fleet.tap(&door, &mut taps);
    until_held(&fleet, 1, 1);
    // What the configuration says of the collector is another fleet's: the document counts.
    fleet.until_committed(taps);

    for (purpose, version) in [("receipt", 2), ("roster", 3), ("command", 4)] {
        let said = fleet.trust(&["rotate", purpose]);
        assert!(said.contains(&format!("trust document {version}")), "{said}");
        fleet.tap(&door, &mut taps);
    }
    until_held(&fleet, 4, 1);
    fleet.tap(&door, &mut taps);
    fleet.until_committed(taps);
    for key in ["command.key", "command.key.old-3"] {
        let output = fleet.command("identify", key, "20s");
        assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fleet.import(2);
    fleet.push("roster.key.old-2").expect("the key before counts for 30 days");
    until_held(&fleet, 4, 2);
    fleet.import(3);
    let said = fleet.push("roster.key").expect_err("the stock's manifest is of the key before");
    assert!(said.contains("--former-public-key"), "{said}");
    fleet.push_after("roster.key", "roster.key.old-2").expect("pushed");
    until_held(&fleet, 4, 3);

    for (purpose, id) in &first {
        fleet.trust(&["revoke", id]);
        assert!(["receipt", "roster", "command"].contains(&purpose.as_str()));
    }
    until_held(&fleet, 7, 3);
    fleet.tap(&door, &mut taps);
    fleet.until_committed(taps);
    let output = fleet.command("identify", "command.key.old-3", "3s");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(fleet.stage.door_log().contains("what came as a command is none"), "{}", fleet.stage.door_log());
    assert!(fleet.command("identify", "command.key", "20s").status.success());

    a_roster_of_the_revoked_key_is_refused(&mut fleet);
    a_receipt_of_the_revoked_key_deletes_nothing(&mut fleet, &door, &mut taps);
    // The restart of the box takes nothing back.
    door.kill9().expect("it is killed");
    let door = fleet.stage.start_door().expect("the box starts");
    door.serves(EXAM).unwrap_or_else(|error| panic!("{error:#}\n{}", fleet.stage.door_log()));
    fleet.tap(&door, &mut taps);
    fleet.until_committed(taps);
    until_held(&fleet, 7, 4);
}

/// The keeper does not send it, and a box that gets it all the same reports that it is not signed. The next one by the key that counts is taken.
fn a_roster_of_the_revoked_key_is_refused(fleet: &mut Fleet) {
    fleet.import(4);
    fleet.push_after("roster.key.old-2", "roster.key").expect("the stock takes it");
    until("the keeper does not send it", || {
        fleet.keeper_log().contains("a manifest of the stock is not published").then_some(())
    });
    fleet.stop_keeping();
    let manifest = fleet.manifest();
    let old = fleet.key("roster.key.old-2").public();
    assert!(Desired::decode(&manifest, &fleet.device, &[old]).is_ok(), "the revoked key signed it");
    let mut keeper = Client::connect(&fleet.stage, "keeper", &[&DeviceTopic::Reported.of(&fleet.device)]);
    keeper.publish(&DeviceTopic::Desired.of(&fleet.device), manifest, true);
    loop {
        let reported = fleet.read_report(&keeper.next()).expect("the box signs its reports");
        if reported.refused.as_ref().is_some_and(|refused| refused.reason == RefusalReason::NotSigned) {
            assert!(reported.held.iter().all(|held| held.version.0 == 3), "{reported:?}");
            break;
        }
    }
    drop(keeper);
    fleet.keep();
    // That version is in the stock, by the wrong key: it is signed and sent again.
    fleet.push_after("roster.key", "roster.key.old-2").expect("pushed");
    until_held(fleet, 7, 4);
}

/// The collector is gone, and somebody with its certificate and the revoked key receipts an event: the box keeps it, and the ledger gets it.
fn a_receipt_of_the_revoked_key_deletes_nothing(
    fleet: &mut Fleet,
    door: &examgate::rig::stage::DoorBox,
    taps: &mut usize,
) {
    fleet.stop_collecting();
    let mut thief = Client::connect(&fleet.stage, "collector", &[&DeviceTopic::Event.of(&fleet.device)]);
    fleet.tap(door, taps);
    let event = fleet.read_event(&thief.next());
    let receipt = Receipt { device: fleet.device.clone(), epoch: event.epoch, seq: event.seq, hash: event.hash };
    let forged = receipt.encode(&fleet.key("receipt.key.old-1"));
    thief.publish(&DeviceTopic::Receipt.of(&fleet.device), forged, false);
    // One repetition may have been on its way; after another the box has not deleted it.
    for _ in 0..2 {
        while fleet.read_event(&thief.next()).seq != event.seq {}
    }
    drop(thief);
    fleet.collect();
    fleet.until_committed(*taps);
    let committed = fleet.stage.committed().expect("a ledger");
    let mut ids: Vec<_> = committed.iter().map(|event| event["event"]["id"].to_string()).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an event is there twice");
    assert!(committed.iter().all(|event| event["device"] == DEVICE));
}
