//! The name that the screen greets with: read in one form, refused when a screen could not show what was meant.
//!
//! No message repeats a name.

use encoding_rs::WINDOWS_1252;
use unicode_normalization::UnicodeNormalization;

use super::{invisible, spreadsheet::trace};

/// Longest given name, characters: what the screen can greet with on two lines.
const LONGEST: usize = 80;

/// A given name in Unicode's composed form (NFC), with single spaces and without marks that cannot be seen.
///
/// # Errors
/// What is wrong with it, and how to mend it.
pub(crate) fn given(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("empty: the screen greets with it".into());
    }
    if text.chars().any(char::is_control) {
        return Err("a line break or other control character inside: is a quote left open?".into());
    }
    if let Some(mark) = text.chars().find(|c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')) {
        return Err(format!(
            "U+{:04X}, which turns the direction of writing, is inside: type the name anew",
            u32::from(mark)
        ));
    }
    if text.contains(['?', '\u{FFFD}']) || text.chars().any(private) {
        return Err("a letter was lost when the file was saved, and `?` or the like is in its place: type the name anew, and save the file as \"CSV UTF-8\"".into());
    }
    let shown: String = text.nfc().filter(|c| !invisible(*c)).collect();
    let name = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() {
        return Err("nothing in it can be seen: the screen greets with it".into());
    }
    if name.starts_with(['=', '+', '@', '#']) || trace(&name).is_some() {
        return Err("a spreadsheet's formula, error value or number, not a name: type the name anew".into());
    }
    if !name.chars().any(char::is_alphabetic) {
        return Err("there is no letter in it: are the columns shifted?".into());
    }
    if twice_encoded(&name) {
        return Err("the letters with accents are garbled: the file was UTF-8 and was opened as Windows-1252; open the original as UTF-8".into());
    }
    if name.chars().count() > LONGEST {
        return Err(format!("longer than {LONGEST} characters"));
    }
    Ok(name)
}

/// The given name out of "Last, First".
///
/// # Errors
/// When it is not certain which part it is, or as [`given`].
pub(crate) fn out_of_whole(text: &str) -> Result<String, String> {
    match text.split(',').map(str::trim).collect::<Vec<_>>().as_slice() {
        [only] if only.contains(char::is_whitespace) => Err(
            "a whole name without a comma: which part to greet with is not certain; give a column `given_name` instead"
                .into(),
        ),
        [first] | [_, first] => given(first),
        _ => {
            Err("more than one comma: which part to greet with is not certain; give a column `given_name` instead"
                .into())
        }
    }
}

/// No font has these.
fn private(c: char) -> bool {
    matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..)
}

/// Whether the text is UTF-8 that was read as Windows-1252, such as `ZoÃ«`: Latin letters with accents then begin with one of four
/// letters, and of other scripts no letter is left.
fn twice_encoded(text: &str) -> bool {
    let (bytes, _, unmappable) = WINDOWS_1252.encode(text);
    let shape = text.contains(['Â', 'Ã', 'Ä', 'Å']) || !text.bytes().any(|b| b.is_ascii_alphabetic());
    shape && !unmappable && !text.is_ascii() && std::str::from_utf8(&bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_one_form() {
        for (text, wanted) in [
            ("Ada", "Ada"),
            ("Zoe\u{308}", "Zoë"),
            ("Ada\u{a0}  May", "Ada May"),
            ("A\u{200b}d\u{ad}a\u{feff}", "Ada"),
            ("Nguyễn Thị Hương", "Nguyễn Thị Hương"),
            ("محمد", "محمد"),
            ("علی\u{200c}رضا", "علی\u{200c}رضا"),
            ("क्ष\u{200d}", "क्ष\u{200d}"),
            ("x\u{323}\u{301}", "x\u{323}\u{301}"),
            ("李", "李"),
            ("2Pac", "2Pac"),
            ("D’Arcy-Jo (\"Dot\")", "D’Arcy-Jo (\"Dot\")"),
            ("'Aolani", "'Aolani"),
            ("JOSÉ–LUIS", "JOSÉ–LUIS"),
            ("Åsa Ängla", "Åsa Ängla"),
            ("葛\u{E0100}", "葛\u{E0100}"),
            ("May", "May"),
        ] {
            assert_eq!(given(text).as_deref(), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn what_a_screen_cannot_show_as_meant_is_refused() {
        for (text, wanted) in [
            ("", "empty"),
            ("\u{200b}\u{2060}", "nothing in it can be seen"),
            ("\u{3164}", "nothing in it can be seen"),
            ("\u{2800}\u{feff} ", "nothing in it can be seen"),
            ("A\tda", "control character"),
            ("A\u{202e}adA", "U+202E, which turns the direction"),
            ("\u{2066}Ada\u{2069}", "U+2066"),
            ("Zo?", "a letter was lost"),
            ("Zo\u{fffd}", "a letter was lost"),
            ("\u{f8ff}Ada", "a letter was lost"),
            ("12345", "no letter"),
            ("-.-", "no letter"),
            ("1.23E+15", "not a name"),
            ("12-Nov", "not a name"),
            ("#NAME!", "not a name"),
            ("=A1", "not a name"),
            ("@SUM(A1)", "not a name"),
            ("ZoÃ«", "garbled"),
            ("Ð˜Ð²Ð°Ð½", "garbled"),
            ("Fran\u{c3}\u{a7}ois", "garbled"),
            (&"a".repeat(81), "longer than 80"),
        ] {
            let said = given(text).unwrap_err();
            assert!(said.contains(wanted), "{text:?}: {said} lacks {wanted:?}");
        }
    }

    #[test]
    fn a_whole_name_gives_what_is_behind_its_comma() {
        assert_eq!(out_of_whole("Lovelace, Ada May").as_deref(), Ok("Ada May"));
        assert_eq!(out_of_whole("Suharto").as_deref(), Ok("Suharto"));
        for text in ["Ada Lovelace", "King, Jr., Martin", "Lovelace,", ""] {
            assert!(out_of_whole(text).is_err(), "{text:?}");
        }
    }
}
