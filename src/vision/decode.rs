//! Bytes of a camera or a file to pixels, within limits: what is too large is refused before memory is taken for it.
//!
//! Never knows which camera or file.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{Colour, Image, PictureError};

/// Longest side of a picture that is decoded, pixels: any ID photo or camera, no decompression bomb.
const MAX_SIDE: u32 = 8192;
/// Most memory a decoder may take, bytes: 48 megapixels of three channels, and room to work.
const MAX_ALLOC: u64 = 256 * 1024 * 1024;

/// Why bytes did not become a picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing came.
    #[error("the picture has no bytes")]
    Empty,
    /// Neither JPEG nor PNG.
    #[error("the picture is neither JPEG nor PNG")]
    Format,
    /// The end of the JPEG is missing.
    #[error("the JPEG is cut short: it lacks its end marker")]
    Truncated,
    /// More pixels than any camera of ours has.
    #[error(
        "a picture of {width}x{height} pixels is refused: at most {MAX_SIDE} a side and {MAX_ALLOC} bytes to decode it"
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
        Ok(_) | Err(_) => return Err(DecodeError::Format),
    };
    if format == ImageFormat::Jpeg && !ends_as_jpeg(bytes) {
        return Err(DecodeError::Truncated);
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) =
        (Some(MAX_SIDE), Some(MAX_SIDE), Some(MAX_ALLOC));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| match error {
        ImageError::Limits(_) => too_large(bytes, format),
        error => DecodeError::File(error),
    })?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > MAX_ALLOC {
        return Err(DecodeError::TooLarge { width, height });
    }
    let orientation = decoder.orientation().map_err(DecodeError::File)?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(DecodeError::File)?;
    decoded.apply_orientation(orientation);
    let rgb = decoded.into_rgb8();
    let (width, height) = rgb.dimensions();
    Ok(Image::new(rgb.into_raw(), width as usize, height as usize, Colour::Rgb)?)
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
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(DecodeError::Jpeg)?;
    let (width, height) = decoder.dimensions().ok_or(DecodeError::Truncated)?;
    if width as u64 * height as u64 * 3 > MAX_ALLOC {
        return Err(DecodeError::TooLarge { width: width as u32, height: height as u32 });
    }
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
