//! What spreadsheets make of a text that looks like a number, a date or a formula.

/// How to keep a spreadsheet from it.
const AS_TEXT: &str = "export it again, and import it into the spreadsheet with this column as text";

/// What a spreadsheet has made of the cell, and how to mend it; `None` for a text that looks untouched.
pub(crate) fn trace(text: &str) -> Option<String> {
    let what = if text.starts_with('#') {
        "a spreadsheet's error value, or a column too narrow to show its number"
    } else if text.starts_with('=') {
        "a spreadsheet's formula, not its value"
    } else if in_powers_of_ten(text) {
        "a number in E+ notation, of which a spreadsheet has lost digits"
    } else if whole_with_decimals(text) && !text.contains('.') {
        "a number with decimals, which a spreadsheet has appended"
    } else if grouped(text) && !text.contains('.') {
        "a number with thousands separators"
    } else if text.strip_suffix('%').is_some_and(number) {
        "a percentage, which a spreadsheet has made of a number"
    } else if named_month(text) || slashes(text) || timed(text) {
        "a date, which a spreadsheet has made of something like 11-12"
    } else {
        return None;
    };
    Some(format!("{what}: {AS_TEXT}"))
}

/// `12345.0`: programs append it to whole numbers when a cell of the column is empty.
pub(crate) fn whole_with_decimals(text: &str) -> bool {
    text.split_once(['.', ',']).is_some_and(|(whole, rest)| {
        digits(whole) && !rest.is_empty() && rest.bytes().all(|b| b == b'0') && rest.len() != 3
    })
}

/// `1.234.567`, and with another mark between.
pub(crate) fn grouped(text: &str) -> bool {
    let mark = |c: char| matches!(c, ',' | '.' | '\'' | '’' | ' ');
    let Some(first) = text.chars().find(|c| mark(*c)) else { return false };
    let mut groups = text.split(first);
    groups.next().is_some_and(|group| digits(group) && group.len() <= 3)
        && groups.all(|group| digits(group) && group.len() == 3)
}

/// A calendar's day, as spreadsheets write it where dates are written year first.
pub(crate) fn iso_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let within = |text: &str, most: u8| text.len() == 2 && text.parse::<u8>().is_ok_and(|n| (1..=most).contains(&n));
    matches!(parts.as_slice(), [year, month, day] if year.len() == 4 && digits(year) && within(month, 12) && within(day, 31))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(text: &str) -> bool {
    let text = text.trim_end();
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','))
}

/// `1.23E+15`, `1,2e15`, `1E+21`. Without a sign and a mark, as in 3E5, it may be a name or a card.
fn in_powers_of_ten(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let marked = mantissa.contains(['.', ',']) || exponent.starts_with('+');
    marked && number(mantissa) && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

/// Months as spreadsheets shorten them in English, French, German, Spanish, Italian and Portuguese, in lower case.
const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", // English
    "janv", "févr", "mars", "avr", "mai", "juin", "juil", "août", "déc", // French
    "jän", "mär", "mrz", "okt", "dez", // German
    "ene", "abr", "ago", "dic", // Spanish
    "gen", "mag", "giu", "lug", "set", "ott", // Italian
    "fev", "fév", "out", "märz", "juni", "juli", "june", "july", "april", "march",
];

/// `12-Nov`, `Nov-12`, `1. Nov 2026`. In capitals, as in MAR-12, it is rather a building.
fn named_month(text: &str) -> bool {
    let parts: Vec<_> = text.split(['-', '/', '.', ' ']).filter(|part| !part.is_empty()).collect();
    let is_month =
        |part: &&&str| part.chars().skip(1).all(char::is_lowercase) && MONTHS.contains(&part.to_lowercase().as_str());
    let months = parts.iter().filter(is_month).count();
    let numbers = parts.iter().filter(|part| digits(part) && matches!(part.len(), 1 | 2 | 4)).count();
    months == 1 && (2..=3).contains(&parts.len()) && months + numbers == parts.len()
}

/// `11/12`, `11/12/2026`.
fn slashes(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| digits(part) && part.len() <= 4)
}

/// `2026-11-12 00:00:00`.
fn timed(text: &str) -> bool {
    text.split_once([' ', 'T']).is_some_and(|(date, time)| iso_date(date) && time.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_made_is_told_from_what_people_write() {
        for (text, wanted) in [
            ("1.23E+15", "E+ notation"),
            ("1,23E+15", "E+ notation"),
            ("1.3047928920408e15", "E+ notation"),
            ("1E+21", "E+ notation"),
            ("2.5E-05", "E+ notation"),
            ("12345,0", "decimals"),
            ("12345,00", "decimals"),
            ("1,234,567", "thousands"),
            ("1 234 567", "thousands"),
            ("1'234'567", "thousands"),
            ("12%", "percentage"),
            ("12,5 %", "percentage"),
            ("12-Nov", "a date"),
            ("Nov-12", "a date"),
            ("12. Nov", "a date"),
            ("12-nov", "a date"),
            ("1-déc", "a date"),
            ("1-Mar-2026", "a date"),
            ("11/12", "a date"),
            ("11/12/2026", "a date"),
            ("2026-11-12 00:00:00", "a date"),
            ("#N/A", "error value"),
            ("#REF!", "error value"),
            ("########", "error value"),
            ("=A1", "formula"),
        ] {
            assert!(trace(text).is_some_and(|said| said.contains(wanted)), "{text}: {:?}", trace(text));
        }
        for text in [
            "",
            "3E5",
            "12E4",
            "1E-05",
            "N12",
            "12-34",
            "MAR-12",
            "DEC-101",
            "Mar-101",
            "2.01",
            "12345",
            "1.234",
            "04A2B3C4",
            "04 A2 B3 C4",
            "Silver 101",
            "Dec",
            "May",
            "1304792892040830",
            "12.345.678",
            "A/B",
            "R1.0",
            "E+5",
        ] {
            assert_eq!(trace(text), None, "{text}");
        }
    }

    #[test]
    fn shapes_that_may_be_genuine_are_left_to_the_column() {
        for (text, shape) in
            [("101.0", whole_with_decimals as fn(&str) -> bool), ("12.345.678", grouped), ("2026-11-12", iso_date)]
        {
            assert!(shape(text) && trace(text).is_none(), "{text}");
        }
        assert!(!whole_with_decimals("2.01") && !grouped("1.23") && !iso_date("2024-00017") && !iso_date("2026-13-01"));
    }
}
