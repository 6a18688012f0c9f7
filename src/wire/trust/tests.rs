//! What a trust document says, what is refused, and that its bytes never change.

use proptest::prelude::*;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/trust-v1.cose");

fn root() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn ed25519(purpose: Purpose, seed: u8, not_before: i64, not_after: i64) -> TrustedKey {
    TrustedKey::new(purpose, SigningKey::from_seed(&[seed; 32]).public().to_string(), (not_before, not_after))
}

fn document() -> TrustDocument {
    let identity: crate::wire::seal::Identity =
        include_str!("../../../tests/golden/collector.age").parse().expect("an identity");
    let old = ed25519(Purpose::Roster, 1, 1_700_000_000, 1_800_000_000);
    TrustDocument {
        version: 3,
        issued: 1_795_000_000,
        revoked: [old.id()].into(),
        keys: vec![
            old,
            ed25519(Purpose::Roster, 2, 1_790_000_000, 1_890_000_000),
            ed25519(Purpose::Receipt, 3, 1_790_000_000, 1_890_000_000),
            TrustedKey::new(Purpose::Events, identity.recipient().to_string(), (1_790_000_000, 1_890_000_000)),
            TrustedKey::new(
                Purpose::Issuer,
                "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                (1_790_000_000, 1_890_000_000),
            ),
        ],
    }
}

#[test]
fn the_bytes_of_version_1_never_change() {
    let bytes = document().encode(&root()).expect("good");
    assert_eq!(hex::encode(&bytes), hex::encode(GOLDEN));
    assert_eq!(TrustDocument::decode(GOLDEN, &root().public()), Ok(document()));
}

#[test]
fn only_command_keys_have_names_and_rights() {
    let with = |key: TrustedKey| TrustDocument { keys: vec![key], revoked: [].into(), ..document() }.encode(&root());
    let may = Some(vec![Right::Identify, Right::LostCards]);
    let command = TrustedKey { name: Some("help-desk".into()), may, ..ed25519(Purpose::Command, 5, 0, 10) };
    let bytes = with(command.clone()).expect("good");
    let read = TrustDocument::decode(&bytes, &root().public()).map(|document| document.keys);
    assert_eq!(read, Ok(vec![command.clone()]));
    for bad in [
        TrustedKey { purpose: Purpose::Roster, ..command.clone() },
        TrustedKey { name: None, purpose: Purpose::Receipt, ..command.clone() },
        TrustedKey { name: Some(String::new()), ..command.clone() },
        TrustedKey { name: Some("a\nb".into()), ..command.clone() },
        TrustedKey { name: Some("x".repeat(LONGEST_NAME + 1)), ..command.clone() },
        TrustedKey { may: Some(vec![Right::Identify, Right::Identify]), ..command },
    ] {
        assert!(matches!(with(bad.clone()), Err(TrustError::Labelled { .. })), "{bad:?}");
    }
}

#[test]
fn a_key_counts_for_its_purpose_in_its_time_and_until_it_is_revoked() {
    let document = document();
    let at = |second| Timestamp::from_second(second).expect("a date");
    let count = |purpose, second| document.current(purpose, at(second)).len();
    assert_eq!(count(Purpose::Roster, 1_750_000_000), 0, "the only one of that time is revoked");
    assert_eq!(count(Purpose::Roster, 1_795_000_000), 1);
    assert_eq!(count(Purpose::Roster, 1_790_000_000), 1, "the first second counts");
    assert_eq!(count(Purpose::Roster, 1_890_000_000), 0, "the last does not");
    assert_eq!(count(Purpose::Command, 1_795_000_000), 0, "a receipt key signs no commands");
    assert_ne!(ed25519(Purpose::Roster, 2, 0, 1).id(), ed25519(Purpose::Receipt, 2, 0, 1).id());
}

#[test]
fn what_no_box_would_take_is_not_signed() {
    let refused = |change: &dyn Fn(&mut TrustDocument)| {
        let mut changed = document();
        change(&mut changed);
        let error = changed.encode(&root()).expect_err("refused");
        let payload = Payload {
            v: 1,
            version: changed.version,
            issued: changed.issued,
            keys: changed.keys,
            revoked: changed.revoked,
        };
        let signed = signed::sign(PURPOSE, &root(), cbor::to_vec(&payload));
        let read = TrustDocument::decode(&signed, &root().public());
        assert!(read == Err(error) || matches!(error, TrustError::TooLong { .. }), "{read:?} is not {error:?}");
        error
    };
    assert_eq!(refused(&|d| d.version = 0), TrustError::Undated { version: 0 });
    assert_eq!(refused(&|d| d.issued = i64::MAX), TrustError::Undated { version: 3 });
    assert!(matches!(refused(&|d| d.keys[1].not_after = d.keys[1].not_before), TrustError::Dates { .. }));
    assert!(matches!(refused(&|d| d.keys[1].not_after = i64::MAX), TrustError::Dates { .. }));
    assert!(matches!(refused(&|d| d.keys.push(d.keys[1].clone())), TrustError::Twice { .. }));
    assert_eq!(
        refused(&|d| d.keys[1].key = "00".repeat(32)),
        TrustError::NotAKey { purpose: Purpose::Roster, position: 2 }
    );
    assert!(matches!(refused(&|d| d.keys[1].key = d.keys[1].key.to_uppercase()), TrustError::NotAKey { .. }));
    assert!(matches!(refused(&|d| d.keys[3].key = "age1".into()), TrustError::NotAKey { position: 4, .. }));
    assert!(matches!(refused(&|d| d.keys[4].key += "-----BEGIN EC PRIVATE KEY-----"), TrustError::NotAKey { .. }));
    assert_eq!(refused(&|d| d.keys = vec![d.keys[1].clone(); MAX_KEYS + 1]), TrustError::TooMany);
}

#[test]
fn a_document_is_of_its_root_and_purpose_and_newer_than_what_is_held() {
    let accept = |new: &TrustDocument, held: &TrustDocument| {
        TrustDocument::accept(&new.encode(&root()).expect("good"), &root().public(), Some(held))
    };
    let held = document();
    let newer = TrustDocument { version: 4, issued: held.issued + 1, ..held.clone() };
    assert_eq!(accept(&newer, &held), Ok(newer.clone()));
    assert_eq!(accept(&held, &held), Ok(held.clone()), "sent again");
    assert_eq!(accept(&held, &newer), Err(TrustError::Older { found: 3, held: 4 }));
    let other = TrustDocument { issued: held.issued + 1, ..held.clone() };
    assert_eq!(accept(&other, &held), Err(TrustError::Forked { version: 3 }));
    let back = TrustDocument { version: 4, issued: held.issued - 1, ..held.clone() };
    assert_eq!(accept(&back, &held), Err(TrustError::DatedBack { found: 4, held: 3 }));

    let stranger = SigningKey::from_seed(&[8; 32]);
    for bytes in [
        held.encode(&stranger).expect("good"),
        signed::sign("examgate/receipt/v2", &root(), GOLDEN.to_vec()),
        Vec::new(),
    ] {
        assert_eq!(TrustDocument::decode(&bytes, &root().public()), Err(TrustError::NotSigned));
    }
    let long = vec![0; MAX_TRUST + 1];
    assert_eq!(TrustDocument::decode(&long, &root().public()), Err(TrustError::TooLong { found: MAX_TRUST + 1 }));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), is_signed in any::<bool>()) {
        let bytes = if is_signed { signed::sign(PURPOSE, &root(), bytes) } else { bytes };
        prop_assert!(TrustDocument::decode(&bytes, &root().public()).is_err());
    }

    #[test]
    fn what_is_signed_is_read_as_it_was(
        version in 1..=u64::MAX,
        issued in 0..4_000_000_000_i64,
        keys in proptest::collection::btree_map(any::<u8>(), (0..3_usize, 0..4_000_000_000_i64, 1..1_000_000_000_i64), 0..20),
    ) {
        let keys: Vec<_> = keys
            .into_iter()
            .map(|(seed, (purpose, from, long))| ed25519(Purpose::ALL[purpose], seed, from, from + long))
            .collect();
        let revoked = keys.iter().step_by(3).map(TrustedKey::id).collect();
        let document = TrustDocument { version, issued, keys, revoked };
        let bytes = document.encode(&root()).expect("good");
        prop_assert_eq!(TrustDocument::decode(&bytes, &root().public()), Ok(document));
    }

    #[test]
    fn a_changed_payload_that_is_signed_is_refused_or_another_document(at in 0_usize..2000, byte in any::<u8>()) {
        let mut payload = signed::verify(PURPOSE, &root().public(), GOLDEN).expect("golden");
        let at = at % payload.len();
        prop_assume!(payload[at] != byte);
        payload[at] = byte;
        if let Ok(read) = TrustDocument::decode(&signed::sign(PURPOSE, &root(), payload), &root().public()) {
            prop_assert_ne!(read, document());
        }
    }
}
