//! Which names are spelled most like one that was not found.
//!
//! It only lists candidates: a person decides.

/// `names`, those spelled most like `wanted` first.
pub(super) fn closest<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    let plain = plain(wanted);
    let mut near: Vec<_> = names.iter().map(|name| (distance(&self::plain(name), &plain), *name)).collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).collect()
}

/// Whether two names differ only in what is easily lost: case, separators, and zeros before a number.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(name: &str) -> Vec<char> {
    let mut kept = Vec::new();
    for (at, letter) in name.char_indices() {
        let after_digit =
            name[..at].ends_with(|before: char| before.is_ascii_digit() && !(before == '0' && is_leading(&name[..at])));
        let is_lost =
            matches!(letter, '-' | '_' | '.') || letter == '0' && !after_digit && followed_by_digit(&name[at + 1..]);
        if !is_lost {
            kept.extend(letter.to_lowercase());
        }
    }
    kept
}

/// Whether the zeros that `before` ends with stand at the start of their number.
fn is_leading(before: &str) -> bool {
    !before.trim_end_matches('0').ends_with(|letter: char| letter.is_ascii_digit())
}

fn followed_by_digit(after: &str) -> bool {
    after.starts_with(|letter: char| letter.is_ascii_digit())
}

/// How many letters have to be put in, left out or changed (Levenshtein's distance).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_does_to_a_room_is_seen_through() {
        for (one, other, same) in [
            ("007", "7", true),
            ("SILVER-007", "silver7", true),
            ("A-010", "A-10", true),
            ("100", "1", false),
            ("10", "010", true),
            ("0", "00", true),
            ("207", "27", false),
            ("", "0", false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}: {:?} {:?}", plain(one), plain(other));
        }
    }

    #[test]
    fn the_closest_comes_first() {
        assert_eq!(
            closest("SILVER-207", &["GOLD-1", "SILVER-270", "SILVER-27"]),
            ["SILVER-27", "SILVER-270", "GOLD-1"]
        );
        assert_eq!(closest("007", &["70", "7", "1"]), ["7", "1", "70"]);
        assert!(closest("a", &[]).is_empty());
    }
}
