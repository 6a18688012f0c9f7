//! Where a JPEG picture ends, found by walking its markers: without decoding, and without believing any byte of it.
//!
//! A camera's driver hands over its whole buffer, of which the picture is only the first part; some phones write more
//! behind a photograph.

/// Length of the JPEG picture that `bytes` begin with, from SOI to the end of EOI (ITU-T T.81, annex B); `None` if it is
/// torn or none.
#[must_use]
pub fn length(bytes: &[u8]) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SOI, an application segment with a whole small picture in it, one scan with a stuffed FF and a restart, a table, a
    /// second scan, fill bytes, EOI: every kind of thing that may look like an end and is none.
    const WHOLE: &[u8] = &[
        0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9, 0xFF, 0xDA, 0, 4, 1, 0, 0x12, 0xFF, 0x00, 0xFF, 0xD0,
        0x34, 0xFF, 0xC4, 0, 3, 9, 0xFF, 0xDA, 0, 2, 0x56, 0xFF, 0xFF, 0xFF, 0xD9,
    ];

    #[test]
    fn a_picture_ends_at_its_own_end() {
        assert_eq!(length(WHOLE), Some(WHOLE.len()));
        for after in [&[0; 9][..], WHOLE, b"and more", &[0xFF, 0xD9]] {
            assert_eq!(length(&[WHOLE, after].concat()), Some(WHOLE.len()), "{after:02x?} follows");
        }
    }

    #[test]
    fn what_is_torn_or_none_has_no_end() {
        for cut in 0..WHOLE.len() {
            assert_eq!(length(&WHOLE[..cut]), None, "cut at {cut}");
        }
        for none in [&b"plain"[..], &[0xFF, 0xD8, 0x00, 0x00], &[0xFF; 64], &WHOLE[1..]] {
            assert_eq!(length(none), None, "{none:02x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(prop_oneof![Just(0xFF_u8), any::<u8>()], 0..200)) {
            let bytes = [&[0xFF, 0xD8][..], &bytes].concat();
            if let Some(length) = length(&bytes) {
                prop_assert!(bytes[..length].ends_with(&[0xFF, 0xD9]));
            }
        }
    }
}
