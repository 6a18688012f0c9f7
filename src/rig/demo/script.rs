//! The scripted morning: who taps which card, who stands before the camera, and what the box should answer.

use std::path::PathBuf;

use super::{
    super::{stage::Enrolled, virtual_card::Behaviour},
    proofs::{DESFIRE, PIV},
};
use crate::edge::camera::replay::Scene;

/// The exam at the door.
pub(super) const EXAM: &str = "MATH-UA-120-final";
pub(super) const EXAM_TITLE: &str = "Linear Algebra, final";
pub(super) const DOORS: (&str, &str) = ("2026-12-14T08:30:00-05:00", "2026-12-14T09:15:00-05:00");

/// Another exam whose roster the box holds too.
pub(super) const OTHER_EXAM: &str = "CHEM-UA-125-final";
pub(super) const OTHER_TITLE: &str = "General Chemistry, final";
pub(super) const OTHER_DOORS: (&str, &str) = ("2026-12-14T13:30:00-05:00", "2026-12-14T14:15:00-05:00");

pub(super) const EARLY: &str = "2026-12-14T08:05:00-05:00";
pub(super) const OPEN: &str = "2026-12-14T08:40:00-05:00";

const MAN: &str = "04A1B2C3D4E5F6";
const WOMAN: &str = "04112233445566";
const PHOTOGRAPHED: &str = "04C0FFEE112233";
const HELD_UP: &str = "04F00D12345678";
const ELSEWHERE: &str = "04BADA55AABBCC";
/// An iCLASS card, by its identifier of eight bytes.
const ICLASS: [u8; 8] = [0x32, 0x96, 0x62, 0x02, 0xF8, 0xFF, 0x12, 0xE0];
/// A Seos card, by facility code and card number; below as the reader gives it: unused bits, and bytes.
const SEOS: &str = "h10304:587-50301";
const SEOS_BITS: (u8, [u8; 5]) = (3, [0x81, 0x25, 0x8C, 0x47, 0xD0]);

/// How the box reads a number out of the reader's secure element.
pub(super) const PACS: &str = "[card.pacs]\nforms = [\"h10304\"]\n";

/// How the box reads cards where none can prove itself: that number, or else the identifier.
pub(super) fn cards() -> String {
    format!("[card]\nprofiles = [\"pacs\", \"uid\"]\n{PACS}")
}

/// She looks at the camera until the card is decided.
pub(super) fn woman_looking(picture: impl Fn(&str) -> PathBuf) -> Scene {
    Scene::Clip { folder: picture("clips/WolfgangLanger_Pexels"), range: Some(72..150), looping: true }
}

const WOMAN_PICTURES: &[&str] = &["clips/WolfgangLanger_Pexels/0001.jpg", "clips/WolfgangLanger_Pexels/0010.jpg"];

/// The card of somebody who was admitted in the morning, and what the box answers to it from then on.
pub(super) fn inside() -> (Vec<u8>, (&'static str, Option<&'static str>)) {
    (hex::decode(WOMAN).expect("a constant identifier is hexadecimal"), ("refer", Some("already_admitted")))
}

/// The students of the exam. Clips are enrolled from frames that are not shown later.
pub(super) const STUDENTS: &[Enrolled<'static>] = &[
    Enrolled {
        id: "N10000001",
        given_name: "Noah",
        card: MAN,
        pictures: &["clips/single_face/0062.jpg", "clips/single_face/0072.jpg"],
        language: None,
    },
    Enrolled { id: "N10000002", given_name: "Clara", card: WOMAN, pictures: WOMAN_PICTURES, language: None },
    // The same actress with other cards.
    Enrolled {
        id: "N10000006",
        given_name: "Iris",
        card: "32966202F8FF12E0",
        pictures: WOMAN_PICTURES,
        language: None,
    },
    Enrolled { id: "N10000007", given_name: "Sofia", card: SEOS, pictures: WOMAN_PICTURES, language: None },
    Enrolled { id: "N10000008", given_name: "Lena", card: DESFIRE, pictures: WOMAN_PICTURES, language: None },
    Enrolled { id: "N10000009", given_name: "Mei", card: PIV, pictures: WOMAN_PICTURES, language: None },
    Enrolled {
        id: "N10000003",
        given_name: "Barack",
        card: PHOTOGRAPHED,
        pictures: &["photos/obama.jpg", "photos/obama3.jpg"],
        language: None,
    },
    Enrolled {
        id: "N10000005",
        given_name: "Adam",
        card: HELD_UP,
        pictures: &["photos/single_face.jpg"],
        language: None,
    },
];

/// A student of the other exam.
pub(super) const OTHERS: &[Enrolled<'static>] = &[Enrolled {
    id: "N10000004",
    given_name: "Joe",
    card: ELSEWHERE,
    pictures: &["photos/biden.jpg"],
    language: None,
}];

/// One step of the morning.
pub(super) struct Step {
    /// What happens, in words.
    pub(super) what: &'static str,
    /// The wall clock, where it changes.
    pub(super) clock: Option<&'static str>,
    /// A card that is reported lost just before.
    pub(super) lost: Option<&'static str>,
    /// What lies on the reader.
    pub(super) card: Behaviour,
    /// Who stands before the camera.
    pub(super) scene: Scene,
    /// What the box should answer: the decision and its reason.
    pub(super) expected: (&'static str, Option<&'static str>),
}

/// The morning. `picture` finds a test picture.
pub(super) fn morning(picture: impl Fn(&str) -> PathBuf) -> Vec<Step> {
    let clip = |name: &str, from: usize, to: usize| Scene::Clip {
        folder: picture(&format!("clips/{name}")),
        range: Some(from..to),
        looping: true,
    };
    let man = || clip("single_face", 0, 56);
    let woman_looking = || woman_looking(&picture);
    let uid = |text: &str| Behaviour::Uid(hex::decode(text).expect("a constant identifier is hexadecimal"));
    let step = |what, card, scene, expected| Step { what, clock: None, lost: None, card, scene, expected };
    let mut steps = vec![
        step("before the doors open", uid(WOMAN), woman_looking(), ("deny", Some("too_early"))),
        step(
            "two people in view",
            uid(WOMAN),
            Scene::SideBySide(picture("photos/single_face.jpg"), picture("photos/obama2.jpg")),
            ("refer", Some("several_faces")),
        ),
        step("nobody in view", uid(WOMAN), Scene::Empty, ("refer", Some("no_face"))),
        step("the right person", uid(WOMAN), woman_looking(), ("admit", None)),
        step("the same person once more", uid(WOMAN), woman_looking(), ("refer", Some("already_admitted"))),
        step("an iCLASS card, by its eight-byte number", Behaviour::iclass(ICLASS), woman_looking(), ("admit", None)),
        step(
            "a Seos card, by the number its reader has",
            Behaviour::seos([0xA1, 0xB2, 0xC3], SEOS_BITS.0, &SEOS_BITS.1),
            woman_looking(),
            ("admit", None),
        ),
        step("somebody else's card", uid(PHOTOGRAPHED), woman_looking(), ("deny", Some("face_mismatch"))),
        step("a card nobody knows", uid("04DEADBEEF0102"), man(), ("deny", Some("card_unknown"))),
        step("a number made up at this tap, and no other", uid("08A1B2C3"), man(), ("refer", Some("card_unstable"))),
        step("a pass in a phone's wallet", Behaviour::wallet([0x11, 0x22, 0x33]), man(), ("deny", Some("wallet_pass"))),
        step("a student of another exam", uid(ELSEWHERE), man(), ("deny", Some("not_on_roster"))),
        step(
            "a still photo of the right person",
            uid(PHOTOGRAPHED),
            Scene::Still(picture("photos/obama2.jpg")),
            ("refer", Some("spoof_suspected")),
        ),
        step(
            "a photo of the right person, held up and moved",
            uid(HELD_UP),
            clip("held_photo", 0, 60),
            ("refer", Some("spoof_suspected")),
        ),
        step("a card pulled too early", Behaviour::Pulled, woman_looking(), ("refer", Some("card_unreadable"))),
        step("a card reported lost a moment ago", uid(HELD_UP), man(), ("deny", Some("card_revoked"))),
        step("asked to turn the head, but does not", uid(MAN), man(), ("refer", Some("spoof_suspected"))),
    ];
    steps[0].clock = Some(EARLY);
    steps[1].clock = Some(OPEN);
    let reported = steps.len() - 2;
    steps[reported].lost = Some(HELD_UP);
    steps
}
