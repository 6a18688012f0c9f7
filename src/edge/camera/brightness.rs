//! How bright a picture is, and how much it varies: enough to see that it is black.

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

/// Mean and variance of the luma of a JPEG picture, 0..=255 and its square. `None` if it cannot be decoded.
pub(super) fn of_jpeg(bytes: &[u8]) -> Option<(f32, f32)> {
    // The largest frame that can be asked of a camera: what claims more is no frame.
    let options =
        DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma).set_max_width(1920).set_max_height(1080);
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
    fn brightness_tells_black_from_dim() {
        let (mean, variance) = of_jpeg(&picture(|_, _| 0)).unwrap();
        assert!(mean < 1.0 && variance < 1.0, "{mean} {variance}");
        let (mean, variance) = of_jpeg(&picture(|x, _| (x * 4) as u8)).unwrap();
        assert!((mean - 126.0).abs() < 4.0 && variance > 1000.0, "{mean} {variance}");
        assert_eq!(of_jpeg(b"plain"), None);
    }
}
