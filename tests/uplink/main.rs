//! The uplink against the real mosquitto over TLS: what reaches the broker, what comes back, and what is said when
//! something is wrong. The collector's side is played by a plain client here; the real one is tested with the fleet.

mod asked;
#[expect(dead_code, reason = "shared with the collector's tests, which set boxes back")]
mod door;
mod hostile;
mod watcher;

use std::sync::Arc;

use examgate::{
    domain::{DeviceId, Epoch, EventHash, Seq},
    edge::mqtt::{Link, LinkFault},
    flow::deliver::Standing,
    rig::certificates::{Authority, Validity},
    wire::{
        keys::SigningKey,
        receipt::Receipt,
        refusal::TlsRefusal,
        state::{DeviceState, Status},
        topic::DeviceTopic,
    },
};
use uuid::Uuid;

use crate::{
    door::{Door, EPOCH, World, believing, soon},
    watcher::{Watcher, receipt_key},
};

/// Waits until the link is down and gives the cause.
async fn fault(door: &mut Door) -> Arc<LinkFault> {
    let down = soon("the link is down", door.link.wait_for(|link| matches!(link, Link::Down { .. }))).await;
    match &*down.expect("the loop runs") {
        Link::Down { cause, .. } => Arc::clone(cause),
        Link::Connecting { .. } | Link::Up(_) | Link::Closed => unreachable!("waited for it"),
    }
}

/// Waits until an attempt ends with a TLS refusal and gives it. With TLS 1.3 a broker refuses our certificate after the
/// handshake and closes: an attempt that was still writing may see the broken pipe instead of the reason. The next one tells.
async fn tls_fault(door: &mut Door) -> Arc<LinkFault> {
    let refused = |link: &Link| matches!(link, Link::Down { cause, .. } if matches!(**cause, LinkFault::Tls { .. }));
    let down = soon("TLS is refused", door.link.wait_for(refused)).await;
    match &*down.expect("the loop runs") {
        Link::Down { cause, .. } => Arc::clone(cause),
        Link::Connecting { .. } | Link::Up(_) | Link::Closed => unreachable!("waited for it"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_leave_the_outbox_only_with_a_receipt() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 40).await;
    let mut contiguous = 0;
    loop {
        // Events come again until their receipt has worked.
        let event = tokio::select! {
            event = watcher.event() => event,
            () = door.until_receipted(40) => break,
        };
        assert!(event.seq.0 <= contiguous + 1, "in order: {} after {contiguous}", event.seq);
        assert!(door.receipted().0 <= contiguous, "deleted before its receipt");
        contiguous = contiguous.max(event.seq.0);
        watcher.receipt(&door.receipt(contiguous)).await;
    }
    assert_eq!(door.waiting(), 0);
    door.record();
    while watcher.event().await.seq != Seq(41) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_listens_to_is_kept() {
    let world = World::new();
    let mut door = Door::open(&world, 3).await;
    door.stands(Standing::NobodyListens).await;
    assert_eq!(door.waiting(), 3);
    let mut watcher = Watcher::connect(&world).await;
    while watcher.event().await.seq != Seq(1) {}
    watcher.receipt(&door.receipt(1)).await;
    door.stands(Standing::Flowing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_by_the_broker_is_not_delivered() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 1).await;
    watcher.event().await;
    watcher.event().await;
    door.stands(Standing::NoReceipts).await;
    assert_eq!(door.waiting(), 1, "sent again and again, and kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_receipts_delete_nothing() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 3).await;
    while watcher.event().await.seq != Seq(3) {}
    let good = door.receipt(2);
    let forged = [
        good.encode(&examgate::wire::keys::SigningKey::from_seed(&[66; 32])),
        Receipt { device: DeviceId::new("door-2").expect("valid"), ..good.clone() }.encode(&receipt_key()),
        Receipt { epoch: Epoch(Uuid::from_u128(99)), ..good.clone() }.encode(&receipt_key()),
        include_bytes!("../golden/receipt-v1.cose").to_vec(),
        b"no receipt".to_vec(),
        Vec::new(),
    ];
    for bytes in forged {
        watcher.publish(DeviceTopic::Receipt, bytes).await;
    }
    // Receipts are read in order: when the good one has worked, the forged ones have been judged.
    watcher.receipt(&good).await;
    door.until_receipted(2).await;
    assert_eq!(door.waiting(), 1);
    assert_eq!(door.epochs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_count_by_the_keys_of_the_moment_and_without_a_recipient_nothing_is_sent() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 2).await;
    watcher.event().await;
    watcher.receipt(&door.receipt(1)).await;
    door.until_receipted(1).await;
    // The key that signed it is revoked, and another counts.
    door.fleet.send_replace(believing(&[[19; 32]]));
    let receipt = door.receipt(2);
    watcher.receipt(&receipt).await;
    door.stands(Standing::NoReceipts).await;
    assert_eq!((door.waiting(), door.receipted()), (1, Seq(1)), "a revoked key deletes nothing");
    watcher.publish(DeviceTopic::Receipt, receipt.encode(&SigningKey::from_seed(&[19; 32]))).await;
    door.until_receipted(2).await;

    door.fleet.send_replace(Arc::default());
    door.record();
    door.stands(Standing::NoRecipient).await;
    assert_eq!(door.waiting(), 1);
    door.fleet.send_replace(believing(&[[19; 32]]));
    door.record();
    while watcher.event().await.seq != Seq(4) {}
    let receipt = door.receipt(4);
    watcher.publish(DeviceTopic::Receipt, receipt.encode(&SigningKey::from_seed(&[19; 32]))).await;
    door.until_receipted(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_at_the_collector_begins_one_new_epoch_and_deletes_nothing() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 5).await;
    while watcher.event().await.seq != Seq(5) {}
    watcher.receipt(&door.receipt(2)).await;
    door.until_receipted(2).await;
    // Another event 4, and, repeated, an event that this box never recorded.
    let other = Receipt { hash: EventHash::from_bytes([4; 32]), ..door.receipt(4) };
    let beyond = Receipt { seq: Seq(30), ..other.clone() };
    let old = door.receipt(5);
    for receipt in [&other, &beyond, &other, &old, &beyond] {
        watcher.receipt(receipt).await;
    }
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < 3 {
        let event = watcher.event().await;
        if event.epoch != EPOCH {
            seen.insert(event.seq, event.event_id.0.as_u128());
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(Seq(1), 3), (Seq(2), 4), (Seq(3), 5)], "under their own ids");
    assert_eq!(door.waiting(), 3);
    assert_eq!(door.epochs().len(), 2, "repetitions begin no further epoch");
    door.record();
    watcher.receipt(&door.receipt(4)).await;
    door.until_receipted(4).await;
    assert_eq!(door.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_lost_its_ledger_gets_again_what_was_deleted() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 6).await;
    while watcher.event().await.seq != Seq(6) {}
    watcher.receipt(&door.receipt(6)).await;
    door.until_receipted(6).await;
    door.record();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 7 {
        seen.insert(watcher.event().await.seq.0);
        let contiguous = (1..).find(|seq| !seen.contains(seq)).expect("finite") - 1;
        watcher.receipt(&door.receipt(contiguous)).await;
    }
    door.until_receipted(7).await;
    assert_eq!((door.waiting(), door.epochs().len()), (0, 1), "a lower receipt begins no epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_its_memory_gets_everything_again() {
    let mut world = World::new();
    let mut door = {
        let mut watcher = Watcher::connect(&world).await;
        let mut door = Door::open(&world, 20).await;
        while watcher.event().await.seq != Seq(16) {}
        watcher.receipt(&door.receipt(5)).await;
        door.until_receipted(5).await;
        door
    };
    world.broker.kill9().expect("it can be killed");
    world.broker.restart(true).expect("it starts again");
    let mut watcher = Watcher::connect(&world).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 15 {
        let event = watcher.event().await;
        assert!(event.seq > Seq(5), "receipted events are gone");
        seen.insert(event.seq);
        if seen.iter().zip(6..).all(|(seq, expected)| seq.0 == expected) {
            watcher.receipt(&door.receipt(5 + seen.len() as u64)).await;
        }
    }
    door.until_receipted(20).await;
    assert_eq!(door.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_retained_and_the_last_will_speaks() {
    let world = World::new();
    let mut watcher = Watcher::connect(&world).await;
    let status = |state: Vec<u8>| DeviceState::decode(&state).expect("a state").status;
    let door = Door::open(&world, 0).await;
    assert_eq!(status(watcher.state().await), Status::Online);
    door.vanish();
    assert_eq!(status(watcher.state().await), Status::Lost);
    // The same certificate again: the broker ends the first watcher's connection.
    watcher = Watcher::connect(&world).await;
    assert_eq!(status(watcher.state().await), Status::Lost, "retained");
    let door = Door::open(&world, 0).await;
    assert_eq!(status(watcher.state().await), Status::Online);
    door.close().await;
    assert_eq!(status(watcher.state().await), Status::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_may_not_speak_for_another() {
    let mut world = World::new();
    world.certificate = world.authority.client("door-2", Validity::Good);
    let _watcher = Watcher::connect(&world).await;
    let mut door = Door::open(&world, 1).await;
    let refused = soon("it is refused", door.delivery.wait_for(|d| matches!(d.standing, Standing::Refused(_)))).await;
    let Standing::Refused(why) = refused.expect("delivery runs").standing else { unreachable!("waited for it") };
    assert!(why.contains("ACL") && why.contains("common name"), "{why}");
    assert_eq!(door.waiting(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_faults_are_told_apart() {
    let mut world = World::new();
    let other = Authority::new();
    let good = world.certificate.clone();
    for (broker, own, refusal) in [
        (world.authority.broker(Validity::Expired), good.clone(), TlsRefusal::BrokerExpired),
        (world.authority.broker(Validity::NotYet), good.clone(), TlsRefusal::BrokerNotYetValid),
        (other.broker(Validity::Good), good.clone(), TlsRefusal::BrokerUnknown),
        (world.authority.client("broker", Validity::Good), good.clone(), TlsRefusal::BrokerUnacceptable),
        (world.authority.broker_for("elsewhere.example", Validity::Good), good, TlsRefusal::BrokerMisnamed),
        (
            world.authority.broker(Validity::Good),
            world.authority.client("door-1", Validity::Expired),
            TlsRefusal::OwnExpired,
        ),
        (world.authority.broker(Validity::Good), other.client("door-1", Validity::Good), TlsRefusal::OwnUnknown),
    ] {
        world.broker.present(&broker).expect("writable");
        world.broker.restart(true).expect("it starts again");
        world.certificate = own;
        let mut door = Door::start(&world, 0);
        let fault = tls_fault(&mut door).await;
        match &*fault {
            LinkFault::Tls { refusal: found, .. } => assert_eq!(*found, refusal),
            LinkFault::Unreachable { .. }
            | LinkFault::Refused { .. }
            | LinkFault::NotTls { .. }
            | LinkFault::Unfit { .. }
            | LinkFault::SubscriptionRefused
            | LinkFault::WriteRefused { .. }
            | LinkFault::Dismissed { .. }
            | LinkFault::Broken { .. }
            | LinkFault::Silent { .. }
            | LinkFault::Surprise { .. }
            | LinkFault::Ended { .. } => panic!("{refusal:?} expected, not {fault:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_said_to_be_unreachable() {
    let mut world = World::new();
    world.broker.kill9().expect("it can be killed");
    let mut door = Door::start(&world, 0);
    let fault = fault(&mut door).await;
    assert!(matches!(&*fault, LinkFault::Unreachable { .. }), "{fault:?}");
    world.broker.restart(true).expect("it starts again");
    soon("the link comes up by itself", door.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("runs");
}
