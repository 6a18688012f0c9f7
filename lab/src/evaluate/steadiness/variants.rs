//! Changed copies of a picture that still show the same face.

use examgate::vision::{Colour, Face, Image, PictureError, Point};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops, imageops::FilterType};
use serde::Serialize;

/// What is done to a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Variant {
    AsIs,
    /// By a fifth.
    Enlarged,
    /// By half.
    EnlargedMuch,
    /// By a fifth.
    Reduced,
    /// By three pixels, which are cut off at the left and at the top.
    Moved,
    /// By eight pixels.
    MovedMore,
    /// Left for right.
    Mirrored,
    /// By a quarter.
    Brightened,
    /// By a quarter.
    Darkened,
    /// As JPEG of quality 50.
    Reencoded,
}

impl Variant {
    pub(super) const ALL: &[Self] = &[
        Self::AsIs,
        Self::Enlarged,
        Self::EnlargedMuch,
        Self::Reduced,
        Self::Moved,
        Self::MovedMore,
        Self::Mirrored,
        Self::Brightened,
        Self::Darkened,
        Self::Reencoded,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AsIs => "as it is",
            Self::Enlarged => "enlarged",
            Self::EnlargedMuch => "enlarged much",
            Self::Reduced => "reduced",
            Self::Moved => "moved",
            Self::MovedMore => "moved more",
            Self::Mirrored => "mirrored",
            Self::Brightened => "brightened",
            Self::Darkened => "darkened",
            Self::Reencoded => "re-encoded",
        }
    }

    /// `image`, whose channels are red, green, blue, changed so.
    pub(super) fn of(self, image: &Image) -> anyhow::Result<Image> {
        let picture = rgb(image)?;
        let (width, height) = picture.dimensions();
        let sized = |by: f64| {
            let side = |pixels: u32| ((f64::from(pixels) * by).round() as u32).max(1);
            imageops::resize(&picture, side(width), side(height), FilterType::Triangle)
        };
        let moved = |by: u32| {
            let (x, y) = (by.min(width - 1), by.min(height - 1));
            imageops::crop_imm(&picture, x, y, width - x, height - y).to_image()
        };
        let lit = |by: f32| {
            let mut picture = picture.clone();
            picture.iter_mut().for_each(|value| *value = (f32::from(*value) * by).round() as u8);
            picture
        };
        Ok(own(match self {
            Self::AsIs => picture,
            Self::Enlarged => sized(1.2),
            Self::EnlargedMuch => sized(1.5),
            Self::Reduced => sized(0.8),
            Self::Moved => moved(3),
            Self::MovedMore => moved(8),
            Self::Mirrored => imageops::flip_horizontal(&picture),
            Self::Brightened => lit(1.25),
            Self::Darkened => lit(0.75),
            Self::Reencoded => {
                let mut jpeg = Vec::new();
                JpegEncoder::new_with_quality(&mut jpeg, 50).encode_image(&picture)?;
                image::load_from_memory(&jpeg)?.into_rgb8()
            }
        })?)
    }
}

impl Variant {
    /// Where a point of a picture, `width` pixels wide, comes to lie.
    pub(super) fn place(self, point: Point, width: usize) -> Point {
        let scaled = |by: f32| Point { x: point.x * by, y: point.y * by };
        let moved = |by: f32| Point { x: point.x - by, y: point.y - by };
        match self {
            Self::AsIs | Self::Brightened | Self::Darkened | Self::Reencoded => point,
            Self::Enlarged => scaled(1.2),
            Self::EnlargedMuch => scaled(1.5),
            Self::Reduced => scaled(0.8),
            Self::Moved => moved(3.0),
            Self::MovedMore => moved(8.0),
            Self::Mirrored => Point { x: width as f32 - point.x, y: point.y },
        }
    }
}

/// A frame at the door: 640 x 480 pixels, which is what boxes ask their camera for by default.
const FRAME: (u32, u32) = (640, 480);
/// Pixels that a face is high in it: the door asks people to come closer until they are.
const FACE: f32 = 180.0;

/// `image` as a camera sees it whose middle `face` is in; black beside the picture.
pub(super) fn frame(image: &Image, face: &Face) -> anyhow::Result<Image> {
    let by = FACE / face.bounds.height().max(1.0);
    // Only what the frame shows is scaled: a small face in a large picture would make a huge one.
    let (wide, high) = (FRAME.0 as f32 / by, FRAME.1 as f32 / by);
    let middle = face.bounds.centre();
    let (left, top) = (middle.x - wide / 2.0, middle.y - high / 2.0);
    let picture = rgb(image)?;
    let (from_x, from_y) = (left.max(0.0).floor() as u32, top.max(0.0).floor() as u32);
    let to = |end: f32, limit: u32| (end.ceil().max(1.0) as u32).min(limit);
    let (to_x, to_y) = (to(left + wide, picture.width()), to(top + high, picture.height()));
    let shown = imageops::crop_imm(&picture, from_x, from_y, to_x.saturating_sub(from_x), to_y.saturating_sub(from_y))
        .to_image();
    let side = |pixels: u32| ((pixels as f32 * by).round() as u32).max(1);
    let scaled = imageops::resize(&shown, side(shown.width()), side(shown.height()), FilterType::Triangle);
    let mut frame = RgbImage::new(FRAME.0, FRAME.1);
    let at = |from: u32, edge: f32| ((from as f32 - edge) * by).round() as i64;
    imageops::replace(&mut frame, &scaled, at(from_x, left), at(from_y, top));
    Ok(own(frame)?)
}

fn rgb(image: &Image) -> anyhow::Result<RgbImage> {
    let (width, height) = (image.width() as u32, image.height() as u32);
    RgbImage::from_raw(width, height, image.as_bytes().to_vec())
        .ok_or_else(|| PictureError::Empty { width: image.width(), height: image.height() }.into())
}

fn own(picture: RgbImage) -> Result<Image, PictureError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Image::new(picture.into_raw(), width, height, Colour::Rgb)
}

#[cfg(test)]
mod tests {
    use examgate::vision::{Bounds, Landmarks};

    use super::*;

    #[test]
    fn a_point_lies_where_its_variant_brings_it() {
        let point = Point { x: 40.0, y: 20.0 };
        for &variant in Variant::ALL {
            // A white square of 9 pixels around the point, at (40, 20), in black.
            let mut picture = RgbImage::new(100, 80);
            for (x, y) in (36..45).flat_map(|x| (16..25).map(move |y| (x, y))) {
                picture.put_pixel(x, y, image::Rgb([200, 200, 200]));
            }
            let changed = rgb(&variant.of(&own(picture).unwrap()).unwrap()).unwrap();
            let place = variant.place(point, 100);
            let seen = changed.get_pixel(place.x.round() as u32, place.y.round() as u32);
            assert!(seen[0] > 100, "{variant:?}: {seen:?} at {place:?}");
        }
    }

    /// 60 x 40 pixels, black but for a white block of 10 x 20 at (30, 10).
    fn picture() -> Image {
        let pixel = |x: u32, y: u32| if (30..40).contains(&x) && (10..30).contains(&y) { 200 } else { 0 };
        own(RgbImage::from_fn(60, 40, |x, y| image::Rgb([pixel(x, y); 3]))).unwrap()
    }

    fn bright(image: &Image, x: usize, y: usize) -> bool {
        image.as_bytes()[(y * image.width() + x) * 3] > 100
    }

    #[test]
    fn variants_change_what_they_say() {
        for &variant in Variant::ALL {
            let made = variant.of(&picture()).unwrap();
            let (size, block) = match variant {
                Variant::Enlarged => ((72, 48), (42, 24)),
                Variant::EnlargedMuch => ((90, 60), (52, 30)),
                Variant::Reduced => ((48, 32), (28, 16)),
                Variant::Moved => ((57, 37), (32, 17)),
                Variant::MovedMore => ((52, 32), (27, 12)),
                Variant::Mirrored => ((60, 40), (24, 20)),
                Variant::AsIs | Variant::Brightened | Variant::Darkened | Variant::Reencoded => ((60, 40), (35, 20)),
            };
            assert_eq!((made.width(), made.height()), size, "{variant:?}");
            assert!(bright(&made, block.0, block.1) && !bright(&made, 0, 0), "{variant:?}");
        }
    }

    #[test]
    fn a_frame_has_the_face_in_its_middle() {
        let bounds = Bounds { left: 30.0, top: 10.0, right: 40.0, bottom: 30.0 };
        let face = Face { bounds, score: 1.0, landmarks: Landmarks::default() };
        let made = frame(&picture(), &face).unwrap();
        assert_eq!((made.width(), made.height()), (640, 480));
        for (x, y, white) in
            [(320, 240, true), (320, 160, true), (320, 320, true), (320, 130, false), (400, 240, false)]
        {
            assert_eq!(bright(&made, x, y), white, "{x},{y}");
        }
    }
}
