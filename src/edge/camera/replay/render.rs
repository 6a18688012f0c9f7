//! Scenes made into JPEG frames of the stream's size, once.
//!
//! Never plays them.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
};

use image::{
    DynamicImage, ImageFormat, ImageReader, Rgb, RgbImage,
    codecs::jpeg::JpegEncoder,
    imageops::{self, FilterType},
};

use super::Scene;
use crate::{
    edge::camera::{CameraError, StreamFormat},
    wire::jpeg,
};

/// Variants of a still: a quarter of a second until the first comes back.
const VARIANTS: u64 = 8;

/// Swing of the sensor's noise, in steps of 0..=255: what a webcam shows in a lit room.
const NOISE: i16 = 3;

/// JPEG quality, as of a UVC camera.
const QUALITY: u8 = 90;

/// A picture is cropped to fill the frame if no more than this share of it is lost (16:9 into 4:3 loses a quarter), or else
/// fitted whole onto grey.
const CROP_AT_MOST: f32 = 1.0 / 3.0;

/// What is behind a picture that does not fill the frame, and the wall of the empty scene.
const GREY: u8 = 118;

/// A scene, ready to play.
#[derive(Debug)]
pub(super) enum Reel {
    /// JPEG pictures, never none, the one that follows the last, and whether they come again without a sensor's noise.
    Frames {
        frames: Vec<Arc<[u8]>>,
        resume_at: usize,
        repeats: bool,
    },
    Torn,
    Mute,
    Unplugged,
}

impl Reel {
    /// The place after `at`.
    pub(super) fn after(&self, at: usize) -> usize {
        match self {
            Self::Frames { frames, resume_at, .. } if at + 1 >= frames.len() => *resume_at,
            Self::Frames { .. } => at + 1,
            Self::Torn | Self::Mute | Self::Unplugged => 0,
        }
    }
}

/// Renders `scene`.
pub(super) fn reel(scene: &Scene, format: StreamFormat) -> Result<Reel, CameraError> {
    let (width, height) = (format.width, format.height);
    let looped = |frames| Reel::Frames { frames, resume_at: 0, repeats: false };
    let ring = |frames| Reel::Frames { frames, resume_at: 0, repeats: true };
    Ok(match scene {
        Scene::Empty => looped(variants(&wall(width, height))),
        Scene::Still(path) => looped(variants(&fit(&load(path)?, width, height))),
        Scene::SideBySide(left, right) => {
            let mut both = RgbImage::from_pixel(width, height, Rgb([GREY; 3]));
            imageops::replace(&mut both, &fit(&load(left)?, width / 2, height), 0, 0);
            imageops::replace(&mut both, &fit(&load(right)?, width / 2, height), i64::from(width / 2), 0);
            looped(variants(&both))
        }
        Scene::Clip { folder, range, looping } => {
            let paths = pictures(folder)?;
            let chosen = match range {
                None => &paths[..],
                Some(range) => paths.get(range.clone()).unwrap_or_default(),
            };
            let Some(last) = chosen.last() else {
                return Err(refused(folder, format!("of its {} pictures none is in {range:?}", paths.len())));
            };
            let mut frames = chosen.iter().map(|path| frame(path, width, height)).collect::<Result<Vec<_>, _>>()?;
            let resume_at = if *looping { 0 } else { frames.len() };
            if !looping || frames.len() == 1 {
                frames.extend(variants(&fit(&load(last)?, width, height)));
            }
            Reel::Frames { frames, resume_at, repeats: false }
        }
        Scene::Black => {
            looped((0..VARIANTS).map(|seed| encode(&noisy(&RgbImage::new(width, height), 1, seed))).collect())
        }
        Scene::Frozen(path) => ring(vec![encode(&fit(&load(path)?, width, height))]),
        Scene::Ring(folder) => {
            let paths = pictures(folder)?;
            if paths.is_empty() {
                return Err(refused(folder, "no picture is in it"));
            }
            ring(paths.iter().map(|path| frame(path, width, height)).collect::<Result<Vec<_>, _>>()?)
        }
        Scene::Torn => Reel::Torn,
        Scene::Mute => Reel::Mute,
        Scene::Unplugged => Reel::Unplugged,
    })
}

fn refused(path: &Path, why: impl ToString) -> CameraError {
    CameraError::Replay { path: path.to_owned(), why: why.to_string() }
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, CameraError> {
    let entries = fs::read_dir(folder).map_err(|why| refused(folder, why))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|why| refused(folder, why)))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| {
        path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jpg") || end.eq_ignore_ascii_case("jpeg"))
    });
    paths.sort();
    Ok(paths)
}

/// The picture at `path` as a frame: as it is where it has the size, or else fitted.
fn frame(path: &Path, width: u32, height: u32) -> Result<Arc<[u8]>, CameraError> {
    let bytes = fs::read(path).map_err(|why| refused(path, why))?;
    let size = ImageReader::with_format(Cursor::new(&bytes), ImageFormat::Jpeg).into_dimensions();
    if size.map_err(|why| refused(path, why))? == (width, height) {
        let whole = jpeg::length(&bytes).and_then(|length| bytes.get(..length));
        return whole.map(Arc::from).ok_or_else(|| refused(path, "it is torn"));
    }
    Ok(encode(&fit(&load(path)?, width, height)))
}

fn load(path: &Path) -> Result<RgbImage, CameraError> {
    let bytes = fs::read(path).map_err(|why| refused(path, why))?;
    let picture = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).map_err(|why| refused(path, why))?;
    Ok(picture.into_rgb8())
}

/// `picture` as a frame of `width` x `height`, its middle in the middle.
fn fit(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let (across, down) = (width as f32 / picture.width() as f32, height as f32 / picture.height() as f32);
    let lost = 1.0 - across.min(down) / across.max(down);
    let scale = if lost <= CROP_AT_MOST { across.max(down) } else { across.min(down) };
    let scaled = |side: u32| ((side as f32 * scale).round() as u32).max(1);
    let (wide, high) = (scaled(picture.width()), scaled(picture.height()));
    // By way of `DynamicImage`, whose code is compiled in its own, optimised crate also in a development build.
    let resized = DynamicImage::from(picture.clone()).resize_exact(wide, high, FilterType::Triangle).into_rgb8();
    let mut frame = RgbImage::from_pixel(width, height, Rgb([GREY; 3]));
    let middle = |outer: u32, inner: u32| (i64::from(outer) - i64::from(inner)) / 2;
    imageops::replace(&mut frame, &resized, middle(width, wide), middle(height, high));
    frame
}

/// A wall, lit from the left.
fn wall(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| Rgb([GREY - (x * 40 / width.max(1)) as u8; 3]))
}

fn variants(picture: &RgbImage) -> Vec<Arc<[u8]>> {
    (0..VARIANTS).map(|seed| encode(&noisy(picture, NOISE, seed))).collect()
}

/// `picture` with grey noise of up to `swing` either way, the same for the same `seed`.
fn noisy(picture: &RgbImage, swing: i16, seed: u64) -> RgbImage {
    // xorshift64* (Vigna 2016): any state but zero will do.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut picture = picture.clone();
    for pixel in picture.pixels_mut() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let span = 2 * swing.unsigned_abs() + 1;
        let drawn = (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 48) as u16 % span;
        let shift = drawn as i16 - swing;
        pixel.0 = pixel.0.map(|value| (i16::from(value) + shift).clamp(0, 255) as u8);
    }
    picture
}

fn encode(picture: &RgbImage) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode_image(picture)
        .expect("memory takes any picture of a frame's size");
    bytes.into()
}
