//! Certificates and keys of boxes over their lives, with real processes: renewed before and after their end, handed over to other keys,
//! revoked and cut off at the broker.

mod revoked;
mod rotated;
mod world;

use std::{fs, time::Duration};

use examgate::{
    edge::{enrolment::EnrolmentFault, mqtt::Link},
    flow::renew::RenewalFault,
    store::Secret,
};
use examgate_fleet_core::registry::MOST;

use self::world::{Door, World, id, now, soon, until};

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_before_it_ends_and_the_box_goes_on_with_the_new_one_alone() {
    let world = World::new();
    assert_eq!(world.health.health(), Some((200, "enrolling\n".into())));
    let _collector = world.collect();
    let disk = world.enrol("door-1", 1);
    // Of 398 days more than two thirds are over.
    disk.age(&world, 270 * DAY);
    let (before, key) = (fs::read(disk.certificate()).expect("PEM"), disk.keys.text(Secret::Tls).expect("its key"));
    for number in 1..=20 {
        disk.record(number);
    }
    let mut door = Door::start(disk);
    door.has_renewed(&before).await;
    door.is_up().await;
    for number in 21..=40 {
        door.record(number);
    }
    door.has_delivered().await;
    assert_eq!(world.committed("door-1").iter().map(|(n, _)| *n).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let (device, certificates) = world.registry().device(&id("door-1")).expect("it is there");
    assert_eq!(certificates.len(), 2, "enrolled and renewed");
    assert!(device.certificate_until.expect("one") > now() + 390 * DAY);
    assert_eq!(world.health.metrics()["certificates_renewed_total"], 1.0);

    // A new key, locked on the disk, with which alone it starts again.
    let disk = door.kill().await;
    let file = fs::read(disk.keys.renewed_path(1)).expect("there");
    let plain = |key: &[u8]| String::from_utf8_lossy(key).lines().nth(1).expect("a line").to_owned();
    let text = String::from_utf8_lossy(&file).into_owned();
    assert!(text.contains("ENCRYPTED PRIVATE KEY") && !text.contains(&plain(&key)), "{text}");
    let mut door = Door::start(disk);
    door.is_up().await;
    // Nothing is due, and nothing more is asked for.
    assert_eq!(world.registry().device(&id("door-1")).expect("there").1.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ended_while_the_box_was_off_is_renewed_once_the_fleet_is_reached() {
    let mut world = World::new();
    let disk = world.enrol("door-1", 1);
    disk.age(&world, 400 * DAY);
    let before = fs::read(disk.certificate()).expect("PEM");
    world.stop_endpoint();
    let mut door = Door::start(disk);
    let why = door.is_down().await;
    assert!(why.contains("expired") || why.contains("alert"), "{why}");
    // Weeks later, for instance.
    world.start_endpoint();
    door.has_renewed(&before).await;
    door.is_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_box_an_unknown_one_and_one_that_asks_without_end_get_nothing() {
    let world = World::new();
    let disk = world.enrol("door-1", 1);
    let door = Door::start(disk);
    let refused = |fault: RenewalFault| {
        let said = format!("{fault:?}");
        let RenewalFault::Ask(EnrolmentFault::Refused { status: 403, reason, .. }) = fault else { panic!("{said}") };
        reason
    };
    let mut reason = String::new();
    for _ in 0..MOST {
        match door.rotate().await {
            Ok(renewed) => {
                let kept = refused(renewed.signing.expect_err("nobody allowed another signing key"));
                assert!(kept.contains("nobody allowed"), "{kept}");
            }
            Err(fault) => reason = refused(fault),
        }
    }
    assert!(reason.contains("within a day") || reason.contains("too many"), "{reason}");

    let mut registry = world.registry();
    let held = registry.device(&id("door-1")).expect("there").1.len();
    assert_eq!(held, usize::try_from(MOST).expect("small"));
    registry.revoke(&id("door-1"), now()).expect("there");
    let fault = door.rotate().await.expect_err("revoked");
    let RenewalFault::Ask(EnrolmentFault::Refused { .. }) = fault else { panic!("{fault:?}") };
    assert_eq!(registry.device(&id("door-1")).expect("there").1.len(), held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_that_is_damaged_or_not_taken_leaves_the_one_before() {
    let world = World::new();
    let disk = world.enrol("door-1", 1);
    // What a broken disk left, and a pair that no broker of this fleet takes: both are newer.
    let other = examgate::rig::certificates::Authority::new();
    let issued = other.client("door-1", examgate::rig::certificates::Validity::Good);
    let pair = examgate::edge::enrolment::Pair {
        certificate: issued.certificate.into(),
        key: zeroize::Zeroizing::new(issued.key.into()),
    };
    let passphrase = disk.keys.passphrase(examgate::flow::renew::PURPOSE).expect("a root key");
    disk.keys.add_renewed(&pair.lock(&passphrase).expect("a key")).expect("written");
    disk.keys.add_renewed(b"-----BEGIN CERTIFICATE-----\nhalf of").expect("written");
    let enrolled_with = fs::read(disk.certificate()).expect("PEM");
    let mut door = Door::start(disk);
    door.is_up().await;
    let used = door.used.wait_for(|used| used.as_deref() == Some(&enrolled_with[..]));
    drop(soon("the certificate of before is used", used).await.expect("the loop runs"));
    assert!(door.disk.keys.text(Secret::Tls).is_ok(), "nothing was erased");
    let up = door.link.borrow().clone();
    assert!(matches!(up, Link::Up(_)), "{up:?}");
    // A good one takes the place of all of them.
    door.rotate().await.expect("renewed");
    door.has_renewed(&enrolled_with).await;
    soon("it is up again", door.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("the loop runs");
    until("the rest is erased", || door.disk.keys.renewed().is_ok_and(|all| all[0].number == 3)).await;
}
