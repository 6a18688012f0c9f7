//! The life of a box in the registry: expected, enrolled, revoked, expected again.

use examgate::{
    domain::{Epoch, EventHash, Seq},
    wire::{enrolment::Code, keys::SigningKey, renewal::HandOver, seal::Identity},
};
use uuid::Uuid;

use super::*;

fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&folder.path().join("fleet.db"), &Key::from_bytes([1; 32])).unwrap();
    (folder, registry)
}

fn door() -> DeviceId {
    DeviceId::new("door-1").unwrap()
}

fn room() -> RoomId {
    RoomId::new("SILVER-207").unwrap()
}

fn second(at: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + at).unwrap()
}

fn code(seed: u8) -> Code {
    Code::from_random(&[seed; 20])
}

fn request(seed: u8) -> Request {
    Request {
        nonce: [0; 16],
        csr: String::new(),
        signing_key: SigningKey::from_seed(&[seed; 32]).public(),
        prekeys: vec![Identity::generate().recipient().to_string()],
    }
}

fn issued(serial: u8) -> Issued {
    Issued {
        certificate: String::new(),
        serial: vec![serial; 16],
        fingerprint: [serial; 32],
        public_key: [7; 32],
        not_after: second(1000),
    }
}

#[test]
fn the_site_of_a_box_is_named_and_taken_back() {
    let (_folder, mut registry) = registry();
    let site = SiteId::new("washington-square").unwrap();
    let nobody = registry.set_site(&door(), Some(&site));
    assert!(matches!(nobody, Err(RegistryError::NoDevice { .. })), "{nobody:?}");
    registry.add(&door(), &room(), &code(1).kept(), second(100), second(0)).unwrap();
    for named in [None, Some(site)] {
        registry.set_site(&door(), named.as_ref()).unwrap();
        assert_eq!(
            (registry.device(&door()).unwrap().0.site, registry.devices().unwrap()[0].site.clone()),
            (named.clone(), named)
        );
    }
    registry.add(&door(), &room(), &code(2).kept(), second(100), second(1)).unwrap();
    assert!(registry.device(&door()).unwrap().0.site.is_some(), "a new code leaves it where it is");
}

#[test]
fn a_box_is_added_enrolled_revoked_and_added_again() {
    let (_folder, mut registry) = registry();
    registry.add(&door(), &room(), &code(1).kept(), second(100), second(0)).unwrap();
    let (device, _) = registry.device(&door()).unwrap();
    assert_eq!((device.state, device.code_until, device.signing_key), (State::Added, Some(second(100)), None));

    let claim = registry.claim(code(1).id()).unwrap().unwrap();
    assert_eq!((claim.device, claim.tries_left, claim.used_by), (door(), TRIES, None));
    assert_eq!(claim.requests, code(1).kept().requests);
    assert!(registry.enrol(code(1).id(), &request(1), &issued(1), second(1)).unwrap());
    let (device, certificates) = registry.device(&door()).unwrap();
    assert_eq!((device.state, device.signing_key), (State::Enrolled, Some(request(1).signing_key)));
    assert_eq!((device.certificate_until, device.code_until, device.prekeys), (Some(second(1000)), None, 1));
    assert_eq!(certificates[0].serial, vec![1; 16]);
    let again = registry.add(&door(), &room(), &code(2).kept(), second(100), second(2));
    assert!(matches!(again, Err(RegistryError::Enrolled { .. })), "{again:?}");

    registry.revoke(&door(), second(3)).unwrap();
    assert!(registry.claim(code(1).id()).unwrap().is_none());
    assert_eq!(registry.next_list(second(4)).unwrap(), (1, vec![(vec![1; 16], second(3))]));
    assert_eq!(registry.next_list(second(1000)).unwrap(), (2, vec![]), "its time is over by itself");
    assert_eq!(registry.last_list().unwrap(), second(1000));

    registry.add(&door(), &room(), &code(3).kept(), second(100), second(5)).unwrap();
    assert!(registry.enrol(code(3).id(), &request(3), &issued(3), second(6)).unwrap());
    let (device, _) = registry.device(&door()).unwrap();
    assert_eq!(device.signing_key, Some(request(3).signing_key));
    assert_eq!(registry.next_list(second(7)).unwrap().1.len(), 1, "what was revoked stays so");
    let nobody = registry.revoke(&DeviceId::new("door-2").unwrap(), second(8));
    assert!(matches!(nobody, Err(RegistryError::NoDevice { .. })));
}

#[test]
fn a_code_serves_one_box_which_may_ask_again() {
    let (_folder, mut registry) = registry();
    registry.add(&door(), &room(), &code(1).kept(), second(100), second(0)).unwrap();
    assert!(registry.enrol(code(1).id(), &request(1), &issued(1), second(1)).unwrap());
    assert!(!registry.enrol(code(1).id(), &request(2), &issued(2), second(2)).unwrap(), "another box");
    assert!(registry.enrol(code(1).id(), &request(1), &issued(3), second(3)).unwrap(), "its answer was lost");
    assert_eq!(registry.claim(code(1).id()).unwrap().unwrap().used_by, Some(who(&request(1), &[7; 32])));
    assert_eq!(registry.device(&door()).unwrap().1.len(), 2);
    assert!(!registry.enrol(code(9).id(), &request(1), &issued(4), second(4)).unwrap(), "no such code");
}

#[test]
fn a_newer_code_ends_an_older_one_and_tries_run_out() {
    let (_folder, mut registry) = registry();
    registry.add(&door(), &room(), &code(1).kept(), second(100), second(0)).unwrap();
    registry.add(&door(), &room(), &code(2).kept(), second(100), second(1)).unwrap();
    assert!(registry.claim(code(1).id()).unwrap().is_none());
    for _ in 0..=TRIES {
        registry.fail(code(2).id()).unwrap();
    }
    assert_eq!(registry.claim(code(2).id()).unwrap().unwrap().tries_left, 0);
    assert!(!registry.enrol(code(2).id(), &request(1), &issued(1), second(2)).unwrap());
    assert_eq!(registry.device(&door()).unwrap().0.code_until, None);
}

#[test]
fn what_is_kept_of_a_code_is_not_the_code() {
    let (folder, mut registry) = registry();
    registry.add(&door(), &room(), &code(1).kept(), second(100), second(0)).unwrap();
    let kept: Vec<u8> = registry.0.connection().query_row("SELECT answers FROM code", [], |row| row.get(0)).unwrap();
    assert_ne!(SigningKey::from_seed(&kept.try_into().unwrap()).public(), code(1).kept().requests);
    drop(registry);
    let bytes = std::fs::read(folder.path().join("fleet.db")).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"door-1"), "the registry is not encrypted");
}

fn enrolled() -> (tempfile::TempDir, Registry, SigningKey) {
    let (folder, mut registry) = registry();
    registry.add(&door(), &room(), &code(1).kept(), second(100), second(0)).unwrap();
    assert!(registry.enrol(code(1).id(), &request(1), &issued(1), second(1)).unwrap());
    (folder, registry, SigningKey::from_seed(&[1; 32]))
}

fn hand_over(seed: u8) -> HandOver {
    HandOver {
        device: door(),
        next: SigningKey::from_seed(&[seed; 32]).public(),
        ends: Epoch(Uuid::from_u128(1)),
        last: Seq(12),
        hash: EventHash::START,
        begins: Epoch(Uuid::from_u128(2)),
        csr: String::new(),
    }
}

#[test]
fn a_certificate_is_renewed_for_the_key_of_an_enrolled_box_and_not_without_end() {
    let (_folder, mut registry, key) = enrolled();
    let stranger = SigningKey::from_seed(&[9; 32]).public();
    assert_eq!(registry.signer(&door()).unwrap(), Some((key.public(), State::Enrolled)));
    assert_eq!(registry.renew(&door(), &stranger, &issued(2), second(2)).unwrap(), Renewed::Not);
    for serial in 2..=u8::try_from(MOST).unwrap() {
        assert_eq!(registry.renew(&door(), &key.public(), &issued(serial), second(2)).unwrap(), Renewed::Recorded);
    }
    assert_eq!(registry.renew(&door(), &key.public(), &issued(90), second(3)).unwrap(), Renewed::TooOften);
    let later = i64::try_from(LIMITED_FOR.as_secs()).unwrap() + 10;
    assert_eq!(registry.renew(&door(), &key.public(), &issued(90), second(later)).unwrap(), Renewed::Recorded);
    registry.revoke(&door(), second(later)).unwrap();
    assert_eq!(registry.renew(&door(), &key.public(), &issued(91), second(later)).unwrap(), Renewed::Not);
    assert_eq!(registry.signer(&door()).unwrap(), Some((key.public(), State::Revoked)));
}

#[test]
fn a_key_is_handed_over_once_where_that_is_allowed_and_its_place_is_kept() {
    let (_folder, mut registry, key) = enrolled();
    let old = key.public();
    let take = |registry: &mut Registry, seed, old: &PublicKey, serial, at| {
        registry.hand_over(&hand_over(seed), old, &issued(serial), second(at)).unwrap()
    };
    assert_eq!(take(&mut registry, 2, &old, 2, 2), Renewed::NotAllowed);
    registry.allow_hand_over(&door(), second(10)).unwrap();
    assert_eq!(take(&mut registry, 2, &old, 2, 10), Renewed::NotAllowed, "too late");
    registry.allow_hand_over(&door(), second(10)).unwrap();
    assert_eq!(take(&mut registry, 2, &old, 2, 3), Renewed::Recorded);
    let now = registry.device(&door()).unwrap();
    assert_eq!(now.0.signing_key, Some(hand_over(2).next));
    let counts: Vec<_> = now.1.iter().filter(|one| one.revoked_at.is_none()).map(|one| one.serial[0]).collect();
    assert_eq!(counts, [2], "certificates of before are revoked");
    let place = Some(Place { epoch: hand_over(2).ends, last: Seq(12) });
    let former = FormerKey { key: old, ended: second(3), place };
    assert_eq!(registry.former_keys(&door()).unwrap(), std::slice::from_ref(&former));
    assert_eq!(registry.handed_over().unwrap(), [(door(), former)].into());
    // Its answer was lost; a thief of the old key comes too late.
    assert_eq!(take(&mut registry, 2, &old, 3, 4), Renewed::Recorded);
    assert_eq!(take(&mut registry, 3, &old, 4, 4), Renewed::Not);
    assert_eq!(take(&mut registry, 3, &hand_over(2).next, 4, 4), Renewed::NotAllowed, "once");

    // Enrolled anew, nothing of the hand-over counts any more; the history stays.
    registry.revoke(&door(), second(5)).unwrap();
    assert!(matches!(registry.allow_hand_over(&door(), second(99)), Err(RegistryError::NotEnrolled { .. })));
    registry.add(&door(), &room(), &code(2).kept(), second(100), second(6)).unwrap();
    assert!(registry.enrol(code(2).id(), &request(4), &issued(5), second(7)).unwrap());
    assert!(registry.handed_over().unwrap().is_empty());
    assert_eq!(registry.former_keys(&door()).unwrap().len(), 2);
}
