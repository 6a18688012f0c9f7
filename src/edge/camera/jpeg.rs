//! Where a JPEG picture ends, and how bright it is.
//!
//! A driver hands over its whole buffer, of which the picture is only the first part: the rest is left from older frames.
//! Never knows what a picture shows.

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

/// Length of the JPEG picture that `bytes` begin with, from SOI to the end of EOI (ITU-T T.81, annex B); `None` if it is
/// torn or none.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    const SOI: [u8; 2] = [0xFF, 0xD8];
    const SOS: u8 = 0xDA;
    const EOI: u8 = 0xD9;
    if bytes.get(..2)? != SOI {
        return None;
    }
    let mut at = 2;
    loop {
        // A marker, after any number of fill bytes.
        if *bytes.get(at)? != 0xFF {
            return None;
        }
        while *bytes.get(at)? == 0xFF {
            at += 1;
        }
        let marker = *bytes.get(at)?;
        at += 1;
        if marker == EOI {
            return Some(at);
        }
        let segment = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        at += segment.max(2);
        if marker == SOS {
            at += entropy_coded(bytes.get(at..)?)?;
        }
    }
}

/// Length of entropy-coded data: up to a marker that is neither a stuffed zero nor a restart.
fn entropy_coded(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7 | 0xFF))
}

/// Mean and variance of the luma of a JPEG picture, 0..=255 and its square. `None` if it cannot be decoded.
pub(super) fn brightness(bytes: &[u8]) -> Option<(f32, f32)> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    let luma = JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode().ok()?;
    spread(luma.into_iter())
}

/// Mean and variance of some values. `None` if there are none.
pub(super) fn spread(values: impl Iterator<Item = u8>) -> Option<(f32, f32)> {
    let (count, sum, squares) = values
        .map(u64::from)
        .fold((0_u64, 0_u64, 0_u64), |(count, sum, squares), value| (count + 1, sum + value, squares + value * value));
    if count == 0 {
        return None;
    }
    let (count, sum, squares) = (count as f64, sum as f64, squares as f64);
    let mean = sum / count;
    Some((mean as f32, (squares / count - mean * mean).max(0.0) as f32))
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, codecs::jpeg::JpegEncoder};

    use super::*;

    fn picture(paint: impl Fn(u32, u32) -> u8) -> Vec<u8> {
        let image = RgbImage::from_fn(64, 48, |x, y| Rgb([paint(x, y); 3]));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&image).unwrap();
        bytes
    }

    #[test]
    fn a_picture_ends_at_its_own_end() {
        let whole = picture(|x, y| ((x * 7) ^ (y * 13)) as u8);
        assert_eq!(length(&whole), Some(whole.len()));
        let mut buffer = whole.clone();
        buffer.extend_from_slice(&picture(|_, _| 9));
        assert_eq!(length(&buffer), Some(whole.len()), "an older picture follows");
        // A thumbnail inside an application segment has an EOI of its own.
        let mut nested = whole[..2].to_vec();
        nested.extend_from_slice(&[0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9]);
        nested.extend_from_slice(&whole[2..]);
        assert_eq!(length(&nested), Some(nested.len()));
    }

    #[test]
    fn no_torn_picture_has_an_end() {
        let whole = picture(|x, _| x as u8);
        for cut in 0..whole.len() {
            assert_eq!(length(&whole[..cut]), None, "cut at {cut}");
        }
        for none in [&b"plain"[..], &[0xFF, 0xD8, 0x00, 0x00], &[0xFF; 64]] {
            assert_eq!(length(none), None);
        }
    }

    #[test]
    fn brightness_tells_black_from_dim() {
        let (mean, variance) = brightness(&picture(|_, _| 0)).unwrap();
        assert!(mean < 1.0 && variance < 1.0, "{mean} {variance}");
        let (mean, variance) = brightness(&picture(|x, _| (x * 4) as u8)).unwrap();
        assert!((mean - 126.0).abs() < 4.0 && variance > 1000.0, "{mean} {variance}");
        assert_eq!(brightness(b"plain"), None);
    }
}
