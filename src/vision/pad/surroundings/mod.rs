//! Whether the head moves while the surroundings are static: the door's camera is fixed, and so is the room behind a person.
//!
//! The region around the face is kept as a reference, divided into blocks, and compared with each later frame. A block outside the
//! face that has texture and has not moved is a witness: it shows that camera and room are static (`reference.rs` measures it). A block
//! that moved once, such as a sleeve or hair, stops being a witness. So another reference is taken every [`RENEWED`]. One reference
//! in which the face moved and enough witnesses stayed static for [`STANDS`] is sufficient.
//!
//! Blocks: anything in a hand that fills the region (a print, bent or not, a still or a *replayed clip* on a screen), because it moves
//! as a whole, at least by the hand's tremor. Does not block: a screen on a stand that replays a fixed camera's clip; a picture whose
//! edges lie inside the region, with the room around it (the net is meant to see those). There are no witnesses in front of a blank
//! wall or with a shaking camera: people there are asked to turn the head.

mod reduced;
mod reference;

use std::time::Duration;

use self::{reduced::Reduced, reference::Reference};
use super::super::{Bounds, Face, ImageView, Landmarks};
use crate::domain::MonoTime;

/// Cells across the face, approximately. A cell is a whole number of pixels, at most [`LARGEST`], so that a tremor shows on a large face too.
const CELLS: f32 = 64.0;
const LARGEST: usize = 4;
/// Frames before the first reference: the first frames of an encoded clip, or after a change of exposure, differ from all others.
const SKIPPED: u32 = 2;
/// Time from one reference to the next.
const RENEWED: Duration = Duration::from_millis(200);
/// How long witnesses must stay static: the time that the shortest look leaves the first reference. A hand trembles eight to
/// twelve times per second (Elble and Randall, "Motor-unit activity responsible for 8- to 12-Hz component of human physiological finger
/// tremor", Journal of Neurophysiology 39, 1976), so several times in that.
const STANDS: Duration = Duration::from_millis(600);
/// Cells that the face must move, as the median of its blocks: three times the limit for a witness.
const MOVED: f32 = 0.35;
/// Frames that must show the face moved.
const FRAMES: u32 = 3;

/// Follows one face and what is around it over the frames of a session.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    seen: u32,
    /// Side of a cell in pixels, set by the first face.
    cell: Option<usize>,
    /// The references, and when the last was taken.
    kept: Vec<Kept>,
    renewed: Option<MonoTime>,
    are_static: bool,
}

#[derive(Debug)]
struct Kept {
    since: MonoTime,
    reference: Reference,
    /// Later frames in which the face was elsewhere.
    moved: u32,
}

impl Surroundings {
    /// Adds one frame with `face` in it.
    pub(super) fn observe(&mut self, view: &ImageView<'_>, face: &Face, captured_at: MonoTime) {
        self.seen += 1;
        if self.seen <= SKIPPED {
            return;
        }
        let Some(cell) = self.cell.or_else(|| cell(face)) else { return };
        self.cell = Some(cell);
        let frame = Reduced::new(view, cell);
        for kept in &mut self.kept {
            kept.moved += u32::from(kept.reference.face_shift(&frame) > MOVED);
        }
        // A reference without witnesses proves nothing any more.
        self.kept.retain(|kept| kept.reference.has_witnesses());
        self.are_static = self.kept.iter().any(|kept| kept.moved >= FRAMES && captured_at.since(kept.since) >= STANDS);
        if self.renewed.is_none_or(|renewed| captured_at.since(renewed) >= RENEWED) {
            self.renewed = Some(captured_at);
            self.kept.push(Kept { since: captured_at, reference: Reference::new(&frame, face), moved: 0 });
        }
    }

    /// Whether the face has moved while the room was static.
    pub(super) const fn are_static(&self) -> bool {
        self.are_static
    }
}

/// Whether the camera sees enough texture around the place of a face (a third of the picture high). Without it everybody is asked to
/// turn the head.
///
/// Shape: any picture; nobody should stand in it.
#[must_use]
pub fn has_backdrop(view: &ImageView<'_>) -> bool {
    let (width, height) = (view.width() as f32, view.height() as f32);
    let (middle, side) = (width / 2.0, height / 3.0);
    let bounds = Bounds { left: middle - 0.4 * side, top: side, right: middle + 0.4 * side, bottom: 2.0 * side };
    let face = Face { bounds, score: 1.0, landmarks: Landmarks::default() };
    cell(&face).is_some_and(|cell| Reference::new(&Reduced::new(view, cell), &face).has_witnesses())
}

/// Side of a cell in pixels for this face; `None` for a face without a size.
fn cell(face: &Face) -> Option<usize> {
    let side = face.bounds.width().max(face.bounds.height());
    (side.is_finite() && side >= CELLS / 2.0).then(|| ((side / CELLS).round() as usize).clamp(1, LARGEST))
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{Colour, Image},
        *,
    };

    const SIDE: usize = 240;

    /// Something textured, whose every point (x, y) shows what lies at `map(x, y)`, with a little noise.
    fn picture(noise: u32, map: impl Fn(f32, f32) -> (f32, f32)) -> Image {
        let mut seed = 12345 + noise;
        let mut bytes = Vec::with_capacity(SIDE * SIDE * 3);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let (u, v) = map(x as f32, y as f32);
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let jitter = (seed >> 16) as f32 / 65_536.0 * 3.0 - 1.5;
                let value = 120.0 + 50.0 * (u / 3.0).sin() * (v / 3.5).cos() + jitter;
                bytes.extend([value.clamp(0.0, 255.0) as u8; 3]);
            }
        }
        Image::new(bytes, SIDE, SIDE, Colour::Rgb).expect("whole")
    }

    /// Frames per second of these.
    const RATE: u64 = 30;

    fn at(frame: u64) -> MonoTime {
        MonoTime::from_start(Duration::from_millis(1000 * frame / RATE))
    }

    fn are_static(frames: impl IntoIterator<Item = Image>) -> bool {
        let bounds = Bounds { left: 80.0, top: 70.0, right: 150.0, bottom: 160.0 };
        let face = Face { bounds, score: 1.0, landmarks: Landmarks::default() };
        let mut surroundings = Surroundings::default();
        for (n, frame) in (0..).zip(frames) {
            surroundings.observe(&frame.view().expect("whole"), &face, at(n));
        }
        surroundings.are_static()
    }

    fn in_face(x: f32, y: f32) -> bool {
        (75.0..155.0).contains(&x) && (65.0..165.0).contains(&y)
    }

    /// Frames of 0.8 s, each made of its number.
    fn frames(map: impl Fn(f32, f32, u32) -> (f32, f32)) -> Vec<Image> {
        (0..24).map(|n| picture(n, |x, y| map(x, y, n))).collect()
    }

    fn nod(x: f32, y: f32, n: u32) -> (f32, f32) {
        (x + if in_face(x, y) { n as f32 / 8.0 } else { 0.0 }, y)
    }

    #[test]
    fn only_what_moves_before_what_stands_is_seen_as_such() {
        for (case, wanted, frames) in [
            ("nods before a room", true, frames(nod)),
            ("the same, too short", false, frames(nod)[..18].to_vec()),
            ("nothing moves", false, frames(|x, y, _| (x, y))),
            ("all moves", false, frames(|x, y, n| (x + n as f32 / 8.0, y - n as f32 / 12.0))),
            (
                "a clip of a nod, in a hand",
                false,
                frames(|x, y, n| {
                    let (x, y) = nod(x, y, n);
                    (x, y + n as f32 / 16.0)
                }),
            ),
            ("the same, moved along the only edges", false, frames(|x, y, n| (nod(x, y, n).0, 0.0))),
            (
                "nods before a blank wall",
                false,
                frames(|x, y, n| if in_face(x, y) { nod(x, y, n) } else { (0.0, 0.0) }),
            ),
        ] {
            assert_eq!(are_static(frames), wanted, "{case}");
        }
    }

    #[test]
    fn a_door_that_slams_once_is_forgiven() {
        let jolt = |n: u32| if n < 12 { 1.0 } else { 0.0 };
        let frames = |count: u32| (0..count).map(|n| picture(n, move |x, y| nod(x + jolt(n), y + jolt(n), n)));
        assert!(!are_static(frames(28)), "too soon");
        assert!(are_static(frames(36)));
    }

    #[test]
    fn a_blank_wall_is_no_backdrop() {
        let backdrop = |map: fn(f32, f32) -> (f32, f32)| has_backdrop(&picture(0, map).view().expect("whole"));
        assert!(backdrop(|x, y| (x, y)));
        assert!(!backdrop(|_, _| (0.0, 0.0)), "blank");
        assert!(!backdrop(|x, _| (x, 0.0)), "a shift along these edges would not show");
        assert!(!has_backdrop(&Image::new(vec![9; 12], 2, 2, Colour::Rgb).expect("whole").view().expect("whole")));
    }

    #[test]
    fn flicker_is_no_motion() {
        let lit = |n: u32| {
            let frame = picture(n, |x, y| nod(x, y, n));
            let bytes = frame.as_bytes().iter().map(|&v| (f32::from(v) * (0.8 + n as f32 / 100.0)) as u8).collect();
            Image::new(bytes, SIDE, SIDE, Colour::Rgb).expect("whole")
        };
        assert!(are_static((0..24).map(lit)));
    }

    #[test]
    fn what_cannot_be_compared_is_survived() {
        let grey = || Image::new(vec![128; SIDE * SIDE * 3], SIDE, SIDE, Colour::Rgb).expect("whole");
        assert!(!are_static((0..30).map(|_| grey())));
        let small = || Image::new(vec![9; 5 * 5 * 3], 5, 5, Colour::Rgb).expect("whole");
        assert!(!are_static((0..30).map(|n| if n < 4 { picture(n, |x, y| (x, y)) } else { small() })));
        assert!(!are_static((0..30).map(|_| small())));
        let frame = picture(0, |x, y| (x, y));
        for (left, right) in [(-90.0, -10.0), (235.0, 400.0), (f32::NAN, 100.0), (10.0, 12.0), (-1e30, 1e30)] {
            let bounds = Bounds { left, top: 0.0, right, bottom: 100.0 };
            let mut surroundings = Surroundings::default();
            for n in 0..30 {
                surroundings.observe(
                    &frame.view().expect("whole"),
                    &Face { bounds, score: 1.0, landmarks: Landmarks::default() },
                    at(n),
                );
            }
            assert!(!surroundings.are_static(), "{left}");
        }
    }
}
