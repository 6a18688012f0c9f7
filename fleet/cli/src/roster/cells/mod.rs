//! One function for each kind of cell: a text to its value, or what is wrong with it and how to mend it.
//!
//! No message repeats a name or a card.

pub(crate) mod name;
pub(crate) mod spreadsheet;

use std::path::{Component, Path};

use examgate::domain::{CardPseudonym, CardStanding, Language, Matching, RoomId, Seat, StudentId};
use unicode_normalization::UnicodeNormalization;

use self::spreadsheet::trace;

/// Words for a good card; an empty cell says the same.
const ACTIVE: [&str; 2] = ["active", "valid"];
/// Words for a card that no longer is.
const REVOKED: [&str; 14] = [
    "revoked",
    "inactive",
    "invalid",
    "lost",
    "stolen",
    "blocked",
    "disabled",
    "deactivated",
    "suspended",
    "expired",
    "cancelled",
    "canceled",
    "replaced",
    "terminated",
];
/// What programs write where they have nothing.
const NOTHING: [&str; 6] = ["null", "none", "nan", "n/a", "undefined", "tbd"];

/// Characters that take no place on a screen. Joiners (U+200C, U+200D), variation selectors and marks on letters are not among them: they
/// alter letters.
fn invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}' | '\u{200B}' | '\u{200E}'
        | '\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{206A}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// A number's or a room's text with its letters and digits in their plain form, without what cannot be seen and without the apostrophe
/// that marks a text in spreadsheets.
pub(crate) fn plain(text: &str) -> String {
    let plain: String = text.nfkc().filter(|c| !invisible(*c) && !matches!(c, '\u{200C}' | '\u{200D}')).collect();
    let plain = plain.trim();
    plain.strip_prefix('\'').unwrap_or(plain).trim().to_owned()
}

/// A student's number.
pub(crate) fn student(text: &str) -> Result<StudentId, String> {
    let text = identifier(text)?;
    if spreadsheet::whole_with_decimals(&text) {
        return Err(format!(
            "`{text}` is a number with decimals, which a program has appended: export it again as text"
        ));
    }
    StudentId::new(text.as_str()).map_err(|error| strange(&text, error.to_string()))
}

/// A room.
pub(crate) fn room(text: &str) -> Result<RoomId, String> {
    let text = identifier(text)?;
    RoomId::new(text.as_str()).map_err(|error| strange(&text, error.to_string()))
}

fn identifier(text: &str) -> Result<String, String> {
    let text = plain(text);
    if text.is_empty() {
        return Err("empty".into());
    }
    if let Some(why) = trace(&text) {
        return Err(format!("`{}` is {why}", text.escape_debug()));
    }
    if NOTHING.iter().any(|nothing| text.eq_ignore_ascii_case(nothing)) {
        return Err(format!("`{text}` stands for an empty cell: fill it in"));
    }
    Ok(text)
}

/// Adds which character it is that looks like another one.
fn strange(text: &str, why: String) -> String {
    match text.chars().enumerate().find(|(_, c)| !c.is_ascii()) {
        Some((at, c)) => format!("{why}; character {} is U+{:04X}", at + 1, u32::from(c)),
        None => why,
    }
}

/// A card's number to its pseudonym, by the caller's function.
pub(crate) fn card(
    text: &str,
    pseudonym: impl Fn(&str) -> Result<CardPseudonym, String>,
) -> Result<CardPseudonym, String> {
    let text = plain(text);
    if text.is_empty() {
        return Err("empty".into());
    }
    if let Some(why) = trace(&text) {
        return Err(why);
    }
    pseudonym(&text).map_err(|why| {
        if spreadsheet::whole_with_decimals(&text) {
            format!("{why} (a program has appended decimals: export it again as text)")
        } else if text.len() < 8 && text.bytes().all(|b| b.is_ascii_digit()) {
            format!("{why} (a spreadsheet may have taken off leading zeros: import it with this column as text)")
        } else {
            why
        }
    })
}

/// Whether the card is good. `yes`, `1` and `A` are refused: they may say either.
pub(crate) fn standing(text: &str) -> Result<CardStanding, String> {
    let word = plain(text).to_lowercase();
    if word.is_empty() || ACTIVE.contains(&word.as_str()) {
        Ok(CardStanding::Active)
    } else if REVOKED.contains(&word.as_str()) {
        Ok(CardStanding::Revoked)
    } else {
        Err(format!(
            "`{}` is not known; a good card is {} or an empty cell, one that no longer opens a door is {}",
            text.escape_debug(),
            ACTIVE.map(|word| format!("`{word}`")).join(", "),
            REVOKED.map(|word| format!("`{word}`")).join(", "),
        ))
    }
}

/// What the screen speaks to the student, if the cell says so. `en_US` is read as `en-US`.
pub(crate) fn language(text: &str) -> Result<Option<Language>, String> {
    let tag = plain(text).replace('_', "-");
    if tag.is_empty() {
        return Ok(None);
    }
    Language::new(tag).map(Some).map_err(|error| error.to_string())
}

/// The seat, if the cell says one.
pub(crate) fn seat(text: &str) -> Result<Option<Seat>, String> {
    let text = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Ok(None);
    }
    if NOTHING.iter().any(|nothing| text.eq_ignore_ascii_case(nothing)) {
        return Err(format!("`{text}` stands for an empty cell: empty it"));
    }
    if let Some(why) = trace(&text) {
        return Err(format!("`{}` is {why}", text.escape_debug()));
    }
    if spreadsheet::whole_with_decimals(&text) {
        return Err(format!(
            "`{text}` is a number with decimals, which a program has appended: export it again as text"
        ));
    }
    Seat::new(text.as_str()).map(Some).map_err(|error| format!("`{}`: {error}", text.escape_debug()))
}

/// The name that somebody prefers, if the cell says one.
pub(crate) fn preferred(text: &str) -> Result<Option<String>, String> {
    if plain(text).is_empty() { Ok(None) } else { name::given(text).map(Some) }
}

/// How the student is verified. A word that is not known is refused: nobody who opted out is enrolled by a typing error.
pub(crate) fn matching(text: &str) -> Result<Matching, String> {
    match plain(text).to_lowercase().as_str() {
        "" | "face" => Ok(Matching::Face),
        "none" => Ok(Matching::None),
        other => Err(format!(
            "`{}` is not known; for a student who opted out of face matching it is `none`, for all others an empty cell or `face`",
            other.escape_debug()
        )),
    }
}

/// Photos as the cell names them, parted by `;`, `|` or line breaks, with `/` between folders. A comma may part names or belong to one:
/// that the photo folder says.
pub(crate) fn photos(text: &str) -> Result<Vec<String>, String> {
    let names = text.split([';', '|', '\n', '\r']).map(str::trim).filter(|name| !name.is_empty());
    names.map(photo).collect()
}

fn photo(name: &str) -> Result<String, String> {
    // Browsers put this before the name of a file that somebody chose.
    let fake = "C:\\fakepath\\";
    let bare = match name.get(..fake.len()) {
        Some(start) if start.eq_ignore_ascii_case(fake) => &name[fake.len()..],
        Some(_) | None => name,
    };
    let path = bare.replace('\\', "/");
    let path = path.strip_prefix("./").unwrap_or(&path);
    let inside = |path: &str| {
        let drive = path.as_bytes().get(1) == Some(&b':');
        !drive && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
    };
    if trace(path).is_some() && !path.starts_with(['#', '=']) {
        Err(format!(
            "`{}` is a number or date of a spreadsheet, not a photo's name: format the column as text",
            name.escape_debug()
        ))
    } else if inside(path) && path.split(',').all(|part| inside(part.trim())) && !path.contains(char::is_control) {
        Ok(path.to_owned())
    } else {
        Err(format!("`{}` is not a file name inside the photo folder", name.escape_debug()))
    }
}

#[cfg(test)]
mod tests;
