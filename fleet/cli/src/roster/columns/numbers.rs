//! Columns of other numbers than identifiers: of access control systems, and of cards that prove themselves. A mark before a cell's text says which
//! it is, so that what reads a card's text needs no column.

use std::borrow::Cow;

use examgate::domain::MAX_CARDS;

/// Such a column.
pub(super) struct Numbers {
    pub(super) name: &'static str,
    /// What follows the name in others' spellings.
    pub(super) others: &'static [&'static str],
    mark: &'static str,
}

/// All of them, in the order in which they come after the columns of identifiers.
pub(super) const NUMBERS: [Numbers; 3] = [
    Numbers { name: "pacs", others: &["number", "id"], mark: PACS_MARK },
    Numbers { name: "desfire", others: &["number", "id", "identity"], mark: "desfire:" },
    Numbers { name: "piv", others: &["number", "id", "uuid", "guid"], mark: "piv:" },
];

/// What stands before a text of the column `pacs`. The marks of the others are part of their numbers, as `examgate card` prints them.
pub(crate) const PACS_MARK: &str = "pacs:";

/// Columns of further identifiers: `card_2` to `card_8`.
pub(super) const FURTHER: usize = MAX_CARDS - 1;

/// How many columns of further cards there may be: those, and [`NUMBERS`] after them.
pub(super) const MORE: usize = FURTHER + NUMBERS.len();

/// The kind of number in the column at `place` among further cards; `None`: an identifier.
pub(super) fn numbers(place: usize) -> Option<&'static Numbers> {
    place.checked_sub(FURTHER).and_then(|at| NUMBERS.get(at))
}

impl Numbers {
    /// A text of this column with the mark before it, once. An empty one stays so.
    pub(super) fn marked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let start = text.trim_start().get(..self.mark.len());
        if text.trim().is_empty() || start.is_some_and(|start| start.eq_ignore_ascii_case(self.mark)) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(format!("{}{text}", self.mark))
    }
}

/// A text without its mark.
pub(crate) fn unmarked(text: &str) -> &str {
    NUMBERS.iter().find_map(|numbers| text.strip_prefix(numbers.mark)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gets_the_mark_of_its_column_once() {
        let [pacs, desfire, piv] = &NUMBERS;
        for (numbers, text, wanted) in [
            (pacs, "31-337", "pacs:31-337"),
            (desfire, "0123ABCD", "desfire:0123ABCD"),
            (desfire, " DESFire:0123ABCD", " DESFire:0123ABCD"),
            (desfire, "piv:0123", "desfire:piv:0123"),
            (piv, "é", "piv:é"),
            (piv, " ", " "),
        ] {
            assert_eq!(numbers.marked(text), wanted);
        }
        assert_eq!(["pacs:7", "desfire:07", "04A1"].map(unmarked), ["7", "07", "04A1"]);
        assert_eq!((numbers(FURTHER - 1).map(|n| n.name), numbers(FURTHER + 2).map(|n| n.name)), (None, Some("piv")));
    }
}
