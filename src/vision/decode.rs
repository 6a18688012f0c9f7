//! Bytes of a camera or a file to pixels, within limits: what is too large is refused before memory is taken for it.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, metadata::Orientation};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{Colour, Image, PictureError};
use crate::wire::{exif, jpeg};

/// Longest side of a picture that is decoded, pixels: any ID photo or camera, no decompression bomb.
const MAX_SIDE: u32 = 8192;
/// Largest frame of a camera, pixels: what a box's configuration can ask for. A few hundred bytes may claim more, and would
/// keep the nets waiting while they unfold.
const LARGEST_FRAME: (usize, usize) = (1920, 1080);
/// Most memory a decoder may take, bytes: 48 megapixels of three channels, and room to work.
const MAX_ALLOC: u64 = 256 * 1024 * 1024;

/// Why bytes did not become a picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing came.
    #[error("the picture has no bytes")]
    Empty,
    /// Neither JPEG nor PNG; what it is instead, if that is known.
    #[error("the picture is neither JPEG nor PNG{}", .0.map(|name| format!(", but {name}")).unwrap_or_default())]
    Format(Option<&'static str>),
    /// The end of the JPEG is missing.
    #[error("the JPEG is cut short: it lacks its end marker")]
    Truncated,
    /// More pixels than any camera of ours has.
    #[error(
        "a picture of {width}x{height} pixels is refused: at most {MAX_SIDE} a side, and {} MiB unfolded",
        MAX_ALLOC / 1024 / 1024
    )]
    TooLarge {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The file's bytes are broken.
    #[error("cannot decode the picture")]
    File(#[source] ImageError),
    /// The camera's JPEG is broken.
    #[error("cannot decode the camera's JPEG")]
    Jpeg(#[source] DecodeErrors),
    /// The numbers do not make a picture.
    #[error("the picture's bytes do not fit its dimensions")]
    Picture(#[from] PictureError),
    /// YUYV shares colour between pairs of pixels.
    #[error("a YUYV picture has rows of an even number of pixels, {width} came")]
    OddWidth {
        /// Pixels a row.
        width: usize,
    },
}

/// Decodes a JPEG or PNG file, upright (its EXIF orientation is applied), to RGB. Transparency is dropped.
///
/// # Errors
/// When the bytes are empty, cut short, broken, of another format, or would unfold to more than the limits.
pub fn decode_file(bytes: &[u8]) -> Result<Image, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        Ok(_) | Err(_) => return Err(DecodeError::Format(named(bytes))),
    };
    // Some phones write more behind the picture: a clip, a second picture, their own marks.
    if format == ImageFormat::Jpeg && !ends_as_jpeg(bytes) && jpeg::length(bytes).is_none() {
        return Err(DecodeError::Truncated);
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) =
        (Some(MAX_SIDE), Some(MAX_SIDE), Some(MAX_ALLOC));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| {
        if matches!(error, ImageError::Limits(_)) { too_large(bytes, format) } else { DecodeError::File(error) }
    })?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > MAX_ALLOC {
        return Err(DecodeError::TooLarge { width, height });
    }
    // Broken EXIF data are no reason to refuse a photo whose pixels can be read.
    let exif = decoder.exif_metadata().ok().flatten();
    let held = exif.and_then(|exif| exif::orientation(&exif)).and_then(Orientation::from_exif);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(DecodeError::File)?;
    decoded.apply_orientation(held.unwrap_or(Orientation::NoTransforms));
    let rgb = decoded.into_rgb8();
    let (width, height) = rgb.dimensions();
    Ok(Image::new(rgb.into_raw(), width as usize, height as usize, Colour::Rgb)?)
}

/// The name of a file's format that is none of ours, by its first bytes.
fn named(bytes: &[u8]) -> Option<&'static str> {
    // ISO/IEC 14496-12: four bytes of length, then this box; the first brand says what is inside (ISO/IEC 23008-12; AVIF).
    let inside = bytes.get(4..12).and_then(|start| start.strip_prefix(b"ftyp"));
    match inside {
        Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1") => {
            return Some("HEIC, as iPhones take it");
        }
        Some(b"avif" | b"avis") => return Some("AVIF"),
        Some(_) => return Some("a film"),
        None => {}
    }
    if bytes.get(8..12) == Some(b"WEBP") {
        return Some("WebP");
    }
    let known: [(&[u8], &str); 5] =
        [(b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"%PDF", "PDF")];
    known.into_iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| name)
}

fn too_large(bytes: &[u8], format: ImageFormat) -> DecodeError {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits();
    let (width, height) = reader.into_dimensions().unwrap_or_default();
    DecodeError::TooLarge { width, height }
}

/// Decodes one JPEG of a camera's stream to RGB into `out`, whose buffer is kept from frame to frame. Frames without Huffman
/// tables, as many cameras send them, get the standard ones.
///
/// # Errors
/// When the bytes are empty, cut short, broken, or larger than any camera's; `out` is then unspecified.
pub fn decode_mjpeg(bytes: &[u8], out: &mut Image) -> Result<(), DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if !ends_as_jpeg(bytes) {
        return Err(DecodeError::Truncated);
    }
    // RGB: the decoder has vector code for it, none for BGR, and the nets' channels are picked apart later at no cost.
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(LARGEST_FRAME.0)
        .set_max_height(LARGEST_FRAME.1);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(DecodeError::Jpeg)?;
    let (width, height) = decoder.dimensions().ok_or(DecodeError::Truncated)?;
    decoder.decode_into(out.reshape(width, height, Colour::Rgb)).map_err(DecodeError::Jpeg)
}

/// Whether the end marker (ITU-T T.81 B.1.1.3, EOI = FF D9) stands at the end; cameras pad with zeros after it.
fn ends_as_jpeg(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
    bytes[..bytes.len() - padding].ends_with(&[0xff, 0xd9])
}

/// Converts YUYV 4:2:2 (two pixels in four bytes: Y0 U Y1 V; `2 * width` bytes a row) to RGB into `out`, whose buffer is kept.
/// ITU-R BT.601, limited range (Y 16..=235, U and V 16..=240): what the USB video class asks of cameras by default
/// (UVC 1.5, 3.9.2.6 colour matching descriptor).
///
/// # Errors
/// When the width is odd or the bytes are not exactly a picture.
pub fn decode_yuyv(bytes: &[u8], width: usize, height: usize, out: &mut Image) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        return Err(PictureError::Empty { width, height }.into());
    }
    if !width.is_multiple_of(2) {
        return Err(DecodeError::OddWidth { width });
    }
    let stride = width.saturating_mul(2);
    let expected = stride.saturating_mul(height);
    if bytes.len() != expected {
        return Err(PictureError::Length { width, height, stride, expected, actual: bytes.len() }.into());
    }
    let rgb = out.reshape(width, height, Colour::Rgb);
    for (pair, pixels) in bytes.chunks_exact(4).zip(rgb.chunks_exact_mut(6)) {
        let [y0, u, y1, v] = [pair[0], pair[1], pair[2], pair[3]].map(i32::from);
        // Coefficients of BT.601 scaled by 256; +128 rounds.
        let (u, v) = (u - 128, v - 128);
        let (red, green, blue) = (409 * v + 128, -100 * u - 208 * v + 128, 516 * u + 128);
        for (pixel, y) in pixels.chunks_exact_mut(3).zip([y0, y1]) {
            let luma = 298 * (y - 16);
            pixel[0] = ((luma + red) >> 8).clamp(0, 255) as u8;
            pixel[1] = ((luma + green) >> 8).clamp(0, 255) as u8;
            pixel[2] = ((luma + blue) >> 8).clamp(0, 255) as u8;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::{ColorType, ImageEncoder, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};

    use super::*;

    /// Left half red, right half blue.
    fn halves(width: u32, height: u32) -> Vec<u8> {
        let column = |x: u32| if x < width / 2 { [200, 20, 20] } else { [20, 20, 200] };
        (0..height).flat_map(|_| (0..width).flat_map(column)).collect()
    }

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 95)
            .encode(&halves(width, height), width, height, ColorType::Rgb8.into())
            .unwrap();
        bytes
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(&halves(width, height), width, height, ColorType::Rgb8.into()).unwrap();
        bytes
    }

    /// A JPEG with these EXIF data.
    fn with_exif(exif: &[u8]) -> Vec<u8> {
        let bytes = jpeg(32, 16);
        let length = (exif.len() + 8) as u16;
        [&bytes[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", exif, &bytes[2..]].concat()
    }

    /// A JPEG that says with EXIF tag 0x0112, as a SHORT, how the camera was held.
    fn held(orientation: u8) -> Vec<u8> {
        let entry = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0";
        with_exif(&[&entry[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat())
    }

    /// The same as a LONG, most significant byte first, behind another entry.
    fn held_long(orientation: u8) -> Vec<u8> {
        let entries = b"MM\0*\0\0\0\x08\0\x02\x01\x00\0\x04\0\0\0\x01\0\0\0\x20\x01\x12\0\x04\0\0\0\x01\0\0\0";
        with_exif(&[&entries[..], &[orientation, 0, 0, 0, 0]].concat())
    }

    /// A PNG whose header claims `width` x `height`.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = png(8, 8);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = bytes[12..29].iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        });
        bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
        bytes
    }

    /// A JPEG with something behind its end, as some phones write it.
    fn followed(width: u32, height: u32, by: &[u8]) -> Vec<u8> {
        [&jpeg(width, height), by].concat()
    }

    fn is_red(image: &Image, x: usize, y: usize) -> bool {
        let pixel = &image.as_bytes()[(y * image.width() + x) * 3..][..3];
        pixel[0] > 150 && pixel[2] < 80
    }

    #[test]
    fn files_are_decoded_upright() {
        for (bytes, size, red) in [
            (jpeg(32, 16), (32, 16), (2, 8)),
            (png(32, 16), (32, 16), (2, 8)),
            (held(1), (32, 16), (2, 8)),
            (held(3), (32, 16), (29, 8)),
            (held(6), (16, 32), (8, 2)),
            (held(8), (16, 32), (8, 29)),
            (held_long(3), (32, 16), (29, 8)),
            (held_long(6), (16, 32), (8, 2)),
            // Broken EXIF data: as it lies.
            (held(9), (32, 16), (2, 8)),
            (with_exif(b""), (32, 16), (2, 8)),
            (with_exif(b"II*\0\xff\xff\xff\xff\x01"), (32, 16), (2, 8)),
            (with_exif(&[0xff; 40]), (32, 16), (2, 8)),
            (followed(32, 16, b"SEFH and a clip"), (32, 16), (2, 8)),
            (followed(32, 16, &jpeg(8, 64)), (32, 16), (2, 8)),
        ] {
            let image = decode_file(&bytes).unwrap();
            assert_eq!((image.width(), image.height()), size);
            assert!(is_red(&image, red.0, red.1), "{size:?} at {red:?}");
        }
    }

    #[test]
    fn bad_files_are_refused() {
        let (whole_jpeg, whole_png) = (jpeg(64, 64), png(64, 64));
        for (bytes, said) in [
            (&[][..], "no bytes"),
            (b"GIF89a and more", "neither JPEG nor PNG, but GIF"),
            (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "neither JPEG nor PNG, but HEIC"),
            (b"\0\0\0\x20ftypisom", "but a film"),
            (b"\0\0\0\x20ftyp", "neither JPEG nor PNG"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "but WebP"),
            (b"words", "neither JPEG nor PNG"),
            (&whole_jpeg[..whole_jpeg.len() / 2], "cut short"),
            (&whole_jpeg[..3], "cut short"),
            (&[&whole_jpeg[..whole_jpeg.len() / 2], b"SEFH and a clip"].concat(), "cut short"),
            (&whole_png[..whole_png.len() / 2], "cannot decode"),
            (&claiming(100_000, 8), "100000x8 pixels is refused"),
            (&claiming(8000, 0xffff_ffff), "is refused"),
            (&claiming(8192, 8192), "cannot decode"),
        ] {
            let error = decode_file(bytes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}, not {said}");
        }
    }

    #[test]
    fn frames_reuse_their_buffer_and_bad_ones_are_refused() {
        let mut image = Image::empty();
        let padded = [jpeg(64, 32), vec![0; 100]].concat();
        decode_mjpeg(&padded, &mut image).unwrap();
        assert_eq!((image.width(), image.height()), (64, 32));
        assert!(is_red(&image, 3, 9) && !is_red(&image, 60, 9));
        let buffer = image.as_bytes().as_ptr();
        decode_mjpeg(&jpeg(32, 32), &mut image).unwrap();
        assert_eq!((image.width(), buffer), (32, image.as_bytes().as_ptr()));
        decode_mjpeg(&jpeg(1920, 1080), &mut image).unwrap();
        let whole = jpeg(64, 64);
        let headless = [&[0xff, 0xd8], &whole[200..]].concat();
        // Found by fuzzing: a small frame that unfolds to 200 MB.
        let mut unfolding = whole.clone();
        let frame = whole.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        unfolding[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
        for bytes in [&[][..], &[0; 50], &[0xff, 0xd8, 0xff, 0xd9], &whole[..whole.len() - 40], &headless, &unfolding] {
            assert!(decode_mjpeg(bytes, &mut image).is_err(), "{} bytes", bytes.len());
        }
    }

    #[test]
    fn yuyv_of_known_colours() {
        let mut image = Image::empty();
        for (yuyv, rgb) in [
            ([16, 128, 16, 128], [0, 0, 0]),
            ([235, 128, 235, 128], [255, 255, 255]),
            ([126, 128, 126, 128], [128, 128, 128]),
            ([81, 90, 81, 240], [255, 0, 0]),
            ([145, 54, 145, 34], [0, 255, 0]),
            ([41, 240, 41, 110], [0, 0, 255]),
            ([0, 128, 255, 128], [0, 0, 0]),
        ] {
            decode_yuyv(&yuyv, 2, 1, &mut image).unwrap();
            for (got, wanted) in image.as_bytes().iter().zip(rgb) {
                assert!(got.abs_diff(wanted) <= 2, "{yuyv:?} is {:?}, not {rgb:?}", image.as_bytes());
            }
        }
        for (length, width, height) in [(8, 3, 1), (7, 2, 2), (9, 2, 2), (0, 0, 4), (8, usize::MAX - 1, 2)] {
            assert!(decode_yuyv(&vec![0; length], width, height, &mut image).is_err(), "{length} {width}x{height}");
        }
    }
}
