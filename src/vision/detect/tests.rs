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
        let own = |picture: RgbImage| {
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            Image::new(picture.into_raw(), width, height, Colour::Rgb).unwrap()
        };
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
