//! How a picture's EXIF data say the camera was held, read without believing any byte of them.
//!
//! What is broken says nothing: a picture with torn EXIF data is decoded as it lies.

/// The tag `Orientation` (EXIF 2.32, 4.6.4).
const ORIENTATION: u16 = 0x0112;

/// The orientation, 1..=8, in the first directory of EXIF data (which begin with the TIFF header); `None` if they name none, or one
/// that is not defined, or are broken before it.
///
/// EXIF asks for a SHORT. Some programs write a LONG or a BYTE, in either byte order, and the entries in any order: all of that is read.
///
/// ```
/// let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x06\0\0\0\0";
/// assert_eq!(examgate::wire::exif::orientation(exif), Some(6));
/// ```
#[must_use]
pub fn orientation(exif: &[u8]) -> Option<u8> {
    let order = match exif.get(..4)? {
        b"II*\0" => Order::Little,
        b"MM\0*" => Order::Big,
        _ => return None,
    };
    let directory = exif.get(usize::try_from(order.long(exif.get(4..8)?)?).ok()?..)?;
    let entries = usize::from(order.short(directory)?);
    directory.get(2..)?.as_chunks::<12>().0.iter().take(entries).find_map(|entry| {
        let (tag, kind, count) = (order.short(entry)?, order.short(&entry[2..])?, order.long(&entry[4..])?);
        let value = &entry[8..];
        // A value of up to four bytes stands in the entry itself, at its beginning (TIFF 6.0, section 2).
        let value = match kind {
            1 => u32::from(value[0]),
            3 => u32::from(order.short(value)?),
            4 => order.long(value)?,
            _ => return None,
        };
        (tag == ORIENTATION && count == 1 && (1..=8).contains(&value)).then_some(value as u8)
    })
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn short(self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    fn long(self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// EXIF data with `before` other entries, then the orientation as `kind`, then one more; the directory begins at `offset`.
    fn exif(big: bool, offset: u32, before: u16, kind: u16, value: u32) -> Vec<u8> {
        let short = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let entry = |tag: u16, kind: u16, count: u32, value: u32| {
            let value = match kind {
                1 => [value as u8, 0xAA, 0xAA, 0xAA],
                3 => [short(value as u16)[0], short(value as u16)[1], 0xAA, 0xAA],
                _ => long(value),
            };
            [&short(tag)[..], &short(kind), &long(count), &value].concat()
        };
        let mut bytes = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        bytes.extend(long(offset));
        bytes.resize(offset as usize, 0);
        bytes.extend(short(before + 2));
        (0..before).for_each(|n| bytes.extend(entry(0x0100 + n, 4, 7, 0xffff_ffff)));
        bytes.extend(entry(ORIENTATION, kind, 1, value));
        bytes.extend(entry(0x0132, 2, 20, 400));
        bytes.extend(long(0));
        bytes
    }

    #[test]
    fn every_way_to_write_an_orientation_is_read() {
        for big in [false, true] {
            for (offset, before) in [(8, 0), (8, 5), (26, 1), (300, 9)] {
                for kind in [1, 3, 4] {
                    for value in 1..=8 {
                        let exif = exif(big, offset, before, kind, value);
                        assert_eq!(orientation(&exif), Some(value as u8), "{big} {offset} {before} {kind} {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_broken_or_not_defined_says_nothing() {
        let whole = exif(false, 8, 1, 4, 6);
        for value in [0, 9, 0x0001_0006, u32::MAX] {
            assert_eq!(orientation(&exif(true, 8, 0, 4, value)), None, "{value}");
        }
        assert_eq!(orientation(&exif(true, 8, 0, 5, 6)), None, "a RATIONAL lies elsewhere");
        for length in 0..34 {
            assert_eq!(orientation(&whole[..length]), None, "cut after {length} bytes");
        }
        for (at, byte) in [(0, b'X'), (2, 0), (4, 255), (7, 255), (8, 0), (8, 1)] {
            let mut broken = whole.clone();
            broken[at] = byte;
            assert_eq!(orientation(&broken), None, "byte {at} is {byte}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200), big: bool, at in 0_usize..60, byte: u8) {
            let _ = orientation(&bytes);
            let mut nearly = exif(big, 8, 2, 4, 6);
            let at = at % nearly.len();
            nearly[at] = byte;
            let _ = orientation(&nearly);
        }
    }
}
