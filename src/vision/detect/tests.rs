//! The detector with its real nets on real photos: does it find eyes, nose and mouth where they are, however the face comes to lie in
//! its windows?

use image::{RgbImage, imageops, imageops::FilterType};

use super::*;
use crate::vision::{
    Colour, Image, Pipeline,
    align::apart,
    tests::{photo, pipeline},
};

/// Most that an alignment may be off, pixels of the aligned face, of which 35 lie between the eyes.
const MOST: f64 = 2.5;

fn only_face(pipeline: &mut Pipeline, image: &Image) -> Face {
    let faces = pipeline.detect_photo(&image.view().unwrap()).unwrap();
    assert_eq!(faces.len(), 1, "{faces:?}");
    faces[0]
}

#[test]
fn a_face_askew_in_its_window_is_seen_as_well_as_one_in_the_middle() {
    let mut pipeline = pipeline();
    for name in ["obama", "obama2", "single_face"] {
        let image = photo(name);
        let view = image.view().unwrap();
        let face = only_face(&mut pipeline, &image);
        let around = squared(&face.bounds);
        for (right, down, scale) in [
            (0.0, 0.0, 1.0),
            (0.2, 0.2, 1.0),
            (-0.2, 0.2, 1.0),
            (0.2, -0.2, 1.0),
            (0.25, 0.0, 1.0),
            (0.0, 0.25, 1.0),
            (0.0, -0.2, 0.8),
            (0.0, 0.0, 0.75),
        ] {
            let (side, middle) = (around.width(), around.centre());
            let half = scale * side / 2.0;
            let (x, y) = (middle.x + right * side, middle.y + down * side);
            let askew = Bounds { left: x - half, top: y - half, right: x + half, bottom: y + half };
            let window = Candidate { bounds: squared(&askew), score: 1.0 };
            let seen = pipeline.detector().output(&view, &[window], 0.5).unwrap();
            let [seen] = seen[..] else { panic!("{name} {right} {down} {scale}: {seen:?}") };
            let off = apart(&face.landmarks, &seen.landmarks);
            assert!(off < MOST, "{name} in a window {right} to the right, {down} down, {scale} as large: {off:.1} off");
        }
    }
}

#[test]
fn a_photo_enlarged_or_moved_is_aligned_as_before() {
    let mut pipeline = pipeline();
    for name in ["obama", "obama2", "single_face"] {
        let image = photo(name);
        let full = RgbImage::from_raw(image.width() as u32, image.height() as u32, image.as_bytes().to_vec()).unwrap();
        let resized = |width: u32, height: u32| imageops::resize(&full, width, height, FilterType::Triangle);
        let (width, height) = (full.width() * 250 / full.height(), 250);
        let small = resized(width, height);
        let face = only_face(&mut pipeline, &own(small.clone()));
        for percent in [110, 120, 130, 140, 150] {
            let (width, height) = (width * percent / 100, height * percent / 100);
            let seen = only_face(&mut pipeline, &own(resized(width, height)));
            let (across, along) = (width as f32 / small.width() as f32, height as f32 / small.height() as f32);
            // The middle of the first pixel is (0, 0).
            let back = |p: Point| Point { x: (p.x + 0.5) / across - 0.5, y: (p.y + 0.5) / along - 0.5 };
            let off = apart(&face.landmarks, &Landmarks(seen.landmarks.0.map(back)));
            assert!(off < MOST, "{name} at {percent} %: {off:.1} off");
        }
        for by in 1..=8 {
            let cut = imageops::crop_imm(&small, by, by, small.width() - by, small.height() - by).to_image();
            let seen = only_face(&mut pipeline, &own(cut));
            let back = |p: Point| Point { x: p.x + by as f32, y: p.y + by as f32 };
            let off = apart(&face.landmarks, &Landmarks(seen.landmarks.0.map(back)));
            assert!(off < MOST, "{name} moved by {by}: {off:.1} off");
        }
    }
}

/// `front`'s face pasted over `back` so that it hides part of the face there: the middles are `apart` of a face's width away from each
/// other. With the points of the face in front.
fn overlapping(pipeline: &mut Pipeline, front: &str, back: &str, apart: f32) -> (Image, Landmarks) {
    let mut look = |name: &str| {
        let image = photo(name);
        let full = RgbImage::from_raw(image.width() as u32, image.height() as u32, image.as_bytes().to_vec()).unwrap();
        // So that a face is 120 pixels high.
        let by = 120.0 / only_face(pipeline, &image).bounds.height();
        let side = |pixels: u32| (pixels as f32 * by).round() as u32;
        let small = imageops::resize(&full, side(full.width()), side(full.height()), FilterType::Triangle);
        let face = only_face(pipeline, &own(small.clone()));
        (small, face)
    };
    let ((front, face), (mut picture, behind)) = (look(front), look(back));
    let Bounds { left, top, right, bottom } = face.bounds;
    let (width, height) = ((right - left) as u32, (bottom - top) as u32);
    let cut = imageops::crop_imm(&front, left as u32, top as u32, width, height).to_image();
    let middle = behind.bounds.centre();
    let (x, y) = (middle.x - (apart + 0.5) * width as f32, middle.y - 0.5 * height as f32);
    imageops::replace(&mut picture, &cut, x as i64, y as i64);
    let there = |p: Point| Point { x: p.x - left.floor() + x.floor(), y: p.y - top.floor() + y.floor() };
    (own(picture), Landmarks(face.landmarks.0.map(there)))
}

fn own(picture: RgbImage) -> Image {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Image::new(picture.into_raw(), width, height, Colour::Rgb).unwrap()
}

#[test]
fn a_face_before_another_keeps_its_own_points() {
    let mut pipeline = pipeline();
    for (front, back) in [
        ("obama2", "single_face"),
        ("single_face", "obama2"),
        ("biden", "obama"),
        ("obama", "biden"),
        ("obama2", "biden"),
    ] {
        for tenths in 6..=8 {
            let (picture, points) = overlapping(&mut pipeline, front, back, tenths as f32 / 10.0);
            for care in [Care::Frame, Care::Photo] {
                let detector = pipeline.detector();
                let faces = detector.detect_with(&picture.view().unwrap(), 40, detector.thresholds(), care).unwrap();
                let off = faces.iter().map(|face| apart(&points, &face.landmarks)).fold(f64::MAX, f64::min);
                assert!(off < MOST, "{front} before {back}, {tenths} tenths, as a {care:?}: {off:.1} off");
            }
        }
    }
}

#[test]
fn points_that_do_not_fit_together_are_strange() {
    let mut pipeline = pipeline();
    for name in ["obama", "obama2", "single_face"] {
        let face = only_face(&mut pipeline, &photo(name));
        let strangeness = |face: &Face| Shape::of(face).strangeness();
        assert!(strangeness(&face) < 5.0, "{name}: {}", strangeness(&face));
        for p in 0..5 {
            let mut wrong = face;
            wrong.landmarks.0[p].x += 0.2 * face.bounds.width();
            assert!(strangeness(&wrong) > 5.0, "{name}, point {p}: {}", strangeness(&wrong));
        }
    }
}
