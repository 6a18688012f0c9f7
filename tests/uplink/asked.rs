//! What the broker is asked before a box relies on it, on the real mosquitto set up in ways that do not do.

use examgate::{
    edge::mqtt::{Asked, Link, LinkFault, Listeners, Patience, Settings, Tls, probe},
    rig::{
        certificates::{Authority, Issued, Validity},
        mosquitto::{Memory, Mosquitto},
    },
    wire::state::{DeviceState, Status, Versions},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::door::{Door, World, device, soon};

fn settings(host: &str, port: u16, authority: &str, own: &Issued) -> Settings {
    Settings {
        host: host.into(),
        port,
        device: device(),
        tls: Tls {
            authority: authority.into(),
            certificate: own.certificate.clone().into(),
            key: Zeroizing::new(own.key.clone().into()),
        },
        state: DeviceState::new(Status::Online, Uuid::from_u128(5), Versions::default()),
        patience: Patience::default(),
    }
}

#[test]
fn a_broker_that_does_not_do_is_told_of_with_the_setting_that_mends_it() {
    let authority = Authority::new();
    let own = authority.client("door-1", Validity::Good);
    for (changed, says) in [
        ("", None),
        ("retain_available false\n", Some("retain_available true")),
        ("max_qos 0\n", Some("max_qos 1")),
        ("max_packet_size 1024\n", Some("max_packet_size 65536")),
    ] {
        let certificate = authority.broker(Validity::Good);
        let broker = Mosquitto::start_with(authority.certificate(), &certificate, Memory::Lost, changed)
            .unwrap_or_else(|error| panic!("{changed}: {error}"));
        // A name with more than one address on most machines; the broker listens at one of them.
        for host in ["127.0.0.1", "localhost"] {
            let settings = settings(host, broker.port(), authority.certificate(), &own);
            let found =
                probe(&settings, Asked::Everything { rosters: false, commands: false }).expect("usable certificates");
            match (says, found) {
                (None, Ok(Listeners { collector: Some(false), keeper: None })) => {}
                (Some(says), Err(fault @ LinkFault::Unfit { .. })) => {
                    assert!(fault.to_string().contains(says), "{changed}: {fault}");
                }
                (_, found) => panic!("{changed:?} at {host}: {found:?}"),
            }
        }
    }
}

#[test]
fn a_broker_that_forbids_the_box_to_write_is_told_of() {
    let authority = Authority::new();
    let own = authority.client("door-1", Validity::Good);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let acl = folder.path().join("acl");
    let all = ["%u/state", "%u/event", "%u/reported", "%u/answer", "exam/+/admitted/%u/+"]
        .map(|topic| format!("pattern write examgate/v1/{topic}\n"))
        .concat();
    for (without, fleet, refused) in [
        ("", true, None),
        // As the ACL of a version without pushed rosters and commands has it.
        ("pattern write examgate/v1/%u/reported\n", false, None),
        ("pattern write examgate/v1/%u/reported\n", true, Some("examgate/v1/door-1/reported")),
        ("pattern write examgate/v1/%u/event\n", true, Some("examgate/v1/door-1/event")),
        ("pattern write examgate/v1/%u/answer\n", true, Some("examgate/v1/door-1/answer")),
        // As the ACL of a version in which boxes do not tell each other whom they let in has it.
        ("pattern write examgate/v1/exam/+/admitted/%u/+\n", true, Some("examgate/v1/exam/none/admitted/door-1/0")),
    ] {
        std::fs::write(&acl, all.replace(without, "")).expect("writable");
        let certificate = authority.broker(Validity::Good);
        let changed = format!("acl_file {}\n", acl.display());
        let broker = Mosquitto::start_with(authority.certificate(), &certificate, Memory::Lost, &changed)
            .unwrap_or_else(|error| panic!("{error}"));
        let settings = settings("127.0.0.1", broker.port(), authority.certificate(), &own);
        match (
            refused,
            probe(&settings, Asked::Everything { rosters: fleet, commands: fleet }).expect("usable certificates"),
        ) {
            (None, Ok(Listeners { collector: Some(false), keeper })) => assert_eq!(keeper, fleet.then_some(false)),
            (Some(topic), Err(fault @ LinkFault::WriteRefused { .. })) => {
                let said = fault.to_string();
                assert!(said.contains(topic) && said.contains("ACL"), "{said}");
            }
            (_, found) => panic!("without {without:?}: {found:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_trust_alone_leaves_a_running_box_its_line() {
    let world = World::new();
    let mut door = Door::open(&world, 0).await;
    let settings = settings("127.0.0.1", world.broker.port(), world.authority.certificate(), &world.certificate);
    let found = tokio::task::spawn_blocking(move || probe(&settings, Asked::Trust)).await.expect("no panic");
    assert!(matches!(found, Ok(Ok(Listeners { collector: None, keeper: None }))), "{found:?}");
    assert!(!door.link.has_changed().expect("the loop runs"), "the line was not touched");
    assert!(matches!(&*door.link.borrow_and_update(), Link::Up(line) if line.connection() == 1));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_authority_of_the_file_is_trusted() {
    let world = World::new();
    let other = Authority::new();
    let (ours, theirs) = (world.authority.certificate(), other.certificate());
    for file in
        [format!("{theirs}{ours}"), format!("{ours}{theirs}"), format!("\u{feff}# old\r\n{theirs}# new\r\n{ours}")]
    {
        let mut door = Door::connecting(world.broker.port(), &file, &world.certificate, 0, Patience::default());
        soon("the link is up", door.link.wait_for(|link| matches!(link, Link::Up(_)))).await.expect("the loop runs");
        door.close().await;
    }
    let mut door = Door::connecting(world.broker.port(), theirs, &world.certificate, 0, Patience::default());
    let down = door.link.wait_for(|link| matches!(link, Link::Down { .. }));
    assert!(format!("{:?}", *soon("no trust", down).await.expect("runs")).contains("BrokerUnknown"));
}
