//! Bundles that come back as they went, and those that are refused.

use proptest::prelude::*;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/bundle-v1.cbor");

fn entry(n: u32, templates: u32) -> (RosterEntry, Vec<Template>) {
    let mut card = [0; 32];
    card[..4].copy_from_slice(&n.to_be_bytes());
    let student = Student {
        id: StudentId::new(format!("N{n}")).expect("valid"),
        given_name: format!("Student {n}"),
        language: n.is_multiple_of(2).then(|| Language::new("es").expect("a tag")),
    };
    let standing = if n.is_multiple_of(3) { CardStanding::Revoked } else { CardStanding::Active };
    let room = RoomId::new("R-1").expect("valid");
    let template = |t: u32| Template {
        space: EmbeddingSpaceId::new("sface-128"),
        artifact: ArtifactId::from_bytes([7; 32]),
        // Components that are exact as they are, so normalising changes nothing.
        embedding: Embedding::normalised(if t.is_multiple_of(2) { vec![0.0, 1.0] } else { vec![1.0, 0.0] })
            .expect("has direction"),
    };
    (
        RosterEntry { student, card: CardPseudonym::from_bytes(card), standing, room },
        (0..templates).map(template).collect(),
    )
}

fn proctor(n: u8) -> (Proctor, Zeroizing<String>) {
    let id = ProctorId::new(format!("p{n}")).expect("valid");
    let card = CardPseudonym::from_bytes([n; 32]);
    (Proctor { id, name: "A. Okafor".into(), card }, Zeroizing::new("$argon2id$hash".into()))
}

fn bundle(students: u32) -> Bundle {
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
        pepper: PepperCheck::from_bytes([5; 16]),
        entries: (1..=students).map(|n| entry(n, n % 3)).collect(),
        proctors: vec![proctor(200), proctor(201)],
    }
}

#[test]
fn golden_bundle() {
    assert_eq!(bundle(3).encode().expect("it fits").as_slice(), GOLDEN);
    assert!(Bundle::decode(GOLDEN) == Ok(bundle(3)));
}

#[test]
fn what_contradicts_itself_or_is_too_much_is_refused() {
    type Harm<'a> = &'a dyn Fn(&mut Bundle);
    let harms: [(&str, Harm<'_>); 12] = [
        ("no students", &|b| b.entries.clear()),
        ("closes first", &|b| b.exam.window.closes = b.exam.window.opens),
        ("a student twice", &|b| b.entries.push(entry(1, 0))),
        ("a card twice", &|b| b.entries[1].0.card = b.entries[0].0.card),
        ("a proctor's card", &|b| b.proctors[0].0.card = b.entries[0].0.card),
        ("a proctor twice", &|b| b.proctors[0].0.id = b.proctors[1].0.id.clone()),
        ("another room", &|b| b.entries[0].0.room = RoomId::new("R-2").expect("valid")),
        ("another space", &|b| b.entries[0].1[0].space = EmbeddingSpaceId::new("other")),
        ("a long title", &|b| b.exam.title = "x".repeat(MAX_NAME + 1)),
        ("a long name", &|b| b.entries[0].0.student.given_name = "x".repeat(MAX_NAME + 1)),
        ("many templates", &|b| b.entries[0].1 = entry(1, 257).1),
        ("many proctors", &|b| b.proctors = (0..=255).map(proctor).chain([proctor(1)]).collect()),
    ];
    for (name, harm) in harms {
        let mut harmed = bundle(3);
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
        let bundle = bundle(students);
        let bytes = bundle.encode().expect("it fits");
        prop_assert!(Bundle::decode(&bytes) == Ok(bundle));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Bundle::decode(&bytes).is_err());
    }

    #[test]
    fn a_damaged_bundle_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = GOLDEN.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= byte.max(1);
        // The manifest's digest catches what still makes sense.
        let _ = Bundle::decode(&bytes);
    }
}
