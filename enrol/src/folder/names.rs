//! When two file names are the same to the people who wrote them: Windows, macOS and phones change case, Unicode form and ends.

use unicode_normalization::UnicodeNormalization;

/// Ends of the names of pictures. Those that no decoder of ours reads are among them: they are to be refused by name, not overlooked.
const PICTURES: [&str; 14] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "heic", "heif", "avif", "webp", "gif", "bmp", "tif", "tiff", "pdf"];

/// A path in small letters and Unicode's composed form (NFC; macOS writes NFD), folder by folder, without spaces and dots at the ends of
/// its parts, which Windows takes away. Archives of Windows leave backslashes in names.
pub(super) fn folded(path: &str) -> Vec<String> {
    let part = |part: &str| part.to_lowercase().nfc().collect::<String>().trim_end_matches('.').trim().to_owned();
    path.split(['/', '\\']).map(part).collect()
}

/// Whether a file's name is that of a picture.
pub(super) fn is_picture(name: &str) -> bool {
    stem(name).len() < name.trim_end().len()
}

/// A name without the ends of pictures: `ada.jpg.jpg` is `ada`.
pub(super) fn stem(name: &str) -> &str {
    let mut stem = name.trim_end();
    while let Some((rest, end)) = stem.rsplit_once('.')
        && !rest.is_empty()
        && PICTURES.iter().any(|known| end.eq_ignore_ascii_case(known))
    {
        stem = rest;
    }
    stem
}

/// A name without the zeros in front that spreadsheets take off.
pub fn without_zeros(name: &str) -> &str {
    let rest = name.trim_start_matches('0');
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_the_same_to_people() {
        for (one, other) in [
            ("Zoë.JPG", "Zoe\u{308}.jpg"),
            ("sub/Ada.jpg", "SUB\\ada.jpg"),
            ("ada.jpg ", "ada.jpg."),
            ("ÄRGER.png", "ärger.PNG"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
    }

    #[test]
    fn stems_are_without_the_ends_of_pictures_only() {
        for (name, wanted, picture) in [
            ("ada.jpg", "ada", true),
            ("ada.jpg.JPG", "ada", true),
            ("ada.b.jpeg", "ada.b", true),
            ("ada.png ", "ada", true),
            ("ada.docx", "ada.docx", false),
            ("jpg", "jpg", false),
            (".jpg", ".jpg", false),
            ("d.HEIC", "d", true),
        ] {
            assert_eq!((stem(name), is_picture(name)), (wanted, picture), "{name}");
        }
        assert_eq!(
            ["00123", "0", "000", "N012", "0x", "123"].map(without_zeros),
            ["123", "0", "000", "N012", "0x", "123"]
        );
    }
}
