//! Bundles that come back as they went, and those that are refused.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        ArtifactId, Card, CardPseudonym, CardStanding, DeviceId, Embedding, Language, Peer, PeerKey, ProctorId, Seat,
        Student, StudentId,
    },
    wire::keys::SigningKey,
};

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/bundle-v1.cbor");
const GOLDEN_2: &[u8] = include_bytes!("../../../tests/golden/bundle-v2.cbor");
const GOLDEN_3: &[u8] = include_bytes!("../../../tests/golden/bundle-v3.cbor");
const GOLDEN_4: &[u8] = include_bytes!("../../../tests/golden/bundle-v4.cbor");

fn entry(n: u32, templates: u32) -> (RosterEntry, Vec<Template>) {
    let mut card = [0; 32];
    card[..4].copy_from_slice(&n.to_be_bytes());
    let mut student = Student::new(StudentId::new(format!("N{n}")).expect("valid"), format!("Student {n}"));
    student.language = n.is_multiple_of(2).then(|| Language::new("es").expect("a tag"));
    let standing = if n.is_multiple_of(3) { CardStanding::Revoked } else { CardStanding::Active };
    let room = RoomId::new("R-1").expect("valid");
    let template = |t: u32| Template {
        space: EmbeddingSpaceId::new("sface-128"),
        artifact: ArtifactId::from_bytes([7; 32]),
        // Components that are exact as they are, so normalising changes nothing.
        embedding: Embedding::normalised(if t.is_multiple_of(2) { vec![0.0, 1.0] } else { vec![1.0, 0.0] })
            .expect("has direction"),
    };
    let mut entry = RosterEntry::new(student, CardPseudonym::from_bytes(card), room);
    entry.card.standing = standing;
    (entry, (0..templates).map(template).collect())
}

/// With all that a row of version 2 can hold.
pub(super) fn more(mut bundle: Bundle) -> Bundle {
    for (n, (entry, templates)) in (0_u8..).zip(&mut bundle.entries) {
        if n.is_multiple_of(2) {
            entry.student.preferred_name = Some(format!("Called {n}"));
            entry.seat = Some(Seat::new(format!("Row {n}, 7")).expect("a seat"));
        }
        if n.is_multiple_of(3) {
            let card = |m| Card {
                pseudonym: CardPseudonym::from_bytes([100 + n, m].repeat(16).try_into().expect("32")),
                ..entry.card
            };
            entry.other_cards = vec![card(1), card(2)];
        }
        if n.is_multiple_of(4) {
            entry.look_alikes = vec![StudentId::new(format!("T{n}")).expect("valid")];
        }
        if n.is_multiple_of(5) {
            entry.matching = Matching::None;
            templates.clear();
        }
    }
    bundle
}

fn proctor(n: u8) -> (Proctor, Zeroizing<String>) {
    let id = ProctorId::new(format!("p{n}")).expect("valid");
    let card = CardPseudonym::from_bytes([n; 32]);
    (Proctor { id, name: "A. Okafor".into(), card }, Zeroizing::new("$argon2id$hash".into()))
}

pub(super) fn bundle(students: u32) -> Bundle {
    let time = |text: &str| text.parse().expect("a time");
    Bundle {
        exam: Exam {
            id: ExamId::new("MATH-1").expect("valid"),
            title: "Mathematics".into(),
            window: ExamWindow { opens: time("2026-12-14T08:00:00Z"), closes: time("2026-12-14T11:00:00Z") },
            version: RosterVersion(3),
        },
        room: RoomId::new("R-1").expect("valid"),
        space: EmbeddingSpaceId::new("sface-128"),
        form: TemplateForm::F32,
        pepper: PepperCheck::from_bytes([5; 16]),
        entries: (1..=students).map(|n| entry(n, n % 3)).collect(),
        proctors: vec![proctor(200), proctor(201)],
        peers: None,
    }
}

/// With two other boxes of the exam.
fn with_peers(bundle: Bundle) -> Bundle {
    let peer = |n: u8| Peer {
        device: DeviceId::new(format!("door-{n}")).expect("valid"),
        room: RoomId::new(format!("R-{n}")).expect("valid"),
        students: 30,
        signs_with: *SigningKey::from_seed(&[n; 32]).public().as_bytes(),
    };
    Bundle { peers: Some(Peers { key: PeerKey::from_bytes([3; 32]), boxes: vec![peer(2), peer(3)] }), ..bundle }
}

#[test]
fn golden_bundle() {
    assert_eq!(bundle(3).encode().expect("it fits").as_slice(), GOLDEN);
    assert!(Bundle::decode(GOLDEN) == Ok(bundle(3)));
}

#[test]
fn golden_bundle_of_version_2() {
    assert_eq!(more(bundle(3)).encode().expect("it fits").as_slice(), GOLDEN_2);
    assert!(Bundle::decode(GOLDEN_2) == Ok(more(bundle(3))));
}

/// With 16-bit templates, and those of a second net.
fn newest(bundle: Bundle) -> Bundle {
    let mut newest = Bundle { form: TemplateForm::F16, ..more(bundle) };
    for (entry, templates) in &mut newest.entries {
        if entry.matching == Matching::Face {
            templates.push(Template {
                space: EmbeddingSpaceId::new("next-512"),
                artifact: ArtifactId::from_bytes([8; 32]),
                embedding: Embedding::normalised(vec![0.0, 0.0, -1.0]).expect("has direction"),
            });
        }
    }
    newest
}

#[test]
fn golden_bundle_of_version_4() {
    assert_eq!(newest(bundle(3)).encode().expect("it fits").as_slice(), GOLDEN_4);
    assert!(Bundle::decode(GOLDEN_4) == Ok(newest(bundle(3))));
}

#[test]
fn golden_bundle_of_version_3() {
    let whole = with_peers(more(bundle(3)));
    assert_eq!(hex::encode(whole.encode().expect("it fits")), hex::encode(GOLDEN_3));
    assert!(Bundle::decode(GOLDEN_3) == Ok(whole));
}

#[test]
fn the_lowest_version_that_holds_it_is_written_and_only_that_one_is_read() {
    type More<'a> = &'a dyn Fn(&mut RosterEntry);
    let cases: [(&str, More<'_>); 5] = [
        ("a name", &|e| e.student.preferred_name = Some("Ada".into())),
        ("a seat", &|e| e.seat = Some(Seat::new("42").expect("a seat"))),
        ("a card", &|e| e.other_cards.push(Card::active(CardPseudonym::from_bytes([99; 32])))),
        ("a look-alike", &|e| e.look_alikes.push(StudentId::new("N9").expect("valid"))),
        ("opting out", &|e| e.matching = Matching::None),
    ];
    for (name, more) in cases {
        let mut one = bundle(2);
        one.entries[1].1.clear();
        more(&mut one.entries[1].0);
        let bytes = one.encode().expect("it fits");
        assert_eq!((bytes[3], version(&bytes)), (2, Some(2)), "{name}");
        assert!(Bundle::decode(&bytes) == Ok(one), "{name}");
    }
    let before = |bundle: &Bundle| Kinds::of_before(&bundle.space);
    for one in [with_peers(bundle(2)), with_peers(more(bundle(2)))] {
        let bytes = one.encode().expect("it fits");
        assert_eq!(version(&bytes), Some(3), "other boxes");
        assert!(Bundle::decode(&bytes) == Ok(one));
    }
    // Version 2 for what version 1 holds, and version 3 for what either does.
    for needless in [
        bundle(3).written::<StudentRow2<TemplateRow1>>(2, &before(&bundle(3))),
        more(bundle(3)).written::<StudentRow2<TemplateRow1>>(3, &before(&bundle(3))),
    ] {
        assert!(Bundle::decode(&needless) == Err(BundleError::Malformed));
    }
    // Other boxes in a bundle of a version that has none.
    let hidden = with_peers(more(bundle(3))).written::<StudentRow2<TemplateRow1>>(2, &before(&bundle(3)));
    assert!(Bundle::decode(&hidden) == Err(BundleError::Malformed));
    // Version 4 for what version 2 holds, and of which there is another form: kinds that nothing is of.
    let kinds = bundle(3).kinds().expect("few");
    let needless = bundle(3).written::<StudentRow2<TemplateRow4>>(4, &kinds);
    assert!(Bundle::decode(&needless) == Err(BundleError::Malformed));
    let without = Bundle { entries: vec![newest(bundle(3)).entries.remove(0)], ..newest(bundle(3)) };
    let needless = without.written::<StudentRow2<TemplateRow4>>(4, &newest(bundle(3)).kinds().expect("few"));
    assert!(without.kinds() != newest(bundle(3)).kinds() && Bundle::decode(&needless) == Err(BundleError::Malformed));
    // Kinds in an older version.
    let mut early = bundle(3).written::<StudentRow2<TemplateRow4>>(4, &kinds).to_vec();
    early[3] = 3;
    assert!(Bundle::decode(&early) == Err(BundleError::Malformed));
}

#[test]
fn a_template_of_another_net_or_a_shorter_form_needs_version_4() {
    let mut two_spaces = bundle(3);
    two_spaces.entries[1].1[0].space = EmbeddingSpaceId::new("next-512");
    for (name, bundle) in [("two spaces", two_spaces), ("8 bits", Bundle { form: TemplateForm::I8, ..bundle(3) })] {
        let bytes = bundle.encode().expect("it fits");
        assert_eq!((bytes[3], version(&bytes)), (4, Some(4)), "{name}");
        assert!(Bundle::decode(&bytes) == Ok(bundle), "{name}");
    }
    let mut many = bundle(1);
    let template = bundle(3).entries[0].1[0].clone();
    many.entries[0].1 = (0..=MAX_KINDS as u8)
        .map(|n| Template { artifact: ArtifactId::from_bytes([n; 32]), ..template.clone() })
        .collect();
    many.form = TemplateForm::F16;
    assert!(many.encode() == Err(BundleError::TooMuch { what: "nets that computed templates" }));
}

#[test]
fn a_shorter_template_that_is_not_as_it_is_written_is_refused() {
    let one = Bundle { form: TemplateForm::I8, ..bundle(1) };
    let bytes = one.encode().expect("it fits");
    // Kind 0 and two components: 0 and 127.
    let at = bytes.windows(5).position(|bytes| bytes == [0x82, 0x00, 0x42, 0, 127]).expect("a template") + 4;
    let mut twice_as_short = bytes.to_vec();
    twice_as_short[at] = 63;
    assert!(Bundle::decode(&twice_as_short) == Err(BundleError::Malformed));
}

#[test]
fn a_newer_version_is_told_apart_from_nonsense() {
    for (version, error) in [
        (0, BundleError::Malformed),
        (2, BundleError::Malformed),
        (3, BundleError::Malformed),
        (4, BundleError::Malformed),
        (5, BundleError::Newer { version: 5 }),
        (23, BundleError::Newer { version: 23 }),
        (24, BundleError::Malformed),
        (255, BundleError::Malformed),
    ] {
        let mut bytes = GOLDEN.to_vec();
        bytes[3] = version;
        assert!(Bundle::decode(&bytes) == Err(error), "{version}");
    }
    let said = BundleError::Newer { version: 5 }.to_string();
    assert!(said.contains("version 5") && said.contains("update it"), "{said}");
}

#[test]
fn what_contradicts_itself_or_is_too_much_is_refused() {
    fn boxes(bundle: &mut Bundle) -> &mut Vec<Peer> {
        &mut bundle.peers.as_mut().expect("it has").boxes
    }
    assert!(with_peers(bundle(3)).encode().is_ok());
    type Harm<'a> = &'a dyn Fn(&mut Bundle);
    let harms: [(&str, Harm<'_>); 24] = [
        ("no students", &|b| b.entries.clear()),
        ("closes first", &|b| b.exam.window.closes = b.exam.window.opens),
        ("a student twice", &|b| b.entries.push(entry(1, 0))),
        ("a card twice", &|b| b.entries[1].0.card = b.entries[0].0.card),
        ("a proctor's card", &|b| b.proctors[0].0.card = b.entries[0].0.card.pseudonym),
        ("a proctor twice", &|b| b.proctors[0].0.id = b.proctors[1].0.id.clone()),
        ("another room", &|b| b.entries[0].0.room = RoomId::new("R-2").expect("valid")),
        ("a space without a name", &|b| b.entries[0].1[0].space = EmbeddingSpaceId::new("")),
        ("a long title", &|b| b.exam.title = "x".repeat(MAX_NAME + 1)),
        ("a long name", &|b| b.entries[0].0.student.given_name = "x".repeat(MAX_NAME + 1)),
        ("a long preferred name", &|b| b.entries[0].0.student.preferred_name = Some("x".repeat(MAX_NAME + 1))),
        ("nine cards", &|b| {
            b.entries[0].0.other_cards = (0..8).map(|n| Card::active(CardPseudonym::from_bytes([n; 32]))).collect();
        }),
        ("a second card of somebody else", &|b| b.entries[0].0.other_cards = vec![b.entries[1].0.card]),
        ("a card twice for one", &|b| b.entries[0].0.other_cards = vec![b.entries[0].0.card]),
        ("nine look-alikes", &|b| {
            b.entries[0].0.look_alikes = vec![StudentId::new("N9").expect("valid"); MAX_LOOK_ALIKES + 1];
        }),
        ("one's own look-alike", &|b| b.entries[0].0.look_alikes = vec![b.entries[0].0.student.id.clone()]),
        ("a template of who opted out", &|b| b.entries[0].0.matching = Matching::None),
        ("many templates", &|b| b.entries[0].1 = entry(1, 257).1),
        ("a key without boxes", &|b| boxes(b).clear()),
        ("a box twice", &|b| boxes(b)[0].device = DeviceId::new("door-3").expect("valid")),
        ("boxes out of order", &|b| boxes(b).swap(0, 1)),
        ("a box without students", &|b| boxes(b)[0].students = 0),
        ("a box without a key", &|b| boxes(b)[0].signs_with = [0; 32]),
        ("many proctors", &|b| b.proctors = (0..=255).map(proctor).chain([proctor(1)]).collect()),
    ];
    for (name, harm) in harms {
        let mut harmed = with_peers(bundle(3));
        harm(&mut harmed);
        assert!(harmed.encode().is_err(), "{name}");
    }
}

#[test]
fn only_one_form_is_read() {
    let longer = [GOLDEN, &[0]].concat();
    // The version as a longer number than it needs: the same value in another form.
    let at = GOLDEN.windows(8).position(|bytes| bytes == b"\x67version").expect("named") + 8;
    let wordy = [&GOLDEN[..at], &[0x18, 0x03], &GOLDEN[at + 1..]].concat();
    for (name, bytes) in
        [("longer", &longer[..]), ("wordy", &wordy), ("shorter", &GOLDEN[..GOLDEN.len() - 1]), ("empty", &[])]
    {
        assert!(Bundle::decode(bytes) == Err(BundleError::Malformed), "{name}");
    }
    assert!(Bundle::decode(&vec![0; MAX_BUNDLE + 1]) == Err(BundleError::TooMuch { what: "bytes" }));
}

proptest! {
    #[test]
    fn a_bundle_comes_back(students in 1u32..40) {
        for bundle in [
            bundle(students),
            more(bundle(students)),
            with_peers(more(bundle(students))),
            newest(bundle(students)),
            with_peers(newest(bundle(students))),
        ] {
            let bytes = bundle.encode().expect("it fits");
            prop_assert!(Bundle::decode(&bytes) == Ok(bundle));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Bundle::decode(&bytes).is_err());
    }

    #[test]
    fn a_damaged_bundle_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..4_usize) {
        let mut bytes = [GOLDEN, GOLDEN_2, GOLDEN_3, GOLDEN_4][which].to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= byte.max(1);
        // The manifest's digest catches what still makes sense.
        let _ = Bundle::decode(&bytes);
    }
}
