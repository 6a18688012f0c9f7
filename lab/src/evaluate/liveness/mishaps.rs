//! What goes wrong before a camera, composed from the test pictures and played through the shipped session and probe: nobody there,
//! several people, no light, one face after another. Each ends with the decision that is right, and none is admitted on another's
//! evidence.

use examgate::{
    domain::{Decision, QualityDefect, Reason},
    vision::Bounds,
};
use image::{Rgb, RgbImage, imageops};

use super::staged::{StagedTap, picture};
use crate::play::tap::Outcome;

/// A man before a door; live.
const HIM: &str = "clips/single_face";
/// A woman before a wall; live.
const HER: &str = "clips/WolfgangLanger_Pexels";

fn clip(name: &str) -> impl Iterator<Item = RgbImage> + '_ {
    (1..=60).map(move |n| picture(&format!("{name}/{n:04}.jpg")))
}

/// `picture`, moved and enlarged so that its face at `from` fills `to`, in a frame of the clips' size.
fn placed(picture: &RgbImage, from: &Bounds, to: &Bounds) -> RgbImage {
    let scale = to.height() / from.height();
    let side = |side: u32| (side as f32 * scale).round() as u32;
    let resized =
        imageops::resize(picture, side(picture.width()), side(picture.height()), imageops::FilterType::Triangle);
    let mut frame = RgbImage::from_pixel(640, 360, Rgb([128; 3]));
    let (at, aim) = (from.centre(), to.centre());
    imageops::overlay(&mut frame, &resized, (aim.x - at.x * scale) as i64, (aim.y - at.y * scale) as i64);
    frame
}

const REFER: fn(Reason) -> Decision = Decision::Refer;

#[test]
fn nobody_in_any_frame() {
    let mut stage = StagedTap::new();
    let templates = stage.enrolled(&picture("clips/single_face/0070.jpg"));
    let ended = stage.play(&templates, clip("clips/no_face"));
    assert_eq!((ended.decision, ended.frames_used), (REFER(Reason::NoFace), 0));
    assert_eq!(ended.outcome(), Outcome::NotLookedAt);
}

#[test]
fn several_people_walk_through() {
    let mut stage = StagedTap::new();
    let templates = stage.enrolled(&picture("clips/single_face/0070.jpg"));
    let people = picture("photos/multi_face.jpg");
    let crowd = imageops::resize(&people, 1400, 934, imageops::FilterType::Triangle);
    // The student looks for a moment too short, then others pass from right to left, three of them in view, for all three attempts.
    let passing = |n: u32| imageops::crop_imm(&crowd, 380 + n / 3, 220, 640, 480).to_image();
    let ended = stage.play(&templates, clip(HIM).take(4).chain((0..225).map(passing)));
    assert_eq!((ended.decision, ended.frames_used), (REFER(Reason::SeveralFaces), 0));
}

#[test]
fn the_lights_go_off() {
    let mut stage = StagedTap::new();
    let templates = stage.enrolled(&picture("clips/single_face/0070.jpg"));
    let dark = |mut frame: RgbImage| {
        frame.iter_mut().for_each(|value| *value /= 12);
        frame
    };
    // Off after a fifth of a second, for good: nothing more is seen, and what was seen does not suffice.
    let ended = stage.play(&templates, clip(HIM).take(4).chain(clip(HIM).skip(4).map(dark)));
    let too_little = [Reason::NoFace, Reason::PoorQuality(QualityDefect::TooDark)].map(REFER);
    assert!(too_little.contains(&ended.decision), "{ended:?}");
    // Half-way: neither is it admitted in the dark.
    let ended = stage.play(&templates, clip(HIM).take(18).chain(clip(HIM).skip(18).map(dark)));
    assert_ne!(ended.decision, Decision::Admit, "{ended:?}");
}

#[test]
fn a_face_leaves_and_another_comes() {
    let mut stage = StagedTap::new();
    let [him, her] = [HIM, HER].map(|clip| stage.enrolled(&picture(&format!("{clip}/0010.jpg"))));
    let empty = || (0..6).map(|_| RgbImage::from_pixel(640, 360, Rgb([128; 3])));
    // Too short a look at the student, a long one at somebody else: the card is not theirs.
    let ended = stage.play(&him, clip(HIM).take(12).chain(empty()).chain(clip(HER)));
    assert_eq!(ended.decision, Decision::Deny(Reason::FaceMismatch), "{ended:?}");
    // The other way round, and the student not long enough before the clip ends: never admitted on the stranger's signs of life.
    let ended = stage.play(&her, clip(HIM).take(18).chain(empty()).chain(clip(HER).take(4)));
    assert_ne!(ended.decision, Decision::Admit, "{ended:?}");
}

#[test]
fn a_face_is_replaced_within_one_frame() {
    let mut stage = StagedTap::new();
    let (hers, his) = (picture("clips/WolfgangLanger_Pexels/0010.jpg"), picture("photos/single_face.jpg"));
    let place = stage.face(&picture("clips/single_face/0018.jpg"));
    let her = stage.enrolled(&hers);
    let from = stage.face(&hers);
    let still = placed(&hers, &from, &place);
    let there = stage.face(&still);
    assert!((there.centre().x - place.centre().x).abs() < 12.0, "the same place: {there:?} {place:?}");
    // He lives, her photo comes where his face was: his signs of life do not count for her.
    for seen in [4, 18] {
        let ended = stage.play(&her, clip(HIM).take(seen).chain((0..90).map(|_| still.clone())));
        assert_eq!(ended.decision, REFER(Reason::SpoofSuspected), "{seen}: {ended:?}");
    }
    // Looked at for a whole look, he is somebody else's face: what comes after him does not change that.
    let ended = stage.play(&her, clip(HIM).take(30).chain((0..90).map(|_| still.clone())));
    assert_eq!(ended.decision, Decision::Deny(Reason::FaceMismatch), "{ended:?}");
    // And frame about, the whole time.
    let turns = clip(HIM).enumerate().map(|(n, frame)| if n % 2 == 0 { frame } else { still.clone() });
    let ended = stage.play(&her, turns);
    assert_ne!(ended.decision, Decision::Admit, "{ended:?}");
    // His own photo where his face was before he had been looked at long enough.
    let him = stage.enrolled(&picture("clips/single_face/0070.jpg"));
    let from = stage.face(&his);
    let photo = placed(&his, &from, &place);
    let ended = stage.play(&him, clip(HER).take(18).chain((0..90).map(|_| photo.clone())));
    assert_eq!(ended.decision, REFER(Reason::SpoofSuspected), "{ended:?}");
}
