//! Elements of BER-TLV as PIV uses them: tags of one byte, lengths of up to two (ISO/IEC 7816-4, 5.2.2.2). Never allocates to read.

/// The first element of `data`: tag, value, and what follows. `None`: it is not whole.
pub(super) fn element(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, data) = header(data)?;
    let (value, rest) = data.split_at_checked(length)?;
    Some((tag, value, rest))
}

/// Tag and length of the first element, and all that follows them.
pub(super) fn header(data: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&tag, data) = data.split_first()?;
    match *data {
        [0x81, length, ref rest @ ..] => Some((tag, usize::from(length), rest)),
        [0x82, high, low, ref rest @ ..] => Some((tag, usize::from(u16::from_be_bytes([high, low])), rest)),
        [length @ 0..=0x7F, ref rest @ ..] => Some((tag, usize::from(length), rest)),
        _ => None,
    }
}

/// The value of the first element of `data` with this `tag`. What is not whole ends the search.
pub(super) fn find(mut data: &[u8], tag: u8) -> Option<&[u8]> {
    while let Some((found, value, rest)) = element(data) {
        if found == tag {
            return Some(value);
        }
        data = rest;
    }
    None
}

/// An element of this `tag` and `value`, of at most 65,535 bytes.
pub(super) fn write(tag: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
    let header = match (high, low) {
        (0, 0..=0x7F) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&header, value].concat()
}
