//! A table's bytes to text: UTF-8, and UTF-16 with its mark. What is not certain is refused with the way to save it.

use std::borrow::Cow;

use encoding_rs::{Encoding, MACINTOSH, WINDOWS_1252};

use super::{
    lines::Lines,
    problems::{Problem, Problems},
};

/// What to do in the program that made the file.
const SAVE: &str = "save it as \"CSV UTF-8\"";

/// First bytes of files that are no text, and what they are.
const OTHERS: [(&[u8], &str); 6] = [
    (b"PK\x03\x04", "a workbook (.xlsx, .ods or .numbers) or another ZIP archive"),
    (b"\xD0\xCF\x11\xE0", "an Excel workbook (.xls)"),
    (b"%PDF", "a PDF"),
    (b"\x1F\x8B", "packed (gzip)"),
    (b"<", "HTML or XML, as some campus systems export under the name .xls"),
    (b"{\\rtf", "RTF"),
];

/// What ends lines in some programs' texts and in no CSV: vertical tab, form feed, record separator, next line, and Unicode's line
/// and paragraph separators.
const LINE_ENDS_OF_OTHERS: [char; 6] = ['\u{B}', '\u{C}', '\u{1E}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Makes text of a table's bytes. A byte-order mark is not part of the text.
///
/// # Errors
/// No text, empty, UTF-16 without its mark or cut short, or not UTF-8 (with line and byte of the first bad one).
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Problems> {
    if let Some((_, kind)) = OTHERS.iter().find(|(start, _)| bytes.trim_ascii_start().starts_with(start)) {
        return Err(one(Problem::file(format!("the file is {kind}, not a CSV: open it in a spreadsheet and {SAVE}"))));
    }
    let text = match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
            return Err(one(Problem::file(format!("the file is UTF-32: {SAVE}"))));
        }
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        // Without its mark, UTF-16 of a header in ASCII has a NUL in every other byte.
        [first, second, ..] if (*first == 0) != (*second == 0) => {
            return Err(one(Problem::file(format!("the file is UTF-16 without a byte-order mark: {SAVE}"))));
        }
        _ => Cow::Borrowed(utf8(bytes)?),
    };
    if text.trim().is_empty() {
        return Err(one(empty()));
    }
    // Without a line end the whole file is its header, and what is wrong with that would repeat names and cards.
    if !text.trim().contains(['\r', '\n'])
        && let Some(other) = text.trim().chars().find(|c| LINE_ENDS_OF_OTHERS.contains(c))
    {
        let code = u32::from(other);
        return Err(one(Problem::file(format!("the lines end in U+{code:04X} instead of CR or LF: {SAVE}"))));
    }
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(one(Problem::at(
            Lines::of(text.as_bytes()).at(at),
            format!("a NUL byte: the file is damaged, or not a CSV; {SAVE} once more"),
        ))),
    }
}

/// There is nothing to read.
pub(super) fn empty() -> Problem {
    Problem::file("the file is empty: a header and, under it, one line per row are needed")
}

fn one(problem: Problem) -> Problems {
    Problems(vec![problem])
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Problems> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    let whole = char::decode_utf16(pairs.iter().copied().map(unit)).all(|c| c.map(|c| text.push(c)).is_ok());
    if whole && rest.is_empty() {
        return Ok(text);
    }
    let line = Lines::of(text.as_bytes()).at(text.len());
    Err(one(Problem::at(
        line,
        format!("the file is UTF-16, and half a character is here: it is cut short or damaged; {SAVE}"),
    )))
}

fn utf8(bytes: &[u8]) -> Result<&str, Problems> {
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(body).map_err(|bad| {
        let (lines, at) = (Lines::of(body), bad.valid_up_to());
        let byte = body[at];
        let letter = |encoding: &'static Encoding| encoding.decode_without_bom_handling(&[byte]).0.into_owned();
        one(Problem::at(
            lines.at(at),
            format!(
                "byte {} of the line (0x{byte:02X}, byte {} of the file) is not UTF-8 (it would be `{}` in Windows-1252 and `{}` in Mac \
                 Roman, and only the one who saved the file knows which): {SAVE}",
                lines.column(at),
                bytes.len() - body.len() + at,
                letter(WINDOWS_1252).escape_debug(),
                letter(MACINTOSH).escape_debug(),
            ),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a,b\n1,Zoë\n";

    fn refused(bytes: &[u8]) -> String {
        decode(bytes).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_certain_is_read() {
        let little: Vec<u8> = "\u{feff}a,b\n1,Zoë\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}a,b\n1,Zoë\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [TEXT.as_bytes(), "\u{feff}a,b\n1,Zoë\n".as_bytes(), &little, &big] {
            assert_eq!(decode(bytes).unwrap(), TEXT, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_is_refused_with_its_place() {
        let utf16: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cut = [b"\xFF\xFE".as_slice(), &utf16[..utf16.len() - 3]].concat();
        let half = b"\xFF\xFEa\0\n\0\x3D\xD8,\0";
        for (bytes, wanted) in [
            (&b""[..], "the file is empty"),
            (b"\xEF\xBB\xBF \r\n", "the file is empty"),
            (b"\xFF\xFE", "the file is empty"),
            (&utf16, "UTF-16 without a byte-order mark: save it as \"CSV UTF-8\""),
            (&cut, "line 2: the file is UTF-16, and half a character is here"),
            (half, "line 2: the file is UTF-16, and half a character is here"),
            (b"\xFF\xFE\0\0a\0\0\0", "UTF-32"),
            (b"PK\x03\x04...", "a workbook (.xlsx"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1", "an Excel workbook (.xls)"),
            (b"\n<html><table>", "HTML or XML"),
            (b"a,b\r1,\0\r", "line 2: a NUL byte"),
            ("a,b\u{2028}1,Ada\u{2028}".as_bytes(), "the lines end in U+2028 instead of CR or LF: save it"),
            (b"a,b\x0B1,Ada\x0B2,Bo", "the lines end in U+000B"),
            (
                b"a,b\r1,Jos\xE9\r",
                "line 2: byte 6 of the line (0xE9, byte 9 of the file) is not UTF-8 (it would be `é` in Windows-1252",
            ),
        ] {
            let said = refused(bytes);
            assert!(said.contains(wanted), "{bytes:?}: {said} lacks {wanted:?}");
        }
    }
}
